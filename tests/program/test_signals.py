"""Stopping on request: when it is heard, what is saved, and that the run goes on with the same
bits.
"""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import threading

import numpy as np
import pytest
from conftest import ROOT, launch, paint, run_program

import data
from common.errors import UserError
from common.safetensors_files import read_safetensors
from configs import default
from engine.commands import single_run
from engine.results import metrics_file
from program import exits
from program.signals import Stopped, StopRequest


def _send(number: signal.Signals) -> None:
    os.kill(os.getpid(), number)


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT, signal.SIGUSR1])
def test_a_signal_is_noted_where_there_is_something_to_save(number):
    before = signal.getsignal(number)
    with StopRequest() as stop, stop.deferred():
        assert not stop.agreed()
        _send(number)
        assert stop.agreed()
        assert stop.reason == number.name
        with pytest.raises(Stopped, match=number.name):
            stop.check()
    with StopRequest(), pytest.raises(Stopped, match=number.name):
        _send(number)
    assert signal.getsignal(number) == before


def test_handlers_of_others_are_replaced_and_signals_wait_for_that():
    def import_paddle(stop):
        with stop.held():
            signal.signal(signal.SIGTERM, signal.SIG_DFL)
            signal.pthread_kill(threading.main_thread().ident, signal.SIGTERM)

    with StopRequest() as stop:
        with pytest.raises(Stopped, match="SIGTERM"):
            import_paddle(stop)
        assert signal.getsignal(signal.SIGTERM) == stop._handle


_STUBBORN = """
import os, signal, sys, time
from program.signals import StopRequest
with StopRequest() as stop, stop.deferred():
    try:
        for number in sys.argv[1:]:
            os.kill(os.getpid(), int(number))
        print("still here", flush=True)
    except BaseException:
        print("caught")
    finally:
        print("left")
"""


@pytest.mark.parametrize(
    ("numbers", "leaves"), [((2, 2), True), ((15, 2), False), ((15, 15, 15, 10), False)]
)
def test_a_second_ctrl_c_leaves_at_once(numbers, leaves):
    """Nothing can hold it up, and there is one line. Several SIGTERM, as the launcher sends them,
    are one.
    """
    done = subprocess.run(
        [sys.executable, "-c", _STUBBORN, *map(str, numbers)],
        cwd=ROOT,
        capture_output=True,
        text=True,
    )
    if leaves:
        assert (done.returncode, done.stdout) == (130, "")
        assert done.stderr == "interrupted; the same command goes on from the newest checkpoint\n"
    else:
        assert (done.returncode, done.stdout) == (0, "still here\nleft\n")


def test_the_time_that_a_step_and_a_save_take_is_kept_free():
    now = [0.0]
    stop = StopRequest(max_hours=1, clock=lambda: now[0])
    with stop.deferred():
        for second in (100, 400, 500):  # steps of 300 s at most; the first hundred are the start's
            now[0] = second
            assert not stop.agreed()
        with stop.saving():
            now[0] = 550
        now[0] = 3600 - 300 - 50 - 1
        stop._asked_at = now[0] - 10
        assert not stop.agreed()
        now[0] += 1
        assert stop.agreed()
        assert stop.reason == "--max_hours=1"
    assert StopRequest(clock=lambda: 1e9).agreed() is False


def test_no_thread_of_numpy_takes_a_signal():
    """It would be given one that the main thread holds back while Paddle is imported, which aborts
    on it.
    """
    code = (
        "import main, sys, pathlib; assert 'numpy' in sys.modules and 'paddle' not in sys.modules\n"
    )
    code += "for task in pathlib.Path('/proc/self/task').iterdir(): print((task / 'status').read_text())"
    done = run_program("-c", code, OPENBLAS_NUM_THREADS="4")
    masks = [
        int(line.split()[1], 16) for line in done.stdout.splitlines() if line.startswith("SigBlk")
    ]
    if len(masks) < 2:
        pytest.skip("NumPy has no threads of its own here")
    wanted = sum(1 << number - 1 for number in (signal.SIGINT, signal.SIGTERM, signal.SIGUSR1))
    assert sorted(mask & wanted for mask in masks) == [0] + [wanted] * (len(masks) - 1)


