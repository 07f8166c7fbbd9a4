"""From a config and a folder to a finished run, or to its plan."""

from __future__ import annotations

import math
import time
from pathlib import Path

import paddle
from ml_collections import ConfigDict

import data
import models
from common.errors import UserError
from common.files import write_json, write_text
from engine import distributed, memory, micro_batch, nonfinite, plan, precision, run_folder, runtime, settings
from engine.averages import Averages
from engine.diagnosis import Diagnosis
from engine.noise import noise
from engine.objective import make_objective
from engine.optimizers import Optimizer
from engine.rank_check import check_same_config, check_same_data
from engine.signals import Stopped, StopRequest
from engine.teacher import Teacher, fresh_teacher, load_teacher
from engine.trainer import Trainer, build_model, load_pretrained

_DRY_IMAGES = 2


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
        free: fields that may differ from those of the run that is there, beside those that always may.
        stop: what may ask the run to stop; None: nothing.

    Raises:
        Stopped: when it was asked to before there was anything to save.
    """
    distributed.start()
    stop = stop or StopRequest()
    stop.check()
    trainer, test_set = _prepare(config, folder, stop, overwrite)  # what is refused leaves the folder as it is
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
        distributed.say(f"{folder} holds a finished run ({_accuracy(finished)}); --overwrite starts it anew")
        return runtime.EXIT_DONE
    _check_shared(folder)
    step = trainer.resume()
    _announce(trainer, step)
    try:
        if nonfinite.train(trainer):
            trainer.finish(test_set)
            return runtime.EXIT_DONE
    except Stopped:  # in an evaluation behind the last step that was saved
        pass
    step, reason = trainer.progress["step"], trainer.stop.reason
    distributed.say(f"stopped after step {step} ({reason}), saved; the same command goes on from there")
    return runtime.EXIT_STOPPED


def _prepare(config: ConfigDict, folder: Path, stop: StopRequest, overwrite: bool) -> tuple[Trainer, data.ImageDataset]:
    """The trainer and the test images, the same on all processes.

    Raises:
        UserError: on all processes, for what any of them refuses, or where they differ.
    """
    with distributed.together():
        data.check_outside(config.data, folder)
        config = plan.with_input(config)
    check_same_config(config)
    with distributed.together():
        train_set = data.build(config, "train")
        val_set = data.build(config, "val") if config.data.holdout else None
        unlabelled_set = data.build(config, "unlabelled") if config.rdrop.unlabelled_batch_size else None
        test_set = data.build(config, "test")  # is needed at the end of days: what is wrong with it is said now
        config = plan.with_classes(config, len(train_set.classes))
    check_same_data({"train": train_set, "test": test_set, "unlabelled": unlabelled_set})
    config = micro_batch.resolve(config, build_model, None if overwrite else folder)
    with distributed.together():
        return Trainer(config, train_set, val_set, unlabelled_set, folder, stop), test_set


def _check_shared(folder: Path) -> None:
    """Make sure that all processes see the same folder: what one writes there, the others read at a resume.

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
        raise UserError(f"--workdir: {folder} is not the same folder on all machines; use a shared one")


def _accuracy(finished: dict | None) -> str:
    return f"top-1 {100 * finished['top1']:.2f} %" if finished else ""


def _announce(trainer: Trainer, step: int) -> None:
    config, folder = trainer.config, trainer.folder
    described = plan.describe_model(trainer.model, config) + plan.describe(config, trainer.plan)
    described += trainer.diagnosis.start()
    taught = {"teacher": trainer.teacher.provenance} if trainer.teacher else {}
    held_out = f", {len(trainer.val_set)} held out for validation" if trainer.val_set else ""
    unlabelled = f", {len(trainer.unlabelled_set)} without labels" if trainer.unlabelled_set else ""
    distributed.say(
        f"data: {config.data.name}, {len(trainer.train_set)} training images{unlabelled}{held_out}",
        *described,
        *([trainer.teacher.describe()] if trainer.teacher else []),
        f"on: {runtime.describe_processor()}; {trainer.model.describe_operators()}",
        f"folder: {folder}",
        *([f"going on from step {step}"] if step else []),
    )
    if distributed.is_main():
        write_json(folder / run_folder.ENVIRONMENT, {**runtime.environment(), "seed": config.seed, **taught})
        if trainer.pretrained:
            write_json(folder / run_folder.PRETRAINED, trainer.pretrained)


