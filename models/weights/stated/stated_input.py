"""Reads what a source of weights says about the images that it expects."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from common.safetensors_files import own_metadata, read_metadata, split_part
from models.weights.formats.stored import read_outline
from models.weights.names.libraries.google import heads_of
from models.weights.sources.locations import address_of, beside, locate
from models.weights.stated.descriptions import describe
from models.weights.stated.image_settings import checked

# Google's code turns pixels into -1 to 1, and resizes whole images (tf.image.resize: bilinear).
_GOOGLE_INPUT = {
    "mean": (0.5,) * 3,
    "std": (0.5,) * 3,
    "crop_fraction": 1.0,
    "interpolation": "bilinear",
}


def stated_input(source: str) -> dict[str, Any] | None:
    """Returns what a source says about its images, as fields of `InputStats`.

    Our files have metadata. The settings of timm and Hugging Face are read where they lie beside
    the file, or are downloaded with it. Google's files all expect the same.

    Returns:
        `mean`, `std`, `crop_fraction` and `interpolation`, which may be missing; None where the
        source does not tell.

    Raises:
        UserError: when what it says can't be read.
    """
    plain, _ = split_part(source)
    address = address_of(plain)
    url = getattr(address, "url", plain).split("?")[0]
    if url.endswith(".npz") and (address is not None or _is_googles(plain)):
        return dict(_GOOGLE_INPUT)
    # Other formats have no metadata, so that they need not be downloaded yet.
    from_timm = address is not None and plain.startswith("timm/")
    if (address is None or url.endswith(".safetensors")) and not from_timm:
        own = _own_input(locate(plain))
        if own:
            return own
    place = beside(plain)
    return describe(place).input if place else None


def _is_googles(source: str) -> bool:
    """Returns whether a local file has Google's names; one that is missing may have."""
    path = locate(source)
    return not path.is_file() or heads_of(read_outline(path).arrays) > 0


def _own_input(path: Path) -> dict[str, Any] | None:
    if path.is_dir():
        return None
    own = own_metadata(read_metadata(path), str(path)) or {}
    return checked(own["input"], path) if "input" in own else None
