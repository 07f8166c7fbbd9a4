"""How the time of a training step grows: with the batch, the side of the images, the depth, and the
copies.
"""

from __future__ import annotations

import statistics
from collections.abc import Callable
from typing import NamedTuple

import numpy as np

_FACTORS = {
    "batch": (1, 2, 4, 8),
    "image_size": (0.5, 0.75, 1, 1.5),
    "depth": (0.25, 0.5, 0.75, 1),
    "copies": (1, 2, 3, 4),
}
_PATCH = 32  # a multiple of all patches


class Setting(NamedTuple):
    """One training step."""

    batch: int
    image_size: int  # in pixels
    depth: int  # blocks, the last ones of the model
    copies: int


def settings(base: Setting) -> dict[str, list[Setting]]:
    """What grows, and the steps in which it does while the rest stays as in `base` (one copy is the
    base of copies).
    """
    found = {}
    for name, factors in _FACTORS.items():
        start = 1 if name == "copies" else getattr(base, name)
        values = [_rounded(name, start * factor) for factor in factors]
        found[name] = [base._replace(**{name: value}) for value in dict.fromkeys(values)]
    return found


def _rounded(name: str, value: float) -> int:
    unit = _PATCH if name == "image_size" else 1
    return max(unit, unit * round(value / unit))


def fit(values: list[float], seconds: list[float]) -> float:
    """The exponent p of the power law `seconds = c * values ** p`, by least squares of the
    logarithms.
    """
    return float(np.polyfit(np.log(values), np.log(seconds), 1)[0])


def show(
    base: Setting, seconds: dict[str, list[float]], key: Callable[[Setting], str]
) -> list[dict]:
    """Print a table of what grows, and give its rows: values, median seconds and the exponent."""
    rows = []
    for name, points in settings(base).items():
        values = [getattr(point, name) for point in points]
        medians = [statistics.median(seconds[key(point)]) for point in points]
        rows.append(
            {"name": name, "values": values, "seconds": medians, "exponent": fit(values, medians)}
        )
        shown = "  ".join(
            f"{value}: {median * 1e3:.0f} ms" for value, median in zip(values, medians)
        )
        print(f"{name:12} {shown}  exponent {rows[-1]['exponent']:.2f}")
    return rows
