"""Turns the names of another library into timm's, as a table of that library says.

A table is a `Library`: rows of a pattern and timm's name. In both, `#` stands for a number, `*` for
`weight` or `bias`, and `**` for any text; those on the right are those on the left, in their order.
`?` is a number that timm's name lacks. Rows may name parts that timm keeps as one array, see
`MERGED`.
"""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Callable, Iterable, Mapping, Sequence
from functools import cache
from typing import NamedTuple

import numpy as np

from common.errors import UserError

# Parts of a layer that timm keeps as one array, in the order of its rows.
MERGED = {
    ("attn.query", "attn.key", "attn.value"): "attn.qkv",
    ("mlp.gate", "mlp.up"): "mlp.fc1",  # of a SwiGLU: SiLU is of the first
}
_TOKENS = {"#": r"(\d+)", "?": r"\d+", "*": "(weight|bias)", "**": "(.+)"}
_TOKEN = re.compile(r"(#|\?|\*\*|\*)")

Arrays = dict[str, np.ndarray]
Rows = tuple[tuple[str, str], ...]


class Library(NamedTuple):
    """How a library names the arrays of a model, and what is done to them.

    Patterns are matched without the prefix of the model: what stands before the anchors.
    """

    name: str  # for people
    anchors: tuple[str, ...]  # names that a file of this library has, all with one prefix
    rows: Rows  # pattern: timm's name
    dropped: Rows = ()  # pattern: what it is, for people
    beside: Rows = ()  # the same, for names that lack the prefix of the model
    kinds: Rows = ()  # name that is there: what the library is then called, the first that fits
    prefixes: tuple[str, ...] = ()  # the library's own, which need not be mentioned
    arrange: Callable[[str, np.ndarray], np.ndarray] | None = None  # timm's name, array: as timm's


class Translated(NamedTuple):
    """Arrays with timm's names, and what happened on the way."""

    arrays: Arrays
    sources: dict[str, str]  # timm's name: the name in the file; of parts that were joined, too
    dropped: tuple[str, ...]  # by their names in the file
    said: tuple[str, ...]  # one sentence each


def prefix_of(library: Library, names: Mapping[str, object], origin: str) -> str | None:
    """Returns what stands before the names of a library's model; None for another library.

    Raises:
        UserError: when several models of the library are there.
    """
    first, *others = library.anchors
    prefixes = []
    for name in names:
        prefix = name.removesuffix(first)
        if not name.endswith(first) or prefix[-1:] not in ("", ".", "/"):
            continue
        outer = ("", *_outer(prefix))
        near = all(any(part + other in names for part in outer) for other in others)
        if near and not renamed(library.beside, name):
            prefixes.append(prefix)
    if len(prefixes) > 1:
        raise UserError(
            f"{origin}: holds {len(prefixes)} models, below "
            f"{' and '.join(map(repr, prefixes[:4]))}; save the one that is wanted"
        )
    return prefixes[0] if prefixes else None


def _outer(prefix: str) -> list[str]:
    """Returns a prefix and its beginnings, the longest first: `a.b.` gives `a.b.` and `a.`."""
    parts = re.findall(r"[^./]*[./]", prefix)
    return ["".join(parts[:count]) for count in range(len(parts), 0, -1)]


def _stripped(name: str, prefixes: list[str]) -> str:
    """Takes the first prefix that a name has off it; a head may lie next to the model."""
    return next((name.removeprefix(one) for one in prefixes if name.startswith(one)), name)


def kind_of(library: Library, names: Iterable[str]) -> str:
    """Returns what people call the library, by what else is in the file."""
    plain = {_without_numbers(name) for name in names}
    for ending, kind in library.kinds:
        if any(name.endswith(ending) for name in plain):
            return kind
    return library.name


