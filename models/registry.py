"""The models by name: a new size gets its line here."""

from __future__ import annotations

from functools import partial

from models.families.cnn_levit_t2t import make_cnn, make_levit, make_t2t
from models.input_images import IMAGENET_MEAN, IMAGENET_STD, InputStats
from models.specs import CaiTSpec, NetSpec, SwinSpec, ViTSpec

# name: (width, depth, heads, MLP ratio). `n` (nano) is this project's own, for images of a few
# pixels.
_SIZES = {
    "n": (48, 4, 3, 2.0),
    "ti": (192, 12, 3, 4.0),
    "s": (384, 12, 6, 4.0),
    "b": (768, 12, 12, 4.0),
    "l": (1024, 24, 16, 4.0),
    "h": (1280, 32, 16, 4.0),
}
# Which patches a size comes with, and the native resolution of each patch: small patches are for
# small images.
_PATCHES = {
    "n": (2, 4, 8),
    "ti": (2, 4, 8, 14, 16, 32),
    "s": (4, 8, 14, 16, 32),
    "b": (8, 14, 16, 32),
    "l": (14, 16, 32),
    "h": (14, 16),
}
_NATIVE = {2: 8, 4: 32, 8: 64}


def _vit_specs() -> dict[str, ViTSpec]:
    specs = {}
    for size, patches in _PATCHES.items():
        for patch in patches:
            native = 224 if size == "b" else _NATIVE.get(patch, 224)
            crop = 0.9 if native == 224 else 1.0  # timm's
            spec = ViTSpec(*_SIZES[size], patch, native, stats=InputStats(crop_fraction=crop))
            specs[f"vit_{size}_{patch}"] = spec
            if size == "n":
                specs[f"vit_n_{patch}_distilled"] = spec._replace(distilled=True)
            if spec.image_size == 224 and 384 % patch == 0:
                specs[f"vit_{size}_{patch}_384"] = spec._replace(image_size=384, stats=InputStats())
    return specs


def _deit_specs() -> dict[str, ViTSpec]:
    stats = {
        224: InputStats(IMAGENET_MEAN, IMAGENET_STD, 224 / 248),
        384: InputStats(IMAGENET_MEAN, IMAGENET_STD),
    }
    specs = {}
    for size, resolution in (("ti", 224), ("s", 224), ("b", 224), ("b", 384)):
        for distilled in (False, True):
            name = (
                f"deit_{size}"
                + ("_distilled" if distilled else "")
                + ("_384" if resolution == 384 else "")
            )
            specs[name] = ViTSpec(*_SIZES[size], 16, resolution, distilled, stats[resolution])
    return specs