@pytest.mark.parametrize("hours", [-1.0, float("nan"), float("inf")])
def test_hours_that_are_none(hours):
    with pytest.raises(UserError, match=f"--max_hours is {hours}, expected 0"):
        StopRequest(hours)


def test_hours_on_the_command_line(tmp_path):
    """Over at once: one step is taken, so that runs of any length come to an end. Then a
    mistake.
    """
    words = [
        "main.py",
        f"--workdir={tmp_path / 'run'}",
        "--config.train.steps=2",
        "--config.data.holdout=0.0",
    ]
    done = run_program(*words, "--max_hours=1e-9")
    assert done.returncode == 75, done.stderr
    assert done.stdout.splitlines()[-1].startswith(
        "stopped after step 1 (--max_hours=1e-09), saved; the same command"
    )
    done = run_program(*words, "--max_hours=-1")
    assert (done.returncode, done.stderr) == (
        2,
        "error: --max_hours is -1.0, expected 0 (no limit) or more\n",
    )


@pytest.fixture(scope="module")
def config(tmp_path_factory):
    """An average, validation, and records that are not of the same steps as it."""
    root = tmp_path_factory.mktemp("painted")
    paint(root / "train", 3, 12)
    paint(root / "test", 3, 5)
    config = default.get_config()
    config.data.update(name="folder", root=str(root), holdout=0.2, crop_scale=(0.5, 1.0))
    config.model.update(name="vit_n_8", image_size=16, drop_rate=0.1)
    config.average.ema_decay = 0.5
    config.train.update(steps=6, batch_size=6, log_every_steps=4, checkpoint_every_steps=100)
    config.eval.update(every_steps=3, batch_size=2)
    return config


@pytest.fixture(scope="module")
def whole(config, tmp_path_factory):
    """What a run leaves that was left alone."""
    folder = tmp_path_factory.mktemp("whole")
    with pytest.MonkeyPatch.context() as patch:
        asked = _stop_at_check(patch, 0)
        assert single_run.train(config, folder) == exits.DONE
    assert len(asked) == 33
    return _outcome(folder)


def _outcome(folder):
    """All that a run leaves, without times."""
    arrays = {
        path.name: read_safetensors(path)[0] for path in sorted(folder.glob("weights*.safetensors"))
    }
    timing = ("seconds", "images_per_second")
    records = [
        {k: v for k, v in record.items() if k not in timing}
        for record in metrics_file.read_metrics(folder)
    ]
    result = json.loads((folder / "result.json").read_text())
    return arrays, records, {k: v for k, v in result.items() if k != "seconds"}


def _same(first, second) -> None:
    assert first[1:] == second[1:]
    for file, arrays in first[0].items():
        for name, array in arrays.items():
            np.testing.assert_array_equal(array, second[0][file][name], err_msg=f"{file}: {name}")


def _stop_at_check(monkeypatch, number: int):
    """The number-th question of an evaluation is answered by a stop; the first is that of the
    start.
    """
    asked, check = [], StopRequest.check

    def counted(self):
        asked.append(0)
        if len(asked) == number:
            self._note = "SIGTERM"
        check(self)

    monkeypatch.setattr(StopRequest, "check", counted)
    return asked


# 7 held-out images make 4 batches: checks 2 to 5 are of the weights after step 3, 6 to 9 of their
# average; after step 6 it is 10 to 17; the 15 test images make 8 batches, twice.
_SLOW = [
    pytest.param(*case, marks=pytest.mark.slow)
    for case in ((2, 3), (9, 3), (10, 6), (17, 6), (18, 6))
]


