"""Resizes a position embedding from the grid that the files beside the weights state.

Without them a grid is taken for a square. 2 x 8 places look like 4 x 4.
"""

from __future__ import annotations

from typing import NamedTuple

import numpy as np

from models.multipass import MultiPass
from models.weights.grid_resizing import resize_positions
from models.weights.reading import Weights
from models.weights.told.parts import count_of, shape_of, special_of

_NONE = np.zeros((0, 0, 0))


class StatedGrid(NamedTuple):
    """Height and width of a grid in places, and the number of special tokens that have places."""

    sides: tuple[int, int]
    special: int


def stated_grid(weights: Weights) -> StatedGrid | None:
    """Returns the grid of a position embedding; None where no file states one that fits it.

    Args:
        weights: with timm's names.
    """
    shape = shape_of(weights.arrays)
    if shape is None or weights.arrays.get("pos_embed", _NONE).shape[:-2] not in ((), (1,)):
        return None
    height, width = (side // shape.patch for side in weights.description.sides)
    places, special = count_of(weights.arrays, "pos_embed"), special_of(weights.arrays)
    fits = height * width > 0 and places - height * width in (0, special)
    return StatedGrid((height, width), places - height * width) if fits else None


def stated_positions(weights: Weights) -> dict[str, bool]:
    """Returns `class_position` of `Parts`, where a stated grid tells it; else nothing."""
    stated = stated_grid(weights)
    if stated is None or not special_of(weights.arrays):
        return {}
    return {"class_position": stated.special > 0}


def on_grid_of(model: MultiPass, weights: Weights) -> tuple[Weights, list[str]]:
    """Resizes a position embedding to the grid of a model, from the grid that is stated.

    Returns:
        The weights, and what is said of it; unchanged where no grid is stated or it is the model's.
    """
    stated, own = stated_grid(weights), getattr(model, "grid", None)
    if stated is None or own is None or tuple(own) == stated.sides:
        return weights, []
    places = weights.arrays["pos_embed"]
    resized = resize_positions(places, tuple(own), stated.special, stated.sides)
    old, new = (f"{rows} x {columns}" for rows, columns in (stated.sides, own))
    said = f"pos_embed was resized from {old} to {new} places: {weights.description.origin} says so"
    return weights._replace(arrays={**weights.arrays, "pos_embed": resized}), [said]
