"""The teacher: its view of the student's images, its weights and classes; nothing changes it."""

from __future__ import annotations

import json

import numpy as np
import paddle
import pytest

import models
from common.errors import UserError
from configs import default
from engine.plan import resolve_config
from engine.state import run_weights
from engine.step.teacher import fresh_teacher, load_teacher
from models.input_images import normalise

_CLASSES = ("cat", "dog", "frog", "ship")
_WNIDS = ("n01443537", "n02124075", "n12768682")
_SIZE = {"vit_n_8": 16, "resnet_18": 32}


def _write(path, name: str, classes: tuple[str, ...] = _CLASSES, stated: bool = True, **fields):
    """Writes weights far from fresh ones; returns the model, with drop rates, and its config."""
    config = default.get_config()
    config.model.update(
        name=name, image_size=_SIZE.get(name, 16), num_classes=len(classes), drop_rate=0.3, **fields
    )
    if name == "vit_n_8":
        config.model.update(mean=(0.1, 0.2, 0.3), std=(0.4, 0.5, 0.6))
    config = resolve_config.with_input(config)
    paddle.seed(5)
    model, rng = models.build(config.model), np.random.default_rng(0)
    for key, value in model.state_dict().items():
        if not key.endswith("_variance"):
            value.set_value((value.numpy() + rng.normal(0, 0.05, value.shape)).astype("float32"))
    model.eval()
    if stated:
        run_weights.save(path, run_weights.arrays_of(model), config, classes)
    else:
        models.write_arrays(path, run_weights.arrays_of(model), None)
    return model, config


def _student(teacher: str, path, size: int = 16, classes: int = 4, **distill):
    config = default.get_config()
    config.model.update(
        name="vit_n_8", image_size=size, num_classes=classes, mean=(0.5,) * 3, std=(0.25,) * 3
    )
    config.distill.update(teacher=teacher, weights=str(path), **distill)
    return config


def _pixels(size: int):
    return paddle.to_tensor(
        np.random.default_rng(0).integers(0, 256, (5, 3, size, size), dtype=np.uint8)
    )


@pytest.mark.parametrize("name", ["vit_n_8", "resnet_18"])
def test_it_sees_the_images_as_its_weights_want_them(tmp_path, name):
    """With the student's normalisation its logits would be others."""
    model, theirs = _write(tmp_path / "weights.safetensors", name)
    config = _student(name, tmp_path / "weights.safetensors", size=_SIZE[name])
    teacher, pixels = load_teacher(config, _CLASSES), _pixels(_SIZE[name])
    expected = model(normalise(pixels, theirs.model)).numpy()
    images = normalise(pixels, config.model)
    tolerance = 1e-4 * np.abs(expected).max()
    np.testing.assert_allclose(teacher(images).numpy(), expected, atol=tolerance)
    assert np.abs(model(images).numpy() - expected).max() > 100 * tolerance


@pytest.mark.parametrize("stated", [True, False])
def test_its_parts_are_those_of_its_weights(tmp_path, stated):
    parts = "layer_scale=1e-05,registers=2,pool=avg,fc_norm=True"
    model, config = _write(tmp_path / "w.safetensors", "vit_n_8", stated=stated, parts=parts)
    student = _student("vit_n_8", tmp_path / "w.safetensors", image_size=16)
    teacher = load_teacher(student, _CLASSES)
    assert teacher.model.parts == model.parts
    pixels = models.normalise(_pixels(16), config.model)
    assert np.allclose(teacher.model(pixels).numpy(), model(pixels).numpy(), atol=1e-6)


def test_its_weights_tell_its_parts(tmp_path):
    """Those of other projects, too: LayerScale from the arrays, the activation from the config."""
    parts = "layer_scale=1e-05,activation=quick_gelu"
    model, _ = _write(tmp_path / "weights.safetensors", "vit_n_8", stated=False, parts=parts)
    stated = {"model_type": "vit_msn", "hidden_size": 48, "hidden_act": "quick_gelu"}
    (tmp_path / "config.json").write_text(json.dumps(stated))
    teacher = load_teacher(_student("vit_n_8", tmp_path, image_size=16), ())
    assert teacher.model.parts.activation == "quick_gelu"
    images = paddle.randn((2, 3, 16, 16))
    expected = model(images).numpy()
    np.testing.assert_allclose(teacher.model(images).numpy(), expected, atol=1e-5)


