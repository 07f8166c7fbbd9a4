"""Rotary positions: queries and keys are turned, by pairs of channels, by angles of their place.

So the product of a query and a key depends on how far their patches are apart. Class and register
tokens are not turned. Papers: Su et al., arXiv:2104.09864 (the turning); Fang et al.,
arXiv:2303.11331 (EVA-02); Heo et al., arXiv:2403.13298 (axial, for ViT); Siméoni et al.,
arXiv:2508.10104 (DINOv3). The angles are those of timm 1.0.31; those of the official DINOv3 files
are rounded to bfloat16, which timm and Hugging Face do not follow either. DINOv3's random changes
of the coordinates in training are left out, as in timm's models.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import NamedTuple

import numpy as np
import paddle
from paddle import Tensor, nn

from models.families.parts import Parts


class _Kind(NamedTuple):
    """How a family computes the angles."""

    theta: float  # the longest period is near it; in patches, or in sides of half an image
    halves: bool = False  # whether the channels of a pair are half a head apart, or neighbours
    side: int = 0  # of the grid, in patches, that other grids are scaled to; 0: none is
    column_first: bool = False  # whether the first channels are turned by the column, not the row


# By the field `rope` of `Parts`.
_KINDS = {
    "eva": _Kind(10000.0, side=16),
    "dinov3": _Kind(100.0, halves=True),
    "axial": _Kind(100.0, column_first=True),
}


class Rotary(nn.Layer):
    """Turns queries or keys by their places.

    Args:
        kind: `eva`, `dinov3` or `axial`.
        grid: height and width of the image, in patches.
        channels: of a head; a multiple of 4.
        prefix: number of the tokens before the patches, which are not turned.
        theta: replaces the family's own; 0 for that.

    Raises:
        ValueError: when the channels are not a multiple of 4.
    """

    def __init__(
        self, kind: str, grid: Sequence[int], channels: int, prefix: int, theta: float = 0.0
    ):
        super().__init__()
        if channels % 4:
            raise ValueError(f"rope needs heads of a multiple of 4 channels, not of {channels}")
        found = _KINDS[kind]
        found = found._replace(theta=theta or found.theta)
        angles = np.pad(_angles(found, grid, channels), ((prefix, 0), (0, 0)))  # (N, channels / 2)
        # The axes of the pairs and of the two in each, and the axis of the two.
        self.pairs = [2, channels // 2] if found.halves else [channels // 2, 2]
        self.pair_axis = -2 if found.halves else -1
        sides = {"cos": (np.cos(angles),) * 2, "sin": (-np.sin(angles), np.sin(angles))}
        for name, two in sides.items():
            table = np.stack(two, self.pair_axis).reshape(-1, channels).astype("float32")
            self.register_buffer(name, paddle.to_tensor(table), persistable=False)

    def forward(self, x: Tensor, axis: int) -> Tensor:
        """Turns queries or keys.

        Args:
            x: of the first tokens, or of all; channels on the last axis.
            axis: of the tokens, 1 of `(B, N, H, channels)` or 2 of `(H, B, N, channels)`.
        """
        tables = (table[: x.shape[axis]] for table in (self.cos, self.sin))
        cos, sin = (table.unsqueeze(1) if axis == 1 else table for table in tables)
        wide = x.astype("float32")  # angles lose too much in half precision
        swapped = wide.reshape([*x.shape[:-1], *self.pairs]).flip(self.pair_axis).reshape(x.shape)
        return (wide * cos + swapped * sin).astype(x.dtype)


def rotary(parts: Parts, grid: Sequence[int], channels: int, prefix: int) -> Rotary | None:
    """Makes the rotary positions of a ViT; None where it has none."""
    return Rotary(parts.rope, grid, channels, prefix, parts.rope_theta) if parts.rope else None


def _angles(kind: _Kind, grid: Sequence[int], channels: int) -> np.ndarray:
    """Returns the angles of the patches, in radians: `(patches, channels / 2)`."""
    rising = np.arange(channels // 4) / (channels // 4)  # 0 to below 1
    speeds = kind.theta**-rising
    if kind.halves:  # coordinates of -1 to 1, of the middles of the patches
        lines = [(2 * np.arange(side) + 1) / side - 1 for side in grid]
        speeds = 2 * math.pi * speeds
    else:
        lines = [np.arange(side) * ((kind.side or side) / side) for side in grid]
    places = np.stack(np.meshgrid(*lines, indexing="ij"), axis=-1).reshape(-1, 2)  # row, column
    places = places[:, ::-1] if kind.column_first else places
    return (places[:, :, np.newaxis] * speeds).reshape(len(places), -1)
