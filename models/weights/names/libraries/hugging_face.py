"""The names in Hugging Face's transformers: ViT and its kin, Swin, and the vision part of CLIP.

Source: https://github.com/huggingface/transformers. Version 5 has other names in memory than in
files, so both are read. The class of a whole task puts its model's name before the names (`vit.`,
`swin.`); the model alone does not.
"""

from __future__ import annotations

from models.weights.names.tables import Library, Rows

_BLOCK: Rows = (  # in files
    ("attention.attention.query.*", "attn.query.*"),
    ("attention.attention.key.*", "attn.key.*"),
    ("attention.attention.value.*", "attn.value.*"),
    ("attention.output.dense.*", "attn.proj.*"),
    ("intermediate.dense.*", "mlp.fc1.*"),
    ("output.dense.*", "mlp.fc2.*"),
    ("layernorm_before.*", "norm1.*"),
    ("layernorm_after.*", "norm2.*"),
    # in memory
    ("attention.q_proj.*", "attn.query.*"),
    ("attention.k_proj.*", "attn.key.*"),
    ("attention.v_proj.*", "attn.value.*"),
    ("attention.o_proj.*", "attn.proj.*"),
    ("mlp.fc1.*", "mlp.fc1.*"),
    ("mlp.fc2.*", "mlp.fc2.*"),
    # of DINOv2
    ("norm1.*", "norm1.*"),
    ("norm2.*", "norm2.*"),
    ("layer_scale1.lambda1", "ls1.gamma"),
    ("layer_scale2.lambda1", "ls2.gamma"),
    ("mlp.weights_in.*", "mlp.fc1.*"),
    ("mlp.weights_out.*", "mlp.fc2.*"),
    ("mlp.gate_proj.*", "mlp.gate.*"),
    ("mlp.up_proj.*", "mlp.up.*"),
    ("mlp.down_proj.*", "mlp.fc2.*"),
)
_BLOCKS = tuple(
    (f"{place}.{theirs}", f"blocks.#.{timm}")
    for place in ("encoder.layer.#", "encoder.layers.#", "layers.#")
    for theirs, timm in _BLOCK
)
_POOLER = ("pooler.**", "the pooler")
_MASK = ("embeddings.mask_token", "the mask token")
_DECODER = ("decoder.**", "the decoder of the pre-training")
# What the tasks besides classification put next to the model.
_BESIDE: Rows = (_DECODER, ("hidden_states_norms.**", "the norms of a backbone's outputs"))

VIT = Library(
    "Hugging Face's ViT",
    ("embeddings.patch_embeddings.projection.weight",),
    (
        ("embeddings.cls_token", "cls_token"),
        ("embeddings.distillation_token", "dist_token"),
        ("embeddings.register_tokens", "register_tokens"),
        ("embeddings.position_embeddings", "pos_embed"),
        ("embeddings.patch_embeddings.projection.*", "patch_embed.proj.*"),
        *_BLOCKS,
        ("layernorm.*", "norm.*"),
        ("classifier.*", "head.*"),
        ("cls_classifier.*", "head.*"),
        ("distillation_classifier.*", "head_dist.*"),
    ),
    (_POOLER, _MASK, *_BESIDE),
    _BESIDE,
    (
        ("embeddings.register_tokens", "Hugging Face's DINOv2 with registers"),
        (".layer_scale1.lambda1", "Hugging Face's DINOv2"),
        ("embeddings.distillation_token", "Hugging Face's DeiT"),
        ("decoder.decoder_pos_embed", "Hugging Face's ViT-MAE"),
    ),
    ("vit.", "deit.", "dinov2.", "dinov2_with_registers.", "ijepa."),
)


def _dinov3(place: str, gated: bool) -> Library:
    """Returns the table of DINOv3.

    Args:
        place: of the blocks: `layer` in files, `model.layer` in memory.
        gated: whether the MLP is a SwiGLU; a plain one calls its first layer like a half of that.
    """
    block: Rows = (
        ("attention.q_proj.weight", "attn.query.weight"),
        ("attention.k_proj.weight", "attn.key.weight"),
        ("attention.v_proj.weight", "attn.value.weight"),
        ("attention.q_proj.bias", "attn.q_bias"),
        ("attention.v_proj.bias", "attn.v_bias"),
        ("mlp.up_proj.*", "mlp.up.*" if gated else "mlp.fc1.*"),
        *_BLOCK,
    )
    return Library(
        "Hugging Face's DINOv3",
        (
            "embeddings.patch_embeddings.weight",
            f"{place}.0.layer_scale1.lambda1",
            f"{place}.0.mlp.{'gate' if gated else 'up'}_proj.weight",
        ),
        (
            ("embeddings.cls_token", "cls_token"),
            ("embeddings.register_tokens", "reg_token"),
            ("embeddings.patch_embeddings.*", "patch_embed.proj.*"),
            *((f"{place}.#.{theirs}", f"blocks.#.{timm}") for theirs, timm in block),
            ("norm.*", "norm.*"),
            ("classifier.*", "head.*"),
        ),
        (
            ("rope_embeddings.inv_freq", "buffers that follow from the shape"),
            _POOLER,
            _MASK,
            *_BESIDE,
        ),
        _BESIDE,
        prefixes=("dinov3_vit.",),
    )


