"""What a chart shows, independent of what draws it: a page, a picture, or a table of numbers."""

from __future__ import annotations

import math
from typing import Any, NamedTuple, Union

Number = Union[float, int]


class Series(NamedTuple):
    """One line, or the bars of one kind.

    Attributes:
        name: in the legend.
        x: numbers, or names of bars.
        y: of the same length; nan: a gap.
        low: lower ends of a band or of error bars; () for none.
        high: upper ends.
        hover: a text for each point; () for none.
        weights: how much each point counts, shown by its size; () for all the same.
    """

    name: str
    x: tuple[Any, ...]
    y: tuple[Number, ...]
    low: tuple[Number, ...] = ()
    high: tuple[Number, ...] = ()
    hover: tuple[str, ...] = ()
    weights: tuple[Number, ...] = ()


class Chart(NamedTuple):
    """Series over one pair of axes.

    Attributes:
        key: of the chart on the page, and the name of its files.
        kind: `line`, `bar`, or `steps` (the outline of a histogram).
        diagonal: whether to draw y = x, for reliability diagrams.
        percent: whether y is a fraction, shown in percent.
        log_y: whether to use a logarithmic axis where the values spread over more than a decade.
    """

    key: str
    title: str
    x_title: str
    y_title: str
    series: tuple[Series, ...]
    kind: str = "line"
    log_y: bool = False
    percent: bool = False
    diagonal: bool = False

    @property
    def is_log(self) -> bool:
        """Whether the axis is logarithmic."""
        ends = [y for one in self.series for y in (*one.y, *one.low, *one.high) if y == y]
        return self.log_y and bool(ends) and 0 < 10 * min(ends) <= max(ends)

    def numbers(self) -> dict[str, Any]:
        """Returns what is drawn, for JSON; nan becomes None."""
        return {
            "title": self.title,
            "x": self.x_title,
            "y": self.y_title,
            "series": [
                {name: _plain(value) for name, value in one._asdict().items() if value}
                for one in self.series
            ],
        }


class Heatmap(NamedTuple):
    """Counts of pairs of classes: rows are true, columns predicted."""

    key: str
    title: str
    x_title: str
    y_title: str
    names: tuple[str, ...]
    counts: tuple[tuple[int, ...], ...]

    def numbers(self) -> dict[str, Any]:
        """Returns what is drawn, for JSON."""
        return {
            "title": self.title,
            "x": self.x_title,
            "y": self.y_title,
            "names": list(self.names),
            "counts": [list(row) for row in self.counts],
        }


AnyChart = Union[Chart, Heatmap]


class Section(NamedTuple):
    """A part of the page: HTML and charts, in order."""

    title: str
    parts: tuple[str | AnyChart, ...]

    def charts(self) -> list[AnyChart]:
        """Returns its charts."""
        return [part for part in self.parts if not isinstance(part, str)]


def finite(value: Any) -> Any:
    """Returns a number that JSON can hold; None for one that is not finite."""
    return None if isinstance(value, float) and not math.isfinite(value) else value


def _plain(value: Any) -> Any:
    return [finite(one) for one in value] if isinstance(value, tuple) else value
