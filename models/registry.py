"""The models by name: `MODELS`. A new size of a family is a new line in one of the tables here.

ViT and DeiT of timm have their table in `models/families/timm_vits.txt`.
"""

from functools import partial

from models.builders import ImageSize, Spec
from models.families.cait import CaiT
from models.families.cnn_levit_t2t import make_cnn, make_levit, make_t2t
from models.families.parts import PLAIN
from models.families.swin import Swin
from models.families.timm_vits import TIMM_VITS, TimmVit
from models.families.vit import DistilledVisionTransformer, VisionTransformer
from models.input_images import IMAGENET_MEAN, IMAGENET_STD, InputStats


def _imagenet(size: ImageSize, resized: int, interpolation: str = "bicubic") -> InputStats:
    """Returns the input of weights from ImageNet-1k.

    For a crop of 224 pixels, evaluation resizes to `resized` pixels: 256 for Swin and convolutional
    networks in PPIM, 248 for its other models. For larger crops, it resizes to the crop.
    """
    crop = 224 / resized if size == 224 else 1.0
    return InputStats(IMAGENET_MEAN, IMAGENET_STD, crop, interpolation)


# ViT and DeiT. `n` (nano) is this project's own, for images of a few pixels.
_VIT_SIZES = {
    "n": {"width": 48, "depth": 4, "heads": 3, "mlp_ratio": 2.0},
    "ti": {"width": 192, "depth": 12, "heads": 3, "mlp_ratio": 4.0},
    "s": {"width": 384, "depth": 12, "heads": 6, "mlp_ratio": 4.0},
    "b": {"width": 768, "depth": 12, "heads": 12, "mlp_ratio": 4.0},
    "l": {"width": 1024, "depth": 24, "heads": 16, "mlp_ratio": 4.0},
    "h": {"width": 1280, "depth": 32, "heads": 16, "mlp_ratio": 4.0},
}
# The patches of each size, and the native image size of each patch: small patches are for small
# images.
_PATCHES = {
    "n": (2, 4, 8),
    "ti": (2, 4, 8, 14, 16, 32),
    "s": (4, 8, 14, 16, 32),
    "b": (8, 14, 16, 32),
    "l": (14, 16, 32),
    "h": (14, 16),
}
_NATIVE = {2: 8, 4: 32, 8: 64}
_LONG = {"n": "nano", "ti": "tiny", "s": "small", "b": "base", "l": "large", "h": "huge"}


def _vits() -> dict[str, Spec]:
    specs = {}
    for size, patches in _PATCHES.items():
        for patch in patches:
            shape = {**_VIT_SIZES[size], "patch": patch}
            native = 224 if size == "b" else _NATIVE.get(patch, 224)
            stats = InputStats(crop_fraction=0.9 if native == 224 else 1.0)  # timm's
            timm = f"vit_{_LONG[size]}_patch{patch}"
            specs[f"vit_{size}_{patch}"] = _vit(shape, native, stats, timm=f"{timm}_224")
            if size == "n":
                specs[f"vit_n_{patch}_distilled"] = _vit(shape, native, stats, distilled=True)
            if native == 224 and 384 % patch == 0:
                large = _vit(shape, 384, InputStats(), timm=f"{timm}_384")
                specs[f"vit_{size}_{patch}_384"] = large
    return specs


def _vit(
    shape: dict, pixels: int, stats: InputStats, distilled: bool = False, timm: str = ""
) -> Spec:
    make = partial(DistilledVisionTransformer if distilled else VisionTransformer, **shape)
    same = timm if timm in TIMM_VITS else ""
    return Spec(make, pixels, stats, distilled, parts=PLAIN, timm=same)


def _deit(size: str, pixels: int, distilled: bool = False) -> Spec:
    timm = f"deit_{_LONG[size]}{'_distilled' if distilled else ''}_patch16_{pixels}"
    shape = {**_VIT_SIZES[size], "patch": 16}
    return _vit(shape, pixels, _imagenet(pixels, 248), distilled, timm)


def _timm(model: TimmVit) -> Spec:
    plain = _vit(model.shape, model.image_size, model.stats, model.distilled)
    return plain._replace(parts=model.parts)


def _cait(width: int, depth: int, heads: int, pixels: int, init_scale: float = 1e-5) -> Spec:
    shape = {"embed_dim": width, "depth": depth, "num_heads": heads, "init_scale": init_scale}
    return Spec(partial(CaiT, **shape), pixels, _imagenet(pixels, 248))


def _swin(width: int, third_depth: int, heads: int, window: int, pixels: int) -> Spec:
    """Describes a Swin by the width and heads of its first stage and the depth of its third."""
    shape = {"depths": (2, 2, third_depth, 2), "num_heads": tuple(heads * 2**i for i in range(4))}
    make = partial(Swin, embed_dim=width, window_size=window, **shape)
    return Spec(make, pixels, _imagenet(pixels, 256))


def _cnns(
    names: str, classifier: str, unit: int, interpolation: str = "bilinear"
) -> dict[str, Spec]:
    """Describes convolutional networks for images of a multiple of `unit` pixels."""
    stats = _imagenet(224, 256, interpolation)
    return {
        name: Spec(partial(make_cnn, name, classifier), 224, stats, unit=unit)
        for name in names.split()
    }


def _levit(widths: tuple[int, ...], heads: tuple[int, ...], key: int, *depths: int) -> Spec:
    make = partial(make_levit, widths=widths, heads=heads, key=key, depths=depths)
    return Spec(make, 224, _imagenet(224, 248), unit=16)


