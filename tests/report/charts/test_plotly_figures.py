"""Figures are what plotly knows, and hold names as text."""

from __future__ import annotations

import numpy as np
import pytest

from report.charts.model import Chart, Heatmap, Series
from report.charts.plotly_figures import figure

_NAN = float("nan")


def _charts():
    band = Series("<a href='http://x'>&amp;", (1, 2, 3), (0.1, _NAN, 0.3), (0, 0, 0), (1, 1, 1))
    bars = Series("b", ("1", "<b>2", "狗"), (0.1, 0.2, 0.3), (0.0, 0.1, 0.2), (0.4, 0.4, 0.4))
    points = Series("p", (0.2, 0.9), (0.1, 1.0), hover=("<i>", "b"), weights=(1, 100))
    return [
        Chart("line", "t", "x", "y", (band, points), log_y=True),
        Chart("bar", "t", "x", "y", (bars, bars), kind="bar", percent=True),
        Chart("steps", "t", "x", "y", (points,), kind="steps"),
        Chart("diagonal", "t", "x", "y", (points,), diagonal=True, percent=True),
        Chart("empty", "t", "x", "y", ()),
        Heatmap("confusion", "t", "x", "y", ("<b>", "狗"), ((3, 1), (0, 2))),
        Heatmap("none", "t", "x", "y", (), ()),
    ]


@pytest.mark.parametrize("chart", _charts(), ids=lambda chart: chart.key)
def test_plotly_accepts_it(chart):
    """plotly's own classes refuse a property, or a value, that it does not know."""
    graph_objects = pytest.importorskip("plotly.graph_objects")
    found = figure(chart)
    graph_objects.Figure(found)
    assert "<a" not in str(found)
    assert "<b>" not in str(found)
    assert "<i>" not in str(found)


def test_values_and_names():
    line, bar, *_, matrix, _ = _charts()
    band, drawn, _ = figure(line)["data"]
    assert band["x"] == [1, 2, 3, 3, 2, 1]
    assert drawn["y"] == [0.1, None, 0.3]
    assert drawn["name"] == "&lt;a href='http://x'&gt;&amp;amp;"
    assert figure(bar)["layout"]["xaxis"]["type"] == "category"  # "1" is a name, no number
    assert np.allclose(figure(bar)["data"][0]["error_y"]["array"], [0.3, 0.2, 0.1])
    cells = figure(matrix)["data"][0]
    assert cells["z"] == [[0, 1], [0, 0]]  # hits have no colour
    assert cells["text"] == [["3", "1"], ["", "2"]]
    assert cells["customdata"][0][1] == ["&lt;b&gt;", "狗"]


def test_numbers_are_json():
    assert _charts()[0].numbers()["series"][0]["y"] == [0.1, None, 0.3]
    assert _charts()[-2].numbers()["counts"] == [[3, 1], [0, 2]]
