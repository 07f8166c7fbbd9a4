"""Classifiers with random weights, for tests of what asks them."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import paddle

import models
from configs import default
from engine.state import run_weights
from inference.classifier import Classifier


def classifier_of(model, size=8, classes=5) -> Classifier:
    """Returns a classifier with a model; its parameters become larger, so that it is decided."""
    config = default.get_config()
    config.model.image_size, config.data.eval_crop = size, 1.0
    config.model.mean = config.model.std = (0.5,) * 3
    names = tuple(f"class {number}" for number in range(classes))
    return Classifier(model, config, names, "random weights")


def made(name: str, size=8, classes=5, **fields) -> Classifier:
    """Returns a classifier with a model of the registry."""
    paddle.seed(0)
    model = models.create(name, num_classes=classes, image_size=size, **fields)
    return classifier_of(model, max(size) if isinstance(size, tuple) else size, classes)


def disturb(model, scale=0.3):
    """Adds noise to all parameters: fresh ones make every attention weight nearly the same."""
    rng = np.random.default_rng(0)
    for parameter in model.parameters():
        noise = rng.normal(0, scale, parameter.shape)
        parameter.set_value(parameter.numpy() + noise.astype("float32"))


def random_images(count=3, height=8, width=8):
    """Returns uint8 images `(B, 3, H, W)`, the same at every call."""
    return np.random.default_rng(0).integers(0, 256, (count, 3, height, width), dtype=np.uint8)


def store(path: Path, classes: tuple[str, ...]) -> Path:
    """Writes a small ViT with dropout for images of 8 pixels."""
    classifier = made("vit_n_2", classes=len(classes), drop_rate=0.1)
    disturb(classifier.model)
    config = classifier.config
    config.model.update(name="vit_n_2", num_classes=len(classes), drop_rate=0.1)
    run_weights.save(path, run_weights.arrays_of(classifier.model), config, classes)
    return path
