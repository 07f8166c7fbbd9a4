"""Measures the peak memory of a training step on a CPU: what an image needs, and the rest.

Each figure is the largest resident memory (VmHWM) of a process of its own, which takes a few
optimiser steps. There, freed memory goes back to the system at once, so that the peak is what is
needed. In the trainer the C library keeps it (`program/paddle_setup.py`): that is faster, and the
process is larger. `--keep_freed` measures it in this way.
"""

import argparse
import ctypes
import json
import statistics
import subprocess
from pathlib import Path

import numpy as np

from common.errors import UserError
from engine.plan import free_memory, memory_estimate
from tools.measure import timed_steps, worker_processes

_TIMES = (1, 2, 3)  # the batch
_STEPS = 2  # that are measured, after one that creates the moments
_MOST_SMALL = 1 << 16  # bytes of an array that the C library takes from the memory it has
_ANSWER = "memory "
_MEGABYTE = 2**20


def serve(arguments: argparse.Namespace) -> None:
    """Takes steps, and prints the peak memory of this process and the estimate, in bytes."""
    config = timed_steps.config_of(arguments)
    if not arguments.keep_freed:
        _give_back_freed()
    training = timed_steps.Training(config)
    estimate = memory_estimate.estimate(training.model, config)
    training.step()
    _reset_peak()
    for _ in range(_STEPS):
        training.step()
    found = {"peak": _peak(), "image": estimate.image, "constant": estimate.constant}
    print(f"{_ANSWER}{json.dumps(found)}", flush=True)


def _give_back_freed() -> None:
    """Undoes a setting of `load_paddle`: freed arrays above a size go back to the system."""
    trim_threshold, mmap_threshold = -1, -3  # of mallopt(3)
    library = ctypes.CDLL("libc.so.6")
    library.mallopt(mmap_threshold, _MOST_SMALL)
    library.mallopt(trim_threshold, 0)


def _reset_peak() -> None:
    """Makes the system forget the peak so far; where it can't, the first step counts, too."""
    try:
        Path("/proc/self/clear_refs").write_text("5", encoding="ascii")
    except OSError:
        return


def _peak() -> int:
    """Returns the largest resident memory in bytes."""
    peak = free_memory.memory_figure("/proc/self/status", "VmHWM")
    if peak is None:
        raise UserError(
            "the system does not say how much memory was used (VmHWM in /proc/self/status)"
        )
    return peak


def measure(arguments: argparse.Namespace) -> dict:
    """Measures once, twice and three times the batch, and fits a line to the medians.

    Returns:
        In bytes: `rows` (`batch`, all `peaks`), `image` and `constant` of the line, and `estimate`
            with the same two.

    Raises:
        UserError: when a process fails.
    """
    if arguments.batch < 1:
        raise UserError(f"--batch is {arguments.batch}, expected 1 or more")
    rows = []
    for batch in (arguments.batch * times for times in _TIMES):
        found = [_run(arguments, batch) for _ in range(arguments.rounds)]
        rows.append({"batch": batch, "peaks": [one["peak"] for one in found]})
    medians = [statistics.median(row["peaks"]) for row in rows]
    image, constant = np.polyfit([row["batch"] for row in rows], medians, 1).tolist()
    estimate = {name: found[-1][name] for name in ("image", "constant")}
    for row, median in zip(rows, medians):
        images = f"{row['batch']} image{'s' * (row['batch'] > 1)}"
        print(f"{images:28} {_megabytes(median)} at the peak  n = {len(row['peaks'])}")
    print(
        f"{'an image':28} {_megabytes(image)}  estimate {_megabytes(estimate['image']).strip()} "
        f"({100 * (estimate['image'] / image - 1):+.1f} %)\n"
        f"{'beside them':28} {_megabytes(constant)}  of which weights, gradients and moments "
        f"{_megabytes(estimate['constant']).strip()}"
    )
    return {"rows": rows, "image": image, "constant": constant, "estimate": estimate}


def _megabytes(count: float) -> str:
    return f"{count / _MEGABYTE:8.1f} MB"


def _run(arguments: argparse.Namespace, batch: int) -> dict:
    """Returns what a process of its own measures."""
    command = worker_processes.command(arguments, batch=batch, serve="ours")
    done = subprocess.run(command, capture_output=True, encoding="utf-8", check=False)
    answers = [line for line in done.stdout.splitlines() if line.startswith(_ANSWER)]
    if done.returncode or not answers:
        otherwise = f"a process ended with {done.returncode}"
        raise UserError(worker_processes.last_error(done.stderr, otherwise))
    return json.loads(answers[-1][len(_ANSWER) :])