def _t2t(tokens: str, width: int, depth: int, heads: int, ratio: float, pixels: int = 224) -> Spec:
    shape = {"embed_dim": width, "depth": depth, "num_heads": heads, "mlp_ratio": ratio}
    make = partial(make_t2t, tokens_type=tokens, **shape)
    return Spec(make, pixels, _imagenet(pixels, 248), unit=16)


_OWN = {
    **_vits(),
    "deit_ti": _deit("ti", 224),
    "deit_ti_distilled": _deit("ti", 224, distilled=True),
    "deit_s": _deit("s", 224),
    "deit_s_distilled": _deit("s", 224, distilled=True),
    "deit_b": _deit("b", 224),
    "deit_b_distilled": _deit("b", 224, distilled=True),
    "deit_b_384": _deit("b", 384),
    "deit_b_distilled_384": _deit("b", 384, distilled=True),
    # PPIM's CaiT: width, depth, heads, image size
    "cait_xxs_24": _cait(192, 24, 4, 224),
    "cait_xxs_36": _cait(192, 36, 4, 224),
    "cait_s_24": _cait(384, 24, 8, 224),
    "cait_xxs_24_384": _cait(192, 24, 4, 384),
    "cait_xxs_36_384": _cait(192, 36, 4, 384),
    "cait_xs_24_384": _cait(288, 24, 6, 384),
    "cait_s_24_384": _cait(384, 24, 8, 384),
    "cait_s_36_384": _cait(384, 36, 8, 384, init_scale=1e-6),
    "cait_m_36_384": _cait(768, 36, 16, 384, init_scale=1e-6),
    "cait_m_48_448": _cait(768, 48, 16, 448, init_scale=1e-6),
    # PPIM's Swin and Swin-L: width, depth of the third stage, heads, window, image size
    "swin_ti": _swin(96, 6, 3, 7, 224),
    "swin_ti_384": _swin(96, 6, 3, 12, 384),
    "swin_s": _swin(96, 18, 3, 7, 224),
    "swin_s_384": _swin(96, 18, 3, 12, 384),
    "swin_b": _swin(128, 18, 4, 7, 224),
    "swin_b_384": _swin(128, 18, 4, 12, 384),
    "swin_l": _swin(192, 18, 6, 7, 224),
    "swin_l_384": _swin(192, 18, 6, 12, 384),
    # PPIM's convolutional networks, and the ResNets of paddle.vision: names, classifier, unit
    **_cnns("resnet_18 resnet_34 resnet_50 resnet_101 resnet_152", "fc", 1),
    **_cnns("dla_34 dla_46_c dla_46x_c dla_60 dla_60x dla_60x_c", "fc", 32),
    **_cnns("dla_102 dla_102x dla_102x2 dla_169", "fc", 32),
    **_cnns("cdnv2_a cdnv2_b cdnv2_c", "classifier", 32),
    **_cnns("rexnet_1_0 rexnet_1_3 rexnet_1_5 rexnet_2_0 rexnet_3_0", "output.1", 1, "bicubic"),
    **_cnns("repvgg_a0 repvgg_a1 repvgg_a2 repvgg_b0 repvgg_b1 repvgg_b2", "linear", 1),
    **_cnns("repvgg_b3 repvgg_b1g2 repvgg_b1g4 repvgg_b2g4 repvgg_b3g4", "linear", 1),
    **_cnns("hardnet_39_ds", "base.14.3", 32),
    **_cnns("hardnet_68 hardnet_68_ds", "base.16.3", 32),
    **_cnns("hardnet_85", "base.19.3", 32),
    **_cnns("rednet_26 rednet_38 rednet_50 rednet_101 rednet_152", "fc", 32),
    # PPIM's LeViT: widths, heads, width of a key, depths
    "levit_128s": _levit((128, 256, 384), (4, 6, 8), 16, 2, 3, 4),
    "levit_128": _levit((128, 256, 384), (4, 8, 12), 16, 4, 4, 4),
    "levit_192": _levit((192, 288, 384), (3, 5, 6), 32, 4, 4, 4),
    "levit_256": _levit((256, 384, 512), (4, 6, 8), 32, 4, 4, 4),
    "levit_384": _levit((384, 512, 768), (6, 9, 12), 32, 4, 4, 4),
    # PPIM's T2T-ViT: tokens, width, depth, heads, MLP ratio, image size
    "t2t_vit_7": _t2t("performer", 256, 7, 4, 2.0),
    "t2t_vit_10": _t2t("performer", 256, 10, 4, 2.0),
    "t2t_vit_12": _t2t("performer", 256, 12, 4, 2.0),
    "t2t_vit_14": _t2t("performer", 384, 14, 6, 3.0),
    "t2t_vit_19": _t2t("performer", 448, 19, 7, 3.0),
    "t2t_vit_24": _t2t("performer", 512, 24, 8, 3.0),
    "t2t_vit_14_384": _t2t("performer", 384, 14, 6, 3.0, 384),
    "t2t_vit_24_token_labeling": _t2t("performer", 512, 24, 8, 3.0, 384),
    "t2t_vit_t_14": _t2t("transformer", 384, 14, 6, 3.0),
    "t2t_vit_t_19": _t2t("transformer", 448, 19, 7, 3.0),
    "t2t_vit_t_24": _t2t("transformer", 512, 24, 8, 3.0),
}
MODELS = {**_OWN, **{name: _timm(model) for name, model in TIMM_VITS.items()}}
# The names to suggest for an unknown one: without timm's names of models that have a name here.
SUGGESTED = tuple(name for name in MODELS if name not in {spec.timm for spec in _OWN.values()})
