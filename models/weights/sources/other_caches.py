"""Finds downloads that other programs have kept: Hugging Face's, timm's, torch.hub's and Paddle's.

None of the programs has to be installed. timm keeps its weights with Hugging Face's.
"""

from __future__ import annotations

import os
import re
from pathlib import Path

# Names that many models share: a file of such a name may be of another one.
_COMMON = re.compile(r"(pytorch_)?(model|checkpoint|weights?|best|last|latest|final)\b.*")
_COMMIT = re.compile(r"[0-9a-f]{40}")


def hugging_face_folder(repository: str, revision: str = "main") -> Path | None:
    """Returns the folder of a repository in Hugging Face's cache; None where it is not there.

    Args:
        repository: `OWNER/NAME`.
        revision: a branch, a tag or a commit.
    """
    place = _hugging_face_cache() / f"models--{repository.replace('/', '--')}"
    reference = place / "refs" / revision
    try:
        commit = reference.read_text(encoding="utf-8").strip() if reference.is_file() else revision
    except (OSError, ValueError):
        return None
    folder = place / "snapshots" / commit
    return folder if _COMMIT.fullmatch(commit) and folder.is_dir() else None


def _hugging_face_cache() -> Path:
    for name in ("HF_HUB_CACHE", "HUGGINGFACE_HUB_CACHE"):
        if os.environ.get(name):
            return Path(os.environ[name]).expanduser()
    home = os.environ.get("HF_HOME") or _user_cache() / "huggingface"
    return Path(home).expanduser() / "hub"


def downloaded_elsewhere(url: str) -> tuple[Path, str] | None:
    """Returns the file of an address that Paddle or torch.hub has downloaded, and whose it is.

    Both keep a file by the last part of its address.
    """
    paddles = Path.home() / ".cache" / "paddle" / "hapi" / "weights" / url.rsplit("/", 1)[-1]
    if paddles.is_file():
        return paddles, "Paddle"
    name = url.split("?")[0].rsplit("/", 1)[-1]
    hub = Path(os.environ.get("TORCH_HOME") or _user_cache() / "torch").expanduser()
    theirs = hub / "hub" / "checkpoints" / name
    known = name and not _COMMON.fullmatch(name.lower()) and theirs.is_file()
    return (theirs, "torch.hub") if known else None


def _user_cache() -> Path:
    return Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache")
