"""Pictures of charts: every series can be told apart without colours."""

from __future__ import annotations

import numpy as np
import pytest
from PIL import Image

from report.charts import static
from report.charts.model import Chart, Heatmap, Series

_SERIES = tuple(Series(f"$x_{n}^", (1, 2, 3), (n, n + 1.0, float("nan"))) for n in range(6))


def test_files(tmp_path):
    charts = [
        Chart("line", "猫 $ 100 %", "x", "y", _SERIES, log_y=True),
        Chart("bar", "t", "x", "y", (Series("a", ("1", "狗"), (0.1, 0.2), (0, 0), (1, 1)),), "bar"),
        Chart("steps", "t", "x", "y", _SERIES[:2], "steps", percent=True, diagonal=True),
        Heatmap("confusion", "t", "x", "y", ("$a", "狗"), ((3, 1), (0, 2))),
    ]
    paths = static.write(charts, tmp_path / "new")
    assert [path.name for path in paths[:2]] == ["line.png", "line.svg"]
    assert len(paths) == 8
    for path in paths[::2]:
        pixels = np.asarray(Image.open(path).convert("RGB")).astype(int)
        assert np.ptp(pixels, axis=2).max() == 0, f"{path.name} has a colour"
        assert pixels.min() < 100


def test_lines_differ_in_style_and_marker():
    axes = static._figure(Chart("line", "t", "x", "y", _SERIES)).axes[0]
    looks = {(str(line._dash_pattern), line.get_marker()) for line in axes.lines}
    assert len(looks) == len(_SERIES)
    bars = static._figure(
        Chart("bar", "t", "x", "y", tuple(Series(f"{n}", ("a",), (1.0,)) for n in range(3)), "bar")
    )
    assert len({container[0].get_hatch() for container in bars.axes[0].containers}) == 3


@pytest.mark.parametrize("chart", [Chart("a", "", "", "", ()), Heatmap("a", "", "", "", (), ())])
def test_nothing_to_draw(chart, tmp_path):
    assert len(static.write([chart], tmp_path)) == 2
