"""Fits the classifier heads of a weights file: loaded, cut to some classes, or dropped."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from common.errors import UserError
from models.weights.imagenet_classes import CLASSES

_BEFORE_HEAD = (
    "pre_logits."  # a layer below the head in the oldest ViT weights; fine-tuning does without both
)


def fit_heads(model, arrays, head_rows, origin) -> tuple[dict[str, np.ndarray], list[str]]:
    """Cut the heads to the classes that are wanted, or leave them out.

    Returns:
        The arrays that are left, and the names of those that are not.
    """
    target = model.state_dict()
    dropped = [name for name in arrays if name.startswith(_BEFORE_HEAD) and name not in target]
    useless = bool(dropped)
    if useless and head_rows:
        raise UserError(
            f"{origin}: its head stands on {dropped[0]}, which the model lacks: no part of it can be taken"
        )
    other = False
    for head in model.heads:
        ours, found = _below(head, target), _below(head, arrays)
        if head_rows and not found:
            raise UserError(
                f"{origin}: has no {head} of which a part could be taken; model.pretrained_head=new goes without"
            )
        if head_rows:
            arrays = {
                **arrays,
                **{
                    name: _rows(arrays[name], head_rows, f"{origin}: {name}")
                    for name in sorted(found)
                },
            }
        whole = found == ours and len({_classes(arrays[name]) for name in found}) == 1
        whole = whole and all(
            _without_classes(arrays[name]) == _without_classes(target[name]) for name in found
        )
        misfit = any(list(arrays[name].shape) != target[name].shape for name in found & ours)
        other = other or (whole and misfit and not head_rows)
    if (
        useless or other or head_rows == ()
    ):  # all heads: one that is trained beside a new one would spoil their average
        dropped += [name for head in model.heads for name in arrays if name in _below(head, arrays)]
    return {name: array for name, array in arrays.items() if name not in dropped}, dropped


def _below(layer: str, names) -> set[str]:
    return {name for name in names if name.startswith(f"{layer}.")}


def _class_axis(array: np.ndarray) -> int:
    """That of the classes in an array of a head: `(inputs, classes)`, `(classes,)`; of a
    convolution the first.
    """
    return array.ndim - 1 if array.ndim <= 2 else 0


def _classes(array: np.ndarray) -> int:
    return array.shape[_class_axis(array)] if array.ndim else 0


def _without_classes(array) -> list[int]:
    axis = _class_axis(array)
    return [side for place, side in enumerate(array.shape) if place != axis]


def _rows(array: np.ndarray, rows: Sequence[int], name: str) -> np.ndarray:
    """The part of an array of a head for the 1000 classes of ImageNet that belongs to some of
    them.
    """
    if _classes(array) != CLASSES:
        raise UserError(
            f"{name} has {_classes(array)} classes, and its part can be taken of {CLASSES} only"
        )
    return np.take(array, rows, _class_axis(array))
