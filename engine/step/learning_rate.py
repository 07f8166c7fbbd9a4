"""The learning rate as a pure function of the step: nothing to save, nothing to restore.

Warm-up is linear and gradual (Goyal et al., arXiv:1706.02677); the cosine is that of Loshchilov and
Hutter, arXiv:1608.03983, without restarts: no schedule rises again at its end.
"""

from __future__ import annotations

import math


def learning_rate(step: int, config, total_steps: int) -> float:
    """The rate of one optimiser step.

    Args:
        step: counted from 0; steps past the end have the final rate.
        config: the `optim` part of a config.
        total_steps: of the whole run, the warm-up included.

    Returns:
        The rate itself, not a factor. Warm-up step `s` has `lr * (s + 1) / warmup_steps`.
    """
    if step < config.warmup_steps:
        return config.lr * (step + 1) / config.warmup_steps
    if config.schedule == "multi_step":
        return config.lr * config.gamma ** sum(step >= milestone for milestone in config.milestones)
    progress = min((step - config.warmup_steps) / max(total_steps - config.warmup_steps, 1), 1.0)
    return config.final_lr + (config.lr - config.final_lr) * _remaining(config, progress)


def _remaining(config, progress: float) -> float:
    """The share of the way from the final rate to the peak, 1 at `progress` 0."""
    if config.schedule == "cosine":
        return 0.5 * (1 + math.cos(math.pi * progress))
    if config.schedule == "polynomial":
        return (1 - progress) ** config.power
    return 1 - progress if config.schedule == "linear" else 1.0
