"""Models by name: `create`, or `build` from a config; and pretrained weights."""

from models.abilities import Abilities, abilities
from models.create import (
    EVAL_HEADS,
    TRAIN_HEADS,
    build,
    create,
    input_stats,
    is_distilled,
    native_size,
)
from models.freezing import TRAINABLE, freeze
from models.input_images import InputStats, normalise
from models.layer_numbers import layer_numbers
from models.layers import batch_norms, batch_rows, random_layers
from models.registry import MODELS
from models.weights.architecture import model_of
from models.weights.formats.array_files import read_arrays, write_arrays
from models.weights.imagenet_classes import imagenet_rows
from models.weights.loading import Report, assign, assign_all, fit, load_weights
from models.weights.published import sources as published_sources
from models.weights.sources import locate, named_weights, needs_download
from models.weights.stated_input import stated_input

__all__ = [
    "EVAL_HEADS",
    "MODELS",
    "TRAINABLE",
    "TRAIN_HEADS",
    "Abilities",
    "InputStats",
    "Report",
    "abilities",
    "assign",
    "assign_all",
    "batch_norms",
    "batch_rows",
    "build",
    "create",
    "fit",
    "freeze",
    "imagenet_rows",
    "input_stats",
    "is_distilled",
    "layer_numbers",
    "load_weights",
    "locate",
    "model_of",
    "named_weights",
    "native_size",
    "needs_download",
    "normalise",
    "published_sources",
    "random_layers",
    "read_arrays",
    "stated_input",
    "write_arrays",
]
