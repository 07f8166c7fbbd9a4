"""Images enlarged on the device are those of the host to the bit, with the same random numbers."""

from __future__ import annotations

import numpy as np
import paddle
import pytest
from PIL import Image

import data
from common.errors import UserError
from configs import default
from data.augment import device_resize
from data.augment.device_resize import enlarge
from data.augment.device_resize_views import View
from data.augment.transforms import EvalTransform, TrainTransform
from program.config import config_validation

_SIZES = ((32, 224), (64, 224), (64, 384), (64, 96), (16, 16))


def _images(count: int, height: int, width: int) -> np.ndarray:
    """Noise, of which every second image is black and white alone, where bicubic overshoots."""
    images = np.random.default_rng(0).integers(0, 256, (count, height, width, 3), dtype=np.uint8)
    images[::2] = np.where(images[::2] > 127, 255, 0)
    return images


def _on_host(transform, images: np.ndarray) -> np.ndarray:
    outputs = [transform(image, np.random.default_rng(seed)) for seed, image in enumerate(images)]
    return np.stack(outputs).transpose(0, 3, 1, 2)


def _on_device(transform, images: np.ndarray) -> np.ndarray:
    height, width = images.shape[1:3]
    windows = [
        transform(View(height, width), np.random.default_rng(seed)).windows()
        for seed in range(len(images))
    ]
    pixels = paddle.to_tensor(images.transpose(0, 3, 1, 2))
    return enlarge(pixels, paddle.to_tensor(np.stack(windows)), transform.interpolation).numpy()


def _train_transform(size: int, **fields) -> TrainTransform:
    config = default.get_config()
    config.data.update(resize_on="device", eval_crop=0.875, vertical_flip=0.5, **fields)
    config_validation.validate(config)
    return TrainTransform(config.data, size)


@pytest.mark.parametrize("interpolation", ["", "bicubic", "bilinear"])
@pytest.mark.parametrize("crop", ["random_resized", "simple", "padded", "none", "test"])
def test_each_crop_with_flips_is_the_hosts(crop, interpolation):
    for side, size in _SIZES:
        transform, images = (
            _train_transform(size, crop=crop, interpolation=interpolation),
            _images(4, side, side),
        )
        expected = _on_host(transform, images)
        assert expected.shape == (4, 3, size, size)
        assert (_on_device(transform, images) == expected).all()


@pytest.mark.parametrize("fraction", [0.875, 0.9, 1.0])
def test_evaluation_is_the_hosts(fraction):
    for side, size in _SIZES:
        transform, images = EvalTransform(size, fraction, "bicubic"), _images(2, side, side)
        assert (_on_device(transform, images) == _on_host(transform, images)).all()


def test_images_that_are_not_square():
    transform, images = _train_transform(48, crop="random_resized"), _images(6, 20, 30)
    assert (_on_device(transform, images) == _on_host(transform, images)).all()


def test_weights_need_no_more_than_eleven_bits_of_a_number():
    """What TensorFloat-32 keeps. All sums are then of 24 bits at most, which float32 keeps."""
    windows = [
        _train_transform(224)(View(64, 64), np.random.default_rng(seed)).windows()[0]
        for seed in range(20)
    ]
    for interpolation in ("bicubic", "bilinear"):
        for part, unit in zip(
            device_resize._weights(paddle.to_tensor(np.stack(windows)), 64, interpolation),
            (1, 2**-12),
        ):
            units = part.numpy() / unit
            assert (units == np.rint(units)).all()
            assert 0 < abs(units).max() <= 2**11
            assert abs(units).sum(axis=-1).max() * 255 < 2**24


def test_a_view_draws_the_same_numbers_and_is_indexed_like_an_image():
    image = np.arange(6 * 8).reshape(6, 8)
    for key in (
        (slice(1, 4), slice(2, 8)),
        (slice(None), slice(None, None, -1)),
        slice(None, None, -1),
    ):
        view, expected = View(6, 8)[key], image[key]
        rows, columns = (axis.places for axis in view._axes)
        assert view.shape == expected.shape
        assert (image[np.ix_(rows, columns)] == expected).all()
    for crop in ("random_resized", "simple", "padded"):
        first, second = np.random.default_rng(3), np.random.default_rng(3)
        _train_transform(24, crop=crop)(View(16, 16), first)
        _train_transform(24, crop=crop)(_images(1, 16, 16)[0], second)
        assert first.bit_generator.state == second.bit_generator.state


