"""Names networks that are not among the models here, by array names that only they have.

They are those of timm, torchvision and Hugging Face that people mistake for a ViT, or have next to
one.
"""

from __future__ import annotations

import re

# Patterns that some names must fit, one each: what the network is.
_NETWORKS = (
    ((r"mlp\.fc1_g\.weight$", r"patch_embed\.norm\.weight$"), "AIMv2"),
    ((r"cls_attn_blocks\.|\.local_mp\.",), "XCiT"),
    ((r"\.attn_(?:block|grid)\.|partition_attention\.",), "MaxViT or CoAtNet"),
    (
        (
            r"stages\.\d+\.blocks\.\d+\.conv_dw\.|(?:^|\.)features\.\d+\.\d+\.layer_scale$"
            r"|stages\.\d+\.(?:layers\.)?\d+\.dwconv\.|(?:^|\.)downsample_layers\.\d",
        ),
        "ConvNeXt",
    ),
    ((r"(?:^|\.)conv_stem\.weight$|features\.\d+\.\d+\.block\.\d+\.0\.weight$",), "EfficientNet"),
    ((r"features\.\d+\.conv\.\d+\.0\.weight$",), "MobileNet"),
    ((r"\.attn\.sr\.\d*|\.attention\.self\.sr\.|mlp\.dwconv\.",), "PVT, Twins or SegFormer"),
    ((r"(?:^|\.)post_network\.\d",), "VOLO"),
    ((r"(?:^|\.)pixel_embed\.proj\.",), "TNT"),
    ((r"revert_projs\.|(?:^|\.)pos_embed_1$",), "CrossViT"),
    ((r"attn\.(?:pool_[qkv]|norm_q)\.",), "MViT"),
    ((r"(?:^|\.)blocks\.\d+\.proj\.weight$",), "Hiera"),
    ((r"attns\.\d+\.get_v\.",), "CSWin"),
    ((r"conv_proj_q\.|convolution_projection_query\.",), "CvT"),
    ((r"conv_kxk\.(?:conv\.)?weight$",), "MobileViT"),
    ((r"\.token_mixer\.",), "a MetaFormer"),
    ((r"(?:^|\.)to_patch_embedding\.\d",), "vit-pytorch, whose blocks are others"),
    (
        (r"(?:^|\.)stem\.conv\.weight$", r"stages\.\d+\.blocks\.\d+\.conv3\.weight$"),
        "ResNet v2 (BiT)",
    ),
    ((r"(?:^|\.)stem\.conv\.weight$", r"stages\.\d+\.blocks\.\d+\.conv2\.weight$"), "ResNet v2"),
    ((r"(?:^|\.)trunk_output\.|(?:^|\.)s1\.b1\.conv1\.",), "RegNet"),
    ((r"(?:^|\.)denseblock1\.denselayer1\.",), "DenseNet"),
    ((r"(?:^|\.)features\.0\.weight$", r"(?:^|\.)classifier\.6\.weight$"), "VGG or AlexNet"),
)


def other_network(text: str) -> str:
    """Returns which other network has such arrays; empty where none is known.

    Args:
        text: the names of the arrays, a line each.
    """
    for patterns, what in _NETWORKS:
        if all(re.search(pattern, text, re.MULTILINE) for pattern in patterns):
            return what
    return ""
