"""What a run depends on besides its config: versions, processor, commit, command."""

from __future__ import annotations

import os
import platform
import shlex
import subprocess
import sys
from importlib import metadata
from pathlib import Path

from program.paddle_setup import VARIABLES

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


def describe_processor() -> str:
    """The device, and on a CPU what its libraries were told."""
    import paddle

    device = paddle.device.get_device()
    told = [f"{name}={os.environ[name]}" for name in VARIABLES if name in os.environ]
    return " ".join(["CPU", *told]) if device == "cpu" else device


def describe() -> dict[str, object]:
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
    """The commit of this code, with `+` behind it when files differ from it; empty outside of a
    checkout.
    """
    root = Path(__file__).resolve().parent.parent
    try:
        git = ["git", "-C", str(root)]
        commit = subprocess.run(
            [*git, "rev-parse", "HEAD"], capture_output=True, text=True, timeout=10
        )
        changed = subprocess.run(
            [*git, "status", "--porcelain", "-uno"], capture_output=True, text=True, timeout=10
        )
    except (OSError, subprocess.TimeoutExpired):
        return ""
    return (
        commit.stdout.strip() + ("+" if changed.stdout.strip() else "")
        if commit.returncode == 0
        else ""
    )
