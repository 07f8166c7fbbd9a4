"""Puts together what a check has found, as JSON: the same for the same data, in a fixed order."""

from __future__ import annotations

from collections import Counter
from typing import Any

import numpy as np

from data.check.duplicates import Copy, Duplicates
from data.check.scan import Scan

FEW = 5  # training images; with fewer of a class there is little to learn
IMBALANCE = 10  # the largest class in units of the smallest one
_MOST_SIZES = 100  # that are listed, the most frequent ones first
_MOST_GROUPS = 10_000  # of duplicates that are listed
# Upper bounds of the shorter side, in pixels, for a table of sizes.
_BOUNDS = (*(16, 32, 64, 96, 128, 160, 192, 224, 256, 320, 384, 448, 512, 640, 768, 1024),)
_LARGER_BOUNDS = (1536, 2048, 3072, 4096, 8192)


def collect(
    scans: dict[str, Scan], duplicates: Duplicates, classes: tuple[str, ...]
) -> dict[str, Any]:
    """Returns all that is known: `parts` by their names, and `duplicates`."""
    shown = duplicates.groups[:_MOST_GROUPS]
    return {
        "classes": len(classes),
        "parts": {name: _part(one, classes) for name, one in scans.items()},
        "duplicates": {
            "contradicting_groups": sum(group.contradicts for group in duplicates.groups),
            "contradicting_images": duplicates.contradicting,
            "within": duplicates.within,
            "between": {f"{one} and {other}": n for (one, other), n in duplicates.between.items()},
            "groups": len(duplicates.groups),
            "listed": [
                {
                    "contradicts": group.contradicts,
                    "images": [_copy(copy, scans, classes) for copy in group.copies],
                }
                for group in shown
            ],
        },
    }


def _copy(copy: Copy, scans: dict[str, Scan], classes: tuple[str, ...]) -> dict[str, Any]:
    name = scans[copy.part].name(copy.position)
    label = {"class": classes[copy.label]} if copy.label >= 0 else {}
    return {"part": copy.part, "image": name, **label}


def _part(one: Scan, classes: tuple[str, ...]) -> dict[str, Any]:
    part, labelled = one.part, bool((one.part.labels >= 0).any())

    def names(positions: list[int]) -> list[str]:
        return [one.name(position) for position in positions]

    return {
        "images": len(part.labels),
        "origin": part.origin,
        "notes": list(part.notes),
        **(_balance(one, classes) if labelled else {}),
        "damaged": [
            {"image": one.name(position), "reason": reason}
            for position, reason in one.damaged.items()
        ],
        "kinds": dict(sorted(one.kinds.items(), key=lambda item: (-item[1], item[0]))),
        "exif_orientations": {str(key): one.orientations[key] for key in sorted(one.orientations)},
        "sizes": _sizes(one.sizes),
        "single_colour": names(one.single_colour),
        "large": names(one.large),
        "long": names(one.long),
        "mean": [round(value, 4) for value in one.mean],
        "std": [round(value, 4) for value in one.std],
    }


def _balance(one: Scan, classes: tuple[str, ...]) -> dict[str, Any]:
    counts = np.bincount(one.part.labels, minlength=len(classes)).tolist()
    by_name = dict(zip(classes, counts))
    present = [(count, name) for name, count in by_name.items() if count]
    smallest = min(present)
    largest = min(present, key=lambda pair: (-pair[0], pair[1]))
    return {
        "images_of_class": by_name,
        "missing_classes": [name for name, count in by_name.items() if not count],
        "small_classes": [name for name, count in by_name.items() if 0 < count < FEW],
        "smallest_class": [smallest[1], smallest[0]],
        "largest_class": [largest[1], largest[0]],
        "imbalance": round(largest[0] / smallest[0], 2),
    }


def _sizes(sizes: Counter[tuple[int, int]]) -> dict[str, Any]:
    """Returns the most frequent sizes `[width, height, images]`, and how many are how large."""
    ordered = sorted(sizes.items(), key=lambda item: (-item[1], item[0]))
    shorter: Counter[int] = Counter()
    for size, count in sizes.items():
        shorter[min(size)] += count
    table, below = [], 0
    for bound in (*_BOUNDS, *_LARGER_BOUNDS):
        count = sum(n for side, n in shorter.items() if below < side <= bound)
        if count:
            table.append([below + 1, bound, count])
        below = bound
    more = sum(n for side, n in shorter.items() if side > below)
    return {
        "different": len(sizes),
        "most_frequent": [[*size, count] for size, count in ordered[:_MOST_SIZES]],
        "shorter_side": [*table, *([[below + 1, max(shorter), more]] if more else [])],
    }
