"""Builds data sets by name, and loads their images in batches.

`sets/` reads images and labels, `splits.py` divides them, `augment/` changes the images,
`sampler.py` decides which images a step sees, and `loader.py` returns them in batches.
"""

from data.augment.erasing import Erasing
from data.augment.mixing import Mixing
from data.build import Splits, build, build_splits, facts, has_own_val
from data.config_checks import check_outside, parts_next_to, usual_exif
from data.dataset import UNREADABLE, ImageDataset
from data.files.open_tree import reused
from data.images.image_files import REMEDY
from data.images.quick_look import look_at
from data.loader import Batch, join, load
from data.sampler import EvalSampler, TrainSampler, ViewSampler
from data.sets.registry import DATASETS

__all__ = [
    "DATASETS",
    "REMEDY",
    "UNREADABLE",
    "Batch",
    "Erasing",
    "EvalSampler",
    "ImageDataset",
    "Mixing",
    "Splits",
    "TrainSampler",
    "ViewSampler",
    "build",
    "build_splits",
    "check_outside",
    "facts",
    "has_own_val",
    "join",
    "load",
    "look_at",
    "parts_next_to",
    "reused",
    "usual_exif",
]
