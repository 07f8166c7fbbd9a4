"""Tells the parts of a ViT from its arrays; no array shows the activation, for example."""

from __future__ import annotations

import math
from collections.abc import Mapping
from typing import Any, NamedTuple

import numpy as np

CAIT = "blocks_token_only.0.gamma_1"  # an array that only CaiT has
_LAYER_SCALE = 1e-5  # timm's initial value; the weights bring their own
_BIAS_OF_ALL, _BIAS_OF_QUERIES = "blocks.0.attn.qkv.bias", "blocks.0.attn.q_bias"


class Shape(NamedTuple):
    """The sizes of a ViT, as its arrays tell them; 0 where they do not."""

    width: int
    depth: int
    patch: int  # pixels
    hidden: int  # outputs of the MLP's first layer; of SwiGLU, of its two halves together
    grid: tuple[int, int]  # of the positions; (0, 0): not known
    distilled: bool
    heads: int = 0

    def said(self) -> str:
        """Returns the sizes for people."""
        side = self.grid[0] * self.patch
        known = f" and images of {side} px" if side else ""
        distilled = " with a distillation token" if self.distilled else ""
        return (
            f"width {self.width}, {self.depth} blocks, patches of {self.patch} px{known}{distilled}"
        )


def shape_of(arrays: Mapping[str, np.ndarray]) -> Shape | None:
    """Returns the sizes of a ViT; None where the arrays are of something else.

    Args:
        arrays: with timm's names, in PyTorch's layout or Paddle's.
    """
    patches, bias = arrays.get("patch_embed.proj.weight"), arrays.get("blocks.0.mlp.fc1.bias")
    if CAIT in arrays:
        return None
    if patches is None or bias is None or patches.ndim != 4 or bias.ndim != 1 or not patches.size:
        return None
    width, _, patch, _ = patches.shape
    numbers = {name.split(".")[1] for name in arrays if name.startswith("blocks.")}
    norm = arrays.get("blocks.0.attn.q_norm.weight")
    heads = width // len(norm) if norm is not None and norm.ndim == 1 and len(norm) else 0
    grid = _grid(arrays)
    return Shape(width, len(numbers), patch, len(bias), grid, "dist_token" in arrays, heads)


def parts_of(arrays: Mapping[str, np.ndarray]) -> dict[str, Any]:
    """Returns the parts that the arrays show, as fields of `Parts`.

    Args:
        arrays: of a ViT, with timm's names.
    """
    bias = arrays["blocks.0.mlp.fc1.bias"]
    class_token, pooled = "cls_token" in arrays, "fc_norm.weight" in arrays
    found: dict[str, Any] = {
        "layer_scale": _LAYER_SCALE if "blocks.0.ls1.gamma" in arrays else 0.0,
        "registers": count_of(arrays, "reg_token"),
        "class_token": class_token,
        "class_position": _class_position(arrays),
        "norm_pre": "norm_pre.weight" in arrays,
        "patch_bias": "patch_embed.proj.bias" in arrays,
        "qkv_bias": bool(_biases(arrays)),
        "qk_norm": "blocks.0.attn.q_norm.weight" in arrays,
        "mlp": "swiglu" if _is_gated(arrays, len(bias)) else "plain",
        "final_norm": pooled or "norm.weight" in arrays,
        "fc_norm": pooled,
        "attention_norm": "blocks.0.attn.norm.weight" in arrays,
        "mlp_norm": "blocks.0.mlp.norm.weight" in arrays,
        **_rotary(arrays, len(bias)),
    }
    if _biases(arrays):
        found["key_bias"] = _biases(arrays) == [_BIAS_OF_ALL]
    if pooled or not class_token:  # which mean it is, no array shows
        found["pool"] = "avg"
    return found


def _biases(arrays: Mapping[str, np.ndarray]) -> list[str]:
    """Returns the names of the first block's biases of queries and keys."""
    return [name for name in (_BIAS_OF_ALL, _BIAS_OF_QUERIES) if name in arrays]


def _rotary(arrays: Mapping[str, np.ndarray], outputs: int) -> dict[str, Any]:
    """Returns whether positions are rotary, and most likely whose; {} where nothing shows it.

    They are where there is no position embedding but LayerScale, as in all such models. A plain
    ViT without one has lost it. EVA-02 has both; its other arrays show it.
    """
    if "pos_embed" not in arrays:
        if "blocks.0.ls1.gamma" not in arrays:
            return {}
        pooled = "fc_norm.weight" in arrays or "cls_token" not in arrays
        kind = "eva" if pooled else "dinov3" if "reg_token" in arrays else "axial"
        return {"positions": False, "rope": kind}
    if _BIAS_OF_QUERIES in arrays:
        return {"positions": True, "rope": "eva" if _is_gated(arrays, outputs) else ""}
    return {"positions": True}


def _is_gated(arrays: Mapping[str, np.ndarray], outputs: int) -> bool:
    """Returns whether the first layer of the MLP has twice as many outputs as the second takes."""
    second, width = arrays.get("blocks.0.mlp.fc2.weight"), arrays.get("blocks.0.mlp.fc2.bias")
    if second is None or width is None or second.ndim != 2 or not len(width):
        return False
    return second.size // len(width) * 2 == outputs


def count_of(arrays: Mapping[str, np.ndarray], name: str) -> int:
    """Returns the number of tokens `(1, N, D)`."""
    array = arrays.get(name)
    return array.shape[-2] if array is not None and array.ndim > 1 else 0


def special_of(arrays: Mapping[str, np.ndarray]) -> int:
    """Returns the number of class, register and distillation tokens."""
    return sum(count_of(arrays, name) for name in ("cls_token", "reg_token", "dist_token"))


def _class_position(arrays: Mapping[str, np.ndarray]) -> bool:
    """Returns whether the special tokens have places in the position embedding.

    Where both would leave a square grid, registers speak against it, as in timm's weights.
    """
    places, special = count_of(arrays, "pos_embed"), special_of(arrays)
    without, with_them = _is_square(places), _is_square(places - special)
    if with_them and without:
        return not count_of(arrays, "reg_token")
    return with_them or not without


def _grid(arrays: Mapping[str, np.ndarray]) -> tuple[int, int]:
    places = count_of(arrays, "pos_embed")
    count = places - special_of(arrays) * _class_position(arrays)
    return (math.isqrt(count),) * 2 if _is_square(count) else (0, 0)


def _is_square(count: int) -> bool:
    return count > 0 and math.isqrt(count) ** 2 == count
