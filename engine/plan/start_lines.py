"""The lines that describe a run at its start: batch, objective, learning rate, model, memory."""

from ml_collections import ConfigDict

import models
from engine import distributed
from engine.plan import memory_estimate, resolve_config, run_plan
from engine.step import mixed_precision, objective
from models import flops
from models.multipass import MultiPass


def describe(config: ConfigDict, plan: run_plan.Plan) -> list[str]:
    """Returns the lines about batch, length, objective and learning rate."""
    train, ranks = config.train, distributed.world_size()
    cards = f"{ranks} card" + ("s" if ranks > 1 else "")
    batch = f"{train.batch_size} images a card x {cards} x {train.accumulation_steps} accumulation"
    epochs = f"{plan.epoch(plan.steps):.1f} epochs of {plan.train_images} images"
    return [
        f"batch: {batch} = {plan.global_batch} images a step",
        f"run: {plan.steps} steps = {epochs}",
        f"objective: {_objective(config)}{_distillation(config)}",
        *_rate(config, plan.global_batch),
        *head_warning(config),
    ]


def _objective(config: ConfigDict) -> str:
    rdrop, form, micro_batch = config.rdrop, config.loss.form, config.train.batch_size
    if rdrop.copies == 1:
        kind = "cross-entropy" if form == "softmax" else "binary cross-entropy"
        blocks = f", no noise in the first {rdrop.shared_blocks} blocks"
        return kind + (blocks if rdrop.shared_blocks else "")
    alpha = objective.rdrop_loss(config).per_sample_alpha(micro_batch)
    official = f"the official code's {alpha / micro_batch:g} at a micro-batch of {micro_batch}"
    unlabelled = f"{rdrop.unlabelled_batch_size} unlabelled images a card"
    other_loss = {  # texts, and whether they apply
        f"consistency {rdrop.consistency}": rdrop.consistency != "symmetric_kl",
        f"temperature {rdrop.temperature:g}": rdrop.temperature != 1,
        "stopped gradient": rdrop.stop_gradient,
        f"{form} form": form != "softmax",
    }
    variants = {
        **other_loss,
        f"every {rdrop.every_steps} steps": rdrop.every_steps > 1,
        f"alpha growing over {rdrop.alpha_warmup_steps} steps": rdrop.alpha_warmup_steps > 0,
        f"drop rates {', '.join(f'{rate:g}' for rate in rdrop.drop_rates)}": rdrop.drop_rates,
        f"{rdrop.shared_blocks} blocks shared": rdrop.shared_blocks > 0,
        f"{unlabelled} with alpha {rdrop.unlabelled_alpha:g}": rdrop.unlabelled_batch_size > 0,
    }
    as_published = rdrop.copies == 2 and not any(other_loss.values())
    names = f" (the paper's alpha {2 * alpha:g}, {official})" if as_published else ""
    used = "".join(f", {text}" for text, applies in variants.items() if applies)
    return f"R-Drop, {rdrop.copies} copies, per-sample alpha {alpha:g}{names}{used}"


def _distillation(config: ConfigDict) -> str:
    distill = config.distill
    if not distill.teacher:
        return ""
    kind = f"soft, T {distill.temperature:g}" if distill.kind == "soft" else "hard"
    return f", distilled from {distill.teacher}, {kind}, share {distill.alpha:g}"


def _rate(config: ConfigDict, global_batch: int) -> list[str]:
    """Returns a line with the learning rate for this batch, if it is scaled."""
    if not config.optim.scale_lr:
        return []
    scaled = resolve_config.with_rate(config, global_batch).optim.lr
    return [
        f"learning rate: {config.optim.lr:g} x {global_batch} / "
        f"{config.train.reference_batch_size} images = {scaled:g}"
    ]


def head_warning(config: ConfigDict) -> list[str]:
    """Returns a line if a distilled model is evaluated with other heads than those it trains."""
    train, evaluation = config.model.train_head, config.model.eval_head
    same = ("", "average" if train == "each" else train)
    if not models.is_distilled(config.model.name) or evaluation in same:
        return []
    return [
        f"warning: evaluation takes model.eval_head={evaluation}, training "
        f"model.train_head={train}: what is evaluated is not what was trained"
    ]


def describe_model(model: MultiPass, config: ConfigDict) -> list[str]:
    """Returns the lines about parameters, multiply-adds, precision and memory."""
    name, size, part = config.model.name, config.model.image_size, config.model.trainable
    trained = f"{flops.parameters(model, trainable=True):,} of them ({part.replace('_', ' ')})"
    multiply_adds = flops.cost(model, size).multiply_adds
    told = config.model.parts.removeprefix("auto").lstrip(",")
    parts = f" with {told}" if told else ""
    return [
        f"model: {name}{parts} at {size} px, {config.model.num_classes} classes",
        f"parameters: {flops.parameters(model):,}",
        *([f"trained: {trained}"] if part != "all" else []),
        f"multiply-adds: {multiply_adds / 1e9:.4g} G an image and pass",
        *mixed_precision.describe(model, config.train),
        memory_estimate.describe(memory_estimate.estimate(model, config), config),
    ]
