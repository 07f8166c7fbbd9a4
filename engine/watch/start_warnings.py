"""Rules about the config of a run before it starts. Each rule yields its warning, if there is one.

Usual rates are ranges of published fine-tuning, moved to the batch of the run; a rule speaks far
beyond them.
"""

from __future__ import annotations

import math
from collections.abc import Iterator

from ml_collections import ConfigDict

from data.augment.transforms import TrainTransform
from engine.plan.run_plan import Plan
from engine.step.objective import rdrop_loss

_HIGH_ALPHA, _TINY_DROP_RATE = 50, 0.01
_STRONG_DECAY = 5e-3  # share of the weights in a step
_FAR = 5  # times the highest usual rate
_USUAL_BATCH = 512


def _other_batch(config: ConfigDict, plan: Plan) -> Iterator[str]:
    # Linear scaling: Goyal et al., arXiv:1706.02677.
    lr, reference = config.optim.lr, config.train.reference_batch_size
    if reference not in (0, plan.global_batch) and not config.optim.scale_lr:
        yield (
            f"optim.lr={lr:g} was chosen for a global batch of {reference}, this is "
            f"{plan.global_batch}: by linear scaling use "
            f"--config.optim.lr={lr * plan.global_batch / reference:g}, or change "
            "train.accumulation_steps until the batch is the same"
        )


def _usual_rate(config: ConfigDict, plan: Plan) -> tuple[float, str] | None:
    """Returns the highest usual rate of fine-tuning at this batch, and its source; None if unknown.

    For SGD it grows with the batch (arXiv:1706.02677) and with 1 - momentum, for Adam with the root
    of the batch (Malladi et al., arXiv:2205.10287).
    """
    share, optim = plan.global_batch / _USUAL_BATCH, config.optim
    momentum = optim.momentum if optim.name == "momentum" else 0.0
    adam = "1e-5 to 1e-4 for 512 images; DeiT's code has 5e-6 at 384 pixels"
    sgd = "0.003 to 0.06 for 512 images at momentum 0.9; ViT, arXiv:2010.11929"
    usual = {"adamw": (1e-4 * math.sqrt(share), adam)}
    usual["momentum"] = usual["sgd"] = 0.6 * (1 - momentum) * share, sgd
    # New weights, a new head on a frozen body, and falling rates bear more.
    whole = config.model.pretrained and config.model.trainable == "all"
    return usual.get(optim.name) if whole and optim.layer_decay >= 1 else None


def _high_rate(config: ConfigDict, plan: Plan) -> Iterator[str]:
    usual, optim = _usual_rate(config, plan), config.optim
    if usual and optim.lr > _FAR * usual[0]:
        reference = config.train.reference_batch_size
        scale = plan.global_batch / reference if optim.scale_lr else 1
        yield (
            f"the learning rate of {optim.lr:g} is {optim.lr / usual[0]:.0f} times the highest "
            f"that is usual for fine-tuning with {optim.name} and {plan.global_batch} images a "
            f"step ({usual[1]}), and may destroy the pretrained weights; use "
            f"--config.optim.lr={usual[0] / scale:.2g} or lower"
        )


def _unclipped(config: ConfigDict, plan: Plan) -> Iterator[str]:
    # The ViT paper clips at norm 1 in fine-tuning. Without clipping, an outlier among the gradients
    # makes a step of its size.
    optim, usual = config.optim, _usual_rate(config, plan)
    clips = optim.clip_norm or optim.name == "adamw"
    if usual and not clips and usual[0] < optim.lr <= _FAR * usual[0]:
        yield (
            f"the learning rate of {optim.lr:g} is above what is usual for {optim.name} and "
            f"{plan.global_batch} images a step, and the gradient is not clipped; use "
            "--config.optim.clip_norm=1.0 (ViT, arXiv:2010.11929)"
        )


def _strong_decay(config: ConfigDict, plan: Plan) -> Iterator[str]:
    # Decay that is added to the gradient goes through the momentum: SGD's 5e-4 at a rate of 0.1
    # takes 0.05 % of the weights away.
    optim = config.optim
    taken = optim.lr * optim.weight_decay / (1 - optim.momentum if optim.name == "momentum" else 1)
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
    if optim.name == "adamw" and not optim.warmup_steps and not config.model.pretrained:
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
            f"--config.optim.warmup_steps={max(1, plan.steps // 10)}"
        )


def _tiny_noise(config: ConfigDict, plan: Plan) -> Iterator[str]:
    model, rdrop = config.model, config.rdrop
    shared = max(rdrop.drop_rates, default=model.drop_rate)
    own = (model.embed_drop_rate, model.proj_drop_rate, model.mlp_drop_rate)
    highest = max(
        *(shared if rate < 0 else rate for rate in own), model.attn_drop_rate, model.drop_path_rate
    )
    if rdrop.copies > 1 and 0 < highest < _TINY_DROP_RATE:
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
            f"--config.rdrop.alpha={config.rdrop.alpha * 5 / alpha:.2g} (5 a sample)"
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


RULES = (
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
