"""Goes on from the newest good checkpoint, or refuses one that is not of the same run."""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import models
from common.errors import UserError, listed
from engine import distributed
from engine.state import checkpoint
from engine.state.progress import Progress
from engine.trainer import Trainer
from engine.watch.nonfinite import Incident
from program import run_folder

# What the parts of a state raise that was written by another run, or by nobody's program.
_FOREIGN = (LookupError, TypeError, ValueError, ArithmeticError, AssertionError, RuntimeError)


def resume(trainer: Trainer, incidents: list[Incident] | None = None) -> int:
    """Loads the newest good checkpoint into a new trainer, if there is one.

    Args:
        trainer: before its first step.
        incidents: after a rollback, all of the run; the checkpoint does not know the last one.

    Returns:
        The number of steps that are done.

    Raises:
        UserError: on all ranks, when the checkpoint is not of this run.
    """
    state = checkpoint.agreed(
        trainer.folder / run_folder.CHECKPOINTS,
        lambda folder: checkpoint.newest(folder, distributed.say),
    )
    if state:
        _check_split(trainer, state.progress)
        _check_teacher(trainer, state.progress)
        refuse_other_data(trainer.folder, state.progress.data, trainer.progress.data)
        _load(trainer, state)
    progress = trainer.progress
    if incidents:
        last = {**incidents[-1], "back_to": progress.steps_done}
        progress.incidents = [*incidents[:-1], last]
    trainer.optimizer.lr_factor = trainer.guard.lr_factor(progress.incidents)
    return progress.steps_done


def _load(trainer: Trainer, state: checkpoint.State) -> None:
    progress = state.progress
    models.assign_all(trainer.model, state.model, str(trainer.folder))
    trainer.averages.load_state(state.averages)
    try:
        trainer.optimizer.load_state(state.optimizer, progress.steps_done)
        trainer.meter.load_state(progress.meter)
    except _FOREIGN as error:
        raise UserError(
            f"{trainer.folder}: the newest checkpoint is not one of this run ({error!r})"
        ) from None
    micro_batch = trainer.config.train.batch_size
    trainer.progress = dataclasses.replace(
        progress, micro_batch=micro_batch, data=trainer.progress.data
    )


def _check_split(trainer: Trainer, before: Progress) -> None:
    """Refuses another split into cards and accumulation where it would change the run.

    A step is a position in the data as long as the global batch is the same. What is counted by
    micro-batch (images without labels, mixed pairs, batch norms, KL as a sum) needs the same
    micro-batch, too.

    Raises:
        UserError: when the split was another one before the run was stopped.
    """
    folder, global_batch = trainer.folder, trainer.plan.global_batch
    if before.global_batch != global_batch:
        raise UserError(
            f"{folder}: the run had a global batch of {before.global_batch}, with this number of "
            f"cards it is {global_batch}; set train.batch_size and train.accumulation_steps to "
            f"make it {before.global_batch}"
        )
    micro_batch = trainer.config.train.batch_size
    same = before.micro_batch in (0, micro_batch)
    if not same and trainer.objective.by_micro_batch(trainer.model):
        raise UserError(
            f"{folder}: the run had train.batch_size={before.micro_batch}, now it is "
            f"{micro_batch}; with this preset, mixing, images without labels or batch norms that "
            "is another objective"
        )


def refuse_other_data(
    folder: Path, before: Mapping[str, dict[str, Any]], now: Mapping[str, dict[str, Any]]
) -> None:
    """Refuses to go on with other images, labels or classes.

    Args:
        folder: of the run.
        before: what the run knew of its data, by the split; {} of an earlier version.
        now: what the data is.

    Raises:
        UserError: with the first difference.
    """
    for split in (name for name in before if name in now):
        difference = _difference(before[split], now[split])
        if difference:
            raise UserError(
                f"{folder}: the data is not that of the run: of the {split} images, {difference}; "
                "give the old data.root, another --workdir, or --overwrite to start anew"
            )


def _difference(before: dict[str, Any], now: dict[str, Any]) -> str:
    gone = [name for name in before["classes"] if name not in now["classes"]]
    new = [name for name in now["classes"] if name not in before["classes"]]
    if gone or new:
        changes = [("gone", gone), ("new", new)]
        return ", ".join(f"classes {what}: {listed(names)}" for what, names in changes if names)
    if before["classes"] != now["classes"]:
        return "the order of the classes is another"
    if before["images"] != now["images"]:
        return f"there were {before['images']}, now there are {now['images']}"
    if before["sha256"] != now["sha256"]:
        return f"there are {now['images']} as before, but names or labels of some are others"
    return ""


def _check_teacher(trainer: Trainer, before: Progress) -> None:
    """Checks that the file of the teacher's weights is the same: they are not in the checkpoint.

    Raises:
        UserError: when it is another file.
    """
    if before.teacher != trainer.progress.teacher:
        raise UserError(
            f"{trainer.folder}: {trainer.config.distill.weights} is not the file any more that the "
            "run was distilled from"
        )
