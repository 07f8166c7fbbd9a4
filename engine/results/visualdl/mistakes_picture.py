"""Draws misclassified images with the names of their classes."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from engine.results.picture_fonts import fonts_for
from engine.results.visualdl.evaluated_images import Mistake

# In VisualDL's frame, 345 x 230 pixels, the captions of eight images can still be read.
EACH = 8  # images of a picture
_COLUMNS, _SIDE, _DPI = 4, 1.7, 100  # side of a cell in inches
_LONGEST = 16  # letters of a name


def draw_mistakes(mistakes: Sequence[Mistake], classes: Sequence[str]) -> NDArray[np.uint8]:
    """Draws images in rows; over each: its class, what it was taken for, and how certainly.

    Args:
        mistakes: 1 to `EACH`.
        classes: their names.

    Returns:
        uint8 `(H, W, 3)`.
    """
    from matplotlib.backends.backend_agg import FigureCanvasAgg
    from matplotlib.figure import Figure

    rows = EACH // _COLUMNS
    captions = [_caption(one, classes) for one in mistakes]
    height = _SIDE + 0.5  # and the caption
    figure = Figure(figsize=(_COLUMNS * _SIDE, rows * height), dpi=_DPI)
    canvas = FigureCanvasAgg(figure)
    with fonts_for(captions):
        for place, (one, caption) in enumerate(zip(mistakes, captions)):
            row, column = divmod(place, _COLUMNS)
            left, bottom = (column + 0.04) / _COLUMNS, (rows - row - 1 + 0.03) / rows
            size = 0.92 / _COLUMNS, 0.97 * _SIDE / height / rows
            axes = figure.add_axes((left, bottom, *size))
            axes.set_axis_off()
            axes.imshow(one.pixels.transpose(1, 2, 0), interpolation="nearest")
            axes.set_title(caption, fontsize=11, pad=2, parse_math=False)
        canvas.draw()
    return np.asarray(canvas.buffer_rgba())[..., :3].copy()


def _caption(mistake: Mistake, classes: Sequence[str]) -> str:
    label, predicted = (_short(classes[index]) for index in (mistake.label, mistake.predicted))
    return f"{label}\n\u2192 {predicted} {100 * mistake.confidence:.0f} %"


def _short(name: str) -> str:
    name = " ".join(name.encode("utf-8", "replace").decode("utf-8").split())
    return name if len(name) <= _LONGEST else name[: _LONGEST - 1] + "\u2026"
