"""The output of a model's frozen part for each image and view, computed once and kept.

The pass that computes it goes through the images in their order, in batches of `eval.batch_size`:
its bits depend neither on the step at which a run goes on nor on the number of processes.
"""

from __future__ import annotations

import functools
import hashlib
import itertools
import json
from collections.abc import Callable, Generator, Iterable, Iterator
from typing import Any

import numpy as np
import paddle
from ml_collections import ConfigDict
from numpy.typing import NDArray
from paddle import nn

import data
import models
from engine import distributed
from engine.features.decision import TRAIN, UNLABELLED, VAL
from engine.features.views import Disk, Memory, View
from engine.results import progress_lines
from engine.step import mixed_precision
from engine.step.training_batches import FeatureBatch, TrainingSets, samplers
from models.layers import changed

_PIECE = 1 << 22  # numbers that processes exchange at a time


class FeatureCache:
    """The features of some sets of images, for a model whose weights below them stay as they are.

    Args:
        model: with its `cut`; not wrapped for several cards.
        config: a whole config.
        sets: the sets of images by their names, `train` among them.
        part: of the model, in front of the cut.
        place: where the features are kept.
        check: called before each batch that all processes have; may raise on all of them.

    Attributes:
        views: what is there, by the name of the set and the view.
    """

    def __init__(
        self,
        model: nn.Layer,
        config: ConfigDict,
        sets: dict[str, data.ImageDataset],
        part: models.FrozenPart,
        place: Memory | Disk,
        check: Callable[[], None] = lambda: None,
    ):
        self.model, self.config, self.sets, self.part = model, config, sets, part
        self._place, self._check = place, check
        self.views: dict[tuple[str, tuple[int, ...]], View] = {}

    def micro_batches(self, first: int, end: int) -> Generator[FeatureBatch, None, None]:
        """Computes the views that are missing; returns the micro-batches of some steps.

        Args:
            first: number of optimiser steps before the first one.
            end: number of optimiser steps that are done after the last one.
        """
        sets = TrainingSets(self.sets[TRAIN], self.sets.get(UNLABELLED))
        used = [sampler for _, sampler in samplers(self.config, sets, first, end)]
        parts = dict(zip((TRAIN, UNLABELLED), used))
        for name, sampler in parts.items() if end > first else ():
            repeats = [(one,) for one in range(sampler.repeats)] if sampler.repeats > 1 else [()]
            keys = ((epoch, 0, *one) for epoch, one in itertools.product(sampler.epochs, repeats))
            self._fill(name, {_without_index(self.sets[name].view(key)) for key in keys})
        return self._joined(parts)

    def evaluated(self, sampler: data.EvalSampler) -> Iterator[FeatureBatch]:
        """Computes the features if they are missing; yields the batches of held-out images."""
        self._fill(VAL, {(0,)})
        for keys in sampler:
            yield self._batch(VAL, keys)

    def _joined(self, parts: dict[str, data.TrainSampler]) -> Generator[FeatureBatch, None, None]:
        for several in zip(*parts.values()):
            batches = [self._batch(name, keys) for name, keys in zip(parts, several)]
            features = [one.features for one in batches]
            yield FeatureBatch(
                paddle.concat(features) if len(features) > 1 else features[0],
                batches[0].labels,
                sum(one.skipped for one in batches),
            )

    def _batch(self, name: str, keys: list[tuple[int, ...]]) -> FeatureBatch:
        shown = [self.sets[name].view(key) for key in keys]
        rows = [(self.views[name, _without_index(view)], view[1]) for view in shown]
        features = paddle.to_tensor(np.stack([view.features[index] for view, index in rows]))
        labels = np.array([view.labels[index] for view, index in rows])
        skipped = sum(int(view.skipped[index]) for view, index in rows)
        return FeatureBatch(features.astype(self.part.dtype), paddle.to_tensor(labels), skipped)

    def _fill(self, name: str, views: Iterable[tuple[int, ...]]) -> None:
        """Computes the views of a set that are not there yet; all ranks call it together."""
        missing = sorted(view for view in views if (name, view) not in self.views)
        images = len(missing) * len(self.sets[name])
        on_batch = progress_lines.evaluation(images, "frozen part: passed")
        for view in missing:
            file = "_".join(map(str, (name, *view)))
            shape = (len(self.sets[name]), *self.part.shape)
            identity = self._identity(name, view)
            found = self._place.find(file, identity, shape)
            if found is None:
                features = self._place.new(file, shape)
                computed = self._compute(self.sets[name], view, features, on_batch)
                found = self._place.keep(file, identity, computed)
            self.views[name, view] = found

    @paddle.no_grad()
    def _compute(
        self,
        dataset: data.ImageDataset,
        view: tuple[int, ...],
        features: NDArray[np.float32],
        on_batch: Callable[[int], None],
    ) -> View:
        """Fills the features `(N, ...)`, of which each rank computes its rows."""
        config, labels, skipped = self.config, *np.zeros((2, len(dataset)), np.int64)
        sampler = data.ViewSampler(dataset, view, config.eval.batch_size)
        loaded = data.load(dataset, sampler, config.data.workers)
        with changed(self.model.sublayers(include_self=True), training=False):
            for number, (keys, batch) in enumerate(zip(sampler, loaded)):
                if number < sampler.common_batches:
                    self._check()
                rows = slice(keys[0][1], keys[-1][1] + 1)
                put_out = self.model.features(models.normalise(batch.pixels(), config.model))
                features[rows] = put_out.astype("float32").numpy()
                labels[rows] = batch.labels.numpy()
                skipped[rows] = _replaced(dataset, keys) if batch.skipped else 0
                on_batch(len(keys))
        for array in (labels, skipped) if self._place.shared else (features, labels, skipped):
            _add_up(array)
        return View(features, labels, skipped)

    def _identity(self, name: str, view: tuple[int, ...]) -> str:
        """Returns a hash of all that the features of a view depend on."""
        config = self.config
        stated = {
            "body": self._body,
            "part": self.part,
            "images": self.sets[name].digests(),
            "view": [name, *view],
            "data": config.data.to_dict(),
            "model": config.model.to_dict(),
            "seed": config.seed,
            "batch": config.eval.batch_size,
            "half": [config.train.amp_dtype, *mixed_precision.describe(self.model, config.train)],
            "paddle": [paddle.__version__, paddle.get_device(), self.model.describe_operators()],
        }
        return hashlib.sha256(json.dumps(stated, sort_keys=True).encode()).hexdigest()

    @functools.cached_property
    def _body(self) -> str:
        """A hash of the weights that are not trained."""
        found = hashlib.sha256()
        for name, value in self.model.state_dict().items():
            if value.stop_gradient:
                found.update(name.encode())
                found.update(np.ascontiguousarray(value.numpy()).data)
        return found.hexdigest()


def _without_index(view: tuple[int, ...]) -> tuple[int, ...]:
    """Returns the epoch and, where there is one, the repeat."""
    return (view[0], *view[2:])


def _replaced(dataset: data.ImageDataset, keys: list[tuple[int, ...]]) -> list[int]:
    """Returns which images of a batch are damaged, as 0 and 1; they are read once more."""
    return [dataset[key][2] for key in keys]


def _add_up(array: NDArray[Any]) -> None:
    """Adds the arrays of all ranks in place; each has its own rows, and 0 in the others."""
    if distributed.world_size() == 1:
        return
    distributed.exchange("")  # waits for the slowest rank, longer than a sum does
    flat = array.reshape(-1)
    for begin in range(0, len(flat), _PIECE):
        flat[begin : begin + _PIECE] = distributed.sum_over_ranks(flat[begin : begin + _PIECE])
