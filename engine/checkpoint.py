"""A whole training state on the disk: written beside the old ones, flushed, checksummed, then renamed.

A state needs no random generators: the order of the data, its augmentation and the dropout of a step are functions of
the seed and the step (see `data/sampler.py`, `data/dataset.py` and `trainer.seed_noise`).
"""

from __future__ import annotations

import json
import shutil
from pathlib import Path
from typing import NamedTuple

import numpy as np
from safetensors.numpy import save_file

from common.errors import UserError
from common.files import atomic_folder, read_safetensors, sha256

_MANIFEST, _AVERAGES = "manifest.json", "averages.safetensors"


class State(NamedTuple):
    """What a run goes on from. `progress` is JSON: step, best score and its step, seconds, images skipped."""

    model: dict[str, np.ndarray]
    optimizer: dict[str, np.ndarray]
    progress: dict
    averages: dict[str, np.ndarray]


def save(folder: Path, state: State, keep: int) -> Path:
    """Write the state of `progress["step"]` and remove old ones: the newest `keep` and the best stay.

    Args:
        folder: the run's `checkpoints`.
        state: to be written.
        keep: how many of the newest to keep, at least 1.
    """
    target = folder / _name(state.progress["step"])
    with atomic_folder(target) as temporary:
        save_file(state.model, str(temporary / "model.safetensors"))
        save_file(state.optimizer, str(temporary / "optimizer.safetensors"))
        if state.averages:
            save_file(state.averages, str(temporary / _AVERAGES))
        (temporary / "progress.json").write_text(json.dumps(state.progress, indent=2), encoding="utf-8")
        manifest = {path.name: sha256(path) for path in sorted(temporary.iterdir())}
        (temporary / _MANIFEST).write_text(json.dumps(manifest, indent=2), encoding="utf-8")
    for old in all_steps(folder)[keep:]:
        if old != state.progress["best_step"]:
            shutil.rmtree(folder / _name(old))
    return target


def all_steps(folder: Path) -> list[int]:
    """The steps that have a checkpoint, newest first."""
    steps = [path.name.partition("_")[2] for path in folder.glob("step_*") if path.is_dir()]
    return sorted((int(step) for step in steps if step.isdigit()), reverse=True)


def newest(folder: Path) -> State | None:
    """The newest state that is whole; damaged ones are named and passed over. None where there is none."""
    for step in all_steps(folder):
        try:
            return load(folder, step)
        except UserError as error:
            print(f"checkpoint not usable, trying the one before: {error}", flush=True)
    return None


def load(folder: Path, step: int) -> State:
    """Read and verify the state of one step.

    Raises:
        UserError: when a file is missing or differs from its checksum.
    """
    path = folder / _name(step)
    try:
        manifest = json.loads((path / _MANIFEST).read_text(encoding="utf-8"))
        for name, checksum in manifest.items():
            if sha256(path / name) != checksum:
                raise UserError(f"{path / name} differs from its checksum")
        progress = json.loads((path / "progress.json").read_text(encoding="utf-8"))
    except (OSError, ValueError, AttributeError) as error:
        raise UserError(f"{path}: not a whole checkpoint ({error})") from None
    model, _ = read_safetensors(path / "model.safetensors")
    optimizer, _ = read_safetensors(path / "optimizer.safetensors")
    averages, _ = read_safetensors(path / _AVERAGES) if _AVERAGES in manifest else ({}, None)
    return State(model, optimizer, progress, averages)


def _name(step: int) -> str:
    return f"step_{step:08d}"
