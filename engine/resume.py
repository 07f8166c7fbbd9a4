"""Goes on from the newest good checkpoint, or refuses one that is not of the same run."""

from __future__ import annotations

import dataclasses

import models
from common.errors import UserError
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
    trainer.progress = dataclasses.replace(progress, micro_batch=micro_batch)


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
