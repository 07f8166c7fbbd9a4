"""Tells which model of the registry weights are of, and which parts it has.

A name says it by itself, and so do this project's own files and timm's `config.json`. Otherwise the
shapes of the arrays say it. What no array shows (heads, activation, pooling) comes from the
`config.json` beside the weights, or else from the model's name.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, NamedTuple

from common.errors import UserError, listed
from common.safetensors_files import split_part
from models import part_texts
from models.abilities import vit_shapes
from models.families.parts import Parts
from models.registry import MODELS, SUGGESTED
from models.weights.reading import Weights, read_weights
from models.weights.sources import published
from models.weights.sources.locations import needs_download
from models.weights.told import families
from models.weights.told.parts import Shape, parts_of, shape_of
from models.weights.told.stated_grids import stated_positions

_REMEDY = "name the model by --config.model.name=NAME (python -m tools.models --names lists them)"
# By a part, the epsilon of the norms of all models that have it, and what says so.
_EPSILONS = {"norm_pre": (1e-5, "that of all CLIP models"), "dinov3": (1e-5, "that of DINOv3")}
# What no array shows.
UNSEEN = ("heads", "activation", "pool", "pool_prefix", "norm_epsilon", "rope_theta")


class Architecture(NamedTuple):
    """A model of the registry, and how it differs from what its name says."""

    name: str
    parts: dict[str, Any]  # fields of `Parts` that differ from those of the name
    reasons: dict[str, str]  # by part: what says so


def model_of(source: str) -> str:
    """Returns the name of the model that weights are of.

    Args:
        source: a name, an address, a file or a folder, as `models.load_weights` takes it. An
            address must have been downloaded.

    Raises:
        UserError: when it can't be told; the message has what the shapes say.
    """
    return _named(source) or architecture_of(_here(source)).name


def resolve(name: str, parts: str, source: str) -> tuple[str, str]:
    """Returns the name and the parts of the model of a config.

    Args:
        name: a key of `MODELS`, or `auto` for the model that the weights are of.
        parts: see `models/part_texts.py`; with `auto`, what the weights tell is added.
        source: of the weights; empty for none.

    Returns:
        A key of `MODELS`, and the text of the parts that differ from those of this name.

    Raises:
        UserError: when the weights can't be read, or do not tell which model they are of.
    """
    auto, given = part_texts.parse(parts)
    # Weights of our names in PPIM's form are plain: nothing has to be downloaded to know it.
    if not source or (source == name and name in MODELS) or not (auto or name == part_texts.AUTO):
        return name, part_texts.write(given)
    weights = read_weights(source, values=False)
    if name == part_texts.AUTO:
        name = architecture_of(weights).name
    told = parts_for(name, weights)[0] if auto else {}
    return name, part_texts.write({**told, **given})


def architecture_of(weights: Weights) -> Architecture:
    """Returns the model that weights are of, and its parts.

    Raises:
        UserError: as `model_of`.
    """
    stored: Any = weights.own
    for key in ("config", "model", "name"):  # as `engine/state/run_weights.py` writes it
        stored = stored.get(key) if isinstance(stored, dict) else None
    name = stored if isinstance(stored, str) and stored in MODELS else _named(weights.origin)
    name = name or _of_shapes(weights)
    return Architecture(name, *parts_for(name, weights))


def parts_for(name: str, weights: Weights) -> tuple[dict[str, Any], dict[str, str]]:
    """Returns the parts in which weights differ from what a model's name says, and what says so.

    Args:
        name: of the model.
        weights: of it, perhaps of another family.

    Returns:
        Fields of `Parts`, and by each what says so; none for a model that is no ViT.
    """
    known, shape = vit_shapes().get(name), shape_of(weights.arrays)
    if known is None or shape is None:
        return {}, {}
    values = {**parts_of(weights.arrays), **stated_positions(weights)}
    told = dict.fromkeys(values, "the arrays")
    special = "norm_pre" if values["norm_pre"] else values.get("rope")
    if special in _EPSILONS:
        values["norm_epsilon"], told["norm_epsilon"] = _EPSILONS[special]
    stated = {key: value for key, value in weights.description.parts.items() if key in UNSEEN}
    told.update(dict.fromkeys(stated, weights.description.origin))
    values.update(stated)
    if shape.heads:
        values["heads"], told["heads"] = shape.heads, "the norms of its queries"
    usual = known["parts"]._replace(heads=known["heads"])
    differing = {key: value for key, value in values.items() if differs(key, value, usual)}
    return differing, {key: told[key] for key in differing}


def differs(key: str, value: Any, other: Parts) -> bool:
    """Returns whether a part is another than that of other parts, as far as weights tell it."""
    own = getattr(other, key)
    # The initial value does not matter, since the weights bring theirs; nor is it shown whose
    # rotary positions they are.
    return bool(value) != bool(own) if key in ("layer_scale", "rope") else value != own


def _here(source: str) -> Weights:
    if needs_download(source):
        raise UserError(f"model.name=auto: {source} is not here yet; {_REMEDY}")
    return read_weights(source, values=False)


def _named(source: str) -> str:
    """Returns the model that the name of a source says; empty for none."""
    return published.model_of_source(split_part(source)[0])


def _of_shapes(weights: Weights) -> str:
    """Returns the model that has arrays of these shapes."""
    shape, source = shape_of(weights.arrays), weights.origin
    if shape is None:
        others = families.names_of(weights.arrays)
        if others:
            return others[0]
        of = f"is of {weights.library}, and" if weights.library else ""
        raise UserError(
            f"model.name=auto: {source} {of} has not the arrays of a ViT, DeiT, CaiT or Swin of "
            f"the sizes that are here; {_REMEDY}"
        )
    fitting = _fitting(shape)
    stated = weights.description.architecture
    for name in fitting:
        if stated and stated in (name, published.timm_name(name)):
            return name
    if not fitting:
        raise UserError(
            f"model.name=auto: {source} is of a ViT of {shape.said()}, which no model here is; "
            f"{_REMEDY}"
        )
    best = _most_alike(fitting, weights, shape)
    alike = len({MODELS[name].stats[:2] for name in best}) == 1  # mean and deviation
    if len(best) > 1 and not alike and not weights.description.input and not weights.own:
        raise UserError(
            f"model.name=auto: {source} is of a ViT of {shape.said()}: {listed(best)} have this "
            f"shape, but expect other pixels; {_REMEDY}"
        )
    return best[0]


def models_of(shape: Shape, weights: Weights) -> list[str]:
    """Returns the models of a shape that differ from weights in the fewest parts."""
    fitting = _fitting(shape)
    return _most_alike(fitting, weights, shape) if fitting else []


def _fitting(shape: Shape) -> list[str]:
    """Returns the models of a shape, each by one name."""
    sizes = _sizes(shape._asdict())
    return [n for n, one in vit_shapes().items() if n in SUGGESTED and _sizes(one) == sizes]


def _sizes(one: Mapping[str, Any]) -> tuple[Any, ...]:
    """Returns what must be the same of a model's sizes, or of those of a `Shape`."""
    hidden = one["hidden"] if "hidden" in one else int(one["width"] * one["mlp_ratio"])
    return (*(one[key] for key in ("width", "depth", "patch", "distilled")), hidden)


def _most_alike(names: list[str], weights: Weights, shape: Shape) -> list[str]:
    """Returns the models that differ from weights in the fewest parts; our short names first.

    Those of their image size count more than others, where there are some.
    """
    shapes, side = vit_shapes(), shape.grid[0] * shape.patch
    distance = {name: len(parts_for(name, weights)[0]) for name in names}
    best = [name for name in names if distance[name] == min(distance.values())]
    return [name for name in best if shapes[name]["side"] == side] or best