def test_a_view_is_resized_once_and_first():
    view = View(8, 8)
    for other in (view.resize(9, 9), view.pad(1, "constant"), view[::-1]):
        with pytest.raises(ValueError, match="as it is"):
            other.resize(12, 12)
    assert view[2:5].resize(6, 6).windows()[0].tolist() == [2, 3, 6, 0, 1, 2, 3, 4, 5]


def test_digits_against_pillow_itself():
    """Without this project's transforms in between."""
    config = default.get_config()
    config.data.update(resize_on="device", crop="none", flip=0.0)
    config.model.image_size = 20
    dataset = data.build(config, "train")
    batch = next(data.load(dataset, [[(0, index) for index in range(5)]], 0))
    assert batch.images.shape == [5, 3, 8, 8]
    for index, pixels in enumerate(batch.pixels().numpy()):
        image = Image.fromarray(dataset.source.images[index])
        assert (
            pixels.transpose(1, 2, 0)
            == np.asarray(image.resize((20, 20), Image.Resampling.BICUBIC))
        ).all()
    assert (batch.pixels(2).numpy() == batch.pixels().numpy()[:2]).all()


def _batches(
    resize_on: str, workers: int = 0, start: int = 0
) -> list[tuple[np.ndarray, np.ndarray]]:
    config = default.get_config()
    config.data.update(resize_on=resize_on, repeats=2, crop_scale=(0.2, 1.0))
    config.model.image_size = 20
    dataset = data.build(config, "train")
    sampler = data.TrainSampler(dataset, 6, 1, 6, config.seed, start, 2, rank=0, ranks=1)
    return [
        (batch.pixels().numpy(), batch.labels.numpy())
        for batch in data.load(dataset, sampler, workers)
    ]


def test_neither_place_nor_workers_nor_a_resume_change_a_bit():
    expected = _batches("host")
    others = [
        _batches("device"),
        _batches("device", workers=2),
        [None] * 4 + _batches("device", start=4),
    ]
    for other in others:
        assert len(other) == len(expected) == 6
        for (images, labels), pair in zip(expected, other):
            assert pair is None or ((images == pair[0]).all() and (labels == pair[1]).all())


def test_what_travels():
    config = default.get_config()
    config.model.image_size = 224
    for resize_on, size in (("host", 3 * 224 * 224), ("device", 3 * 8 * 8 + 2 * 227 * 4)):
        config.data.resize_on = resize_on
        dataset = data.build(config, "train")
        image, _, _, *windows = dataset[0, 0]
        assert dataset.item_bytes == size == image.nbytes + sum(part.nbytes for part in windows)


@pytest.mark.parametrize(
    ("fields", "message"),
    [
        (
            {"auto_augment": "randaugment"},
            "leaves config.data.auto_augment=randaugment without resized images",
        ),
        ({"color_jitter": 0.4}, "leaves config.data.color_jitter=0.4 without"),
        ({"hue_jitter": 0.1}, "leaves config.data.hue_jitter=0.1 without"),
        ({"resize_on": "gpu"}, "expected one of host, device"),
    ],
)
def test_what_has_no_meaning_is_refused(fields, message):
    config = default.get_config()
    config.data.update({"resize_on": "device", **fields})
    with pytest.raises(UserError, match=message):
        config_validation.validate(config)


def test_files_of_any_size_are_refused_for_images_without_labels(tmp_path):
    config = default.get_config()
    config.data.update(resize_on="device", unlabelled_root=str(tmp_path))
    config.rdrop.unlabelled_batch_size = 4
    with pytest.raises(
        UserError, match=r"those of data\.unlabelled_root may not be: set data\.resize_on=host"
    ):
        config_validation.validate(config)


@pytest.mark.parametrize("make", [data.facts, lambda config: data.build(config, "test")])
def test_data_sets_that_can_not_be_enlarged_are_refused(make, painted):
    config = default.get_config()
    config.model.image_size = 16
    config.data.update(resize_on="device", name="folder", root=str(painted))
    with pytest.raises(UserError, match="those of folder may not be: set data.resize_on=host"):
        make(config)
    config.data.name = "imagenet"
    with pytest.raises(UserError, match="those of imagenet may not be"):
        make(config)
    config.data.name = "cifar10"
    with pytest.raises(
        UserError, match="have 32 pixels and model.image_size is 16: set data.resize_on=host"
    ):
        make(config)
