"""Makes models by name, or from the `model` part of a config."""

from __future__ import annotations

import paddle
from paddle import nn

from common.errors import UserError, nearest
from models.input_images import InputStats
from models.layers.dropout import DropRates
from models.layers.dropout_masks import Rate
from models.registry import MODELS
from models.specs import Head
from models.weights.stated_input import stated_input

TRAIN_HEADS = (
    "average",
    "each",
    "class",
    "distillation",
)  # what a distilled model gives in training
EVAL_HEADS = ("", "average", "class", "distillation")  # and in evaluation; empty: what fits


def create(
    name: str,
    num_classes: int = 1000,
    image_size: int | tuple[int, int] = 0,
    drop_rate: Rate = 0.0,
    attn_drop_rate: float = 0.0,
    drop_path_rate: float = 0.0,
    embed_drop_rate: Rate | None = None,
    proj_drop_rate: Rate | None = None,
    mlp_drop_rate: Rate | None = None,
    head_init: str = "normal",
    train_head: str = "average",
    eval_head: str = "",
    shared_blocks: int = 0,
) -> nn.Layer:
    """Make a model with fresh weights, drawn from `paddle.seed`.

    Args:
        name: a key of `MODELS`.
        num_classes: of the head.
        image_size: of the input in pixels: its side, or its height and width; 0 for the model's
            own.
        drop_rate: dropout behind the position embedding, the projection of the attention, and in
            the MLP: one for all copies of an image, or a tuple with one for each.
        attn_drop_rate: dropout of the attention weights.
        drop_path_rate: stochastic depth of the last block; it grows linearly from 0 in the first
            (CaiT: of all).
        embed_drop_rate: in place of `drop_rate` behind the position embedding (None: the same).
        proj_drop_rate: in place of `drop_rate` behind the projection (None: the same).
        mlp_drop_rate: in place of `drop_rate` in the MLP (None: the same).
        head_init: `normal` or `zero`.
        train_head: of a distilled model, what training is given: the `average` of its two heads,
            `each` (logits `(B, 2, C)`), or one: `class`, `distillation`. Without meaning for other
            models.
        eval_head: likewise in evaluation, `average`, `class` or `distillation`; empty: what fits
            `train_head`.
        shared_blocks: so many of the first blocks have no noise, and run once for all copies.

    Raises:
        UserError: for an unknown name, a rate outside 0 to 1, an image size that the patches do not
            divide, or more shared blocks than there are.
    """
    spec = spec_of(name)
    if not isinstance(num_classes, int) or num_classes < 1:
        raise UserError(f"model {name}: num_classes is {num_classes!r}, expected 1 or more")
    for field, value, choices in (
        ("head_init", head_init, ("normal", "zero")),
        ("train_head", train_head, TRAIN_HEADS if spec.distilled else ("average",)),
        ("eval_head", eval_head, EVAL_HEADS if spec.distilled else ("", "average")),
    ):
        if value not in choices:
            raise UserError(
                f"model {name}: {field} is {value!r}, expected one of {', '.join(filter(None, choices))}"
            )
    embedding, projection, mlp = (
        drop_rate if rate is None else rate
        for rate in (embed_drop_rate, proj_drop_rate, mlp_drop_rate)
    )
    rates = DropRates(embedding, attn_drop_rate, projection, mlp, drop_path_rate)
    for field, rate in rates._asdict().items():
        if not all(0 <= one < 1 for one in (rate if isinstance(rate, tuple) else (rate,))):
            raise UserError(f"model {name}: the {field} drop rate is {rate}, expected 0 to below 1")
    try:
        with (
            paddle.utils.unique_name.guard()
        ):  # optimisers key their state by these names: the same in every process
            head = Head(num_classes, head_init, train_head, eval_head)
            model = spec.build(image_size or spec.image_size, rates, head)
        model.share(shared_blocks)
    except ValueError as error:
        raise UserError(f"model {name}: {error}") from None
    return model


def build(config, drop_rates: tuple[float, ...] = (), shared_blocks: int = 0) -> nn.Layer:
    """Make the model of `config.model` (see `configs/default.py`); negative drop rates there mean
    `drop_rate`.

    Args:
        config: the `model` part of a config.
        drop_rates: in place of `drop_rate`, one for each copy; empty: `drop_rate` for all.
        shared_blocks: see `create`.
    """
    rates = {
        field: None if config[field] < 0 else config[field]
        for field in ("embed_drop_rate", "proj_drop_rate", "mlp_drop_rate")
    }
    rates["drop_rate"] = tuple(drop_rates) or config.drop_rate
    same = (
        "name",
        "num_classes",
        "image_size",
        "attn_drop_rate",
        "drop_path_rate",
        "head_init",
        "eval_head",
    )
    two_heads = (
        is_distilled(config.name) or config.train_head != "each"
    )  # the default has no meaning for one head
    train_head = config.train_head if two_heads else "average"
    fields = {field: config[field] for field in same}
    model = create(**fields, **rates, train_head=train_head, shared_blocks=shared_blocks)
    if config.operators == "plain":
        model.use_plain_operators()
    return model


def is_distilled(name: str) -> bool:
    """Whether a model has a head for distillation beside that for classes."""
    return spec_of(name).distilled


def input_stats(name: str, source: str = "") -> InputStats:
    """What weights expect of images: what their source says, else what is usual for the model.

    Raises:
        UserError: when the model is not known, or the source can't be read.
    """
    stated = stated_input(source) if source else None
    return spec_of(name).stats._replace(**stated or {})


def native_size(name: str) -> int:
    """The side of the square input that a model is made for, in pixels."""
    return spec_of(name).image_size


def spec_of(name: str):
    if name not in MODELS:
        raise UserError(f"model {name!r} is not known{nearest(name, MODELS)}")
    return MODELS[name]
