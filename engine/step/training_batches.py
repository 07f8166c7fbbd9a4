"""The micro-batches of any steps of a run, and which images are in them.

Both are functions of the config and the step.
"""

from __future__ import annotations

import itertools
from collections.abc import Generator, Iterator
from typing import NamedTuple

from ml_collections import ConfigDict
from paddle import Tensor

import data


class FeatureBatch(NamedTuple):
    """A micro-batch of which the output of the model's frozen part is known.

    Attributes:
        features: `(B + U, ...)`, what the model goes on from with `cached`.
        labels: int64 `(B,)`.
        skipped: number of damaged images that were replaced.
    """

    features: Tensor
    labels: Tensor
    skipped: int


class TrainingSets(NamedTuple):
    """The images with labels, and those without labels (None: there are none)."""

    labelled: data.ImageDataset
    unlabelled: data.ImageDataset | None


def micro_batches(
    config: ConfigDict, sets: TrainingSets, first: int, end: int, workers: int
) -> Generator[data.Batch, None, None]:
    """Yields this card's micro-batches of the steps `first ... end - 1`.

    Args:
        config: a whole config.
        sets: the training images; in a micro-batch those without labels come last.
        first: number of optimiser steps before the first one.
        end: number of optimiser steps that are done after the last one.
        workers: number of processes that read images; 0: this process.
    """
    parts = samplers(config, sets, first, end)
    loaders = [data.load(dataset, sampler, workers) for dataset, sampler in parts]
    return data.join(*loaders) if len(loaders) > 1 else loaders[0]


def image_names(config: ConfigDict, sets: TrainingSets, step: int) -> list[list[str]]:
    """Returns the names of the images in each of this card's micro-batches of a step, in order."""
    parts = [
        [[dataset.source.name(key[1]) for key in keys] for keys in sampler]
        for dataset, sampler in samplers(config, sets, step, step + 1)
    ]
    return [list(itertools.chain(*micro_batch)) for micro_batch in zip(*parts)]


def samplers(
    config: ConfigDict, sets: TrainingSets, first: int, end: int
) -> Iterator[tuple[data.ImageDataset, data.TrainSampler]]:
    """Yields each training set with the sampler of its part of the micro-batches."""
    accumulation, seed = config.train.accumulation_steps, config.seed
    parts = [(sets.labelled, config.train.batch_size, config.data.repeats)]
    if sets.unlabelled is not None:
        parts.append((sets.unlabelled, config.rdrop.unlabelled_batch_size, 1))
    for dataset, size, repeats in parts:
        yield dataset, data.TrainSampler(dataset, size, accumulation, end, seed, first, repeats)
