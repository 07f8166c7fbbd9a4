"""A whole run on each layout: the right images, and labels that belong to them."""

from __future__ import annotations

import json

import pytest
from in_process import run_here
from layouts import CLASSES, LAYOUTS, WNIDS

_QUICK = (
    *("--config.model.name=vit_n_8", "--config.model.image_size=16", "--config.train.steps=40"),
    *("--config.train.batch_size=16", "--config.optim.lr=0.003", "--config.data.holdout=0.0"),
    "--config.model.drop_rate=0.1",
)
# One of each kind; the others are slow.
_DEFAULT = {"parts", "zip", "lists of PaddleClas", "Kaggle's train.csv", "Tiny ImageNet, sorted"}


@pytest.mark.parametrize(
    "name",
    [pytest.param(n, marks=[] if n in _DEFAULT else pytest.mark.slow) for n in LAYOUTS],
)
def test_a_run_learns_the_classes(name, tmp_path):
    """Images are coloured by class, so that a wrong label or a wrong picture would show."""
    if "parquet" in name:
        pytest.importorskip("pyarrow")
    layout = LAYOUTS[name]
    (tmp_path / "data").mkdir()
    root, run = layout.make(tmp_path / "data"), tmp_path / "run"
    words = (f"--config.data.name={layout.name}", f"--config.data.root={root}", *_QUICK)
    cache = f"--config.data.cache_dir={tmp_path / 'cache'}"
    done = run_here("main.py", *words, cache, f"--workdir={run}")
    assert done.returncode == 0, done.stderr
    result = json.loads((run / "result.json").read_text(encoding="utf-8"))
    known = result["data"]
    counts = tuple(known.get(part, {"images": 0})["images"] for part in ("train", "val", "test"))
    assert counts == layout.counts
    classes = CLASSES if layout.name == "folder" else WNIDS
    assert tuple(known["train"]["classes"]) == classes
    assert result["top1"] == 1.0
