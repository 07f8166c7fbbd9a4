"""Data sets by name, split, transformed and loaded."""

from __future__ import annotations

from data.augment.erasing import Erasing
from data.augment.mixing import Mixing
from data.build import SPLITS, build, facts
from data.dataset import UNREADABLE, ImageDataset
from data.loader import Batch, join, load
from data.sampler import EvalSampler, TrainSampler
from data.sets.folder import check_outside
from data.sets.registry import DATASETS

__all__ = [
    "DATASETS",
    "SPLITS",
    "UNREADABLE",
    "Batch",
    "Erasing",
    "EvalSampler",
    "ImageDataset",
    "Mixing",
    "TrainSampler",
    "build",
    "check_outside",
    "facts",
    "join",
    "load",
]
