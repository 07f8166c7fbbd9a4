"""Fits the classifier heads of a weights file to a model: loads, cuts or drops them."""

from __future__ import annotations

from collections.abc import Iterable, Sequence

import numpy as np
from paddle import Tensor

from common.errors import UserError
from models.multipass import MultiPass
from models.weights.imagenet_classes import CLASSES

# A layer below the head in the oldest ViT weights; fine-tuning drops it together with the head.
_BEFORE_HEAD = "pre_logits."


def fit_heads(
    model: MultiPass, arrays: dict[str, np.ndarray], head_rows: Sequence[int] | None, origin: str
) -> tuple[dict[str, np.ndarray], list[str]]:
    """Cuts the heads to the wanted classes, or leaves them out.

    Args:
        model: that the arrays are for.
        arrays: with the names of the model.
        head_rows: classes that are kept; empty: none; None: all, if the model has the same number.
        origin: names the arrays in errors.

    Returns:
        The remaining arrays, and the names of the dropped ones.

    Raises:
        UserError: when the head has not the classes that are asked for.
    """
    target = model.state_dict()
    dropped = [name for name in arrays if name.startswith(_BEFORE_HEAD) and name not in target]
    if dropped and head_rows:
        raise UserError(
            f"{origin}: its head stands on {dropped[0]}, "
            "which the model lacks: no part of it can be taken"
        )
    new = bool(dropped) or head_rows == ()
    for head in model.heads:
        if head_rows:
            arrays = {**arrays, **_cut(head, arrays, head_rows, origin)}
        else:
            new = new or _has_other_classes(head, arrays, target)
    if new:  # all heads: a trained one would spoil its average with a new one
        dropped += [name for head in model.heads for name in _below(head, arrays)]
    return {name: array for name, array in arrays.items() if name not in dropped}, dropped


def _below(layer: str, names: Iterable[str]) -> list[str]:
    return [name for name in names if name.startswith(f"{layer}.")]


def _has_other_classes(head: str, arrays: dict[str, np.ndarray], target: dict[str, Tensor]) -> bool:
    """Returns whether a head is complete and differs from the model's in its classes alone."""
    ours, found = _below(head, target), _below(head, arrays)
    if set(ours) != set(found):
        return False
    pairs = [(_sides(arrays[name]), _sides(target[name])) for name in found]
    one_number = len({classes for (classes, _), _ in pairs}) == 1
    return one_number and all(a == b for (_, a), (_, b) in pairs) and any(a != b for a, b in pairs)


def _class_axis(array: np.ndarray | Tensor) -> int:
    """Returns the axis of the classes in an array of a head.

    It is the last one of `(inputs, classes)` and `(classes,)`, and the first one of a convolution.
    """
    return array.ndim - 1 if array.ndim <= 2 else 0


def _sides(array: np.ndarray | Tensor) -> tuple[int, list[int]]:
    """Returns the number of classes and the sides of the other axes."""
    sides = list(array.shape)
    return (sides.pop(_class_axis(array)) if sides else 0), sides


def _cut(
    head: str, arrays: dict[str, np.ndarray], rows: Sequence[int], origin: str
) -> dict[str, np.ndarray]:
    """Returns the part for some classes of a head for the 1000 classes of ImageNet."""
    names = sorted(_below(head, arrays))
    if not names:
        raise UserError(
            f"{origin}: has no {head} of which a part could be taken; "
            "model.pretrained_head=new goes without"
        )
    for name in names:
        classes, _ = _sides(arrays[name])
        if classes != CLASSES:
            raise UserError(
                f"{origin}: {name} has {classes} classes, "
                f"and its part can be taken of {CLASSES} only"
            )
    return {name: np.take(arrays[name], rows, _class_axis(arrays[name])) for name in names}
