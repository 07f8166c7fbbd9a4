"""The weights file that each published config begins from: where it is, and what is known of it.

What a config and the lists of weights say is read there (address, MD5, pixels). What only the
publisher says is written here: licence, head, size, and the file of the published run where it was
another one with the same values. A test compares all of it with timm's and PPIM's tables.
"""

from __future__ import annotations

from dataclasses import dataclass

from configs import imagenet_resnet_50_fixres_384
from program.config import config_files

_NO_SUM = {
    "Google": "none is published beside the file; Google's answer to a download has one, which is "
    "compared",
    "timm": "Hugging Face has one for the file, which could not be looked up without a network",
    "PPIM": "AI Studio publishes none",
    "Paddle": "",
    "Facebook": "none is published; its name has no digits of one",
}
_GOOGLE = "Apache-2.0 (google-research/vision_transformer; none is stated for the file alone)"
_PPIM = "Apache-2.0 (PPIM, and the original facebookresearch/deit)"
_PADDLE = "Apache-2.0 (PaddlePaddle; none is stated for the file alone)"
_FLOAT = 4  # bytes of a float32


@dataclass(frozen=True)
class StartingWeights:
    """A weights file that a published config downloads.

    Attributes:
        config: name of the config.
        role: `model`, or `teacher` of a distillation.
        source: as the config names it (`model.pretrained`, `distill.weights`).
        publisher: `Google`, `timm`, `PPIM`, `Paddle` or `Facebook`.
        file: its name.
        address: from which it is downloaded.
        sha256: of the file; None where the publisher states none.
        md5: of the file; None where the publisher states none.
        no_checksum: why there is neither; empty where there is one.
        bytes: exact size; None where it is not known without a network.
        about_bytes: 4 bytes for each value in the file.
        licence: of the weights.
        head_classes: of the head in the file.
        head: what happens to it.
        mean: of the pixels, 0 to 1, for each channel, as the run normalises them.
        std: standard deviation in the same form.
        interpolation: of the resizing.
        crop: side of the evaluation crop over that of the resized image.
        published_address: the file of the published run; empty: this one, or not stated.
    """

    config: str
    role: str
    source: str
    publisher: str
    file: str
    address: str
    sha256: str | None
    md5: str | None
    no_checksum: str
    bytes: int | None
    about_bytes: int
    licence: str
    head_classes: int
    head: str
    mean: tuple[float, float, float]
    std: tuple[float, float, float]
    interpolation: str
    crop: float
    published_address: str = ""


@dataclass(frozen=True)
class _Stated:
    """What only the publisher says of a source, and how many values the file has."""

    publisher: str
    file: str
    licence: str
    values: int
    head_classes: int = 1000


_STATED = {
    # With the layer below the head (`pre_logits`) and a head for ImageNet-21k.
    "google/imagenet21k/ViT-B_16": _Stated(
        "Google", "ViT-B_16.npz", _GOOGLE, 103_186_515, head_classes=21_843
    ),
    "google/imagenet21k/ViT-L_16": _Stated(
        "Google", "ViT-L_16.npz", _GOOGLE, 326_740_307, head_classes=21_843
    ),
    "deit_b_distilled_384": _Stated(
        "PPIM", "DeiT_base_distilled_patch16_384.pdparams", _PPIM, 87_630_032
    ),
    "cait_s_36_384": _Stated("PPIM", "CaiT_S36_384.pdparams", _PPIM, 68_366_632),
    "timm/swin_large_patch4_window12_384.ms_in22k_ft_in1k": _Stated(
        "timm", "model.safetensors", "MIT (microsoft/Swin-Transformer)", 196_735_516
    ),
    "timm/vit_large_patch16_384.augreg_in21k_ft_in1k": _Stated(
        "timm",
        "model.safetensors",
        "Apache-2.0 (google-research/vision_transformer)",
        304_715_752,
    ),
    # With the running statistics of the batch norms.
    # PyTorch's file also has a count of batches for each of its 53 batch norms.
    imagenet_resnet_50_fixres_384.WEIGHTS: _Stated(
        "Facebook",
        "ResNet_no_adaptation.pth",
        "CC BY-NC 4.0 (facebookresearch/FixRes): not for commercial use",
        25_610_152,
    ),
    "resnet_152": _Stated("Paddle", "resnet152.pdparams", _PADDLE, 60_344_232),
}
# The published runs on Tiny ImageNet took the files of timm 0.6.7, which their requirements.txt
# names; ours have the same values. Behind `-` a name has the first digits of its SHA-256.
_FACEBOOK = "https://dl.fbaipublicfiles.com/deit/"
_PUBLISHED_ADDRESSES = {
    "tiny_imagenet_deit_b_distilled_384": _FACEBOOK  # timm/models/deit.py:58
    + "deit_base_distilled_patch16_384-d0272ac0.pth",
    "tiny_imagenet_cait_s_36_384": _FACEBOOK + "S36_384.pth",  # timm/models/cait.py:63
    "tiny_imagenet_swin_l_384": "https://github.com/SwinTransformer/storage/releases/download/"
    "v1.0.0/swin_large_patch4_window12_384_22kto1k.pth",  # timm/models/swin_transformer.py:58
    "tiny_imagenet_vit_l_384": "https://storage.googleapis.com/vit_models/augreg/L_16-i21k-300ep-"
    "lr_0.001-aug_medium1-wd_0.1-do_0.1-sd_0.1--imagenet2012-steps_20k-lr_0.01-res_384.npz",
    # timm/models/vision_transformer.py:102
}
PUBLISHED_CONFIGS = (
    *("cifar100_vit_b_384", "cifar100_vit_l_384", "imagenet_vit_b_384", "imagenet_vit_l_384"),
    *("cifar100_deit_b_distilled_384", "cifar100_vit_b_fixres"),
    *("tiny_imagenet_swin_l_384", "tiny_imagenet_deit_b_distilled_384"),
    *("tiny_imagenet_vit_l_384", "tiny_imagenet_cait_s_36_384"),
    *("imagenet_resnet_50_fixres_384", "imagenet_deit_ti_distilled"),
)


