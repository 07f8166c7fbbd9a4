"""Makes models by name, or from the `model` part of a config."""

from __future__ import annotations

from typing import Any

import paddle
from paddle import nn

from common.errors import UserError, nearest
from models import part_texts
from models.builders import Head, ImageSize, Spec
from models.families import residual_norms
from models.input_images import InputStats
from models.layers import DropRates, Rate
from models.multipass import MultiPass
from models.registry import MODELS, SUGGESTED
from models.weights.stated.stated_input import stated_input

# The logits of a distilled model in training and in evaluation; empty: what fits the training.
TRAIN_HEADS = ("average", "each", "class", "distillation")
EVAL_HEADS = ("", "average", "class", "distillation")
# The weights of a new head: as the model's own code draws them, 0, or as in arXiv:1706.02677.
HEAD_INITS = ("normal", "zero", "normal_0.01")


def create(
    name: str,
    num_classes: int = 1000,
    image_size: ImageSize = 0,
    drop_rate: Rate = 0.0,
    attn_drop_rate: float = 0.0,
    drop_path_rate: float = 0.0,
    embed_drop_rate: Rate | None = None,
    proj_drop_rate: Rate | None = None,
    mlp_drop_rate: Rate | None = None,
    head_init: str = "normal",
    zero_gamma: bool = False,
    train_head: str = "average",
    eval_head: str = "",
    shared_blocks: int = 0,
    **parts: Any,
) -> MultiPass:
    """Makes a model with fresh weights, drawn from `paddle.seed`.

    Args:
        name: a key of `MODELS`.
        num_classes: of the head.
        image_size: of the input, in pixels; 0 for the native size of the model.
        drop_rate: dropout behind the position embedding, behind the projection of the attention,
            and in the MLP: one for all copies of an image, or a tuple with one for each.
        attn_drop_rate: dropout of the attention weights.
        drop_path_rate: stochastic depth of the last block. It grows linearly from 0 in the first
            block; in CaiT it is the same in all blocks.
        embed_drop_rate: replaces `drop_rate` behind the position embedding, unless None.
        proj_drop_rate: replaces `drop_rate` behind the projection, unless None.
        mlp_drop_rate: replaces `drop_rate` in the MLP, unless None.
        head_init: `normal` (as the model's own code draws it), `zero`, or `normal_0.01`: weights
            from N(0, 0.01), biases 0.
        zero_gamma: whether the scale of each residual block's last batch norm begins at 0.
        train_head: logits of a distilled model in training: the `average` of its two heads, `each`
            (`(B, 2, C)`), or one head: `class`, `distillation`. Other models have `average`.
        eval_head: logits of a distilled model in evaluation: `average`, `class` or `distillation`;
            empty: what fits `train_head`.
        shared_blocks: number of leading blocks without noise, which run once for all copies.
        parts: fields of `models.families.parts.Parts` that a ViT or DeiT has otherwise than the
            model of that name.

    Raises:
        UserError: for an unknown name, a rate outside 0 to 1, an image size that the patches do not
            divide, more shared blocks than there are, parts that the model can't have, or
            `zero_gamma` of one without such blocks.
    """
    spec = spec_of(name)
    head = Head(num_classes, head_init, train_head, eval_head)
    _check_head(name, head, spec.distilled)
    embedding, projection, mlp = (
        drop_rate if rate is None else rate
        for rate in (embed_drop_rate, proj_drop_rate, mlp_drop_rate)
    )
    rates = DropRates(embedding, attn_drop_rate, projection, mlp, drop_path_rate)
    for field, rate in rates._asdict().items():
        if not all(0 <= one < 1 for one in (rate if isinstance(rate, tuple) else (rate,))):
            raise UserError(f"model {name}: the {field} drop rate is {rate}, expected 0 to below 1")
    try:
        size = image_size or spec.image_size
        if spec.unit and (not isinstance(size, int) or size % spec.unit or size < 1):
            raise ValueError(f"image_size is {size}, expected one side, a multiple of {spec.unit}")
        # Optimisers key their state by the names of parameters: the same in every process.
        with paddle.utils.unique_name.guard():
            model = spec.make(size, rates, head, **_parts(spec, parts))
        model.registry_name = name
        model.share_blocks(shared_blocks)
        if zero_gamma:
            residual_norms.begin_as_identity(model)
    except ValueError as error:
        raise UserError(f"model {name}: {error}") from None
    if head_init != "normal":
        _init_heads(model, head_init)
    return model


