"""Between the names and layouts of weights: ours (which are PPIM's and Paddle's), timm's (PyTorch's) and Google's.

PyTorch keeps the matrix of a linear layer as (outputs, inputs), Paddle as (inputs, outputs). Which of the two a file
has is seen from its matrices that are not square; taking one for the other would show nowhere else than in the accuracy.
"""

from __future__ import annotations

import numpy as np
from paddle import nn

from models.google import from_google, is_google
from models.multipass import MultiPass

COUNTERS = ("num_batches_tracked",)  # of PyTorch's batch norm; nothing depends on them
_BATCH_NORM = {"_mean": "running_mean", "_variance": "running_var"}  # Paddle's names: PyTorch's


def to_ours(model: MultiPass, arrays: dict[str, np.ndarray], origin: str) -> dict[str, np.ndarray]:
    """Give the arrays of a file the names and the layout that the model has; what it does not know stays as it is.

    Raises:
        UserError: when a file of Google's is damaged.
    """
    if is_google(arrays):
        return from_google(arrays, origin)
    target = model.state_dict()
    timm = {_timm_name(model, name): name for name in target}
    if sum(name in timm for name in arrays) > sum(name in target for name in arrays):
        arrays = {timm.get(name, name): array for name, array in arrays.items()}
    matrices = _matrices(model)
    votes = [arrays[name].shape == tuple(target[name].shape)[::-1] for name in matrices if _tells(arrays, target, name)]
    if votes and all(votes):
        arrays = {name: array.T if name in matrices else array for name, array in arrays.items()}
    return arrays


def to_timm(model: MultiPass, arrays: dict[str, np.ndarray]) -> dict[str, np.ndarray]:
    """Give arrays with our names timm's names and PyTorch's layout; derived buffers are left out, as timm does."""
    matrices = _matrices(model)
    return {
        _timm_name(model, name): np.ascontiguousarray(array.T if name in matrices else array)
        for name, array in arrays.items()
        if not (model.derived and name.endswith(model.derived))
    }


def _timm_name(model: MultiPass, name: str) -> str:
    name = model.timm_name(name)
    stem, _, leaf = name.rpartition(".")
    return f"{stem}.{_BATCH_NORM[leaf]}" if leaf in _BATCH_NORM else name


def _matrices(model: MultiPass) -> set[str]:
    """The names of the weights of linear layers."""
    linear = {id(layer.weight) for layer in model.sublayers() if isinstance(layer, nn.Linear)}
    return {name for name, parameter in model.state_dict().items() if id(parameter) in linear}


def _tells(arrays: dict[str, np.ndarray], target: dict, name: str) -> bool:
    """Whether the shape of a matrix in the file shows its layout."""
    ours = tuple(target[name].shape)
    return ours[0] != ours[1] and name in arrays and arrays[name].shape in (ours, ours[::-1])
