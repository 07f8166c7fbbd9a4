"""Tells which model of the registry a source of weights is of: `model.name=auto`.

A name says it by itself, and so do this project's own files. For others the shapes of the arrays
say it, where they fit one ViT or DeiT alone.
"""

from __future__ import annotations

import math
from typing import Any

import numpy as np

from common.errors import UserError, listed
from common.safetensors_files import own_metadata
from models.abilities import plain_shapes
from models.registry import MODELS
from models.weights import published
from models.weights.formats.array_files import read_arrays
from models.weights.names import google
from models.weights.sources import locate, needs_download
from models.weights.stated_input import stated_input

_REMEDY = "name the model by --config.model.name=NAME (python -m tools.models --names lists them)"


def model_of(source: str) -> str:
    """Returns the name of the model that weights are of.

    Args:
        source: a name, an address or a file, as `models.load_weights` takes it. An address must
            have been downloaded.

    Raises:
        UserError: when it can't be told; the message has what the shapes say.
    """
    if source in MODELS:
        return source
    kind = source.partition(".")[0]  # timm/NAME, whatever the tag
    for name in MODELS:
        if source in published.sources(name) or kind == f"timm/{published.timm_name(name)}":
            return name
    if needs_download(source):
        raise UserError(f"model.name=auto: {source} is not here yet; {_REMEDY}")
    path = locate(source)
    arrays, metadata = read_arrays(path)
    stored: Any = own_metadata(metadata, source)
    for key in ("config", "model", "name"):  # as `engine/state/run_weights.py` writes it
        stored = stored.get(key) if isinstance(stored, dict) else None
    if isinstance(stored, str) and stored in MODELS:
        return stored
    return _of_shapes(arrays, source)


def _of_shapes(arrays: dict[str, np.ndarray], source: str) -> str:
    """Returns the ViT or DeiT that has arrays of these shapes."""
    if google.is_google(arrays):
        arrays = google.from_google(arrays, source)
    arrays = {name: array for name, array in arrays.items() if array.ndim}
    found = _plain_shape(arrays)
    if not found:
        raise UserError(
            f"model.name=auto: {source} has not the arrays of a plain ViT or DeiT; {_REMEDY}"
        )
    said = _said(found)
    fields = ("width", "depth", "patch", "mlp_ratio", "distilled")
    shapes = plain_shapes()
    fitting = [
        name for name, one in shapes.items() if all(one[key] == found[key] for key in fields)
    ]
    same_side = [name for name in fitting if shapes[name]["side"] == found["side"]]
    fitting = same_side or fitting
    if not fitting:
        raise UserError(
            f"model.name=auto: {source} is of a ViT {said}, which no model here is; {_REMEDY}"
        )
    alike = len({MODELS[name].stats for name in fitting}) == 1
    if len(fitting) > 1 and not alike and not stated_input(source):
        raise UserError(
            f"model.name=auto: {source} is of a ViT {said}: {listed(fitting)} have this shape, but "
            f"expect other pixels; {_REMEDY}"
        )
    return fitting[0]


def _plain_shape(arrays: dict[str, np.ndarray]) -> dict[str, Any]:
    """Returns the shape of a ViT or DeiT; {} where the arrays are of something else."""
    wanted = ("patch_embed.proj.weight", "cls_token", "pos_embed", "blocks.0.mlp.fc1.bias")
    if not all(name in arrays for name in wanted):
        return {}
    if any(name.endswith((".gamma", "gamma_1", "gamma_2")) for name in arrays):
        return {}  # LayerScale: DINOv2, DeiT III, CaiT
    patches, positions = arrays[wanted[0]], arrays["pos_embed"]
    numbers = {int(name.split(".")[1]) for name in arrays if _is_block(name)}
    distilled = "dist_token" in arrays
    if patches.ndim != 4 or positions.ndim != 3 or not patches.size:
        return {}
    width, _, patch, _ = patches.shape
    grid = math.isqrt(max(0, positions.shape[1] - 1 - distilled))
    return {
        "width": width,
        "depth": len(numbers),
        "patch": patch,
        "mlp_ratio": len(arrays[wanted[3]]) / width,
        "distilled": distilled,
        "side": grid * patch,
    }


def _is_block(name: str) -> bool:
    parts = name.split(".")
    return parts[0] == "blocks" and len(parts) > 2 and parts[1].isdecimal()


def _said(shape: dict[str, Any]) -> str:
    distilled = " with a distillation token" if shape["distilled"] else ""
    return (
        f"of width {shape['width']}, {shape['depth']} blocks, patches of {shape['patch']} px and "
        f"images of {shape['side']} px{distilled}"
    )
