"""What weights of other libraries tell, as a config to use them by: model, images, classes."""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Any, NamedTuple

from ml_collections import ConfigDict

import models
from common.errors import UserError
from configs import default
from configs.allowed_values import AUTO
from engine.plan import resolve_config
from program.config import config_fields

# Layers that return logits, by the names that they have in the families of models.
_HEADS = re.compile(r"(head(\.fc|\.l)?|fc|classifier|linear|output\.1|base\.\d+\.3)\.bias")
_IMAGENET = 1000  # classes of a head whose names are known without a description


class Described(NamedTuple):
    """Weights of another library, described as those of this project describe themselves."""

    config: ConfigDict  # with the fields of the input and the number of classes filled in
    classes: tuple[str, ...]
    said: tuple[str, ...]  # what was decided, a sentence each


def config_for(source: str, model: str = AUTO) -> ConfigDict:
    """Returns the config of a model with the images that its weights expect.

    Args:
        source: of the weights.
        model: a key of `models.MODELS`; auto: the model that the weights are of.

    Raises:
        UserError: when the weights can't be read, or do not tell which model they are of.
    """
    # Those of people's own images, which are turned by their EXIF orientation.
    values: dict[str, object] = {"data.name": "folder", "model.name": model}
    return resolve_config.with_input(config_fields.changed(default.get_config(), values), source)


def describe(source: str, model: str = AUTO, classes: tuple[str, ...] = ()) -> Described:
    """Finds out how to use weights of another library.

    Args:
        source: of the weights.
        model: as in `config_for`.
        classes: their names; empty: those of the `config.json` beside the weights, or WordNet's
            ids where there are as many as in ImageNet, or else numbers.

    Raises:
        UserError: as `config_for`, when the weights have no head, or when it is for another
            number of classes.
    """
    config = config_for(source, model)
    weights = models.read_weights(source, values=False)
    count = _classes_of_head(weights.arrays, source)
    names, said = classes, ""
    if not names:
        names, said = _names(count, weights.description.classes)
    check_count(len(names), count, source)
    config = resolve_config.with_classes(config, count)
    told = f"{source}: {config.model.name} at {config.model.image_size} px"
    return Described(config, without_repeats(names), tuple(filter(None, (told, said))))


def check_count(names: int, expected: int, origin: str) -> None:
    """Checks that there are as many names as classes."""
    if names != expected:
        raise UserError(
            f"{origin} is of {expected} classes, but {names} names are given; give one name for "
            "each, in the order of the outputs"
        )


def without_repeats(names: tuple[str, ...]) -> tuple[str, ...]:
    """Returns names in which those that come again have their numbers: `crane (class 517)`.

    ImageNet has two cranes; results are told apart by their names.
    """
    seen: set[str] = set()
    found = []
    for number, name in enumerate(names):
        found.append(f"{name} (class {number})" if name in seen else name)
        seen.update((name, found[-1]))
    return tuple(found)


def _names(count: int, stated: tuple[str, ...]) -> tuple[tuple[str, ...], str]:
    """Returns the names of so many classes, and what is said of them."""
    if len(stated) == count:
        return stated, ""
    if count == _IMAGENET:
        ids = models.imagenet_ids()
        return ids, "nothing names the classes: they are taken for ImageNet's 1000, by WordNet's id"
    numbers = tuple(f"class {number}" for number in range(count))
    return numbers, f"nothing names the {count} classes: they are called by their numbers"


def _classes_of_head(arrays: Mapping[str, Any], source: str) -> int:
    for name, array in arrays.items():
        if _HEADS.fullmatch(name):
            return int(array.shape[0])
    raise UserError(
        f"{source}: has no head for classes, so it can't tell one from another; train one on it: "
        "python main.py --config=folder --config.model.pretrained=..."
    )
