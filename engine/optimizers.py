"""The optimiser with gradient accumulation, clipping and its schedule, and its state under the model's own names."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
import paddle
from paddle import Tensor, nn

from common.errors import UserError
from engine.schedules import learning_rate


def _groups(model: nn.Layer, weight_decay: float) -> list[dict]:
    """Matrices and convolutions decay; biases, norms, tokens and position embeddings do not (as in timm)."""
    decayed, plain = [], []
    for name, parameter in model.named_parameters():
        if parameter.stop_gradient:
            continue
        exempt = len(parameter.shape) <= 1 or name.endswith(("pos_embed", "_token"))
        (plain if exempt else decayed).append(parameter)
    groups = ((decayed, weight_decay), (plain, 0.0))
    return [{"params": parameters, "weight_decay": decay} for parameters, decay in groups if parameters]


def _create(model: nn.Layer, config):
    groups = _groups(model, config.weight_decay)
    if config.name == "adamw":
        return paddle.optimizer.AdamW(config.lr, config.beta1, config.beta2, parameters=groups)
    if config.name == "momentum":
        return paddle.optimizer.Momentum(config.lr, config.momentum, parameters=groups)
    return paddle.optimizer.SGD(config.lr, parameters=groups)


class Optimizer:
    """Turns losses of micro-batches into steps.

    Args:
        model: its trainable parameters are updated.
        config: the `optim` part of a config.
        total_steps: of the whole run.
        accumulation_steps: micro-batches of one step.
        rate: gives the rate of a step, counted from 0, where it is not the schedule's, else None.
    """

    def __init__(
        self,
        model: nn.Layer,
        config,
        total_steps: int,
        accumulation_steps: int = 1,
        rate: Callable[[int], float | None] = lambda step: None,
    ):
        self.config = config
        self.total_steps = total_steps
        self.accumulation_steps = accumulation_steps
        self.steps_done = 0
        self.micro_batches = 0  # gathered since the last step
        self.grad_norm: Tensor | None = None  # of the last step, before clipping
        self._parameters = {name: p for name, p in model.named_parameters() if not p.stop_gradient}
        self._rate = rate
        self._optimizer = _create(model, config)

    @property
    def lr(self) -> float:
        """The rate of the next step."""
        own = self._rate(self.steps_done)
        return learning_rate(self.steps_done, self.config, self.total_steps) if own is None else own

    @property
    def last_micro_batch(self) -> bool:
        """Whether the micro-batch that comes now completes a step."""
        return self.micro_batches == self.accumulation_steps - 1

    @property
    def step_due(self) -> bool:
        """Whether the gradients of all micro-batches of a step are there."""
        return self.micro_batches == self.accumulation_steps

    def accumulate(self, loss: Tensor) -> None:
        """Add the gradient of one micro-batch's mean loss, divided by the number of micro-batches."""
        (loss / self.accumulation_steps).backward()
        self.micro_batches += 1

    def step(self) -> float:
        """Update the parameters with the gathered gradients and forget them; gives the rate that was used."""
        lr = self.lr
        gradients = [p.grad for p in self._parameters.values() if p.grad is not None]
        with paddle.no_grad():
            self.grad_norm = paddle.stack([g.norm() for g in gradients]).norm()
            if self.config.clip_norm:
                factor = paddle.clip(self.config.clip_norm / (self.grad_norm + 1e-6), max=1.0)
                for gradient in gradients:
                    gradient.multiply_(factor)
        self._optimizer.set_lr(lr)
        with paddle.utils.unique_name.guard():  # the moments are named at the first step: alike in every process
            self._optimizer.step()
        self._optimizer.clear_grad()
        self.micro_batches = 0
        self.steps_done += 1
        return lr

    def state(self) -> dict[str, np.ndarray]:
        """The moments as arrays, named `<parameter>/<moment>` by the model's names, not by Paddle's automatic ones."""
        names = {parameter.name: name for name, parameter in self._parameters.items()}
        state = {}
        for key, value in self._optimizer.state_dict().items():
            if isinstance(value, Tensor):
                owner = max((name for name in names if key.startswith(name + "_")), key=len)
                state[f"{names[owner]}/{key[len(owner) + 1 :]}"] = value.numpy()
        return state

    def load_state(self, state: dict[str, np.ndarray], steps_done: int) -> None:
        """Take a state that `state` gave, after `steps_done` steps.

        Raises:
            UserError: when it belongs to another model.
        """
        tensors = {}
        for key, value in state.items():
            name, _, moment = key.rpartition("/")
            if name not in self._parameters:
                raise UserError(f"the optimiser's state has {name}, which the model lacks: it is of another model")
            tensors[f"{self._parameters[name].name}_{moment}"] = paddle.to_tensor(value)
        self._optimizer.set_state_dict(tensors)
        self.steps_done = steps_done
