"""Compares what weights tell of their model with the model that they are loaded into."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from common.errors import UserError, listed
from models import part_texts
from models.families.parts import Parts
from models.families.vit import VisionTransformer
from models.multipass import MultiPass
from models.weights.reading import Weights
from models.weights.told.architecture import UNSEEN, architecture_of, differs, models_of
from models.weights.told.parts import Shape, parts_of, shape_of
from models.weights.told.stated_grids import stated_grid, stated_positions

# What people call the parts.
_WORDS = {
    "layer_scale": "LayerScale",
    "registers": "register tokens",
    "class_token": "a class token",
    "class_position": "whether the class token has a place in the position embedding; the places "
    "are a square grid either with or without one (timm's no_embed_class)",
    "norm_pre": "a norm before the blocks, as in CLIP",
    "patch_bias": "a bias of the patch projection",
    "qkv_bias": "a bias of queries, keys and values",
    "qk_norm": "norms of queries and keys",
    "norm_epsilon": "the epsilon of the norms",
    "activation": "the activation",
    "mlp": "the kind of MLP",
    "pool": "the pooling (the mean of the tokens is avg)",
    "pool_prefix": "whether the mean takes the special tokens",
    "final_norm": "a norm behind the blocks",
    "fc_norm": "a norm behind the mean of the tokens",
    "heads": "the number of attention heads",
    "positions": "a position embedding; without one, the weights have rotary positions, as DINOv3",
    "rope": "rotary positions, as in EVA-02 (eva) and DINOv3 (dinov3)",
    "rope_theta": "the base of rotary positions",
    "key_bias": "a bias of keys, which EVA and DINOv3 lack",
    "attention_norm": "a norm inside the attention",
    "mlp_norm": "a norm inside the MLP",
}
_SAME_EPSILON = 2e-6  # a smaller difference is rounding


def check_parts(model: MultiPass, weights: Weights, stated: bool) -> list[str]:
    """Checks that weights are of the parts that a model has.

    Args:
        model: made by `models.create`.
        weights: to be loaded into it.
        stated: whether what only `config.json` says must agree, too; False where the user has
            decided.

    Returns:
        What a user should know, a sentence each.

    Raises:
        UserError: naming what differs.
    """
    shape = shape_of(weights.arrays)
    if shape is None or not isinstance(model, VisionTransformer):
        return []
    _check_distilled(shape, model, weights.origin)
    own = model.parts._replace(heads=model.blocks[0].attn.heads)
    told = _told(weights, shape, model, stated)
    differing = {key: value for key, value in told.items() if _differs(key, value, own)}
    if differing:
        raise UserError(_refusal(weights, differing, own))
    return _assumed(weights, own)


def _check_distilled(shape: Shape, model: VisionTransformer, origin: str) -> None:
    distilled = "dist_token" in model.special_tokens
    if shape.distilled and not distilled:
        raise UserError(
            f"{origin}: is of a distilled model, with a second token and head for the teacher, "
            "which the model lacks: name a model that is distilled (deit_s_distilled, ...)"
        )
    if distilled and not shape.distilled:
        raise UserError(
            f"{origin}: is of a plain model, without distillation, but the model is distilled: "
            "name one that is plain (deit_s, ...)"
        )


def _told(weights: Weights, shape: Shape, model: VisionTransformer, stated: bool) -> dict[str, Any]:
    told = parts_of(weights.arrays)
    places = weights.arrays.get("pos_embed")
    count, grid = 0 if places is None else places.shape[-2], model.grid[0] * model.grid[1]
    if count == grid:  # what fits the model's own grid is not guessed
        told["class_position"] = False
    elif count == grid + _special(model):
        told["class_position"] = True
    told.update(stated_positions(weights))
    if shape.heads:
        told["heads"] = shape.heads
    if stated:
        said = weights.description.parts
        told.update({key: value for key, value in said.items() if key in UNSEEN})
    return told


def _special(model: VisionTransformer) -> int:
    """Returns the number of special tokens of a model."""
    return len(model.read_tokens) * model.parts.class_token + model.parts.registers


def _differs(key: str, value: Any, own: Parts) -> bool:
    if key == "norm_epsilon":
        return abs(value - own.norm_epsilon) > _SAME_EPSILON
    if key == "pool" and value == "avg":
        return own.pool == "token"
    if key == "class_position" and not (own.class_token or own.registers):
        return False
    return differs(key, value, own)


def _refusal(weights: Weights, differing: Mapping[str, Any], own: Parts) -> str:
    lines = [
        f"{key}={_shown(value)} here and {_shown(getattr(own, key))} in the model "
        f"({_WORDS.get(key, key)}{_origin(key, weights)})"
        for key, value in differing.items()
    ]
    return (
        f"{weights.origin}: its parts are not those of the model: {'; '.join(lines)}; "
        "--config.model.parts=auto takes them from the weights"
    )


def _shown(value: Any) -> Any:
    return "none" if value == "" else value


def _origin(key: str, weights: Weights) -> str:
    stated = key in UNSEEN and key in weights.description.parts
    return f", as {weights.description.origin} says" if stated else ""


def _assumed(weights: Weights, own: Parts) -> list[str]:
    """Returns where what no array shows comes from: `config.json`, or the model itself."""
    said, origin = weights.description.parts, weights.description.origin
    words = {
        "heads": f"{own.heads} heads",
        "activation": own.activation if own.mlp == "plain" else "",
        "rope": f"rotary positions of {own.rope}" if own.rope else "",
        "pool": f"pooling by {own.pool}" if own.pool != "token" else "the class token",
    }
    words = {key: word for key, word in words.items() if word}
    agreed = [word for key, word in words.items() if said.get(key) == getattr(own, key)]
    left = [word for word in words.values() if word not in agreed]
    found = [f"{', '.join(agreed)}: as {origin} says"] if agreed else []
    if left:
        found.append(f"{', '.join(left)}: as the model has it, no array tells")
    if own.norm_pre and "activation" not in said:
        found.append("weights of OpenAI's CLIP need activation=quick_gelu, those of LAION gelu")
    return found


def described(weights: Weights) -> str:
    """Returns which model weights are of, for people; empty where it can't be told."""
    shape = shape_of(weights.arrays)
    try:
        found = architecture_of(weights)
        name = found.name + (f" with {part_texts.write(found.parts)}" if found.parts else "")
    except UserError:
        name = _by_shape(shape, weights) if shape else weights.library
    size = _size(shape, weights) if shape and " px" not in name else ""
    head = weights.arrays.get("head.bias", weights.arrays.get("head.fc.bias"))
    classes = f" for {len(head)} classes" if head is not None and head.ndim == 1 else ""
    return f"{name}{size}{classes}" if name else ""


def _size(shape: Shape, weights: Weights) -> str:
    """Returns the size of the images, for people; empty where it is not known."""
    stated = stated_grid(weights)
    height, width = (side * shape.patch for side in (stated.sides if stated else shape.grid))
    if not height:
        return ""
    return f" at {height} px" if height == width else f" at {height} x {width} px"


def _by_shape(shape: Shape, weights: Weights) -> str:
    """Returns which models are of a shape that several have, or none."""
    names = models_of(shape, weights)
    return f"a ViT of {shape.said()}{f', as {listed(names)}' if names else ''}"
