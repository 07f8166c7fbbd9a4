"""Transforms: shapes, statistics of the random crop, exact positions of the central one."""

from __future__ import annotations

import math

import numpy as np
import pytest
from conftest import import_timm
from PIL import Image

from configs import default
from data.augment import transforms
from data.augment.transforms import (
    EvalTransform,
    TrainTransform,
    central_crop,
    crop_box,
    padded_crop,
    random_resized_crop,
    simple_crop,
)
from program.config import config_validation


def test_crop_box_statistics():
    """Area and logarithm of the aspect are uniform; a wide image rarely needs the fallback."""
    rng = np.random.default_rng(0)
    boxes = np.array([crop_box(300, 400, (0.05, 0.5), (3 / 4, 4 / 3), rng) for _ in range(4000)])
    top, left, height, width = boxes.T
    area, aspect = height * width / (300 * 400), np.log(width / height)
    assert area.mean() == pytest.approx(0.275, abs=0.01)
    assert area.min() < 0.06
    assert area.max() > 0.49
    assert aspect.mean() == pytest.approx(0, abs=0.02)
    assert aspect.std() == pytest.approx(math.log(4 / 3) / math.sqrt(3), rel=0.05)
    assert (top + height).max() <= 300
    assert (left + width).max() <= 400


def test_crop_box_falls_back_to_the_centre():
    """A strip that no box of the wanted area fits into."""
    box = crop_box(10, 200, (1.0, 1.0), (3 / 4, 4 / 3), np.random.default_rng(0))
    assert box == (0, 93, 10, 13)


def test_random_resized_crop_is_crop_then_resize():
    image = np.random.default_rng(1).integers(0, 256, (40, 50, 3), dtype=np.uint8)
    found = random_resized_crop(
        image, 24, (0.2, 0.5), (0.75, 4 / 3), "bicubic", np.random.default_rng(5)
    )
    top, left, height, width = crop_box(40, 50, (0.2, 0.5), (0.75, 4 / 3), np.random.default_rng(5))
    box = (left, top, left + width, top + height)
    reference = Image.fromarray(image).crop(box).resize((24, 24), Image.Resampling.BICUBIC)
    assert (found == np.asarray(reference)).all()


@pytest.mark.parametrize(("height", "width"), [(30, 50), (50, 30), (32, 32)])
def test_central_crop(height, width):
    image = np.random.default_rng(0).integers(0, 256, (height, width, 3), dtype=np.uint8)
    short = min(height, width)
    same = central_crop(image, short, 1.0, "bilinear")
    top, left = (height - short) // 2, (width - short) // 2
    assert (same == image[top : top + short, left : left + short]).all()
    assert central_crop(image, 24, 0.875, "bilinear").shape == (24, 24, 3)


def test_padded_crop_reaches_every_shift():
    image = np.full((4, 4, 3), 9, np.uint8)
    image[0, 0] = 200
    rng = np.random.default_rng(0)
    places = {
        tuple(np.argwhere(shifted[..., 0] == 200).ravel())
        for shifted in (padded_crop(image, 1, rng) for _ in range(99))
    }
    assert {(0, 0), (0, 1), (1, 0), (1, 1), ()} == places


def test_off_means_off():
    config = default.get_config()
    config.data.crop, config.data.flip = "none", 0.0
    image = np.random.default_rng(0).integers(0, 256, (16, 16, 3), dtype=np.uint8)
    for seed in range(5):
        assert (TrainTransform(config.data, 16)(image, np.random.default_rng(seed)) == image).all()
    assert (EvalTransform(16, 1.0, "bicubic")(image, None) == image).all()


def test_flip_rate():
    config = default.get_config()
    config.data.crop, config.data.flip = "none", 0.3
    image = np.arange(4 * 4 * 3, dtype=np.uint8).reshape(4, 4, 3)
    transform, rng = TrainTransform(config.data, 4), np.random.default_rng(0)
    flips = np.mean([(transform(image, rng) == image[:, ::-1]).all() for _ in range(2000)])
    assert flips == pytest.approx(0.3, abs=0.04)


class _Forbidden:
    """In place of a generator, where nothing may be drawn."""

    def __getattr__(self, name):
        raise AssertionError(f"{name} was drawn")


def _config(**fields):
    config = default.get_config()
    config.data.update(crop="none", flip=0.0, eval_crop=0.875)
    config.data.update(fields)
    config_validation.validate(config)
    return config.data


def _image(height: int = 16, width: int = 16) -> np.ndarray:
    return np.random.default_rng(0).integers(0, 256, (height, width, 3), dtype=np.uint8)


def test_what_is_off_changes_no_pixel_and_draws_no_number():
    strong = {"randaugment_layers": 5, "randaugment_magnitude": 10.0, "randaugment_std": 2.0}
    for fields in (
        {},
        strong,
        {"randaugment_magnitude": 0.0},
        {"erase_probability": 0.5, "mixup_alpha": 1.0},
    ):
        assert (TrainTransform(_config(**fields), 16)(_image(), _Forbidden()) == _image()).all()


def test_defaults_draw_a_box_and_a_flip_alone():
    """As before there was more than these: the present results stay."""
    config, image = default.get_config().data, _image(20, 30)
    for seed in range(20):
        found, rng = np.random.default_rng(seed), np.random.default_rng(seed)
        output = TrainTransform(config, 16, (0.1, 0.2, 0.3))(image, found)
        expected = random_resized_crop(
            image, 16, config.crop_scale, config.crop_ratio, "bicubic", rng
        )
        expected = expected[:, ::-1] if rng.random() < 0.5 else expected
        assert (output == expected).all()
        assert found.bit_generator.state == rng.bit_generator.state


