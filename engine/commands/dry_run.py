"""`main.py --dry_run`: prints the plan of each stage and takes one real optimiser step."""

from __future__ import annotations

import math
from pathlib import Path

import paddle
from ml_collections import ConfigDict
from paddle import Tensor, nn

import data
import models
from common.errors import UserError
from data.sets.registry import find_entry
from engine import distributed
from engine.commands import first_loss
from engine.features.decision import TRAIN, decide
from engine.model_setup import build_model, keeps_head, load_pretrained
from engine.plan import (
    memory_estimate,
    micro_batch_size,
    recipe,
    resolve_config,
    run_plan,
    start_lines,
)
from engine.state.averages import Averages
from engine.step import mixed_precision
from engine.step.forward import forward
from engine.step.objective import LossTerms, make_objective
from engine.step.optimizer import Optimizer
from engine.step.teacher import Teacher, fresh_teacher, load_teacher
from engine.survival import start as survival_start
from engine.watch import data_warnings, start_checks
from engine.watch.diagnosis import Diagnosis
from engine.watch.image_check import ImageCheck
from program import exits
from program.config import config_fields

_IMAGES = 2  # made up


def dry_run(stages: dict[str, ConfigDict]) -> int:
    """Prints the plan of each stage, and takes one step of the real model on made-up images.

    A published data set is not read, but for a few images with pretrained weights, where it is
    here; and pretrained weights are not downloaded.

    Args:
        stages: configs by the names of the stages.

    Returns:
        The exit code.
    """
    distributed.start()
    for name, config in stages.items():
        distributed.say(*([f"\nstage {name}"] if name else []))
        _try_out(config)
    return exits.DONE


def _try_out(config: ConfigDict) -> None:
    config = recipe.resolve(config, download=False)
    pretrained = config.model.pretrained
    if pretrained and models.needs_download(pretrained):
        distributed.say(
            f"pretrained weights {pretrained!r} are not here yet: not loaded in a dry run"
        )
        config = config_fields.changed(config, {"model.pretrained": ""})
    config = resolve_config.with_input(config)
    train_images, num_classes = _look_at_data(config)
    config = resolve_config.with_classes(config, num_classes)
    if config.data.unlabelled_root:
        data.build(config, "unlabelled")  # a folder that is missing is said now
    config = micro_batch_size.resolve(config, build_model)
    model = build_model(config)
    loaded = load_pretrained(model, config, classes=())
    images = _made_up(config)
    normalised = models.normalise(images[:_IMAGES], config.model)
    if pretrained and not loaded and first_loss.give_statistics(model, normalised):
        distributed.say("frozen batch norms have the statistics of made-up images, until then")
    teacher = _teacher(config)
    start_checks.check_noise(model, config)
    plan = run_plan.make(config, train_images)
    Averages(model, config.average, plan)  # refuses what it can't average
    trained_as = config_fields.changed(config, {"model.pretrained": pretrained})
    distributed.say(
        *start_lines.describe_model(model, config),
        *start_lines.describe(config, plan),
        *decide(model, config, {TRAIN: train_images}, plan, Path()).lines,
        *([teacher.describe()] if teacher else []),
        *Diagnosis(trained_as, plan).start(),
        *(survival_start.lines_of_dry_run(model, config) if loaded else []),
        *memory_estimate.table(model, config),
    )
    scaled = resolve_config.with_rate(config, plan.global_batch)
    total, parts = _one_step(model, teacher, scaled, plan.steps, images)
    if not math.isfinite(total.item()):
        raise UserError(
            f"the loss of one step on made-up images is {total.item()}: see the fields of the loss"
        )
    terms = {"total": total, **parts}
    values = ", ".join(f"{name} {term.item():.4f}" for name, term in terms.items())
    own_head = keeps_head(model, loaded)
    distributed.say(
        f"one step on {_IMAGES} made-up images: {values}",
        *first_loss.note(parts["ce"].item(), config, own_head),
    )


def _look_at_data(config: ConfigDict) -> tuple[int, int]:
    """Returns the numbers of training images and of classes.

    People's own images are looked at and described as at the start of a run.
    """
    if not find_entry(config.data.name).own_images:
        return data.facts(config)
    splits = data.build_splits(config)
    with ImageCheck(splits, config.data.on_corrupt) as check:
        check.judge()
    distributed.say(*data_warnings.describe(splits, config))
    return len(splits.train), len(splits.train.classes)


def _teacher(config: ConfigDict) -> Teacher | None:
    """Returns the teacher of a config; with fresh weights where its own need a download."""
    source = config.distill.weights
    if not config.distill.teacher or not source or not models.needs_download(source):
        return load_teacher(config, classes=())
    distributed.say(
        f"the teacher's weights {source!r} are not here yet: fresh ones in their place in a dry run"
    )
    return fresh_teacher(config)


def _made_up(config: ConfigDict) -> Tensor:
    """Returns made-up images, uint8 `(B + U, 3, S, S)`, those with labels first."""
    count = _IMAGES + min(config.rdrop.unlabelled_batch_size, _IMAGES)
    size = config.model.image_size
    return paddle.randint(0, 256, [count, 3, size, size]).astype("uint8")


def _one_step(
    model: nn.Layer, teacher: Teacher | None, config: ConfigDict, steps: int, images: Tensor
) -> LossTerms:
    """Takes one real step on made-up images, as the trainer does."""
    unlabelled = len(images) - _IMAGES
    fewer = {"train.batch_size": _IMAGES, "train.accumulation_steps": 1}
    config = config_fields.changed(config, {**fewer, "rdrop.unlabelled_batch_size": unlabelled})
    objective, scaler = make_objective(config, teacher), mixed_precision.loss_scaler(config.train)
    optimizer = Optimizer(model, config.optim, steps, scaler=scaler)
    labels = paddle.randint(0, config.model.num_classes, [_IMAGES])
    model.train()
    terms = forward(model, objective, data.Batch(images, labels, 0), 0, 0).terms
    optimizer.accumulate(terms.total)
    optimizer.step()
    return terms
