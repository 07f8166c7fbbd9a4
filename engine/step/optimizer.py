"""The optimiser with gradient accumulation, clipping and its schedule, and its state under the
model's own names.
"""

from __future__ import annotations

import math

import numpy as np
import paddle
from paddle import Tensor, nn

from common.errors import UserError
from engine.step import lars
from engine.step.learning_rate import learning_rate
from engine.step.mixed_precision import LossScaler
from engine.step.parameter_groups import Group, parameter_groups

_SCALER = "loss_scale/state"


def _create(groups: list[Group], config):
    """Paddle's optimiser of a config.

    Its LAMB is timm's variant of arXiv:1904.00962: with bias correction, the trust ratio neither
    clipped nor used for parameters without decay. LARS is momentum on gradients that
    `engine.step.lars` has adapted.
    """
    decay = "lamb_weight_decay" if config.name == "lamb" else "weight_decay"
    described = []
    for group in groups:
        own = 0.0 if config.name == "lars" else group.weight_decay
        scale = (
            {} if group.lr_scale == 1 else {"learning_rate": group.lr_scale}
        )  # which Paddle multiplies the rate by
        described.append({"params": group.parameters, decay: own, **scale})
    if config.name == "adamw":
        return paddle.optimizer.AdamW(config.lr, config.beta1, config.beta2, parameters=described)
    if config.name == "lamb":
        return paddle.optimizer.Lamb(
            config.lr, 0.0, config.beta1, config.beta2, parameters=described
        )
    if config.name == "sgd":
        return paddle.optimizer.SGD(config.lr, parameters=described)
    return paddle.optimizer.Momentum(
        config.lr, config.momentum, described, use_nesterov=config.nesterov
    )


