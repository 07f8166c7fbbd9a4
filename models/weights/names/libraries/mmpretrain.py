"""The names of mmpretrain and mmcls: ViT, DeiT, DeiT III, DINOv2 and Swin.

Source: https://github.com/open-mmlab/mmpretrain (`mmpretrain/models/backbones/`, version 1.2.0).
"""

from __future__ import annotations

import numpy as np

from models.weights.names.tables import Library, Rows

_BUFFERS = "buffers that follow from the shape"
_PRE_TRAINING: Rows = (
    ("neck.**", "the decoder of the pre-training"),
    ("target_generator.**", "the target of the pre-training"),
    ("data_preprocessor.**", "the statistics of the images"),
    ("head.loss.**", "the loss of the pre-training"),
    ("ema.**", "the moving average"),
)

VIT = Library(
    "mmpretrain's ViT",
    ("patch_embed.projection.weight", "layers.0.ln1.weight"),
    (
        ("cls_token", "cls_token"),
        ("dist_token", "dist_token"),
        ("pos_embed", "pos_embed"),
        ("patch_embed.projection.*", "patch_embed.proj.*"),
        ("pre_norm.*", "norm_pre.*"),
        ("layers.#.ln1.*", "blocks.#.norm1.*"),
        ("layers.#.attn.qkv.*", "blocks.#.attn.qkv.*"),
        ("layers.#.attn.proj.*", "blocks.#.attn.proj.*"),
        ("layers.#.attn.gamma1.weight", "blocks.#.ls1.gamma"),
        ("layers.#.ln2.*", "blocks.#.norm2.*"),
        ("layers.#.ffn.layers.0.0.*", "blocks.#.mlp.fc1.*"),
        ("layers.#.ffn.layers.1.*", "blocks.#.mlp.fc2.*"),
        ("layers.#.ffn.w12.*", "blocks.#.mlp.fc1.*"),
        ("layers.#.ffn.w3.*", "blocks.#.mlp.fc2.*"),
        ("layers.#.ffn.gamma2.weight", "blocks.#.ls2.gamma"),
        ("ln1.*", "norm.*"),
        ("ln2.*", "fc_norm.*"),  # behind the mean of the patches
        ("head.layers.pre_logits.*", "pre_logits.fc.*"),
        ("head.layers.head.*", "head.*"),
        ("head.layers.head_dist.*", "head_dist.*"),
        ("head.fc.*", "head.*"),
    ),
    (("mask_token", "the mask token"), *_PRE_TRAINING),
    _PRE_TRAINING,
    (("dist_token", "mmpretrain's DeiT"),),
    ("backbone.",),
)

_SWIN_BLOCK: Rows = (
    ("norm1.*", "norm1.*"),
    ("attn.w_msa.relative_position_bias_table", "attn.relative_position_bias_table"),
    ("attn.w_msa.qkv.*", "attn.qkv.*"),
    ("attn.w_msa.proj.*", "attn.proj.*"),
    ("norm2.*", "norm2.*"),
    ("ffn.layers.0.0.*", "mlp.fc1.*"),
    ("ffn.layers.1.*", "mlp.fc2.*"),
)


def _merged_as_in_timm(name: str, array: np.ndarray) -> np.ndarray:
    """Sorts the inputs of a merging: theirs are (channel, row, column), timm's the reverse.

    `nn.Unfold` puts the 2 x 2 patches behind each channel, timm puts the channels behind each
    patch, column by column.
    """
    if ".downsample." not in name or not array.size or not array.ndim or array.shape[-1] % 4:
        return array
    leading, channels = array.shape[:-1], array.shape[-1] // 4
    places = array.reshape(*leading, channels, 2, 2)  # (..., C, row, column)
    return np.swapaxes(places, -3, -1).reshape(*leading, -1)  # (..., column, row, C)


SWIN = Library(
    "mmpretrain's Swin",
    ("patch_embed.projection.weight", "stages.0.blocks.0.attn.w_msa.qkv.weight"),
    (
        ("patch_embed.projection.*", "patch_embed.proj.*"),
        ("patch_embed.norm.*", "patch_embed.norm.*"),
        *((f"stages.#.blocks.#.{t}", f"layers.#.blocks.#.{o}") for t, o in _SWIN_BLOCK),
        *(  # timm merges patches where a stage begins
            (f"stages.{stage}.downsample.{part}.*", f"layers.{stage + 1}.downsample.{part}.*")
            for stage in range(3)
            for part in ("norm", "reduction")
        ),
        ("norm3.*", "norm.*"),  # of the last stage
        ("norm.*", "norm.*"),
        ("head.fc.*", "head.fc.*"),
    ),
    (("**.relative_position_index", _BUFFERS), ("mask_token", "the mask token"), *_PRE_TRAINING),
    _PRE_TRAINING,
    prefixes=("backbone.",),
    arrange=_merged_as_in_timm,
)
