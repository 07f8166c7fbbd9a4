"""What a run will be, before it starts: sizes, cost, memory and steps, and the checks that need them."""

from __future__ import annotations

import math
from typing import NamedTuple

from ml_collections import ConfigDict
from paddle import nn

import models
from common.errors import UserError
from engine import distributed, memory, precision, settings
from engine.objective import rdrop_loss
from models import flops

_RATES = ("optim.lr", "optim.final_lr", "average.swa_lr", "average.swa_lowest_lr")
_MOST_RECORDS = {"train.log_every_steps": 100_000, "eval.every_steps": 20_000}


class Plan(NamedTuple):
    """The arithmetic of a run: counts of images and optimiser steps."""

    train_images: int
    global_batch: int
    steps: int
    eval_every: int

    def epoch(self, step: int) -> float:
        """Passes over the training images after a step."""
        return step * self.global_batch / self.train_images


def with_input(config: ConfigDict, weights: str = "") -> ConfigDict:
    """Fill in what weights decide: image size, mean, standard deviation, evaluation crop and interpolation.

    Args:
        config: of which what is set stays as it is.
        weights: their source; empty for those that the config names, if any.
    """
    stats = models.input_stats(config.model.name, weights or config.model.pretrained)
    decided = {
        "model.image_size": models.native_size(config.model.name),
        "model.mean": stats.mean,
        "model.std": stats.std,
        "data.eval_crop": stats.crop_fraction,
        "data.interpolation": stats.interpolation,
    }
    set_already = settings.fields(config)
    return settings.changed(config, {name: set_already[name] or value for name, value in decided.items()})


def with_classes(config: ConfigDict, num_classes: int) -> ConfigDict:
    """Fill in what the data set decides: the number of classes.

    Raises:
        UserError: when the config asks for another one.
    """
    if config.model.num_classes not in (0, num_classes):
        raise UserError(f"model.num_classes is {config.model.num_classes}, but the data has {num_classes} classes")
    return settings.changed(config, {"model.num_classes": num_classes})


def with_rate(config: ConfigDict, global_batch: int) -> ConfigDict:
    """The config with the learning rates that the optimiser gets: by `optim.scale_lr` in proportion to the batch.

    It is for the optimiser alone: what is written down is the rate that the user chose. Linear scaling: Goyal et al.,
    arXiv:1706.02677.
    """
    if not config.optim.scale_lr:
        return config
    share, known = global_batch / config.train.reference_batch_size, settings.fields(config)
    return settings.changed(config, {name: known[name] * share for name in _RATES})


