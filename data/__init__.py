"""Builds data sets by name, and loads their images in batches.

`sets/` reads images and labels, `splits.py` divides them, `augment/` changes the images,
`sampler.py` decides which images a step sees, and `loader.py` returns them in batches.
"""

from data.augment.erasing import Erasing
from data.augment.mixing import Mixing
from data.build import build, facts
from data.config_checks import check_outside
from data.dataset import UNREADABLE, ImageDataset
from data.loader import Batch, join, load
from data.sampler import EvalSampler, TrainSampler
from data.sets.registry import DATASETS

__all__ = [
    "DATASETS",
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
