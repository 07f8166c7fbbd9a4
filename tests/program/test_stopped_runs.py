"""A run that is stopped in an evaluation, or before its first step, goes on with the same bits."""

from __future__ import annotations

import json
import os
import signal

import numpy as np
import pytest
from conftest import ROOT, launch, paint

import data
from common.safetensors_files import read_safetensors
from configs import default
from engine.commands import single_run
from engine.results import metrics_reader
from program import exits
from program.signals import StopRequest


@pytest.fixture(scope="module")
def config(tmp_path_factory):
    """A config with an average, validations, and records at other steps than those."""
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
    """What a run leaves that was not stopped."""
    folder = tmp_path_factory.mktemp("whole")
    with pytest.MonkeyPatch.context() as patch:
        asked = _stop_at_check(patch, 0)
        assert single_run.train(config, folder) == exits.DONE
    assert len(asked) == 33
    return _outcome(folder)


def _outcome(folder):
    """Returns all that a run leaves, without times."""
    paths = sorted(folder.glob("weights*.safetensors"))
    arrays = {path.name: read_safetensors(path)[0] for path in paths}
    records = metrics_reader.read_metrics(folder)
    result = json.loads((folder / "result.json").read_text())
    return arrays, [_without_times(record) for record in records], _without_times(result)


def _without_times(record):
    times = ("seconds", "images_per_second")
    return {name: value for name, value in record.items() if name not in times}


def _same(first, second) -> None:
    assert first[1:] == second[1:]
    for file, arrays in first[0].items():
        for name, array in arrays.items():
            np.testing.assert_array_equal(array, second[0][file][name], err_msg=f"{file}: {name}")


def _validations(folder):
    return [one["step"] for one in metrics_reader.read_metrics(folder) if one["split"] == "val"]


def _stop_at_check(monkeypatch, number: int):
    """Answers the number-th question of an evaluation by a stop; the first is at the start."""
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
    """It has the bits, scores and records of a run that was not stopped, also after two stops."""
    folder, ends_in_test = tmp_path / "cut", check > 17
    for number in (check, 3 if not ends_in_test else 4):
        with monkeypatch.context() as patch:
            _stop_at_check(patch, number)
            assert single_run.train(config, folder) == exits.STOPPED
        said = f"stopped after step {step} (SIGTERM), saved; the same command goes on"
        assert said in capsys.readouterr().out
        assert _validations(folder) == {3: [], 6: [3, 6] if ends_in_test else [3]}[step]
    assert single_run.train(config, folder) == exits.DONE
    _same(whole, _outcome(folder))


@pytest.mark.slow
def test_two_processes_leave_an_evaluation_for_the_signal_of_one(tmp_path):
    """Once in a validation in the middle of the run, and once in the test at its end."""
    worker = ROOT / "tests" / "engine" / "watch" / "faulty_worker.py"

    def run(folder, log, *faults):
        launch(2, tmp_path / log, worker, tmp_path / folder, *faults, HOLDOUT="0.2")
        texts = [(tmp_path / log / f"workerlog.{rank}").read_text() for rank in (0, 1)]
        return texts, [
            line for text in texts for line in text.splitlines() if line.startswith("leaves with")
        ]

    texts, codes = run("whole", "log")
    assert codes == ["leaves with 0"] * 2, texts
    # The question at the start; the validations after steps 3, 6 and 8 are of 5 batches a rank.
    texts, codes = run("cut", "log1", "stop:8")
    assert codes == ["leaves with 75"] * 2, texts
    said = "stopped after step 6 (another process was asked to), saved; the same command goes on"
    assert said in texts[0]
    assert _validations(tmp_path / "cut") == [3]
    # The questions at the start and after the repeated validation, ten of two validations, and one
    # of the test images.
    texts, codes = run("cut", "log2", "stop:14")
    assert codes == ["leaves with 75"] * 2, texts
    assert "stopped after step 8" in texts[0]
    assert _validations(tmp_path / "cut") == [3, 6, 8]
    assert not (tmp_path / "cut" / "result.json").exists()
    texts, codes = run("cut", "log3")
    assert codes == ["leaves with 0"] * 2, texts
    _same(_outcome(tmp_path / "whole"), _outcome(tmp_path / "cut"))


def test_records_of_a_validation_that_was_not_saved_are_not_kept(
    config, tmp_path, monkeypatch, whole
):
    """The run is killed after it has repeated the validation: on the disk is the state before."""
    with monkeypatch.context() as patch:
        _stop_at_check(patch, 4)
        assert single_run.train(config, tmp_path / "cut") == exits.STOPPED
    with monkeypatch.context() as patch:
        patch.setattr(single_run.Trainer, "batches", lambda self: 1 / 0)
        with pytest.raises(ZeroDivisionError):
            single_run.train(config, tmp_path / "cut")
    splits = [record["split"] for record in metrics_reader.read_metrics(tmp_path / "cut")]
    assert splits == ["val", "val_ema"]
    single_run.train(config, tmp_path / "cut")
    _same(whole, _outcome(tmp_path / "cut"))


def test_a_stop_while_data_is_read(config, tmp_path, monkeypatch, capsys):
    def build(config):
        os.kill(os.getpid(), signal.SIGUSR1)

    monkeypatch.setattr(data, "build_splits", build)

    def main():
        with StopRequest() as stop:
            return single_run.train(config, tmp_path / "run", stop=stop)

    with pytest.raises(SystemExit) as end:
        exits.run_tool(main)
    assert end.value.code == 75
    said = "stopped (SIGUSR1) before the first step; the same command goes on\n"
    assert capsys.readouterr().err == said
    assert not (tmp_path / "run").exists()
