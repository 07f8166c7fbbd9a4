"""Converts the names and layouts of the ViT weights that Google published.

Source: https://github.com/google-research/vision_transformer (`models_vit.py`, flax). The files are
in https://storage.googleapis.com/vit_models/. A kernel has its inputs first, as in Paddle. Query,
key and value are three arrays with an axis for the heads.
"""

import re

import numpy as np

from common.errors import UserError

_PREFIXES = ("opt/target/", "params/")  # of files that hold a training state
_WHOLE = {"cls": "cls_token", "Transformer/posembed_input/pos_embedding": "pos_embed"}
_LAYERS = {
    "embedding": "patch_embed.proj",
    "Transformer/encoder_norm": "norm",
    "pre_logits": "pre_logits",
    "head": "head",
}
_BLOCK = re.compile(r"Transformer/encoderblock_(\d+)/(.+)")
_BLOCK_LAYERS = {
    "LayerNorm_0": "norm1",
    "MultiHeadDotProductAttention_1/query": "attn.query",
    "MultiHeadDotProductAttention_1/key": "attn.key",
    "MultiHeadDotProductAttention_1/value": "attn.value",
    "MultiHeadDotProductAttention_1/out": "attn.proj",
    "LayerNorm_2": "norm2",
    "MlpBlock_3/Dense_0": "mlp.fc1",
    "MlpBlock_3/Dense_1": "mlp.fc2",
}
_LEAVES = {"kernel": "weight", "scale": "weight", "bias": "bias"}


def is_google(arrays: dict[str, np.ndarray]) -> bool:
    """Returns whether the names are those of Google's files."""
    return any(name.endswith("/kernel") for name in arrays)


def from_google(arrays: dict[str, np.ndarray], origin: str) -> dict[str, np.ndarray]:
    """Converts Google's arrays to our names and layout; an unknown name stays as it is.

    Raises:
        UserError: when query, key and value are not three arrays `(D, heads, D / heads)`.
    """
    found = {}
    for name, array in arrays.items():
        ours = _our_name(name)
        if ours in found:
            raise UserError(f"{origin}: {ours} is there twice, the second time as {name}")
        if ours == "patch_embed.proj.weight" and array.ndim == 4:
            array = array.transpose(3, 2, 0, 1)  # (patch, patch, 3, D) to (D, 3, patch, patch)
        elif ours.endswith("attn.proj.weight") and array.ndim == 3:
            array = array.reshape(-1, array.shape[-1])  # (heads, D / heads, D) to (D, D)
        found[ours] = array
    for name in [name for name in found if ".attn.query." in name]:
        parts = [found.pop(name.replace("query", part), None) for part in ("query", "key", "value")]
        leading = 1 if name.endswith("weight") else 0
        if any(
            part is None or part.ndim != leading + 2 or part.shape != parts[0].shape
            for part in parts
        ):
            raise UserError(
                f"{origin}: query, key and value of {name.split('.attn')[0]} do not belong together"
            )
        found[name.replace("query", "qkv")] = np.concatenate(
            [part.reshape(*part.shape[:leading], -1) for part in parts], axis=-1
        )
    return found


def heads_of(arrays: dict[str, np.ndarray]) -> int:
    """Returns the number of attention heads of Google's arrays; 0 where they do not tell."""
    kernels = [array for name, array in arrays.items() if name.endswith("_1/query/kernel")]
    return next((kernel.shape[1] for kernel in kernels if kernel.ndim == 3), 0)


def _our_name(name: str) -> str:
    plain = name
    for prefix in _PREFIXES:
        plain = plain.removeprefix(prefix)
    if plain in _WHOLE:
        return _WHOLE[plain]
    layer, _, leaf = plain.rpartition("/")
    block = _BLOCK.fullmatch(layer)
    inner = _BLOCK_LAYERS.get(block.group(2)) if block else None
    ours = f"blocks.{block.group(1)}.{inner}" if inner else _LAYERS.get(layer)
    return f"{ours}.{_LEAVES[leaf]}" if ours and leaf in _LEAVES else name
