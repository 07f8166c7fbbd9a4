"""What a run is advised to set: the same at its start and later.

Usual rates are ranges of published runs, moved to the batch at hand. Configs here have the rates
that the optimiser gets (`with_rate`).
"""

from __future__ import annotations

import math
from typing import NamedTuple

from ml_collections import ConfigDict

from engine.step.objective import rdrop_loss

FAR = 5  # times the highest usual rate, beyond which a rate is called too high
_SLOW = 1e-3  # times the highest usual rate, below which a rate is called too low
_USUAL_BATCH, _NEW_BATCH = 512, 128
_ALPHA, _MOST_ALPHA = 5.0, 10.0  # per sample; published runs have 0.3 to 10


class Usual(NamedTuple):
    """The highest usual peak rate, for what it is, and where it comes from."""

    rate: float
    task: str
    source: str


def usual_rate(config: ConfigDict, batch: int) -> Usual | None:
    """Returns the highest usual rate for a global batch; None where it is not known.

    In fine-tuning with SGD it grows with the batch (Goyal et al., arXiv:1706.02677) and with 1 -
    momentum, with Adam with the root of the batch (Malladi et al., arXiv:2205.10287). New weights
    bear more: their bounds are this project's own, above what was published.
    """
    optim, share = config.optim, batch / _USUAL_BATCH
    slack = 1 - (optim.momentum if optim.name == "momentum" else 0.0)
    if config.model.pretrained:
        task = "fine-tuning"
        adam = (
            1e-4 * math.sqrt(share),
            "1e-5 to 1e-4 for 512 images; DeiT's code has 5e-6 at 384 pixels",
        )
        sgd = (
            0.6 * slack * share,
            "0.003 to 0.06 for 512 images at momentum 0.9; ViT, arXiv:2010.11929",
        )
    else:
        task = "training from scratch"
        adam = 0.01, "published are 0.0005 to 0.003, as in DeiT and ViT"
        sgd = (
            slack * max(1.0, batch / _NEW_BATCH),
            "published is 0.1 for 128 or 256 images at momentum 0.9; ResNet, arXiv:1512.03385",
        )
    found = {"adamw": adam, "momentum": sgd, "sgd": sgd}.get(optim.name)
    # A new head on a frozen body, and falling rates bear more.
    if found is None or config.model.trainable != "all" or optim.layer_decay < 1:
        return None
    return Usual(found[0], task, found[1])


def to_set(config: ConfigDict, batch: int, rate: float) -> str:
    """Returns the `optim.lr` that gives the optimiser a rate, as text."""
    scaled = config.optim.scale_lr
    share = batch / config.train.reference_batch_size if scaled else 1.0
    return f"{rate / share:.2g}"


def lower_rate(config: ConfigDict, batch: int) -> str:
    """Returns the `optim.lr` to try where a run shows that its rate is too high.

    It is the highest usual rate where the rate is far above that, as at the start; else a tenth.
    """
    usual, rate = usual_rate(config, batch), config.optim.lr
    rate = usual.rate if usual and rate > FAR * usual.rate else rate / 10
    return to_set(config, batch, rate)


def higher_rate(config: ConfigDict, batch: int) -> str:
    """Returns the `optim.lr` to try where the rate is too low to learn anything; else empty."""
    usual = usual_rate(config, batch)
    if usual is None or config.optim.lr > _SLOW * usual.rate:
        return ""
    return to_set(config, batch, usual.rate / 10)


def lower_alpha(config: ConfigDict) -> str:
    """Returns the `rdrop.alpha` to try where KL weighs too much: a tenth, at most 5 a sample."""
    alpha = rdrop_loss(config).per_sample_alpha(config.train.batch_size)
    return f"{config.rdrop.alpha * min(0.1, _ALPHA / max(alpha, 1e-9)):.2g}"


def more_regularisation(config: ConfigDict) -> str:
    """Returns fields of R-Drop to set against overfitting; empty where alpha is high already."""
    model, rdrop = config.model, config.rdrop
    rates = (model.drop_rate, model.attn_drop_rate, model.drop_path_rate, *rdrop.drop_rates)
    own = (model.embed_drop_rate, model.proj_drop_rate, model.mlp_drop_rate)
    if rdrop.copies == 1:  # without noise R-Drop would be refused
        noise = "" if max(*rates, *own) > 0 else " with --config.model.drop_rate=0.1"
        return f"--config.rdrop.copies=2{noise}"
    alpha = rdrop_loss(config).per_sample_alpha(config.train.batch_size)
    if alpha > _MOST_ALPHA / 2:
        return ""
    return f"--config.rdrop.alpha={2 * rdrop.alpha or 1:g}"
