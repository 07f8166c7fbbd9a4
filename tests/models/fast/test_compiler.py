"""Kept machine code is used only with the sources that it was made from."""

from __future__ import annotations

import shutil

from conftest import ROOT, run_program

_SUM_OF_ROWS = """
import numpy as np, paddle
from models.fast.loops import shared as parts
none, total = np.empty((0, 0), np.float32), np.zeros(2, np.float32)
rows, sums = np.ones((3, 2), np.float32), parts.Weights(total, total, none, total, none, total)
parts.add_last(rows, rows, sums)
print(total.tolist(), len(parts.add_last.stats.cache_hits))
"""


def test_code_that_calls_changed_code_is_compiled_anew(tmp_path):
    """numba alone would use the old code, since the file of the caller has not changed."""
    for package in ("models", "common"):
        shutil.copytree(
            ROOT / package, tmp_path / package, ignore=shutil.ignore_patterns("__pycache__")
        )
    assert _run(tmp_path) == "[3.0, 3.0] 0"
    assert _run(tmp_path) == "[3.0, 3.0] 1"  # from the disk
    called = tmp_path / "models" / "fast" / "loops" / "rows.py"
    called.write_text(called.read_text().replace("total[j] += row[j]", "total[j] -= row[j]"))
    assert _run(tmp_path) == "[-3.0, -3.0] 0"


def _run(folder) -> str:
    done = run_program("-c", _SUM_OF_ROWS, cwd=folder)
    assert done.returncode == 0, done.stderr
    return done.stdout.strip()
