"""Prepares the process for Paddle (threads, variables, memory), and loads it."""

import contextlib
import ctypes
import io
import os
import warnings
import zlib  # noqa: F401  # before Paddle 2.6, whose own copy would crash Python's
from pathlib import Path

# What is set for Paddle's CPU build, unless the user has set it.
VARIABLES = ("OMP_NUM_THREADS", "KMP_BLOCKTIME", "MKL_DEBUG_CPU_TYPE")


def load_paddle() -> None:
    """Imports Paddle, after setting the variables that its CPU build reads when it is imported.

    What the user has set stays. The reasons:

    - `OMP_NUM_THREADS`: Paddle would use one thread.
    - `KMP_BLOCKTIME`: idle threads of OpenMP would keep a core busy for 200 ms, while others need
      it. With 1 ms, small operators still do not have to wake them.
    - `MKL_DEBUG_CPU_TYPE`, on AMD only: Paddle's matrix library takes every AMD processor for an
      old one, which costs three quarters of its speed. On Intel the same setting would disable
      AVX-512.
    """
    affinity = getattr(os, "sched_getaffinity", None)
    cores = len(affinity(0)) if affinity else os.cpu_count() or 1
    os.environ.setdefault("OMP_NUM_THREADS", str(max(1, cores // local_processes())))
    os.environ.setdefault("KMP_BLOCKTIME", "1")
    if is_amd():
        os.environ.setdefault("MKL_DEBUG_CPU_TYPE", "5")
    os.environ.setdefault("GLOG_minloglevel", "2")
    _keep_freed_memory()
    warnings.filterwarnings("ignore", message="No ccache found")
    # A damaged image is an error of ours that names the file.
    warnings.filterwarnings("ignore", module="PIL")
    with contextlib.redirect_stderr(io.StringIO()):  # it warns of any thread count but 1
        import paddle  # noqa: F401


def local_processes() -> int:
    """Returns how many processes train together on this machine."""
    own = int(os.environ.get("PADDLE_LOCAL_SIZE", "0"))
    return own or int(os.environ.get("PADDLE_TRAINERS_NUM", "1"))


def _keep_freed_memory() -> None:
    """Makes the C library keep the memory that Paddle frees.

    Otherwise each step gets its large arrays from the system page by page. On a CPU this makes an
    R-Drop step of ViT-S about 4 % faster. Without glibc it does nothing.
    """
    trim_threshold, mmap_threshold = -1, -3  # of mallopt(3)
    with contextlib.suppress(OSError, AttributeError):
        library = ctypes.CDLL("libc.so.6")
        library.mallopt(mmap_threshold, 1 << 30)
        library.mallopt(trim_threshold, -1)


def is_amd() -> bool:
    """Returns whether the processor is one of AMD's."""
    try:
        return "AuthenticAMD" in Path("/proc/cpuinfo").read_text(encoding="utf-8")
    except OSError:
        return False
