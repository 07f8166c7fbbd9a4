"""How the loops of this folder are compiled, by numba, and their machine code kept for the next
start.
"""

from __future__ import annotations

import functools
import hashlib
from collections.abc import Callable
from pathlib import Path

import numpy as np
from llvmlite import binding
from numba import config, njit
from numpy.typing import NDArray

from common.atomic_writing import write_text

Real = np.float32  # of every constant, too: a float64 among them would make all arithmetic float64
Floats = NDArray[np.float32]
Booleans = NDArray[np.bool_]
Bytes = NDArray[np.uint8]
Order = NDArray[np.int64]

_SOURCES = "sources.sha256"


def _set_up() -> None:
    """Have all 64 bytes of AVX-512 used: compilers take half of them, and GELU a third more time.

    Raises:
        ImportError: where numba must not compile.
    """
    if config.DISABLE_JIT:
        raise ImportError("NUMBA_DISABLE_JIT is set")
    features = binding.get_host_cpu_features()
    if features.get("avx512f") and config.CPU_FEATURES is None:
        config.CPU_FEATURES = f"{features.flatten()},-prefer-256-bit"


_set_up()


def compiled(*relaxed: str) -> Callable:
    """Compile, keep the machine code where that is possible, and release Python's lock.

    Args:
        relaxed: what the order of arithmetic may give up beside fused multiply-adds. It is fixed
            when it is compiled.
    """
    options = {"nogil": True, "error_model": "numpy", "fastmath": {"contract", "nsz", *relaxed}}

    def decorate(function: Callable) -> Callable:
        try:
            kept = njit(cache=True, **options)(function)
            _forget_others(kept.stats.cache_path)
            return kept
        except (RuntimeError, OSError):  # no folder can be written
            return njit(**options)(function)

    return decorate


@functools.cache
def _forget_others(folder: str) -> None:
    """Delete machine code of other sources than those of this folder.

    numba looks whether the file of a function has changed, but not whether what it calls has. (A
    process that has begun with the old files could still write old code after this: end it before
    you change them.)
    """
    sources = sorted(Path(__file__).parent.glob("*.py"))
    digest = hashlib.sha256(b"".join(source.read_bytes() for source in sources)).hexdigest()
    note = Path(folder) / _SOURCES
    if note.is_file() and note.read_text(encoding="ascii") == digest:
        return
    for old in note.parent.glob("*.nb[ic]"):
        old.unlink(missing_ok=True)
    write_text(note, digest)
