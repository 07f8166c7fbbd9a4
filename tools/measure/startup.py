"""Measures how long a run takes until its first step, and a run of a single step in all."""

import argparse
import statistics
import subprocess
import sys
import tempfile
import time
from pathlib import Path

from common.errors import UserError

_ROOT = Path(__file__).resolve().parents[2]
_LAST_LINE = "folder: "  # that a run prints before its first step
_OPTIONS = ("--config.train.steps=1", "--config.optim.warmup_steps=0")


def measure(arguments: argparse.Namespace) -> dict:
    """Measures `python main.py` with one step; the whole run includes the test images.

    A run that does not count comes first: it compiles what is not compiled yet.

    Raises:
        UserError: when a run fails.
    """
    begun, whole = zip(*[_run() for _ in range(arguments.rounds + 1)][1:])
    rows = [
        {"name": "until the first step", "seconds": list(begun)},
        {"name": "whole, one step", "seconds": list(whole)},
    ]
    for row in rows:
        found = row["seconds"]
        spread = f"({min(found):.2f} to {max(found):.2f})"
        print(f"{row['name']:28} {statistics.median(found):8.2f} s  {spread}  n = {len(found)}")
    return {"seconds": rows[-1]["seconds"], "rows": rows}


def _run() -> tuple[float, float]:
    """Returns the seconds of a run until its first step, and in all."""
    with tempfile.TemporaryDirectory() as folder:
        begun, started = 0.0, time.perf_counter()
        with subprocess.Popen(
            [sys.executable, "-u", "main.py", f"--workdir={folder}/run", *_OPTIONS],
            cwd=_ROOT,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            encoding="utf-8",
        ) as program:
            for line in program.stdout:
                if line.startswith(_LAST_LINE):
                    begun = time.perf_counter() - started
        if program.returncode or not begun:
            raise UserError(f"python main.py ended with {program.returncode}: {line.strip()}")
        return begun, time.perf_counter() - started
