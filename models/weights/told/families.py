"""Tells Swin and CaiT from the shapes of their arrays."""

from __future__ import annotations

import math
import re
from collections.abc import Iterable, Mapping
from typing import Any

import numpy as np

from models.abilities import made_from
from models.families.cait import CaiT
from models.families.swin import Swin
from models.registry import MODELS
from models.weights.told.parts import CAIT

_SWIN = "layers.0.blocks.0.attn.relative_position_bias_table"
_PATCH = 16  # pixels, of every CaiT


def names_of(arrays: Mapping[str, np.ndarray]) -> list[str]:
    """Returns the Swin or the CaiT that have arrays of these shapes; [] for other families.

    Args:
        arrays: with timm's names.
    """
    patches = arrays.get("patch_embed.proj.weight")
    if patches is None or patches.ndim != 4:
        return []
    if CAIT in arrays:
        return _caits(arrays, len(patches))
    table = arrays.get(_SWIN)
    if table is None or table.ndim != 2:
        return []
    window = (math.isqrt(len(table)) + 1) // 2
    shape = {"embed_dim": len(patches), "window_size": window, "depths": _depths(arrays)}
    return _fitting(Swin, shape)


def _caits(arrays: Mapping[str, np.ndarray], width: int) -> list[str]:
    depth = _count(arrays, r"blocks\.(\d+)\.")
    names = _fitting(CaiT, {"embed_dim": width, "depth": depth})
    places = arrays["pos_embed"].shape[-2] if arrays.get("pos_embed", np.zeros(0)).ndim > 1 else 0
    side = _PATCH * math.isqrt(places)
    return [name for name in names if MODELS[name].image_size == side] or names


def _depths(arrays: Mapping[str, np.ndarray]) -> tuple[int, ...]:
    stages = _count(arrays, r"layers\.(\d+)\.")
    return tuple(_count(arrays, rf"layers\.{stage}\.blocks\.(\d+)\.") for stage in range(stages))


def _count(names: Iterable[str], pattern: str) -> int:
    """Returns how many different numbers stand in names of a form."""
    return len({found.group(1) for name in names if (found := re.match(pattern, name))})


def _fitting(family: type, shape: dict[str, Any]) -> list[str]:
    """Returns the models of a family with these sizes."""
    kinds = {name: made_from(spec) for name, spec in MODELS.items()}
    return [
        name
        for name, (kind, sizes) in kinds.items()
        if kind is family and all(sizes[key] == value for key, value in shape.items())
    ]