def translate(library: Library, prefix: str, arrays: Arrays, origin: str) -> Translated:
    """Gives arrays timm's names; those that no row knows keep their own.

    Raises:
        UserError: when two arrays become one, or parts of a layer are missing.
    """
    found: Arrays = {}
    sources: dict[str, str] = {}
    reasons: dict[str, str] = {}
    prefixes = _outer(prefix)
    for name, array in arrays.items():
        stripped = _stripped(name, prefixes)
        outside = prefix and not name.startswith(prefix)
        reason = renamed(library.beside, stripped) if outside else ""
        reason = reason or renamed(library.dropped, stripped)
        if reason:
            reasons[name] = reason
            continue
        timm = renamed(library.rows, stripped) or stripped
        if timm in found:
            raise UserError(f"{origin}: {timm} is there twice, as {sources[timm]} and as {name}")
        found[timm] = library.arrange(timm, array) if library.arrange else array
        sources[timm] = name
    said = [f"dropped {what} ({count} arrays)" for what, count in Counter(reasons.values()).items()]
    theirs = next((own for own in library.prefixes if prefix.endswith(own)), "")
    if foreign := prefix.removesuffix(theirs):
        said.insert(0, f"took the prefix {foreign!r} off the names")
    merged = merge(found, sources, origin)
    return Translated(merged, sources, tuple(reasons), tuple(said))


def merge(arrays: Arrays, sources: Mapping[str, str], origin: str) -> Arrays:
    """Joins the parts that timm keeps as one array.

    Args:
        arrays: by timm's names, and the names of parts in `MERGED`.
        sources: their names in the file, for errors.
        origin: names the file in errors.

    Raises:
        UserError: when a part is missing, or has another shape.
    """
    axis = 1 if inputs_first(arrays) else 0
    places = {f".{part}.": parts for parts in MERGED for part in parts}
    merged: Arrays = {}
    for name, array in arrays.items():
        part = next((place for place in places if place in name), None)
        if part is None:
            merged[name] = array
            continue
        stem, _, leaf = name.rpartition(part)
        whole = f"{stem}.{MERGED[places[part]]}.{leaf}"
        if whole not in merged:
            names = [f"{stem}.{one}.{leaf}" for one in places[part]]
            merged[whole] = _joined(names, arrays, sources, axis, origin)
        if whole in arrays:
            raise UserError(f"{origin}: {whole} is there twice, as {sources.get(name, name)}, too")
    return merged


def _joined(
    names: list[str], arrays: Arrays, sources: Mapping[str, str], axis: int, origin: str
) -> np.ndarray:
    parts = [arrays[name] for name in names if name in arrays]
    if len(parts) < len(names) or len({part.shape for part in parts}) > 1 or not parts[0].ndim:
        there = ", ".join(
            f"{sources.get(name, name)} {list(arrays[name].shape)}"
            for name in names
            if name in arrays
        )
        wanted = " and ".join(name.rsplit(".", 2)[1] for name in names)
        raise UserError(
            f"{origin}: {wanted} of a layer do not belong together, or one is missing: "
            f"the file has {there}"
        )
    return np.concatenate(parts, axis=axis if parts[0].ndim > 1 else 0)


def inputs_first(arrays: Mapping[str, np.ndarray]) -> bool:
    """Returns whether matrices are (inputs, outputs), as Paddle keeps them.

    A layer of the MLP tells it, which is not square. Where none is there: False.
    """
    for name, bias in arrays.items():
        if name.endswith((".mlp.fc1.bias", ".mlp.fc2.bias", ".mlp.up.bias")):
            weight = arrays.get(f"{name.removesuffix('bias')}weight")
            if weight is not None and weight.ndim == 2 and weight.shape[0] != weight.shape[1]:
                return weight.shape[1] == bias.size
    return False


def reversed_rows(library: Library) -> Rows:
    """Returns the rows from timm's names to the library's; the first row of a name counts."""
    return tuple((timm, theirs) for theirs, timm in library.rows)


def renamed(rows: Rows, name: str) -> str:
    """Returns what the first row that fits makes of a name; empty where none fits."""
    for pattern, result in _compiled(rows):
        if found := pattern.fullmatch(name):
            return _filled(result, found.groups())
    return ""


def _filled(result: str, groups: Sequence[str]) -> str:
    """Puts what a pattern has found in the places of its result."""
    rest = iter(groups)
    return _TOKEN.sub(lambda _: next(rest), result)


@cache
def _compiled(rows: Rows) -> tuple[tuple[re.Pattern[str], str], ...]:
    compiled = []
    for pattern, result in rows:
        pieces = [_TOKENS.get(piece, re.escape(piece)) for piece in _TOKEN.split(pattern)]
        compiled.append((re.compile("".join(pieces)), result))
    return tuple(compiled)


def _without_numbers(name: str) -> str:
    return re.sub(r"(?<=\.)\d+(?=\.)", "#", name)
