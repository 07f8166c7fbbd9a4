"""Lists the published weights of a model, as sources that `models.load_weights` takes.

They come from timm 1.0.31's list, which a test compares with timm, and from the README of
google-research/vision_transformer. Any other `timm/NAME.TAG` or `google/PATH` of the same shape
works, too.
"""

from models.weights.sources import named_weights

# Our name: timm's name and its tags.
_TIMM = {
    "vit_ti_16": "vit_tiny_patch16_224 augreg_in21k augreg_in21k_ft_in1k",
    "vit_ti_16_384": "vit_tiny_patch16_384 augreg_in21k_ft_in1k",
    "vit_s_32": "vit_small_patch32_224 augreg_in21k augreg_in21k_ft_in1k",
    "vit_s_32_384": "vit_small_patch32_384 augreg_in21k_ft_in1k",
    "vit_s_16": "vit_small_patch16_224 augreg_in21k augreg_in21k_ft_in1k augreg_in1k dino",
    "vit_s_16_384": "vit_small_patch16_384 augreg_in21k_ft_in1k augreg_in1k",
    "vit_s_8": "vit_small_patch8_224 dino",
    "vit_b_32": "vit_base_patch32_224 orig_in21k augreg_in21k augreg_in21k_ft_in1k augreg_in1k "
    "sam_in1k",
    "vit_b_32_384": "vit_base_patch32_384 augreg_in21k_ft_in1k augreg_in1k",
    "vit_b_16": "vit_base_patch16_224 orig_in21k orig_in21k_ft_in1k augreg_in21k "
    "augreg_in21k_ft_in1k augreg2_in21k_ft_in1k augreg_in1k sam_in1k dino mae",
    "vit_b_16_384": "vit_base_patch16_384 orig_in21k_ft_in1k augreg_in21k_ft_in1k augreg_in1k",
    "vit_b_8": "vit_base_patch8_224 augreg_in21k augreg_in21k_ft_in1k augreg2_in21k_ft_in1k dino",
    "vit_l_32": "vit_large_patch32_224 orig_in21k",
    "vit_l_32_384": "vit_large_patch32_384 orig_in21k_ft_in1k",
    "vit_l_16": "vit_large_patch16_224 orig_in21k augreg_in21k augreg_in21k_ft_in1k mae",
    "vit_l_16_384": "vit_large_patch16_384 augreg_in21k_ft_in1k",
    "vit_h_14": "vit_huge_patch14_224 orig_in21k mae",
    "deit_ti": "deit_tiny_patch16_224 fb_in1k",
    "deit_ti_distilled": "deit_tiny_distilled_patch16_224 fb_in1k",
    "deit_s": "deit_small_patch16_224 fb_in1k",
    "deit_s_distilled": "deit_small_distilled_patch16_224 fb_in1k",
    "deit_b": "deit_base_patch16_224 fb_in1k",
    "deit_b_distilled": "deit_base_distilled_patch16_224 fb_in1k",
    "deit_b_384": "deit_base_patch16_384 fb_in1k",
    "deit_b_distilled_384": "deit_base_distilled_patch16_384 fb_in1k",
    "cait_xxs_24": "cait_xxs24_224 fb_dist_in1k",
    "cait_xxs_24_384": "cait_xxs24_384 fb_dist_in1k",
    "cait_xxs_36": "cait_xxs36_224 fb_dist_in1k",
    "cait_xxs_36_384": "cait_xxs36_384 fb_dist_in1k",
    "cait_xs_24_384": "cait_xs24_384 fb_dist_in1k",
    "cait_s_24": "cait_s24_224 fb_dist_in1k",
    "cait_s_24_384": "cait_s24_384 fb_dist_in1k",
    "cait_s_36_384": "cait_s36_384 fb_dist_in1k",
    "cait_m_36_384": "cait_m36_384 fb_dist_in1k",
    "cait_m_48_448": "cait_m48_448 fb_dist_in1k",
    "swin_ti": "swin_tiny_patch4_window7_224 ms_in1k ms_in22k ms_in22k_ft_in1k",
    "swin_s": "swin_small_patch4_window7_224 ms_in1k ms_in22k ms_in22k_ft_in1k",
    "swin_b": "swin_base_patch4_window7_224 ms_in1k ms_in22k ms_in22k_ft_in1k",
    "swin_b_384": "swin_base_patch4_window12_384 ms_in1k ms_in22k ms_in22k_ft_in1k",
    "swin_l": "swin_large_patch4_window7_224 ms_in22k ms_in22k_ft_in1k",
    "swin_l_384": "swin_large_patch4_window12_384 ms_in22k ms_in22k_ft_in1k",
    "resnet_18": "resnet18 tv_in1k a1_in1k",
    "resnet_50": "resnet50 tv_in1k a1_in1k",
}
# Our name: Google's path. The models at 384 pixels were fine-tuned on ImageNet-1k.
_GOOGLE = {
    "vit_b_16": "imagenet21k/ViT-B_16",
    "vit_b_16_384": "imagenet21k+imagenet2012/ViT-B_16",
    "vit_b_32": "imagenet21k/ViT-B_32",
    "vit_b_32_384": "imagenet21k+imagenet2012/ViT-B_32",
    "vit_l_16": "imagenet21k/ViT-L_16",
    "vit_l_16_384": "imagenet21k+imagenet2012/ViT-L_16",
    "vit_l_32": "imagenet21k/ViT-L_32",
    "vit_l_32_384": "imagenet21k+imagenet2012/ViT-L_32",
    "vit_h_14": "imagenet21k/ViT-H_14",
}


def timm_name(name: str) -> str:
    """Returns timm's name of a model; empty where the list has none."""
    return _TIMM.get(name, "").partition(" ")[0]


def sources(name: str) -> list[str]:
    """Returns the sources of a model's published weights; those of PPIM (or Paddle) first."""
    found = [name] if name in named_weights() else []
    kind, *tags = _TIMM.get(name, "-").split()
    found += [f"timm/{kind}.{tag}" for tag in tags]
    return found + ([f"google/{_GOOGLE[name]}"] if name in _GOOGLE else [])