def _init_heads(model: MultiPass, kind: str) -> None:
    """Sets the heads to `zero` or `normal_0.01`; see `create`."""
    for key, parameter in model.state_dict().items():
        if not model.is_in_head(key):
            continue
        if kind == "zero" or parameter.ndim == 1:  # a bias
            parameter.set_value(paddle.zeros_like(parameter))
        else:
            parameter.set_value(paddle.normal(0.0, 0.01, parameter.shape))


def _parts(spec: Spec, fields: dict[str, Any]) -> dict[str, Any]:
    """Returns the parts of a ViT as a keyword of its `make`; nothing for another family."""
    if spec.parts is not None:
        return {"parts": spec.parts.with_fields(fields)}
    if fields:
        raise ValueError(f"{', '.join(fields)}: only ViT and DeiT have such parts")
    return {}


def _check_head(name: str, head: Head, distilled: bool) -> None:
    if not isinstance(head.num_classes, int) or head.num_classes < 1:
        raise UserError(f"model {name}: num_classes is {head.num_classes!r}, expected 1 or more")
    for field, value, choices in (
        ("head_init", head.init, HEAD_INITS),
        ("train_head", head.train, TRAIN_HEADS if distilled else ("average",)),
        ("eval_head", head.evaluate, EVAL_HEADS if distilled else ("", "average")),
    ):
        if value not in choices:
            expected = ", ".join(filter(None, choices))
            raise UserError(f"model {name}: {field} is {value!r}, expected one of {expected}")


def build(model_config, drop_rates: tuple[float, ...] = (), shared_blocks: int = 0) -> nn.Layer:
    """Makes the model of a config (see `configs/default.py`).

    Args:
        model_config: the `model` part of a config. Negative drop rates there mean `drop_rate`.
        drop_rates: replaces `drop_rate` by one rate for each copy, unless empty.
        shared_blocks: see `create`.
    """
    # `each` is the default of configs, and means nothing to a model with one head.
    one_head = model_config.train_head == "each" and not is_distilled(model_config.name)
    same = ("num_classes", "image_size", "attn_drop_rate", "drop_path_rate")
    same += ("head_init", "zero_gamma")
    own = ("embed_drop_rate", "proj_drop_rate", "mlp_drop_rate")
    model = create(
        model_config.name,
        drop_rate=tuple(drop_rates) or model_config.drop_rate,
        train_head="average" if one_head else model_config.train_head,
        eval_head=model_config.eval_head,
        shared_blocks=shared_blocks,
        **part_texts.parse(model_config.parts)[1],
        **{field: model_config[field] for field in same},
        **{field: None if model_config[field] < 0 else model_config[field] for field in own},
    )
    if model_config.operators == "plain":
        model.use_plain_operators()
    return model


def is_distilled(name: str) -> bool:
    """Returns whether a model has a head for distillation in addition to that for classes."""
    return spec_of(name).distilled


def input_stats(name: str, source: str = "") -> InputStats:
    """Returns the images that weights expect, as their source says, or else as is usual.

    Args:
        name: of the model, which decides where the source says nothing.
        source: of the weights; empty for none.

    Raises:
        UserError: when the model is not known, or the source can't be read.
    """
    stated = stated_input(source) if source else None
    return spec_of(name).stats._replace(**stated or {})


def native_size(name: str) -> int:
    """Returns the side of the square images that a model is made for, in pixels."""
    return spec_of(name).image_size


def spec_of(name: str) -> Spec:
    """Returns the spec of a model; raises `UserError` for an unknown name."""
    if name not in MODELS:
        raise UserError(f"model {name!r} is not known{nearest(name, SUGGESTED)}")
    return MODELS[name]
