"""Converts names and layouts of weights: ours (PPIM's and Paddle's), timm's (PyTorch's), Google's.

PyTorch keeps the matrix of a linear layer as (outputs, inputs), Paddle as (inputs, outputs). The
matrices of a file that are not square show which layout it has. For square ones, a mistake would
show nowhere but in the accuracy.
"""

from __future__ import annotations

import numpy as np
from paddle import nn

from common.errors import UserError
from models.multipass import MultiPass
from models.weights.names.google import from_google, is_google

COUNTERS = ("num_batches_tracked",)  # of PyTorch's batch norm; nothing depends on them
_BATCH_NORM = {"_mean": "running_mean", "_variance": "running_var"}  # Paddle's name: PyTorch's


def styles(model: MultiPass, arrays: dict[str, np.ndarray], origin: str) -> tuple[str, ...]:
    """Returns whose names and layout some arrays may have.

    Args:
        model: that the arrays are for.
        arrays: by name.
        origin: names the arrays in errors.

    Returns:
        `google`; `timm`; or both `ours` and `ppim`, which are the same.

    Raises:
        UserError: when an array is there under two names.
    """
    if is_google(arrays):
        return ("google",)
    renamed, target = _with_our_names(model, arrays, origin), model.state_dict()
    votes = [
        _is_transposed(renamed[name].shape, target[name].shape, model.is_in_head(name))
        for name in _matrices(model)
        if name in renamed
    ]
    votes = [vote for vote in votes if vote is not None]
    return ("timm",) if (all(votes) if votes else renamed is not arrays) else ("ours", "ppim")


def to_ours(model: MultiPass, arrays: dict[str, np.ndarray], origin: str) -> dict[str, np.ndarray]:
    """Converts the arrays of a file to the names and the layout of the model.

    An array that the model does not know stays as it is.

    Raises:
        UserError: when a file of Google's is damaged, or an array is there under two names.
    """
    style = styles(model, arrays, origin)
    if "google" in style:
        return from_google(arrays, origin)
    arrays, matrices = _with_our_names(model, arrays, origin), _matrices(model)
    return {
        name: array.T if name in matrices and "timm" in style else array
        for name, array in arrays.items()
    }


def to_timm(model: MultiPass, arrays: dict[str, np.ndarray]) -> dict[str, np.ndarray]:
    """Converts arrays with our names to timm's names and PyTorch's layout.

    Derived buffers are left out, as timm does.
    """
    matrices = _matrices(model)
    return {
        _timm_name(model, name): np.ascontiguousarray(array.T if name in matrices else array)
        for name, array in arrays.items()
        if not name.endswith(model.derived)
    }


def _with_our_names(
    model: MultiPass, arrays: dict[str, np.ndarray], origin: str
) -> dict[str, np.ndarray]:
    target = model.state_dict()
    timm = {_timm_name(model, name): name for name in target}
    if sum(name in timm for name in arrays) <= sum(name in target for name in arrays):
        return arrays  # ours already
    renamed = {timm.get(name, name): array for name, array in arrays.items()}
    if len(renamed) < len(arrays):
        twice = next(
            name for name in arrays if name not in timm and name in renamed and name in target
        )
        raise UserError(f"{origin}: {twice} is there twice, as {_timm_name(model, twice)}, too")
    return renamed


def _timm_name(model: MultiPass, name: str) -> str:
    name = model.timm_name(name)
    stem, _, leaf = name.rpartition(".")
    return f"{stem}.{_BATCH_NORM[leaf]}" if leaf in _BATCH_NORM else name


def _matrices(model: MultiPass) -> set[str]:
    """Returns the names of the weights of linear layers."""
    linear = {id(layer.weight) for layer in model.sublayers() if isinstance(layer, nn.Linear)}
    return {name for name, parameter in model.state_dict().items() if id(parameter) in linear}


def _is_transposed(found: tuple[int, ...], expected: list[int], head: bool) -> bool | None:
    """Returns whether a matrix in a file has PyTorch's layout; None where its shape does not tell.

    A head may be for another number of classes.
    """
    inputs, outputs = expected
    if head and len(found) == 2 and inputs in found:
        outputs = sum(found) - inputs
    if inputs == outputs or found not in ((inputs, outputs), (outputs, inputs)):
        return None
    return found == (outputs, inputs)
