"""`tools.report` as a user runs it: the page, the pictures, the numbers, and bad input."""

from __future__ import annotations

import json
import re
import shutil
import sys
from html.parser import HTMLParser

import pytest
from in_process import run_here

pytest.importorskip("plotly")


class _Page(HTMLParser):
    """Collects addresses, ids and text of a page, scripts aside."""

    def __init__(self, html: str):
        super().__init__()
        self.addresses, self.ids, self.data, self._in = [], [], "", ""
        self.feed(html)

    def handle_starttag(self, tag, attrs):
        own = dict(attrs)
        self._in = own.get("id", tag)
        self.addresses += [own[name] for name in ("src", "href", "srcset") if name in own]
        self.ids += [own["id"]] if "id" in own else []

    def handle_endtag(self, tag):
        self._in = ""

    def handle_data(self, data):
        if self._in == "data":
            self.data += data


def test_one_run(small_runs, tmp_path):
    folder = shutil.copytree(small_runs.folders["rdrop_0"], tmp_path / "a run 狗 <b>")
    words = (folder, "--lang", "zh", "--json", tmp_path / "n.json", "--png", tmp_path / "charts")
    done = run_here("tools.report", *words)
    assert done.returncode == 0, done.stderr
    html = (folder / "report.html").read_text(encoding="utf-8")
    page = _Page(html)
    assert all(one.startswith(("#", "data:")) for one in page.addresses)
    content = json.loads(page.data)
    assert {f"chart-{key}" for key in json.loads((tmp_path / "n.json").read_text())["charts"]} == {
        *content["figures"]
    }
    assert content["figures"].keys() <= {*page.ids}
    assert len(page.ids) == len({*page.ids})
    assert '<html lang="zh-CN">' in html
    assert "混淆矩阵" in html
    assert "a run 狗 &lt;b&gt;" in html
    without_plotly = re.sub(r"<script>.*?</script>", "", html, flags=re.DOTALL)
    assert "http" not in without_plotly.replace("https://arxiv.org", "")
    drawn = {path.name for path in (tmp_path / "charts").iterdir()}
    assert drawn == {f"{key[6:]}.{end}" for key in content["figures"] for end in ("png", "svg")}


def test_where_the_page_goes(small_runs, tmp_path):
    above = tmp_path / "above"
    for name in ("rdrop_0", "ce_0"):
        shutil.copytree(small_runs.folders[name], above / name)
    done = run_here("tools.report", above / "rdrop_0", above / "ce_0", "--images", "3")
    assert done.returncode == 0, done.stderr
    assert (above / "report.html").is_file()
    (above / "report.html").unlink()
    done = run_here("tools.report", above, "--images", "3")
    assert done.returncode == 0, done.stderr
    assert (above / "report.html").is_file()


def test_bad_input(small_runs, tmp_path, monkeypatch):
    folder = shutil.copytree(small_runs.folders["rdrop_0"], tmp_path / "run")
    before = {path: path.stat().st_mtime for path in folder.rglob("*") if path.is_file()}
    for words, said in (
        ((tmp_path / "absent",), "absent is not a folder; give the folder of a run"),
        ((small_runs.data,), "is not the folder of a run, and has none below it"),
        ((folder, "--images", "0"), "--images is 0, expected 1 or more"),
        ((folder, "--lang", "fr"), "invalid choice: 'fr'"),
        ((folder, "--output", folder / "config.json"), "is an input, which would be lost"),
        ((folder, "--json", folder / "metrics.jsonl"), "is an input, which would be lost"),
        ((folder, "--png", folder / "config.json" / "x"), "can't be written"),
        ((folder, "--output", tmp_path), "is a folder; give the name of a file"),
    ):
        done = run_here("tools.report", *words)
        assert done.returncode == 2, words
        assert said in done.stderr
        assert done.stderr.count("\n") == 1, done.stderr
    monkeypatch.setitem(sys.modules, "plotly.offline", None)
    done = run_here("tools.report", folder)
    assert (done.returncode, done.stderr) == (
        2,
        "error: a page needs plotly: pip install -r requirements-extras.txt\n",
    )
    assert before == {path: path.stat().st_mtime for path in folder.rglob("*") if path.is_file()}


@pytest.mark.parametrize("name", ["config.json", "result.json", "environment.json"])
def test_damaged_files(small_runs, tmp_path, name):
    folder = shutil.copytree(small_runs.folders["rdrop_0"], tmp_path / "run")
    (folder / name).write_text("{")
    done = run_here("tools.report", folder)
    assert done.returncode == 2
    assert done.stderr.count("\n") == 1, done.stderr
    assert name in done.stderr


def test_strange_values(small_runs, tmp_path):
    """A stranger's metrics: not finite, negative where a logarithm is drawn, names of markup."""
    folder = shutil.copytree(small_runs.folders["rdrop_0"], tmp_path / "run")
    lines = [
        '{"step": 1, "split": "train", "ce": NaN, "kl": -1, "lr": Infinity, "grad_norm": 1e400}',
        '{"step": 2, "split": "train", "ce": 1e308, "kl": 0, "epoch": "</script>"}',
        '{"step": 3, "split": "<b>", "ce": 1}',
    ]
    (folder / "metrics.jsonl").write_text("\n".join(lines))
    (folder / "environment.json").write_text('{"x": {"</script><img src=http://x>": [1]}}')
    done = run_here("tools.report", folder, "--images", "1")
    assert done.returncode == 0, done.stderr
    page = _Page((folder / "report.html").read_text(encoding="utf-8"))
    assert all(one.startswith(("#", "data:")) for one in page.addresses)
    json.loads(page.data, parse_constant=lambda word: pytest.fail(word))
