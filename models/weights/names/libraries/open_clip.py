"""The names of CLIP's vision part in the codes of OpenAI and OpenCLIP.

Sources: https://github.com/openai/CLIP and https://github.com/mlfoundations/open_clip.
"""

from __future__ import annotations

from models.weights.names.tables import Library

_TEXT = "the text part"

CLIP = Library(
    "OpenAI's CLIP or OpenCLIP",
    ("conv1.weight", "class_embedding", "positional_embedding"),
    (
        ("class_embedding", "cls_token"),
        ("positional_embedding", "pos_embed"),
        ("conv1.*", "patch_embed.proj.*"),
        ("ln_pre.*", "norm_pre.*"),
        ("transformer.resblocks.#.ln_1.*", "blocks.#.norm1.*"),
        ("transformer.resblocks.#.ln_2.*", "blocks.#.norm2.*"),
        ("transformer.resblocks.#.attn.in_proj_weight", "blocks.#.attn.qkv.weight"),
        ("transformer.resblocks.#.attn.in_proj_bias", "blocks.#.attn.qkv.bias"),
        ("transformer.resblocks.#.attn.out_proj.*", "blocks.#.attn.proj.*"),
        ("transformer.resblocks.#.mlp.c_fc.*", "blocks.#.mlp.fc1.*"),
        ("transformer.resblocks.#.mlp.c_proj.*", "blocks.#.mlp.fc2.*"),
        ("transformer.resblocks.#.ls_1.gamma", "blocks.#.ls1.gamma"),
        ("transformer.resblocks.#.ls_2.gamma", "blocks.#.ls2.gamma"),
        ("ln_post.*", "norm.*"),
    ),
    (("proj", "the projection to the space of texts"),),
    (
        *((f"{part}.**", _TEXT) for part in ("transformer", "token_embedding", "ln_final", "text")),
        *((name, _TEXT) for name in ("positional_embedding", "text_projection", "attn_mask")),
        *((name, _TEXT) for name in ("logit_scale", "logit_bias", "input_resolution")),
        *((name, _TEXT) for name in ("context_length", "vocab_size")),
    ),
    prefixes=("visual.",),
)