def of_config(name: str) -> list[StartingWeights]:
    """Returns the files that a published config downloads: of the model, and of its teacher.

    Args:
        name: of a config, such as `cifar100_vit_b_384`.
    """
    config = config_files.load_file(f"configs/{name}.py")
    classes = {"cifar100": 100, "tiny_imagenet": 200, "imagenet": 1000}[config.data.name]
    found = []
    if config.model.pretrained:
        found.append(_weights(name, "model", config, classes))
    if config.distill.teacher:
        found.append(_weights(name, "teacher", config, classes))
    return found


def every() -> list[StartingWeights]:
    """Returns the files of all published configs."""
    return [weights for name in PUBLISHED_CONFIGS for weights in of_config(name)]


def _weights(name: str, role: str, config, classes: int) -> StartingWeights:
    from models.weights.sources.locations import address_of

    source = config.model.pretrained if role == "model" else config.distill.weights
    stated, address = _STATED[source], address_of(source)
    return StartingWeights(
        config=name,
        role=role,
        source=source,
        publisher=stated.publisher,
        file=stated.file,
        address=address.url,
        sha256=None,
        md5=address.md5 or None,
        no_checksum="" if address.md5 else _NO_SUM[stated.publisher],
        bytes=None,
        about_bytes=_FLOAT * stated.values,
        licence=stated.licence,
        head_classes=stated.head_classes,
        head=_head(role, config, stated.head_classes, classes),
        **_pixels(role, config, stated.publisher),
        published_address=_PUBLISHED_ADDRESSES.get(name, ""),
    )


def _head(role: str, config, in_file: int, classes: int) -> str:
    """Returns what happens to the head of a file, in words."""
    if in_file == classes or role == "teacher":
        return f"kept ({in_file} classes)"
    start = "0" if config.model.head_init == "zero" else "normal numbers (0.02)"
    return (
        f"replaced ({in_file} classes) by one of {classes} classes, whose weights begin at {start}"
    )


def _pixels(role: str, config, publisher: str) -> dict:
    """Returns the pixels that a run shows to the model: the config's, or else the weights' own."""
    import models

    # What timm's files say beside them is in our lists of models, so that no network is needed.
    stated = config.model.pretrained if publisher == "Google" else ""
    name = config.model.name if role == "model" else config.distill.teacher
    stats = models.input_stats(name, stated)._asdict()
    ours = config.model if role == "model" else None
    return {
        "mean": tuple(ours.mean if ours and ours.mean else stats["mean"]),
        "std": tuple(ours.std if ours and ours.std else stats["std"]),
        "interpolation": (ours and config.data.interpolation) or stats["interpolation"],
        "crop": (ours and config.data.eval_crop) or stats["crop_fraction"],
    }


def stated_sources() -> list[str]:
    """Returns the sources of all published configs."""
    return list(_STATED)


def licence_of(source: str) -> str:
    """Returns the licence of a source of `stated_sources`."""
    return _STATED[source].licence


def values_of(source: str) -> int:
    """Returns how many numbers the file of a source has."""
    return _STATED[source].values
