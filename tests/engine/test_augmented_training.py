"""Erasing, mixing and repeats in a run: neither the split of a batch nor a stop changes what the
model sees.
"""

from __future__ import annotations

import numpy as np
import paddle
import pytest
from conftest import launch

import data
import models
from common.safetensors_files import read_safetensors
from configs import default
from engine.commands import single_run
from engine.plan import resolve_config
from engine.results import metrics_reader
from engine.step.objective import Objective
from engine.trainer import Trainer
from models.input_images import normalise
from program import exits
from program.config import config_validation
from program.signals import StopRequest

_EVERYTHING = {
    "data.crop": "simple",
    "data.vertical_flip": 0.2,
    "data.auto_augment": "randaugment",
    "data.erase_probability": 0.5,
    "data.erase_count": 2,
    "data.repeats": 3,
    "loss.label_smoothing": 0.1,
}
_MIXED = {
    "data.mixup_alpha": 0.8,
    "data.cutmix_alpha": 1.0,
    "data.mix_mode": "elem",
    "data.mix_probability": 0.8,
}


def _config(batch: int = 8, accumulation: int = 1, **fields):
    config = default.get_config()
    config.model.update(
        name="vit_n_2", image_size=8, num_classes=5, mean=(0.5,) * 3, std=(0.25,) * 3, drop_rate=0.2
    )
    config.train.update(batch_size=batch, accumulation_steps=accumulation)
    config.update_from_flattened_dict(fields)
    config_validation.validate(config)
    return config


def _pixels(count: int) -> paddle.Tensor:
    return paddle.to_tensor(
        np.random.default_rng(0).integers(0, 256, (count, 3, 8, 8), dtype=np.uint8)
    )


@pytest.mark.parametrize("mode", ["const", "rand", "pixel"])
def test_erasing_is_by_the_place_in_the_global_batch(mode):
    """Also of images without labels, which come after all others."""
    fields = {"data.erase_probability": 0.6, "data.erase_mode": mode, "data.labels_per_class": 9}
    labels, pixels = paddle.zeros([8], "int64"), _pixels(12)
    whole = Objective(_config(8, 1, **fields, **{"rdrop.unlabelled_batch_size": 4}))
    expected = whole.prepare(data.Batch(pixels, labels, 0), 3, 0)[0].numpy()
    half = Objective(_config(4, 2, **fields, **{"rdrop.unlabelled_batch_size": 2}))
    for micro in range(2):
        rows = [*range(4 * micro, 4 * micro + 4), *range(8 + 2 * micro, 10 + 2 * micro)]
        part = data.Batch(pixels[rows], labels[:4], 0)
        assert (half.prepare(part, 3, micro)[0].numpy() == expected[rows]).all()
    plain = normalise(pixels, whole.config.model).numpy()
    changed = (expected != plain).any(axis=(1, 2, 3))
    assert 0 < changed[:8].sum() < 8
    assert changed.sum() - changed[:8].sum() > 0
    other_step = whole.prepare(data.Batch(pixels, labels, 0), 4, 0)[0].numpy()
    assert (other_step != expected).any()


def test_off_leaves_the_normalised_images():
    objective, labels = (
        Objective(_config(**{"data.erase_mode": "rand", "data.erase_count": 3})),
        paddle.arange(5),
    )
    images, targets = objective.prepare(data.Batch(_pixels(5), labels, 0), 0, 0)
    assert (images == normalise(_pixels(5), objective.config.model)).all()
    assert (targets == labels).all()


def test_the_copies_share_what_is_erased_and_mixed():
    objective = Objective(_config(**{"data.erase_probability": 1.0, **_MIXED}))
    images, targets = objective.prepare(data.Batch(_pixels(8), paddle.arange(8) % 5, 0), 0, 0)
    logits = models.create("vit_n_2", num_classes=5)(images, copies=2)
    assert (logits[0] == logits[1]).all()
    assert targets.shape == [8, 5]


def test_erasing_comes_before_mixing():
    """What is mixed are erased images: zeros of one show the other's pixels by its share."""
    fields = {"data.erase_probability": 1.0, "data.erase_mode": "const"}
    batch = data.Batch(_pixels(8), paddle.arange(8) % 5, 0)
    erased = Objective(_config(**fields)).prepare(batch, 0, 0)[0]
    mixed, targets = Objective(_config(**fields, **{"data.mixup_alpha": 1.0})).prepare(batch, 0, 0)
    share = targets[0, 0].item()
    expected = share * erased + (1 - share) * erased.flip(0)
    np.testing.assert_allclose(mixed.numpy(), expected.numpy(), atol=1e-6)


@pytest.mark.parametrize("smoothing", [0.0, 0.1, 0.3])
def test_targets_have_the_smoothing_of_the_config(smoothing):
    """Whatever the mix: a class that neither image has gets its even part, and what is mixed is
    left over.
    """
    config = _config(**_MIXED, **{"loss.label_smoothing": smoothing})
    labels = paddle.arange(8) % 5
    targets = Objective(config).prepare(data.Batch(_pixels(8), labels, 0), 0, 0)[1].numpy()
    own, other = np.eye(5)[labels.numpy()], np.eye(5)[labels.numpy()[::-1]]
    share = (targets * own).sum(axis=1, keepdims=True) - smoothing / 5
    np.testing.assert_allclose(
        targets, share * own + (1 - smoothing - share) * other + smoothing / 5, atol=1e-6
    )
    assert targets.min() == pytest.approx(smoothing / 5, abs=1e-6)


