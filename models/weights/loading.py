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
from models.multipass import MultiPass
from models.weights.heads import fit_heads
from models.weights.names import layouts
from models.weights.names.translate import to_timm
from models.weights.reading import Weights, read_weights
from models.weights.told.part_checks import check_parts, described
from models.weights.told.parts import shape_of
from models.weights.told.stated_grids import on_grid_of

_MOST_ZEROS = 4  # of so many matrices of a trained model, fewer than one holds only zeros


class Report(NamedTuple):
    """What happened to arrays in loading, by their names; and what else a user should know."""

    loaded: list[str]
    resized: list[str]
    dropped: list[str]
    initialised: list[str]
    unexpected: list[str]
    said: list[str]

    def summary(self) -> str:
        """Returns one line for people: the number of loaded arrays, and the names of the others."""
        named = [
            f"{kind} {listed(names)}"
            for kind, names in self._asdict().items()
            if names and kind not in ("loaded", "said")
        ]
        return "; ".join([f"loaded {len(self.loaded)} arrays", *named, *self.said])


def load_weights(
    model: MultiPass,
    source: str | Path,
    head_rows: Sequence[int] | None = None,
    stated: bool = True,
) -> Report:
    """Loads weights into a model, by name.

    Args:
        model: gets the weights; it changes only when everything fits.
        source: a file or a folder of any library that `models/weights/names` knows, an `https`
            address of a file, or a name that `models/weights/sources/locations.py` knows.
        head_rows: which classes of the file's head become the model's, in this order. Empty: the
            head stays new. None: the head is loaded if it has as many classes as the model, and
            stays new otherwise.
        stated: whether the model must be what the `config.json` beside the weights says where no
            array shows it (heads, activation, pooling); False where the user has decided.

    Returns:
        What was loaded, resized, dropped and left at initialisation; `unexpected` is empty, since
        unexpected arrays are an error.

    Raises:
        UserError: when the source can't be read, its model is another one, or an array is missing,
            surplus, of another shape, or not finite.
    """
    weights = read_weights(str(source))
    said = check_parts(model, weights, stated)
    weights, of_grid = on_grid_of(model, weights)
    try:
        report, fitted = fit(model, weights.arrays, weights.origin, head_rows)
    except UserError as error:
        raise UserError(_with_origin(str(error), weights, model)) from None
    _set(model, fitted)
    report.dropped.extend(weights.dropped)
    report.said.extend((*weights.said, *said, *of_grid, *_of_positions(model, weights, report)))
    return report


def _of_positions(model: MultiPass, weights: Weights, report: Report) -> list[str]:
    """Returns from which grid a position embedding was resized, which its size alone shows."""
    shape = shape_of(weights.arrays)
    if "pos_embed" not in report.resized or not shape or not shape.grid[0]:
        return []
    old, new = (f"{rows} x {columns}" for rows, columns in (shape.grid, model.grid))
    return [f"pos_embed was resized from {old} places, taken for a square, to {new}"]


def _with_origin(message: str, weights: Weights, model: MultiPass) -> str:
    """Adds to a refusal which model the weights are of, where it can be told."""
    of = described(weights)
    if not of:
        return message
    return f"{message}; these are weights of {of}, the model is {model.registry_name}"


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
    _check_not_cut(arrays, origin)
    named = to_timm(arrays, origin)  # changes nothing where it has been done
    arrays = layouts.to_ours(model, named.arrays, origin)
    arrays, dropped = fit_heads(model, arrays, head_rows, origin)
    report = Report([], [], [*named.dropped, *dropped], [], [], [*named.said])
    fitted, misfits = {}, []
    target, derived = model.state_dict(), (*layouts.COUNTERS, *model.derived)
    for name, array in arrays.items():
        layer = name.rpartition(".")[0] + "."
        if name.endswith(derived) and any(own.startswith(layer) for own in target):
            _check_derived(model, name, array, origin)
            report.dropped.append(name)
        elif name not in target and not array.ndim and "." not in name:
            report.dropped.append(name)  # a figure beside the arrays, such as the epoch
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


def _check_not_cut(arrays: dict[str, np.ndarray], origin: str) -> None:
    """Checks that not many matrices hold only zeros, as a file does whose download was stopped.

    Some programs reserve the whole file before they download it.
    """
    matrices = [array for array in arrays.values() if array.ndim > 1 and array.size]
    zeros = sum(not array.any() for array in matrices)
    if len(matrices) / _MOST_ZEROS < zeros < len(matrices):
        raise UserError(
            f"{origin}: {zeros} of its {len(matrices)} matrices hold only zeros, as after a "
            "download that was stopped; get the file again"
        )


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
    missing = [
        name
        for name in report.initialised
        if not (headless and model.is_in_head(name))
        and not name.startswith(tuple(f"{head}." for head in model.unused_heads))
    ]
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
