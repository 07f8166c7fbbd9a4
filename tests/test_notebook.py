"""The notebooks run from top to bottom, with and without mounted data."""

from __future__ import annotations

import json
from importlib.util import find_spec
from pathlib import Path

import pytest
from conftest import ROOT, paint, run_program

pytest.importorskip("nbconvert")

_OWN = {".git", ".venv", "output", "tests", "notebooks"}


def _project(folder: Path) -> Path:
    """Makes a project of links, so that a notebook writes its output elsewhere."""
    (folder / "notebooks").mkdir(parents=True)
    for path in ROOT.iterdir():
        if path.name not in _OWN:
            (folder / path.name).symlink_to(path)
    return folder


def _execute(name: str, project: Path, mounted: Path) -> list[dict]:
    """Runs a notebook with other mounted data, without network; returns its outputs."""
    notebook = json.loads((ROOT / "notebooks" / name).read_text(encoding="utf-8"))
    sources = {
        '"/home/aistudio/data"': json.dumps(str(mounted)),
        'name, "folder")': 'name, "folder_small")',  # `folder` downloads weights
    }
    code = [cell for cell in notebook["cells"] if cell["cell_type"] == "code"]
    for one, other in sources.items():
        assert sum(one in "".join(cell["source"]) for cell in code) == 1, one
        for cell in code:
            cell["source"] = "".join(cell["source"]).replace(one, other)
    (project / "notebooks" / name).write_text(json.dumps(notebook), encoding="utf-8")
    words = ["-m", "nbconvert", "--to", "notebook", "--execute", "--output-dir", str(project)]
    done = run_program(*words, f"notebooks/{name}", cwd=project, PIP_NO_INDEX="1")
    assert done.returncode == 0, done.stderr[-3000:]
    cells = json.loads((project / name).read_text(encoding="utf-8"))["cells"]
    return [output for cell in cells for output in cell.get("outputs", [])]


def _works(tool: str, *libraries: str) -> bool:
    """Returns whether a tool is there, with what it needs of the extras."""
    return (ROOT / "tools" / f"{tool}.py").exists() and all(map(find_spec, libraries))


@pytest.mark.slow
@pytest.mark.parametrize("name", ["rdrop_ai_studio.ipynb", "rdrop_ai_studio_cn.ipynb"])
def test_notebook(tmp_path, name):
    """The first one finds no data, and uses the digits; the other one finds class folders."""
    mounted = tmp_path / "mounted"
    if name.endswith("_cn.ipynb"):
        paint(mounted / "data12345" / "花卉 1", classes=3, images=40)
    outputs = _execute(name, _project(tmp_path / "project"), mounted)
    text = "".join("".join(output.get("text", [])) for output in outputs)
    assert sum("image/png" in output.get("data", {}) for output in outputs) >= 4, text[-3000:]
    for run in ("notebook_rdrop", "notebook_ce"):
        assert f"weights: output/{run}/weights.safetensors" in text
    assert "FAILED" not in text
    assert "Traceback" not in text
    assert ("花卉 1" if mounted.exists() else "nothing in") in text
    copies = [
        json.loads((tmp_path / f"project/output/{run}/config.json").read_text())["rdrop"]["copies"]
        for run in ("notebook_rdrop", "notebook_ce")
    ]
    assert copies == [2, 1]
    if _works("report", "plotly"):
        pages = ["".join(output.get("data", {}).get("text/html", "")) for output in outputs]
        assert any("<iframe srcdoc=" in page for page in pages)
    if _works("export", "onnxruntime", "paddle2onnx"):
        assert "model.onnx" in text
