"""Chooses the model in the content of a file, which may be a training state of any framework.

A training state is nested dicts with a model, optimiser states, arguments, and often several
models: a moving average, a teacher and a student. The model is found by what it is, not by a list
of keys: a dict of named arrays that is no optimiser's state. Of several, a moving average comes
first, as in timm, then a teacher; what was taken and what was left is said.
"""

from __future__ import annotations

import re
from collections import deque
from pathlib import Path
from typing import Any, NamedTuple

from common.errors import UserError, listed, nearest
from common.pickles.inert import Inert
from common.pickles.stand_ins import ArrayStandIn
from models.weights.formats.contents import Later, as_later, with_big_arrays
from models.weights.formats.precision import check_not_quantised
from models.weights.formats.prefixes import networks, with_head

_DEEPEST, _MOST_PLACES = 8, 20_000  # of the containers that are looked at
# Words of keys below which no model lies.
_NOT_MODELS = re.compile(
    r"(?:^|_)(?:optims?(?:_|$)|opt(?:_|$)|sched|scaler|amp$|callback|loops$|rng|random|hyper|"
    r"hparam|config|cfg|args|history|metric|master_weights|loss|criterion)|"
    r"[Oo]ptimi[sz]er|[Ss]cheduler"
)
# Names of what optimisers keep for each array: PyTorch's, and the endings of Paddle's.
_MOMENTS = re.findall(
    r"\w+",
    "step exp_avg exp_avg_sq max_exp_avg_sq exp_avg_diff exp_inf momentum_buffer square_avg "
    "acc_delta grad_avg sum prev eta mu ax exp_avg_sq_row exp_avg_sq_col exp_avg_res m v",
)
_PADDLE_MOMENTS = re.compile(
    r"_(?:moment\d?|beta\d_pow_acc|velocity|momentum|mean_square|mean_grad|inf_norm|"
    r"_avg_squared_\w+|fp32_master)_\d+$"
)
_SHARE = 0.5  # of the largest model's arrays that another one has at least
# How much the words of a key are preferred; other words have rank 2.
_RANKS = (
    (
        0,
        re.compile(
            r"(?:^|_)(?:ema|swa|averaged?|avg|polyak|shadow)(?:_|$)|(?-i:EMA)", re.IGNORECASE
        ),
    ),
    (1, re.compile(r"(?:^|_)(?:teacher|target)(?:_|$)|^Student$")),
    (3, re.compile(r"(?:^|_)student(?:_|$)|^Teacher$")),
    (
        4,
        re.compile(
            r"(?:^|_)(?:momentum_encoder|encoder_k|key_encoder|discriminator|predictor|projector|"
            r"text|decoder|generator)(?:_|$)"
        ),
    ),
)
_USUAL_RANK = 2
_USUAL_KEYS = ("state_dict_ema", "model_ema", "ema", "state_dict", "model")  # timm's order


class Choice(NamedTuple):
    """The model that was chosen; see `Stored` for `said` and `names`."""

    arrays: dict[str, Any]
    said: tuple[str, ...]
    names: tuple[str, ...]


class _Set(NamedTuple):
    """A model in a file: its place as words with dots, and its arrays."""

    label: str
    arrays: dict[str, Any]
    said: tuple[str, ...]


def choose(content: Any, path: Path, part: str = "") -> Choice:
    """Chooses the model in the content of a file.

    Args:
        content: see `Opened`.
        path: of the file, for hints.
        part: the key of the wanted model, with dots for nested keys; "" for the usual choice.

    Raises:
        UserError: when there is none, or none with this key; the message has no origin.
    """
    places = _places(content)
    if set(places) <= {""} and (not places or _training_state(content)):
        raise UserError(_what_it_is(content, path))
    largest = max(len(arrays) for arrays in places.values())
    large = {key: one for key, one in places.items() if len(one) >= _SHARE * largest}
    whole = with_head(next(iter(large)), places) if len(large) == 1 else large
    sets = [one for key, arrays in whole.items() for one in _sets(key, arrays)]
    if part:
        others = [one for k, arrays in places.items() if k not in large for one in _sets(k, arrays)]
        taken = _named(part, sets, others)
    else:
        taken = min(sets, key=_preference)
    names = tuple(one.label for one in sets if one is not taken and one.label)
    _check_objects(taken.arrays)
    return Choice(_arrays_of(taken), (*_said(taken, names), *taken.said, *_left_out(taken)), names)