@pytest.mark.parametrize("name", ["vit_n_8", "resnet_18"])
def test_nothing_changes_it(tmp_path, name):
    """No dropout, no gradient, nothing to train, and the running statistics of batch norms stay."""
    _write(tmp_path / "weights.safetensors", name)
    config = _student(name, tmp_path / "weights.safetensors", size=_SIZE[name])
    teacher, images = load_teacher(config, _CLASSES), normalise(_pixels(_SIZE[name]), config.model)
    images.stop_gradient = False
    before = run_weights.arrays_of(teacher.model)
    first, second = teacher(images), teacher(images)
    assert (first == second).all()
    assert first.stop_gradient
    assert all(parameter.stop_gradient for parameter in teacher.model.parameters())
    assert all(
        (before[name] == value).all()
        for name, value in run_weights.arrays_of(teacher.model).items()
    )
    # No statistics of the batch. Sums of float32 in another order differ by some 1e-6 of them.
    tolerance = 1e-5 * np.abs(first.numpy()).max()
    np.testing.assert_allclose(teacher(images[:2]).numpy(), first[:2].numpy(), atol=tolerance)


def _cubic(size: int, new: int) -> np.ndarray:
    """Weights `(new, size)` of Keys' kernel with a = -0.75 at pixel centres; edges are repeated."""
    taps = np.zeros((new, size))
    for row in range(new):
        centre = (row + 0.5) * size / new - 0.5
        for place in range(int(np.floor(centre)) - 1, int(np.floor(centre)) + 3):
            d = abs(place - centre)
            near, far = 1.25 * d**3 - 2.25 * d**2 + 1, -0.75 * (d**3 - 5 * d**2 + 8 * d - 4)
            taps[row, min(max(place, 0), size - 1)] += near if d <= 1 else far
    return taps


@pytest.mark.parametrize(
    ("student", "image_size", "sees"), [(8, 0, 16), (24, 0, 16), (16, 32, 32), (16, 0, 16)]
)
def test_it_sees_images_at_its_own_size(tmp_path, student, image_size, sees):
    """The size of its weights, not of the model. Another size is bicubic, with aligned corners."""
    _write(tmp_path / "weights.safetensors", "vit_n_8")
    config = _student(
        "vit_n_8", tmp_path / "weights.safetensors", size=student, image_size=image_size
    )
    teacher, seen = load_teacher(config, _CLASSES), []
    teacher.model.register_forward_pre_hook(lambda layer, inputs: seen.append(inputs[0]))
    pixels = _pixels(student)
    teacher(normalise(pixels, config.model))
    taps = _cubic(student, sees)
    resized = np.einsum("Hh,bchw,Ww->bcHW", taps, pixels.numpy() / 255, taps)
    mean, std = (
        np.array(values).reshape(1, 3, 1, 1) for values in ((0.1, 0.2, 0.3), (0.4, 0.5, 0.6))
    )
    np.testing.assert_allclose(seen[0].numpy(), (resized - mean) / std, atol=1e-4)
    assert teacher.image_size == sees
    assert f"vit_n_8 at {sees} px" in teacher.describe()


@pytest.mark.slow
def test_the_resizing_is_pytorchs():
    torch = pytest.importorskip("torch")
    images = np.random.default_rng(0).normal(0, 1, (2, 3, 17, 17)).astype("float32")
    for side in (9, 17, 40):
        taps = _cubic(17, side)
        expected = torch.nn.functional.interpolate(
            torch.tensor(images), [side] * 2, mode="bicubic"
        ).numpy()
        np.testing.assert_allclose(
            np.einsum("Hh,bchw,Ww->bcHW", taps, images, taps), expected, atol=1e-5
        )


