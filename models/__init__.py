"""Models by name: `create`, or `build` from a config; and pretrained weights."""

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
from models.weights.formats.array_files import read_arrays, write_arrays
from models.weights.imagenet_classes import imagenet_rows
from models.weights.loading import Report, assign, assign_all, fit, load_weights
from models.weights.sources import locate, named_weights, needs_download

__all__ = [
    "EVAL_HEADS",
    "MODELS",
    "TRAINABLE",
    "TRAIN_HEADS",
    "InputStats",
    "Report",
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
    "named_weights",
    "native_size",
    "needs_download",
    "normalise",
    "random_layers",
    "read_arrays",
    "write_arrays",
]
