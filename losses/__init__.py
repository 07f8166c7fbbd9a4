"""Losses: pure functions of logits, wrapped as Paddle layers."""

from losses.distillation import KINDS, DistillationLoss
from losses.rdrop import CONSISTENCY, FORMS, PRESETS, RDropLoss, Terms
from losses.soft_targets import smooth

__all__ = [
    "CONSISTENCY",
    "FORMS",
    "KINDS",
    "PRESETS",
    "DistillationLoss",
    "RDropLoss",
    "Terms",
    "smooth",
]
