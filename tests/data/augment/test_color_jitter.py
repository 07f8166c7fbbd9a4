"""Colour jitter: each change as torchvision's, factors uniform in their ranges, in every order."""

from __future__ import annotations

import collections

import golden_augmentation as golden
import numpy as np
import pytest
from conftest import import_timm
from PIL import Image, ImageEnhance

from data.augment import color_jitter as module
from data.augment.color_jitter import color_jitter, shift_hue

_GOLDEN = golden.read()


class _Scripted:
    """Replaces a generator: a fixed order, and the next of some factors at each call."""

    def __init__(self, order, factors):
        self.order, self.factors, self.ranges = order, list(factors), []

    def permutation(self, count):
        assert count == len(self.order)
        return np.array(self.order)

    def uniform(self, low, high):
        self.ranges.append((low, high))
        return self.factors.pop(0)


def test_changes_are_those_of_torchvision():
    image = golden.picture()
    for position, name in enumerate(("Brightness", "Contrast", "Color")):
        for factor in golden.FACTORS:
            order = [position, *(set(range(3)) - {position})]
            found = color_jitter(image, 0.4, 0.0, _Scripted(order, [factor, 1.0, 1.0]))
            assert (np.asarray(found) == _GOLDEN[f"{name} {factor}"]).all(), name
    for shift in golden.HUES:
        assert (np.asarray(shift_hue(image, shift)) == _GOLDEN[f"hue {shift}"]).all()
        found = color_jitter(image, 0.0, 0.4, _Scripted([0], [shift]))
        assert (np.asarray(found) == _GOLDEN[f"hue {shift}"]).all()


def test_the_order_matters_and_is_kept():
    image = golden.picture()
    found = color_jitter(image, 0.4, 0.0, _Scripted([2, 0, 1], [1.4, 0.6, 0.7]))
    expected = ImageEnhance.Color(image).enhance(1.4)
    expected = ImageEnhance.Contrast(ImageEnhance.Brightness(expected).enhance(0.6)).enhance(0.7)
    assert (np.asarray(found) == np.asarray(expected)).all()


def test_ranges():
    for strength, low in ((0.4, 0.6), (1.5, 0.0)):  # no factor is negative
        rng = _Scripted([3, 0, 1, 2], [0.1, 1.0, 1.0, 1.0])
        color_jitter(golden.picture(), strength, 0.2, rng)
        assert rng.ranges == [(-0.2, 0.2), *[(low, 1 + strength)] * 3]


def test_factors_are_uniform():
    """A grey image has no contrast and no colour: what is left is the brightness."""
    grey, rng = Image.new("RGB", (4, 4), (100, 100, 100)), np.random.default_rng(0)
    factors = (
        np.array([np.asarray(color_jitter(grey, 0.4, 0.0, rng)).mean() for _ in range(3000)]) / 100
    )
    assert factors.mean() == pytest.approx(1, abs=0.02)
    assert factors.var() == pytest.approx(0.8**2 / 12, rel=0.06)
    assert (factors.min(), factors.max()) == pytest.approx((0.6, 1.4), abs=0.02)


def test_every_order_is_as_likely(monkeypatch):
    orders, done = collections.Counter(), []

    def kind(name):
        return lambda image: type(
            "Change", (), {"enhance": lambda self, factor: done.append(name) or image}
        )()

    for name in ("Brightness", "Contrast", "Color"):
        monkeypatch.setattr(module.ImageEnhance, name, kind(name))
    monkeypatch.setattr(module, "shift_hue", lambda image, shift: done.append("hue") or image)
    rng = np.random.default_rng(0)
    for _ in range(4800):
        color_jitter(golden.picture(), 0.4, 0.1, rng)
        orders[tuple(done)] += 1
        done.clear()
    assert len(orders) == 24
    assert all(count == pytest.approx(200, abs=60) for count in orders.values())


@pytest.mark.slow
def test_live_against_torchvision(monkeypatch):
    import_timm()
    import torch
    from torchvision import transforms

    image = golden.picture(61, 47)
    for seed in range(200):
        rng = np.random.default_rng(seed)
        order, factors = rng.permutation(4).tolist(), rng.uniform(0.6, 1.4, 3).tolist()
        shift = rng.uniform(-0.5, 0.5)
        theirs = transforms.ColorJitter(0.4, 0.4, 0.4, 0.5)
        drawn = torch.tensor(order), *factors, shift
        theirs.get_params = lambda *_, drawn=drawn: drawn
        found = color_jitter(
            image, 0.4, 0.5, _Scripted(order, [[*factors, shift][place] for place in order])
        )
        assert (np.asarray(found) == np.asarray(theirs(image))).all()
