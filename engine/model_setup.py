"""Builds the model of a config, and loads the pretrained weights that it names."""

from __future__ import annotations

from typing import Any

import paddle
from ml_collections import ConfigDict
from paddle import nn

import models
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
    # The parts of the config are what the weights tell, or what the user wants in their place.
    report = models.load_weights(model, source, rows, stated=False)
    report.said.extend(_assumed_pixels(config))
    if keeps_head(model, report._asdict()) and config.model.head_init != "normal":
        report.said.append(
            f"model.head_init={config.model.head_init} has no use: the weights' own head is kept "
            "(--config.model.pretrained_head=new begins with a new one)"
        )
    distributed.say(f"pretrained weights: {source}: {report.summary()}")
    return {"source": source, "sha256": models.digest_of(source), **report._asdict()}


def keeps_head(model: nn.Layer, pretrained: dict[str, Any]) -> bool:
    """Returns whether pretrained weights brought their head.

    Args:
        model: of `models.build`.
        pretrained: what `load_pretrained` returns.
    """
    return any(model.is_in_head(name) for name in pretrained.get("loaded", ()))


def _assumed_pixels(config: ConfigDict) -> list[str]:
    """Returns what is assumed of the pixels, where the weights do not say what they expect."""
    name, source = config.model.name, config.model.pretrained
    usual = models.input_stats(name)
    own = tuple(config.model.mean), tuple(config.model.std)
    known = models.is_published(source) or models.stated_input(source) is not None
    if known or own != (tuple(usual.mean), tuple(usual.std)):  # the user says what they are
        return []
    return [
        f"nothing says which pixels they expect: mean {own[0]} and std {own[1]} were taken, as is "
        f"usual for {name} (--config.model.mean and std set others)"
    ]
