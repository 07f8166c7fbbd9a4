"""When features are cached: each reason against it, what fits, and what the start says."""

from __future__ import annotations

from collections import namedtuple
from pathlib import Path

import pytest
from conftest import ROOT

import models
from common.errors import UserError
from configs import default
from engine.commands import dry_run
from engine.features import decision
from engine.features.decision import TRAIN, UNLABELLED, VAL, decide
from engine.plan import free_memory
from engine.plan.run_plan import Plan

_IMAGES, _FEATURES = {TRAIN: 1000, VAL: 200}, 48 * 4  # images, bytes of one
_OFF = {"data.crop": "test", "data.flip": 0.0}
_WIDE = {"model.drop_rate": 0.1, "rdrop.copies": 2, **_OFF}


def _decide(fields, images=None, before=None, steps: int = 100, folder: Path = ROOT):
    config = default.get_config()
    config.model.update(name="vit_n_2", image_size=8, num_classes=3, trainable="head")
    config.rdrop.copies = 1
    config.update_from_flattened_dict(fields)
    model = models.build(config.model, config.rdrop.drop_rates, config.rdrop.shared_blocks)
    models.freeze(model, config.model.trainable, config.model.image_size)
    plan = Plan(1000, 50, steps, 20)
    return decide(model, config, images or _IMAGES, plan, folder, before)


@pytest.mark.parametrize(
    ("fields", "words"),
    [
        ({**_OFF, "train.cache_features": "off"}, "train.cache_features=off"),
        ({**_OFF, "data.mixup_alpha": 0.8}, "erasing, mixup and CutMix change the images"),
        ({**_OFF, "data.cutmix_alpha": 0.8}, "erasing, mixup and CutMix change the images"),
        ({**_OFF, "data.erase_probability": 0.1}, "erasing, mixup and CutMix change the images"),
        ({**_OFF, "distill.teacher": "vit_n_2"}, "the teacher sees the images in each step"),
        ({}, "set data.views to a number of views, or switch augmentation off"),
        ({**_OFF, "data.flip": 0.5}, "each epoch augments the images anew"),
        ({**_OFF, "data.vertical_flip": 0.5}, "each epoch augments the images anew"),
        ({**_OFF, "data.auto_augment": "randaugment"}, "each epoch augments the images anew"),
        ({**_OFF, "data.color_jitter": 0.1}, "each epoch augments the images anew"),
        ({**_OFF, "data.hue_jitter": 0.1}, "each epoch augments the images anew"),
        ({**_OFF, "data.crop": "padded"}, "each epoch augments the images anew"),
        ({"data.views": 5}, "of 5,000 train images and views the run shows 5,000: none again"),
        ({"data.views": 1, "data.repeats": 5}, "of 5,000 train images and views the run shows"),
        (_WIDE, "rdrop.shared_blocks=K leaves the first K blocks without"),
        ({**_WIDE, "model.embed_drop_rate": 0.0}, "the embedding or the first block has noise"),
        ({**_OFF, "model.name": "levit_128s", "model.image_size": 64}, "this network is one piece"),
        (
            {
                **_OFF,
                "model.name": "resnet_18",
                "model.image_size": 32,
                "model.trainable": "head_and_norm",
            },
            "with noise or trained layers in front of its classifier",
        ),
        (
            {**_OFF, "train.cache_gb": 1e-6},
            "they take 0 MB, of 0 MB of memory and 0 MB of the disk",
        ),
    ],
    ids=lambda value: value if isinstance(value, str) else "",
)
def test_why_not(fields, words):
    found = _decide(fields)
    assert found.names == ()
    assert len(found.lines) == 1
    assert found.lines[0].startswith("features of the frozen part are not cached: ")
    assert words in found.lines[0]


def test_unlabelled_images_that_come_once():
    images = {TRAIN: 100, UNLABELLED: 900}
    fields = {**_WIDE, "rdrop.shared_blocks": 2, "rdrop.unlabelled_batch_size": 9}
    assert "unlabelled images and views the run shows 900" in _decide(fields, images).lines[0]
    assert _decide(fields, images, steps=101).names == (TRAIN, UNLABELLED)


@pytest.mark.parametrize("part", ["all", "attention"])
def test_nothing_is_said_where_nothing_is_frozen(part):
    assert _decide({"model.trainable": part}) == decision.Decision()


