"""The pages in a real browser: nothing is loaded, no script fails, charts and tables answer."""

from __future__ import annotations

import re
import shutil

import pytest

from report import make, runs
from report.texts import Words

pytest.importorskip("plotly")
sync_api = pytest.importorskip("playwright.sync_api")
_CHROMIUM = shutil.which("chromium")

pytestmark = [
    pytest.mark.slow,
    pytest.mark.skipif(not _CHROMIUM, reason="needs Debian's chromium"),
]


@pytest.fixture(scope="module")
def browser():
    with sync_api.sync_playwright() as play:
        opened = play.chromium.launch(executable_path=_CHROMIUM, args=["--no-sandbox"])
        yield opened
        opened.close()


@pytest.fixture
def opened(browser, small_runs, tmp_path):
    """Opens the page of runs; fails at the end if a script failed or anything was loaded."""
    errors: list[str] = []

    def open_page(names, width=1200, language="en"):
        words, path = Words(language), tmp_path / "page.html"
        found = runs.read_all([small_runs.folders[name] for name in names])
        make.write(make.content(found, words), path, words)
        page = browser.new_page(viewport={"width": width, "height": 800})
        page.on("pageerror", lambda error: errors.append(str(error)))
        page.on("console", lambda said: errors.extend([said.text] * (said.type == "error")))
        page.on("request", lambda asked: errors.extend([asked.url] * _is_outside(asked.url, path)))
        page.goto(path.as_uri())
        page.wait_for_selector(".chart .main-svg")
        return page

    yield open_page
    assert not errors


def _is_outside(url: str, path) -> bool:
    return url != path.as_uri() and not url.startswith(("data:", "blob:"))


def test_one_run(opened):
    page = opened(["rdrop_0"])
    charts = page.query_selector_all(".chart")
    assert all(chart.query_selector(".main-svg") for chart in charts)
    assert page.evaluate("[...document.images].every((i) => i.complete && i.naturalWidth > 0)")
    # The names of classes are text, also in the charts.
    assert "<b>&cat" in page.text_content("#chart-confusion")
    assert not page.query_selector("#chart-confusion b")
    # A cell shows its pictures.
    page.hover("#chart-confusion")
    place = page.query_selector("#chart-confusion .nsewdrag").bounding_box()
    third = place["width"] / 6, place["height"] / 6  # the middle of the first cell
    page.mouse.move(place["x"] + third[0], place["y"] + third[1])
    # A click is for the cell that the pointer was seen on, so the page has to have seen it.
    page.wait_for_function("document.querySelector('#cell p')?.textContent.includes('true: <b>')")
    page.mouse.click(place["x"] + third[0], place["y"] + third[1])
    shown = page.text_content("#cell p")
    said = re.fullmatch(r"true: <b>&cat, predicted: <b>&cat: (\d+) images, (\d+) shown", shown)
    assert said, shown
    pictures = len(page.query_selector_all("#cell img"))
    assert pictures == int(said[2]) == min(8, int(said[1]))


def test_tables_sort_and_legends_switch(opened):
    page = opened(["rdrop_0", "ce_0", "rdrop_1", "ce_1"])
    table = page.query_selector("table.sort")
    head = table.query_selector("th:nth-child(6) button")

    def column():
        return [
            float(cell.get_attribute("data-key"))
            for cell in table.query_selector_all("tbody td:nth-child(6)")
        ]

    head.click()
    assert column() == sorted(column())
    head.click()
    assert column() == sorted(column(), reverse=True)
    switch = "#chart-overlay_val .legendtoggle"
    page.query_selector(switch).click()
    page.wait_for_function(
        "document.getElementById('chart-overlay_val').data.some((t) => t.visible === 'legendonly')"
    )


@pytest.mark.parametrize("names", [["rdrop_0"], ["rdrop_0", "ce_0"]])
def test_a_narrow_window(opened, names):
    """Nothing is wider than a telephone; wide tables have a bar of their own."""
    page = opened(names, width=400, language="zh")
    assert page.evaluate("document.documentElement.scrollWidth") <= 400
