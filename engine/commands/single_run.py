"""One training run, from its config and folder to its result."""

from __future__ import annotations

import time
from pathlib import Path

from ml_collections import ConfigDict

import data
from common.atomic_writing import write_json, write_text
from common.errors import UserError
from engine import distributed
from engine.model_setup import build_model
from engine.plan import micro_batch_size, resolve_config, start_lines
from engine.trainer import Trainer
from engine.watch import nonfinite
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
    """Train, or go on with a run that was stopped; gives the exit code.

    Args:
        config: checked by `validation.validate`.
        folder: of the run.
        overwrite: remove an earlier run there and start anew.
        free: fields that may differ from those of the run that is there, beside those that always
            may.
        stop: what may ask the run to stop; None: nothing.

    Raises:
        Stopped: when it was asked to before there was anything to save.
    """
    distributed.start()
    stop = stop or StopRequest()
    stop.check()
    trainer, test_set = _prepare(
        config, folder, stop, overwrite
    )  # what is refused leaves the folder as it is
    with stop.deferred(), distributed.on_main(run_folder.lock(folder)):
        with distributed.together():
            if distributed.is_main():
                if overwrite:
                    run_folder.clear(folder)
                run_folder.claim(folder, trainer.config, free)
        return _run(trainer, test_set)


def _run(trainer: Trainer, test_set: data.ImageDataset) -> int:
    """Begin in the folder, which is locked, or go on there; gives the exit code."""
    folder = trainer.folder
    with distributed.together():
        finished = run_folder.result(folder) if distributed.is_main() else None
    if distributed.from_main(finished is not None):
        distributed.say(
            f"{folder} holds a finished run ({_accuracy(finished)}); --overwrite starts it anew"
        )
        return exits.DONE
    _check_shared(folder)
    step = trainer.resume()
    _announce(trainer, step)
    try:
        if nonfinite.train(trainer):
            trainer.finish(test_set)
            return exits.DONE
    except Stopped:  # in an evaluation behind the last step that was saved
        pass
    step, reason = trainer.progress["step"], trainer.stop.reason
    distributed.say(
        f"stopped after step {step} ({reason}), saved; the same command goes on from there"
    )
    return exits.STOPPED


def _prepare(
    config: ConfigDict, folder: Path, stop: StopRequest, overwrite: bool
) -> tuple[Trainer, data.ImageDataset]:
    """The trainer and the test images, the same on all processes.

    Raises:
        UserError: on all processes, for what any of them refuses, or where they differ.
    """
    with distributed.together():
        data.check_outside(config.data, folder)
        config = resolve_config.with_input(config)
    check_same_config(config)
    with distributed.together():
        train_set = data.build(config, "train")
        val_set = data.build(config, "val") if config.data.holdout else None
        unlabelled_set = (
            data.build(config, "unlabelled") if config.rdrop.unlabelled_batch_size else None
        )
        test_set = data.build(
            config, "test"
        )  # is needed at the end of days: what is wrong with it is said now
        config = resolve_config.with_classes(config, len(train_set.classes))
    check_same_data({"train": train_set, "test": test_set, "unlabelled": unlabelled_set})
    config = micro_batch_size.resolve(config, build_model, None if overwrite else folder)
    with distributed.together():
        return Trainer(config, train_set, val_set, unlabelled_set, folder, stop), test_set


def _check_shared(folder: Path) -> None:
    """Make sure that all processes see the same folder: what one writes there, the others read at a
    resume.

    Raises:
        UserError: on all of them, when one does not.
    """
    token = str(distributed.from_main(time.time_ns() % 2**50))
    path = folder / ".shared"
    if distributed.is_main():
        write_text(path, token)
    distributed.barrier()
    seen = path.is_file() and path.read_text(encoding="utf-8") == token
    others = distributed.sum_over_ranks([not seen]).item()
    if distributed.is_main():
        path.unlink()
    if others:
        raise UserError(
            f"--workdir: {folder} is not the same folder on all machines; use a shared one"
        )


def _accuracy(finished: dict | None) -> str:
    return f"top-1 {100 * finished['top1']:.2f} %" if finished else ""


def _announce(trainer: Trainer, step: int) -> None:
    config, folder = trainer.config, trainer.folder
    described = start_lines.describe_model(trainer.model, config) + start_lines.describe(
        config, trainer.plan
    )
    described += trainer.diagnosis.start()
    taught = {"teacher": trainer.teacher.provenance} if trainer.teacher else {}
    held_out = f", {len(trainer.val_set)} held out for validation" if trainer.val_set else ""
    unlabelled = f", {len(trainer.unlabelled_set)} without labels" if trainer.unlabelled_set else ""
    distributed.say(
        f"data: {config.data.name}, {len(trainer.train_set)} training images{unlabelled}{held_out}",
        *described,
        *([trainer.teacher.describe()] if trainer.teacher else []),
        f"on: {environment.describe_processor()}; {trainer.model.describe_operators()}",
        f"folder: {folder}",
        *([f"going on from step {step}"] if step else []),
    )
    if distributed.is_main():
        write_json(
            folder / run_folder.ENVIRONMENT,
            {**environment.describe(), "seed": config.seed, **taught},
        )
        if trainer.pretrained:
            write_json(folder / run_folder.PRETRAINED, trainer.pretrained)
