"""The ViT, DeiT and EVA of timm by name: sizes, parts, the images and the tags of their weights.

They are the lines of `timm_vits.txt`, for timm 1.0.31. A test compares all of them with timm.
"""

from __future__ import annotations

import re
from pathlib import Path
from typing import NamedTuple

from models.families.parts import PLAIN, Parts
from models.input_images import IMAGENET_MEAN, IMAGENET_STD, InputStats

# The words of the column `parts`, joined by `+`, and the fields of `Parts` that each stands for. A
# number in a word is that of its field: `reg4` has 4 registers, `scale-5` starts at 1e-5.
_WORDS = {
    "gap": {"class_token": False, "pool": "avg"},
    "mean": {"pool": "avg"},
    "fc": {"fc_norm": True},
    "unplaced": {"class_position": False},
    "clip": {"norm_pre": True, "patch_bias": False, "norm_epsilon": 1e-5},
    "quick": {"activation": "quick_gelu"},
    "tanh": {"activation": "gelu_tanh"},
    "swiglu": {"mlp": "swiglu"},
    "no_bias": {"qkv_bias": False},
    "no_norm": {"final_norm": False},
    "qv": {"key_bias": False},
    "eva": {"rope": "eva"},
    "axial": {"rope": "axial"},
    "dinov3": {
        "layer_scale": 1e-5,
        "registers": 4,
        "norm_epsilon": 1e-5,
        "positions": False,
        "rope": "dinov3",
    },
    "bare": {"positions": False},
    "attn_norm": {"attention_norm": True},
    "mlp_norm": {"mlp_norm": True},
}
_PIXELS = {  # mean and deviation of the column `pixels`; behind a slash: another interpolation
    "half": ((0.5, 0.5, 0.5), (0.5, 0.5, 0.5)),
    "imagenet": (IMAGENET_MEAN, IMAGENET_STD),
    "clip": ((0.48145466, 0.4578275, 0.40821073), (0.26862954, 0.26130258, 0.27577711)),
    "raw": ((0.0, 0.0, 0.0), (1.0, 1.0, 1.0)),
}
_COLUMNS = 10  # before the tags


class TimmVit(NamedTuple):
    """A model of timm's.

    Attributes:
        shape: `width`, `depth`, `heads`, `mlp_ratio` and `patch`, as `VisionTransformer` takes
            them.
        image_size: in pixels.
        parts: what it has in addition to a plain ViT.
        stats: of the images that its first weights expect.
        distilled: whether it has a second head.
        tags: of its weights, `timm/NAME.TAG`.
    """

    shape: dict
    image_size: int
    parts: Parts
    stats: InputStats
    distilled: bool
    tags: tuple[str, ...]


def _parts(words: list[str]) -> Parts:
    fields: dict = {}
    for word in words:
        kind, _, number = re.fullmatch(r"(reg|scale|)(-?)(.*)", word).groups()
        if kind == "reg":
            fields["registers"] = int(number)
        elif kind == "scale":
            fields["layer_scale"] = float(f"1e-{number}")
        else:
            fields.update(_WORDS[word])
    return PLAIN.with_fields(fields)


def _read(line: str) -> tuple[str, TimmVit]:
    """Reads a line of the table."""
    columns, tags = line.split()[:_COLUMNS], line.split()[_COLUMNS:]
    name, *numbers = columns[:7]
    width, depth, heads, hidden, patch, image_size = map(int, numbers)
    shape = {"width": width, "depth": depth, "heads": heads, "mlp_ratio": hidden / width}
    words = [word for word in columns[7].split("+") if word != "-"]
    pixels, _, interpolation = columns[8].partition("/")
    return name, TimmVit(
        {**shape, "patch": patch},
        image_size,
        _parts([word for word in words if word != "distilled"]),
        InputStats(*_PIXELS[pixels], float(columns[9]), interpolation or "bicubic"),
        "distilled" in words,
        tuple(tags),
    )


def _table() -> dict[str, TimmVit]:
    text = Path(__file__).with_suffix(".txt").read_text(encoding="utf-8")
    lines = re.sub(r"\n +", " ", re.sub(r"(?m)^#.*\n", "", text)).splitlines()
    return dict(map(_read, lines))


TIMM_VITS = _table()
