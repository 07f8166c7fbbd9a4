"""`main.py --dry_run`: prints the plan of each stage and takes one real optimiser step."""

from __future__ import annotations

import math

import paddle
from ml_collections import ConfigDict

import data
import models
from common.errors import UserError
from engine import distributed
from engine.model_setup import build_model, load_pretrained
from engine.plan import memory_estimate, micro_batch_size, resolve_config, run_plan, start_lines
from engine.state.averages import Averages
from engine.step import mixed_precision
from engine.step.noise import noise
from engine.step.objective import make_objective
from engine.step.optimizer import Optimizer
from engine.step.teacher import Teacher, fresh_teacher, load_teacher
from engine.watch import start_checks
from engine.watch.diagnosis import Diagnosis
from program import config_fields, exits

_DRY_IMAGES = 2


def dry_run(stages: dict[str, ConfigDict]) -> int:
    """Print the plan of each stage, and take one real step of the real model on two made-up images.

    The data set is not read where its size is known, and pretrained weights are not downloaded.
    """
    distributed.start()
    for name, config in stages.items():
        distributed.say(*([f"\nstage {name}"] if name else []))
        _try_out(config)
    return exits.DONE


def _try_out(config: ConfigDict) -> None:
    pretrained = config.model.pretrained
    if pretrained and models.needs_download(pretrained):
        distributed.say(
            f"pretrained weights {pretrained!r} are not here yet: not loaded in a dry run"
        )
        config = config_fields.changed(config, {"model.pretrained": ""})
    config = resolve_config.with_input(config)
    train_images, num_classes = data.facts(config)
    config = resolve_config.with_classes(config, num_classes)
    if config.data.unlabelled_root:
        data.build(config, "unlabelled")  # a folder that is not there is said now
    config = micro_batch_size.resolve(config, build_model)
    model = build_model(config)
    load_pretrained(model, config, classes=())
    teacher = _dry_teacher(config)
    start_checks.check_noise(model, config)
    arithmetic = run_plan.make(config, train_images)
    Averages(model, config.average, arithmetic)  # refuses what it can't average
    described = start_lines.describe_model(model, config) + start_lines.describe(config, arithmetic)
    described += [teacher.describe()] if teacher else []
    trained_as = config_fields.changed(config, {"model.pretrained": pretrained})
    distributed.say(
        *described,
        *Diagnosis(trained_as, arithmetic).start(),
        *memory_estimate.table(model, config),
    )
    terms = _one_step(
        model, teacher, resolve_config.with_rate(config, arithmetic.global_batch), arithmetic.steps
    )
    if not math.isfinite(terms.total.item()):
        raise UserError(
            f"the loss of one step on made-up images is {terms.total.item()}: see the fields of the loss"
        )
    values = ", ".join(f"{name} {term.item():.4f}" for name, term in terms._asdict().items())
    distributed.say(f"one step on {_DRY_IMAGES} made-up images: {values}")


def _dry_teacher(config: ConfigDict) -> Teacher | None:
    """The teacher of a config; one that knows nothing where its weights would have to be
    downloaded.
    """
    source = config.distill.weights
    if not config.distill.teacher or not source or not models.needs_download(source):
        return load_teacher(config, classes=())
    distributed.say(
        f"the teacher's weights {source!r} are not here yet: fresh ones in their place in a dry run"
    )
    return fresh_teacher(config)


def _one_step(model, teacher: Teacher | None, config: ConfigDict, steps: int):
    """One real step on made-up images, as the trainer takes it."""
    fewer = {"train.batch_size": _DRY_IMAGES, "train.accumulation_steps": 1}
    fewer["rdrop.unlabelled_batch_size"] = min(config.rdrop.unlabelled_batch_size, _DRY_IMAGES)
    config = config_fields.changed(config, fewer)
    objective, scaler = make_objective(config, teacher), mixed_precision.loss_scaler(config.train)
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
