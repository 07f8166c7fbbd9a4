"""Refuses the arrays of models that are called like those of a ViT or a Swin, by the model's name.

They would nearly fit, or fit and compute something else. So they are told by names that only they
have, before any name is changed.
"""

from __future__ import annotations

import re
from collections.abc import Iterable

from common.errors import UserError
from models.weights.names.other_networks import other_network

_ADAPTER = (
    "an adapter (LoRA or another kind of PEFT), not a model",
    "merge it into its model first (merge_and_unload() of PEFT), and give the weights saved then",
)
_OTHER = (
    "that architecture is not among the models here (python -m tools.models --names lists them)"
)
_BLOCK = r"(?:blocks|layers|layer)\.\d+\."
# A pattern that one name fits: what the file holds. The first that fits counts.
_FAMILIES = (
    (r"\.lora_|\.lora\.|\.hada_w\d|\.lokr_w\d|\.oft_[rR]|\.ia3_l|\.base_layer\.", *_ADAPTER),
    (
        r"(?:^|\.)(?:prompt_encoder|prompt_embeddings)\.embedding|\.adapter_down|\.adapters?\.",
        *_ADAPTER,
    ),
    (r"data2vec", "data2vec weights", ""),
    (r"(?:^|\.)(?:q_proj|k_proj|fc1|self_attn_layer_norm)\.[AB]\.", "BEiT-3 weights", ""),
    (
        r"\.cpb_mlp\.|continuous_position_bias_mlp|relative_coords_table|attn\.logit_scale$",
        "Swin v2 weights (version 2, with scaled cosine attention)",
        "",
    ),
    (
        r"(?:^|\.)rope\.freqs$",
        "RoPE-ViT weights whose rotary positions are learned (mixed)",
        "",
    ),
    (
        r"attn\.(?:wq|gate)\.weight$",
        "Sapiens2 weights (rotary positions, queries in groups)",
        "",
    ),
    (
        r"(?:^|\.)beit\.|rel_pos_bias\.|attention\.attention\.relative_position_bias\."
        rf"|{_BLOCK}lambda_1$",
        "BEiT weights (or data2vec's, which have the same form)",
        "",
    ),
    (
        r"(?:^|\.)attn_pool\.|(?:^|\.)head\.probe$|MAPHead_\d+/|(?:^|\.)vision_model\.head\."
        r"|embeddings\.patch_embedding\.bias$",
        "a ViT that is pooled by attention (SigLIP, CoCa)",
        "",
    ),
    (r"attn\.rel_pos\.|shared_rel_pos\.", "a ViT with relative positions", ""),
    (
        rf"{_BLOCK}(?:attns|ffns)\.\d+\.|{_BLOCK}(?:in_norm|attn_out_proj|mlp_out_proj)\.",
        "a ViT with parallel layers in a block",
        "",
    ),
    (
        r"hybrid_model\.|(?:^|[./])conv_root/|(?:^|\.)patch_embed\.backbone\.",
        "a hybrid ViT (a ResNet cuts its patches)",
        "",
    ),
    (r"MlpMixer|token_mixing|\.mlp_tokens\.", "MLP-Mixer weights", ""),
    (r"mask_decoder\.|attn\.rel_pos_[hw]$", "SAM weights, or another ViT for detection", ""),
    (
        r"detection_tokens$|query_position_embeddings|(?:^|\.)query_embed\."
        r"|bbox_embed|bbox_predictor"
        r"|(?:^|\.)(?:rpn_head|roi_head|bbox_head|decode_head|pixel_decoder)\.",
        "weights of a detector or a segmenter (DETR and its kin)",
        "",
    ),
    (
        r"model\.diffusion_model\.|(?:^|\.)(?:down_blocks|up_blocks|mid_block)\."
        r"|(?:^|\.)(?:post_)?quant_conv\."
        r"|adaLN_modulation|first_stage_model\.",
        "weights of a diffusion model",
        "",
    ),
)
# Told by two names together.
_TEXT = (
    r"(?:^|\.)(?:wte|wpe|embed_tokens)\.weight$"
    r"|(?:^|\.)(?:word|token_type|token)_embeddings?\.weight$"
    r"|SelfAttention\.|attn\.c_attn\.|(?:^|\.)(?:text_model|transformer\.resblocks)\."
)
_IMAGES = r"patch_embed|conv1\.weight$|visual\.|vision"
_BIASES = r"attn\.q_bias$"  # of BEiT and EVA, which have no bias of the keys
_SCALES = r"gamma_1$|relative_position_bias_table$"

# timm's models whose arrays are called, and shaped, like those of a model here.
_NAMES = (
    (r"vit_pe_", "Perception Encoder weights (other rotary positions)"),
    (r"eva02_enormous_", "EVA-02 enormous weights (norms behind the branches)"),
)


def refuse_name(name: str, origin: str) -> None:
    """Refuses weights of a model of timm's that no array tells from one that is covered.

    Args:
        name: of the model at timm, as a source or a `config.json` says it; empty: not known.
        origin: names the weights in the error.

    Raises:
        UserError: when it is such a model.
    """
    for pattern, what in _NAMES:
        if re.match(pattern, name):
            raise UserError(f"{origin}: holds {what}: {_OTHER}")


def refuse(names: Iterable[str], origin: str) -> None:
    """Refuses arrays of a family that is not covered.

    Args:
        names: of the arrays.
        origin: names the file in the error.

    Raises:
        UserError: when the names are those of such a family; it has the family's name.
    """
    text = "\n".join(names)
    what, remedy = _family(text)
    if what:
        raise UserError(f"{origin}: holds {what}: {remedy or _OTHER}")


def _family(text: str) -> tuple[str, str]:
    def has(pattern: str) -> bool:
        return re.search(pattern, text, re.MULTILINE) is not None

    if other := other_network(text):
        return f"weights of {other}", ""
    for pattern, what, remedy in _FAMILIES:
        if has(pattern):
            return what, remedy
    if has(_BIASES) and not has(r"(?:^|\.)blocks\.\d+\.attn\."):
        return ("BEiT weights" if has(_SCALES) else "EVA weights"), ""
    if has(_BIASES) and has(_SCALES) and not has(r"(?:^|\.)reg_token$"):
        return "BEiT weights", ""
    if has(_TEXT) and not has(_IMAGES):
        return "weights of a text model (BERT, GPT, the text part of CLIP)", ""
    if has(r"\.resblocks\.\d+\.ls_1\.gamma$") and not has(r"(?:^|\.)proj$"):
        # In the names of CLIP, whose vision part always has a projection.
        return "Perception Encoder weights (other rotary positions)", ""
    if has(r"(?:^|\.)visual\.layer1\.0\.conv1"):
        return "CLIP weights with a ResNet", ""
    return "", ""
