"""The names and layouts of the ViT weights that Google published.

Sources: https://github.com/google-research/vision_transformer (`models_vit.py`, flax), whose files
are in https://storage.googleapis.com/vit_models/, and google-research/big_vision. A kernel has its
inputs first, as in Paddle. Query, key and value are three arrays with an axis for the heads.
"""

from __future__ import annotations

import numpy as np

from models.weights.names.tables import Library, Rows

_LAYERS: Rows = (
    ("embedding", "patch_embed.proj"),
    ("Transformer/encoderblock_#/LayerNorm_0", "blocks.#.norm1"),
    ("Transformer/encoderblock_#/MultiHeadDotProductAttention_1/query", "blocks.#.attn.query"),
    ("Transformer/encoderblock_#/MultiHeadDotProductAttention_1/key", "blocks.#.attn.key"),
    ("Transformer/encoderblock_#/MultiHeadDotProductAttention_1/value", "blocks.#.attn.value"),
    ("Transformer/encoderblock_#/MultiHeadDotProductAttention_1/out", "blocks.#.attn.proj"),
    ("Transformer/encoderblock_#/LayerNorm_2", "blocks.#.norm2"),
    ("Transformer/encoderblock_#/MlpBlock_3/Dense_0", "blocks.#.mlp.fc1"),
    ("Transformer/encoderblock_#/MlpBlock_3/Dense_1", "blocks.#.mlp.fc2"),
    # in big_vision
    ("Transformer/encoderblock_#/MultiHeadDotProductAttention_0/query", "blocks.#.attn.query"),
    ("Transformer/encoderblock_#/MultiHeadDotProductAttention_0/key", "blocks.#.attn.key"),
    ("Transformer/encoderblock_#/MultiHeadDotProductAttention_0/value", "blocks.#.attn.value"),
    ("Transformer/encoderblock_#/MultiHeadDotProductAttention_0/out", "blocks.#.attn.proj"),
    ("Transformer/encoderblock_#/LayerNorm_1", "blocks.#.norm2"),
    ("Transformer/encoderblock_#/MlpBlock_0/Dense_0", "blocks.#.mlp.fc1"),
    ("Transformer/encoderblock_#/MlpBlock_0/Dense_1", "blocks.#.mlp.fc2"),
    ("Transformer/encoder_norm", "norm"),
    ("pre_logits", "pre_logits.fc"),
    ("head", "head"),
)
_LEAVES = (("kernel", "weight"), ("scale", "weight"), ("bias", "bias"))


def _without_heads(name: str, array: np.ndarray) -> np.ndarray:
    """Joins the axes of the heads, and puts the axes of the patch projection as PyTorch has them.

    An array with other axes stays as it is.
    """
    if not array.size:
        return array
    if name == "patch_embed.proj.weight" and array.ndim == 4:
        return array.transpose(3, 2, 0, 1)  # (patch, patch, 3, D) to (D, 3, patch, patch)
    if name.endswith("attn.proj.weight") and array.ndim == 3:
        return array.reshape(-1, array.shape[-1])  # (heads, D / heads, D) to (D, D)
    if name.endswith((".query.weight", ".key.weight", ".value.weight")) and array.ndim == 3:
        return array.reshape(array.shape[0], -1)  # (D, heads, D / heads) to (D, D)
    if name.endswith((".query.bias", ".key.bias", ".value.bias")) and array.ndim == 2:
        return array.reshape(-1)  # (heads, D / heads) to (D,)
    return array


VIT = Library(
    "Google's ViT",
    ("embedding/kernel", "Transformer/encoder_norm/scale"),
    (
        ("cls", "cls_token"),
        ("Transformer/posembed_input/pos_embedding", "pos_embed"),
        ("pos_embedding", "pos_embed"),  # big_vision
        *(
            (f"{layer}/{leaf}", f"{timm}.{name}")
            for layer, timm in _LAYERS
            for leaf, name in _LEAVES
        ),
    ),
    prefixes=("opt/target/", "params/"),  # of files that hold a training state
    arrange=_without_heads,
)


def heads_of(arrays: dict[str, np.ndarray]) -> int:
    """Returns the number of attention heads of Google's arrays; 0 where they do not tell."""
    kernels = [array for name, array in arrays.items() if name.endswith("/query/kernel")]
    return next((kernel.shape[1] for kernel in kernels if kernel.ndim == 3), 0)
