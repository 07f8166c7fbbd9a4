"""Kinds of dropout that no run has, tried for what survives: experiments, not options.

In a ViT that was pretrained without dropout, a few channels of the residual branches are far larger
than the others, and nearly the same for all images. Dropout of such a channel is noise that is
large next to what tells images apart. Each kind here leaves something out of the usual dropout of
the two branches' outputs (behind the projection, and behind the MLP's last layer).

Dropout before LayerScale's factors has no row of its own: to drop an element and then to multiply
its channel by a factor is the same as the other way round, to the bit. What can be moved before the
factors is only dropout in front of the last linear layer, which is tried here.
"""

from __future__ import annotations

import contextlib
from collections.abc import Iterator, Mapping, Sequence
from typing import Any

import numpy as np
import paddle
from numpy.typing import NDArray
from paddle import Tensor, nn

from common.errors import UserError
from engine.results import progress_lines
from engine.survival import passes
from engine.survival.bench import KEPT, rate_keeping, survival
from models.families.vit import VisionTransformer
from models.layers import watched
from models.layers.dropout_masks import keep_mask, kept_scale
from models.multipass import MultiPass
from tools.survival import text
from tools.survival.study import Subject

_LARGE = 0.01  # share of the channels of a branch that count as the large ones


class Outputs:
    """What a branch puts out without noise, by token and channel, over the images.

    Attributes:
        mean: `(N, D)`.
        square: the mean squares, `(N, D)`.
        medians: of the absolute values, by chunk of images.
        largest: absolute value.
    """

    def __init__(self) -> None:
        self.images, self.largest, self.medians = 0, 0.0, []
        self._sum: Any = 0.0
        self._squares: Any = 0.0

    def add(self, output: NDArray[np.float64]) -> None:
        """Adds those of some images, `(B, N, D)`."""
        self.images += len(output)
        self._sum = self._sum + output.sum(axis=0)
        self._squares = self._squares + (output**2).sum(axis=0)
        self.medians.append(float(np.median(np.abs(output))))
        self.largest = max(self.largest, float(np.abs(output).max()))

    @property
    def mean(self) -> NDArray[np.float64]:
        return self._sum / self.images

    @property
    def square(self) -> NDArray[np.float64]:
        return self._squares / self.images

    def large(self) -> NDArray[np.bool_]:
        """Returns which channels are the large ones, `(D,)`: 1 % of them, by mean square."""
        squares = self.square.mean(axis=0)
        count = max(1, round(_LARGE * len(squares)))
        return squares >= np.sort(squares)[-count]


def check(model: MultiPass) -> None:
    """Refuses a model of another family.

    Raises:
        UserError: for any but ViT and DeiT.
    """
    if not isinstance(model, VisionTransformer):
        raise UserError(f"--variants is for ViT and DeiT; {model.registry_name} is neither")


def _branches(model: VisionTransformer) -> list[nn.Layer]:
    """Returns the last layers of all residual branches, whose output dropout takes."""
    return [last for block in model.blocks for last in (block.attn.proj, block.mlp.fc2)]


def outputs_of(subject: Subject) -> list[Outputs]:
    """Returns what each residual branch puts out in a pass without noise."""
    layers = _branches(subject.model)
    found = {layer: Outputs() for layer in layers}

    def add(layer: nn.Layer, inputs: tuple[Tensor, ...], output: Tensor) -> None:
        found[layer].add(output.astype("float32").numpy().astype(np.float64))

    with watched(layers, after=add):
        passes.run(subject.model, subject.images, subject.config)
    return [found[layer] for layer in layers]


def _noise_of(kind: str, outputs: Outputs, rate: float) -> Any:
    """Returns a hook that drops elements of a branch's output as a kind says."""
    large = outputs.large().astype(np.float32)
    part = {"all but the large channels": 1 - large, "the large channels only": large}.get(kind)
    centre = {
        "means of the channels kept": outputs.mean.mean(axis=0),
        "means of tokens and channels kept": outputs.mean,
    }.get(kind, np.zeros_like(large))
    share = paddle.to_tensor(np.ones_like(large) if part is None else part)
    middle = paddle.to_tensor(centre.astype(np.float32))

    def drop(layer: nn.Layer, inputs: tuple[Tensor, ...], output: Tensor) -> Tensor:
        moved = output - middle
        return output + share * (dropped(moved, rate) - moved)

    return drop


