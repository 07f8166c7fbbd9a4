"""The diagnosis in real runs: silent where they work; each failure is provoked once."""

from __future__ import annotations

import paddle
import pytest
from conftest import ROOT
from visualdl import LogReader

import data
from configs import default
from engine.commands import single_run
from engine.plan.run_plan import Plan
from engine.results import metrics_reader, run_log
from engine.state.progress import Progress
from models.layers import dropout
from program import run_folder
from program.config import config_files


@pytest.fixture
def painted_config(painted):
    config = default.get_config()
    config.data.update(name="folder", root=str(painted), holdout=0.3, crop_scale=(0.5, 1.0))
    config.model.update(name="vit_n_8", image_size=16, drop_rate=0.1)
    config.optim.update(lr=3e-3, warmup_steps=3, clip_norm=1.0, weight_decay=0.05)
    config.train.update(
        steps=60, batch_size=6, accumulation_steps=2, log_every_steps=1, checkpoint_every_steps=100
    )
    config.eval.every_steps = 10
    return config


def _digits(**fields):
    config = config_files.load_file(str(ROOT / "configs" / "digits_rdrop.py"))
    config.train.update(steps=120, log_every_steps=5)
    config.update_from_flattened_dict(
        {name.replace("__", "."): value for name, value in fields.items()}
    )
    return config


def _found(folder):
    return [
        record["kind"]
        for record in metrics_reader.read_metrics(folder)
        if record["split"] == "diagnosis"
    ]


def test_working_runs_are_silent(painted_config, tmp_path, capsys):
    single_run.train(_digits(), tmp_path / "digits")
    single_run.train(painted_config, tmp_path / "painted_run")
    assert _found(tmp_path / "digits") == _found(tmp_path / "painted_run") == []
    assert "warning" not in capsys.readouterr().out


def test_a_rate_100_times_too_high(tmp_path, capsys):
    """Said once, recorded, and shown; the curve is drawn all the same."""
    folder = tmp_path / "run"
    fast = {
        "model__name": "vit_n_4",
        "data__holdout": 0.0,
        "train__steps": 8,
        "train__log_every_steps": 1,
    }
    single_run.train(_digits(optim__lr=0.6, optim__warmup_steps=1, **fast), folder)
    found = _found(folder)
    assert found == ["rising"]
    record = next(
        record for record in metrics_reader.read_metrics(folder) if record["split"] == "diagnosis"
    )
    assert {"step", "epoch", "split", "kind", "text", "seconds"} == record.keys()
    assert capsys.readouterr().out.count(record["text"]) == 1
    assert "--config.optim.lr=0.01 with --config.optim.clip_norm=1.0" in record["text"]
    shown = LogReader(file_path=str(folder / run_folder.VISUALDL)).get_data(
        "text", f"diagnosis/{found[0]}"
    )
    assert [point.id for point in shown] == [record["step"]]
    assert (folder / run_folder.CURVE).is_file()
    with run_log.RunLog(folder, Plan(1297, 64, 8, 20), Progress(8)):  # shown again after a resume
        pass
    assert _found(folder) == found


@pytest.mark.parametrize("cause", ["rate", "masks"])
def test_nothing_random(painted_config, tmp_path, monkeypatch, capsys, cause):
    """A drop rate that drops nothing, and masks that are the same for both copies."""
    if cause == "rate":
        painted_config.model.update(drop_rate=0.0, drop_path_rate=1e-5)
    else:
        drawn = dropout.keep_mask

        def first_twice(shape, *rest):
            return paddle.concat(2 * [drawn(shape, *rest).chunk(2)[0]])

        monkeypatch.setattr(dropout, "keep_mask", first_twice)
    painted_config.train.steps = 30
    single_run.train(painted_config, tmp_path / "run")
    assert _found(tmp_path / "run") == ["no_kl"]
    assert ("the highest drop rate is 1e-05" in capsys.readouterr().out) == (cause == "rate")


def test_shuffled_labels(painted_config, tmp_path, monkeypatch, capsys):
    """The classes of the validation images are shifted by one; those of the test images, too."""
    build = data.build_splits

    def shifted(config):
        splits = build(config)
        for dataset in (splits.val, splits.test):
            source = dataset.source
            dataset.source = source._replace(labels=(source.labels + 1) % 3)
        return splits

    monkeypatch.setattr(data, "build_splits", shifted)
    single_run.train(painted_config, tmp_path / "run")
    assert _found(tmp_path / "run") == ["labels"]
    text = capsys.readouterr().out
    assert "but validation is at chance (0.0 %" in text
    assert "but the test is at chance (0.0 %" in text
