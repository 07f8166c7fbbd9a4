"""The names of timm, and what the codes that it took over have in addition.

Those are the codes of DeiT, DeiT III, DINO, DINOv2 and MAE by Facebook, of Swin by Microsoft, MoCo,
PaddleClas, PPIM and this project. Source: https://github.com/huggingface/pytorch-image-models
(`timm/models/vision_transformer.py`, version 1.0.31).
"""

from __future__ import annotations

from models.weights.names.tables import Library, Rows

BUFFERS = "buffers that follow from the shape"
_DECODER = "the decoder of the pre-training"
PROJECTION = "the projection head of the pre-training"
_HEAD_OF_DINO: Rows = (
    ("head.mlp.**", PROJECTION),
    ("head.last_layer.**", PROJECTION),
    ("dino_head.**", PROJECTION),
    ("ibot_head.**", PROJECTION),
    ("projector.**", PROJECTION),
    ("predictor.**", PROJECTION),
)
_DECODERS: Rows = (
    ("decoder_**", _DECODER),
    ("decoder.**", _DECODER),
    ("neck.**", "the neck"),
)
_TEXT: Rows = (
    ("text.**", "the text part"),
    ("logit_scale", "the text part"),
    ("logit_bias", "the text part"),
    ("head.proj.**", "the projection to the space of texts"),
)

TIMM = Library(
    "timm",
    ("patch_embed.proj.weight",),
    (
        ("pre_logits.*", "pre_logits.fc.*"),  # a layer without one inside
        ("blocks.#.mlp.w12.*", "blocks.#.mlp.fc1.*"),  # DINOv2's SwiGLU
        ("blocks.#.mlp.w3.*", "blocks.#.mlp.fc2.*"),
        ("blocks.?.#.mlp.w12.*", "blocks.#.mlp.fc1.*"),  # and its chunks of blocks
        ("blocks.?.#.mlp.w3.*", "blocks.#.mlp.fc2.*"),
        ("blocks.?.#.**", "blocks.#.**"),
        ("ln_pre.*", "norm_pre.*"),  # PaddleClas
        ("head.fc_head.*", "head.*"),
        ("head.fc_norm.*", "fc_norm.*"),
    ),
    (
        ("mask_token", "the mask token"),
        ("masked_embed", "the mask token"),  # iBOT
        ("**.attn.relative_position_bias", BUFFERS),  # PaddleClas, in evaluation
        *_HEAD_OF_DINO,
        *_DECODERS,
    ),
    (
        ("linear_head.**", "the head on several layers"),
        ("momentum_encoder.**", "the moving average of the encoder"),
        *_HEAD_OF_DINO,
        *_DECODERS,
        *_TEXT,
    ),
    (
        ("register_tokens", "the official DINOv2 code with registers"),
        (".mlp.w12.weight", "the official DINOv2 code"),
        ("blocks.#.#.norm1.weight", "the official DINOv2 code"),
        ("head.last_layer.weight_g", "the official DINO code"),
        ("decoder_pos_embed", "the official MAE code"),
        ("head.fc_head.weight", "PaddleClas"),
    ),
)
SCALES: Rows = (
    ("blocks.#.gamma_1", "blocks.#.ls1.gamma"),
    ("blocks.#.gamma_2", "blocks.#.ls2.gamma"),
)
# CaiT's own scales are called like those of DeiT III.
CAIT = TIMM._replace(anchors=("patch_embed.proj.weight", "blocks_token_only.0.gamma_1"))
DEIT_III = TIMM._replace(
    name="the official DeiT III code",
    anchors=("patch_embed.proj.weight", "pos_embed", "blocks.0.gamma_1"),
    rows=(*SCALES, *TIMM.rows),
)
