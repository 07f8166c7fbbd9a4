"""The page at the end of a run: it is made once, and never spoils what is finished."""

from __future__ import annotations

import os
import shutil
import sys

import pytest

from report import after_run, make
from report.page import plotly_script


@pytest.fixture
def folder(small_runs, tmp_path):
    return shutil.copytree(small_runs.folders["rdrop_0"], tmp_path / "run")


def test_the_page_is_made_once(folder, capsys):
    pytest.importorskip("plotly")
    after_run.of_run(folder)
    page = folder / "report.html"
    assert capsys.readouterr().out == f"report:  {page}\n"
    os.utime(page, (2e9, 2e9))
    after_run.of_run(folder)
    assert page.stat().st_mtime == 2e9
    os.utime(folder / "result.json", (3e9, 3e9))
    after_run.of_run(folder)
    assert page.stat().st_mtime != 2e9


def test_without_plotly(folder, capsys, monkeypatch):
    monkeypatch.setitem(sys.modules, "plotly.offline", None)
    after_run.of_run(folder)
    said = capsys.readouterr().out
    assert said == ("report: none (a page needs plotly: pip install -r requirements-extras.txt)\n")
    assert not (folder / "report.html").exists()


def test_a_fault_is_one_line(folder, capsys, monkeypatch):
    pytest.importorskip("plotly")

    def fail(*_):
        raise ZeroDivisionError("in a\nchart")

    monkeypatch.setattr(make, "content", fail)
    after_run.of_run(folder)
    assert capsys.readouterr().out == "report: none (ZeroDivisionError: in a chart)\n"


def test_an_unfinished_run_has_no_page_of_its_own(folder, capsys):
    (folder / "result.json").unlink()
    after_run.of_run(folder)
    assert capsys.readouterr().out == ""


def test_the_script_is_whole():
    pytest.importorskip("plotly")
    assert "</script" not in plotly_script().lower()
