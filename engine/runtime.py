"""The process: environment before Paddle starts, errors as one line, and what is written down about it."""

from __future__ import annotations

import argparse
import contextlib
import ctypes
import errno
import io
import os
import platform
import shlex
import signal
import subprocess
import sys
import traceback
import warnings
from collections.abc import Callable, Sequence
from importlib import metadata
from pathlib import Path
from typing import NoReturn

from absl import app, logging

from common.errors import UserError
from engine.signals import Stopped

EXIT_DONE, EXIT_FAILED_EXPECTATION, EXIT_BAD_INPUT, EXIT_FAULT, EXIT_STOPPED = 0, 1, 2, 70, 75
_FULL = (errno.ENOSPC, errno.EDQUOT, errno.EFBIG, errno.EROFS)  # what a disk or a quota answers, anywhere in a run
# What a path of the user's can be refused for; other errors (of a disk, of a network) may pass.
_REFUSED = (errno.EACCES, errno.EPERM, errno.EROFS, errno.ENOENT, errno.ENOTDIR, errno.EISDIR, errno.EEXIST)
_REFUSED += (errno.ENAMETOOLONG, errno.ELOOP)
# What is set for Paddle's CPU build, unless the user has set it.
_VARIABLES = ("OMP_NUM_THREADS", "KMP_BLOCKTIME", "MKL_DEBUG_CPU_TYPE")
_PACKAGES = (
    "paddlepaddle",
    "paddlepaddle-gpu",
    "ppim",
    "ml_collections",
    "visualdl",
    "numba",
    "numpy",
    "pillow",
    "safetensors",
)