def make(config: ConfigDict, train_images: int) -> Plan:
    """Work out the steps of a run.

    Raises:
        UserError: when the global batch is larger than the data set, a milestone lies behind the last step, or there
            would be more records than a run can go on with.
    """
    train = config.train
    global_batch = train.batch_size * distributed.world_size() * train.accumulation_steps
    if global_batch > train_images:
        raise UserError(f"the global batch is {global_batch}, larger than the {train_images} training images")
    steps = train.steps or max(1, round(train.epochs * train_images / global_batch))
    if max(config.optim.milestones, default=0) >= steps:
        raise UserError(f"optim.milestones is {config.optim.milestones}, but the run has {steps} steps")
    eval_every = config.eval.every_steps or max(1, train_images // global_batch)
    for (name, most), every in zip(_MOST_RECORDS.items(), (train.log_every_steps, eval_every)):
        if steps // every > most:
            least = math.ceil(steps / most)
            raise UserError(f"{name} is {every} in a run of {steps} steps: too many records; set it to {least} or more")
    return Plan(train_images, global_batch, steps, eval_every)


def check_noise(model: nn.Layer, config: ConfigDict) -> None:
    """Refuse R-Drop on a model in which nothing is random: KL would be 0 from the first step to the last.

    Raises:
        UserError: saying which rates to set.
    """
    rdrop = config.rdrop
    wanted = rdrop.alpha > 0 or (rdrop.unlabelled_batch_size > 0 and rdrop.unlabelled_alpha > 0)
    if rdrop.copies > 1 and wanted and not models.random_layers(model):
        cause = "every drop rate of the model is 0"
        remedy = "rdrop.drop_rates" if rdrop.drop_rates else "model.drop_rate (the paper has 0.1)"
        if rdrop.shared_blocks:
            cause, remedy = f"rdrop.shared_blocks={rdrop.shared_blocks} leaves none", "it lower, or a drop rate"
        raise UserError(
            f"R-Drop needs noise, but {cause}, so KL would be 0: set {remedy}, "
            "or rdrop.copies=1 for plain cross-entropy"
        )


def check_unlabelled(config: ConfigDict, dataset) -> None:
    """See that there are enough images without labels for a step.

    Raises:
        UserError: when there are not.
    """
    train, images = config.train, config.rdrop.unlabelled_batch_size
    needed = images * distributed.world_size() * train.accumulation_steps
    if images and needed > len(dataset):
        raise UserError(
            f"rdrop.unlabelled_batch_size takes {needed} images a step, but only {len(dataset)} have no labels"
        )


def describe(config: ConfigDict, plan: Plan) -> list[str]:
    """The start lines: the batch spelled out, and what alpha means."""
    train, ranks = config.train, distributed.world_size()
    cards = f"{ranks} card" + ("s" if ranks > 1 else "")
    batch = f"{train.batch_size} images a card x {cards} x {train.accumulation_steps} accumulation"
    return [
        f"batch: {batch} = {plan.global_batch} images a step",
        f"run: {plan.steps} steps = {plan.epoch(plan.steps):.1f} epochs of {plan.train_images} images",
        f"objective: {_objective(config)}{_distillation(config)}",
        *precision.describe(train),
        *_rate(config, plan.global_batch),
        *head_warning(config),
    ]


def _objective(config: ConfigDict) -> str:
    rdrop, micro_batch = config.rdrop, config.train.batch_size
    if rdrop.copies == 1:
        shared = f", no noise in the first {rdrop.shared_blocks} blocks" if rdrop.shared_blocks else ""
        return ("cross-entropy" if config.loss.form == "softmax" else "binary cross-entropy") + shared
    alpha = rdrop_loss(config).per_sample_alpha(micro_batch)
    official = f"the official code's {alpha / micro_batch:g} at a micro-batch of {micro_batch}"
    as_published = (
        (rdrop.copies, rdrop.consistency, rdrop.temperature, rdrop.stop_gradient, config.loss.form)
        == (2, "symmetric_kl", 1.0, False, "softmax")
    )  # fmt: skip
    names = f" (the paper's alpha {2 * alpha:g}, {official})" if as_published else ""
    variant = {
        f"consistency {rdrop.consistency}": rdrop.consistency != "symmetric_kl",
        f"temperature {rdrop.temperature:g}": rdrop.temperature != 1,
        "stopped gradient": rdrop.stop_gradient,
        f"{config.loss.form} form": config.loss.form != "softmax",
        f"every {rdrop.every_steps} steps": rdrop.every_steps > 1,
        f"alpha growing over {rdrop.alpha_warmup_steps} steps": rdrop.alpha_warmup_steps > 0,
        f"drop rates {', '.join(f'{rate:g}' for rate in rdrop.drop_rates)}": len(rdrop.drop_rates) > 0,
        f"{rdrop.shared_blocks} blocks shared": rdrop.shared_blocks > 0,
        f"{rdrop.unlabelled_batch_size} unlabelled images a card with alpha {rdrop.unlabelled_alpha:g}": (
            rdrop.unlabelled_batch_size > 0
        ),
    }
    used = "".join(f", {text}" for text, differs in variant.items() if differs)
    return f"R-Drop, {rdrop.copies} copies, per-sample alpha {alpha:g}{names}{used}"


def _distillation(config: ConfigDict) -> str:
    distill = config.distill
    if not distill.teacher:
        return ""
    kind = f"soft, T {distill.temperature:g}" if distill.kind == "soft" else "hard"
    return f", distilled from {distill.teacher}, {kind}, share {distill.alpha:g}"


def _rate(config: ConfigDict, global_batch: int) -> list[str]:
    """What the batch makes of the learning rate, where it is scaled."""
    if not config.optim.scale_lr:
        return []
    lr, scaled = config.optim.lr, with_rate(config, global_batch).optim.lr
    return [f"learning rate: {lr:g} x {global_batch} / {config.train.reference_batch_size} images = {scaled:g}"]


def head_warning(config: ConfigDict) -> list[str]:
    """A line where a distilled model is evaluated with other heads than it is trained with."""
    train, evaluation = config.model.train_head, config.model.eval_head
    if not models.is_distilled(config.model.name) or evaluation in ("", "average" if train == "each" else train):
        return []
    return [
        f"warning: evaluation takes model.eval_head={evaluation}, training model.train_head={train}: what is "
        "evaluated is not what was trained"
    ]


def describe_model(model: nn.Layer, config: ConfigDict) -> list[str]:
    """Parameters, multiply-adds and an estimate of the memory of one card or process."""
    count, trained = flops.parameters(model), flops.parameters(model, trainable=True)
    part, multiply_adds = config.model.trainable, flops.cost(model, config.model.image_size).multiply_adds
    return [
        f"model: {config.model.name} at {config.model.image_size} px, {config.model.num_classes} classes",
        f"parameters: {count:,}",
        *([f"trained: {trained:,} of them ({part.replace('_', ' ')})"] if part != "all" else []),
        f"multiply-adds: {multiply_adds / 1e9:.4g} G an image and pass",
        memory.describe(memory.estimate(model, config), config),
    ]