def dropped(x: Tensor, rate: float) -> Tensor:
    """Returns usual dropout of `x`, `(B, ...)`."""
    keep = paddle.to_tensor(keep_mask(x.shape, rate).numpy(), place=x.place)
    return x * keep.astype(x.dtype) * kept_scale(rate)


def _before(rate: float) -> Any:
    """Returns a hook that drops elements of what a linear layer reads."""
    return lambda layer, inputs: (dropped(inputs[0], rate), *inputs[1:])


_OUTPUTS = (
    "usual dropout",
    "means of the channels kept",
    "means of tokens and channels kept",
    "all but the large channels",
    "the large channels only",
)
_INPUTS = "before the last linear layers"


@contextlib.contextmanager
def _with(kind: str, model: MultiPass, outputs: list[Outputs], rate: float) -> Iterator[None]:
    """A context in which the branches of a model have a kind of dropout, also in evaluation."""
    layers = _branches(model)
    with contextlib.ExitStack() as hooks:
        for layer, own in zip(layers, outputs):
            one = {"before": _before(rate)} if kind == _INPUTS else {}
            one = one or {"after": _noise_of(kind, own, rate)}
            hooks.enter_context(watched([layer], **one))
        yield


def measure(subject: Subject, rates: Sequence[float], repeats: int) -> dict[str, Any]:
    """Measures each kind of dropout at each rate, and the sizes of the channels.

    Args:
        subject: a ViT or DeiT.
        rates: above 0.
        repeats: passes of each.

    Returns:
        `survival`: lists over the rates, by kind. `branches`: the sizes of each branch's output.
    """
    outputs, model = outputs_of(subject), subject.model
    seen = subject.images, subject.config
    found: dict[str, list[float]] = {}
    kinds = (*_OUTPUTS, _INPUTS)
    noises = len(kinds) * len(rates) * repeats
    tried = progress_lines.evaluation(len(subject.images) * noises, "measured")
    with subject.profile.at({}):
        clean = passes.run(model, *seen).features
        for kind in kinds:
            found[kind] = []
            for rate in rates:
                with _with(kind, model, outputs, rate):
                    each = [
                        passes.run(
                            model, subject.images, subject.config, number, on_images=tried
                        ).features
                        for number in range(repeats)
                    ]
                found[kind].append(float(np.mean([survival(clean, one) for one in each])))
    return {"survival": found, "branches": [_sizes(one) for one in outputs]}


def _sizes(outputs: Outputs) -> dict[str, float]:
    """Returns how uneven a branch's output is.

    `of_large` is the share of the energy (the mean square) in the large channels, `of_means` that
    in the means of the channels, `of_token_means` that in the means of tokens and channels: what is
    the same for all images.
    """
    whole = outputs.square.mean()
    return {
        "median": float(np.median(outputs.medians)),
        "largest": outputs.largest,
        "of_large": float(outputs.square[:, outputs.large()].sum() / outputs.square.sum()),
        "of_means": float((outputs.mean.mean(axis=0) ** 2).mean() / whole),
        "of_token_means": float((outputs.mean**2).mean() / whole),
    }


def describe(found: Mapping[str, Any], rates: Sequence[float]) -> Iterator[str]:
    """Yields the lines of `measure`."""
    yield "experiments with the outputs of the residual branches: what survives"
    width = max(map(len, found["survival"])) + 2
    heads = "".join(f"{rate:>8g}" for rate in rates)
    yield f"{'dropout':{width}}{heads}  {KEPT:g} survives at"
    for kind, values in found["survival"].items():
        shown = "".join(f"{value:8.2f}" for value in values)
        yield f"{kind:{width}}{shown}  {text.rate_that_keeps(rate_keeping([*zip(rates, values)]))}"
    branches = found["branches"]
    ratios = [one["largest"] / max(one["median"], 1e-30) for one in branches]
    yield f"of the {len(branches)} branches (lowest, median, highest):"
    yield f"  the largest value is {_spread(ratios, '')} times the median"
    for name, what in _SHARES.items():
        yield f"  {what}: {_spread([100 * one[name] for one in branches], ' %')} of the energy"


_SHARES = {
    "of_large": "the largest 1 % of the channels",
    "of_means": "the means of the channels",
    "of_token_means": "the means of tokens and channels, which all images share",
}


def _spread(values: Sequence[float], unit: str) -> str:
    return ", ".join(f"{one:.0f}{unit}" for one in np.quantile(values, [0, 0.5, 1]))
