"""Mixed precision: half-precision operations on float32 weights, and float16's loss scale.

Paper: Micikevicius et al., "Mixed Precision Training", arXiv:1710.03740. The weights of the model
are the master weights: they stay float32 at both levels. An operation that may run in half
precision gets a copy of them in it (O1: matrix products and convolutions; O2: all operations but
those that need the range of float32). So gradients are float32, too, and are added up, clipped and
saved like any others. Paddle's own GradScaler does nothing on a CPU, where this one can be tested.

On a CPU Paddle has no mixed precision. There `bf16` is this project's own: compiled blocks round
the operands of matrix products to bfloat16 (see `models/fast/loops/bfloat16.py`).
"""

from __future__ import annotations

import numpy as np
import paddle
from ml_collections import ConfigDict
from numpy.typing import NDArray

from common.errors import UserError
from models.multipass import MultiPass

BFLOAT16 = "bf16"  # of `train.amp`
_GOOD_STEPS = 2000  # number of good steps after which the scale doubles
_MOST_SKIPPED = 20  # in a row


def form(train: ConfigDict) -> tuple[str, str]:
    """Returns the level and the type that a config's `train` part asks for."""
    return ("O1", "bfloat16") if train.amp == BFLOAT16 else (train.amp, train.amp_dtype)


def active(train: ConfigDict) -> bool:
    """Returns whether a config's `train` part asks for half precision and Paddle has it here."""
    return bool(train.amp) and paddle.get_device() != "cpu"


def apply(model: MultiPass, train: ConfigDict) -> None:
    """Makes the model compute in the precision of a config, in training and in evaluation."""
    if active(train):
        model.autocast(*form(train))
    elif train.amp == BFLOAT16 and not model.missing_for_bfloat16():
        model.multiply_in_bfloat16()


def loss_scaler(train: ConfigDict) -> LossScaler | None:
    """Returns the scaler of a config; None for float32, and for bfloat16, which has its range."""
    return LossScaler(train.loss_scale) if active(train) and form(train)[1] == "float16" else None


def describe(model: MultiPass, train: ConfigDict) -> list[str]:
    """Returns the line about precision at the start of a run; none for plain float32."""
    if not train.amp:
        return []
    if active(train):
        level, dtype = form(train)
        scale = f", first loss scale {train.loss_scale:g}" if dtype == "float16" else ""
        return [f"precision: {dtype} ({level}) on float32 weights{scale}"]
    if train.amp != BFLOAT16:
        no_effect = f"train.amp={train.amp} has no effect on a CPU; {BFLOAT16} has"
        return [f"precision: float32, since {no_effect}"]
    if missing := model.missing_for_bfloat16():
        return [f"precision: float32, since {missing}"]
    return ["precision: bfloat16 in the matrix products of blocks, float32 in everything else"]


class LossScaler:
    """The factor of the loss that keeps small gradients from becoming 0 in float16.

    When a gradient is not finite, the step is skipped and the factor halved, down to 1. After 2000
    good steps it doubles.

    Args:
        scale: the first factor.
    """

    def __init__(self, scale: float):
        # Good steps since the scale changed; skipped steps of the run.
        self.scale, self.good_steps, self.skipped_steps, self.skipped_in_row = scale, 0, 0, 0

    def update(self, finite: bool) -> bool:
        """Adapts the scale to the gradient of a step.

        Args:
            finite: whether the gradient is finite.

        Returns:
            Whether the step is to be taken: `finite`.

        Raises:
            UserError: when too many steps in a row had a gradient that is not finite.
        """
        if finite:
            self.good_steps, self.skipped_in_row = self.good_steps + 1, 0
            if self.good_steps == _GOOD_STEPS:
                self.scale, self.good_steps = self.scale * 2, 0
            return True
        self.scale, self.good_steps = max(self.scale / 2, 1.0), 0
        self.skipped_steps += 1
        self.skipped_in_row += 1
        if self.skipped_in_row == _MOST_SKIPPED:
            raise UserError(
                f"the gradient was no number in {_MOST_SKIPPED} steps in a row, down to a loss "
                f"scale of {self.scale:g}: lower optim.lr, or set train.amp_dtype=bfloat16"
            )
        return False

    def state(self) -> NDArray[np.float64]:
        """Returns everything that changes, as float64 `(4,)`."""
        return np.array(
            [self.scale, self.good_steps, self.skipped_steps, self.skipped_in_row], np.float64
        )

    def load_state(self, state: NDArray[np.float64]) -> None:
        """Continues from what `state` returned."""
        self.scale, *counts = state.tolist()
        self.good_steps, self.skipped_steps, self.skipped_in_row = map(int, counts)
