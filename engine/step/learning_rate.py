"""The learning rate as a pure function of the step: nothing to save, nothing to restore.

Warm-up is linear and gradual (Goyal et al., arXiv:1706.02677). The cosine is that of Loshchilov and
Hutter, arXiv:1608.03983, without restarts: no schedule rises again at its end.
"""

import math

from ml_collections import ConfigDict


def learning_rate(step: int, optim: ConfigDict, total_steps: int) -> float:
    """Returns the learning rate of one optimiser step.

    Args:
        step: number of optimiser steps before this one; steps past the end have the final rate.
        optim: the `optim` part of a config.
        total_steps: of the whole run, including the warm-up.

    Returns:
        The rate itself, not a factor. Step `s` of the warm-up has `lr * (s + 1) / warmup_steps`.
    """
    if step < optim.warmup_steps:
        return optim.lr * (step + 1) / optim.warmup_steps
    if optim.schedule == "multi_step":
        return optim.lr * optim.gamma ** sum(step >= milestone for milestone in optim.milestones)
    progress = min((step - optim.warmup_steps) / max(total_steps - optim.warmup_steps, 1), 1.0)
    return optim.final_lr + (optim.lr - optim.final_lr) * _remaining(optim, progress)


def _remaining(optim: ConfigDict, progress: float) -> float:
    """Returns the rate's share of the way from the final rate to the peak: 1 at `progress` 0."""
    if optim.schedule == "cosine":
        return 0.5 * (1 + math.cos(math.pi * progress))
    if optim.schedule == "polynomial":
        return (1 - progress) ** optim.power
    if optim.schedule == "linear":
        return 1 - progress
    if optim.schedule == "constant":
        return 1.0
    raise ValueError(f"no schedule is named {optim.schedule!r}")
