"""Finds a head that somebody called otherwise: the one linear layer that is left over."""

from __future__ import annotations

import re

import numpy as np

from models.weights.names.libraries.timm import PROJECTION
from models.weights.names.tables import Arrays

# First words of what is no head; timm's own among them.
_NO_HEADS = re.compile(
    r"(?:blocks\w*|layers|stages|norm\w*|fc_norm|norm_pre|patch_embed|pos_embed|pre_logits|"
    r"head_dist|\w*token\w*|\w*(?:proj|pred|decod|mask|neck|text|queue)\w*)(?:\.|$)"
)
_LAYER = re.compile(r"head\.\d+\.")  # of MoCo


def name_head(arrays: Arrays) -> tuple[list[str], list[str]]:
    """Calls a head that has another name `head`, and drops a head of several layers.

    Args:
        arrays: of a ViT, with timm's names where they are known; they change.

    Returns:
        The names of the arrays that were dropped, and what is said of it.
    """
    lone = _lone_head(arrays)
    if lone:
        for leaf in ("weight", "bias"):
            arrays[f"head.{leaf}"] = arrays.pop(f"{lone}.{leaf}")
        return [], [f"{lone} was taken for head"]
    dropped = [name for name in arrays if _LAYER.match(name)]
    for name in dropped:
        del arrays[name]
    return dropped, [f"dropped {PROJECTION} ({len(dropped)} arrays)"] if dropped else []


def _lone_head(arrays: Arrays) -> str:
    """Returns the name of the only linear layer that is left over, such as `fc`; empty for none."""
    token = arrays.get("patch_embed.proj.weight")
    if token is None or token.ndim != 4 or "head.weight" in arrays:
        return ""
    stems = {
        name.rpartition(".")[0]
        for name, array in arrays.items()
        if not _NO_HEADS.match(name) and name.endswith((".weight", ".bias")) and array.ndim
    }
    found = [stem for stem in stems if _is_head(arrays, stem, len(token))]
    return found[0] if len(found) == len(stems) == 1 else ""


def _is_head(arrays: Arrays, stem: str, width: int) -> bool:
    none = np.zeros(())
    weight, bias = arrays.get(f"{stem}.weight", none), arrays.get(f"{stem}.bias", none)
    sides = [width, *bias.shape]
    return weight.ndim == 2 and sorted(weight.shape) == sorted(sides)
