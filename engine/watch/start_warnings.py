"""Rules about the config of a run before it starts. Each rule yields its warning, if there is one.

A rule speaks far beyond what is usual (`remedies.py`). Of one field only one rule speaks.
"""

from __future__ import annotations

from collections.abc import Iterator

from ml_collections import ConfigDict

import models
from data.augment.transforms import TrainTransform
from engine.plan.run_plan import Plan
from engine.step.objective import rdrop_loss
from engine.watch.remedies import FAR, Usual, lower_alpha, to_set, usual_rate

_HIGH_ALPHA, _TINY_DROP_RATE = 50, 0.01
_STRONG_DECAY = 5e-3  # share of the weights in a step


def _meant_rate(config: ConfigDict, plan: Plan) -> float:
    """Returns the rate that linear scaling makes of one that was chosen for another batch."""
    # Goyal et al., arXiv:1706.02677.
    lr, reference = config.optim.lr, config.train.reference_batch_size
    return lr if config.optim.scale_lr or not reference else lr * plan.global_batch / reference


def _far_rate(config: ConfigDict, plan: Plan) -> Usual | None:
    """Returns the usual rate, if that of the run is far above it, and for any batch."""
    usual = usual_rate(config, plan.global_batch)
    lowest = min(config.optim.lr, _meant_rate(config, plan))
    return usual if usual and lowest > FAR * usual.rate else None


def _other_batch(config: ConfigDict, plan: Plan) -> Iterator[str]:
    lr, meant = config.optim.lr, _meant_rate(config, plan)
    if meant == lr or _far_rate(config, plan):
        return
    usual, batch = usual_rate(config, plan.global_batch), plan.global_batch
    advice = f"by linear scaling use --config.optim.lr={meant:g}"
    if usual and meant > FAR * usual.rate:
        advice = (
            f"use --config.optim.lr={usual.rate:.2g} or lower (linear scaling would give "
            f"{meant:g}, far above what is usual for {usual.task})"
        )
    yield (
        f"optim.lr={lr:g} was chosen for a global batch of {config.train.reference_batch_size}, "
        f"this is {batch}: {advice}, or change train.accumulation_steps until the batch is the same"
    )


def _high_rate(config: ConfigDict, plan: Plan) -> Iterator[str]:
    usual, lr = _far_rate(config, plan), config.optim.lr
    if usual:
        harm = "and may destroy the pretrained weights"
        harm = harm if config.model.pretrained else "at which the run will hardly learn"
        yield (
            f"the learning rate of {lr:g} is {lr / usual.rate:.0f} times the highest that is usual "
            f"for {usual.task} with {config.optim.name} and {plan.global_batch} images a step "
            f"({usual.source}), {harm}; use "
            f"--config.optim.lr={to_set(config, plan.global_batch, usual.rate)} or lower"
        )


def _unclipped(config: ConfigDict, plan: Plan) -> Iterator[str]:
    # The ViT paper clips at norm 1 in fine-tuning. Without clipping, an outlier among the gradients
    # makes a step of its size.
    optim, usual = config.optim, usual_rate(config, plan.global_batch)
    clips = optim.clip_norm or optim.name == "adamw" or not config.model.pretrained
    lowest = min(optim.lr, _meant_rate(config, plan))
    if usual and not clips and usual.rate < lowest <= FAR * usual.rate:
        yield (
            f"the learning rate of {optim.lr:g} is above what is usual for {optim.name} and "
            f"{plan.global_batch} images a step, and the gradient is not clipped; use "
            "--config.optim.clip_norm=1.0 (ViT, arXiv:2010.11929)"
        )


def _strong_decay(config: ConfigDict, plan: Plan) -> Iterator[str]:
    # Decay that is added to the gradient goes through the momentum: SGD's 5e-4 at a rate of 0.1
    # takes 0.05 % of the weights away. Where the rate is too high, it is the cause.
    optim, far = config.optim, _far_rate(config, plan)
    rate = far.rate if far else min(optim.lr, _meant_rate(config, plan))
    taken = rate * optim.weight_decay / (1 - optim.momentum if optim.name == "momentum" else 1)
    if optim.name != "lars" and taken > _STRONG_DECAY:
        yield (
            f"optim.weight_decay={optim.weight_decay:g} takes {100 * taken:.2g} % of the weights "
            "away in each step at the peak of the rate, published runs 0.001 to 0.05 %: nothing "
            "will be learned; use "
            f"--config.optim.weight_decay={optim.weight_decay * _STRONG_DECAY / 10 / taken:.1g}"
        )


