"""What a source of weights says of the images that it expects."""

from __future__ import annotations

import math
from pathlib import Path

from common.download import fetch
from common.errors import UserError
from common.files import read_json
from common.safetensors_files import own_metadata, read_metadata
from models.weights.sources import address_of, kept_path, locate

_TIMM_CONFIG = "config.json"  # beside the weights
# What Google's code does: pixels from -1 to 1, the whole image resized (tf.image.resize, which is
# bilinear).
_GOOGLE_INPUT = {
    "mean": (0.5,) * 3,
    "std": (0.5,) * 3,
    "crop_fraction": 1.0,
    "interpolation": "bilinear",
}
_INTERPOLATIONS = ("bicubic", "bilinear")


def stated_input(source: str) -> dict | None:
    """What a source says of the images that it expects: `mean`, `std`, `crop_fraction`,
    `interpolation`.

    None where it does not tell. timm's `config.json` is asked where it lies beside the file, or is
    downloaded with it; of Google's files it is known.

    Raises:
        UserError: when what it says can't be read.
    """
    address = address_of(source)
    plain = address.url.split("?")[0] if address else source
    if plain.endswith(".npz"):
        return dict(_GOOGLE_INPUT)
    if address and source.startswith("timm/"):
        url = plain.rpartition("/")[0] + f"/{_TIMM_CONFIG}"
        return _timm_input(fetch(url, kept_path(url), most=1 << 20))
    if address and not plain.endswith(".safetensors"):  # no other format has room for it
        return None
    path = locate(source)
    own = own_metadata(read_metadata(path), str(path)) or {}
    beside = path.with_name(_TIMM_CONFIG)
    if "input" in own:
        return _checked(own["input"], path)
    return _timm_input(beside) if address is None and beside.is_file() else None


def _timm_input(path: Path) -> dict | None:
    try:
        content = read_json(path)
        stated = content.get("pretrained_cfg", content)
        if "crop_pct" not in stated:  # a config.json of something else
            return None
        found = {"mean": stated["mean"], "std": stated["std"], "crop_fraction": stated["crop_pct"]}
        return _checked({**found, "interpolation": stated["interpolation"]}, path)
    except (KeyError, AttributeError, TypeError) as error:
        raise UserError(
            f"{path}: is not readable as timm's config.json ({type(error).__name__}: {error})"
        ) from None


def _checked(stated: object, path: Path) -> dict:
    try:
        channels = {name: tuple(map(float, stated[name])) for name in ("mean", "std")}
        found = {
            **channels,
            "crop_fraction": float(stated["crop_fraction"]),
            "interpolation": stated["interpolation"],
        }
        values = (*channels["mean"], *channels["std"])
        right = len(channels["mean"]) == len(channels["std"]) == 3 and all(
            map(math.isfinite, values)
        )
        right = right and not any(isinstance(stated[name], str) for name in channels)
        right = right and min(channels["std"]) > 0 and 0 < found["crop_fraction"] <= 1
    except (KeyError, TypeError, ValueError, OverflowError):
        right = False
    if not right or found["interpolation"] not in _INTERPOLATIONS:
        raise UserError(f"{path}: what it says of its input is not readable: {stated!r}")
    return found
