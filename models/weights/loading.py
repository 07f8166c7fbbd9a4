"""Pretrained weights: fit them to the model, and report what became of every array.

Paddle's own `set_state_dict` is silent about surplus keys and only warns about missing ones; here
anything that is not planned is an error. Planned are: what is learned for each place of another
grid (resized), heads for other classes (dropped, or cut out; with the `pre_logits` below it, if
there are), and buffers that follow from the shape of the model (dropped).
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
    """What loading did, as names of arrays."""

    loaded: list[str]
    resized: list[str]
    dropped: list[str]
    initialised: list[str]
    unexpected: list[str]

    def summary(self) -> str:
        """One line for people: the loaded ones counted, the others named."""
        named = [
            f"{kind} {listed(names)}"
            for kind, names in self._asdict().items()
            if names and kind != "loaded"
        ]
        return "; ".join([f"loaded {len(self.loaded)} arrays", *named])


def load_weights(
    model: MultiPass, source: str | Path, head_rows: Sequence[int] | None = None
) -> Report:
    """Load weights into a model, by name.

    Args:
        model: takes the weights; it is changed only when everything fits.
        source: a file (`.safetensors`, `.pdparams`, `.pth`, `.pt`, `.npz`), an `https` address of
            one, or a name that `models.weights.sources` knows. Names and layout may be ours,
            PPIM's, timm's or Google's.
        head_rows: which classes of the file's head become the model's, in this order; empty: the
            head stays new; None: the head is loaded where it has as many classes as the model, and
            stays new otherwise.

    Returns:
        What was loaded, resized, dropped and left at initialisation; `unexpected` is empty, since
        it is an error.

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
    """Fit named arrays to a model and assign them; `origin` names them in errors. See
    `load_weights`.
    """
    report, fitted = fit(model, arrays, origin, head_rows)
    _set(model, fitted)
    return report


def assign_all(model: MultiPass, arrays: dict[str, np.ndarray], origin: str) -> None:
    """`assign`, where the heads must fit, too: for weights that are used as they are.

    Raises:
        UserError: also when a head is missing or is for other classes.
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
    """The report of `load_weights`, and the arrays that the model would get; the model is not
    changed.
    """
    target = model.state_dict()
    for name, array in arrays.items():  # also of what is dropped
        _check_values(name, array, origin)
    _check_attention(model, arrays, origin)
    arrays = layouts.to_ours(model, arrays, origin)
    arrays, dropped = fit_heads(model, arrays, head_rows, origin)
    report, fitted, misfits = Report([], [], dropped, [], []), {}, []
    derived = (*layouts.COUNTERS, *model.derived)
    for name, array in arrays.items():
        if name.endswith(derived) and any(
            own.startswith(name.rpartition(".")[0] + ".") for own in target
        ):
            _check_derived(model, name, array, origin)
            report.dropped.append(name)
        elif name not in target:
            report.unexpected.append(name)
        else:
            try:
                fitted[name] = model.refit(name, array)
            except ValueError as error:
                fitted[name] = array
                misfits.append(f"{name} {error}")
                continue
            _check_values(name, fitted[name], f"{origin}, resized")
            (report.loaded if fitted[name] is array else report.resized).append(name)
            if list(fitted[name].shape) != target[name].shape:
                misfits.append(
                    f"{name} {list(array.shape)}, the model expects {list(target[name].shape)}"
                )
    report.initialised.extend(
        name for name in target if name not in fitted and not name.endswith(derived)
    )
    _refuse_unplanned(model, report, misfits, arrays, origin)
    return report, fitted


def _check_values(name: str, array: np.ndarray, origin: str) -> None:
    if array.dtype.kind not in "fiub":
        raise UserError(f"{origin}: {name} holds {array.dtype} values, expected numbers")
    with np.errstate(over="ignore"):
        narrow = array.astype(
            np.float32, copy=False
        )  # as the model keeps it: float64 has larger numbers
    if not np.isfinite(narrow).all():
        raise UserError(f"{origin}: {name} holds values that are not finite")
    if name.endswith((".running_var", "._variance")) and (array < 0).any():
        raise UserError(f"{origin}: {name} holds negative variances")


def _check_attention(model: MultiPass, arrays: dict[str, np.ndarray], origin: str) -> None:
    """Google's files tell the number of heads, which no other shape shows."""
    theirs = google.heads_of(arrays)
    ours = next(
        (layer.heads for layer in model.sublayers() if isinstance(layer, Attention)), theirs
    )
    if theirs not in (0, ours):
        raise UserError(f"{origin}: its attention has {theirs} heads, the model's has {ours}")


def _check_derived(model: MultiPass, name: str, array: np.ndarray, origin: str) -> None:
    """A buffer that follows from the shape of the model must be the model's own where it has the
    same shape.
    """
    own = {**dict(model.named_buffers()), **model.state_dict()}.get(name)
    if own is not None and own.shape == list(array.shape) and not (own.numpy() == array).all():
        raise UserError(
            f"{origin}: {name} differs from what follows from the model's shape: another arrangement"
        )


def _refuse_unplanned(model, report: Report, misfits: list[str], arrays: dict, origin: str) -> None:
    """Errors for what is not planned, with the closest names."""
    heads = tuple(f"{head}." for head in model.heads)
    headless = not any(name.startswith(heads) for name in arrays)
    missing = [name for name in report.initialised if not (headless and name.startswith(heads))]
    target = set(model.state_dict())
    for names, text in (
        (report.unexpected, "do not belong to the model"),
        (missing, "of the model are missing"),
    ):
        if names:
            known = target if names is report.unexpected else report.unexpected
            hint = nearest(names[0], known, listed=False)
            raise UserError(f"{origin}: {len(names)} arrays {text}: {listed(names)}{hint}")
    if misfits:
        raise UserError(f"{origin}: {len(misfits)} arrays have other shapes: {misfits[0]}")
    try:
        model.check(arrays)
    except ValueError as error:
        raise UserError(f"{origin}: {error}") from None