def dry_run(stages: dict[str, ConfigDict]) -> int:
    """Print the plan of each stage, and take one real step of the real model on two made-up images.

    The data set is not read where its size is known, and pretrained weights are not downloaded.
    """
    distributed.start()
    for name, config in stages.items():
        distributed.say(*([f"\nstage {name}"] if name else []))
        _try_out(config)
    return runtime.EXIT_DONE


def _try_out(config: ConfigDict) -> None:
    pretrained = config.model.pretrained
    if pretrained and models.needs_download(pretrained):
        distributed.say(f"pretrained weights {pretrained!r} are not here yet: not loaded in a dry run")
        config = settings.changed(config, {"model.pretrained": ""})
    config = plan.with_input(config)
    train_images, num_classes = data.facts(config)
    config = plan.with_classes(config, num_classes)
    if config.data.unlabelled_root:
        data.build(config, "unlabelled")  # a folder that is not there is said now
    config = micro_batch.resolve(config, build_model)
    model = build_model(config)
    load_pretrained(model, config, classes=())
    teacher = _dry_teacher(config)
    plan.check_noise(model, config)
    arithmetic = plan.make(config, train_images)
    Averages(model, config.average, arithmetic)  # refuses what it can't average
    described = plan.describe_model(model, config) + plan.describe(config, arithmetic)
    described += [teacher.describe()] if teacher else []
    trained_as = settings.changed(config, {"model.pretrained": pretrained})
    distributed.say(*described, *Diagnosis(trained_as, arithmetic).start(), *memory.table(model, config))
    terms = _one_step(model, teacher, plan.with_rate(config, arithmetic.global_batch), arithmetic.steps)
    if not math.isfinite(terms.total.item()):
        raise UserError(f"the loss of one step on made-up images is {terms.total.item()}: see the fields of the loss")
    values = ", ".join(f"{name} {term.item():.4f}" for name, term in terms._asdict().items())
    distributed.say(f"one step on {_DRY_IMAGES} made-up images: {values}")


def _dry_teacher(config: ConfigDict) -> Teacher | None:
    """The teacher of a config; one that knows nothing where its weights would have to be downloaded."""
    source = config.distill.weights
    if not config.distill.teacher or not source or not models.needs_download(source):
        return load_teacher(config, classes=())
    distributed.say(f"the teacher's weights {source!r} are not here yet: fresh ones in their place in a dry run")
    return fresh_teacher(config)


def _one_step(model, teacher: Teacher | None, config: ConfigDict, steps: int):
    """One real step on made-up images, as the trainer takes it."""
    fewer = {"train.batch_size": _DRY_IMAGES, "train.accumulation_steps": 1}
    fewer["rdrop.unlabelled_batch_size"] = min(config.rdrop.unlabelled_batch_size, _DRY_IMAGES)
    config = settings.changed(config, fewer)
    objective, scaler = make_objective(config, teacher), precision.loss_scaler(config.train)
    optimizer = Optimizer(model, config.optim, steps, scaler=scaler)
    size, count = config.model.image_size, _DRY_IMAGES + config.rdrop.unlabelled_batch_size
    images = paddle.randint(0, 256, [count, 3, size, size]).astype("uint8")
    batch = data.Batch(images, paddle.randint(0, config.model.num_classes, [_DRY_IMAGES]), 0)
    model.train()
    with noise(config, 0, 0):
        images, targets = objective.prepare(batch, 0, 0)
        terms = objective(model(images, copies=objective.copies(0)), targets, 0)
        optimizer.accumulate(terms.total)
    optimizer.step()
    return terms
