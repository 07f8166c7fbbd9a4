"""Runs whose images are enlarged on the device have the bits of runs that read them enlarged."""

from __future__ import annotations

import json

import numpy as np
import pytest

import data
from common.safetensors_files import read_safetensors
from configs import default
from engine.commands import dry_run, single_run
from engine.plan import resolve_config
from engine.results import metrics_reader, precise_batch_norm, run_log
from engine.step.objective import Objective
from models.input_images import normalise
from program import exits, run_folder
from program.config import config_validation
from program.signals import StopRequest
from tools import show_batch

_MIXED = {
    "data.erase_probability": 0.5,
    "data.mixup_alpha": 0.8,
    "data.cutmix_alpha": 1.0,
    "data.mix_mode": "elem",
}


def _config(resize_on: str, **fields):
    """On digits of 8 pixels at 16."""
    config = default.get_config()
    config.data.update(
        resize_on=resize_on, max_images=200, holdout=0.3, crop_scale=(0.3, 1.0), vertical_flip=0.2
    )
    config.model.update(name="vit_n_8", image_size=16, drop_rate=0.1)
    config.optim.lr = 3e-3
    config.train.update(
        steps=5, batch_size=6, accumulation_steps=2, log_every_steps=1, checkpoint_every_steps=4
    )
    config.update_from_flattened_dict(fields)
    config_validation.validate(config)
    return config


def _outcome(folder) -> tuple[dict, list, dict]:
    """Weights, all that was recorded and the result, without what depends on the clock."""
    timed = ("seconds", "images_per_second", "weights_sha256")
    records, result = (
        metrics_reader.read_metrics(folder),
        json.loads((folder / run_folder.RESULT).read_text()),
    )
    rows = [
        {name: value for name, value in row.items() if name not in timed}
        for row in (*records, result)
    ]
    weights = read_safetensors(folder / "weights.safetensors")[0]
    return {name: value.tobytes() for name, value in weights.items()}, rows


@pytest.mark.parametrize(
    "fields",
    [
        _MIXED,
        {"data.crop": "simple", "data.repeats": 2},
        {
            "data.crop": "padded",
            "data.interpolation": "bilinear",
            "data.labels_per_class": 8,
            "rdrop.unlabelled_batch_size": 3,
            "rdrop.every_steps": 2,
        },
    ],
    ids=("mixed", "repeated", "unlabelled"),
)
def test_a_whole_run_has_the_same_bits(tmp_path, fields, monkeypatch):
    """Losses, validations, test, weights, and the pictures in the log."""
    grid, pictures = run_log.image_grid, []
    monkeypatch.setattr(
        run_log, "image_grid", lambda images: pictures.append(images) or grid(images)
    )
    for place in ("host", "device"):
        assert single_run.train(_config(place, **fields), tmp_path / place) == exits.DONE
    assert _outcome(tmp_path / "host") == _outcome(tmp_path / "device")
    assert pictures[0].shape[2:] == (16, 16)
    assert (pictures[0] == pictures[1]).all()


def test_a_stopped_run_goes_on_at_the_other_place(tmp_path, monkeypatch):
    single_run.train(_config("host", **_MIXED), tmp_path / "whole")
    steps = iter([False] * 2 + [True] + [False] * 99)
    monkeypatch.setattr(StopRequest, "agreed", lambda self: next(steps))
    assert single_run.train(_config("device", **_MIXED), tmp_path / "cut") == exits.STOPPED
    assert single_run.train(_config("host", **_MIXED), tmp_path / "cut") == exits.DONE
    assert _outcome(tmp_path / "whole") == _outcome(tmp_path / "cut")


def test_micro_batches_see_the_same():
    """What the model gets in a step, erased by the place in the global batch, however it is
    split.
    """
    fields, seen = {"data.erase_probability": 0.5}, []
    for batch, accumulation in ((12, 1), (4, 3)):
        config = _config(
            "device",
            **fields,
            **{"train.batch_size": batch, "train.accumulation_steps": accumulation},
        )
        config = resolve_config.with_classes(resolve_config.with_input(config), 10)
        dataset, objective = data.build(config, "train"), Objective(config)
        sampler = data.TrainSampler(dataset, batch, accumulation, 3, config.seed, 2)
        parts = [
            objective.prepare(part, 2, micro)[0]
            for micro, part in enumerate(data.load(dataset, sampler, 0))
        ]
        seen.append(np.concatenate([part.numpy() for part in parts]))
    assert seen[0].shape == (12, 3, 16, 16)
    assert (seen[0] == seen[1]).all()


def test_batch_norms_and_the_drawn_batch_see_enlarged_images():
    seen = {"batch norms": [], "drawn": []}
    for place in ("host", "device"):
        config = resolve_config.with_input(_config(place))
        dataset = data.build(config, "train")
        batches = data.load(dataset, data.TrainSampler(dataset, 4, 1, 1, config.seed), 0)
        seen["batch norms"] += [
            images.numpy() for images in precise_batch_norm._images(batches, config, lambda: None)
        ]
        seen["drawn"].append(show_batch.seen(_config(place), 1)[0])
    for host, device in seen.values():
        assert host.shape[2:] == (16, 16)
        assert (host == device).all()


def test_a_dry_run(capsys):
    dry_run.dry_run({"": _config("device")})
    assert "one step on 2 made-up images" in capsys.readouterr().out


def test_normalising_comes_after_it():
    """Else the pixels would be rounded after the mean is taken off them."""
    config = resolve_config.with_input(_config("device"))
    dataset = data.build(config, "test")
    batch = next(data.load(dataset, data.EvalSampler(dataset, 3), 0))
    images = Objective(resolve_config.with_classes(config, 10)).prepare(batch, 0, 0)[0]
    assert (images == normalise(batch.pixels(), config.model)).all()
