"""Loads pretrained weights: fits them to a model, and reports what happened to each array.

Paddle's own `set_state_dict` is silent about surplus names and only warns about missing ones. Here
everything that is not planned is an error. Three things are planned:

- parameters that belong to the places of a grid are resized to another grid;
- heads for other classes are dropped or cut, or dropped together with a `pre_logits` below them;
- buffers that follow from the model's shape are dropped.
"""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import NamedTuple

import numpy as np

from common.errors import UserError, listed, nearest
from models.families.vit import Attention
from models.multipass import MultiPass
from models.weights.formats.array_files import read_arrays
from models.weights.heads import fit_heads
from models.weights.names import google, layouts
from models.weights.sources import locate


class Report(NamedTuple):
    """What happened to arrays in loading, by their names."""

    loaded: list[str]
    resized: list[str]
    dropped: list[str]
    initialised: list[str]
    unexpected: list[str]

    def summary(self) -> str:
        """Returns one line for people: the number of loaded arrays, and the names of the others."""
        named = [
            f"{kind} {listed(names)}"
            for kind, names in self._asdict().items()
            if names and kind != "loaded"
        ]
        return "; ".join([f"loaded {len(self.loaded)} arrays", *named])


def load_weights(
    model: MultiPass, source: str | Path, head_rows: Sequence[int] | None = None
) -> Report:
    """Loads weights into a model, by name.

    Args:
        model: gets the weights; it changes only when everything fits.
        source: a file (`.safetensors`, `.pdparams`, `.pth`, `.pt`, `.npz`), an `https` address of
            one, or a name that `models.weights.sources` knows. Names and layout may be ours,
            PPIM's, timm's or Google's.
        head_rows: which classes of the file's head become the model's, in this order. Empty: the
            head stays new. None: the head is loaded if it has as many classes as the model, and
            stays new otherwise.

    Returns:
        What was loaded, resized, dropped and left at initialisation; `unexpected` is empty, since
        unexpected arrays are an error.

    Raises:
        UserError: when the source can't be read, or an array is missing, surplus, of another shape,
            or not finite.
    """
    arrays, _ = read_arrays(locate(str(source)))
    return assign(model, arrays, str(source), head_rows)


def assign(
    model: MultiPass,
    arrays: dict[str, np.ndarray],
    origin: str,
    head_rows: Sequence[int] | None = None,
) -> Report:
    """Fits named arrays to a model and assigns them, as `load_weights` does.

    Args:
        model: gets the arrays; it changes only when everything fits.
        arrays: by name.
        origin: names the arrays in errors.
        head_rows: see `load_weights`.
    """
    report, fitted = fit(model, arrays, origin, head_rows)
    _set(model, fitted)
    return report


def assign_all(model: MultiPass, arrays: dict[str, np.ndarray], origin: str) -> None:
    """Assigns as `assign` does, but the heads must fit: for weights that are used as they are.

    Raises:
        UserError: as `load_weights`, and when a head is missing or is for other classes.
    """
    report, fitted = fit(model, arrays, origin)
    if report.initialised:
        name = report.initialised[0]
        expected = list(model.state_dict()[name].shape)
        raise UserError(
            f"{origin}: has no {name} of shape {expected}; was it made for other classes?"
        )
    _set(model, fitted)


def _set(model: MultiPass, fitted: dict[str, np.ndarray]) -> None:
    target = model.state_dict()
    for name, array in fitted.items():
        target[name].set_value(np.ascontiguousarray(array, target[name].numpy().dtype))


