"""The record of a run: each step once, also after a resume."""

from __future__ import annotations

import numpy as np
from visualdl import LogReader

from engine.plan.run_plan import Plan
from engine.results import metrics_reader, run_log, training_curve
from engine.state.progress import Progress
from program import run_folder

_PLAN = Plan(train_images=100, global_batch=10, steps=20, eval_every=10)
_VALUES = {"loss": 2.0, "ce": 1.5, "kl": 0.5, "accuracy": 0.25, "lr": 0.1, "grad_norm": 3.0}


def _log(folder, start, end):
    with run_log.RunLog(folder, _PLAN, Progress(start)) as log:
        for step in range(start + 1, end + 1):
            log.advance(10)
            log.step(step, _VALUES)


def test_resumed_steps_are_logged_once(tmp_path):
    _log(tmp_path, 0, 8)
    _log(tmp_path, 5, 10)  # the run was killed at 8 and goes on from a checkpoint at 5
    assert [record["step"] for record in metrics_reader.read_metrics(tmp_path)] == list(
        range(1, 11)
    )
    assert len(list(tmp_path.glob("vdlrecords.*"))) == 1
    points = LogReader(file_path=str(tmp_path / run_folder.VISUALDL)).get_data(
        "scalar", "train/loss"
    )
    assert [point.id for point in points] == list(range(1, 11))


def test_incidents_are_those_of_the_run_that_goes_on(tmp_path):
    """An incident that the checkpoint does not know comes again; one that it knows stays."""
    skipped = {"step": 4, "action": "skip", "text": "a", "seconds": 0.0}
    back = {"step": 9, "action": "rollback", "text": "b", "seconds": 0.0, "back_to": 5}
    with run_log.RunLog(tmp_path, _PLAN, Progress()) as log:
        log.incident({**skipped, "step": 2})
        for step in range(1, 9):
            log.step(step, _VALUES)
    for _ in range(2):
        with run_log.RunLog(tmp_path, _PLAN, Progress(6, incidents=[skipped, back])):
            pass
    steps = [(record["step"], record["split"]) for record in metrics_reader.read_metrics(tmp_path)]
    expected = [(step, "train") for step in range(1, 7)]
    assert steps == [*expected[:3], (4, "nonfinite"), *expected[3:5], (9, "nonfinite"), expected[5]]
    texts = LogReader(file_path=str(tmp_path / run_folder.VISUALDL)).get_data(
        "text", "nonfinite/rollback"
    )
    assert [text.id for text in texts] == [9]


def test_a_line_cut_short_is_left_out(tmp_path):
    _log(tmp_path, 0, 2)
    with open(tmp_path / run_folder.METRICS, "a") as file:
        file.write('{"step": 3, "lo')
    assert [record["step"] for record in metrics_reader.read_metrics(tmp_path)] == [1, 2]


def test_record_and_curve(tmp_path):
    _log(tmp_path, 0, 3)
    record = metrics_reader.read_metrics(tmp_path)[-1]
    assert record["epoch"] == 0.3
    assert record["split"] == "train"
    assert {
        "loss",
        "ce",
        "kl",
        "accuracy",
        "lr",
        "grad_norm",
        "images_per_second",
        "seconds",
    } <= record.keys()
    assert training_curve.draw_curve(tmp_path).read_bytes().startswith(b"\x89PNG")


def test_image_grid():
    images = np.arange(3 * 3 * 2 * 2, dtype=np.uint8).reshape(3, 3, 2, 2)
    grid = run_log.image_grid(images, columns=2)
    assert grid.shape == (4, 4, 3)
    assert (grid[:2, 2:] == images[1].transpose(1, 2, 0)).all()
    assert (grid[2:, 2:] == 0).all()
