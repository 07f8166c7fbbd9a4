"""Lists the published weights of a model, as sources that `models.load_weights` takes.

They come from timm 1.0.31's list, which a test compares with timm, and from the README of
google-research/vision_transformer. Any other `timm/NAME.TAG` or `google/PATH` of the same shape
works, too.
"""

from models.families.timm_vits import TIMM_VITS
from models.registry import MODELS
from models.weights.sources.locations import named_weights

# Our name of what is no ViT or DeiT: timm's name and its tags.
_TIMM = {
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
    """Returns timm's name of a model; empty where it has none, or none that is known here."""
    if name in TIMM_VITS:
        return name
    spec = MODELS.get(name)
    return spec.timm if spec and spec.timm else _TIMM.get(name, "").partition(" ")[0]


def model_of_source(source: str) -> str:
    """Returns the model that a source of the lists is of; empty for another source.

    A tag that is not known here belongs to the model of timm's name.
    """
    if source in MODELS:
        return source
    for name in MODELS:
        if source in sources(name):
            return name
    kind = source.removeprefix("timm/").partition(".")[0]
    known = (name for name in MODELS if source.startswith("timm/") and timm_name(name) == kind)
    return next(known, "")


def is_published(source: str) -> bool:
    """Returns whether a source is one of the lists, whose images are known."""
    return bool(model_of_source(source))


def sources(name: str) -> list[str]:
    """Returns the sources of a model's published weights; those of PPIM (or Paddle) first."""
    found = [name] if name in named_weights() else []
    kind = timm_name(name)
    tags = TIMM_VITS[kind].tags if kind in TIMM_VITS else _TIMM.get(name, "").split()[1:]
    # Weights that need QuickGELU are at the name without it.
    found += [f"timm/{kind.replace('_quickgelu', '')}.{tag}" for tag in tags]
    return found + ([f"google/{_GOOGLE[name]}"] if name in _GOOGLE else [])
