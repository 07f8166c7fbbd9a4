"""A frozen body runs once for an image and view; the run is the same as without the cache."""

from __future__ import annotations

import itertools
import json

import numpy as np
import paddle
import pytest
from feature_runs import RDROP, VIEWS, StopAfter, assert_close, run, small_config, watched_rows

import data
from common.errors import UserError
from engine.commands import lr_range_test, single_run
from engine.results.run_log import RunLog
from engine.step.objective import Objective
from program import exits
from program.signals import StopRequest

_CASES = {
    "head": {},
    "norm": {"model.trainable": "head_and_norm", "average.ema_decay": 0.5},
    "distilled": {"model.name": "vit_n_2_distilled", "model.image_size": 8},
    "views": VIEWS,
    "repeats": {**VIEWS, "data.repeats": 3, "data.workers": 1, "train.steps": 40},
    "resized on the device": {
        **VIEWS,
        "data.name": "digits",
        "data.root": "",
        "data.max_images": 29,
        "data.holdout": 0.0,
        "data.resize_on": "device",
    },
    "rdrop": RDROP,
    "rdrop and views": {**RDROP, **VIEWS, "train.steps": 20, "rdrop.every_steps": 2},
    "cnn": {
        "model.name": "resnet_18",
        "model.image_size": 32,
        "model.drop_rate": 0.2,
        "rdrop.copies": 2,
    },
    "unlabelled": {
        **RDROP,
        **VIEWS,
        "data.labels_per_class": 5,
        "rdrop.unlabelled_batch_size": 3,
        "rdrop.every_steps": 2,
        "train.steps": 20,
    },
}


@pytest.fixture
def config(painted):
    return small_config(painted)


@pytest.fixture
def rows(monkeypatch):
    return watched_rows(monkeypatch)


@pytest.mark.parametrize("case", _CASES)
def test_the_run_is_the_same_as_without(config, tmp_path, capsys, case):
    fields = _CASES[case]
    found = run(config, tmp_path / "cached", **fields)
    assert "features: " in capsys.readouterr().out
    expected = run(config, tmp_path / "whole", **fields, **{"train.cache_features": "off"})
    assert "not cached: train.cache_features=off" in capsys.readouterr().out
    assert_close(found, expected)
    kl = [record["kl"] for record in found[1] if "kl" in record]
    assert all(value > 1e-6 for value in kl)
    assert bool(kl) == (config.rdrop.copies > 1 or "rdrop.copies" in fields)


def test_each_image_passes_the_body_once(config, tmp_path, rows):
    """Training, held-out and test images; passes of one image find out the memory and the cut."""
    run(config, tmp_path / "run")
    assert [count for count in rows if count > 1] == [8, 8, 8, 5, 7, 8, 7]


def test_each_view_passes_once(config, tmp_path, rows, monkeypatch):
    read: list[tuple[int, ...]] = []
    item = data.ImageDataset.__getitem__

    def noted(self, key):
        if self.training:
            read.append(self.view(key))
        return item(self, key)

    monkeypatch.setattr(data.ImageDataset, "__getitem__", noted)
    monkeypatch.setattr(RunLog, "pictures", lambda *_: None)  # of training images
    run(config, tmp_path / "run", **VIEWS)
    assert sum(count for count in rows if count > 1) == 2 * 29 + 7 + 15
    assert sorted(read) == [*itertools.product(range(2), range(29))]


def test_a_stopped_run_goes_on_with_the_same_bits(config, tmp_path):
    """Noise, views and averages are in play; the stop comes in the middle of an epoch."""
    fields = {**_CASES["rdrop and views"], "average.ema_decay": 0.5}
    config.update_from_flattened_dict(fields)
    whole = run(config, tmp_path / "whole")
    folder = tmp_path / "cut"
    for steps in (4, 5):
        assert single_run.train(config, folder, stop=StopAfter(steps)) == exits.STOPPED
    weights, records = run(config, folder)
    assert records == whole[1]
    assert all((weights[name] == array).all() for name, array in whole[0].items())


def test_a_run_keeps_to_what_it_began_with(config, tmp_path, monkeypatch, capsys):
    """Less memory at the resume is an error, more of it changes nothing."""
    few, many = tmp_path / "few", tmp_path / "many"
    single_run.train(config, many, stop=StopAfter(4))
    with config.unlocked():
        config.train.cache_gb = 1e-9
    single_run.train(config, few, stop=StopAfter(4))
    assert "not cached: they take" in capsys.readouterr().out
    with pytest.raises(UserError, match=r"begun with cached features, but they take 0 MB, of 0 MB"):
        single_run.train(config, many)
    config.train.cache_gb = 0.0
    assert single_run.train(config, few) == exits.DONE
    assert "not cached: the run was begun without" in capsys.readouterr().out
    assert single_run.train(config, many) == exits.DONE
    assert "features: all that is in front of the head runs once for" in capsys.readouterr().out


@pytest.mark.parametrize("checkpoint_every", [5, 100])
def test_a_rollback_keeps_the_features(config, tmp_path, rows, monkeypatch, checkpoint_every):
    """It goes back to a checkpoint, or to the start."""
    call, left = Objective.__call__, [1]

    def once_infinite(self, logits, targets, step):
        terms = call(self, logits, targets, step)
        if step == 7 and left and isinstance(logits, paddle.Tensor):
            left.pop()
            return terms._replace(total=terms.total * float("inf"))
        return terms

    monkeypatch.setattr(Objective, "__call__", once_infinite)
    config.data.holdout = 0.0
    config.train.update(nonfinite="rollback", checkpoint_every_steps=checkpoint_every)
    run(config, tmp_path / "run")
    assert json.loads((tmp_path / "run" / "result.json").read_text())["rollbacks"] == 1
    # The step that went wrong is repeated with its images, to find the cause.
    assert sum(count for count in rows if count > 1) == 36 + 2 * 5 + 15


def test_damaged_images_are_counted_as_without(config, painted, tmp_path):
    for path in sorted((painted / "train").rglob("*.png"))[:20:7]:
        path.write_bytes(b"\x89PNG broken")
    config.data.on_corrupt = "skip"
    assert_close(
        run(config, tmp_path / "cached"),
        run(config, tmp_path / "whole", **{"train.cache_features": "off"}),
    )
    result, other = (
        json.loads((tmp_path / name / "result.json").read_text()) for name in ("cached", "whole")
    )
    assert result["images_skipped"] == other["images_skipped"] > 3


def test_a_stop_in_the_pass_leaves_the_run_to_go_on(config, tmp_path, capsys):
    class Stop(StopRequest):
        asked = 0

        def check(self):
            self.asked += 1  # before the images are read; then in front of each batch
            self._note = "a test" if self.asked == 3 else ""
            super().check()

    stop = Stop()
    assert single_run.train(config, tmp_path / "run", stop=stop) == exits.STOPPED
    assert "stopped after step 0 (a test)" in capsys.readouterr().out
    assert run(config, tmp_path / "run")[1][0]["step"] == 1


def test_the_rate_test_uses_the_features(config, tmp_path, rows):
    config.data.holdout = 0.0
    lr_range_test.find(config, np.geomspace(1e-4, 1e-1, 12), tmp_path / "rates")
    assert sum(count for count in rows if count > 1) == 36