@pytest.mark.parametrize(
    ("fields", "line"),
    [
        (
            _OFF,
            "features: all that is in front of the head runs once for 1,000 train images, 200 val "
            "images; kept: 0 MB of memory in each process (48 numbers a view)",
        ),
        (
            {**_WIDE, "rdrop.shared_blocks": 1, "data.flip": 0.5, "data.views": 3},
            "features: the first 1 block runs once for 1,000 train images x 3 views, 200 val "
            "images; kept: 10 MB of memory in each process (17 x 48 numbers a view)",
        ),
        (
            {**_OFF, "model.trainable": "head_and_norm", "data.flip": 0.5, "data.views": 2},
            "features: the first 4 blocks run once for 1,000 train images x 2 views, 200 val "
            "images; kept: 0 MB of memory in each process (1 x 48 numbers a view)",
        ),
    ],
    ids=["head", "noise", "norm"],
)
def test_what_the_start_says(fields, line):
    assert _decide(fields).lines == (line,)


@pytest.mark.parametrize(
    ("room", "names"),
    [(1200, (TRAIN, VAL)), (1199, (TRAIN,)), (1000, (TRAIN,)), (999, ())],
)
def test_what_fits(monkeypatch, room, names):
    """Held-out images come last; of the free memory half is taken, or what the config says."""
    size = room * _FEATURES
    assert _decide({**_OFF, "train.cache_gb": size / 2**30}).names == names
    monkeypatch.setattr(free_memory, "of_machine", lambda: 2 * size)
    found = _decide(_OFF)
    assert found.names == names
    assert names or "train.cache_gb and train.cache_disk_gb allow more" in found.lines[0]


def test_the_disk_takes_what_memory_does_not(monkeypatch, tmp_path):
    """Up to half of what is free there; a run that goes on has its files there already."""
    size = 1000 * _FEATURES
    fields = {**_OFF, "train.cache_gb": 1e-9, "train.cache_disk_gb": size / 2**30}
    free = namedtuple("Usage", "free")
    monkeypatch.setattr(decision.shutil, "disk_usage", lambda path: free(2 * size))
    found = _decide(fields, folder=tmp_path / "none" / "yet")
    assert (found.names, found.on_disk) == ((TRAIN,), True)
    assert "kept: 0 MB in the folder of the run (48 numbers a view)" in found.lines[0]
    monkeypatch.setattr(decision.shutil, "disk_usage", lambda path: free(2 * size - 2))
    assert _decide(fields).names == ()
    monkeypatch.setattr(decision.shutil, "disk_usage", lambda path: free(0))
    assert _decide(fields, before=[TRAIN]).on_disk
    with pytest.raises(UserError, match="begun with cached features, but they take"):
        _decide({**fields, "train.cache_disk_gb": 0.0}, before=[TRAIN])
    assert not _decide({**fields, "train.cache_gb": 1.0}).on_disk


def test_memory_that_is_not_known(monkeypatch):
    monkeypatch.setattr(free_memory, "of_machine", lambda: None)
    assert "of 0 MB of memory" in _decide(_OFF).lines[0]
    assert _decide({**_OFF, "train.cache_gb": 1.0}).names == (TRAIN, VAL)


def test_a_run_that_goes_on_takes_what_it_took(monkeypatch):
    monkeypatch.setattr(free_memory, "of_machine", lambda: 1200 * _FEATURES / 0.8)
    assert _decide(_OFF).names == ()
    assert _decide(_OFF, before=[TRAIN, VAL]).names == (TRAIN, VAL)
    assert _decide(_OFF, before=[TRAIN]).names == (TRAIN,)
    monkeypatch.undo()
    assert _decide(_OFF, before=[TRAIN]).names == (TRAIN,)
    assert "begun without" in _decide(_OFF, before=[]).lines[0]


def test_a_dry_run_says_it(capsys):
    config = default.get_config()
    config.model.update(name="vit_n_2", image_size=8, trainable="head")
    config.rdrop.copies = 1
    config.data.update(crop="none", flip=0.0)
    config.train.epochs = 3.0
    dry_run.dry_run({"": config})
    line = "features: all that is in front of the head runs once for 1,297 train images; kept: "
    assert line in capsys.readouterr().out
