"""Pretrained weights: find them, fit them to the model, and report what became of every array.

Paddle's own `set_state_dict` is silent about surplus keys and only warns about missing ones; here anything that is not
planned is an error. Planned are: position embeddings of another grid (resized) and heads of another size (dropped).
"""

from __future__ import annotations

import hashlib
from pathlib import Path
from typing import NamedTuple

import numpy as np
import paddle
import paddle.nn.functional as F
from paddle import nn

from common.download import fetch
from common.errors import UserError, nearest
from common.safe_load import read_arrays

_PPIM_SERVER = "https://bj.bcebos.com/"
_HEADS = ("head.", "head_dist.")


class Report(NamedTuple):
    """What loading did, as names of parameters."""

    loaded: list[str]
    resized: list[str]
    dropped: list[str]
    initialised: list[str]
    unexpected: list[str]

    def summary(self) -> str:
        """One line for people: the loaded ones counted, the others named."""
        named = [f"{kind} {', '.join(names)}" for kind, names in self._asdict().items() if names and kind != "loaded"]
        return "; ".join([f"loaded {len(self.loaded)} arrays", *named])


def load_weights(model: nn.Layer, source: str | Path) -> Report:
    """Load weights into a model, by name.

    Args:
        model: takes the weights; it is changed only when everything fits.
        source: a `.safetensors` or `.pdparams` file, an `https` address of one, or a name that PPIM has weights for.

    Returns:
        What was loaded, resized, dropped and left at initialisation; `unexpected` is empty, since it is an error.

    Raises:
        UserError: when the source can't be read, or an array is missing, surplus, of another shape, or not finite.
    """
    arrays, _ = read_arrays(locate(str(source)))
    return assign(model, arrays, str(source))


def assign(model: nn.Layer, arrays: dict[str, np.ndarray], origin: str) -> Report:
    """Fit named arrays to a model and assign them; `origin` names them in errors. See `load_weights`."""
    target = model.state_dict()
    report = Report([], [], [], [], [])
    fitted = {}
    for name, array in arrays.items():
        if name in target and not np.isfinite(array).all():
            raise UserError(f"{origin}: {name} holds values that are not finite")
        if name.startswith(_HEADS) and (name not in target or list(array.shape) != target[name].shape):
            report.dropped.append(name)
        elif name not in target:
            report.unexpected.append(name)
        elif list(array.shape) == target[name].shape:
            fitted[name] = array
            report.loaded.append(name)
        elif name == "pos_embed":
            fitted[name] = resize_positions(array, target[name].shape[1], len(model.special_tokens), origin)
            report.resized.append(name)
        else:
            raise UserError(f"{origin}: {name} has shape {list(array.shape)}, the model expects {target[name].shape}")
    report.initialised.extend(name for name in target if name not in fitted)
    _refuse_unplanned(report, target, origin)
    for name, array in fitted.items():
        target[name].set_value(np.ascontiguousarray(array, np.float32))
    return report


def _refuse_unplanned(report: Report, target: dict, origin: str) -> None:
    if report.unexpected:
        name = report.unexpected[0]
        raise UserError(
            f"{origin}: {len(report.unexpected)} arrays do not belong to the model, first {name}{nearest(name, target)}"
        )
    missing = [name for name in report.initialised if not name.startswith(_HEADS)]
    if missing:
        raise UserError(f"{origin}: {len(missing)} arrays of the model are missing, first {missing[0]}")


def resize_positions(positions: np.ndarray, tokens: int, special: int, origin: str) -> np.ndarray:
    """Resize the grid part of a position embedding bicubically; the special tokens' part stays as it is.

    Args:
        positions: `(1, special + old_grid^2, D)`.
        tokens: how many the model has, the special ones included.
        special: how many tokens come before the grid.
        origin: names the file in an error.

    Returns:
        `(1, tokens, D)`, float32.
    """
    old, new = round((positions.shape[1] - special) ** 0.5), round((tokens - special) ** 0.5)
    if old * old + special != positions.shape[1]:
        raise UserError(f"{origin}: pos_embed has {positions.shape[1]} tokens, which is no square grid + {special}")
    head, grid = positions[:, :special], positions[:, special:]
    grid = paddle.to_tensor(grid.astype(np.float32)).reshape([1, old, old, -1]).transpose([0, 3, 1, 2])  # (1, D, g, g)
    grid = F.interpolate(grid, size=[new, new], mode="bicubic", align_corners=False)
    grid = grid.transpose([0, 2, 3, 1]).reshape([1, new * new, -1]).numpy()
    return np.concatenate([head.astype(np.float32), grid], axis=1)


def locate(source: str) -> Path:
    """The local file for a path, an `https` address (downloaded once) or a PPIM name."""
    url = _address(source)
    return fetch(url, _cached(url)) if url else Path(source)


def is_local(source: str) -> bool:
    """Whether `locate` would need no download."""
    url = _address(source)
    return (_cached(url) if url else Path(source)).is_file()


def _address(source: str) -> str:
    """The address that a source stands for; empty for a path."""
    if "://" in source:
        return source
    return "" if Path(source).suffix in (".safetensors", ".pdparams") else _ppim_url(source)


def _cached(url: str) -> Path:
    """Where a download is kept. PPIM's are where Paddle would put them (it names them by all after the last slash)."""
    name = url.rsplit("/", 1)[-1]
    if url.startswith(_PPIM_SERVER):
        return Path.home() / ".cache" / "paddle" / "hapi" / "weights" / name
    key = hashlib.sha256(url.encode()).hexdigest()[:16]  # many addresses end in the same name
    return Path.home() / ".cache" / "rdrop" / f"{key}-{name.split('?')[0]}"


def _ppim_url(name: str) -> str:
    from ppim.models import deit

    if name not in deit.urls:
        raise UserError(f"pretrained weights {name!r} are not known to PPIM{nearest(name, deit.urls)}; or give a file")
    return deit.urls[name]
