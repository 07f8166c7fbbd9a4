"""The micro-batches of any steps of a run, and what is in them: functions of the config and the
step.
"""

from __future__ import annotations

import itertools
from collections.abc import Iterator
from typing import NamedTuple

import data
from data import ImageDataset


class TrainingSets(NamedTuple):
    """The images with labels, and those without; None where there are none."""

    labelled: ImageDataset
    unlabelled: ImageDataset | None


def batches(config, sets: TrainingSets, first: int, end: int, workers: int) -> Iterator[data.Batch]:
    """This card's micro-batches of the steps `first ... end - 1`; images without labels come after
    the others.
    """
    loaders = [
        data.load(dataset, sampler, workers)
        for dataset, sampler in _samplers(config, sets, first, end)
    ]
    return data.join(*loaders) if len(loaders) > 1 else loaders[0]


def image_names(config, sets: TrainingSets, step: int) -> list[list[str]]:
    """The names of the images in each of this card's micro-batches of a step, in their order
    there.
    """
    parts = [
        [[dataset.source.name(key[1]) for key in keys] for keys in sampler]
        for dataset, sampler in _samplers(config, sets, step, step + 1)
    ]
    return [list(itertools.chain(*micro_batch)) for micro_batch in zip(*parts)]


def _samplers(
    config, sets: TrainingSets, first: int, end: int
) -> list[tuple[ImageDataset, data.TrainSampler]]:
    train = config.train
    parts = [(sets.labelled, train.batch_size, config.data.repeats)]
    if sets.unlabelled is not None:
        parts.append((sets.unlabelled, config.rdrop.unlabelled_batch_size, 1))
    return [
        (
            dataset,
            data.TrainSampler(
                dataset, size, train.accumulation_steps, end, config.seed, first, repeats
            ),
        )
        for dataset, size, repeats in parts
    ]
