"""Transforms: shapes, statistics of the random crop, exact positions of the central one."""

from __future__ import annotations

import math

import numpy as np
import pytest
from PIL import Image

from configs import default
from data.transforms import EvalTransform, TrainTransform, central_crop, crop_box, padded_crop, random_resized_crop


def test_crop_box_statistics():
    """Area uniform in its range, logarithm of the aspect uniform; fallback boxes are rare for a wide image."""
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
    assert crop_box(10, 200, (1.0, 1.0), (3 / 4, 4 / 3), np.random.default_rng(0)) == (0, 93, 10, 13)


def test_random_resized_crop_is_crop_then_resize():
    image = np.random.default_rng(1).integers(0, 256, (40, 50, 3), dtype=np.uint8)
    found = random_resized_crop(image, 24, (0.2, 0.5), (0.75, 4 / 3), "bicubic", np.random.default_rng(5))
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
