"""Random erasing: how often, how large, where, with what; and that only an image's key decides."""

from __future__ import annotations

import math
from types import SimpleNamespace

import numpy as np
import paddle
import pytest
from conftest import import_timm

from data import Erasing
from data.augment.erasing import boxes

_SIDE = 40


def _erased(probability: float, mode: str, count: int, images: int = 400) -> np.ndarray:
    """Images of the value 9 after erasing."""
    batch = paddle.full([images, 3, _SIDE, _SIDE], 9.0)
    return Erasing(probability, mode, count)(batch, [(7, place) for place in range(images)]).numpy()


def test_frequency():
    for probability in (0.25, 1.0):
        touched = (_erased(probability, "const", 1) != 9).any(axis=(1, 2, 3))
        assert touched.mean() == pytest.approx(probability, abs=0.06)
    assert not Erasing(0.0, "pixel", 1).active


def _expected_area(side: int) -> float:
    """Returns the mean share of a box that fits, on a fine grid of area and aspect."""
    area, aspect = np.meshgrid(
        np.linspace(0.02, 1 / 3, 400), np.exp(np.linspace(math.log(0.3), -math.log(0.3), 400))
    )
    height, width = (np.rint(side * np.sqrt(area * factor)) for factor in (aspect, 1 / aspect))
    return float((height * width)[(height < side) & (width < side)].mean() / side**2)


def test_areas_aspects_and_places():
    rng = np.random.default_rng(0)
    found = np.array([box for _ in range(4000) for box in boxes(_SIDE, _SIDE, 1, rng)])
    top, left, height, width = found.T
    area = height * width / _SIDE**2
    assert len(found) == 4000
    assert area.mean() == pytest.approx(_expected_area(_SIDE), abs=0.004)
    assert np.quantile(area, [0.01, 0.25, 0.5, 0.75]) == pytest.approx(
        [0.023, 0.095, 0.17, 0.25], abs=0.012
    )
    assert area.max() == pytest.approx(1 / 3, abs=0.02)  # sides are whole pixels
    ratio = np.log(height / width)
    assert ratio.mean() == pytest.approx(0, abs=0.03)
    assert np.abs(ratio).max() == pytest.approx(math.log(1 / 0.3), abs=0.15)
    for first, length in ((top, height), (left, width)):
        place = first / (_SIDE - length)
        assert (first >= 0).all()
        assert (first + length <= _SIDE).all()
        assert (place.mean(), place.var()) == pytest.approx((0.5, 1 / 12), abs=0.012)


def test_several_boxes_share_the_area():
    rng = np.random.default_rng(0)
    for count in (1, 3):
        areas = [
            sum(h * w for _, _, h, w in boxes(_SIDE, _SIDE, count, rng)) / _SIDE**2
            for _ in range(1500)
        ]
        assert np.mean(areas) == pytest.approx((0.02 + 1 / 3) / 2, abs=0.01)
    thirds = (
        np.array([h * w for _ in range(500) for _, _, h, w in boxes(_SIDE, _SIDE, 3, rng)])
        / _SIDE**2
    )
    assert thirds.max() == pytest.approx(1 / 9, abs=0.015)
    # One, two or three boxes are as likely; each has the share of its number, some overlap.
    mean = (_erased(1.0, "const", 3, 600)[:, 0] == 0).mean()
    assert 0.13 < mean < 0.177


def test_modes():
    const, rand, pixel = (_erased(1.0, mode, 1) for mode in ("const", "rand", "pixel"))
    boxes_of = [image != 9 for image in (const, rand, pixel)]
    assert (boxes_of[0] == boxes_of[1]).all()  # the boxes do not depend on what fills them
    assert (boxes_of[0] == boxes_of[2]).all()
    assert set(np.unique(const)) == {0, 9}
    colours = np.array([[np.unique(channel[channel != 9]) for channel in image] for image in rand])
    assert colours.shape == (400, 3, 1)  # one for each box and channel
    for values in (colours, pixel[boxes_of[2]]):
        assert values.mean() == pytest.approx(0, abs=0.1)
        assert values.var() == pytest.approx(1, abs=0.13)
    first = pixel[0][boxes_of[2][0]].reshape(3, -1)
    assert len(np.unique(first)) == first.size
    # Channels are independent.
    assert np.abs(np.corrcoef(colours[..., 0].T) - np.eye(3)).max() < 0.2


def test_only_the_key_decides():
    """In any order, in any batch, with any other images."""
    images = paddle.to_tensor(
        np.random.default_rng(0).normal(size=(12, 3, 16, 16)).astype("float32")
    )
    keys, erase = [(5, 3, place) for place in range(12)], Erasing(0.6, "pixel", 2)
    whole = erase(images.clone(), keys).numpy()
    parts = [
        erase(images[begin : begin + 4].clone(), keys[begin : begin + 4]).numpy()
        for begin in (8, 0, 4)
    ]
    assert (np.concatenate([parts[1], parts[2], parts[0]]) == whole).all()
    other = erase(images.clone(), [(5, 4, place) for place in range(12)]).numpy()
    assert (other != whole).any()
    untouched = (whole == images.numpy()).all(axis=(1, 2, 3))
    assert 0 < untouched.sum() < 12


@pytest.mark.slow
@pytest.mark.parametrize("count", [1, 3])
def test_live_boxes_are_timms(count, monkeypatch):
    """Drawn by the same numbers."""
    import_timm()
    import torch
    from timm.data import random_erasing

    for seed in range(600):
        rng = np.random.default_rng(seed)
        script = SimpleNamespace(
            random=rng.random,
            uniform=rng.uniform,
            randint=lambda low, high, rng=rng: int(rng.integers(low, high + 1)),
        )
        monkeypatch.setattr(random_erasing, "random", script)
        theirs = random_erasing.RandomErasing(0.5, mode="const", max_count=count, device="cpu")
        expected = theirs(torch.full((3, 33, 33), 9.0)).numpy()
        found = Erasing(0.5, "const", count)(paddle.full([1, 3, 33, 33], 9.0), [seed]).numpy()[0]
        assert (found == expected).all(), seed
