"""The names of the official R-Drop code for ViT, and of the code that it is built on.

Sources: https://github.com/dropreg/R-Drop (`vit_src/models/modeling.py`) and
https://github.com/jeonsworld/ViT-pytorch.
"""

from __future__ import annotations

import numpy as np

from common.errors import UserError, listed
from models.weights.names.tables import MERGED, Arrays, Library, renamed, reversed_rows

VIT = Library(
    "the official R-Drop code",
    ("embeddings.patch_embeddings.weight", "encoder.layer.0.attn.query.weight"),
    (
        ("embeddings.cls_token", "cls_token"),
        ("embeddings.position_embeddings", "pos_embed"),
        ("embeddings.patch_embeddings.*", "patch_embed.proj.*"),
        ("encoder.layer.#.attention_norm.*", "blocks.#.norm1.*"),
        ("encoder.layer.#.attn.query.*", "blocks.#.attn.query.*"),
        ("encoder.layer.#.attn.key.*", "blocks.#.attn.key.*"),
        ("encoder.layer.#.attn.value.*", "blocks.#.attn.value.*"),
        ("encoder.layer.#.attn.out.*", "blocks.#.attn.proj.*"),
        ("encoder.layer.#.ffn_norm.*", "blocks.#.norm2.*"),
        ("encoder.layer.#.ffn.fc1.*", "blocks.#.mlp.fc1.*"),
        ("encoder.layer.#.ffn.fc2.*", "blocks.#.mlp.fc2.*"),
        ("encoder.encoder_norm.*", "norm.*"),
        ("head.*", "head.*"),
    ),
    prefixes=("transformer.",),
)


def to_official(arrays: Arrays, origin: str) -> Arrays:
    """Gives arrays the names of the official code, for its `load_state_dict`.

    Args:
        arrays: a plain ViT's, with timm's names and PyTorch's layout.
        origin: names the arrays in errors.

    Raises:
        UserError: when an array has no name there: the official code has plain ViTs alone.
    """
    found, unknown, rows = {}, [], reversed_rows(VIT)
    for name, array in _in_parts(arrays).items():
        theirs = renamed(rows, name)
        unknown += [] if theirs else [name]
        found[f"{theirs}" if name.startswith("head.") else f"transformer.{theirs}"] = array
    if unknown:
        raise UserError(
            f"{origin}: the official R-Drop code has plain ViTs alone, and no name for "
            f"{listed(unknown)}; write it with --to=timm"
        )
    return found


def _in_parts(arrays: Arrays) -> Arrays:
    """Divides `attn.qkv`, `(3D, D)` or `(3D,)`, into query, key and value."""
    parts, whole = next((parts, whole) for parts, whole in MERGED.items() if "qkv" in whole)
    found = {}
    for name, array in arrays.items():
        if whole in name:
            found.update(
                (name.replace(whole, part), piece) for part, piece in zip(parts, np.split(array, 3))
            )
        else:
            found[name] = array
    return found
