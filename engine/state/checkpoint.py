"""A whole training state on the disk: written beside the old ones, flushed, checksummed, then
renamed.

A state needs no random generators: the order of the data, its augmentation and the dropout of a
step are functions of the seed and the step (see `data/sampler.py`, `data/dataset.py` and
`engine/step/noise.py`).
"""

from __future__ import annotations

import json
import os
import re
from collections.abc import Callable
from pathlib import Path
from typing import NamedTuple

import numpy as np
from safetensors.numpy import save_file

from common.atomic_writing import atomic_folder, remove_folder
from common.errors import UserError
from common.files import is_number, read_json, sha256
from common.safetensors_files import read_safetensors

_MANIFEST, _AVERAGES = "manifest.json", "averages.safetensors"
_NEEDED = {"model.safetensors", "optimizer.safetensors", "progress.json"}
_NUMBERS = (
    "best_step",
    "best_top1",
    "global_batch",
    "micro_batch",
    "seconds",
    "skipped",
)  # of progress.json
_LARGEST_PROGRESS = 16 << 20  # bytes


class State(NamedTuple):
    """What a run goes on from. `progress` is JSON: step, best score and its step, metrics since the
    last record, ...
    """

    model: dict[str, np.ndarray]
    optimizer: dict[str, np.ndarray]
    progress: dict
    averages: dict[str, np.ndarray]


def save(folder: Path, state: State, keep: int) -> Path:
    """Write the state of `progress["step"]`, then remove old ones: the newest `keep` and the best
    stay.

    Args:
        folder: the run's `checkpoints`.
        state: to be written.
        keep: how many of the newest to keep, at least 1.
    """
    step, best = state.progress["step"], state.progress["best_step"]
    target = folder / folder_name(step)
    with atomic_folder(target) as temporary:
        save_file(state.model, str(temporary / "model.safetensors"))
        save_file(state.optimizer, str(temporary / "optimizer.safetensors"))
        if state.averages:
            save_file(state.averages, str(temporary / _AVERAGES))
        (temporary / "progress.json").write_text(
            json.dumps(state.progress, indent=2), encoding="utf-8"
        )
        manifest = {path.name: sha256(path) for path in sorted(temporary.iterdir())}
        (temporary / _MANIFEST).write_text(json.dumps(manifest, indent=2), encoding="utf-8")
    steps = all_steps(folder)
    kept = [old for old in steps if old <= step][
        :keep
    ]  # later ones are damaged: the run has passed them over
    for old in steps:
        if old not in (*kept, best):
            remove_folder(folder / folder_name(old))
    return target


def all_steps(folder: Path) -> list[int]:
    """The steps that have a checkpoint, newest first; an `OSError` when the folder is there, but
    can't be read.
    """
    paths = list(folder.iterdir()) if os.path.lexists(folder) else []
    steps = [path.name[5:] for path in paths if path.name.startswith("step_") and path.is_dir()]
    return sorted((int(step) for step in steps if re.fullmatch(r"[0-9]{8,15}", step)), reverse=True)


def newest(folder: Path, say: Callable[[str], None] = print) -> State | None:
    """The newest state that is whole; damaged ones are named by `say` and passed over. None where
    there is none.

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


def load(folder: Path, step: int) -> State:
    """Read and verify the state of one step.

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
    progress = read_json(path / "progress.json", _LARGEST_PROGRESS)
    _check_progress(path, progress, step)
    model, _ = read_safetensors(path / "model.safetensors")
    optimizer, _ = read_safetensors(path / "optimizer.safetensors")
    averages, _ = read_safetensors(path / _AVERAGES) if _AVERAGES in manifest else ({}, None)
    return State(model, optimizer, progress, averages)


def _check_manifest(path: Path, manifest: object) -> None:
    """See that a manifest names the files of a state, and nothing else: a name may lead out of the
    folder.
    """
    if not isinstance(manifest, dict) or not _NEEDED <= manifest.keys() <= _NEEDED | {_AVERAGES}:
        raise UserError(
            f"{path}: not a whole checkpoint ({_MANIFEST} does not name its files, or others)"
        )
    for name in manifest:
        if not (path / name).is_file():
            raise UserError(f"{path}: not a whole checkpoint ({name} is missing)")


def _is_incident(found: object) -> bool:
    """Whether it is one of those of `engine.watch.nonfinite`, as far as others rely on it."""
    if not isinstance(found, dict) or found.get("action") not in ("skip", "rollback"):
        return False
    steps = [found.get("step"), found.get("back_to", 0)]
    return all(type(step) is int and 0 <= step < 1 << 63 for step in steps) and isinstance(
        found.get("text"), str
    )


def _check_progress(path: Path, progress: object, step: int) -> None:
    """See that the counts of a state are numbers; what else is in it is compared with the run's
    own.
    """
    right = (
        isinstance(progress, dict)
        and type(progress.get("step")) is int
        and progress["step"] == step
    )
    right = right and isinstance(progress.get("incidents", []), list)
    right = right and progress.get("best_of", "raw") in ("raw", "ema", "swa")
    right = right and all(is_number(progress.get(name, 0)) for name in _NUMBERS)
    right = right and all(map(_is_incident, progress.get("incidents", [])))
    if not right:
        raise UserError(
            f"{path}: not a whole checkpoint (progress.json is not that of step {step})"
        )


def folder_name(step: int) -> str:
    return f"step_{step:08d}"
