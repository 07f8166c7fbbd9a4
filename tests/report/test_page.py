"""The HTML around the sections: names of classes end no script, whatever a label file holds."""

from __future__ import annotations

import json
import re

import pytest

from report import page
from report.charts.model import Chart, Heatmap, Section, Series
from report.pictures import Gallery
from report.texts import Words

_NAME = "</script><script>alert(1)</script><!--\ud800"  # with half of a pair, as in some file names


@pytest.fixture
def html(monkeypatch):
    monkeypatch.setattr(page, "plotly_script", lambda: "plotly")
    matrix = Heatmap("confusion", _NAME, _NAME, _NAME, (_NAME, "b"), ((1, 2), (3, 4)))
    bars = Chart("bars", "t", "x", "y", (Series(_NAME, (_NAME,), (1.0,)),), "bar")
    gallery = Gallery()
    gallery.cells["0,1"] = [(0, _NAME)]
    return page.render(_NAME, _NAME, [Section(_NAME, (matrix, bars))], gallery, Words())


def test_names_are_no_markup(html):
    assert html.count("<script") == html.count("</script>") == 3  # the page's own
    assert "<!--" not in html
    html.encode("utf-8")
    data = json.loads(re.search(r'id="data">(.*?)</script>', html, re.DOTALL).group(1))
    assert data["names"][0].startswith("</script><script>alert(1)")
    assert data["figures"].keys() == {"chart-confusion", "chart-bars"}


def test_neighbouring_charts_share_a_row(html):
    row = re.search(r'<div class="charts">(.*?)</div></div>', html).group(1)
    assert re.findall(r'id="([\w-]+)"', row) == ["chart-confusion", "chart-bars"]
