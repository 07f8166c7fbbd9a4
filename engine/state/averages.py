"""Averages of the weights over a run: what SGD bounces around is often better in the middle.

Sources: exponential moving average, Polyak and Juditsky 1992, with TensorFlow's warm-up of the
decay; stochastic weight averaging (SWA), Izmailov et al., arXiv:1803.05407. Both move the average
towards the weights by a share that is a function of the step, so nothing but the averages
themselves needs to be saved. Running statistics of batch norms are averaged with the weights (for
SWA they are estimated anew, see `engine/results/precise_batch_norm.py`).
"""

from __future__ import annotations

import contextlib
from collections.abc import Iterator

import numpy as np
import paddle
from paddle import Tensor, nn

import models
from common.errors import UserError

RAW, EMA, SWA = "raw", "ema", "swa"


def ema_share(step: int, decay: float, warmup: bool) -> float:
    """The share of the weights that come new into their moving average at a step, counted from
    1.
    """
    return 1 - (min(decay, (1 + step) / (10 + step)) if warmup else decay)


class Swa:
    """When stochastic weight averaging takes weights, and at which rate it trains.

    Args:
        config: the `average` part of a config.
        plan: of the run.

    Raises:
        UserError: when the run ends before the first weights are taken.
    """

    def __init__(self, config, plan):
        self.config = config
        self.start = round(config.swa_start * plan.steps)
        self.every = config.swa_every_steps or max(1, plan.train_images // plan.global_batch)
        if self.start + self.every > plan.steps:
            raise UserError(
                f"average.swa_start={config.swa_start:g} is step {self.start} of {plan.steps}, and weights are taken "
                f"every {self.every} steps from there: none are; lower average.swa_start or average.swa_every_steps"
            )

    def taken(self, step: int) -> int:
        """How many weights have been taken after a step, counted from 1."""
        return max(0, (step - self.start) // self.every)

    def share(self, step: int) -> float:
        """The share of the weights after a step in their average: 0 where they are not taken."""
        count = self.taken(step)
        return 1 / count if count > self.taken(step - 1) else 0.0

    def rate(self, step: int) -> float | None:
        """The learning rate of a step, counted from 0; None where it is the schedule's."""
        first, last = self.config.swa_lr, self.config.swa_lowest_lr
        if step < self.start or not first:
            return None
        passed = ((step - self.start) % self.every + 1) / self.every
        return (1 - passed) * first + passed * last if last else first


class Averages:
    """The weights of a model and their averages.

    Args:
        model: its trainable parameters and its buffers are averaged.
        config: the `average` part of a config.
        plan: of the run.

    Raises:
        UserError: when SWA would take no weights, or would leave batch norms with statistics of
            other weights; for statistics of batch norms that are not there.
    """

    def __init__(self, model: nn.Layer, config, plan):
        self.model, self.config = model, config
        self.swa = Swa(config, plan) if config.swa_start else None
        if self.swa and not config.precise_bn_batches and models.batch_norms(model):
            raise UserError(
                "average.swa_start: the model has batch norms, whose statistics are not those of averaged weights: "
                "set average.precise_bn_batches, such as 200"
            )
        if config.precise_bn_batches and not models.batch_norms(model):
            raise UserError(
                "average.precise_bn_batches: the model has no batch norms that are trained; set it to 0"
            )
        running = [
            value for norm in models.batch_norms(model) for value in (norm._mean, norm._variance)
        ]
        frozen = {
            id(parameter) for parameter in model.parameters() if parameter.stop_gradient
        } - set(map(id, running))
        self._sources = {
            name: value
            for name, value in model.state_dict().items()
            if value.is_floating_point() and id(value) not in frozen
        }
        chosen = [name for name, used in ((EMA, config.ema_decay), (SWA, self.swa)) if used]
        self._values = {
            name: {key: value.clone() for key, value in self._sources.items()} for name in chosen
        }

    @paddle.no_grad()
    def update(self, step: int, stepped: bool = True) -> None:
        """Take the weights of the model after a step, counted from 1.

        After one that was left out (`stepped`) the moving average stays; SWA takes the weights of
        its steps all the same, which are good: its mean is over a number of them that is a function
        of the step.
        """
        for name, values in self._values.items():
            if name == EMA and not stepped:
                continue
            swa, config = self.swa, self.config
            share = (
                ema_share(step, config.ema_decay, config.ema_warmup)
                if name == EMA
                else swa.share(step)
            )
            for key, value in values.items():
                if share == 1:
                    value.set_value(self._sources[key])
                elif share:
                    value.lerp_(self._sources[key], paddle.to_tensor(share, value.dtype))

    def rate(self, step: int) -> float | None:
        """The learning rate of a step, counted from 0, where an average decides it."""
        return self.swa.rate(step) if self.swa else None

    def names(self, step: int) -> list[str]:
        """What there is to evaluate after a step: `raw`, and the averages that have begun."""
        return [RAW, *(name for name in self._values if name != SWA or self.swa.taken(step))]

    @contextlib.contextmanager
    def installed(self, name: str) -> Iterator[None]:
        """A context in which the model has an average in place of its own weights (`raw`:
        those).
        """
        own = {key: value.clone() for key, value in self._sources.items()} if name != RAW else {}
        self._set(self._values.get(name, {}))
        try:
            yield
        finally:
            self._set(own)

    def _set(self, values: dict[str, Tensor]) -> None:
        for key, value in values.items():
            self._sources[key].set_value(value)

    def state(self) -> dict[str, np.ndarray]:
        """The averages as arrays, named `<average>/<name in the model>`."""
        return {
            f"{name}/{key}": value.numpy()
            for name, values in self._values.items()
            for key, value in values.items()
        }

    def load_state(self, arrays: dict[str, np.ndarray]) -> None:
        """Take what `state` gave.

        Raises:
            UserError: when it is of other averages or another model.
        """
        expected = self.state()
        differing = expected.keys() ^ arrays.keys()
        differing |= {
            key
            for key in expected.keys() & arrays.keys()
            if expected[key].shape != arrays[key].shape
        }
        if differing:
            raise UserError(
                f"the averages of the checkpoint are others than the config's: {min(differing)} differs"
            )
        for name, values in self._values.items():
            for key, value in values.items():
                value.set_value(arrays[f"{name}/{key}"])


def mean(members: list[dict[str, np.ndarray]], names: list[str]) -> dict[str, np.ndarray]:
    """The mean of several sets of arrays, added up in float64; what is not of floats must be the
    same in all.

    Args:
        members: the sets, at least one.
        names: what to call each in an error.

    Raises:
        UserError: when they are not of the same model.
    """
    first, result = members[0], {}
    for other, name in zip(members, names):
        differing = sorted(
            key for key in first.keys() | other.keys() if not _alike(first.get(key), other.get(key))
        )
        if differing:
            raise UserError(f"{name} is of another model than {names[0]}: {differing[0]} differs")
    for key, array in first.items():
        total = sum(other[key].astype(np.float64) for other in members) / len(members)
        result[key] = total.astype(array.dtype) if array.dtype.kind == "f" else array
    return result


def _alike(one: np.ndarray | None, other: np.ndarray | None) -> bool:
    if one is None or other is None or (one.shape, one.dtype) != (other.shape, other.dtype):
        return False
    return one.dtype.kind == "f" or bool((one == other).all())