def _places(content: Any) -> dict[str, dict[str, Any]]:
    """Returns the dicts of named arrays, by the keys that lead to them, joined by dots."""
    found: dict[str, dict[str, Any]] = {}
    waiting: deque[tuple[tuple[str, ...], Any]] = deque([((), content)])
    seen: set[int] = set()
    while waiting and len(seen) < _MOST_PLACES:
        keys, value = waiting.popleft()
        if id(value) in seen or len(keys) > _DEEPEST:
            continue
        seen.add(id(value))
        arrays = _named_arrays(value) if isinstance(value, dict) else {}
        if _is_model(arrays, value):
            found[".".join(keys)] = arrays
        inner = value.items() if isinstance(value, dict) else enumerate(_listed(value))
        waiting.extend(
            ((*keys, str(key)[:200]), one)
            for key, one in inner
            if isinstance(one, (dict, list)) or type(one) is tuple
            if not _NOT_MODELS.search(str(key))
        )
    return found


def _named_arrays(content: dict[Any, Any]) -> dict[str, Any]:
    """Returns the arrays in a dict, and the objects that may stand in the place of some."""
    whole = with_big_arrays(content).items()
    named = ((key, as_later(value)) for key, value in whole if isinstance(key, str))
    odd = (Later, Inert, ArrayStandIn)
    return {
        key: value
        for key, value in named
        if any(isinstance(one, odd) for one in _flat(value))
        if "." in key or not _NOT_MODELS.search(key)
    }


def _is_model(arrays: dict[str, Any], whole: Any) -> bool:
    """Returns whether arrays may be a model: single figures next to other things are none."""
    sides = [len(value.shape) for value in arrays.values() if isinstance(value, Later)]
    return bool(sides) and (any(sides) or len(whole) == len(sides)) and not _is_moments(arrays)


def _listed(value: Any) -> Any:
    return value if isinstance(value, (list, tuple)) and not isinstance(value, Later) else ()


def _is_moments(arrays: dict[str, Any]) -> bool:
    """Returns whether arrays are what an optimiser keeps."""
    moments = sum(
        name.rpartition(".")[2] in _MOMENTS or bool(_PADDLE_MOMENTS.search(name)) for name in arrays
    )
    return moments > len(arrays) / 2


def _sets(key: str, arrays: dict[str, Any]) -> list[_Set]:
    """Returns the models in one dict: those of different prefixes."""
    found = networks(arrays)
    if len(found) == 1:
        return [_Set(key, found[0].arrays, found[0].said)]
    return [_Set(f"{key}.{one.prefix}".strip("."), one.arrays, one.said) for one in found]


def _preference(one: _Set) -> tuple[int, int, int]:
    ranks = [_rank(word) for word in one.label.split(".")]
    rank = max(ranks) if max(ranks) > _USUAL_RANK else min(ranks)
    first = one.label.partition(".")[0]
    order = _USUAL_KEYS.index(first) if first in _USUAL_KEYS else len(_USUAL_KEYS)
    return rank, order, -len(one.arrays)


def _rank(word: str) -> int:
    return next((rank for rank, words in _RANKS if words.search(word)), _USUAL_RANK)


def _named(part: str, sets: list[_Set], others: list[_Set]) -> _Set:
    """Returns the model that the user named: by its place, or by words that only it has."""
    every = [*sets, *others]
    words = part.strip(".").split(".")
    exact = [one for one in every if one.label.split(".") == words]
    inside = [one for one in every if set(words) <= set(one.label.split("."))]
    for found in (exact, inside):
        best = [one for one in found if one in sets] or found
        if len(best) == 1:
            return best[0]
    labels = [one.label for one in every if one.label]
    if not labels:
        raise UserError(f"has no part {part!r}: it holds one model; give it without #{part}")
    raise UserError(f"has no part {part!r}{nearest(part, labels)}")


def _said(taken: _Set, left: tuple[str, ...]) -> list[str]:
    if not left:
        return [f"the model is its entry {taken.label!r}"] if taken.label else []
    here = taken.label or "its own arrays"
    return [f"took {here}, not {listed(left)} (FILE#{left[0]} takes that)"]


