"""Builds the model of a config, and loads the pretrained weights that it names."""

from __future__ import annotations

from typing import Any

import paddle
from ml_collections import ConfigDict
from paddle import nn

import models
from common.reading import sha256
from engine import distributed
from engine.step import mixed_precision


def build_model(config: ConfigDict) -> nn.Layer:
    """Makes the model of a resolved config with fresh weights, the same on every rank."""
    paddle.seed(config.seed)
    model = models.build(config.model, config.rdrop.drop_rates, config.rdrop.shared_blocks)
    models.freeze(model, config.model.trainable, config.model.image_size)
    if config.train.recompute:
        model.recompute()
    mixed_precision.apply(model, config.train)
    return model


def load_pretrained(
    model: nn.Layer, config: ConfigDict, classes: tuple[str, ...]
) -> dict[str, Any]:
    """Loads the pretrained weights that a config names, if any.

    Args:
        model: of the config.
        config: a resolved one.
        classes: the data set's; with `model.pretrained_head=imagenet` their part is cut out of the
            head. When they are not known (in a dry run), the head stays new.

    Returns:
        What was loaded: `source`, `sha256` and the fields of `models.Report`; {} without weights.
    """
    source, choice = config.model.pretrained, config.model.pretrained_head
    if not source:
        return {}
    rows = (
        models.imagenet_rows(classes) if choice == "imagenet" else None if choice == "auto" else ()
    )
    report = models.load_weights(model, source, rows)
    distributed.say(f"pretrained weights: {source}: {report.summary()}")
    return {"source": source, "sha256": sha256(models.locate(source)), **report._asdict()}
