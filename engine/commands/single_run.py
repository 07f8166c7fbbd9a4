"""One training run, from its config and folder to its result."""

from __future__ import annotations

import contextlib
import time
from pathlib import Path
from typing import Any

import paddle
from ml_collections import ConfigDict

import data
from common.atomic_writing import write_json, write_text
from common.errors import UserError
from engine import distributed, rollback
from engine.finish import finish
from engine.model_setup import build_model
from engine.plan import micro_batch_size, recipe, resolve_config, start_lines
from engine.resume import refuse_other_data, resume
from engine.state import checkpoint
from engine.state.progress import is_data
from engine.survival import start as survival_start
from engine.trainer import Trainer
from engine.watch import data_warnings
from engine.watch.image_check import ImageCheck
from engine.watch.rank_comparison import check_same_config, check_same_data
from program import environment, exits, run_folder
from program.signals import Stopped, StopRequest


def train(
    config: ConfigDict,
    folder: Path,
    overwrite: bool = False,
    free: tuple[str, ...] = (),
    stop: StopRequest | None = None,
) -> int:
    """Trains, or goes on with a run that was stopped.

    Args:
        config: checked by `config_validation.validate`.
        folder: of the run. A config or data set that is refused leaves it as it is.
        overwrite: remove an earlier run there and start anew.
        free: fields that may differ from those of the run in the folder, in addition to those that
            always may.
        stop: what may ask the run to stop; None: nothing.

    Returns:
        The exit code.

    Raises:
        Stopped: when a stop was requested before there was anything to save.
    """
    distributed.start()
    stop = stop or StopRequest()
    stop.agree_by(distributed.any_rank)
    stop.check()
    trainer = _prepare(config, folder, stop, overwrite)
    with stop.deferred(), distributed.on_main(run_folder.lock(folder)):
        with distributed.together():
            if distributed.is_main():
                if overwrite:
                    run_folder.clear(folder)
                # Other data may have another number of classes; it is not the model that changed.
                run_folder.check(folder, trainer.config, (*free, "model.num_classes"))
                refuse_other_data(folder, _known_data(folder), trainer.progress.data)
                run_folder.claim(folder, trainer.config, free)
        return _run(trainer)


def _prepare(config: ConfigDict, folder: Path, stop: StopRequest, overwrite: bool) -> Trainer:
    """Makes the trainer, the same on all processes.

    What is wrong with the images, those of the test included, is said now, not at the end of days
    of training.

    Raises:
        UserError: on all processes, for what any of them refuses, or where they differ.
    """
    with data.reused():
        with distributed.together():
            data.check_outside(config.data, folder)
            config = recipe.resolve(config, None if overwrite else folder)
            config = resolve_config.with_input(config)
        check_same_config(config)
        with distributed.together():
            splits = data.build_splits(config)
            config = resolve_config.with_classes(config, len(splits.train.classes))
    check_same_data(splits.named())
    with ImageCheck(splits, config.data.on_corrupt) as check:
        config = micro_batch_size.resolve(config, build_model, None if overwrite else folder)
        with distributed.together():
            trainer = Trainer(config, splits, folder, stop)
            check.judge()
    return trainer


def _run(trainer: Trainer) -> int:
    """Begins or goes on in the folder, which is locked; returns the exit code."""
    folder = trainer.folder
    with distributed.together():
        finished = run_folder.result(folder) if distributed.is_main() else None
    if distributed.from_main(finished is not None):
        accuracy = f"top-1 {100 * finished['top1']:.2f} %" if finished else ""
        distributed.say(f"{folder} holds a finished run ({accuracy}); --overwrite starts it anew")
        return exits.DONE
    _check_shared(folder)
    steps_done = resume(trainer)
    _announce(trainer, steps_done)
    trainer, done = rollback.train(trainer)
    with contextlib.suppress(Stopped):  # in the evaluation: the last step is saved
        if done:
            finish(trainer)
            return exits.DONE
    distributed.say(
        f"stopped after step {trainer.progress.steps_done} ({trainer.stop.reason}), saved; the "
        "same command goes on from there"
    )
    return exits.STOPPED


def _known_data(folder: Path) -> dict[str, dict[str, Any]]:
    """Returns what the run in a folder knows of its data; {} for a new run, or an old version."""
    finished = run_folder.result(folder)
    if finished and is_data(finished.get("data")):
        return finished["data"]
    return checkpoint.newest_data(folder / run_folder.CHECKPOINTS)


def _check_shared(folder: Path) -> None:
    """Checks that all processes see the same folder: at a resume they read what one has written.

    Raises:
        UserError: on all of them, when one does not.
    """
    token = str(distributed.from_main(time.time_ns() % 2**50))
    path = folder / run_folder.SHARED
    if distributed.is_main():
        write_text(path, token)
    distributed.barrier()
    seen = path.is_file() and path.read_text(encoding="utf-8") == token
    others = distributed.any_rank(not seen)
    if distributed.is_main():
        path.unlink()
    if others:
        raise UserError(
            f"--workdir: {folder} is not the same folder on all machines; use a shared one"
        )


def _announce(trainer: Trainer, steps_done: int) -> None:
    """Prints the start lines, and writes what the run depends on besides its config."""
    config, folder, teacher = trainer.config, trainer.folder, trainer.teacher
    device = paddle.device.get_device()
    operators = trainer.model.describe_operators()
    noise = _noise_at_start(trainer, steps_done)
    distributed.say(
        *data_warnings.describe(trainer.splits, config),
        *start_lines.describe_model(trainer.model, config),
        *start_lines.describe(config, trainer.plan),
        *trainer.cached.lines,
        *trainer.diagnosis.start(),
        *noise.lines,
        *([teacher.describe()] if teacher else []),
        f"on: {environment.describe_processor(device)}; {operators}",
        f"folder: {folder}",
        *([f"going on from step {steps_done}"] if steps_done else []),
    )
    if distributed.is_main():
        taught = {"teacher": teacher.provenance} if teacher else {}
        content = {**environment.describe(device), "seed": config.seed, **taught}
        write_json(folder / run_folder.ENVIRONMENT, content)
        if trainer.pretrained:
            found = {**trainer.pretrained, "survival": noise.survival}
            write_json(folder / run_folder.PRETRAINED, found)


def _noise_at_start(trainer: Trainer, steps_done: int) -> survival_start.Start:
    """Returns how much of pretrained features survives the noise, and what to say of it.

    A run that goes on says nothing, and has the survival from its start.
    """
    if steps_done or not trainer.pretrained:
        begun = run_folder.pretrained(trainer.folder) if distributed.is_main() else None
        return survival_start.Start([], (begun or {}).get("survival"))
    return survival_start.measure(trainer.model, trainer.config, trainer.splits.train.source)