def test_each_field_of_mixing_reaches_it():
    def mixes(**fields):
        mixing = Objective(
            _config(**{"data.mixup_alpha": 1.0, "data.cutmix_alpha": 1.0, **fields})
        ).mixing
        return mixing.draw(8, 16, np.random.default_rng(0))

    assert len(mixes()) == 1
    assert len(mixes(**{"data.mix_mode": "elem"})) == 8
    pairs = mixes(**{"data.mix_mode": "pair", "data.mix_switch_probability": 1.0})
    assert pairs == pairs[::-1]
    assert all(mix.box for mix in pairs)
    assert all(
        not mix.box
        for mix in mixes(**{"data.mix_mode": "elem", "data.mix_switch_probability": 0.0})
    )
    some = mixes(**{"data.mix_mode": "elem", "data.mix_probability": 0.3})
    assert 0 < sum(mix.share == 1 for mix in some) < 8
    assert not Objective(
        _config(**{"data.mixup_alpha": 1.0, "data.mix_probability": 0.0})
    ).mixing.active


def _run_config(painted, batch: int, accumulation: int, **fields):
    config = default.get_config()
    config.data.update(name="folder", root=str(painted))
    config.model.update(name="vit_n_8", image_size=16, drop_rate=0.1)
    config.optim.lr = 3e-3
    config.train.update(
        steps=6, batch_size=batch, accumulation_steps=accumulation, log_every_steps=1
    )
    config.train.checkpoint_every_steps = 4
    config.update_from_flattened_dict({**_EVERYTHING, **fields})
    config_validation.validate(config)
    return config


def _weights(folder) -> dict[str, np.ndarray]:
    return read_safetensors(folder / "weights.safetensors")[0]


def _losses(folder) -> list[float]:
    return [
        record["loss"]
        for record in metrics_reader.read_metrics(folder)
        if record["split"] == "train"
    ]


def test_any_accumulation_sees_the_same(painted, tmp_path):
    for batch, accumulation in ((12, 1), (4, 3)):
        config = _run_config(painted, batch, accumulation)
        assert single_run.train(config, tmp_path / str(batch)) == exits.DONE
    assert _losses(tmp_path / "12") == pytest.approx(_losses(tmp_path / "4"), rel=1e-4)


@pytest.mark.parametrize("workers", [0, 2])
def test_a_stopped_run_goes_on_with_the_same_bits(painted, tmp_path, monkeypatch, workers):
    config = _run_config(painted, 6, 2, **_MIXED, **{"data.workers": workers})
    single_run.train(config, tmp_path / "whole")
    steps = iter([False] * 2 + [True] + [False] * 99)
    monkeypatch.setattr(StopRequest, "agreed", lambda self: next(steps))
    assert single_run.train(config, tmp_path / "cut") == exits.STOPPED
    assert single_run.train(config, tmp_path / "cut") == exits.DONE
    assert _losses(tmp_path / "whole") == _losses(tmp_path / "cut")
    cut = _weights(tmp_path / "cut")
    assert all((cut[name] == value).all() for name, value in _weights(tmp_path / "whole").items())


def test_the_trainer_repeats_images_and_not_those_without_labels(painted, tmp_path):
    fields = {"data.labels_per_class": 6, "rdrop.unlabelled_batch_size": 4}
    config = resolve_config.with_classes(
        resolve_config.with_input(_run_config(painted, 12, 1, **fields)), 3
    )
    train_set, unlabelled_set = data.build(config, "train"), data.build(config, "unlabelled")
    batches = Trainer(config, data.Splits(train_set, unlabelled=unlabelled_set), tmp_path).batches()
    batch = next(batches)
    assert (batch.labels.reshape([3, 4]) == batch.labels[:4]).all()
    repeats = batch.images[:12].reshape([3, 4, 3, 16, 16]).numpy()
    assert (repeats[0] != repeats[1]).any(axis=(1, 2, 3)).all()
    sampler = data.TrainSampler(unlabelled_set, 4, 1, 1, config.seed)
    assert (batch.images[12:] == next(data.load(unlabelled_set, sampler, 0)).images).all()


@pytest.mark.slow
def test_two_processes_see_the_same(painted, tmp_path):
    single_run.train(_run_config(painted, 12, 1), tmp_path / "one")
    fields = {
        **_EVERYTHING,
        "data.name": "folder",
        "data.root": painted,
        "model.name": "vit_n_8",
        "optim.lr": 3e-3,
    }
    fields.update(
        {
            "model.image_size": 16,
            "model.drop_rate": 0.1,
            "train.log_every_steps": 1,
            "train.steps": 6,
        }
    )
    words = [
        f"--config.{name}={value}" for name, value in {**fields, "train.batch_size": 6}.items()
    ]
    done = launch(
        2,
        tmp_path / "log",
        "main.py",
        "--config=configs/default.py",
        *words,
        f"--workdir={tmp_path / 'two'}",
    )
    assert done.returncode == 0, done.stdout[-2000:] + done.stderr[-2000:]
    assert _losses(tmp_path / "two") == pytest.approx(_losses(tmp_path / "one"), rel=1e-4)
