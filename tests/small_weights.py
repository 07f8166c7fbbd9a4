"""Small weights of this project and of another library, with random values."""

from __future__ import annotations

import json

import paddle

import models
from configs import default
from engine.plan import resolve_config
from engine.state import run_weights
from models.weights.names import layouts

CLASSES = ("猫", "a/b", "🐶 <dog>")
SIZE = 16


def write_own(path, classes=CLASSES, size=SIZE):
    """Writes weights of this project with random values; returns their path."""
    config = default.get_config()
    config.data.update(name="folder", eval_crop=0.875, interpolation="bicubic")
    config.model.update(name="vit_n_8", image_size=size, drop_rate=0.1)
    config.unlock()
    config = resolve_config.with_input(config)
    config = resolve_config.with_classes(config, len(classes))
    paddle.seed(5)
    model = models.build(config.model)
    model.head.weight.set_value(model.head.weight * 40)  # so that the classes differ
    run_weights.save(path, run_weights.arrays_of(model), config, tuple(classes))
    return path


def write_timm(folder, classes: int, stated=None):
    """Writes weights with timm's names and layout, without a config of ours."""
    paddle.seed(6)
    model = models.create("vit_n_8", image_size=32, num_classes=classes)
    folder.mkdir(parents=True, exist_ok=True)
    arrays = layouts.to_timm(model, run_weights.arrays_of(model))
    models.write_arrays(folder / "model.safetensors", arrays, None)
    if stated is not None:
        (folder / "config.json").write_text(json.dumps(stated), encoding="utf-8")
    return folder
