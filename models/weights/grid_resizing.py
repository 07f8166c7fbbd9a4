"""Resizes parameters that belong to the places of a grid, by bicubic interpolation.

Two definitions are in use. Weights that were fine-tuned with one should not be resized with the
other. Position embeddings are resized as in timm's `resample_abs_pos_embed`: Keys' kernel with
a = -0.5, antialiased. Tables of relative positions are resized as in Swin's official code:
a = -0.75, which is PyTorch's and Paddle's `interpolate`. In both, the corners of the two grids
coincide, not the centres of their outermost cells (`align_corners=False`).
"""

import math

import numpy as np

_MOST_SPECIAL = 17  # class, distillation and register tokens that a message looks for


def resize_positions(
    positions: np.ndarray,
    grid: tuple[int, int],
    special: int,
    old: tuple[int, ...] = (),
) -> np.ndarray:
    """Resizes the grid part of a position embedding; the part of the special tokens stays.

    Args:
        positions: `(1, special + old_height * old_width, D)`, or without the first axis. The old
            grid is the new one if it has as many places, else a square.
        grid: height and width of the new grid, in patches.
        special: number of special tokens that have places before the grid; 0: only patches have.
        old: height and width of the old grid, where they are known.

    Returns:
        `(1, special + height * width, D)`; `positions` itself if the grid is the same.

    Raises:
        ValueError: when the old grid is not known.
    """
    if positions.ndim == 2:
        positions = positions[np.newaxis]
    if positions.ndim != 3:
        raise ValueError(f"has shape {list(positions.shape)}, expected (1, places, width)")
    old = old or _grid(positions.shape[1] - special, grid)
    if not old:
        raise ValueError(_misfit(positions.shape[1], grid, special))
    if old == grid:
        return positions
    resized = _resize(
        positions[0, special:].reshape(*old, -1), grid, sharpness=-0.5, antialias=True
    )
    return np.concatenate(
        [positions[:, :special], resized.reshape(1, grid[0] * grid[1], -1)], axis=1
    )


def _grid(count: int, usual: tuple[int, int]) -> tuple[int, ...]:
    """Returns height and width of a grid of so many places; nothing where they are not known."""
    side = math.isqrt(max(0, count))
    if count == usual[0] * usual[1]:
        return usual
    return (side, side) if count > 0 and side * side == count else ()


def _misfit(places: int, grid: tuple[int, int], special: int) -> str:
    """Says why so many places are not those of the model."""
    if special and _grid(places, grid):
        return (
            f"has {places} places: a square grid without places for the class token (set "
            f"class_position=False), or an oblong grid + {special} tokens, which can't be resized"
        )
    others = (number for number in range(1, _MOST_SPECIAL) if _grid(places - number, grid))
    if not special and (count := next(others, 0)):
        return (
            f"has {places} places, {count} more than a square grid: those of class or register "
            "tokens, which have none in this model (class_position=False)"
        )
    return f"has {places} places, which is no square grid + {special} tokens"


def resize_bias_table(table: np.ndarray, window: int) -> np.ndarray:
    """Resizes a table of relative position biases.

    Args:
        table: `((2 * old_window - 1)^2, heads)`.
        window: side of the new window, in patches.

    Returns:
        `((2 * window - 1)^2, heads)`; `table` itself if the window is the same.

    Raises:
        ValueError: when the table is not for a square window.
    """
    old = math.isqrt(table.shape[0]) if table.ndim == 2 else 0
    if table.ndim != 2 or old * old != table.shape[0] or old % 2 == 0:
        raise ValueError(f"has shape {list(table.shape)}, which is no table of a square window")
    new = 2 * window - 1
    if old == new:
        return table
    grid = table.reshape(old, old, -1)
    return _resize(grid, (new, new), sharpness=-0.75, antialias=False).reshape(new * new, -1)


def _resize(
    grid: np.ndarray, size: tuple[int, int], sharpness: float, antialias: bool
) -> np.ndarray:
    """Resizes `(h, w, D)` to `(H, W, D)`, float32; the arithmetic is float64."""
    rows, columns = (_taps(old, new, sharpness, antialias) for old, new in zip(grid.shape, size))
    resized = np.einsum("Hh,hwd,Ww->HWd", rows, grid.astype(np.float64), columns, optimize=True)
    with np.errstate(over="ignore"):  # the loader checks the result
        return resized.astype(np.float32)


def _taps(old: int, new: int, sharpness: float, antialias: bool) -> np.ndarray:
    """Returns the weights `(new, old)` of old places in new ones along one axis; rows sum to 1."""
    scale = old / new
    spread = max(scale, 1.0) if antialias else 1.0
    centres = (np.arange(new) + 0.5) * scale - 0.5
    margin = math.ceil(2 * spread) + 1
    places = np.arange(-margin, old + margin)
    weights = _keys(np.abs(places - centres[:, None]) / spread, sharpness)
    taps = np.zeros((new, old))
    if antialias:  # places outside the grid have no weight
        taps += weights[:, margin:-margin]
    else:  # the outermost places continue outside the grid
        np.add.at(taps.T, np.clip(places, 0, old - 1), weights.T)
    return taps / taps.sum(axis=1, keepdims=True)


def _keys(distance: np.ndarray, a: float) -> np.ndarray:
    """Computes Keys' cubic convolution kernel (IEEE TASSP 29(6), 1981)."""
    near = ((a + 2) * distance - (a + 3)) * distance**2 + 1
    far = a * (((distance - 5) * distance + 8) * distance - 4)
    return np.where(distance <= 1, near, np.where(distance < 2, far, 0.0))