# name: (width, depth, heads, first value of LayerScale, image size), PPIM's
_CAIT = {
    "cait_xxs_24": (192, 24, 4, 1e-5, 224),
    "cait_xxs_36": (192, 36, 4, 1e-5, 224),
    "cait_s_24": (384, 24, 8, 1e-5, 224),
    "cait_xxs_24_384": (192, 24, 4, 1e-5, 384),
    "cait_xxs_36_384": (192, 36, 4, 1e-5, 384),
    "cait_xs_24_384": (288, 24, 6, 1e-5, 384),
    "cait_s_24_384": (384, 24, 8, 1e-5, 384),
    "cait_s_36_384": (384, 36, 8, 1e-6, 384),
    "cait_m_36_384": (768, 36, 16, 1e-6, 384),
    "cait_m_48_448": (768, 48, 16, 1e-6, 448),
}
# name: (width, depths, heads, window, image size), PPIM's and Swin-L
_SWIN = {
    "swin_ti": (96, (2, 2, 6, 2), (3, 6, 12, 24), 7, 224),
    "swin_ti_384": (96, (2, 2, 6, 2), (3, 6, 12, 24), 12, 384),
    "swin_s": (96, (2, 2, 18, 2), (3, 6, 12, 24), 7, 224),
    "swin_s_384": (96, (2, 2, 18, 2), (3, 6, 12, 24), 12, 384),
    "swin_b": (128, (2, 2, 18, 2), (4, 8, 16, 32), 7, 224),
    "swin_b_384": (128, (2, 2, 18, 2), (4, 8, 16, 32), 12, 384),
    "swin_l": (192, (2, 2, 18, 2), (6, 12, 24, 48), 7, 224),
    "swin_l_384": (192, (2, 2, 18, 2), (6, 12, 24, 48), 12, 384),
}
# (names, classifier, images are a multiple of, interpolation), PPIM's; `resnet_*` are those of
# paddle.vision
_CNN = (
    ("resnet_18 resnet_34 resnet_50 resnet_101 resnet_152", "fc", 1, "bilinear"),
    ("dla_34 dla_46_c dla_46x_c dla_60 dla_60x dla_60x_c", "fc", 32, "bilinear"),
    ("dla_102 dla_102x dla_102x2 dla_169", "fc", 32, "bilinear"),
    ("cdnv2_a cdnv2_b cdnv2_c", "classifier", 32, "bilinear"),
    ("rexnet_1_0 rexnet_1_3 rexnet_1_5 rexnet_2_0 rexnet_3_0", "output.1", 1, "bicubic"),
    (
        "repvgg_a0 repvgg_a1 repvgg_a2 repvgg_b0 repvgg_b1 repvgg_b2 repvgg_b3",
        "linear",
        1,
        "bilinear",
    ),
    ("repvgg_b1g2 repvgg_b1g4 repvgg_b2g4 repvgg_b3g4", "linear", 1, "bilinear"),
    ("hardnet_39_ds", "base.14.3", 32, "bilinear"),
    ("hardnet_68 hardnet_68_ds", "base.16.3", 32, "bilinear"),
    ("hardnet_85", "base.19.3", 32, "bilinear"),
    ("rednet_26 rednet_38 rednet_50 rednet_101 rednet_152", "fc", 32, "bilinear"),
)
# name: (widths, heads, width of a key, depths)
_LEVIT = {
    "levit_128s": ((128, 256, 384), (4, 6, 8), 16, (2, 3, 4)),
    "levit_128": ((128, 256, 384), (4, 8, 12), 16, (4, 4, 4)),
    "levit_192": ((192, 288, 384), (3, 5, 6), 32, (4, 4, 4)),
    "levit_256": ((256, 384, 512), (4, 6, 8), 32, (4, 4, 4)),
    "levit_384": ((384, 512, 768), (6, 9, 12), 32, (4, 4, 4)),
}
# name: (tokens, width, depth, heads, MLP ratio, image size)
_T2T = {
    "t2t_vit_7": ("performer", 256, 7, 4, 2.0, 224),
    "t2t_vit_10": ("performer", 256, 10, 4, 2.0, 224),
    "t2t_vit_12": ("performer", 256, 12, 4, 2.0, 224),
    "t2t_vit_14": ("performer", 384, 14, 6, 3.0, 224),
    "t2t_vit_19": ("performer", 448, 19, 7, 3.0, 224),
    "t2t_vit_24": ("performer", 512, 24, 8, 3.0, 224),
    "t2t_vit_14_384": ("performer", 384, 14, 6, 3.0, 384),
    "t2t_vit_24_token_labeling": ("performer", 512, 24, 8, 3.0, 384),
    "t2t_vit_t_14": ("transformer", 384, 14, 6, 3.0, 224),
    "t2t_vit_t_19": ("transformer", 448, 19, 7, 3.0, 224),
    "t2t_vit_t_24": ("transformer", 512, 24, 8, 3.0, 224),
}


def _whole_specs() -> dict[str, NetSpec]:
    """At 224 pixels PPIM resizes to 256 for the convolutional ones and to 248 for the others."""
    specs = {}
    for names, head, unit, interpolation in _CNN:
        for name in names.split():
            stats = InputStats(IMAGENET_MEAN, IMAGENET_STD, 224 / 256, interpolation)
            specs[name] = NetSpec(partial(make_cnn, name, head), unit, 224, stats)
    for name, shape in _LEVIT.items():
        specs[name] = NetSpec(
            partial(make_levit, *shape), 16, 224, InputStats(IMAGENET_MEAN, IMAGENET_STD, 224 / 248)
        )
    for name, (*shape, size) in _T2T.items():
        stats = InputStats(IMAGENET_MEAN, IMAGENET_STD, 224 / 248 if size == 224 else 1.0)
        specs[name] = NetSpec(partial(make_t2t, *shape), 16, size, stats)
    return specs


def _ppim_specs() -> dict[str, CaiTSpec | SwinSpec]:
    """At 224 pixels PPIM resizes to 248 for CaiT and to 256 for Swin before the central crop."""
    specs = {}
    for family, sizes, resized in ((CaiTSpec, _CAIT, 248), (SwinSpec, _SWIN, 256)):
        for name, size in sizes.items():
            crop = 224 / resized if size[-1] == 224 else 1.0
            specs[name] = family(*size, InputStats(IMAGENET_MEAN, IMAGENET_STD, crop))
    return specs


MODELS = {**_vit_specs(), **_deit_specs(), **_ppim_specs(), **_whole_specs()}