@pytest.mark.parametrize(("check", "step"), [(6, 3), (33, 6), *_SLOW])
def test_an_evaluation_is_left_and_done_again(
    config, tmp_path, monkeypatch, capsys, check, step, whole
):
    """The same bits, scores and records as of a run that was left alone; a second stop in between
    changes nothing.
    """
    folder, ends_in_test = tmp_path / "cut", check > 17
    for number in (check, 3 if not ends_in_test else 4):
        with monkeypatch.context() as patch:
            _stop_at_check(patch, number)
            assert single_run.train(config, folder) == exits.STOPPED
        assert (
            f"stopped after step {step} (SIGTERM), saved; the same command goes on"
            in capsys.readouterr().out
        )
        validations = [
            record["step"]
            for record in metrics_file.read_metrics(folder)
            if record["split"] == "val"
        ]
        assert validations == {3: [], 6: [3, 6] if ends_in_test else [3]}[step]
    assert single_run.train(config, folder) == exits.DONE
    _same(whole, _outcome(folder))


@pytest.mark.slow
def test_two_processes_leave_an_evaluation_for_the_signal_of_one(tmp_path):
    """Once in a validation, in the middle of the run, and once in the evaluation of the test
    images.
    """
    worker = ROOT / "tests" / "engine" / "watch" / "faulty_worker.py"

    def run(folder, log, *faults):
        launch(2, tmp_path / log, worker, tmp_path / folder, *faults, HOLDOUT="0.2")
        texts = [(tmp_path / log / f"workerlog.{rank}").read_text() for rank in (0, 1)]
        return texts, [
            line for text in texts for line in text.splitlines() if line.startswith("leaves with")
        ]

    texts, codes = run("whole", "log")
    assert codes == ["leaves with 0"] * 2, texts
    # The question at the start; the validations behind steps 3, 6 and 8 are of 5 batches a rank.
    texts, codes = run("cut", "log1", "stop:8")
    assert codes == ["leaves with 75"] * 2, texts
    assert (
        "stopped after step 6 (another process was asked to), saved; the same command goes on"
        in texts[0]
    )
    assert [
        r["step"] for r in metrics_file.read_metrics(tmp_path / "cut") if r["split"] == "val"
    ] == [3]
    # The questions at the start and behind the repeated validation, ten of two validations, and one
    # of the test images.
    texts, codes = run("cut", "log2", "stop:14")
    assert codes == ["leaves with 75"] * 2, texts
    assert "stopped after step 8" in texts[0]
    assert [
        r["step"] for r in metrics_file.read_metrics(tmp_path / "cut") if r["split"] == "val"
    ] == [3, 6, 8]
    assert not (tmp_path / "cut" / "result.json").exists()
    texts, codes = run("cut", "log3")
    assert codes == ["leaves with 0"] * 2, texts
    _same(_outcome(tmp_path / "whole"), _outcome(tmp_path / "cut"))


def test_records_of_a_validation_that_was_not_saved_are_not_kept(
    config, tmp_path, monkeypatch, whole
):
    """Killed after it has repeated the validation: the state on the disk is still the one before
    it.
    """
    with monkeypatch.context() as patch:
        _stop_at_check(patch, 4)
        assert single_run.train(config, tmp_path / "cut") == exits.STOPPED
    with monkeypatch.context() as patch:
        patch.setattr(single_run.Trainer, "batches", lambda self: 1 / 0)
        with pytest.raises(ZeroDivisionError):
            single_run.train(config, tmp_path / "cut")
    assert [record["split"] for record in metrics_file.read_metrics(tmp_path / "cut")] == [
        "val",
        "val_ema",
    ]
    single_run.train(config, tmp_path / "cut")
    _same(whole, _outcome(tmp_path / "cut"))


def test_a_stop_while_data_is_read(config, tmp_path, monkeypatch, capsys):
    def build(config, split):
        _send(signal.SIGUSR1)

    monkeypatch.setattr(data, "build", build)

    def main():
        with StopRequest() as stop:
            return single_run.train(config, tmp_path / "run", stop=stop)

    with pytest.raises(SystemExit) as end:
        exits.run_tool(main)
    assert end.value.code == 75
    assert (
        capsys.readouterr().err
        == "stopped (SIGUSR1) before the first step; the same command goes on\n"
    )
    assert not (tmp_path / "run").exists()


def test_a_fault_is_told_from_a_failed_expectation(capsys):
    with pytest.raises(SystemExit) as end:
        exits.run_tool(lambda: 1 / 0)
    assert end.value.code == exits.FAULT
    assert "ZeroDivisionError" in capsys.readouterr().err