def test_a_distilled_teacher_is_asked_as_it_was_evaluated(tmp_path):
    """Its other head was never trained."""
    model, theirs = _write(
        tmp_path / "weights.safetensors", "vit_n_8_distilled", train_head="class"
    )
    config = _student("vit_n_8_distilled", tmp_path / "weights.safetensors")
    pixels = _pixels(16)
    found = load_teacher(config, _CLASSES)(normalise(pixels, config.model)).numpy()
    images = normalise(pixels, theirs.model)
    np.testing.assert_allclose(found, model(images).numpy(), atol=1e-4)
    model.eval_head = "average"
    assert not np.allclose(found, model(images).numpy(), atol=1e-2)


def test_the_part_of_an_imagenet_head(tmp_path):
    model = _write(
        tmp_path / "weights.pdparams", "vit_n_8", tuple(map(str, range(1000))), stated=False
    )[0]
    config = _student(
        "vit_n_8", tmp_path / "weights.pdparams", classes=3, head="imagenet", image_size=16
    )
    teacher = load_teacher(config, _WNIDS)
    rows = list(models.imagenet_rows(_WNIDS))
    assert (teacher.model.head.weight.numpy() == model.head.weight.numpy()[:, rows]).all()
    with pytest.raises(UserError, match="are no WordNet ids"):
        load_teacher(config, ("cat", "dog", "frog"))
    config.distill.head = "auto"
    with pytest.raises(UserError, match="its head is not for the 3 classes of the data"):
        load_teacher(config, _WNIDS)
    # A thousand classes of another data set are none of ImageNet's.
    _write(tmp_path / "own.safetensors", "vit_n_8", tuple(map(str, range(1000))))
    config = _student("vit_n_8", tmp_path / "own.safetensors", classes=3, head="imagenet")
    with pytest.raises(
        UserError, match=r"class 0 of the data is 'n01443537', but that of the teacher's weights"
    ):
        load_teacher(config, _WNIDS)


def test_what_is_no_teacher(tmp_path):
    """A fresh head, other classes, another model, or no weights: each would teach nonsense."""
    _write(tmp_path / "weights.safetensors", "vit_n_8")
    config = _student("vit_n_8", tmp_path / "weights.safetensors")
    with pytest.raises(
        UserError,
        match="class 1 of the data is 'cow', but that of the teacher's weights .* is 'dog'",
    ):
        load_teacher(config, ("cat", "cow", "frog", "ship"))
    config.model.num_classes = 3
    with pytest.raises(UserError, match="the data has 3 classes, but the teacher's weights .* 4"):
        load_teacher(config, _CLASSES[:3])
    for fields, message in (
        ({"teacher": "resnet_18"}, "its model is vit_n_8, not distill.teacher=resnet_18"),
        ({"weights": ""}, "needs distill.weights"),
        ({"weights": "absent.pth"}, "absent.pth: no such weights file"),
        ({"teacher": "vit_n_9"}, "its model is vit_n_8, not distill.teacher=vit_n_9"),
    ):
        config = _student("vit_n_8", tmp_path / "weights.safetensors")
        config.distill.update(fields)
        with pytest.raises(UserError, match=message):
            load_teacher(config, _CLASSES)
    model = models.create("vit_n_8", image_size=16, num_classes=4)
    headless = {
        name: array
        for name, array in run_weights.arrays_of(model).items()
        if not name.startswith("head")
    }
    models.write_arrays(tmp_path / "headless.pdparams", headless, None)
    with pytest.raises(UserError, match="its head is not for the 4 classes of the data"):
        load_teacher(_student("vit_n_8", tmp_path / "headless.pdparams", image_size=16), _CLASSES)


def test_none_is_none_and_a_dry_run_has_a_fresh_one(tmp_path):
    assert load_teacher(default.get_config(), _CLASSES) is None
    config = _student("resnet_18", "resnet_18", size=32, image_size=32)
    assert fresh_teacher(config)(paddle.zeros([2, 3, 32, 32])).shape == [2, 4]
