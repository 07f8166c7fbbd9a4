"""Prepares the process for Paddle (threads, variables, memory), and loads it."""

from __future__ import annotations

import contextlib
import ctypes
import io
import os
import warnings
from pathlib import Path

# What is set for Paddle's CPU build, unless the user has set it.
VARIABLES = ("OMP_NUM_THREADS", "KMP_BLOCKTIME", "MKL_DEBUG_CPU_TYPE")


def load_paddle() -> None:
    """Set what Paddle's CPU build reads when it is imported, where the user has not set it, and
    import it.

    Paddle would use one thread; and idle threads of OpenMP would keep a core busy for 200 ms, which
    others need, where 1 ms is enough for small operators not to have to wake them. Its matrix
    library takes every AMD processor for an old one unless it is told otherwise, which costs three
    quarters of its speed; on Intel the same setting would keep it from AVX-512.
    """
    cores = (
        len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1
    )
    os.environ.setdefault("OMP_NUM_THREADS", str(max(1, cores // local_processes())))
    os.environ.setdefault("KMP_BLOCKTIME", "1")
    if _is_amd():
        os.environ.setdefault("MKL_DEBUG_CPU_TYPE", "5")
    os.environ.setdefault("GLOG_minloglevel", "2")
    _keep_freed_memory()
    warnings.filterwarnings("ignore", message="No ccache found")
    warnings.filterwarnings(
        "ignore", module="PIL"
    )  # what can't be read is an error that names the file
    with contextlib.redirect_stderr(io.StringIO()):  # it warns of any thread count but 1
        import paddle  # noqa: F401


def local_processes() -> int:
    """How many processes train together on this machine."""
    return int(os.environ.get("PADDLE_LOCAL_SIZE", "0")) or int(
        os.environ.get("PADDLE_TRAINERS_NUM", "1")
    )


def _keep_freed_memory() -> None:
    """Have the C library keep what Paddle frees: else each step gets its large arrays from the
    system page by page.

    It makes an R-Drop step of ViT-S on a CPU about 4 % faster. A no-op where the library is not
    glibc.
    """
    trim_threshold, mmap_threshold = -1, -3  # of mallopt(3)
    with contextlib.suppress(OSError, AttributeError):
        library = ctypes.CDLL("libc.so.6")
        library.mallopt(mmap_threshold, 1 << 30)
        library.mallopt(trim_threshold, -1)


def _is_amd() -> bool:
    try:
        return "AuthenticAMD" in Path("/proc/cpuinfo").read_text(encoding="utf-8")
    except OSError:
        return False
