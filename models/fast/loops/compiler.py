"""Compiles the loops of this folder by numba, and keeps their machine code for the next start."""

import functools
import hashlib
from collections.abc import Callable
from pathlib import Path

import numpy as np
from llvmlite import binding
from numba import config, njit
from numpy.typing import NDArray

from common.atomic_writing import write_text

Real = np.float32  # type of all constants: one float64 would make the arithmetic around it float64
ZERO, HALF, ONE = Real(0), Real(0.5), Real(1)
Floats = NDArray[np.float32]
Booleans = NDArray[np.bool_]
Bytes = NDArray[np.uint8]
Order = NDArray[np.int64]


def _set_up() -> None:
    """Makes compilers use all 64 bytes of AVX-512; with 32, GELU takes a third more time.

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
    """Returns a decorator that compiles a function, which then runs without Python's lock.

    The machine code is kept on disk where a folder can be written.

    Args:
        relaxed: LLVM's fast-math flags in addition to fused multiply-adds. Without `reassoc`, the
            order of additions is that of the source.
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
    """Deletes kept machine code that was made from other sources than this folder has now.

    numba notices when the file of a function has changed, but not when a function that it calls has
    changed. (A process that started with the old files could still write old code after this. End
    it before you change them.)
    """
    sources = sorted(Path(__file__).parent.glob("*.py"))
    digest = hashlib.sha256(b"".join(source.read_bytes() for source in sources)).hexdigest()
    note = Path(folder) / "sources.sha256"
    if note.is_file() and note.read_text(encoding="ascii") == digest:
        return
    for old in note.parent.glob("*.nb[ic]"):
        old.unlink(missing_ok=True)
    write_text(note, digest)
