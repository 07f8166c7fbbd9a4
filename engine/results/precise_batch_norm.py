"""Precise batch norm: exact statistics over many training images, for the weights as they are.

Source: Wu and Johnson, "Rethinking Batch in BatchNorm", arXiv:2105.07576, section 3. The running
statistics of training lag behind the weights, and do not belong to averaged weights at all. Here
the mean and the variance of each layer are those of all its input values in a number of training
batches. The layers before it normalise each batch by the batch's own statistics.
"""

import contextlib
import functools
from collections.abc import Callable, Iterable, Iterator

import numpy as np
import paddle
from ml_collections import ConfigDict
from numpy.typing import NDArray
from paddle import Tensor, nn

import data
import models
from engine import distributed
from models.layers import watched


@paddle.no_grad()
def estimate(model: nn.Layer, batches: Iterable[Tensor]) -> None:
    """Sets the running statistics of all batch norms to those over the batches of all cards.

    They become the mean and the (biased) variance.

    Args:
        model: not wrapped for several cards; its mode is the same afterwards.
        batches: normalised images `(B, 3, S, S)`, the same number of batches on each card.
    """
    norms, was_training = models.batch_norms(model), model.training
    sums = {norm: np.zeros((3, norm._mean.shape[0])) for norm in norms}
    try:
        model.eval()
        for norm in norms:
            norm.train()
        with watched(norms, before=functools.partial(_add_sums, sums)):
            for images in batches:
                model(images)
    finally:
        model.train() if was_training else model.eval()
    total = distributed.sum_over_ranks(np.concatenate(list(sums.values()), axis=1))
    ends = np.cumsum([own.shape[1] for own in sums.values()])
    for norm, (count, first, second) in zip(norms, np.split(total, ends[:-1], axis=1)):
        mean = first / count
        norm._mean.set_value(mean.astype(np.float32))
        norm._variance.set_value(np.maximum(second / count - mean**2, 0).astype(np.float32))


def _add_sums(
    sums: dict[nn.Layer, NDArray[np.float64]], layer: nn.Layer, inputs: tuple[Tensor, ...]
) -> None:
    """Adds to float64 `(3, C)`: number, sum and sum of squares of each channel's input values."""
    values = inputs[0].astype("float64")
    axes = [axis for axis in range(values.ndim) if axis != 1]  # axis 1 is that of the channels
    count = paddle.full([values.shape[1]], values.size // values.shape[1], "float64")
    sums[layer] += paddle.stack([count, values.sum(axes), values.square().sum(axes)]).numpy()


@contextlib.contextmanager
def precise_statistics(
    model: nn.Layer,
    dataset: data.ImageDataset,
    config: ConfigDict,
    check: Callable[[], None] = lambda: None,
) -> Iterator[None]:
    """A context in which batch norms have precise statistics; afterwards they have their own again.

    The statistics are those of the first `average.precise_bn_batches` training batches of a card,
    in the order of the seed: the same weights always get the same statistics.

    Args:
        model: not wrapped for several cards.
        dataset: the training images.
        config: a whole config.
        check: called before each batch; may raise on all processes, which ends the context.
    """
    count, norms = config.average.precise_bn_batches, models.batch_norms(model)
    if not count or not norms:
        yield
        return
    own = [(norm._mean.clone(), norm._variance.clone()) for norm in norms]
    sampler = data.TrainSampler(dataset, config.train.batch_size, 1, count, config.seed)
    batches = data.load(dataset, sampler, config.data.workers)
    try:
        estimate(model, _images(batches, config, check))
        yield
    finally:
        for norm, (mean, variance) in zip(norms, own):
            norm._mean.set_value(mean)
            norm._variance.set_value(variance)


def _images(
    batches: Iterable[data.Batch], config: ConfigDict, check: Callable[[], None]
) -> Iterator[Tensor]:
    for batch in batches:
        check()
        yield models.normalise(batch.pixels(), config.model)
