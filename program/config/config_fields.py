"""The fields of a config: their types, a copy with other values, a config read from JSON."""

from collections.abc import Iterator
from typing import Any

from ml_collections import ConfigDict

from common.errors import UserError, nearest
from common.reading import is_number
from configs import default
from configs.allowed_values import MOST_VALUES, trait

# What versions did that did not have the field yet, where that is not its default.
_EARLIER = {"data.exif_orientation": "ignore"}
_LARGEST = 2**1023  # no larger integer fits into a float

# Whose fields are meant first, where several groups have one of the same name.
_OFTEN_MEANT = ("train", "optim", "model", "data", "rdrop", "loss")
KINDS = {bool: "true or false", int: "an integer", float: "a number", tuple: "a tuple of numbers"}


def fits(value: object, default_value: object) -> bool:
    """Returns whether a value has the type of a field's default.

    An integer fits a float, but a boolean fits a boolean only.
    """
    if isinstance(default_value, tuple):
        return isinstance(value, tuple) and all(fits(item, 0.0) for item in value)
    if isinstance(value, bool) != isinstance(default_value, bool):
        return False
    if isinstance(value, int) and isinstance(default_value, float):
        return abs(value) < _LARGEST
    return isinstance(value, type(default_value))


def changed(config: ConfigDict, values: dict[str, object]) -> ConfigDict:
    """Returns a locked copy of a config with other values for some fields, by dotted names."""
    copy = ConfigDict(config.to_dict())
    copy.update_from_flattened_dict(values)
    return copy.lock()


def flattened(config: ConfigDict, prefix: str = "") -> dict[str, object]:
    """Returns all fields of a config by their dotted names."""
    flat: dict[str, object] = {}
    for name, value in config.items():
        nested = isinstance(value, ConfigDict)
        flat.update(flattened(value, f"{prefix}{name}.") if nested else {prefix + name: value})
    return flat


def nearest_field(name: str, listed: bool = True) -> str:
    """Returns a hint for the name of a field that does not exist; see `common.errors.nearest`."""
    return nearest(name, field_names(), listed)


def field_names() -> list[str]:
    """Returns the dotted names of all fields, those that are changed most often first."""
    return sorted(flattened(default.get_config()), key=_rank)


def _rank(name: str) -> int:
    group = name.partition(".")[0]
    return _OFTEN_MEANT.index(group) if group in _OFTEN_MEANT else len(_OFTEN_MEANT)


def to_choose(config: ConfigDict) -> list[str]:
    """Returns the fields that a config leaves to `train.recipe`, by their dotted names."""
    return [
        name
        for name, value in flattened(config).items()
        if trait(name).to_choose is not None and value == trait(name).to_choose
    ]


def from_dict(stored: object, origin: str) -> ConfigDict:
    """Returns the config that was stored as JSON; nothing in it is executed.

    Args:
        stored: the content of the JSON file. Fields that it lacks keep their defaults, or are what
            earlier versions did.
        origin: the name of the file, for the messages.

    Raises:
        UserError: when it is not a config of this version.
    """
    if not isinstance(stored, dict):
        raise UserError(f"{origin}: its config is not readable (not an object)")
    config = default.get_config()
    known = flattened(config)
    groups = {name.partition(".")[0] for name in known if "." in name}
    for name, value in _flattened_json(stored, groups, origin):
        if name in groups:
            raise UserError(f"{origin}: in its config {name} is no group of fields")
        if name not in known:
            raise UserError(
                f"{origin}: its config has the field {name}, which this version does not know"
            )
        value = tuple(value[:MOST_VALUES]) if isinstance(value, (list, tuple)) else value
        if not fits(value, known[name]) or not _is_finite(value):
            raise UserError(
                f"{origin}: its config has {name} = {value!r}, expected such as {known[name]!r}"
            )
        config.update_from_flattened_dict({name: value})
    old = {name: value for name, value in _EARLIER.items() if not _has(stored, name)}
    config.update_from_flattened_dict(old)
    return config


def _has(stored: dict[str, Any], name: str) -> bool:
    """Returns whether a stored config has a field, by its dotted name."""
    group, _, field = name.rpartition(".")
    values = stored.get(group, {}) if group else stored
    return isinstance(values, dict) and field in values


def _flattened_json(
    stored: dict[str, object], groups: set[str], origin: str
) -> Iterator[tuple[str, object]]:
    """Yields fields by their dotted names; what is nested in a field is left as it is."""
    for name, value in stored.items():
        if name in groups and isinstance(value, dict):
            yield from ((f"{name}.{field}", one) for field, one in value.items())
        elif "." in name:
            raise UserError(f"{origin}: its config is not readable (a field is called {name})")
        else:
            yield name, value


def _is_finite(value: object) -> bool:
    """Returns whether all numbers are finite and safe to compute with: JSON allows any."""
    if isinstance(value, tuple):
        return all(map(_is_finite, value))
    return type(value) not in (int, float) or is_number(value)