def _check_objects(arrays: dict[str, Any]) -> None:
    """Checks that no object stands where an array of the model should be."""
    check_not_quantised(arrays)
    for name, value in arrays.items():
        odd = [one for one in _flat(value) if isinstance(one, (Inert, ArrayStandIn))]
        if odd and _is_weight_like(name, odd[0]):
            kind = f"object of the class {odd[0]}" if isinstance(odd[0], Inert) else "odd array"
            raise UserError(f"{name!r} is an {kind}, no array of numbers: it is refused; {_SAVE}")


def _flat(value: Any) -> tuple[Any, ...]:
    return value if type(value) is tuple else (value,)


def _is_weight_like(name: str, value: Inert | ArrayStandIn) -> bool:
    """Returns whether an object stands for an array, and not for what lies next to the model."""
    kind = f"{value.module}.{value.name}" if isinstance(value, Inert) else ""
    tensor = re.search(r"tensor|param|^torch\._|^numpy", kind, re.IGNORECASE)
    return tensor is not None or name.endswith((".weight", ".bias"))


def _arrays_of(taken: _Set) -> dict[str, Later]:
    return {name: value for name, value in taken.arrays.items() if isinstance(value, Later)}


def _left_out(taken: _Set) -> list[str]:
    odd = [name for name, value in taken.arrays.items() if not isinstance(value, Later)]
    return [f"left out what is no array: {listed(odd)}"] if odd else []


_NO_MODEL = re.compile(r"Argument|Config|Optimi[sz]er|Schedule|Tokenizer|Processor")
_BESIDE = "give the weights file next to it"
_SAVE = (
    "in Python save the weights alone: torch.save(model.state_dict(), 'weights.pth'), or "
    "paddle.save(model.state_dict(), 'weights.pdparams')"
)


def _what_it_is(content: Any, path: Path) -> str:
    """Returns what a content without a model is, and what to do."""
    if isinstance(content, Inert):
        remedy = _BESIDE if _NO_MODEL.search(content.name) else _SAVE
        said = f"holds a whole pickled object ({content}), not named arrays: it is not run"
        return f"{said}; {remedy}"
    if not isinstance(content, dict):
        return f"holds a {_kind(content)}, expected a dict of arrays; give a weights file"
    check_not_quantised(_named_arrays(content))
    keys = [str(key) for key in content]
    state = _training_state(content)
    if state:
        paddles = path.suffix in (".pdopt", ".pdparams") or any(map(_PADDLE_MOMENTS.search, keys))
        beside = f"{path.stem}.pdparams" if paddles else "model.safetensors or pytorch_model.bin"
        return f"holds {state}, no weights: give the weights file next to it, such as {beside}"
    whole = {str(key): value for key, value in content.items() if isinstance(value, Inert)}
    models = [key for key in whole if not _NOT_MODELS.search(key)]
    if models:
        kind = (
            "tensor without values" if "_meta_" in whole[models[0]].name else "whole pickled object"
        )
        said = f"holds no weights: {models[0]!r} is a {kind} ({whole[models[0]]})"
        return f"{said}, which is not run; {_SAVE}"
    entries = f"its entries are {listed(keys)}" if keys else "it is an empty dict"
    return f"holds no arrays of a model, thus no weights: {entries}; give the weights file"


def _kind(value: Any) -> str:
    array = isinstance(as_later(value), (Later, ArrayStandIn))
    return "single array" if array else type(value).__name__


def _training_state(content: dict[Any, Any]) -> str:
    """Returns which state of training a dict is; "" for none that is known."""
    keys = {str(key) for key in content}
    if {"state", "param_groups"} <= keys or _has_moments(content):
        return "an optimiser's state"
    if "base_lrs" in keys or {"last_epoch", "last_lr"} <= keys:
        return "a learning-rate schedule's state"
    if {"scale", "growth_factor"} <= keys or {"scale", "incr_count"} <= keys:
        return "a loss scaler's state"
    if {"numpy", "python"} <= keys or "cuda_rng_state" in keys:
        return "random states"
    return ""


def _has_moments(content: dict[Any, Any]) -> bool:
    arrays = _named_arrays(content)
    return bool(arrays) and _is_moments(arrays)
