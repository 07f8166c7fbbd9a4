"""Describes what a run depends on in addition to its config: versions, device, commit, command."""

import contextlib
import os
import platform
import re
import shlex
import subprocess
import sys
from importlib import metadata
from pathlib import Path

from program.paddle_setup import VARIABLES

_PACKAGES = (
    *("paddlepaddle", "paddlepaddle-gpu", "ppim", "ml_collections", "visualdl", "numba", "numpy"),
    *("pillow", "safetensors"),
)


def describe_processor(device: str) -> str:
    """Returns the device, and for a CPU the variables that its libraries read.

    Args:
        device: as `paddle.device.get_device` names it.
    """
    if device != "cpu":
        return device
    return " ".join(
        ["CPU", *(f"{name}={os.environ[name]}" for name in VARIABLES if name in os.environ)]
    )


def describe(device: str) -> dict[str, object]:
    """Returns what `environment.json` holds: versions, device, machine, commit, command.

    Args:
        device: as `paddle.device.get_device` names it.
    """
    versions = {}
    for name in _PACKAGES:
        with contextlib.suppress(metadata.PackageNotFoundError):
            versions[name] = metadata.version(name)
    return {
        "python": platform.python_version(),
        "packages": versions,
        "device": device,
        "machine": f"{platform.system()} {platform.machine()}, {os.cpu_count()} cores",
        "processor": processor_name(),
        "threads": os.environ.get("OMP_NUM_THREADS", ""),
        "git_commit": git_commit(),
        "command": shlex.join([Path(sys.executable).name, *sys.argv]),
    }


def processor_name(info: Path = Path("/proc/cpuinfo")) -> str:
    """Returns what the processor calls itself; an empty string where that is not known.

    Args:
        info: the file in which Linux says it.
    """
    with contextlib.suppress(OSError, UnicodeDecodeError):
        found = re.search(r"^model name\s*:\s*(.*?)\s*$", info.read_text("utf-8"), re.MULTILINE)
        if found:
            return found[1]
    return platform.processor()


def git_commit() -> str:
    """Returns the commit of this code, followed by `+` when files differ from it.

    Returns:
        An empty string outside of a git checkout.
    """
    try:
        commit, changes = _git("rev-parse", "HEAD"), _git("status", "--porcelain", "-uno")
    except (OSError, subprocess.TimeoutExpired):
        return ""
    if commit.returncode:
        return ""
    return commit.stdout.strip() + ("+" if changes.stdout.strip() else "")


def _git(*words: str) -> subprocess.CompletedProcess[str]:
    command = ["git", "-C", str(Path(__file__).resolve().parent.parent), *words]
    return subprocess.run(
        command, capture_output=True, encoding="utf-8", errors="backslashreplace", timeout=10
    )
