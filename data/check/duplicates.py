"""Finds images with the same pixels, within a part and between parts."""

from __future__ import annotations

import itertools
from collections import Counter
from collections.abc import Iterator
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from data.check.scan import Scan


class Copy(NamedTuple):
    """One of several images with the same pixels."""

    part: str
    position: int
    label: int  # -1: none


class Group(NamedTuple):
    """All images with the same pixels, in the order of the parts and of the images."""

    copies: tuple[Copy, ...]

    @property
    def contradicts(self) -> bool:
        """Whether the labels differ."""
        return len({copy.label for copy in self.copies if copy.label >= 0}) > 1

    @property
    def parts(self) -> tuple[str, ...]:
        """The parts that it is in, in their order."""
        return tuple(dict.fromkeys(copy.part for copy in self.copies))


class Duplicates(NamedTuple):
    """What images have in common.

    Attributes:
        groups: those with labels that contradict each other first, then those between parts.
        within: images of a part that repeat an earlier one of it, by the part.
        between: images of the second part that are in the first one, too, by both parts.
        contradicting: images in groups with labels that contradict each other.
    """

    groups: list[Group]
    within: dict[str, int]
    between: dict[tuple[str, str], int]
    contradicting: int


def find(scans: dict[str, Scan]) -> Duplicates:
    """Compares the hashes of all readable images of all parts."""
    groups = sorted(
        _groups(scans), key=lambda one: (not one.contradicts, len(one.parts) == 1)
    )  # a stable sort
    within, between, contradicting = Counter[str](), Counter[tuple[str, str]](), 0
    for group in groups:
        counts = Counter(copy.part for copy in group.copies)
        for part, count in counts.items():
            within[part] += count - 1
        for first, second in itertools.combinations(group.parts, 2):
            between[first, second] += counts[second]
        contradicting += len(group.copies) if group.contradicts else 0
    pairs = itertools.combinations(scans, 2)
    return Duplicates(
        groups,
        {part: within[part] for part in scans},
        {pair: between[pair] for pair in pairs},
        contradicting,
    )


def _groups(scans: dict[str, Scan]) -> Iterator[Group]:
    """Yields the groups in the order of their first images."""
    copies: list[tuple[str, NDArray[np.int_]]] = []
    for name, one in scans.items():
        whole = np.setdiff1d(np.arange(len(one.digests)), list(one.damaged))
        copies.append((name, whole))
    digests = np.concatenate([scans[name].digests[whole] for name, whole in copies])
    if not len(digests):
        return
    keys = digests.view(np.uint64)  # (N, 2)
    order = np.lexsort((keys[:, 1], keys[:, 0]))  # equal ones stay in order
    new = np.append(True, (keys[order][1:] != keys[order][:-1]).any(axis=1))
    bounds = np.append(np.flatnonzero(new), len(order))
    runs = [order[bounds[at] : bounds[at + 1]] for at in np.flatnonzero(np.diff(bounds) > 1)]
    starts = np.cumsum([0, *(len(whole) for _, whole in copies)])
    for run in sorted(runs, key=lambda one: int(one[0])):
        members = []
        for index in run.tolist():
            at = int(np.searchsorted(starts, index, side="right")) - 1
            name, whole = copies[at]
            position = int(whole[index - starts[at]])
            members.append(Copy(name, position, int(scans[name].part.labels[position])))
        yield Group(tuple(members))
