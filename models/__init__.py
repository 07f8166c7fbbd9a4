"""Models by name: `create`, `build` from a config, and pretrained weights."""

from __future__ import annotations

import paddle
from paddle import nn

from common.errors import UserError, nearest
from models.dropout import random_layers
from models.registry import MODELS, InputStats
from models.vit import DropRates
from models.weights import Report, assign, is_local, load_weights

__all__ = [
    "MODELS",
    "Report",
    "assign",
    "build",
    "create",
    "input_stats",
    "is_local",
    "load_weights",
    "native_size",
    "random_layers",
]


def create(
    name: str,
    num_classes: int = 1000,
    image_size: int = 0,
    drop_rate: float = 0.0,
    attn_drop_rate: float = 0.0,
    drop_path_rate: float = 0.0,
    embed_drop_rate: float | None = None,
    proj_drop_rate: float | None = None,
    mlp_drop_rate: float | None = None,
    head_init: str = "normal",
) -> nn.Layer:
    """Make a model with fresh weights, drawn from `paddle.seed`.

    Args:
        name: a key of `MODELS`.
        num_classes: of the head.
        image_size: side of the square input in pixels; 0 for the model's own.
        drop_rate: dropout behind the position embedding, the projection of the attention, and in the MLP.
        attn_drop_rate: dropout of the attention weights.
        drop_path_rate: stochastic depth of the last block; it grows linearly from 0 in the first.
        embed_drop_rate: in place of `drop_rate` behind the position embedding (None: the same).
        proj_drop_rate: in place of `drop_rate` behind the projection (None: the same).
        mlp_drop_rate: in place of `drop_rate` in the MLP (None: the same).
        head_init: `normal` or `zero`.

    Raises:
        UserError: for an unknown name, a rate outside 0 to 1, or an image size that the patches do not divide.
    """
    spec = _spec(name)
    embedding, projection, mlp = (
        drop_rate if rate is None else rate for rate in (embed_drop_rate, proj_drop_rate, mlp_drop_rate)
    )
    rates = DropRates(embedding, attn_drop_rate, projection, mlp, drop_path_rate)
    if head_init not in ("normal", "zero"):
        raise UserError(f"model {name}: head_init is {head_init!r}, expected normal or zero")
    for field, rate in rates._asdict().items():
        if not 0 <= rate < 1:
            raise UserError(f"model {name}: the {field} drop rate is {rate}, expected 0 to below 1")
    try:
        with paddle.utils.unique_name.guard():  # optimisers key their state by these names: the same in every process
            return spec.build(image_size, num_classes, rates, head_init)
    except ValueError as error:
        raise UserError(f"model {name}: {error}") from None


def build(config) -> nn.Layer:
    """Make the model of `config.model` (see `configs/default.py`); negative drop rates there mean `drop_rate`."""
    rates = {
        field: None if config[field] < 0 else config[field]
        for field in ("embed_drop_rate", "proj_drop_rate", "mlp_drop_rate")
    }
    same = ("name", "num_classes", "image_size", "drop_rate", "attn_drop_rate", "drop_path_rate", "head_init")
    return create(**{field: config[field] for field in same}, **rates)


def input_stats(name: str) -> InputStats:
    """What the weights of a model expect of images; see `InputStats`."""
    return _spec(name).stats


def native_size(name: str) -> int:
    """The side of the square input that a model is made for, in pixels."""
    return _spec(name).image_size


def _spec(name: str):
    if name not in MODELS:
        raise UserError(f"model {name!r} is not known{nearest(name, MODELS)}")
    return MODELS[name]
