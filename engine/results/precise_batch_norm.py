"""Precise batch norm: exact mean and variance over many images of the training set, for the weights
as they are.

Source: Wu and Johnson, "Rethinking Batch in BatchNorm", arXiv:2105.07576, section 3. The running
statistics of training lag behind the weights, and are of no averaged weights at all. Here each
layer's statistics are those of all values that it is given in a number of training batches, which
are normalised by their own statistics in the layers before it.
"""

from __future__ import annotations

import contextlib
from collections.abc import Callable, Iterable, Iterator

import numpy as np
import paddle
from paddle import Tensor, nn

import data
import models
from engine import distributed
from models.input_images import normalise


def _sums(values: Tensor) -> np.ndarray:
    """`(3, C)` in float64: number, sum and sum of squares of the values of each channel, which is
    axis 1.
    """
    axes = [axis for axis in range(values.ndim) if axis != 1]
    values = values.astype("float64")
    count = paddle.full([values.shape[1]], values.size // values.shape[1], "float64")
    return paddle.stack([count, values.sum(axes), values.square().sum(axes)]).numpy()


@paddle.no_grad()
def estimate(model: nn.Layer, batches: Iterable[Tensor]) -> None:
    """Set the running statistics of all batch norms to the mean and the (biased) variance over
    batches of all cards.

    Args:
        model: not wrapped for several cards; comes back in the mode that it was in.
        batches: normalised images `(B, 3, S, S)`, as many on each card.
    """
    norms, was_training = models.batch_norms(model), model.training
    found = [np.zeros((3, norm._mean.shape[0])) for norm in norms]

    def watch(place: int):
        def hook(layer, inputs) -> None:
            found[place] += _sums(inputs[0])

        return hook

    hooks = [norm.register_forward_pre_hook(watch(place)) for place, norm in enumerate(norms)]
    try:
        model.eval()
        for norm in norms:
            norm.train()
        for images in batches:
            model(images)
    finally:
        for hook in hooks:
            hook.remove()
        model.train() if was_training else model.eval()
    total = distributed.sum_over_ranks(np.concatenate([sums.ravel() for sums in found]))
    for norm, flat in zip(norms, np.split(total, np.cumsum([sums.size for sums in found])[:-1])):
        count, first, second = flat.reshape(3, -1)
        mean = first / count
        norm._mean.set_value(mean.astype(np.float32))
        norm._variance.set_value(np.maximum(second / count - mean**2, 0).astype(np.float32))


def _images(batches: Iterable[data.Batch], config, check: Callable[[], None]) -> Iterator[Tensor]:
    for batch in batches:
        check()
        yield normalise(batch.pixels(), config)


@contextlib.contextmanager
def precise_statistics(model: nn.Layer, dataset, config, check=lambda: None) -> Iterator[None]:
    """A context in which batch norms have the statistics of `average.precise_bn_batches` training
    batches a card.

    They are the first ones that the seed gives, so that the same weights always get the same
    statistics. `check` is called before each of them, and may end it by raising on all processes;
    the statistics are then those of before.
    """
    batches, norms = config.average.precise_bn_batches, models.batch_norms(model)
    if not batches or not norms:
        yield
        return
    own = [(norm._mean.clone(), norm._variance.clone()) for norm in norms]
    sampler = data.TrainSampler(dataset, config.train.batch_size, 1, batches, config.seed, 0)
    try:
        estimate(
            model, _images(data.load(dataset, sampler, config.data.workers), config.model, check)
        )
        yield
    finally:
        for norm, (mean, variance) in zip(norms, own):
            norm._mean.set_value(mean)
            norm._variance.set_value(variance)
