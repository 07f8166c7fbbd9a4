"""The names of torchvision: ViT and Swin.

Source: https://github.com/pytorch/vision (`torchvision/models/vision_transformer.py` and
`swin_transformer.py`).
"""

from __future__ import annotations

from models.weights.names.tables import Library, Rows

_BUFFERS = "buffers that follow from the shape"
_VIT_BLOCK: Rows = (
    ("ln_1.*", "norm1.*"),
    ("self_attention.in_proj_weight", "attn.qkv.weight"),
    ("self_attention.in_proj_bias", "attn.qkv.bias"),
    ("self_attention.out_proj.*", "attn.proj.*"),
    ("ln_2.*", "norm2.*"),
    ("mlp.0.*", "mlp.fc1.*"),
    ("mlp.3.*", "mlp.fc2.*"),
    ("mlp.linear_1.*", "mlp.fc1.*"),  # before version 0.13
    ("mlp.linear_2.*", "mlp.fc2.*"),
)
VIT = Library(
    "torchvision's ViT",
    ("conv_proj.weight", "encoder.layers.encoder_layer_0.ln_1.weight"),
    (
        ("class_token", "cls_token"),
        ("encoder.pos_embedding", "pos_embed"),
        ("conv_proj.*", "patch_embed.proj.*"),
        *((f"encoder.layers.encoder_layer_#.{t}", f"blocks.#.{o}") for t, o in _VIT_BLOCK),
        ("encoder.ln.*", "norm.*"),
        ("heads.pre_logits.*", "pre_logits.fc.*"),
        ("heads.head.*", "head.*"),
        ("heads.?.*", "head.*"),  # a head that was put in place of theirs
    ),
)

_STAGES = range(4)
_SWIN_BLOCK: Rows = (
    ("norm1.*", "norm1.*"),
    ("attn.relative_position_bias_table", "attn.relative_position_bias_table"),
    ("attn.qkv.*", "attn.qkv.*"),
    ("attn.proj.*", "attn.proj.*"),
    ("norm2.*", "norm2.*"),
    ("mlp.0.*", "mlp.fc1.*"),
    ("mlp.3.*", "mlp.fc2.*"),
)
SWIN = Library(
    "torchvision's Swin",
    ("features.0.0.weight", "features.1.0.attn.relative_position_bias_table"),
    (
        ("features.0.0.*", "patch_embed.proj.*"),
        ("features.0.2.*", "patch_embed.norm.*"),
        *(  # stages and mergings take turns
            (f"features.{2 * stage + 1}.#.{theirs}", f"layers.{stage}.blocks.#.{timm}")
            for stage in _STAGES
            for theirs, timm in _SWIN_BLOCK
        ),
        *(
            (f"features.{2 * stage}.{part}.*", f"layers.{stage}.downsample.{part}.*")
            for stage in _STAGES[1:]
            for part in ("norm", "reduction")
        ),
        ("norm.*", "norm.*"),
        ("head.*", "head.fc.*"),
    ),
    (("**.attn.relative_position_index", _BUFFERS),),
)
