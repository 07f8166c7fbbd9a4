"""Logits and gradients are those of timm, with every weight perturbed.

They are compared with stored arrays, and with timm itself where it is installed.
"""

from __future__ import annotations

import golden
import numpy as np
import paddle
import pytest
from conftest import import_timm

import models
from models import flops
from models.weights.names import layouts
from models.weights.sources import published


def _logits(model, images: np.ndarray) -> paddle.Tensor:
    model.eval()
    return model(paddle.to_tensor(images))


def _gradients(model, logits: paddle.Tensor, cotangent: np.ndarray) -> dict[str, np.ndarray]:
    """Returns the gradients of all parameters by timm's names, in PyTorch's layout."""
    (logits * paddle.to_tensor(cotangent)).sum().backward()
    trained = {name: value for name, value in model.state_dict().items() if not value.stop_gradient}
    return layouts.to_timm(model, {name: value.grad.numpy() for name, value in trained.items()})


def _error(found: np.ndarray, expected: np.ndarray) -> float:
    """Returns the largest error, relative to the largest value."""
    assert found.shape == expected.shape
    return float(np.abs(found - expected).max() / np.abs(expected).max())


def _assert_gradients(
    found: dict[str, np.ndarray], expected: dict[str, np.ndarray], tolerance: float
) -> None:
    """Checks each gradient to a fraction of its own largest value.

    Where that is 0 except for rounding, it is a fraction of a thousandth of the largest of all.
    """
    assert found.keys() == expected.keys()
    largest = max(np.abs(values).max() for values in expected.values())
    for name, values in expected.items():
        scale = max(np.abs(values).max(), 1e-3 * largest)
        assert np.abs(found[name] - values).max() <= tolerance * scale, name


@pytest.mark.parametrize("name", golden.FAMILIES)
def test_golden_logits_and_gradients(name):
    family, (shapes, results) = golden.FAMILIES[name], golden.read(name)
    model = golden.ours(name)
    report = models.assign(model, golden.draw(shapes), name)
    assert report.loaded
    assert not report.initialised + report.dropped + report.resized
    logits = _logits(model, golden.images(family.size))
    assert _error(logits.numpy(), results["logits"]) < 1e-5
    expected = {
        key[len("gradient/") :]: value
        for key, value in results.items()
        if key.startswith("gradient/")
    }
    _assert_gradients(_gradients(model, logits, golden.cotangent()), expected, 1e-4)


_OTHER_SIZES = [
    (name, size)
    for name, family in golden.FAMILIES.items()
    for size in ("larger", "smaller")
    if getattr(family, size)
]


@pytest.mark.parametrize(("name", "size"), _OTHER_SIZES)
def test_golden_logits_at_another_size(name, size):
    """Positions are resized as in timm, Swin's tables (window 2 to 3) as in its official code."""
    family, (shapes, results) = golden.FAMILIES[name], golden.read(name)
    pixels = getattr(family, size)
    model = golden.ours(name, pixels, **(family.larger_fields if size == "larger" else {}))
    report = models.assign(model, golden.draw(shapes), name)
    assert report.resized == [
        n for n in model.state_dict() if n == "pos_embed" or n.endswith("bias_table")
    ]
    assert _error(_logits(model, golden.images(pixels)).numpy(), results[f"{size}_logits"]) < 1e-5


@pytest.mark.parametrize("name", golden.FAMILIES)
def test_every_array_matters(name):
    """The comparisons see every array: its change changes the logits beyond the tolerance."""
    family, (shapes, results) = golden.FAMILIES[name], golden.read(name)
    arrays, model = golden.draw(shapes), golden.ours(name)
    # A constant that is added to all arguments of a softmax has no effect.
    without_effect = ("attn.proj_l.bias", "attn.k.bias", "attn.k_norm.bias")
    for changed in shapes:
        models.assign(
            model, {key: a * (1.5 if key == changed else 1) for key, a in arrays.items()}, name
        )
        error = _error(_logits(model, golden.images(family.size)).numpy(), results["logits"])
        assert error > 2e-5 or changed.endswith(without_effect), changed


