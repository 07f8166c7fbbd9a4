"""The parts of a model as one text, as configs have them: `layer_scale=1e-05,registers=4`."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from common.errors import UserError, nearest
from models.families.parts import Parts

AUTO = "auto"  # in front: what is not named is told by the weights
_TRUTH = {"true": True, "false": False, "yes": True, "no": False}


def parse(text: str) -> tuple[bool, dict[str, Any]]:
    """Reads the text of parts.

    Args:
        text: `NAME=VALUE,...`, with `auto` in front or alone; empty for no parts.

    Returns:
        Whether `auto` is there, and fields of `Parts`.

    Raises:
        UserError: when it is none.
    """
    items = [item.strip() for item in text.split(",") if item.strip()]
    auto = AUTO in items[:1]
    return auto, dict(map(_field, items[auto:]))


def write(parts: Mapping[str, Any]) -> str:
    """Returns the text of parts, which `parse` reads."""
    return ",".join(f"{name}={value}" for name, value in parts.items())


def _field(item: str) -> tuple[str, Any]:
    name, equals, value = (part.strip() for part in item.partition("="))
    known = Parts._field_defaults
    if not equals or name not in known:
        raise UserError(
            f"model.parts has {item!r}, expected auto or NAME=VALUE with one of "
            f"{', '.join(known)}{nearest(name, known, listed=False)}"
        )
    usual = known[name]
    try:
        if isinstance(usual, bool):
            return name, _TRUTH[value.lower()]
        return name, type(usual)(value)
    except (KeyError, ValueError):
        expected = "true or false" if isinstance(usual, bool) else "a number"
        raise UserError(f"model.parts: {name} is {value!r}, expected {expected}") from None
