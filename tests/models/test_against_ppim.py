"""Logits and gradients are those of PPIM's own classes, with every weight perturbed."""

from __future__ import annotations

import golden
import numpy as np
import paddle
import ppim.models
import pytest
from ppim.models import cait, deit, swin, vit

import models

_VIT = {
    "patch_size": 8,
    "embed_dim": 12,
    "depth": 2,
    "num_heads": 3,
    "mlp_ratio": 2.0,
    "qkv_bias": True,
}
_CAIT = {"patch_size": 16, "embed_dim": 8, "depth": 2, "num_heads": 2}
_SWIN = {"embed_dim": 8, "depths": [2, 2], "num_heads": [2, 4], "window_size": 2}
_FAMILIES = {
    "vit": (vit.VisionTransformer, {**_VIT, "epsilon": 1e-6}),
    "deit_distilled": (deit.DistilledVisionTransformer, {**_VIT, "epsilon": 1e-6}),
    "cait": (cait.CaiT, _CAIT),
    "swin": (swin.SwinTransformer, _SWIN),
}


@pytest.mark.parametrize(("form", "tolerance"), [("plain", 1e-6), ("fast", 5e-6)])
@pytest.mark.parametrize("name", _FAMILIES)
def test_logits_and_gradients(name, form, tolerance):
    kind, fields = _FAMILIES[name]
    family = golden.FAMILIES[name]
    theirs = kind(img_size=family.size, class_dim=golden.CLASSES, **fields)
    ours = golden.ours(name)
    shapes = {name: list(value.shape) for name, value in theirs.named_parameters()}
    theirs.set_state_dict(golden.draw(shapes))
    if form == "plain":
        ours.use_plain_operators()
    report = models.assign(
        ours, {name: value.numpy() for name, value in theirs.state_dict().items()}, "PPIM"
    )
    assert set(report.loaded) == set(shapes)
    cotangent, found = paddle.to_tensor(golden.cotangent()), []
    for model in (theirs, ours):
        model.eval()
        logits = model(paddle.to_tensor(golden.images(family.size)))
        (logits * cotangent).sum().backward()
        found.append(
            {"logits": logits, **{name: value.grad for name, value in model.named_parameters()}}
        )
    largest = max(value.abs().max().item() for value in found[0].values())
    for key, expected in found[0].items():
        scale = max(expected.abs().max().item(), 1e-2 * largest)
        np.testing.assert_allclose(
            found[1][key].numpy(), expected.numpy(), rtol=0, atol=tolerance * scale, err_msg=key
        )


@pytest.mark.slow
@pytest.mark.parametrize(
    "name", ["deit_s", "deit_ti_distilled", "deit_b_384", "cait_xxs_24", "swin_ti", "swin_b_384"]
)
def test_whole_models(name):
    theirs, ours = getattr(ppim.models, name)(), models.create(name)
    for parameter in theirs.parameters():
        parameter.set_value(parameter + 0.05 * paddle.randn(parameter.shape))
    report = models.assign(
        ours, {key: value.numpy() for key, value in theirs.state_dict().items()}, "PPIM"
    )
    assert report.initialised == report.resized == []
    size = models.native_size(name)
    images = paddle.to_tensor(
        np.random.default_rng(0).normal(size=(2, 3, size, size)).astype("float32")
    )
    theirs.eval()
    ours.eval()
    expected = theirs(images).numpy()
    for use, tolerance in ((lambda: None, 5e-6), (ours.use_plain_operators, 1e-6)):
        use()
        found = ours(images).numpy()
        np.testing.assert_allclose(found, expected, rtol=0, atol=tolerance * np.abs(expected).max())