_PAIRS = [  # our name, timm's, the size of the input, what timm is told of it
    ("vit_ti_16", "vit_tiny_patch16_224", 224, {}),
    ("vit_ti_16_384", "vit_tiny_patch16_384", 384, {}),
    ("vit_ti_16_384", "vit_tiny_patch16_224", 384, {}),
    ("vit_ti_16", "vit_tiny_patch16_384", 224, {}),
    ("vit_small_patch14_reg4_dinov2", "vit_small_patch14_reg4_dinov2", 224, {}),
    ("vit_xsmall_patch16_clip_224", "vit_xsmall_patch16_clip_224", (224, 160), {}),
    ("vit_s_32", "vit_small_patch32_224", 224, {}),
    ("vit_s_8", "vit_small_patch8_224", 112, {"img_size": 112}),
    ("vit_b_16", "vit_base_patch16_224", 224, {}),
    ("vit_b_32_384", "vit_base_patch32_384", 384, {}),
    ("deit_s", "deit_small_patch16_224", 224, {}),
    ("deit_ti_distilled", "deit_tiny_distilled_patch16_224", 224, {}),
    ("deit_ti_distilled", "deit_tiny_distilled_patch16_224", 384, {}),
    ("vit_ti_16", "vit_tiny_patch16_224", (160, 288), {}),
    ("deit_ti_distilled", "deit_tiny_distilled_patch16_224", (224, 64), {}),
    ("cait_xxs_24", "cait_xxs24_224", 224, {}),
    ("cait_xxs_24_384", "cait_xxs24_384", 384, {}),
    ("swin_ti", "swin_tiny_patch4_window7_224", 224, {}),
    ("swin_s_384", "swin_small_patch4_window7_224", 384, {"img_size": 384, "window_size": 12}),
    ("swin_l", "swin_large_patch4_window7_224", 224, {}),
    ("resnet_18", "resnet18", 224, {}),
    ("resnet_50", "resnet50", 224, {}),
]


@pytest.mark.slow
@pytest.mark.parametrize(("ours", "theirs", "size", "fields"), _PAIRS)
def test_live(ours, theirs, size, fields, tmp_path):
    """A whole model of timm's, saved by PyTorch and read here without PyTorch."""
    torch, timm = pytest.importorskip("torch"), import_timm()
    torch.manual_seed(0)
    reference = timm.create_model(theirs, num_classes=golden.CLASSES, **fields)
    generator = torch.Generator().manual_seed(0)
    with torch.no_grad():
        for name, value in reference.state_dict().items():
            if name.endswith("running_var"):
                value.mul_(torch.rand(value.shape, generator=generator) + 0.5)
            elif value.is_floating_point():
                value.add_(torch.randn(value.shape, generator=generator), alpha=0.05)
    torch.save(reference.state_dict(), tmp_path / "theirs.pth")
    model = models.create(ours, num_classes=golden.CLASSES, image_size=size)
    report = models.load_weights(model, tmp_path / "theirs.pth")
    assert not report.initialised
    height, width = (size, size) if isinstance(size, int) else size
    if hasattr(reference, "set_input_size"):
        reference.set_input_size((height, width))
    reference.eval()
    images = (
        np.random.default_rng(0).normal(size=(golden.IMAGES, 3, height, width)).astype("float32")
    )
    expected = reference(torch.tensor(images))
    (expected * torch.tensor(golden.cotangent())).sum().backward()
    logits = _logits(model, images)
    assert _error(logits.numpy(), expected.detach().numpy()) < 1e-5
    gradients = {name: value.grad.numpy() for name, value in reference.named_parameters()}
    # Some of a ResNet's ReLUs are at 0 within rounding: PyTorch's float32 gradients are 3e-3 from
    # its own float64 ones.
    tolerance = 1e-2 if ours.startswith("resnet") else 1e-4
    _assert_gradients(_gradients(model, logits, golden.cotangent()), gradients, tolerance)


