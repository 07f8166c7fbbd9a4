"""Charts as PNG and SVG files that can be told apart in black and white: line styles, markers."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from common.atomic_writing import atomic_path
from engine.results.picture_fonts import fonts_for
from report.charts.model import AnyChart, Chart, Heatmap

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

GREYS = ("#000000", "#555555", "#888888", "#333333", "#777777", "#aaaaaa")
STYLES = ("-", "--", ":", "-.", (0, (6, 1, 1, 1, 1, 1)), (0, (1, 3)))
MARKERS = ("o", "s", "^", "D", "v", "x")
_HATCHES = ("", "///", "...", "xxx")
_MARKS, _MOST_NAMES, _MOST_NUMBERED = 12, 60, 15  # markers on a line; names of bars


def write(charts: Sequence[AnyChart], folder: Path) -> list[Path]:
    """Writes each chart as `KEY.png` and `KEY.svg`; returns the paths."""
    written = []
    for chart in charts:
        with fonts_for(_texts(chart)):
            figure = _figure(chart)
            for ending in ("png", "svg"):
                path = folder / f"{chart.key}.{ending}"
                with atomic_path(path) as temporary:
                    figure.savefig(temporary, dpi=150)
                written.append(path)
    return written


def _texts(chart: AnyChart) -> list[str]:
    texts = [chart.title, chart.x_title, chart.y_title]
    if isinstance(chart, Heatmap):
        return [*map(_safe, (*texts, *chart.names))]
    for series in chart.series:
        texts += [series.name, *(one for one in series.x if isinstance(one, str))]
    return [*map(_safe, texts)]


def _safe(text: str) -> str:
    """Returns a text that fonts take, in which $ begins no formula."""
    return text.encode("utf-8", "replace").decode("utf-8").replace("$", r"\$")


def _figure(chart: AnyChart) -> Figure:
    from matplotlib.figure import Figure

    if isinstance(chart, Heatmap):
        side = max(4.5, 0.32 * len(chart.names) + 1.5)
        figure = Figure(figsize=(side, side), layout="constrained")
        _draw_counts(figure.subplots(), chart)
        return figure
    figure = Figure(figsize=(6, 4), layout="constrained")
    axes = figure.subplots()
    if chart.diagonal:
        axes.plot([0, 1], [0, 1], color="#999999", linewidth=0.8)
    for number in range(len(chart.series)):
        draw = _draw_bars if chart.kind == "bar" else _draw_line
        draw(axes, chart, number)
    axes.set_title(_safe(chart.title), fontsize=11)
    axes.set(xlabel=_safe(chart.x_title), ylabel=_safe(chart.y_title))
    if chart.is_log:
        axes.set_yscale("log")
    if chart.percent:
        from matplotlib.ticker import PercentFormatter

        axes.yaxis.set_major_formatter(PercentFormatter(1.0))
    axes.grid(alpha=0.3)
    if len(chart.series) > 1 and axes.get_legend_handles_labels()[0]:
        axes.legend(fontsize=8, loc="upper center", bbox_to_anchor=(0.5, -0.15), ncol=2)
    return figure


def _draw_line(axes: Axes, chart: Chart, number: int) -> None:
    series = chart.series[number]
    if not series.x:
        return
    x, y = np.asarray(series.x, float), np.asarray(series.y, float)
    grey = GREYS[number % len(GREYS)]
    style: dict[str, Any] = {"color": grey, "linestyle": STYLES[number % len(STYLES)]}
    if chart.kind == "steps":
        axes.step(x, y, where="post", label=_safe(series.name), **style)
        return
    every = max(1, len(x) // _MARKS)
    begin = number * every // max(len(chart.series), 1)  # markers of two lines do not coincide
    style.update(marker=MARKERS[number % len(MARKERS)], markevery=(begin, every), markersize=4)
    axes.plot(x, y, label=_safe(series.name), **style)
    if series.low:
        axes.fill_between(x, series.low, series.high, color=grey, alpha=0.15, linewidth=0)


def _draw_bars(axes: Axes, chart: Chart, number: int) -> None:
    series, count = chart.series[number], len(chart.series)
    y = np.asarray(series.y, float)
    width = 0.8 / count
    places = np.arange(len(y)) + (number - (count - 1) / 2) * width
    error = None
    if series.low:
        error = np.maximum(np.abs([y - np.asarray(series.low), np.asarray(series.high) - y]), 0)
    bars: dict[str, Any] = {"edgecolor": "black", "hatch": _HATCHES[number % len(_HATCHES)]}
    shade = ("#bbbbbb", "#ffffff", "#777777", "#dddddd")[number % 4]
    axes.bar(places, y, width, color=shade, yerr=error, capsize=2, label=_safe(series.name), **bars)
    if len(y) <= _MOST_NAMES:
        rotation = 0 if sum(len(str(one)) for one in series.x) < 50 else 90
        labels = [_safe(str(one)) for one in series.x]
        axes.set_xticks(np.arange(len(y)), labels, rotation=rotation, fontsize=8)


def _draw_counts(axes: Axes, chart: Heatmap) -> None:
    if not chart.names:
        return
    counts = np.asarray(chart.counts)
    wrong = counts - np.diag(np.diag(counts))
    axes.imshow(wrong, cmap="Greys", vmin=0, vmax=max(1, int(wrong.max(initial=0))))
    names = [*map(_safe, chart.names)]
    axes.set_xticks(range(len(names)), names, rotation=90, fontsize=7)
    axes.set_yticks(range(len(names)), names, fontsize=7)
    axes.set(xlabel=_safe(chart.x_title), ylabel=_safe(chart.y_title))
    axes.set_title(_safe(chart.title), fontsize=11)
    if len(names) > _MOST_NUMBERED:
        return
    dark = wrong.max(initial=0) / 2
    for (row, column), count in np.ndenumerate(counts):
        if count:
            colour = "white" if wrong[row, column] > dark else "black"
            axes.text(column, row, str(count), ha="center", va="center", color=colour, fontsize=7)