class Optimizer:
    """Turns losses of micro-batches into steps.

    Args:
        model: its trainable parameters are updated.
        config: the `optim` part of a config.
        total_steps: of the whole run.
        accumulation_steps: micro-batches of one step.
        scaler: of the loss, for float16.
    """

    def __init__(
        self,
        model: nn.Layer,
        config,
        total_steps: int,
        accumulation_steps: int = 1,
        scaler: LossScaler | None = None,
    ):
        self.config = config
        self.total_steps = total_steps
        self.accumulation_steps = accumulation_steps
        self.steps_done = 0
        self.micro_batches = 0  # gathered since the last step
        self.scaler = scaler
        self.lr_factor = 1.0  # of every rate: below 1 after a rollback
        self.grad_norm: Tensor | None = None  # of the last step, before clipping
        self.skipped = (
            False  # whether the last step changed nothing, for a gradient that was not finite
        )
        self._parameters = {name: p for name, p in model.named_parameters() if not p.stop_gradient}
        self._groups = parameter_groups(model, config)
        self._optimizer = _create(self._groups, config)

    @property
    def lr(self) -> float:
        """The rate of the next step."""
        return learning_rate(self.steps_done, self.config, self.total_steps)

    @property
    def last_micro_batch(self) -> bool:
        """Whether the micro-batch that comes now completes a step."""
        return self.micro_batches == self.accumulation_steps - 1

    @property
    def step_due(self) -> bool:
        """Whether the gradients of all micro-batches of a step are there."""
        return self.micro_batches == self.accumulation_steps

    def accumulate(self, loss: Tensor) -> None:
        """Add the gradient of one micro-batch's mean loss, divided by the number of
        micro-batches.
        """
        loss = loss / self.accumulation_steps
        # 1, or NaN for a loss that is not finite: no gradient is then, on any card, and one number
        # shows it to all.
        seed = loss.detach() * 0 + 1
        (loss * self.scaler.scale if self.scaler else loss).backward(seed)
        self.micro_batches += 1

    @property
    def refused(self) -> bool:
        """Whether the last step was skipped, and no loss scale is to blame."""
        return self.skipped and self.scaler is None

    def step(self, lr: float | None = None) -> float:
        """Update the parameters with the gathered gradients and forget them; gives the rate that
        was used.

        Where the gradient (averaged over all cards) is not finite, the parameters and the moments
        stay as they are.

        Args:
            lr: the rate; None: that of the schedule. It is multiplied by `lr_factor`.

        Raises:
            UserError: when the loss scale had too many steps skipped.
        """
        lr = (self.lr if lr is None else lr) * self.lr_factor
        self._prepare([p.grad for p in self._parameters.values() if p.grad is not None])
        # The one number that the host waits for in each step: read any later, it could not keep a
        # bad gradient out of the weights. A GPU idles only until the host has launched the first
        # kernels of the update, as float16 has it anyway; on a CPU nothing is ever late.
        finite = math.isfinite(self.grad_norm.item())
        self.skipped = not (self.scaler.update(finite) if self.scaler else finite)
        if not self.skipped:
            self._update(lr)
        self._optimizer.clear_grad()
        self.micro_batches = 0
        self.steps_done += 1
        return lr

    @paddle.no_grad()
    def _prepare(self, gradients: list[Tensor]) -> None:
        """Take the loss scale out of the gradients, measure and clip them."""
        if self.scaler:
            for gradient in gradients:
                gradient.multiply_(paddle.to_tensor(1 / self.scaler.scale, gradient.dtype))
        rows = [
            gradient.flatten() for gradient in gradients
        ]  # their products take a tenth of the time of `norm` on a CPU
        self.grad_norm = paddle.stack([paddle.matmul(row, row) for row in rows]).sum().sqrt()
        if self.config.clip_norm:
            factor = paddle.clip(self.config.clip_norm / (self.grad_norm + 1e-6), max=1.0)
            for gradient in gradients:
                gradient.multiply_(factor)

    def _update(self, lr: float) -> None:
        if self.config.name == "lars":
            lars.adapt(self._groups, self.config.lars_coefficient)
        self._optimizer.set_lr(lr)
        with (
            paddle.utils.unique_name.guard()
        ):  # the moments are named at the first step: alike in every process
            self._optimizer.step()

    def metrics(self) -> dict[str, float]:
        """What there is to log of the last step: the gradient's norm, and how the loss is
        scaled.
        """
        norm = {} if self.skipped else {"grad_norm": self.grad_norm.item()}
        if self.scaler is None:
            return norm
        return {**norm, "loss_scale": self.scaler.scale, "skipped_steps": self.scaler.skipped_steps}

    def state(self) -> dict[str, np.ndarray]:
        """The moments as arrays, named `<parameter>/<moment>` by the model's names, not by Paddle's
        automatic ones.

        The loss scale is among them, as `_SCALER`.
        """
        state = {_SCALER: self.scaler.state()} if self.scaler else {}
        return {**state, **{key: value.numpy() for key, value in self.moments().items()}}

    def moments(self) -> dict[str, Tensor]:
        """The moments themselves, named as in `state`."""
        names, moments = {parameter.name: name for name, parameter in self._parameters.items()}, {}
        for key, value in self._optimizer.state_dict().items():
            if isinstance(value, Tensor):
                owner = max((name for name in names if key.startswith(name + "_")), key=len)
                moments[f"{names[owner]}/{key[len(owner) + 1 :]}"] = value
        return moments

    def load_state(self, state: dict[str, np.ndarray], steps_done: int) -> None:
        """Take a state that `state` gave, after `steps_done` steps.

        Raises:
            UserError: when it belongs to another model.
        """
        tensors = {}
        if self.scaler and _SCALER in state:  # which a run that began on a CPU does not have
            self.scaler.load_state(state[_SCALER])
        for key, value in state.items():
            if key == _SCALER:
                continue
            name, _, moment = key.rpartition("/")
            if name not in self._parameters:
                raise UserError(
                    f"the optimiser's state has {name}, which the model lacks: it is of another model"
                )
            if value.size != 1 and list(value.shape) != self._parameters[name].shape:
                raise UserError(
                    f"the optimiser's state has another shape of {name} than the model: it is of another one"
                )
            tensors[f"{self._parameters[name].name}_{moment}"] = paddle.to_tensor(value)
        self._optimizer.set_state_dict(tensors)
        self.steps_done = steps_done
