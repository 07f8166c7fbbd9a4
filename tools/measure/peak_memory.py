"""Peak memory of a training step on a CPU, for `python -m tools.benchmark memory`: an image's, and
the rest.

Each figure is the largest resident memory (VmHWM) of a process of its own that takes a few
optimiser steps. In it what is freed goes back to the system at once, so that the peak is of what is
needed. The trainer has the C library keep it (`program/paddle_setup.py`), which is faster, and its
process larger: `--keep_freed` measures that.
"""

from __future__ import annotations

import argparse
import ctypes
import json
import statistics
import subprocess
from pathlib import Path

import numpy as np

from common.errors import UserError
from engine.plan.free_memory import memory_figure
from tools.measure import worker_processes

_TIMES = (1, 2, 3)  # the batch
_STEPS = 2  # that are measured, after one that makes the moments
_MOST_SMALL = 1 << 16  # bytes of an array that the C library takes from what it has
_ANSWER = "memory "
_MEGABYTE = 2**20


def serve(config, keep_freed: bool) -> None:
    """Take steps and print the peak memory of this process, and what is estimated, in bytes."""
    if not keep_freed:
        _give_back_freed()
    from engine.plan import memory_estimate
    from tools.measure.timed_steps import Training

    training = Training(config)
    estimate = memory_estimate.estimate(training.model, config)
    training.step()
    _reset_peak()
    for _ in range(_STEPS):
        training.step()
    found = {"peak": _peak(), "image": estimate.image, "constant": estimate.constant}
    print(f"{_ANSWER}{json.dumps(found)}", flush=True)


def _give_back_freed() -> None:
    """Undo `paddle_setup.load_paddle`: every array of some size is the system's own, and goes back
    to it.
    """
    trim_threshold, mmap_threshold = -1, -3  # of mallopt(3)
    library = ctypes.CDLL("libc.so.6")
    library.mallopt(mmap_threshold, _MOST_SMALL)
    library.mallopt(trim_threshold, 0)


def _reset_peak() -> None:
    """Have the system forget the largest memory so far; where it does not, that of the first step
    counts, too.
    """
    try:
        Path("/proc/self/clear_refs").write_text("5", encoding="ascii")
    except OSError:
        return


def _peak() -> int:
    """The largest resident memory in bytes."""
    peak = memory_figure("/proc/self/status", "VmHWM")
    if peak is None:
        raise UserError(
            "the system does not say how much memory was used (VmHWM in /proc/self/status)"
        )
    return peak


def measure(arguments: argparse.Namespace) -> dict:
    """Peaks of once, twice and three times the batch, and the line through their medians.

    Returns:
        In bytes: `rows` (`batch`, all `peaks`), `image` and `constant` of the line, and `estimate`
            with the same two.
    """
    rows = []
    for batch in (arguments.batch * times for times in _TIMES):
        found = [_run(arguments, batch) for _ in range(arguments.rounds)]
        rows.append({"batch": batch, "peaks": [one["peak"] for one in found]})
    medians = [statistics.median(row["peaks"]) for row in rows]
    image, constant = np.polyfit([row["batch"] for row in rows], medians, 1).tolist()
    return {
        "rows": rows,
        "image": image,
        "constant": constant,
        "estimate": {name: found[-1][name] for name in ("image", "constant")},
    }


def _run(arguments: argparse.Namespace, batch: int) -> dict:
    """What a process of its own measures."""
    command = worker_processes.command(
        "tools.benchmark", "memory", {**vars(arguments), "batch": batch, "serve": "ours"}
    )
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    answers = [line for line in done.stdout.splitlines() if line.startswith(_ANSWER)]
    if done.returncode or not answers:
        errors = done.stderr.strip().splitlines()
        raise UserError(
            errors[-1].replace("error: ", "", 1)
            if errors
            else f"a process ended with {done.returncode}"
        )
    return json.loads(answers[-1][len(_ANSWER) :])


def table(found: dict) -> str:
    """A line for each batch, and one for the growth."""
    lines = []
    for row in found["rows"]:
        images = f"{row['batch']} image{'s' * (row['batch'] > 1)}"
        lines.append(
            f"{images:28} {statistics.median(row['peaks']) / _MEGABYTE:8.1f} MB at the peak  n = {len(row['peaks'])}"
        )
    estimate = found["estimate"]
    return "\n".join(
        [
            *lines,
            f"{'an image':28} {found['image'] / _MEGABYTE:8.1f} MB  estimate {estimate['image'] / _MEGABYTE:.1f} MB "
            f"({100 * (estimate['image'] / found['image'] - 1):+.1f} %)",
            f"{'beside them':28} {found['constant'] / _MEGABYTE:8.1f} MB  of which weights, gradients and moments "
            f"{estimate['constant'] / _MEGABYTE:.1f} MB",
        ]
    )
