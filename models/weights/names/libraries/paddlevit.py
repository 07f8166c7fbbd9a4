"""The names of PaddleViT: ViT, DeiT, Swin and CaiT, in its old and new versions.

Source: https://github.com/BR-IDL/PaddleViT (`image_classification/`).
"""

from __future__ import annotations

from models.weights.names.tables import Library, Rows

_BUFFERS = "buffers that follow from the shape"

VIT = Library(
    "PaddleViT",
    ("encoder.layers.0.attn_norm.weight",),
    (
        ("cls_token", "cls_token"),
        ("dist_token", "dist_token"),
        ("position_embedding", "pos_embed"),
        ("patch_embedding.patch_embedding.*", "patch_embed.proj.*"),
        ("encoder.layers.#.attn_norm.*", "blocks.#.norm1.*"),
        ("encoder.layers.#.attn.qkv.*", "blocks.#.attn.qkv.*"),
        ("encoder.layers.#.attn.out.*", "blocks.#.attn.proj.*"),
        ("encoder.layers.#.mlp_norm.*", "blocks.#.norm2.*"),
        ("encoder.layers.#.mlp.fc1.*", "blocks.#.mlp.fc1.*"),
        ("encoder.layers.#.mlp.fc2.*", "blocks.#.mlp.fc2.*"),
        ("encoder.encoder_norm.*", "norm.*"),
        ("pre_logits.0.*", "pre_logits.fc.*"),
        ("classifier.*", "head.*"),
        ("classifier_dist.*", "head_dist.*"),
        # in 2021
        ("patch_embedding.cls_token", "cls_token"),
        ("patch_embedding.position_embeddings", "pos_embed"),
        ("patch_embedding.patch_embeddings.*", "patch_embed.proj.*"),
        ("classifier.?.*", "head.*"),
    ),
)

OLD_DEIT = Library(
    "PaddleViT's DeiT of 2021",
    ("patch_embed.proj.weight", "class_token", "layers.0.norm1.weight"),
    (
        ("class_token", "cls_token"),
        ("distill_token", "dist_token"),
        ("head_distill.*", "head_dist.*"),
        ("layers.#.**", "blocks.#.**"),
    ),
)

CAIT = Library(
    "PaddleViT's CaiT",
    ("patch_embed.patch_embed.weight", "blocks_token_only.0.gamma_1"),
    (("patch_embed.patch_embed.*", "patch_embed.proj.*"),),
)

_SWIN_HEAD: Rows = (
    ("patch_embedding.patch_embed.*", "patch_embed.proj.*"),
    ("patch_embedding.norm.*", "patch_embed.norm.*"),
    ("fc.*", "head.fc.*"),
)
SWIN = Library(
    "PaddleViT's Swin",
    ("patch_embedding.patch_embed.weight", "stages.0.blocks.0.norm1.weight"),
    (
        *_SWIN_HEAD,
        ("stages.#.blocks.**", "layers.#.blocks.**"),
        *(  # timm merges patches where a stage begins
            (f"stages.{stage}.downsample.**", f"layers.{stage + 1}.downsample.**")
            for stage in range(3)
        ),
    ),
    (
        ("**.attn.relative_position_index", _BUFFERS),
        ("**.attn_mask", _BUFFERS),
    ),
)