def test_vertical_flip_rate_and_both_flips():
    image, rng = np.arange(4 * 4 * 3, dtype=np.uint8).reshape(4, 4, 3), np.random.default_rng(0)
    transform = TrainTransform(_config(flip=0.5, vertical_flip=0.3), 4)
    outputs = [transform(image, rng) for _ in range(2000)]
    for expected, rate in (
        (image, 0.35),
        (image[:, ::-1], 0.35),
        (image[::-1], 0.15),
        (image[::-1, ::-1], 0.15),
    ):
        assert np.mean([(output == expected).all() for output in outputs]) == pytest.approx(
            rate, abs=0.035
        )


def test_simple_crop_is_a_window_of_the_reflected_image():
    image = _image(16, 16)
    # 4 3 2 1 0 1 ... 15 14 13 12 11
    places = [abs(place) if place < 16 else 30 - place for place in range(-4, 20)]
    reflected = image[np.ix_(places, places)]
    windows = {
        reflected[top : top + 16, left : left + 16].tobytes()
        for top in range(9)
        for left in range(9)
    }
    rng, transform = np.random.default_rng(0), TrainTransform(_config(crop="simple"), 16)
    found = {transform(image, rng).tobytes() for _ in range(1500)}
    assert found == windows


def test_simple_crop_resizes_the_shorter_side():
    """Of a wide image the columns differ: each crop is one of the columns of the resized image."""
    image = np.broadcast_to(np.arange(0, 240, 4, dtype=np.uint8)[None, :, None], (30, 60, 3)).copy()
    resized = np.asarray(Image.fromarray(image).resize((20, 10), Image.Resampling.BICUBIC))
    reflected = np.pad(resized, ((4, 4), (4, 4), (0, 0)), mode="reflect")
    rng = np.random.default_rng(0)
    lefts = set()
    for _ in range(300):
        crop = simple_crop(image, 10, "bicubic", rng)
        assert crop.shape == (10, 10, 3)
        lefts |= {left for left in range(19) if (reflected[:10, left : left + 10] == crop).all()}
    assert lefts == set(range(19))


@pytest.mark.slow
def test_simple_crop_is_torchvisions():
    import_timm()
    from torchvision import transforms
    from torchvision.transforms import functional

    for height, width in ((40, 61), (57, 33), (24, 24)):
        image, rng = _image(height, width), np.random.default_rng(1)
        resize = transforms.Resize(24, transforms.InterpolationMode.BICUBIC)
        padded = functional.pad(resize(Image.fromarray(image)), 4, padding_mode="reflect")
        top, left = (int(rng.integers(side - 23)) for side in (padded.height, padded.width))
        expected = np.asarray(padded)[top : top + 24, left : left + 24]
        assert (simple_crop(image, 24, "bicubic", np.random.default_rng(1)) == expected).all()


def test_crop_test_is_the_evaluation_to_the_bit():
    for height, width in ((40, 61), (17, 16), (16, 16)):
        image = _image(height, width)
        expected = EvalTransform(16, 0.875, "")(image, None)
        assert (TrainTransform(_config(crop="test"), 16)(image, _Forbidden()) == expected).all()


def test_the_order_is_crop_flips_automatic_augmentation_colour_jitter(monkeypatch):
    calls = []
    monkeypatch.setattr(
        transforms.auto_augment, "three_augment", lambda image, rng: calls.append("auto") or image
    )
    monkeypatch.setattr(
        transforms, "color_jitter", lambda image, *_: calls.append(("jitter", image)) or image
    )
    fields = {"auto_augment": "three_augment", "color_jitter": 0.3, "flip": 1.0, "crop": "test"}
    found = TrainTransform(_config(**fields), 16)(_image(40, 61), np.random.default_rng(0))
    assert calls[0] == "auto"
    assert (found == EvalTransform(16, 0.875, "")(_image(40, 61), None)[:, ::-1]).all()
    # The jitter comes last, on the cropped and flipped image.
    assert (np.asarray(calls[1][1]) == found).all()


def test_what_is_moved_in_has_the_mean_colour():
    config = _config(auto_augment="randaugment", randaugment_layers=6)
    image = np.full((16, 16, 3), 255, np.uint8)
    for mean, colour in (((0.485, 0.456, 0.406), (124, 116, 104)), ((), (128, 128, 128))):
        transform = TrainTransform(config, 16, mean)
        assert transform.auto_augment.edges.fillcolor == colour
        outputs = np.stack([transform(image, np.random.default_rng(seed)) for seed in range(100)])
        assert (outputs == colour).all(axis=-1).any()


@pytest.mark.parametrize(
    "name", ["randaugment", "autoaugment_imagenet", "autoaugment_cifar10", "three_augment"]
)
def test_each_automatic_augmentation_changes_images_and_is_repeatable(name):
    transform, image = TrainTransform(_config(auto_augment=name, flip=0.5), 16), _image(20, 24)
    first, second = (
        [transform(image, np.random.default_rng(seed)) for seed in range(20)] for _ in range(2)
    )
    assert all((one == two).all() for one, two in zip(first, second))
    assert len({output.tobytes() for output in first}) > 10
    assert {(output.shape, output.dtype) for output in first} == {((16, 16, 3), np.dtype(np.uint8))}
