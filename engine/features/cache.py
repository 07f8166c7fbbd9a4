"""The output of a model's frozen part for each image and view, computed once and kept in memory.

The pass that computes it goes through the images in their order, in batches of `eval.batch_size`:
its bits depend neither on the step at which a run goes on nor on the number of processes.
"""

from __future__ import annotations

import itertools
from collections.abc import Callable, Generator, Iterable, Iterator
from typing import Any, NamedTuple

import numpy as np
import paddle
from ml_collections import ConfigDict
from numpy.typing import NDArray
from paddle import nn

import data
import models
from engine import distributed
from engine.results import progress_lines
from engine.step.training_batches import FeatureBatch, TrainingSets, samplers
from models.layers import changed

_PIECE = 1 << 22  # numbers that processes exchange at a time


class _View(NamedTuple):
    """Of all images in one view: features `(N, ...)`, labels `(N,)`, whether replaced `(N,)`."""

    features: NDArray[np.float32]
    labels: NDArray[np.int64]
    skipped: NDArray[np.int64]


class FeatureCache:
    """The features of some sets of images, for a model whose weights below them stay as they are.

    Args:
        model: with its `cut`; not wrapped for several cards.
        config: a whole config.
        part: of the model, in front of the cut.
        check: called before each batch that all processes have; may raise on all of them.
    """

    def __init__(
        self,
        model: nn.Layer,
        config: ConfigDict,
        part: models.FrozenPart,
        check: Callable[[], None] = lambda: None,
    ):
        self.model, self.config, self.part, self._check = model, config, part, check
        self._views: dict[tuple[data.ImageDataset, tuple[int, ...]], _View] = {}

    def micro_batches(
        self, sets: TrainingSets, first: int, end: int
    ) -> Generator[FeatureBatch, None, None]:
        """Computes the views that are missing; returns the micro-batches of some steps.

        Args:
            sets: the training images; in a micro-batch those without labels come last.
            first: number of optimiser steps before the first one.
            end: number of optimiser steps that are done after the last one.
        """
        parts = [*samplers(self.config, sets, first, end)]
        for dataset, sampler in parts if end > first else ():
            repeats = [(one,) for one in range(sampler.repeats)] if sampler.repeats > 1 else [()]
            keys = ((epoch, 0, *one) for epoch, one in itertools.product(sampler.epochs, repeats))
            self._fill(dataset, {_without_index(dataset.view(key)) for key in keys})
        return self._joined(parts)

    def evaluated(
        self, dataset: data.ImageDataset, sampler: data.EvalSampler
    ) -> Iterator[FeatureBatch]:
        """Computes the features if they are missing; yields the batches of an evaluation."""
        self._fill(dataset, {(0,)})
        for keys in sampler:
            yield self._batch(dataset, keys)

    def _joined(
        self, parts: list[tuple[data.ImageDataset, data.TrainSampler]]
    ) -> Generator[FeatureBatch, None, None]:
        for several in zip(*(sampler for _, sampler in parts)):
            batches = [self._batch(dataset, keys) for (dataset, _), keys in zip(parts, several)]
            features = [one.features for one in batches]
            yield FeatureBatch(
                paddle.concat(features) if len(features) > 1 else features[0],
                batches[0].labels,
                sum(one.skipped for one in batches),
            )

    def _batch(self, dataset: data.ImageDataset, keys: list[tuple[int, ...]]) -> FeatureBatch:
        shown = [dataset.view(key) for key in keys]
        rows = [(self._views[dataset, _without_index(view)], view[1]) for view in shown]
        features = paddle.to_tensor(np.stack([view.features[index] for view, index in rows]))
        labels = np.array([view.labels[index] for view, index in rows])
        skipped = sum(int(view.skipped[index]) for view, index in rows)
        return FeatureBatch(features.astype(self.part.dtype), paddle.to_tensor(labels), skipped)

    def _fill(self, dataset: data.ImageDataset, views: Iterable[tuple[int, ...]]) -> None:
        """Computes the views of a set that are not there yet; all ranks call it together."""
        missing = sorted(view for view in views if (dataset, view) not in self._views)
        images = len(missing) * len(dataset)
        on_batch = progress_lines.evaluation(images, "frozen part: passed")
        for view in missing:
            self._views[dataset, view] = self._compute(dataset, view, on_batch)

    @paddle.no_grad()
    def _compute(
        self, dataset: data.ImageDataset, view: tuple[int, ...], on_batch: Callable[[int], None]
    ) -> _View:
        config, size = self.config, len(dataset)
        features = np.zeros((size, *self.part.shape), np.float32)
        found = _View(features, np.zeros(size, np.int64), np.zeros(size, np.int64))
        sampler = data.ViewSampler(dataset, view, config.eval.batch_size)
        loaded = data.load(dataset, sampler, config.data.workers)
        with changed(self.model.sublayers(include_self=True), training=False):
            for number, (keys, batch) in enumerate(zip(sampler, loaded)):
                if number < sampler.common_batches:
                    self._check()
                rows = slice(keys[0][1], keys[-1][1] + 1)
                put_out = self.model.features(models.normalise(batch.pixels(), config.model))
                found.features[rows] = put_out.astype("float32").numpy()
                found.labels[rows] = batch.labels.numpy()
                found.skipped[rows] = _replaced(dataset, keys) if batch.skipped else 0
                on_batch(len(keys))
        for array in found:
            _add_up(array)
        return found


def _without_index(view: tuple[int, ...]) -> tuple[int, ...]:
    """Returns the epoch and, where there is one, the repeat."""
    return (view[0], *view[2:])


def _replaced(dataset: data.ImageDataset, keys: list[tuple[int, ...]]) -> list[int]:
    """Returns which images of a batch are damaged, as 0 and 1; they are read once more."""
    found = [dataset[key][2] for key in keys]
    dataset.take_skipped()  # they have been named
    return found


def _add_up(array: NDArray[Any]) -> None:
    """Adds the arrays of all ranks in place; each has its own rows, and 0 in the others."""
    if distributed.world_size() == 1:
        return
    distributed.exchange("")  # waits for the slowest rank, longer than a sum does
    flat = array.reshape(-1)
    for begin in range(0, len(flat), _PIECE):
        flat[begin : begin + _PIECE] = distributed.sum_over_ranks(flat[begin : begin + _PIECE])
