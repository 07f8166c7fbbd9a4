"""Made-up lines of runs, as `tools.sweep --lines` writes them, and folders of docs to show them."""

from __future__ import annotations

import json
import shutil
from pathlib import Path
from typing import Any

from conftest import ROOT


def made_line(row: str, seed: int, top1: float, **changed: Any) -> dict[str, Any]:
    """Returns the line of a run that never was; `changed` has other values for its keys."""
    return {
        "experiment": "cifar10_vit_s_14",
        "setting": f"cifar10_vit_s_14 {row}",
        "config": "configs/cifar10_vit_s_14.py",
        "row": row,
        "overrides": {},
        "seed": seed,
        "command": f"python main.py --config=configs/cifar10_vit_s_14.py --row={row}",
        "fields": {},
        "test_top1": top1,
        "test_loss": 1.25,
        "test_ece": 0.05,
        "val_top1": 0.5,
        "best_step": 80,
        "weights_of": "raw",
        "steps": 94,
        "images_seen": 3008,
        "passes": 6016,
        "seconds": 120.4,
        "test_images": 2000,
        "test_images_sha256": "ef",
        "processor": "Some Processor",
        "machine": "Linux x86_64, 2 cores",
        "threads": "1",
        "device": "cpu",
        "git_commit": "0123456789abcdef",
        "versions": {"python": "3.11.7", "paddlepaddle": "3.3.1"},
        **changed,
    }


def main_table_lines() -> list[dict[str, Any]]:
    """Returns three seeds of the methods of the main table, with 10 and with 1,000 labels."""
    top1 = {"rdrop": (0.62, 0.64, 0.66), "ce": (0.61, 0.62, 0.63), "ce_twice": (0.7, 0.65, 0.63)}
    return [
        made_line(f"{method}_{labels}", seed, value + labels / 1e5)
        for labels in (10, 1000)
        for method, values in top1.items()
        for seed, value in enumerate(values)
    ]


def write_lines(path: Path, lines: list[dict[str, Any]]) -> None:
    """Writes lines into a file of docs/results/."""
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text("".join(json.dumps(one) + "\n" for one in lines))


def docs_in(folder: Path) -> Path:
    """Returns a copy of the docs, in a folder in which all else is the project's own."""
    for one in ROOT.iterdir():
        if one.name != "docs":
            (folder / one.name).symlink_to(one)
    return Path(shutil.copytree(ROOT / "docs", folder / "docs"))
