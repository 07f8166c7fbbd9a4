"""Lines in the place of a progress bar: when they come, and what they say."""

from __future__ import annotations

import fcntl
import os
import pty
import struct
import sys
import termios

import paddle
import pytest
from conftest import run_program

import data
from configs import default
from engine.plan.run_plan import Plan
from engine.results import metrics_reader, progress_lines, run_log
from engine.results.evaluation import evaluate
from engine.results.progress_lines import CountLines, GrowingIntervals, TrainingLines, duration
from engine.state.progress import Progress


class Clock:
    """A clock that is set by hand."""

    now = 100.0

    def __call__(self) -> float:
        return self.now


@pytest.fixture
def clock():
    return Clock()


def test_the_intervals_grow_to_a_minute(clock):
    intervals, times = GrowingIntervals(clock), []
    for second in range(400):
        clock.now = 100.0 + second
        if intervals.due():
            times.append(second)
    assert times == [5, 10, 20, 40, 80, 140, 200, 260, 320, 380]


def test_a_pause_makes_one_line(clock):
    intervals = GrowingIntervals(clock)
    clock.now += 1000
    assert intervals.due()
    assert not intervals.due()


def test_the_lines_of_a_run(clock, capsys):
    """Steps of 2 s after a first one of 4 s; a validation of 30 s is not in the images a second."""
    lines = TrainingLines(100, 0, {}, clock)
    assert capsys.readouterr().out == "step 0 of 100\n"
    clock.now += 4
    lines.advance(64)
    assert capsys.readouterr().out == ""
    clock.now += 2
    lines.advance(64)
    assert capsys.readouterr().out == "step 2 of 100, 21 images/s, 3 min 16 s left\n"
    lines.record({"loss": 1.23456, "kl": 0.0123, "accuracy": 0.5, "lr": 0.001, "ce": 1.0})
    clock.now += 30
    lines.restart_rate()
    clock.now += 2
    lines.advance(64)
    assert capsys.readouterr().out == (
        "step 3 of 100, loss 1.235, KL 0.0123, training top-1 50.0 %, rate 0.001, 32 images/s, "
        "27 min 29 s left\n"
    )


def test_a_run_that_goes_on_begins_with_its_newest_record(clock, capsys):
    TrainingLines(100, 40, {"loss": 2.0, "lr": 0.5}, clock)
    assert capsys.readouterr().out == "step 40 of 100, loss 2, rate 0.5\n"


def test_the_lines_of_an_evaluation(clock, capsys):
    lines = CountLines("evaluated", 1000, "images", clock)
    for _ in range(3):
        clock.now += 4
        lines(100)
    assert capsys.readouterr().out.splitlines() == [
        "evaluated 200 of 1,000 images, 25 images/s, 32 s left",
        "evaluated 300 of 1,000 images, 25 images/s, 28 s left",
    ]


def test_nothing_where_a_terminal_shows_the_bar_or_on_other_processes(monkeypatch, capsys):
    monkeypatch.setattr(progress_lines, "_FIRST", 1e-6)
    monkeypatch.setattr(progress_lines.distributed, "is_main", lambda: False)
    progress_lines.evaluation(10)(1)
    monkeypatch.undo()
    monkeypatch.setattr(sys.stderr, "isatty", lambda: True, raising=False)
    assert progress_lines.shows_bar()
    progress_lines.evaluation(10)(1)
    assert capsys.readouterr().out == ""


def test_the_log_of_a_run_prints_them(tmp_path, capsys):
    """What is recorded stays the same, and each line has the values of the newest record."""
    plan = Plan(train_images=100, global_batch=10, steps=20, eval_every=10)
    with run_log.RunLog(tmp_path, plan, Progress()) as log:
        log._lines._intervals._next = 1e-6
        log.step(1, {"loss": 3.0, "lr": 0.1})
        log.advance(10)
    said = capsys.readouterr().out.splitlines()
    assert said[0] == "step 0 of 20"
    assert said[1].startswith("step 1 of 20, loss 3, rate 0.1, ")
    assert [record["split"] for record in metrics_reader.read_metrics(tmp_path)] == ["train"]


def test_an_evaluation_prints_them(monkeypatch, capsys):
    """`evaluate` counts for the lines unless it is told what to do after a batch."""
    monkeypatch.setattr(progress_lines, "_FIRST", 1e-6)
    config = default.get_config()
    config.data.update(name="digits", eval_crop=1.0)
    config.model.update(image_size=8, mean=(0.5,) * 3, std=(0.5,) * 3)
    dataset = data.build(config, "test")
    model = paddle.nn.Sequential(paddle.nn.Flatten(), paddle.nn.Linear(192, 10))
    counts = []
    evaluate(model, dataset, config, counts.append)
    assert (sum(counts), capsys.readouterr().out) == (500, "")
    evaluate(model, dataset, config)
    assert capsys.readouterr().out.startswith("evaluated 128 of 500 images, ")


@pytest.mark.parametrize(
    ("seconds", "text"),
    [
        (0, "0 s"),
        (59.4, "59 s"),
        (59.6, "1 min 0 s"),
        (3599, "59 min 59 s"),
        (7500, "2 h 5 min"),
        (273600, "3 days 4 h"),
    ],
)
def test_durations(seconds, text):
    assert duration(seconds) == text


def test_each_line_leaves_at_once(tmp_path):
    """A pipe gets the first line while the run still goes on."""
    code = "from engine.results.progress_lines import TrainingLines\nimport os\n"
    done = run_program("-c", code + "TrainingLines(3, 0, {}); os._exit(0)")
    assert done.stdout == "step 0 of 3\n", done.stderr


def test_a_terminal_without_columns_shows_no_bar(monkeypatch):
    """As `script` makes one where it has no terminal itself."""
    master, slave = pty.openpty()
    with open(slave, "w", encoding="utf-8") as terminal:
        monkeypatch.setattr("sys.stderr", terminal)
        fcntl.ioctl(slave, termios.TIOCSWINSZ, struct.pack("HHHH", 24, 80, 0, 0))
        assert progress_lines.shows_bar()
        fcntl.ioctl(slave, termios.TIOCSWINSZ, bytes(8))
        assert not progress_lines.shows_bar()
    os.close(master)
