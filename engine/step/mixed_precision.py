"""Mixed precision: half-precision operations on float32 weights, and the loss scale that float16
needs.

Paper: Micikevicius et al., "Mixed Precision Training", arXiv:1710.03740. The weights of the model
stay float32 in both
levels: they are the master weights, and each operation that may gets a copy in half precision (O1:
matrix products and convolutions; O2: all but those that need the range). So gradients are float32,
too, and are added up, clipped and saved like any others. Paddle's own GradScaler does nothing on a
CPU, where this one can be tested.
"""

from __future__ import annotations

import numpy as np
import paddle

from common.errors import UserError
from models.multipass import MultiPass

_GOOD_STEPS = 2000  # after so many the scale doubles
_MOST_SKIPPED = 20  # in a row


def active(train) -> bool:
    """Whether the `train` part of a config asks for half precision, on a device that has it for
    Paddle.
    """
    return bool(train.amp) and paddle.get_device() != "cpu"


def apply(model: MultiPass, train) -> None:
    """Make the model compute in the precision of a config, in training and in evaluation."""
    if active(train):
        model.autocast(train.amp, train.amp_dtype)


def loss_scaler(train) -> LossScaler | None:
    """The scaler of a config; None where there is none: float32, and bfloat16, which has the range
    of float32.
    """
    return LossScaler(train.loss_scale) if active(train) and train.amp_dtype == "float16" else None


def describe(train) -> list[str]:
    """The start line, if there is anything to say."""
    if not train.amp:
        return []
    if not active(train):
        return [f"precision: float32, since train.amp={train.amp} has no effect on a CPU"]
    scale = f", first loss scale {train.loss_scale:g}" if train.amp_dtype == "float16" else ""
    return [f"precision: {train.amp_dtype} ({train.amp}) on float32 weights{scale}"]


class LossScaler:
    """What the loss is multiplied by, so that small gradients are not 0 in float16.

    It is halved, to 1 at least, when a gradient is not finite, and that step skipped; it doubles
    after 2000 good ones.

    Args:
        scale: the first one.
    """

    def __init__(self, scale: float):
        self.scale = scale
        self.good_steps = 0  # since it changed
        self.skipped_steps = 0  # of the run
        self.skipped_in_row = 0

    def update(self, finite: bool) -> bool:
        """Take note of a step's gradient; gives whether the step is to be taken.

        Raises:
            UserError: when too many steps in a row had none that is finite.
        """
        if finite:
            self.skipped_in_row = 0
            self.good_steps += 1
            if self.good_steps == _GOOD_STEPS:
                self.scale, self.good_steps = self.scale * 2, 0
            return True
        self.scale, self.good_steps = max(self.scale / 2, 1.0), 0
        self.skipped_steps += 1
        self.skipped_in_row += 1
        if self.skipped_in_row == _MOST_SKIPPED:
            raise UserError(
                f"the gradient was no number in {_MOST_SKIPPED} steps in a row, down to a loss scale of "
                f"{self.scale:g}: lower optim.lr, or set train.amp_dtype=bfloat16"
            )
        return False

    def state(self) -> np.ndarray:
        """All of it, float64 `(4,)`."""
        return np.array(
            [self.scale, self.good_steps, self.skipped_steps, self.skipped_in_row], np.float64
        )

    def load_state(self, state: np.ndarray) -> None:
        """Take what `state` gave."""
        self.scale, *counts = state.tolist()
        self.good_steps, self.skipped_steps, self.skipped_in_row = map(int, counts)
