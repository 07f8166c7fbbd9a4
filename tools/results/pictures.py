"""The picture of a table: top-1 of each seed, and the mean with its 95 % interval, in greys."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any, NamedTuple

import numpy as np

from common.atomic_writing import atomic_path
from measures.intervals import of_mean
from report.charts.static import GREYS, MARKERS, STYLES
from tools.results.settings import Setting, Table

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

_DIGEST = "Digest-of-numbers"  # in the file: what it shows, so that it is drawn again only then
_WIDTH = 0.6  # of the space between two places, which the lines of a picture share


class Point(NamedTuple):
    """The runs of a setting: percent top-1 of each seed, their mean, its interval (or the mean)."""

    x: Any
    each: tuple[float, ...]
    mean: float
    low: float
    high: float


class Picture(NamedTuple):
    """What is drawn; `lines` has the points of each line of the picture, by its name."""

    title: str
    x_title: str
    band: bool
    lines: dict[str, tuple[Point, ...]]

    @property
    def digest(self) -> str:
        """The SHA-256 of all numbers and texts, as hexadecimal digits."""
        return hashlib.sha256(json.dumps(self).encode("utf-8")).hexdigest()

    @property
    def places(self) -> list[Any]:
        """All x, in order: numbers, or names as they come."""
        found = list(dict.fromkeys(point.x for points in self.lines.values() for point in points))
        return sorted(found) if self.is_numeric else found

    @property
    def is_numeric(self) -> bool:
        """Whether all x are numbers."""
        values = [point.x for points in self.lines.values() for point in points]
        return all(type(value) in (int, float) for value in values)


def picture(table: Table, settings: Sequence[Setting]) -> Picture:
    """Returns what the picture of a table shows, in English."""
    lines: dict[str, list[Point]] = {}
    for one in settings:
        if one.lines:
            lines.setdefault(one.row.line[0], []).append(_point(one))
    found = {name: tuple(points) for name, points in lines.items()}
    return Picture(table.title[0], table.x_title[0], table.band, found)


def _point(one: Setting) -> Point:
    each = 100 * np.array(one.values("test_top1"))
    mean = float(each.mean())
    low, high = of_mean(each) if len(each) > 1 else (mean, mean)
    return Point(one.row.x, *(_rounded(v) for v in (each.tolist(), mean, low, high)))


def _rounded(value: Any) -> Any:
    """Rounds what no picture shows, so that libraries of any version give the same digest."""
    return tuple(map(_rounded, value)) if isinstance(value, list) else round(value, 6)


def digest_in(path: Path) -> str:
    """Returns the digest of what a file shows; an empty string where there is none."""
    from PIL import Image

    try:
        with Image.open(path) as image:
            return str(image.info.get(_DIGEST, ""))
    except OSError:
        return ""


def write(shown: Picture, path: Path) -> None:
    """Draws a picture into a PNG file."""
    with atomic_path(path) as temporary:
        _figure(shown).savefig(temporary, dpi=110, metadata={_DIGEST: shown.digest})


def _figure(shown: Picture) -> Figure:
    from matplotlib.figure import Figure

    figure = Figure(figsize=(6.4, 4), layout="constrained")
    axes = figure.subplots()
    for number in range(len(shown.lines)):
        _draw(axes, shown, number)
    places = shown.places
    if shown.is_numeric and min(places) > 0 and max(places) >= 10 * min(places):
        axes.set_xscale("log")
        axes.minorticks_off()
    if not shown.is_numeric or len(places) <= 12:
        ticks = places if shown.is_numeric else range(len(places))
        axes.set_xticks(ticks, [f"{x:g}" if shown.is_numeric else _plain(str(x)) for x in places])
    mark = "line and band" if shown.band else "mark and bar"
    key = f"dots: seeds; {mark}: mean and its 95 % interval"
    axes.set_title(f"{_plain(shown.title)}\n{key}", fontsize=10)
    axes.set(xlabel=_plain(shown.x_title), ylabel="test top-1 (%)")
    axes.grid(alpha=0.3)
    if len(shown.lines) > 1:
        axes.legend(fontsize=8, loc="upper center", bbox_to_anchor=(0.5, -0.15), ncol=3)
    return figure


def _draw(axes: Axes, shown: Picture, number: int) -> None:
    """Draws a line of the picture: dots of the seeds, a mark at the mean, bars or a band."""
    name, points = list(shown.lines.items())[number]
    places, x = shown.places, np.array([0.0] * len(points))
    for index, point in enumerate(points):
        x[index] = point.x if shown.is_numeric else places.index(point.x)
    if not shown.is_numeric:  # the lines stand next to each other
        x += _WIDTH * ((number + 0.5) / len(shown.lines) - 0.5)
    means = np.array([point.mean for point in points])
    low, high = (np.array([point[part] for point in points]) for part in (3, 4))
    grey = GREYS[number % len(GREYS)]
    style: dict[str, Any] = {"color": grey, "marker": MARKERS[number % len(MARKERS)]}
    for place, point in zip(x, points):
        axes.plot([place] * len(point.each), point.each, ".", color=grey, alpha=0.5, markersize=4)
    if shown.band:
        order = np.argsort(x)
        axes.fill_between(x[order], low[order], high[order], color=grey, alpha=0.15, linewidth=0)
        axes.plot(x[order], means[order], linestyle=STYLES[number % len(STYLES)], **style)
        return
    ends = np.maximum([means - low, high - means], 0)
    beside = x + 0.06  # the interval is next to the dots
    axes.errorbar(
        beside, means, ends, linestyle="", capsize=3, markersize=6, label=_plain(name), **style
    )


def _plain(text: str) -> str:
    """Returns a text without marks of Markdown, in which $ begins no formula."""
    return text.replace("`", "").replace("$", r"\$")
