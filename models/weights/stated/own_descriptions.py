"""What the metadata of this project's own weights says of their model, which no array shows."""

from __future__ import annotations

from typing import Any

from common.errors import UserError
from models import part_texts
from models.abilities import vit_shapes
from models.weights.stated.descriptions import Description

_MOST_SIDES = 2


def with_own(description: Description, own: dict[str, Any], origin: str) -> Description:
    """Adds what the metadata says to what the files beside the weights say; the metadata counts.

    Args:
        description: of the files beside the weights.
        own: the metadata, as `engine/state/run_weights.py` or `tools/convert_weights.py` wrote it.
        origin: names the weights in errors.

    Raises:
        UserError: when the parts of the model in it are not readable.
    """
    model = own.get("config", {}).get("model") if isinstance(own.get("config"), dict) else None
    values = model if isinstance(model, dict) else {"name": own.get("model"), **own}
    known = vit_shapes().get(str(values.get("name")))
    if known is None:
        return description
    try:
        _, given = part_texts.parse(str(values.get("parts", "")))
    except UserError as error:
        raise UserError(f"{origin}: its metadata is not readable ({error})") from None
    parts = {**known["parts"]._asdict(), "heads": known["heads"], **given}
    return description._replace(
        origin="its metadata",
        parts={**description.parts, **parts},
        sides=_sides(own.get("image_sides")) or description.sides,
    )


def _sides(stated: Any) -> tuple[int, int] | None:
    """Returns height and width in pixels; None where they are not stated."""
    pair = stated if isinstance(stated, list) and len(stated) == _MOST_SIDES else ()
    known = bool(pair) and all(type(side) is int and 0 < side < 1 << 31 for side in pair)
    return (pair[0], pair[1]) if known else None