def fit(
    model: MultiPass,
    arrays: dict[str, np.ndarray],
    origin: str,
    head_rows: Sequence[int] | None = None,
) -> tuple[Report, dict[str, np.ndarray]]:
    """Returns the report of `load_weights` and the arrays that the model would get.

    The model is not changed. For the arguments see `assign`.
    """
    for name, array in arrays.items():  # also those that are dropped
        _check_values(name, array, origin)
    _check_attention(model, arrays, origin)
    arrays = layouts.to_ours(model, arrays, origin)
    arrays, dropped = fit_heads(model, arrays, head_rows, origin)
    report, fitted, misfits = Report([], [], dropped, [], []), {}, []
    target, derived = model.state_dict(), (*layouts.COUNTERS, *model.derived)
    for name, array in arrays.items():
        layer = name.rpartition(".")[0] + "."
        if name.endswith(derived) and any(own.startswith(layer) for own in target):
            _check_derived(model, name, array, origin)
            report.dropped.append(name)
        elif name not in target:
            report.unexpected.append(name)
        else:
            fitted[name], misfit = _refit(model, name, array, list(target[name].shape))
            _check_values(name, fitted[name], f"{origin}, resized")
            (report.loaded if fitted[name] is array else report.resized).append(name)
            misfits += [misfit] if misfit else []
    report.initialised.extend(
        name for name in target if name not in fitted and not name.endswith(derived)
    )
    _refuse_unplanned(model, report, misfits, arrays, origin)
    return report, fitted


def _refit(
    model: MultiPass, name: str, array: np.ndarray, expected: list[int]
) -> tuple[np.ndarray, str]:
    """Returns an array fitted to the input size, and why it does not fit; empty if it does."""
    try:
        fitted = model.refit(name, array)
    except ValueError as error:
        return array, f"{name} {error}"
    fits = list(fitted.shape) == expected
    return fitted, "" if fits else f"{name} {list(array.shape)}, the model expects {expected}"


def _check_values(name: str, array: np.ndarray, origin: str) -> None:
    if array.dtype.kind not in "fiub":
        raise UserError(f"{origin}: {name} holds {array.dtype} values, expected numbers")
    with np.errstate(over="ignore"):
        narrow = array.astype(np.float32, copy=False)  # as in the model; float64 is wider
    if not np.isfinite(narrow).all():
        raise UserError(f"{origin}: {name} holds values that are not finite")
    if name.endswith((".running_var", "._variance")) and (array < 0).any():
        raise UserError(f"{origin}: {name} holds negative variances")


def _check_attention(model: MultiPass, arrays: dict[str, np.ndarray], origin: str) -> None:
    """Checks the number of heads, which Google's files tell and no other shape shows."""
    theirs = google.heads_of(arrays)
    ours = [layer.heads for layer in model.sublayers() if isinstance(layer, Attention)]
    if theirs and ours and theirs != ours[0]:
        raise UserError(f"{origin}: its attention has {theirs} heads, the model's has {ours[0]}")


def _check_derived(model: MultiPass, name: str, array: np.ndarray, origin: str) -> None:
    """Checks that a buffer that follows from the model's shape is the model's own.

    One of another shape is not checked.
    """
    own = {**dict(model.named_buffers()), **model.state_dict()}.get(name)
    if own is not None and own.shape == list(array.shape) and not (own.numpy() == array).all():
        raise UserError(
            f"{origin}: {name} differs from what follows from the model's shape: "
            "another arrangement"
        )


def _refuse_unplanned(
    model: MultiPass, report: Report, misfits: list[str], arrays: dict, origin: str
) -> None:
    """Raises an error for what is not planned, with the closest names."""
    headless = not any(map(model.is_in_head, arrays))
    missing = [name for name in report.initialised if not (headless and model.is_in_head(name))]
    for names, text, known in (
        (report.unexpected, "do not belong to the model", set(model.state_dict())),
        (missing, "of the model are missing", report.unexpected),
    ):
        if names:
            hint = nearest(names[0], known, listed=False)
            raise UserError(f"{origin}: {len(names)} arrays {text}: {listed(names)}{hint}")
    if misfits:
        raise UserError(f"{origin}: {len(misfits)} arrays have other shapes: {misfits[0]}")
    try:
        model.check(arrays)
    except ValueError as error:
        raise UserError(f"{origin}: {error}") from None
