"""Measures survival: how much of what tells images apart is left in noisy features.

For each image the cosine between its features with and without noise, both with the mean over the
images taken off; then the mean over images. 1: all survives; 0: nothing. Without taking the mean
off, what all images share would hide the loss.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import NamedTuple

import numpy as np
import paddle
from ml_collections import ConfigDict
from numpy.typing import NDArray

from common.errors import UserError
from engine.survival import passes
from engine.survival.places import Profile
from losses.rdrop import log_softmax, symmetric_kl
from models.layers import Rate
from models.multipass import MultiPass

KEPT = 0.9  # the survival that rates are told for


class Point(NamedTuple):
    """What was measured of one noise.

    Attributes:
        survival: mean over the passes.
        passes: the survival of each pass.
        kl: the symmetric KL divergence between the passes, in nats; None for a single pass.
    """

    survival: float
    passes: list[float]
    kl: float | None


class Keeping(NamedTuple):
    """The rate at which `KEPT` survives; `outside` is `above` or `below` the grid, or empty.

    Above the grid the rate is the highest of the grid: more would survive. Below it the rate is
    between 0, where all survives, and the lowest of the grid.
    """

    rate: float
    outside: str = ""


class Bench:
    """A model with some images, on which noise is tried out; both stay as they are.

    Args:
        model: of `build_model`, with its weights.
        profile: of its noise.
        images: uint8 `(N, 3, S, S)`, 2 or more.
        config: of the model.
        repeats: passes of each noise.
        on_images: called with a number of images when they have passed.

    Raises:
        UserError: when there are too few images, or their features are all the same.
    """

    def __init__(
        self,
        model: MultiPass,
        profile: Profile,
        images: NDArray[np.uint8],
        config: ConfigDict,
        repeats: int = 1,
        on_images: Callable[[int], None] = lambda count: None,
    ):
        if len(images) < 2:
            raise UserError(f"survival needs 2 or more readable images, there are {len(images)}")
        self.profile, self._repeats = profile, repeats
        self._model, self._images, self._config = model, images, config
        self._on_images = on_images
        self._clean = self._run(None).features
        if not np.isfinite(self._clean).all():
            raise UserError("the features of the images are not finite: the weights are damaged")
        if not _centred(self._clean).any():
            raise UserError("the features of all images are the same: nothing can survive")

    def at(self, rates: Mapping[str, Rate]) -> Point:
        """Measures the noise of these rates, by part."""
        copies = [len(rate) for rate in rates.values() if isinstance(rate, tuple)]
        repeats = max([self._repeats, *copies])
        with self.profile.at(rates):
            found = [self._run(one, one % max([1, *copies])) for one in range(repeats)]
        survived = [survival(self._clean, one.features) for one in found]
        kl = divergence([one.logits for one in found]) if repeats > 1 else None
        return Point(float(np.mean(survived)), survived, kl)

    def _run(self, number: int | None, copy: int = 0) -> passes.Passed:
        seed = None if number is None else self._config.seed + number
        return passes.run(
            self._model, self._images, self._config, seed, copy, on_images=self._on_images
        )


def _centred(features: NDArray[np.float64]) -> NDArray[np.float64]:
    return features - features.mean(axis=-2, keepdims=True)


def survival(clean: NDArray[np.float64], noisy: NDArray[np.float64]) -> float:
    """Returns the mean cosine between features `(..., N, D)`, the mean over images taken off.

    An image whose features are the mean has no direction: its cosine counts as 0.
    """
    one, other = _centred(clean), _centred(noisy)
    lengths = np.linalg.norm(one, axis=-1) * np.linalg.norm(other, axis=-1)
    products = (one * other).sum(axis=-1)
    return float(np.divide(products, lengths, np.zeros_like(products), where=lengths > 0).mean())


def divergence(logits: Sequence[NDArray[np.float64]]) -> float:
    """Returns R-Drop's symmetric KL between several passes `(N, C)`, in nats, mean over images."""
    values = paddle.to_tensor(np.stack(logits))
    return max(0.0, float(symmetric_kl(log_softmax(values), stop_gradient=False).mean()))


def rate_keeping(points: Sequence[tuple[float, float]], kept: float = KEPT) -> Keeping | None:
    """Returns the rate at which a share survives: linear between measured points.

    At rate 0 all survives. Where a higher rate was measured to survive better, by chance, the
    lower value before it is taken: what survives never grows with the rate.

    Args:
        points: pairs of rate (above 0) and survival.
        kept: the share, below 1.
    """
    if not points:
        return None
    ordered = sorted(points)
    rates = [0.0, *(rate for rate, _ in ordered)]
    values = np.minimum.accumulate([1.0, *(value for _, value in ordered)])
    below = np.flatnonzero(values < kept)
    if not len(below):
        return Keeping(rates[-1], "above")
    place = int(below[0])
    share = (values[place - 1] - kept) / (values[place - 1] - values[place])
    rate = rates[place - 1] + share * (rates[place] - rates[place - 1])
    return Keeping(float(rate), "below" if place == 1 else "")