def _no_warmup(config: ConfigDict, plan: Plan) -> Iterator[str]:
    # At first Adam's second moments are of too few gradients. Ma and Yarats, arXiv:1910.04209, warm
    # up for 2 / (1 - beta2) steps.
    optim = config.optim
    short = plan.steps < 2  # no warm-up would be shorter than the run
    if optim.name == "adamw" and not (optim.warmup_steps or config.model.pretrained or short):
        steps = max(1, min(round(2 / (1 - optim.beta2)), plan.steps // 10))
        yield (
            "AdamW trains new weights from its first step at the full rate, before its averages "
            f"mean anything; use --config.optim.warmup_steps={steps}"
        )


def _long_warmup(config: ConfigDict, plan: Plan) -> Iterator[str]:
    if config.optim.warmup_steps >= plan.steps:
        yield (
            f"optim.warmup_steps={config.optim.warmup_steps} is no shorter than the run of "
            f"{plan.steps} steps: the rate never falls; use "
            f"--config.optim.warmup_steps={plan.steps // 10 or min(1, plan.steps - 1)}"
        )


def _tiny_noise(config: ConfigDict, plan: Plan) -> Iterator[str]:
    model, rdrop = config.model, config.rdrop
    shared = max(rdrop.drop_rates, default=model.drop_rate)
    own = (model.embed_drop_rate, model.proj_drop_rate, model.mlp_drop_rate)
    highest = max(
        *(shared if rate < 0 else rate for rate in own), model.attn_drop_rate, model.drop_path_rate
    )
    # What pretrained weights bear was measured (`engine/survival/start.py`); it may be this little.
    if rdrop.copies > 1 and 0 < highest < _TINY_DROP_RATE and not model.pretrained:
        yield (
            f"the highest drop rate is {highest:g}: the copies will hardly differ, and R-Drop will "
            "do next to nothing; use --config.model.drop_rate=0.1 (the paper's), or "
            "--config.rdrop.copies=1"
        )


def _high_alpha(config: ConfigDict, plan: Plan) -> Iterator[str]:
    alpha = rdrop_loss(config).per_sample_alpha(config.train.batch_size)
    if config.rdrop.copies > 1 and alpha > _HIGH_ALPHA:
        yield (
            f"KL weighs {alpha:g} times the cross-entropy of a sample, published runs have 0.3 to "
            "10: predictions may all become alike; use "
            f"--config.rdrop.alpha={lower_alpha(config)} (5 a sample)"
        )


def _views_without_use(config: ConfigDict, plan: Plan) -> Iterator[str]:
    count, shown = config.data.views, plan.epoch(plan.steps) / config.data.repeats
    if count and not TrainTransform(config.data, config.model.image_size).random:
        yield f"data.views={count} does nothing: no augmentation is random"
    elif count >= max(shown, 1):
        yield (
            f"data.views={count} does nothing: each view comes once at most, in a run that shows "
            f"every image {shown:.3g} times"
        )


def _room_without_use(config: ConfigDict, plan: Plan) -> Iterator[str]:
    train, part = config.train, config.model.trainable
    why = "train.cache_features=off" if train.cache_features == "off" else ""
    why = f"model.trainable={part}" if not part.startswith("head") else why
    for name in ("cache_gb", "cache_disk_gb"):
        if train[name] and why:
            yield f"train.{name}={train[name]:g} does nothing with {why}"


def _parts_without_use(config: ConfigDict, plan: Plan) -> Iterator[str]:
    model, found = config.model, models.abilities(config.model.name)
    for name in ("embed_drop_rate", "proj_drop_rate"):
        if model[name] > 0 and not found.attention_dropout:
            yield (
                f"model.{name}={model[name]:g} does nothing: {model.name} has dropout in front of "
                "its classifier only, set model.drop_rate"
            )
    if config.average.precise_bn_batches and not found.batch_norms:
        yield (
            f"average.precise_bn_batches={config.average.precise_bn_batches} does nothing: "
            f"{model.name} has no batch norms"
        )


RULES = (
    _parts_without_use,
    _views_without_use,
    _room_without_use,
    _other_batch,
    _high_rate,
    _unclipped,
    _strong_decay,
    _no_warmup,
    _long_warmup,
    _tiny_noise,
    _high_alpha,
)
