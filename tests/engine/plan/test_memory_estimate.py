"""The estimate of a step's memory follows the config, and the table what fits."""

from __future__ import annotations

import pytest

import models
from configs import default
from engine.model_setup import build_model
from engine.plan import memory_estimate, resolve_config
from engine.plan.memory_rules import Estimate, largest_part
from models import flops
from models.families.timm_vits import TIMM_VITS

_GB = 2**30


def _config(**fields):
    config = default.get_config()
    config.model.update(name="vit_ti_16", image_size=32, drop_rate=0.1)
    config.train.update(batch_size=8, steps=1)
    config.update_from_flattened_dict(fields)
    return resolve_config.with_classes(resolve_config.with_input(config), 3)


def _estimate(**fields) -> Estimate:
    config = _config(**fields)
    return memory_estimate.estimate(build_model(config), config)


def test_images_count_as_often_as_they_pass():
    one = _estimate(**{"rdrop.copies": 1}).image
    assert _estimate().image == pytest.approx(2 * one, rel=0.05)
    assert _estimate(**{"rdrop.shared_blocks": 6}).image == pytest.approx(1.5 * one, rel=0.08)


def test_weights_gradients_and_moments():
    parameters = flops.parameters(build_model(_config()))
    for name, times in {"adamw": 4, "lamb": 4, "momentum": 3, "lars": 3, "sgd": 2}.items():
        assert _estimate(**{"optim.name": name}).constant == 4 * times * parameters
    frozen = _estimate(**{"model.trainable": "head"})
    assert frozen.constant == pytest.approx(4 * parameters, rel=0.001)
    assert frozen.image < 0.3 * _estimate().image


def test_blocks_that_run_again_and_operators():
    whole = _estimate()
    again = _estimate(**{"train.recompute": True})
    assert again.image < 0.4 * whole.image
    assert again.constant == whole.constant
    assert _estimate(**{"model.operators": "plain"}).image > 1.5 * whole.image


def test_half_precision_of_a_gpu():
    """A CPU computes in float32 whatever the config says."""
    float32, both = _config(), _config(**{"train.amp": "O2"})
    model = build_model(float32)
    assert memory_estimate.estimate(model, both) == memory_estimate.estimate(model, float32)
    whole, half = (
        memory_estimate.estimate(model, config, on_gpu=True) for config in (float32, both)
    )
    assert half.image == pytest.approx(0.54 * whole.image, rel=0.03)
    assert half.constant - whole.constant == 2 * flops.parameters(model)


@pytest.mark.parametrize(("gigabytes", "images"), [(1, 0), (2, 0), (4, 3), (4.5, 4), (12, 17)])
def test_what_fits(gigabytes, images):
    """0.9 x 4 - 1 GB in reserve - 1 for the weights is 1.6 GB: three images of half a GB."""
    assert Estimate(_GB // 2, _GB).fits(gigabytes * _GB) == images


@pytest.mark.parametrize(
    ("batch", "most", "part"),
    [(12, 5, 4), (12, 12, 12), (12, 100, 12), (7, 6, 1), (12, 0, 0), (36, 7, 6)],
)
def test_the_largest_part(batch, most, part):
    assert largest_part(batch, most) == part


def test_the_table(monkeypatch):
    monkeypatch.setattr(
        memory_estimate, "estimate", lambda *_, on_gpu: Estimate(_GB, 15 * _GB) if on_gpu else None
    )
    lines = memory_estimate.table(None, _config(**{"train.accumulation_steps": 3}))
    assert "float32: 15.0 GB + 1.0 GB an image; 10 % and 1 GB left free" in lines[0]
    assert [line.split() for line in lines[1:]] == [
        ["16", "GB", "not", "one", "image", "fits"],
        ["32", "GB", "12", "x", "2"],
        ["40", "GB", "12", "x", "2"],
        ["80", "GB", "24", "x", "1"],
    ]
    lines = memory_estimate.table(
        None, _config(**{"train.accumulation_steps": 3, "rdrop.unlabelled_batch_size": 2})
    )
    assert lines[2].split() == ["32", "GB", "8", "x", "3"]


def test_the_line_of_the_plan():
    config = _config(**{"rdrop.unlabelled_batch_size": 8})
    assert memory_estimate.describe(Estimate(_GB // 16, _GB), config) == (
        "memory a process (estimate, float32): 2.0 GB, of which activations 1.0 GB"
    )
    assert memory_estimate.describe(Estimate(0, 2**20), config).endswith(
        "1 MB, of which activations none are kept; those of a forward pass come to it"
    )


@pytest.mark.slow
@pytest.mark.parametrize("name", sorted(models.MODELS.keys() - TIMM_VITS.keys()))
def test_every_model_has_one(name):
    config = _config(
        **{"model.name": name, "model.image_size": models.native_size(name), "rdrop.copies": 2}
    )
    assert memory_estimate.estimate(build_model(config), config, on_gpu=True).image > 0
