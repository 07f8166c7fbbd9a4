"""Checkpoints: a whole training state on the disk, checksummed and renamed into place.

A state needs no random generators: the order of the data, its augmentation and the dropout of a
step are functions of the seed and the step (see `data/sampler.py`, `data/dataset.py` and
`engine/step/noise.py`).
"""

from __future__ import annotations

import contextlib
import json
import os
import re
from collections.abc import Callable
from pathlib import Path
from typing import Any, NamedTuple

from numpy.typing import NDArray
from safetensors.numpy import save_file

from common.atomic_writing import atomic_folder, remove_folder
from common.errors import UserError
from common.reading import read_json, sha256
from common.safetensors_files import read_safetensors
from engine import distributed
from engine.state.progress import Progress

_MODEL, _OPTIMIZER, _AVERAGES = (
    f"{name}.safetensors" for name in ("model", "optimizer", "averages")
)
_PROGRESS, _MANIFEST = "progress.json", "manifest.json"
_NEEDED = {_MODEL, _OPTIMIZER, _PROGRESS}
_LARGEST_PROGRESS = 16 << 20  # bytes


class State(NamedTuple):
    """What a run goes on from: arrays by name, and its progress."""

    model: dict[str, NDArray[Any]]
    optimizer: dict[str, NDArray[Any]]
    progress: Progress
    averages: dict[str, NDArray[Any]]


def save(folder: Path, state: State, keep: int) -> Path:
    """Writes a state, then removes old ones: the newest `keep` and the best stay.

    Args:
        folder: the run's `checkpoints`.
        state: to be written.
        keep: how many of the newest to keep, at least 1.

    Returns:
        The folder of the state.
    """
    step, best = state.progress.steps_done, state.progress.best_step
    target = folder / folder_name(step)
    with atomic_folder(target) as temporary:
        save_file(state.model, str(temporary / _MODEL))
        save_file(state.optimizer, str(temporary / _OPTIMIZER))
        if state.averages:
            save_file(state.averages, str(temporary / _AVERAGES))
        _write_json(temporary / _PROGRESS, state.progress.to_json())
        manifest = {path.name: sha256(path) for path in sorted(temporary.iterdir())}
        _write_json(temporary / _MANIFEST, manifest)
    steps = all_steps(folder)
    # Later steps are damaged: the run has passed them over.
    kept = [old for old in steps if old <= step][:keep]
    for old in steps:
        if old not in (*kept, best):
            remove_folder(folder / folder_name(old))
    return target


def _write_json(path: Path, content: object) -> None:
    path.write_text(json.dumps(content, indent=2), encoding="utf-8")


def all_steps(folder: Path) -> list[int]:
    """Returns the steps that have a checkpoint, newest first.

    Raises:
        OSError: when the folder exists, but can't be read.
    """
    paths = list(folder.iterdir()) if os.path.lexists(folder) else []
    steps = [path.name[5:] for path in paths if path.name.startswith("step_") and path.is_dir()]
    return sorted((int(step) for step in steps if re.fullmatch(r"[0-9]{8,15}", step)), reverse=True)


def newest(folder: Path, say: Callable[[str], None] = print) -> State | None:
    """Returns the newest state that is whole, or None; `say` is told of damaged ones.

    Raises:
        UserError: when the folder can't be read: to begin anew would lose what is in it.
    """
    try:
        steps = all_steps(folder)
    except OSError as error:
        raise UserError(
            f"{folder}: can't be read ({error.strerror}); mend that, or give another --workdir"
        ) from None
    for step in steps:
        try:
            return load(folder, step)
        except UserError as error:
            say(f"checkpoint not usable, trying the one before: {error}")
    return None


def newest_data(folder: Path) -> dict[str, dict[str, Any]]:
    """Returns what the newest state knows of the run's data, without reading its arrays.

    {} where there is no state, or its progress is not readable: `newest` judges that.
    """
    with contextlib.suppress(OSError, UserError):
        for step in all_steps(folder):
            path = folder / folder_name(step)
            return Progress.from_json(
                read_json(path / _PROGRESS, _LARGEST_PROGRESS), step, path
            ).data
    return {}


def load(folder: Path, step: int) -> State:
    """Reads and verifies the state of one step.

    Raises:
        UserError: when a file is missing, can't be read, or differs from its checksum.
    """
    path = folder / folder_name(step)
    manifest = read_json(path / _MANIFEST)
    _check_manifest(path, manifest)
    for name, checksum in manifest.items():
        try:
            found = sha256(path / name)
        except OSError as error:  # of a disk that fails, for example
            raise UserError(f"{path / name}: can't be read ({error.strerror})") from None
        if found != checksum:
            raise UserError(f"{path / name} differs from its checksum")
    progress = Progress.from_json(read_json(path / _PROGRESS, _LARGEST_PROGRESS), step, path)
    model, _ = read_safetensors(path / _MODEL)
    optimizer, _ = read_safetensors(path / _OPTIMIZER)
    averages, _ = read_safetensors(path / _AVERAGES) if _AVERAGES in manifest else ({}, None)
    return State(model, optimizer, progress, averages)


def agreed(folder: Path, read: Callable[[Path], State | None]) -> State | None:
    """Returns the state that the main process chooses by `read(folder)`, the same on all ranks.

    Raises:
        UserError: on all ranks, when one of them can't read it.
    """
    with distributed.together():
        state = read(folder) if distributed.is_main() else None
    step = int(distributed.from_main(state.progress.steps_done if state else -1))
    with distributed.together():
        return state if distributed.is_main() or step < 0 else load(folder, step)


def folder_name(step: int) -> str:
    """Returns the name of a state's folder."""
    return f"step_{step:08d}"


def _check_manifest(path: Path, manifest: object) -> None:
    """Checks that a manifest names the files of a state, and no file outside of its folder."""
    if not isinstance(manifest, dict) or not _NEEDED <= manifest.keys() <= _NEEDED | {_AVERAGES}:
        raise UserError(
            f"{path}: not a whole checkpoint ({_MANIFEST} does not name its files, or others)"
        )
    for name in manifest:
        if not (path / name).is_file():
            raise UserError(f"{path}: not a whole checkpoint ({name} is missing)")
