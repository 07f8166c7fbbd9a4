"""VisualDL's pages in a real browser: each loads the data of two runs, and shows it.

VisualDL serves the vectors and the labels of the page "high dimensional" wrongly where `--logdir`
is an absolute path (its cache takes one for the other). So it is started as its users do.
"""

from __future__ import annotations

import shutil
import socket
import subprocess
import sys
import time
import urllib.request
from pathlib import Path

import pytest
from conftest import paint

from configs import default
from engine.commands import single_run

_CHROMIUM = next(filter(None, map(shutil.which, ("chromium", "chromium-browser"))), None)
_NAMES = ("猫", "🐕 dog", "50 %")

# The page, what it asks the server for, and what then has to be there: at least so many of these.
_PAGES = {
    "scalar": ("scalar/list", "canvas", 3),
    "image": ("image/image", "text=test/mistakes 1", 2),
    "histogram": ("histogram/list", "canvas, svg", 4),
    "hyper-parameter": (
        "hparams/list",
        "[role=cell]:has-text('vit_n_2'), td:has-text('vit_n_2')",
        2,
    ),
    "pr-curve": ("pr-curve/list", "canvas", 3),
    "roc-curve": ("roc-curve/list", "canvas", 3),
    "high-dimensional": ("embedding/tensor", "canvas", 1),
}

pytestmark = [
    pytest.mark.slow,
    pytest.mark.skipif(not _CHROMIUM, reason="needs Debian's package chromium"),
]


@pytest.fixture(scope="module")
def runs(tmp_path_factory) -> Path:
    """Two short runs below `output`, with classes of difficult names."""
    root = tmp_path_factory.mktemp("shown")
    for part, images in (("train", 12), ("test", 7)):
        paint(root / "data" / part, 3, images)
        for number, name in enumerate(_NAMES):
            (root / "data" / part / f"class_{number}").rename(root / "data" / part / name)
    for name, copies in (("rdrop", 2), ("ce", 1)):
        config = default.get_config()
        config.data.update(name="folder", root=str(root / "data"), holdout=0.2)
        config.model.update(name="vit_n_2", image_size=8, drop_rate=0.1)
        config.train.update(steps=2, batch_size=6, log_every_steps=1, histogram_every_steps=1)
        config.rdrop.copies = copies
        config.optim.lr = 1e-6  # it learns nothing, so there are mistakes
        single_run.train(config, root / "output" / name)
    return root


@pytest.fixture(scope="module")
def address(runs):
    """The address of VisualDL's server."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port = probe.getsockname()[1]
    code = "import sys; from visualdl.server.app import main; sys.exit(main())"
    words = ["--logdir", "output", "--host", "127.0.0.1", "--port", str(port)]
    with open(runs / "server.log", "w") as log:
        server = subprocess.Popen(
            [sys.executable, "-c", code, *words], cwd=runs, stdout=log, stderr=log
        )
        try:
            own = f"http://127.0.0.1:{port}/app"
            while not _answers(f"{own}/api/components"):
                assert server.poll() is None, (runs / "server.log").read_text()
                time.sleep(0.2)
            yield own
        finally:
            server.terminate()
            server.wait()


def _answers(address: str) -> bool:
    try:
        return urllib.request.urlopen(address, timeout=60).status == 200
    except OSError:
        return False


@pytest.fixture(scope="module")
def browser():
    playwright = pytest.importorskip("playwright.sync_api")
    with playwright.sync_playwright() as driver:
        opened = driver.chromium.launch(executable_path=_CHROMIUM, args=["--no-sandbox"])
        yield opened
        opened.close()


@pytest.mark.parametrize("name", _PAGES)
def test_a_page_shows_its_data(name, address, browser, tmp_path):
    asked, shown, least = _PAGES[name]
    page, answers, faults = browser.new_page(viewport={"width": 1500, "height": 1000}), [], []
    page.on("response", lambda answer: answers.append((answer.status, answer.url)))
    page.on("pageerror", lambda error: faults.append(str(error)))
    page.goto(f"{address}/{name}?lang=en")
    page.wait_for_function("document.querySelectorAll('main, [class*=Content]').length > 0")
    page.locator(shown).nth(least - 1).wait_for(state="visible", timeout=120_000)
    page.wait_for_timeout(3000)  # what comes after the first chart, and its faults
    page.screenshot(path=str(tmp_path / f"{name}.png"))
    data = [status for status, url in answers if f"/api/{asked}" in url]
    assert data
    assert set(data) == {200}
    assert not faults
    assert not page.get_by_text("No visualized data").filter(visible=True).count()
    if name not in ("histogram", "high-dimensional"):
        for run in ("output/rdrop", "output/ce"):
            assert page.get_by_text(run).first.is_visible()
    if name == "hyper-parameter":
        _open_other_views(page)
    page.close()


def _open_other_views(page) -> None:
    """Opens views of which one would never end if a name were wider than its column."""
    page.set_viewport_size({"width": 1280, "height": 720})
    for view in ("Parallel Coordinates View", "Scatter Plot Matrix View"):
        page.get_by_text(view).click()
        page.wait_for_timeout(2000)
        for column in ("alpha", "test/ece"):
            assert page.get_by_text(column).filter(visible=True).count()