def prepare_environment() -> None:
    """Set what Paddle's CPU build reads when it is imported, where the user has not set it, and import it.

    Paddle would use one thread; and idle threads of OpenMP would keep a core busy for 200 ms, which others need, where
    1 ms is enough for small operators not to have to wake them. Its matrix library takes every AMD processor for an old
    one unless it is told otherwise, which costs three quarters of its speed; on Intel the same setting would keep it
    from AVX-512.
    """
    cores = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1
    os.environ.setdefault("OMP_NUM_THREADS", str(max(1, cores // local_processes())))
    os.environ.setdefault("KMP_BLOCKTIME", "1")
    if _is_amd():
        os.environ.setdefault("MKL_DEBUG_CPU_TYPE", "5")
    os.environ.setdefault("GLOG_minloglevel", "2")
    _keep_freed_memory()
    warnings.filterwarnings("ignore", message="No ccache found")
    warnings.filterwarnings("ignore", module="PIL")  # what can't be read is an error that names the file
    with contextlib.redirect_stderr(io.StringIO()):  # it warns of any thread count but 1
        import paddle  # noqa: F401


def describe_processor() -> str:
    """The device, and on a CPU what its libraries were told."""
    import paddle

    device = paddle.device.get_device()
    told = [f"{name}={os.environ[name]}" for name in _VARIABLES if name in os.environ]
    return " ".join(["CPU", *told]) if device == "cpu" else device


def local_processes() -> int:
    """How many processes train together on this machine."""
    return int(os.environ.get("PADDLE_LOCAL_SIZE", "0")) or int(os.environ.get("PADDLE_TRAINERS_NUM", "1"))


def _keep_freed_memory() -> None:
    """Have the C library keep what Paddle frees: else each step gets its large arrays from the system page by page.

    It makes an R-Drop step of ViT-S on a CPU about 4 % faster. A no-op where the library is not glibc.
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


def run(main: Callable[[Sequence[str]], int], parser: Callable[[Sequence[str]], list[str]]) -> None:
    """Run a program: `parser` reads the flags, `main` gives the exit code, and a `UserError` becomes one line."""
    logging.set_verbosity(logging.WARNING)  # libraries report on fonts and the like
    try:
        run_tool(lambda: app.run(main, flags_parser=parser))
    except SystemExit as end:
        asked_for_help = {"--help", "--helpfull", "--helpshort"} & set(sys.argv)
        sys.exit(EXIT_DONE if asked_for_help else end.code)  # absl exits with 1 after its help


def run_tool(main: Callable[[], int]) -> None:
    """Run a tool that reads its own command line; a `UserError` becomes one line, a fault has a code of its own."""
    try:
        sys.exit(main())
    except UserError as error:
        sys.exit(_refuse(str(error)))
    except MemoryError:
        sys.exit(_refuse("the memory is not enough: set a smaller batch size, image size or model"))
    except Stopped as stop:
        print(f"stopped ({stop}) before the first step; the same command goes on", file=sys.stderr, flush=True)
        sys.exit(EXIT_STOPPED)
    except BrokenPipeError:  # the reader of a pipe, such as head, has left
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        sys.exit(128 + signal.SIGPIPE)
    except KeyboardInterrupt:
        print("interrupted", file=sys.stderr, flush=True)
        sys.exit(128 + signal.SIGINT)
    except Exception as error:
        sys.exit(_tell_fault(error))


def _tell_fault(error: Exception) -> int:
    """A file that the system refuses is one line; any other fault shows where it is, and has a code of its own."""
    number, place = getattr(error, "errno", None), getattr(error, "filename", None)
    if not isinstance(error, OSError) or number not in (*_FULL, *_REFUSED) or not (place or number in _FULL):
        traceback.print_exc()
        return EXIT_FAULT
    remedy = "make room, and the same command goes on" if number in _FULL else "give another path, or mend this one"
    return _refuse(f"{error.strerror}{f' ({place})' if place else ''}: {remedy}")


def _refuse(message: str) -> int:
    print(f"error: {message}", file=sys.stderr, flush=True)
    return EXIT_BAD_INPUT


class ArgumentParser(argparse.ArgumentParser):
    """Of a tool: its help is the text of its file, and a mistake is a `UserError`.

    Args:
        module: the tool's `__spec__` name, such as `tools.predict`.
        text: its docstring.
    """

    def __init__(self, module: str, text: str | None):
        super().__init__(prog=module, description=text, formatter_class=argparse.RawTextHelpFormatter)

    def error(self, message: str) -> NoReturn:
        raise UserError(f"{message} (python -m {self.prog} --help)")


def check_output(flag: str, path: str | Path | None, inputs: Sequence[str | Path] = ()) -> None:
    """See before the work that its result can be written, and over none of its inputs.

    Args:
        flag: that gives the path, for the message.
        path: of a file to be written; empty or None: none.
        inputs: files that are read, or names of other things.

    Raises:
        UserError: when it can't.
    """
    if not path:
        return
    target = Path(path)
    if target.is_dir():
        raise UserError(f"{flag}: {target} is a folder; give the name of a file")
    if target.exists() and not target.is_file():
        raise UserError(f"{flag}: {target} is a device or a pipe, which a file would replace; give the name of a file")
    if target.exists() and any(Path(one).exists() and target.samefile(one) for one in inputs):
        raise UserError(f"{flag}: {target} is an input, which would be lost; give another file")
    check_folder(flag, target.absolute().parent)


def check_folder(flag: str, path: Path) -> None:
    """See before the work that files can be written in a folder, which need not be there.

    Raises:
        UserError: when they can't.
    """
    above = next(folder for folder in (path.absolute(), *path.absolute().parents) if folder.exists())
    if not above.is_dir() or not os.access(above, os.W_OK):
        reason = "not writable" if above.is_dir() else "a file"
        raise UserError(f"{flag}: {path} can't be written: {above} is {reason}")


def environment() -> dict[str, object]:
    """What a run depends on besides its config: versions, device, commit, command."""
    import paddle

    versions = {}
    for name in _PACKAGES:
        try:
            versions[name] = metadata.version(name)
        except metadata.PackageNotFoundError:
            continue
    return {
        "python": platform.python_version(),
        "packages": versions,
        "device": paddle.device.get_device(),
        "machine": f"{platform.system()} {platform.machine()}, {os.cpu_count()} cores",
        "threads": os.environ.get("OMP_NUM_THREADS", ""),
        "git_commit": git_commit(),
        "command": shlex.join([Path(sys.executable).name, *sys.argv]),
    }


def git_commit() -> str:
    """The commit of this code, with `+` behind it when files differ from it; empty outside of a checkout."""
    root = Path(__file__).resolve().parent.parent
    try:
        git = ["git", "-C", str(root)]
        commit = subprocess.run([*git, "rev-parse", "HEAD"], capture_output=True, text=True, timeout=10)
        changed = subprocess.run([*git, "status", "--porcelain", "-uno"], capture_output=True, text=True, timeout=10)
    except (OSError, subprocess.TimeoutExpired):
        return ""
    return commit.stdout.strip() + ("+" if changed.stdout.strip() else "") if commit.returncode == 0 else ""
