"""The page in a real browser; and without one, that it is made and says what is missing."""

from __future__ import annotations

import contextlib
import os
import shutil
import signal
import subprocess
import sys
from urllib.parse import urlsplit

import numpy as np
import pytest
from conftest import ROOT
from made_classifiers import store
from PIL import Image

from common.errors import UserError
from inference.demo import build, page

_NAMES = ("\u732b \U0001f431", "<b>bold</b><img src=x onerror=alert(1)>", *"23456789")


def test_gradio_is_missing(monkeypatch):
    monkeypatch.setitem(sys.modules, "gradio", None)
    with pytest.raises(UserError, match=r"gradio.*pip install -r requirements-extras\.txt"):
        page.gradio()


def test_unknown_language():
    pytest.importorskip("gradio")
    with pytest.raises(UserError, match="language 'cn' is not known"):
        build("nowhere", "cn")


@contextlib.contextmanager
def served(weights, *words):
    """Runs the tool; yields its process and the address."""
    command = [sys.executable, "-m", "tools.demo", "--weights", weights, "--port", "0", *words]
    process = subprocess.Popen(
        command, cwd=ROOT, text=True, stdout=subprocess.PIPE, stderr=subprocess.PIPE
    )
    try:
        line = process.stdout.readline()
        assert "http://" in line, process.communicate()[1]
        yield process, line.split(" is at ")[1].split(";")[0]
    finally:
        process.kill()
        process.communicate()


@pytest.fixture
def browser():
    """A headless Chromium."""
    pytest.importorskip("gradio")
    api = pytest.importorskip("playwright.sync_api")
    path = shutil.which("chromium") or shutil.which("google-chrome")
    if path is None:
        pytest.skip("no Chromium is installed")
    with api.sync_playwright() as playwright:
        found = playwright.chromium.launch(executable_path=path, args=["--no-sandbox"])
        yield found
        found.close()


def opened(browser, address, **options):
    """Opens the page; returns it, and the addresses that it asked for."""
    tab = browser.new_context(locale="en-US", **options).new_page()
    asked, faults = [], []
    tab.on("request", lambda request: asked.append(request.url))
    tab.on("dialog", lambda dialog: faults.append(dialog.message))
    tab.goto(address)
    tab.get_by_text("Image classifier").or_(tab.get_by_text("图像分类")).first.wait_for()
    return tab, asked, faults


def upload(tab, path, selector):
    """Drops a file on the page; returns the text of the answer."""
    if tab.get_by_label("Clear").count():
        tab.get_by_label("Clear").first.click()
        tab.locator("#picture input[type=file]").wait_for(state="attached")
    tab.set_input_files("#picture input[type=file]", str(path))
    tab.locator(selector).first.wait_for()
    return tab.locator("#answer").inner_text()


@pytest.mark.slow
def test_picture_broken_file_and_both_languages(browser, tmp_path):
    weights = store(tmp_path / "odd.safetensors", _NAMES)
    picture, broken = tmp_path / "\u96f6.png", tmp_path / "broken.png"
    Image.fromarray(np.full((20, 30, 3), 200, np.uint8)).save(picture)
    broken.write_bytes(b"not a picture")
    with served(weights) as (_, address):
        tab, asked, faults = opened(browser, address)
        assert "other classes than the weights" in tab.content()
        said = upload(tab, broken, "#answer .rd-error")
        assert "can't be used as a picture" in said
        assert "broken.png: not a readable image" in said
        said = upload(tab, picture, "#answer .rd-bar")
        assert "Most likely classes" in said
        assert "of 20 passes" in said or "All 20 passes" in said
        assert tab.locator("#answer .rd-bar").count() == 5
        assert tab.locator("#answer figure img").count() == 2
        tab.get_by_label("\u4e2d\u6587").check()
        tab.get_by_text("最可能的类别").wait_for()  # the same answer, in Chinese
        assert tab.locator("#answer .rd-bar").count() == 5
        said = upload(tab, broken, "#answer .rd-error")
        assert "这个文件不能作为图片使用" in said
        assert not faults, "a name ran as a script"
        assert {urlsplit(one).hostname for one in asked if one.startswith("http")} == {"127.0.0.1"}


@pytest.mark.slow
@pytest.mark.parametrize("width", [1280, 390])
def test_examples_in_chinese(browser, tmp_path, width):
    weights = store(tmp_path / "digits.safetensors", tuple("0123456789"))
    with served(weights, "--lang", "zh") as (_, address):
        tab, _, _ = opened(browser, address, viewport={"width": width, "height": 900})
        tab.locator("#examples button.thumbnail-item").nth(3).click()
        tab.locator("#answer .rd-bar").first.wait_for()
        assert "这张测试图像的真实类别：3" in tab.locator("#answer").inner_text()
        assert tab.evaluate("document.documentElement.scrollWidth") <= width


@pytest.mark.slow
@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_end(tmp_path, number):
    """A signal ends it with exit code 0, and nothing of it stays."""
    pytest.importorskip("gradio")
    weights = store(tmp_path / "digits.safetensors", tuple("0123456789"))
    (tmp_path / "tmp").mkdir()
    os.environ["TMPDIR"] = str(tmp_path / "tmp")
    try:
        with served(weights, "--no_examples") as (process, _):
            process.send_signal(number)
            out, err = process.communicate()
            assert (process.returncode, out, err) == (0, "", "")
    finally:
        del os.environ["TMPDIR"]
    assert not list((tmp_path / "tmp").glob("demo-*"))
