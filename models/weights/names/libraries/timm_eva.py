"""The names of timm's `Eva`, and of the official codes of EVA-02 and DINOv3.

timm calls the arrays of these models otherwise than those of its `VisionTransformer`, whose names
all models have here. Source: https://github.com/huggingface/pytorch-image-models
(`timm/models/eva.py`, version 1.0.31).
"""

from __future__ import annotations

import re

import numpy as np

from models.families.parts import Parts
from models.weights.names.libraries.timm import BUFFERS, PROJECTION, SCALES, TIMM
from models.weights.names.tables import Arrays

_EVA = TIMM._replace(
    name="timm's EVA",
    rows=(
        *SCALES,
        ("blocks.#.attn.q_proj.weight", "blocks.#.attn.query.weight"),
        ("blocks.#.attn.k_proj.weight", "blocks.#.attn.key.weight"),
        ("blocks.#.attn.v_proj.weight", "blocks.#.attn.value.weight"),
        ("blocks.#.attn.q_proj.bias", "blocks.#.attn.q_bias"),
        ("blocks.#.attn.v_proj.bias", "blocks.#.attn.v_bias"),
        ("blocks.#.attn.inner_attn_ln.*", "blocks.#.attn.norm.*"),
        ("blocks.#.mlp.fc1_g.*", "blocks.#.mlp.gate.*"),
        ("blocks.#.mlp.fc1_x.*", "blocks.#.mlp.up.*"),
        ("blocks.#.mlp.w1.*", "blocks.#.mlp.gate.*"),
        ("blocks.#.mlp.w2.*", "blocks.#.mlp.up.*"),
        ("blocks.#.mlp.ffn_ln.*", "blocks.#.mlp.norm.*"),
        *TIMM.rows,
    ),
    dropped=(
        ("rope.**", BUFFERS),
        ("**.rope.**", BUFFERS),
        ("lm_head.**", PROJECTION),
        *TIMM.dropped,
    ),
    kinds=(
        (".ffn_ln.weight", "the official EVA-02 code"),
        (".mlp.w12.weight", "the official EVA-02 code"),
    ),
)
EVAS = tuple(
    _EVA._replace(anchors=("patch_embed.proj.weight", f"blocks.0.{name}"))
    for name in ("attn.q_bias", "attn.q_proj.weight", "mlp.fc1_g.weight")
)
# DINOv3 and RoPE-ViT, which have no bias of their own kind: to be asked for after DeiT III.
BARE_EVA = _EVA._replace(anchors=("patch_embed.proj.weight", "blocks.0.gamma_1"))
# Their bias of keys does not count; `drop_key_biases` is to be called, too.
DINOV3 = TIMM._replace(
    name="the official DINOv3 code",
    anchors=("patch_embed.proj.weight", "storage_tokens"),
    rows=(
        ("storage_tokens", "reg_token"),
        ("blocks.#.mlp.w1.*", "blocks.#.mlp.gate.*"),
        ("blocks.#.mlp.w2.*", "blocks.#.mlp.up.*"),
        *TIMM.rows,
    ),
    dropped=(
        ("rope_embed.**", BUFFERS),
        ("**.qkv.bias_mask", BUFFERS),
        ("local_cls_norm.**", "the norm of small crops in the pre-training"),
        ("projectors.**", PROJECTION),
        *TIMM.dropped,
    ),
    kinds=(),
)


def drop_key_biases(arrays: Arrays) -> None:
    """Turns DINOv3's biases of queries, keys and values into timm's, which has none of the keys."""
    for name, bias in [*arrays.items()]:
        if name.endswith(".attn.qkv.bias") and bias.ndim == 1 and len(bias) % 3 == 0:
            stem = name.removesuffix("qkv.bias")
            del arrays[name]
            arrays[f"{stem}q_bias"], _, arrays[f"{stem}v_bias"] = np.split(bias, 3)


def is_eva(parts: Parts) -> bool:
    """Returns whether timm makes a ViT with these parts by its `Eva`."""
    return bool(parts.rope or parts.attention_norm or parts.mlp_norm or not parts.key_bias)


def to_eva(arrays: Arrays, parts: Parts) -> Arrays:
    """Gives arrays with the names of timm's `VisionTransformer` those of its `Eva`.

    Args:
        arrays: in PyTorch's layout.
        parts: of their model.
    """
    halves = parts.mlp == "swiglu" and (parts.mlp_norm or parts.rope == "dinov3")
    thirds = parts.mlp_norm and not parts.key_bias
    found: Arrays = {}
    for name, array in arrays.items():
        name = re.sub(r"\.ls([12])\.gamma$", r".gamma_\1", name)
        if thirds and name.endswith(("attn.q_bias", "attn.v_bias")):
            found[f"{name.removesuffix('_bias')}_proj.bias"] = array
        elif thirds and name.endswith("attn.qkv.weight"):
            for part, rows in zip("qkv", np.split(array, 3)):
                found[name.replace("qkv", f"{part}_proj")] = rows
        elif halves and ".mlp.fc1." in name:
            for part, rows in zip("gx", np.split(array, 2)):
                found[name.replace("fc1", f"fc1_{part}")] = rows
        else:
            found[name] = array
    return found
