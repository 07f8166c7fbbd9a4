"""How long a run takes to begin, and one of a single step in all."""

from __future__ import annotations

import subprocess
import sys
import tempfile
import time
from pathlib import Path

from common.errors import UserError

_ROOT = Path(__file__).resolve().parents[2]
_LAST_LINE = "folder: "  # before the first step


def seconds(rounds: int) -> dict[str, list[float]]:
    """Of `python main.py` with one step: until the first step begins, and whole, the test images
    included.

    A run that is not measured comes first: it compiles what is not compiled yet.

    Raises:
        UserError: when a run fails.
    """
    found = [_run() for _ in range(rounds + 1)][1:]
    return {
        "until the first step": [begun for begun, _ in found],
        "whole, one step": [whole for _, whole in found],
    }


def _run() -> tuple[float, float]:
    with tempfile.TemporaryDirectory() as folder:
        words = [
            "main.py",
            f"--workdir={folder}/run",
            "--config.train.steps=1",
            "--config.optim.warmup_steps=0",
        ]
        begun, started = 0.0, time.perf_counter()
        with subprocess.Popen(
            [sys.executable, "-u", *words],
            cwd=_ROOT,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
        ) as program:
            for line in program.stdout:
                if line.startswith(_LAST_LINE):
                    begun = time.perf_counter() - started
        if program.returncode or not begun:
            raise UserError(f"python main.py ended with {program.returncode}: {line.strip()}")
        return begun, time.perf_counter() - started
