"""Reads the weights of a source, with timm's names where their library is known."""

from __future__ import annotations

import hashlib
from collections.abc import Mapping
from typing import Any, NamedTuple

import numpy as np

from common.reading import sha256
from common.safetensors_files import own_metadata, split_part
from models.abilities import made_from
from models.registry import MODELS
from models.weights.formats.stored import Stored, read_outline, read_stored
from models.weights.names.libraries.google import heads_of
from models.weights.names.refused import refuse_name
from models.weights.names.translate import to_timm
from models.weights.sources import published
from models.weights.sources.locations import beside, locate
from models.weights.stated.descriptions import Description, describe
from models.weights.stated.own_descriptions import with_own
from models.weights.told.parts import shape_of


class Weights(NamedTuple):
    """The weights of a source, and what is known of them."""

    origin: str  # the source, for messages
    arrays: dict[str, np.ndarray]  # with timm's names where the library is known
    library: str  # whose names they had, for people; empty: not known
    kind: str  # the format, for people
    own: dict[str, Any]  # what this project wrote into its own file
    description: Description  # what files beside the weights say
    dropped: tuple[str, ...]  # arrays that were left out on purpose
    said: tuple[str, ...]  # what a user should know, a sentence each
    choices: tuple[str, ...]  # other models in the file, for FILE#NAME


def read_weights(source: str, values: bool = True) -> Weights:
    """Reads the weights of a source.

    Args:
        source: a file, a folder, an address or a name; see `models/weights/sources/locations.py`.
        values: whether the values are needed. Without them the arrays have shapes and types only,
            and take no memory, where the format allows.

    Raises:
        UserError: when they can't be had or read, or are of a family that is not covered.
    """
    _, part = split_part(source)
    path = locate(source)
    stored: Stored = (read_stored if values else read_outline)(path, part)
    arrays, pooling = _without_pooling(stored.arrays, source)
    named = to_timm(arrays, source)
    own = own_metadata(stored.metadata, source) or {}
    described = _described(source)
    refuse_name(described.architecture, source)
    description, said = _fitting(described, named.arrays)
    description = with_own(description, own, source)
    heads = heads_of(stored.arrays)
    if heads:
        parts = {**description.parts, "heads": heads}
        description = description._replace(parts=parts, origin=description.origin or "an array")
    return Weights(
        source,
        named.arrays,
        named.library,
        stored.kind,
        own,
        description,
        (*pooling, *named.dropped),
        (*stored.said, *named.said, *said),
        stored.names,
    )


def _without_pooling(
    arrays: dict[str, np.ndarray], source: str
) -> tuple[dict[str, np.ndarray], list[str]]:
    """Leaves out what timm leaves out of SigLIP's files at names that take the mean instead.

    Returns:
        The arrays that are left, and the names of the others.
    """
    dropped = [name for name in arrays if "siglip_gap" in source and name.startswith("attn_pool.")]
    return {name: array for name, array in arrays.items() if name not in dropped}, dropped


def digest_of(source: str) -> str:
    """Returns the SHA-256 of the file of a source, as hexadecimal digits.

    Of a model in several files, it is that of the lines that `sha256sum` would print of them.
    """
    path = locate(source)
    single = path.is_file() and path.suffix != ".json"  # an index stands for its parts
    files = (path,) if single else read_outline(path, split_part(source)[1]).files
    if len(files) == 1:
        return sha256(files[0])
    lines = "".join(f"{sha256(path)}  {path.name}\n" for path in sorted(files))
    return hashlib.sha256(lines.encode()).hexdigest()


def _described(source: str) -> Description:
    """Returns what files beside weights say, and what the name of published weights says."""
    place = beside(source)
    found = describe(place) if place else Description()
    name = published.model_of_source(split_part(source)[0])
    parts = MODELS[name].parts if name else None
    if parts is None:
        return found
    said = {key: getattr(parts, key) for key in ("activation", "pool", "pool_prefix")}
    said.update(norm_epsilon=parts.norm_epsilon, heads=made_from(MODELS[name])[1]["heads"])
    return found._replace(
        origin=found.origin or "the name of the weights",
        architecture=found.architecture or name,
        parts={**said, **found.parts},
    )


def _fitting(
    description: Description, arrays: Mapping[str, np.ndarray]
) -> tuple[Description, tuple[str, ...]]:
    """Leaves a description out that is of a model of another width."""
    shape = shape_of(arrays)
    if not shape or description.width in (0, shape.width):
        return description, ()
    said = (
        f"{description.origin} beside it is of another model (width {description.width}, the "
        f"weights have {shape.width}): it was not used"
    )
    return Description(), (said,)
