"""AdamW on a CPU: decay, moments and parameters in one compiled pass that all threads share.

Paddle's own runs in one thread, and reads and writes the memory several times.
"""

from __future__ import annotations

import functools
from collections.abc import Callable, Iterator, Mapping

import numpy as np
import paddle
from numpy.typing import NDArray
from paddle import Tensor

from common.threads import in_threads, parts
from engine.step.parameter_groups import Group

_EPSILON = np.float32(1e-8)  # as in Paddle, PyTorch and arXiv:1412.6980
_PIECE = 1 << 14  # elements that a thread takes at a time: 256 KB, in the cache
_MOMENTS = ("moment1_0", "moment2_0")  # Paddle's names
_POWERS = ("beta1_pow_acc_0", "beta2_pow_acc_0")


class _Member:
    """A parameter with its state: two moments, and the powers of both betas at the next step."""

    def __init__(self, parameter: Tensor, group: Group, powers: NDArray[np.float32]):
        self.parameter, self.group, self.powers = parameter, group, powers
        self.moments = [paddle.zeros(parameter.shape) for _ in _MOMENTS]

    def state(self) -> dict[str, Tensor]:
        """Returns the moments themselves, and the powers, under Paddle's names."""
        powers = {name: paddle.to_tensor(one) for name, one in zip(_POWERS, self.powers[:, None])}
        return {**dict(zip(_MOMENTS, self.moments)), **powers}

    def load(self, name: str, value: Tensor) -> None:
        """Sets what `state` returned under a name."""
        if name in _MOMENTS:
            self.moments[_MOMENTS.index(name)].set_value(value)
        else:
            self.powers[_POWERS.index(name)] = value.item()


class FusedAdamW:
    """AdamW (arXiv:1711.05101) with those methods of Paddle's optimisers that `Optimizer` calls.

    The state, its names and (with AVX-512) all bits are Paddle's: a run may go on with either.

    Args:
        loop: `adamw` of the compiled updates.
        lr: learning rate.
        beta1: share of the gradients' mean that stays at each step.
        beta2: share of the mean of their squares.
        groups: float32 parameters in the memory of a CPU.
    """

    def __init__(
        self,
        loop: Callable[..., None],
        lr: float,
        beta1: float,
        beta2: float,
        groups: list[Group],
    ):
        self._loop, self._lr, self._groups = loop, lr, groups
        self._betas = np.array([beta1, beta2], np.float32)
        self._members: dict[str, _Member] = {}  # by Paddle's name, from the first gradient on

    def set_lr(self, lr: float) -> None:
        """Sets the learning rate of the next steps."""
        self._lr = lr

    def step(self) -> None:
        """Updates all parameters that have a gradient."""
        updated, gradients = [], []
        for group, parameter in self._parameters():
            gradient = parameter.grad
            if gradient is not None:
                updated.append(self._member(group, parameter))
                gradients.append(gradient if gradient.is_contiguous() else gradient.contiguous())
        if not updated:
            return
        addresses = [
            [one.data_ptr() for one in (member.parameter, gradient, *member.moments)]
            for member, gradient in zip(updated, gradients)
        ]
        tables = _pieces(tuple(gradient.size for gradient in gradients)), np.array(addresses)
        rates = self._rates(updated)

        def run(_: int, begin: int, end: int) -> None:
            self._loop(begin, end, *tables, rates, *self._betas)

        in_threads(run, parts(len(tables[0]), _PIECE))

    def _rates(self, members: list[_Member]) -> NDArray[np.float32]:
        """Returns decay, rate and epsilon of each member `(members, 3)`; turns the powers on."""
        scales = np.array([[m.group.lr_scale, m.group.weight_decay] for m in members], np.float32)
        powers = np.stack([member.powers for member in members])
        for member in members:
            member.powers *= self._betas
        lr = np.float32(self._lr) * scales[:, 0]
        first, second = (1 - powers).T
        root = np.sqrt(second)
        return np.stack([lr * scales[:, 1], lr * (root / first), _EPSILON * root], axis=1)

    def _parameters(self) -> Iterator[tuple[Group, Tensor]]:
        for group in self._groups:
            for parameter in group.parameters:
                yield group, parameter

    def _member(self, group: Group, parameter: Tensor) -> _Member:
        """Returns a parameter's member, at first with the state before the first step."""
        if parameter.name not in self._members:
            self._members[parameter.name] = _Member(parameter, group, self._betas.copy())
        return self._members[parameter.name]

    def clear_grad(self) -> None:
        """Sets all gradients to 0."""
        for _, parameter in self._parameters():
            parameter.clear_gradient()

    def state_dict(self) -> dict[str, Tensor]:
        """Returns the state by `<name of the parameter>_<moment>`; moments change with a step."""
        return {
            f"{name}_{key}": tensor
            for name, member in self._members.items()
            for key, tensor in member.state().items()
        }

    def set_state_dict(self, state: Mapping[str, Tensor]) -> None:
        """Goes on from what `state_dict` returned."""
        for group, parameter in self._parameters():
            for key in (*_MOMENTS, *_POWERS):
                name = f"{parameter.name}_{key}"
                if name in state:
                    self._member(group, parameter).load(key, state[name])


@functools.lru_cache(maxsize=8)
def _pieces(sizes: tuple[int, ...]) -> NDArray[np.int64]:
    """Returns number, first element and number of elements of each piece, for parameters' sizes."""
    rows = [
        (number, begin, min(_PIECE, size - begin))
        for number, size in enumerate(sizes)
        for begin in range(0, size, _PIECE)
    ]
    return np.array(rows, np.int64)