@pytest.mark.slow
@pytest.mark.parametrize(
    ("ours", "theirs", "fields"),
    [
        ("cait_xxs_24_384", "cait_xxs24_224", {"img_size": 384}),
        ("swin_ti_384", "swin_tiny_patch4_window7_224", {"img_size": 384, "window_size": 12}),
    ],
)
def test_live_from_224_to_384(ours, theirs, fields):
    """Models that timm does not resize itself, or resizes in another way.

    Here timm's own bicubic functions resize them.
    """
    torch, timm = pytest.importorskip("torch"), import_timm()
    from timm.layers import resample_abs_pos_embed
    from timm.layers.pos_embed_rel import resize_rel_pos_bias_table_simple

    small, large = (
        timm.create_model(theirs, num_classes=golden.CLASSES, **more) for more in ({}, fields)
    )
    generator, arrays = torch.Generator().manual_seed(0), {}
    with torch.no_grad():
        for (name, value), target in zip(small.named_parameters(), large.parameters()):
            value.add_(torch.randn(value.shape, generator=generator), alpha=0.05)
            arrays[name] = value.numpy()
            if name == "pos_embed":
                value = resample_abs_pos_embed(value, [24, 24], num_prefix_tokens=0)
            elif value.shape != target.shape:
                value = resize_rel_pos_bias_table_simple(value, (12, 12), target.shape)
            target.copy_(value)
    model = models.create(ours, num_classes=golden.CLASSES)
    assert models.assign(model, arrays, theirs).resized
    images = np.random.default_rng(0).normal(size=(1, 3, 384, 384)).astype("float32")
    expected = large.eval()(torch.tensor(images)).detach().numpy()
    assert _error(_logits(model, images).numpy(), expected) < 1e-5


@pytest.mark.slow
def test_what_is_written_for_timm_is_read_by_torch(tmp_path):
    torch, timm = pytest.importorskip("torch"), import_timm()
    model = models.create("swin_ti", num_classes=golden.CLASSES)
    arrays = layouts.to_timm(
        model, {name: value.numpy() for name, value in model.state_dict().items()}
    )
    models.write_arrays(tmp_path / "ours.pth", arrays, None)
    reference = timm.create_model("swin_tiny_patch4_window7_224", num_classes=golden.CLASSES)
    reference.load_state_dict(torch.load(tmp_path / "ours.pth", weights_only=True))
    images = np.random.default_rng(0).normal(size=(1, 3, 224, 224)).astype("float32")
    expected = reference.eval()(torch.tensor(images)).detach().numpy()
    assert _error(_logits(model, images).numpy(), expected) < 1e-5


@pytest.mark.slow
def test_published_weights_are_timms_with_as_many_parameters_and_the_same_input():
    """Every row of the list of what is no ViT, for models of up to 100 million parameters.

    timm's models are made without memory.
    """
    torch, timm = pytest.importorskip("torch"), import_timm()
    for name, row in published._TIMM.items():
        theirs, *tags = row.split()
        known = {pretrained.partition(".")[2] for pretrained in timm.list_pretrained(theirs)}
        assert set(tags) <= known, name
        with torch.device("meta"):
            reference = timm.create_model(theirs, num_classes=1000)
        count = sum(parameter.numel() for parameter in reference.parameters())
        if count < 100e6:
            assert flops.parameters(models.create(name)) == count, name
        if not any(tag.startswith(("a1", "tv")) for tag in tags):
            expected = timm.models.get_pretrained_cfg(f"{theirs}.{tags[0]}")
            stats = models.input_stats(name)
            assert (stats.mean, stats.std, stats.interpolation) == (
                expected.mean,
                expected.std,
                expected.interpolation,
            )
