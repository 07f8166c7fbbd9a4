"""The optimiser: accumulated gradients, clipping, schedule; its state has the model's own names."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator
from typing import Any

import numpy as np
import paddle
from ml_collections import ConfigDict
from numpy.typing import NDArray
from paddle import Tensor, nn

from common.errors import UserError
from engine.step.learning_rate import learning_rate
from engine.step.mixed_precision import LossScaler
from engine.step.parameter_groups import Group, parameter_groups
from engine.step.updates import lars
from engine.step.updates.fused_adamw import FusedAdamW
from models.layers import compiled_operators

_SCALER = "loss_scale/state"


def _create(groups: list[Group], optim: ConfigDict) -> paddle.optimizer.Optimizer | FusedAdamW:
    """Makes the optimiser of a config: Paddle's, or AdamW's compiled one on a CPU.

    Its LAMB is timm's variant of arXiv:1904.00962: with bias correction, the trust ratio neither
    clipped nor used for parameters without decay. LARS is momentum on gradients that
    `engine/step/updates/lars.py` has adapted.
    """
    loop = _compiled_adamw(groups) if optim.name == "adamw" else None
    if loop:
        return FusedAdamW(loop, optim.lr, optim.beta1, optim.beta2, groups)
    decay = "lamb_weight_decay" if optim.name == "lamb" else "weight_decay"
    described = []
    for group in groups:
        own = 0.0 if optim.name == "lars" else group.weight_decay
        # In a group, Paddle's `learning_rate` is a factor of the rate.
        scale = {} if group.lr_scale == 1 else {"learning_rate": group.lr_scale}
        described.append({"params": group.parameters, decay: own, **scale})
    if optim.name == "adamw":
        return paddle.optimizer.AdamW(optim.lr, optim.beta1, optim.beta2, parameters=described)
    if optim.name == "lamb":
        return paddle.optimizer.Lamb(optim.lr, 0.0, optim.beta1, optim.beta2, parameters=described)
    if optim.name == "sgd":
        return paddle.optimizer.SGD(optim.lr, parameters=described)
    if optim.name in ("momentum", "lars"):
        nesterov = optim.nesterov
        return paddle.optimizer.Momentum(optim.lr, optim.momentum, described, use_nesterov=nesterov)
    raise ValueError(f"no optimiser is named {optim.name!r}")


def _compiled_adamw(groups: list[Group]) -> Callable[..., None] | None:
    """Returns the compiled loop of AdamW where it can update all parameters, else None."""
    if not all(compiled_operators(one) for group in groups for one in group.parameters):
        return None
    from models.fast.loops import updates

    return updates.adamw


class Optimizer:
    """Turns losses of micro-batches into steps.

    Args:
        model: its trainable parameters are updated.
        optim: the part of a config.
        total_steps: of the whole run.
        accumulation_steps: micro-batches of one step.
        scaler: of the loss, for float16.
    """

    def __init__(
        self,
        model: nn.Layer,
        optim: ConfigDict,
        total_steps: int,
        accumulation_steps: int = 1,
        scaler: LossScaler | None = None,
    ):
        self.optim, self.total_steps = optim, total_steps
        self.accumulation_steps, self.scaler = accumulation_steps, scaler
        self.steps_done = 0
        self.lr_factor = 1.0  # of every rate: below 1 after a rollback
        self.grad_norm = math.nan  # of the last step, before clipping
        self.skipped = False  # whether the last step's gradient was not finite: nothing changed
        self._parameters = {name: p for name, p in model.named_parameters() if not p.stop_gradient}
        self._groups = parameter_groups(model, optim)
        self._optimizer = _create(self._groups, optim)

    @property
    def lr(self) -> float:
        """The rate of the next step, by the schedule."""
        return learning_rate(self.steps_done, self.optim, self.total_steps)

    def accumulate(self, loss: Tensor) -> None:
        """Adds the gradient of a micro-batch's mean loss, divided by the number of micro-batches.

        Where the loss is not finite, all gradients are NaN, on every card: one number shows it.
        """
        loss = loss / self.accumulation_steps
        one_or_nan = loss.detach() * 0 + 1
        (loss * self.scaler.scale if self.scaler else loss).backward(one_or_nan)

    @property
    def refused(self) -> bool:
        """Whether the last step was skipped, and not by the loss scale."""
        return self.skipped and self.scaler is None

    def step(self, lr: float | None = None) -> float:
        """Updates the parameters by the accumulated gradients, and clears these.

        Where the gradient (averaged over all cards) is not finite, parameters and moments stay.

        Args:
            lr: the rate; None: that of the schedule. It is multiplied by `lr_factor`.

        Returns:
            The rate that was used.

        Raises:
            UserError: when the loss scale had too many steps skipped.
        """
        lr = (self.lr if lr is None else lr) * self.lr_factor
        norm = self._prepare([p.grad for p in self._parameters.values() if p.grad is not None])
        # The one number that the host waits for in each step: read any later, it could not keep a
        # bad gradient out of the weights. A GPU idles only until the host has launched the first
        # kernels of the update, as with float16 in any case; on a CPU nothing is ever late.
        self.grad_norm = norm.item()
        finite = math.isfinite(self.grad_norm)
        self.skipped = not (self.scaler.update(finite) if self.scaler else finite)
        if not self.skipped:
            self._update(lr)
        self._optimizer.clear_grad()
        self.steps_done += 1
        return lr

    @paddle.no_grad()
    def _prepare(self, gradients: list[Tensor]) -> Tensor:
        """Divides the gradients by the loss scale, and clips them; returns their norm before."""
        if self.scaler:
            for gradient in gradients:
                gradient.multiply_(paddle.to_tensor(1 / self.scaler.scale, gradient.dtype))
        # On a CPU these products take a tenth of the time of `norm`.
        rows = [gradient.flatten() for gradient in gradients]
        norm = paddle.stack([paddle.matmul(row, row) for row in rows]).sum().sqrt()
        if self.optim.clip_norm:
            factor = paddle.clip(self.optim.clip_norm / (norm + 1e-6), max=1.0)
            for gradient in gradients:
                gradient.multiply_(factor)
        return norm

    def _update(self, lr: float) -> None:
        if self.optim.name == "lars":
            lars.adapt(self._groups, self.optim.lars_coefficient)
        self._optimizer.set_lr(lr)
        # The moments are named at the first step: the same names in every process.
        with paddle.utils.unique_name.guard():
            self._optimizer.step()

    def gradients(self) -> Iterator[tuple[str, NDArray[np.float32]]]:
        """Yields accumulated gradients by the names of their parameters, without the loss scale.

        They are there between `accumulate` and `step`, which clears them.
        """
        scale = self.scaler.scale if self.scaler else 1.0
        for name, parameter in self._parameters.items():
            if parameter.grad is not None:
                yield name, parameter.grad.astype("float32").numpy() / np.float32(scale)

    def metrics(self) -> dict[str, float]:
        """Returns what to log of the last step: the gradient's norm, and the loss scale."""
        norm = {} if self.skipped else {"grad_norm": self.grad_norm}
        if self.scaler is None:
            return norm
        return {**norm, "loss_scale": self.scaler.scale, "skipped_steps": self.scaler.skipped_steps}

    def state(self) -> dict[str, NDArray[Any]]:
        """Returns the moments as arrays named `<parameter>/<moment>`, and the loss scale.

        The parameters have the model's names, not Paddle's automatic ones.
        """
        state = {_SCALER: self.scaler.state()} if self.scaler else {}
        return {**state, **{key: value.numpy() for key, value in self.moments().items()}}

    def moments(self) -> dict[str, Tensor]:
        """Returns the moments as tensors, named as in `state`."""
        names, moments = {parameter.name: name for name, parameter in self._parameters.items()}, {}
        for key, value in self._optimizer.state_dict().items():
            if isinstance(value, Tensor):
                owner = max((name for name in names if key.startswith(name + "_")), key=len)
                moments[f"{names[owner]}/{key[len(owner) + 1 :]}"] = value
        return moments

    def load_state(self, state: dict[str, NDArray[Any]], steps_done: int) -> None:
        """Goes on from what `state` returned after `steps_done` steps.

        Raises:
            UserError: when it belongs to another model.
        """
        tensors = {}
        if self.scaler and _SCALER in state:  # a run that began on a CPU has none
            self.scaler.load_state(state[_SCALER])
        for key, value in state.items():
            if key == _SCALER:
                continue
            name, _, moment = key.rpartition("/")
            if name not in self._parameters:
                raise UserError(
                    f"the optimiser's state has {name}, which the model lacks: it is of another "
                    "model"
                )
            if value.size != 1 and list(value.shape) != self._parameters[name].shape:
                raise UserError(
                    f"the optimiser's state has another shape of {name} than the model: it is of "
                    "another one"
                )
            tensors[f"{self._parameters[name].name}_{moment}"] = paddle.to_tensor(value)
        self._optimizer.set_state_dict(tensors)
        self.steps_done = steps_done
