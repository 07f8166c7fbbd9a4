"""Heads that people called otherwise, in the body or beside it."""

from __future__ import annotations

import numpy as np
import pytest

from models.weights.formats.contents import Later
from models.weights.formats.prefixes import networks
from models.weights.names.translate import to_timm

_BODY = {
    "patch_embed.proj.weight": np.zeros((48, 3, 8, 8)),
    "cls_token": np.zeros((1, 1, 48)),
    "blocks.0.norm1.weight": np.zeros(48),
    "norm.weight": np.zeros(48),
    "norm.bias": np.zeros(48),
}


def _linear(name, outputs=5, width=48):
    return {f"{name}.weight": np.ones((outputs, width)), f"{name}.bias": np.ones(outputs)}


@pytest.mark.parametrize("name", ["fc", "classifier.1", "heads", "head.0", "cls", "linear_probe"])
def test_the_only_linear_layer_that_is_left_is_the_head(name):
    named = to_timm({**_BODY, **_linear(name)}, "file")
    assert named.arrays["head.weight"].shape == (5, 48)
    assert f"{name} was taken for head" in named.said


@pytest.mark.parametrize(
    "others",
    [
        {**_linear("fc.0"), **_linear("fc.2")},
        _linear("projector"),
        _linear("fc", width=47),
        {**_linear("head"), **_linear("fc")},
    ],
)
def test_what_may_be_no_head_stays(others):
    named = to_timm({**_BODY, **others}, "file")
    assert not any("was taken for head" in said for said in named.said)


def test_a_head_of_several_layers_is_dropped():
    named = to_timm({**_BODY, **_linear("head.0"), **_linear("head.2")}, "file")
    assert sorted(named.dropped) == ["head.0.bias", "head.0.weight", "head.2.bias", "head.2.weight"]


@pytest.mark.parametrize(("name", "taken"), [("cls", True), ("out", True), ("projection", False)])
def test_the_only_linear_layer_beside_a_body(name, taken):
    arrays = {f"backbone.{n}": v for n, v in _BODY.items()} | _linear(name)
    later = {n: Later(v.shape, "float32", v.copy) for n, v in arrays.items()}
    (found,) = networks(later)
    assert ("head.weight" in found.arrays) == taken
    assert bool(found.beside) != taken


def test_a_norm_beside_a_body_is_no_head():
    arrays = {f"backbone.{n}": v for n, v in _BODY.items()} | {
        "scaler.weight": np.ones(48),
        "scaler.bias": np.ones(48),
    }
    (found,) = networks({n: Later(v.shape, "float32", v.copy) for n, v in arrays.items()})
    assert sorted(found.beside) == ["scaler.bias", "scaler.weight"]
