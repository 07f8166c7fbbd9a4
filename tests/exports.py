"""Weights to export: small models of each family, untrained, and one that knows the digits."""

from __future__ import annotations

from pathlib import Path

import paddle
import pytest

import models
from configs import default
from engine.state import run_weights
from inference import Classifier, load

DIGITS = tuple("0123456789")
needs_paddle_3 = pytest.mark.skipif(paddle.__version__.startswith("2."), reason="needs Paddle 3")


def config_of(name: str, size: int, classes: int = 10, **fields):
    """Returns the whole config of a model on the digits; `fields` are others of its `model`."""
    config = default.get_config()
    config.data.update(name="digits", eval_crop=1.0, interpolation="bicubic")
    config.data.exif_orientation = "apply"
    config.model.update(name=name, image_size=size, num_classes=classes, **fields)
    config.model.update(mean=(0.4, 0.45, 0.5), std=(0.2, 0.25, 0.3))
    return config


def untrained(path: Path, config, classes: tuple[str, ...] = DIGITS) -> Classifier:
    """Writes weights of a model as it is made, with other numbers in its batch norms."""
    paddle.seed(0)
    model = models.build(config.model)
    for layer in model.sublayers():
        if isinstance(layer, paddle.nn.BatchNorm2D):
            layer._mean.set_value(0.1 * paddle.randn(layer._mean.shape))
            layer._variance.set_value(1 + paddle.rand(layer._variance.shape))
    run_weights.save(path, run_weights.arrays_of(model), config, classes)
    return load(path)
