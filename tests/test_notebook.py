"""The notebook runs from top to bottom and shows pictures."""

from __future__ import annotations

import json

import pytest
from conftest import ROOT, run_program

pytest.importorskip("nbconvert")


@pytest.mark.slow
def test_notebook(tmp_path):
    words = ["-m", "nbconvert", "--to", "notebook", "--execute", "--output-dir", str(tmp_path)]
    done = run_program(*words, "notebooks/rdrop_ai_studio.ipynb", cwd=ROOT)
    assert done.returncode == 0, done.stderr[-3000:]
    cells = json.loads((tmp_path / "rdrop_ai_studio.ipynb").read_text())["cells"]
    outputs = [output for cell in cells for output in cell.get("outputs", [])]
    assert sum("image/png" in output.get("data", {}) for output in outputs) >= 4
    text = "".join("".join(output.get("text", [])) for output in outputs)
    assert "weights: output/notebook/weights.safetensors" in text
    assert "FAILED" not in text
