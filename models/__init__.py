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
from models.families.parts import Parts
from models.freezing import TRAINABLE, FrozenPart, cut_frozen, freeze
from models.input_images import InputStats, normalise
from models.layer_numbers import layer_numbers
from models.layers import batch_norms, batch_rows, random_layers
from models.registry import MODELS, SUGGESTED
from models.weights.formats.array_files import read_arrays, write_arrays
from models.weights.imagenet_classes import imagenet_ids, imagenet_rows
from models.weights.loading import Report, assign, assign_all, fit, load_weights
from models.weights.reading import digest_of, read_weights
from models.weights.sources.locations import locate, named_weights, needs_download
from models.weights.sources.published import is_published
from models.weights.sources.published import sources as published_sources
from models.weights.stated.stated_input import stated_input
from models.weights.told.architecture import model_of, resolve

__all__ = [
    "EVAL_HEADS",
    "MODELS",
    "SUGGESTED",
    "TRAINABLE",
    "TRAIN_HEADS",
    "Abilities",
    "FrozenPart",
    "InputStats",
    "Parts",
    "Report",
    "abilities",
    "assign",
    "assign_all",
    "batch_norms",
    "batch_rows",
    "build",
    "create",
    "cut_frozen",
    "digest_of",
    "fit",
    "freeze",
    "imagenet_ids",
    "imagenet_rows",
    "input_stats",
    "is_distilled",
    "is_published",
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
    "read_weights",
    "resolve",
    "stated_input",
    "write_arrays",
]
