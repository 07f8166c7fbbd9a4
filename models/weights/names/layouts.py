"""Converts between timm's names and ours, and between the layouts of PyTorch and Paddle.

PyTorch keeps the matrix of a linear layer as (outputs, inputs), Paddle as (inputs, outputs). The
matrices of a file that are not square show which layout it has. For square ones, a mistake would
show nowhere but in the accuracy.
"""

from __future__ import annotations

import numpy as np
from paddle import nn

from common.errors import UserError
from models.families.parts import PLAIN
from models.multipass import MultiPass
from models.weights.names.libraries import google, timm, timm_eva
from models.weights.names.translate import Named

COUNTERS = ("num_batches_tracked",)  # of PyTorch's batch norm; nothing depends on them
_BATCH_NORM = {"_mean": "running_mean", "_variance": "running_var"}  # Paddle's name: PyTorch's


def styles(model: MultiPass, named: Named, origin: str) -> tuple[str, ...]:
    """Returns whose names and layout some arrays had before they got timm's names.

    Args:
        model: that the arrays are for.
        named: the arrays, with timm's names or ours.
        origin: names the arrays in errors.

    Returns:
        `google`; `timm`; both `ours` and `ppim`, which are the same; or another library's name.

    Raises:
        UserError: when an array is there under two names.
    """
    if named.library == google.VIT.name:
        return ("google",)
    if named.library not in ("", timm.TIMM.name, timm_eva.BARE_EVA.name):
        return (named.library,)
    return ("timm",) if _is_torch(model, named.arrays, origin) else ("ours", "ppim")


def _is_torch(model: MultiPass, arrays: dict[str, np.ndarray], origin: str) -> bool:
    """Returns whether matrices have PyTorch's layout."""
    renamed, target = _with_our_names(model, arrays, origin), model.state_dict()
    votes = [
        _is_transposed(renamed[name].shape, target[name].shape, model.is_in_head(name))
        for name in _matrices(model)
        if name in renamed
    ]
    votes = [vote for vote in votes if vote is not None]
    return all(votes) if votes else renamed is not arrays


def to_ours(model: MultiPass, arrays: dict[str, np.ndarray], origin: str) -> dict[str, np.ndarray]:
    """Converts arrays with timm's names, or ours, to the names and the layout of the model.

    An array that the model does not know stays as it is.

    Raises:
        UserError: when an array is there under two names.
    """
    transposed, matrices = _is_torch(model, arrays, origin), _matrices(model)
    return {
        name: array.T if name in matrices and transposed else array
        for name, array in _with_our_names(model, arrays, origin).items()
    }


def to_timm(model: MultiPass, arrays: dict[str, np.ndarray]) -> dict[str, np.ndarray]:
    """Converts arrays with our names to timm's names and PyTorch's layout.

    Derived buffers are left out, as timm does.
    """
    matrices = _matrices(model)
    found = {
        _timm_name(model, name): np.ascontiguousarray(array.T if name in matrices else array)
        for name, array in arrays.items()
        if not name.endswith(model.derived)
    }
    parts = getattr(model, "parts", PLAIN)
    return timm_eva.to_eva(found, parts) if timm_eva.is_eva(parts) else found


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