DINOV3S = tuple(
    _dinov3(place, gated) for place in ("layer", "model.layer") for gated in (True, False)
)

_SWIN_BLOCK: Rows = (
    ("attention.self.query.*", "attn.query.*"),
    ("attention.self.key.*", "attn.key.*"),
    ("attention.self.value.*", "attn.value.*"),
    ("attention.self.relative_position_bias_table", "attn.relative_position_bias_table"),
    (
        "attention.relative_position_bias.relative_position_bias_table",
        "attn.relative_position_bias_table",
    ),
    *_BLOCK,
)
SWIN = Library(
    "Hugging Face's Swin",
    (
        "embeddings.patch_embeddings.projection.weight",
        "encoder.layers.0.blocks.0.output.dense.bias",
    ),
    (
        ("embeddings.patch_embeddings.projection.*", "patch_embed.proj.*"),
        ("embeddings.norm.*", "patch_embed.norm.*"),
        *((f"encoder.layers.#.blocks.#.{t}", f"layers.#.blocks.#.{o}") for t, o in _SWIN_BLOCK),
        *(  # timm merges patches where a stage begins
            (
                f"encoder.layers.{stage}.downsample.{part}.*",
                f"layers.{stage + 1}.downsample.{part}.*",
            )
            for stage in range(3)
            for part in ("norm", "reduction")
        ),
        ("layernorm.*", "norm.*"),
        ("classifier.*", "head.fc.*"),
    ),
    (
        ("**.relative_position_index", "buffers that follow from the shape"),
        _POOLER,
        _MASK,
        *_BESIDE,
    ),
    _BESIDE,
    prefixes=("swin.",),
)
SWIN_IN_MEMORY = SWIN._replace(
    anchors=(SWIN.anchors[0], "encoder.layers.0.blocks.0.attention.q_proj.weight")
)

_TEXT = "the text part"
CLIP = Library(
    "Hugging Face's CLIP",
    ("embeddings.patch_embedding.weight", "embeddings.position_embedding.weight"),
    (
        ("embeddings.class_embedding", "cls_token"),
        ("embeddings.patch_embedding.*", "patch_embed.proj.*"),
        ("embeddings.position_embedding.weight", "pos_embed"),
        ("pre_layrnorm.*", "norm_pre.*"),  # spelled so there
        ("pre_layernorm.*", "norm_pre.*"),
        ("encoder.layers.#.layer_norm1.*", "blocks.#.norm1.*"),
        ("encoder.layers.#.layer_norm2.*", "blocks.#.norm2.*"),
        ("encoder.layers.#.self_attn.q_proj.*", "blocks.#.attn.query.*"),
        ("encoder.layers.#.self_attn.k_proj.*", "blocks.#.attn.key.*"),
        ("encoder.layers.#.self_attn.v_proj.*", "blocks.#.attn.value.*"),
        ("encoder.layers.#.self_attn.out_proj.*", "blocks.#.attn.proj.*"),
        ("encoder.layers.#.mlp.fc1.*", "blocks.#.mlp.fc1.*"),
        ("encoder.layers.#.mlp.fc2.*", "blocks.#.mlp.fc2.*"),
        ("post_layernorm.*", "norm.*"),
    ),
    (
        ("embeddings.position_ids", "buffers that follow from the shape"),
        ("visual_projection.**", "the projection to the space of texts"),
        ("classifier.*", "the head, which takes the mean of the patches without the last norm"),
    ),
    (
        ("text_model.**", _TEXT),
        ("text_projection.**", _TEXT),
        ("logit_scale", _TEXT),
        ("logit_bias", _TEXT),
        ("text_embeds.**", _TEXT),
    ),
    prefixes=("vision_model.", "clip.vision_model."),
)
