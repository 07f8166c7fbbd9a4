"""What an exported model is called by: pixels in, logits out."""

from __future__ import annotations

import contextlib
import importlib
import os
import sys
import tempfile
from collections.abc import Callable, Iterator
from typing import Any

import numpy as np
from numpy.typing import NDArray

from common.errors import UserError

INPUT, OUTPUT = "images", "logits"  # the names in the graph
Runner = Callable[[NDArray[np.uint8]], NDArray[np.float32]]  # (B, 3, S, S) to (B, C)


_STREAMS = (1, 2)  # descriptors of output and errors


class Refused(Exception):
    """An export that ran but is not good enough: nothing of it is kept. The message is one line."""


def feeder(
    run: Callable[[NDArray[Any]], NDArray[np.float32]],
    statistics: tuple[NDArray[np.float32], ...],
) -> Runner:
    """Returns what feeds pixels to a graph.

    Args:
        run: the graph.
        statistics: mean and standard deviation, in 0 to 255, of a graph that takes normalised
            images; empty for one that takes pixels.
    """

    def classify(pixels: NDArray[np.uint8]) -> NDArray[np.float32]:
        return run(prepared(pixels, statistics))

    return classify


def prepared(
    pixels: NDArray[np.uint8], statistics: tuple[NDArray[np.float32], ...]
) -> NDArray[Any]:
    """Returns the input of a graph for pixels `(B, 3, S, S)`; see `feeder`."""
    if not statistics:
        return np.ascontiguousarray(pixels)
    mean, std = (one.reshape(1, -1, 1, 1) for one in statistics)
    return (pixels.astype(np.float32) - mean) / std


def need(*libraries: str) -> None:
    """Checks that libraries of the extras are installed.

    Raises:
        UserError: naming those that are not.
    """
    missing = []
    for name in libraries:
        try:
            importlib.import_module(name)
        except ImportError:
            missing.append(name)
    if missing:
        raise UserError(
            f"{' and '.join(missing)} can't be imported: pip install -r requirements-extras.txt, "
            "or use --format paddle"
        )


@contextlib.contextmanager
def quiet(said: list[str]) -> Iterator[None]:
    """Keeps what libraries print, those in C++ too, from the terminal.

    Args:
        said: gets the lines at the end.
    """
    for stream in (sys.stdout, sys.stderr):
        stream.flush()
    with tempfile.TemporaryFile("w+", encoding="utf-8", errors="replace") as log:
        kept = [os.dup(descriptor) for descriptor in _STREAMS]
        try:
            for descriptor in _STREAMS:
                os.dup2(log.fileno(), descriptor)
            with contextlib.redirect_stdout(log), contextlib.redirect_stderr(log):
                yield
        finally:
            log.flush()
            for descriptor, before in zip(_STREAMS, kept):
                os.dup2(before, descriptor)
                os.close(before)
            log.seek(0)
            said += log.read().splitlines()
