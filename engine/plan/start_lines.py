"""The lines that describe a run at its start: batch, objective, rate, model, memory."""

from __future__ import annotations

from ml_collections import ConfigDict
from paddle import nn

import models
from engine import distributed
from engine.plan import memory_estimate
from engine.plan.resolve_config import with_rate
from engine.plan.run_plan import Plan
from engine.step import mixed_precision
from engine.step.objective import rdrop_loss
from models import flops


def describe(config: ConfigDict, plan: Plan) -> list[str]:
    """The start lines: the batch spelled out, and what alpha means."""
    train, ranks = config.train, distributed.world_size()
    cards = f"{ranks} card" + ("s" if ranks > 1 else "")
    batch = f"{train.batch_size} images a card x {cards} x {train.accumulation_steps} accumulation"
    return [
        f"batch: {batch} = {plan.global_batch} images a step",
        f"run: {plan.steps} steps = {plan.epoch(plan.steps):.1f} epochs of {plan.train_images} images",
        f"objective: {_objective(config)}{_distillation(config)}",
        *mixed_precision.describe(train),
        *_rate(config, plan.global_batch),
        *head_warning(config),
    ]


def _objective(config: ConfigDict) -> str:
    rdrop, micro_batch = config.rdrop, config.train.batch_size
    if rdrop.copies == 1:
        shared = (
            f", no noise in the first {rdrop.shared_blocks} blocks" if rdrop.shared_blocks else ""
        )
        return (
            "cross-entropy" if config.loss.form == "softmax" else "binary cross-entropy"
        ) + shared
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
        f"drop rates {', '.join(f'{rate:g}' for rate in rdrop.drop_rates)}": len(rdrop.drop_rates)
        > 0,
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
    return [
        f"learning rate: {lr:g} x {global_batch} / {config.train.reference_batch_size} images = {scaled:g}"
    ]


def head_warning(config: ConfigDict) -> list[str]:
    """A line where a distilled model is evaluated with other heads than it is trained with."""
    train, evaluation = config.model.train_head, config.model.eval_head
    if not models.is_distilled(config.model.name) or evaluation in (
        "",
        "average" if train == "each" else train,
    ):
        return []
    return [
        f"warning: evaluation takes model.eval_head={evaluation}, training model.train_head={train}: what is "
        "evaluated is not what was trained"
    ]


def describe_model(model: nn.Layer, config: ConfigDict) -> list[str]:
    """Parameters, multiply-adds and an estimate of the memory of one card or process."""
    count, trained = flops.parameters(model), flops.parameters(model, trainable=True)
    part, multiply_adds = (
        config.model.trainable,
        flops.cost(model, config.model.image_size).multiply_adds,
    )
    return [
        f"model: {config.model.name} at {config.model.image_size} px, {config.model.num_classes} classes",
        f"parameters: {count:,}",
        *([f"trained: {trained:,} of them ({part.replace('_', ' ')})"] if part != "all" else []),
        f"multiply-adds: {multiply_adds / 1e9:.4g} G an image and pass",
        memory_estimate.describe(memory_estimate.estimate(model, config), config),
    ]
