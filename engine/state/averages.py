"""Averages of the weights over a run, which are often better than the last weights.

SGD moves around a good point; the average is nearer to it. Sources: exponential moving average
(EMA), Polyak and Juditsky 1992, with TensorFlow's warm-up of the decay; stochastic weight averaging
(SWA), Izmailov et al., arXiv:1803.05407. Both move the average towards the weights by a share that
is a function of the step, so that only the averages themselves need to be saved. Running statistics
of batch norms are averaged with the weights (for SWA they are estimated anew, see
`engine/results/precise_batch_norm.py`).

`steps_done` is the number of optimiser steps that are done, `step` the number of those before the
step at hand.
"""

from __future__ import annotations

import contextlib
import functools
from collections.abc import Callable, Iterator
from typing import Any, Protocol

import paddle
from ml_collections import ConfigDict
from numpy.typing import NDArray
from paddle import Tensor, nn

import models
from common.errors import UserError

RAW, EMA, SWA = "raw", "ema", "swa"


def ema_share(steps_done: int, decay: float, warmup: bool) -> float:
    """Returns the share of the newest weights in their moving average."""
    return 1 - (min(decay, (1 + steps_done) / (10 + steps_done)) if warmup else decay)


class RunLength(Protocol):
    """What is used of `engine.plan.run_plan.Plan`, which this room may not import."""

    @property
    def train_images(self) -> int: ...

    @property
    def global_batch(self) -> int: ...

    @property
    def steps(self) -> int: ...


class Swa:
    """The steps at which stochastic weight averaging takes weights, and its learning rates.

    Args:
        average: the `average` part of a config.
        plan: the `run_plan.Plan` of the run.

    Raises:
        UserError: when the run ends before the first weights are taken.
    """

    def __init__(self, average: ConfigDict, plan: RunLength):
        self.first_lr, self.lowest_lr = average.swa_lr, average.swa_lowest_lr
        self.start = round(average.swa_start * plan.steps)  # steps that are done before
        self.every = average.swa_every_steps or max(1, plan.train_images // plan.global_batch)
        if self.start + self.every > plan.steps:
            raise UserError(
                f"average.swa_start={average.swa_start:g} is step {self.start} of {plan.steps}, "
                f"and weights are taken every {self.every} steps from there: none are; lower "
                "average.swa_start or average.swa_every_steps"
            )

    def taken(self, steps_done: int) -> int:
        """Returns how many weights are in the average."""
        return max(0, (steps_done - self.start) // self.every)

    def share(self, steps_done: int) -> float:
        """Returns the share of the newest weights in the average: 0 if they are not taken."""
        count = self.taken(steps_done)
        return 1 / count if count > self.taken(steps_done - 1) else 0.0

    def rate(self, step: int) -> float | None:
        """Returns the learning rate of a step; None when it is the schedule's."""
        if step < self.start or not self.first_lr:
            return None
        passed = ((step - self.start) % self.every + 1) / self.every
        if not self.lowest_lr:
            return self.first_lr
        return (1 - passed) * self.first_lr + passed * self.lowest_lr


class Averages:
    """The weights of a model and their averages.

    Args:
        model: its trainable parameters and its buffers are averaged.
        average: the `average` part of a config.
        plan: the `run_plan.Plan` of the run.

    Raises:
        UserError: when SWA would take no weights, or would leave batch norms with statistics of
            other weights; for statistics of batch norms that the model does not have.
    """

    def __init__(self, model: nn.Layer, average: ConfigDict, plan: RunLength):
        self.model, norms = model, models.batch_norms(model)
        self.swa = Swa(average, plan) if average.swa_start else None
        if self.swa and norms and not average.precise_bn_batches:
            raise UserError(
                "average.swa_start: the model has batch norms, whose statistics are not those of "
                "averaged weights: set average.precise_bn_batches, such as 200"
            )
        if average.precise_bn_batches and not norms:
            raise UserError(
                "average.precise_bn_batches: the model has no batch norms that are trained; set "
                "it to 0"
            )
        self._shares: dict[str, Callable[[int], float]] = {}  # of the newest weights, by average
        if average.ema_decay:
            self._shares[EMA] = functools.partial(
                ema_share, decay=average.ema_decay, warmup=average.ema_warmup
            )
        if self.swa:
            self._shares[SWA] = self.swa.share
        running = {id(value) for norm in norms for value in (norm._mean, norm._variance)}
        frozen = {id(value) for value in model.parameters() if value.stop_gradient} - running
        self._sources = {
            key: value
            for key, value in model.state_dict().items()
            if value.is_floating_point() and id(value) not in frozen
        }
        self._values = {
            name: {key: value.clone() for key, value in self._sources.items()}
            for name in self._shares
        }

    @paddle.no_grad()
    def update(self, steps_done: int, stepped: bool = True) -> None:
        """Adds the weights of the model to the averages, after each step.

        Args:
            steps_done: including this step.
            stepped: False for a step that was left out. The moving average stays then. SWA takes
                the weights of its steps all the same: they are good, and the number of weights in
                its mean is a function of the step.
        """
        for name, values in self._values.items():
            share = self._shares[name](steps_done) if stepped or name != EMA else 0
            for key, value in values.items():
                if share == 1:
                    value.set_value(self._sources[key])
                elif share:
                    value.lerp_(self._sources[key], paddle.to_tensor(share, value.dtype))

    def rate(self, step: int) -> float | None:
        """Returns the learning rate of a step that an average decides; None when none does."""
        return self.swa.rate(step) if self.swa else None

    def names(self, steps_done: int) -> list[str]:
        """Returns what there is to evaluate: `raw`, and the averages that have begun."""
        begun = self.swa and self.swa.taken(steps_done)
        return [RAW, *(name for name in self._values if name != SWA or begun)]

    @contextlib.contextmanager
    def installed(self, name: str) -> Iterator[None]:
        """A context in which the model has an average as its weights; `raw`: its own weights."""
        own = {key: value.clone() for key, value in self._sources.items()} if name != RAW else {}
        self._set(self._values.get(name, {}))
        try:
            yield
        finally:
            self._set(own)

    def _set(self, values: dict[str, Tensor]) -> None:
        for key, value in values.items():
            self._sources[key].set_value(value)

    def _named(self) -> dict[str, Tensor]:
        return {
            f"{name}/{key}": value
            for name, values in self._values.items()
            for key, value in values.items()
        }

    def state(self) -> dict[str, NDArray[Any]]:
        """Returns the averages as arrays, named `<average>/<name in the model>`."""
        return {name: value.numpy() for name, value in self._named().items()}

    def load_state(self, arrays: dict[str, NDArray[Any]]) -> None:
        """Continues from what `state` returned.

        Raises:
            UserError: when it is of other averages or another model.
        """
        own = self._named()
        expected = {(name, tuple(value.shape)) for name, value in own.items()}
        differing = expected ^ {(name, value.shape) for name, value in arrays.items()}
        if differing:
            raise UserError(
                "the averages of the checkpoint are others than the config's: "
                f"{min(differing)[0]} differs"
            )
        for name, value in own.items():
            value.set_value(arrays[name])
