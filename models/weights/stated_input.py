"""Reads what a source of weights says about the images that it expects."""

from __future__ import annotations

import math
from pathlib import Path

from common.download import fetch
from common.errors import UserError
from common.reading import read_json
from common.safetensors_files import own_metadata, read_metadata
from models.weights.sources import address_of, kept_path, locate

_TIMM_CONFIG = "config.json"  # next to the weights
# Google's code turns pixels into -1 to 1, and resizes whole images (tf.image.resize: bilinear).
_GOOGLE_INPUT = {
    "mean": (0.5,) * 3,
    "std": (0.5,) * 3,
    "crop_fraction": 1.0,
    "interpolation": "bilinear",
}
_INTERPOLATIONS = ("bicubic", "bilinear")


def stated_input(source: str) -> dict | None:
    """Returns what a source says about its images, as fields of `InputStats`.

    Our files have metadata. timm's `config.json` is read where it is next to the file, or is
    downloaded with it. Google's files all expect the same.

    Returns:
        `mean`, `std`, `crop_fraction` and `interpolation`; None where the source does not tell.

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
    if address and not plain.endswith(".safetensors"):  # other formats have no metadata
        return None
    path = locate(source)
    own = own_metadata(read_metadata(path), str(path)) or {}
    if "input" in own:
        return _checked(own["input"], path)
    config = path.with_name(_TIMM_CONFIG)
    return _timm_input(config) if address is None and config.is_file() else None


def _timm_input(path: Path) -> dict | None:
    try:
        content = read_json(path)
        stated = content.get("pretrained_cfg", content)
        if "crop_pct" not in stated:  # a config.json of something else
            return None
        found = {name: stated[name] for name in ("mean", "std", "interpolation")}
        return _checked({**found, "crop_fraction": stated["crop_pct"]}, path)
    except (KeyError, AttributeError, TypeError) as error:
        raise UserError(
            f"{path}: is not readable as timm's config.json ({type(error).__name__}: {error})"
        ) from None


def _checked(stated: object, path: Path) -> dict:
    """Returns the fields with their types; raises a UserError where they make no sense."""
    try:
        mean, std = stated["mean"], stated["std"]
        fields = {
            "mean": tuple(map(float, mean)),
            "std": tuple(map(float, std)),
            "crop_fraction": float(stated["crop_fraction"]),
            "interpolation": stated["interpolation"],
        }
        right = (
            not isinstance(mean, str)
            and not isinstance(std, str)
            and len(fields["mean"]) == len(fields["std"]) == 3
            and all(map(math.isfinite, (*fields["mean"], *fields["std"])))
            and min(fields["std"]) > 0
            and 0 < fields["crop_fraction"] <= 1
            and fields["interpolation"] in _INTERPOLATIONS
        )
    except (KeyError, TypeError, ValueError, OverflowError):
        right = False
    if not right:
        raise UserError(f"{path}: what it says of its input is not readable: {stated!r}")
    return fields
