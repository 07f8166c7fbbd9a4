"""Reads the images that weights expect from the settings of timm and Hugging Face."""

from __future__ import annotations

import math
from pathlib import Path
from typing import Any

from common.errors import UserError

_INTERPOLATIONS = ("bicubic", "bilinear")
_RESAMPLE = {2: "bilinear", 3: "bicubic"}  # Pillow's numbers; others are left to the model's own


def timm_input(stated: dict[str, Any], path: Path) -> dict[str, Any] | None:
    """Reads the fields of timm's `pretrained_cfg`.

    Args:
        stated: the fields.
        path: of their file, for errors.

    Returns:
        `mean`, `std`, `crop_fraction` and `interpolation`; None for a config of something else.

    Raises:
        UserError: when they make no sense.
    """
    if "crop_pct" not in stated and "mean" not in stated:
        return None
    found = {name: stated[name] for name in ("mean", "std") if name in stated}
    if stated.get("interpolation") in _INTERPOLATIONS:  # others are left to the model's own
        found["interpolation"] = stated["interpolation"]
    crop = stated.get("crop_pct")
    return checked({**found, "crop_fraction": 1.0 if crop is None else crop}, path)


def hugging_face_input(stated: Any, path: Path) -> dict[str, Any] | None:
    """Reads a `preprocessor_config.json` of transformers.

    Args:
        stated: its content.
        path: of the file, for errors.

    Returns:
        `mean`, `std`, `crop_fraction`, and `interpolation` where it is one that is known here; None
        for a file of something else.

    Raises:
        UserError: when they make no sense.
    """
    stated = stated.get("image_processor", stated) if isinstance(stated, dict) else {}
    if not isinstance(stated, dict) or not {"image_mean", "do_normalize"} & set(stated):
        return None
    try:
        mean, std = stated.get("image_mean", (0.5,) * 3), stated.get("image_std", (0.5,) * 3)
        if not stated.get("do_normalize", True):
            mean, std = (0.0,) * 3, (1.0,) * 3
        scale = 255 * float(stated.get("rescale_factor", 1 / 255))
        found = {
            "mean": [round(float(one) / scale, 12) for one in mean],
            "std": [round(float(one) / scale, 12) for one in std],
            "crop_fraction": _crop_fraction(stated),
        }
    except (TypeError, ValueError, ZeroDivisionError, OverflowError):
        raise UserError(f"{path}: what it says of its input is not readable: {stated!r}") from None
    kind = _RESAMPLE.get(stated.get("resample", -1))
    return checked({**found, **({"interpolation": kind} if kind else {})}, path)


def _crop_fraction(stated: dict[str, Any]) -> float:
    """Returns the side of the crop over that of the resized image."""
    if stated.get("crop_pct"):
        return float(stated["crop_pct"])
    crop, size = _side(stated.get("crop_size")), _side(stated.get("size"))
    cropped = stated.get("do_center_crop", False) and crop and size
    return min(1.0, crop / size) if cropped else 1.0


def _side(size: Any) -> float:
    """Returns the side that a size says in one of its forms; 0 for none."""
    if isinstance(size, dict):
        size = size.get("shortest_edge", size.get("height", 0))
    return float(size or 0)


def checked(stated: Any, path: Path) -> dict[str, Any]:
    """Returns the fields of `InputStats` with their types.

    Args:
        stated: `mean`, `std` and `crop_fraction`, perhaps `interpolation`.
        path: of the file that says them, for errors.

    Raises:
        UserError: when they make no sense.
    """
    try:
        mean, std = stated["mean"], stated["std"]
        fields = {
            "mean": tuple(map(float, mean)),
            "std": tuple(map(float, std)),
            "crop_fraction": float(stated["crop_fraction"]),
        }
        if "interpolation" in stated:
            fields["interpolation"] = stated["interpolation"]
        right = (
            not isinstance(mean, str)
            and not isinstance(std, str)
            and len(fields["mean"]) == len(fields["std"]) == 3
            and all(map(math.isfinite, (*fields["mean"], *fields["std"])))
            and min(fields["std"]) > 0
            and 0 < fields["crop_fraction"] <= 1
            and fields.get("interpolation", _INTERPOLATIONS[0]) in _INTERPOLATIONS
        )
    except (KeyError, TypeError, ValueError, OverflowError):
        right = False
    if not right:
        raise UserError(f"{path}: what it says of its input is not readable: {stated!r}")
    return fields
