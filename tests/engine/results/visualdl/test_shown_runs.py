"""What VisualDL shows of whole runs: once, also after a stop, a resume and a second end."""

from __future__ import annotations

from collections import Counter

import pytest
from visualdl import LogReader

from common.safetensors_files import read_safetensors
from configs import default
from engine import finish
from engine.commands import single_run
from engine.results.visualdl import final_records
from program import exits
from program.run_folder import VISUALDL, WEIGHTS
from program.signals import StopRequest


@pytest.fixture
def config(painted):
    config = default.get_config()
    config.data.update(name="folder", root=str(painted), holdout=0.2)
    config.model.update(name="vit_n_2", image_size=8, drop_rate=0.1)
    config.train.update(steps=8, batch_size=6, log_every_steps=2, checkpoint_every_steps=3)
    config.train.histogram_every_steps = 2
    return config


def _shown(folder):
    """Returns how often each kind and name was written, and the steps of one histogram."""
    reader = LogReader(file_path=str(folder / VISUALDL))
    tags = {kind: names for kind, names in reader.get_tags().items() if kind != "meta_data"}
    counts = Counter(
        {(kind, name): len(reader.get_data(kind, name)) for kind in tags for name in tags[kind]}
    )
    found = reader.get_data("histogram", "gradients/head.weight")
    return counts, [(point.id, list(point.histogram.hist)) for point in found]


def test_a_stopped_run_shows_the_same_as_a_whole_one(config, tmp_path, monkeypatch):
    single_run.train(config, tmp_path / "whole")
    steps = iter([False] * 4 + [True] + [False] * 99)
    monkeypatch.setattr(StopRequest, "agreed", lambda self: next(steps))
    assert single_run.train(config, tmp_path / "cut") == exits.STOPPED
    assert single_run.train(config, tmp_path / "cut") == exits.DONE
    whole, cut = _shown(tmp_path / "whole"), _shown(tmp_path / "cut")
    assert whole == cut
    counts, histogram = whole
    assert [step for step, _ in histogram] == [2, 4, 6, 8]
    assert all(sum(hist) == 48 * 3 for _, hist in histogram)
    assert counts[("histogram", "weights/head.weight")] == 4
    final = ("hyper_parameters", "hparam"), ("scalar", "test/top1"), ("embeddings", "test_features")
    assert [counts[one] for one in final] == [1, 1, 1]


def test_a_run_that_ends_twice_shows_its_end_once(config, tmp_path, monkeypatch):
    """It was killed between the end of VisualDL's file and its result."""
    with monkeypatch.context() as patch:
        patch.setattr(finish, "write_json", lambda *_: 1 / 0)
        with pytest.raises(ZeroDivisionError):
            single_run.train(config, tmp_path)
    first = _shown(tmp_path)
    assert single_run.train(config, tmp_path) == exits.DONE
    assert _shown(tmp_path) == first
    assert first[0][("hyper_parameters", "hparam")] == 1


def test_histograms_change_no_bit(config, tmp_path):
    single_run.train(config, tmp_path / "with")
    config.train.histogram_every_steps = 0
    single_run.train(config, tmp_path / "without")
    counts, histogram = _shown(tmp_path / "without")
    assert histogram == []
    assert not [kind for kind, _ in counts if kind == "histogram"]
    (one, _), (other, _) = (
        read_safetensors(tmp_path / name / WEIGHTS) for name in ("with", "without")
    )
    assert all((one[name] == other[name]).all() for name in one)


def test_a_fault_leaves_the_run_finished(config, tmp_path, monkeypatch, capsys):
    monkeypatch.setattr(final_records, "draw_mistakes", lambda *_: 1 / 0)
    monkeypatch.setattr(final_records, "_curves", lambda *_: 1 / 0)
    assert single_run.train(config, tmp_path) == exits.DONE
    assert (tmp_path / "result.json").is_file()
    assert "ZeroDivisionError" in capsys.readouterr().out
    assert ("scalar", "train/loss") in _shown(tmp_path)[0]
