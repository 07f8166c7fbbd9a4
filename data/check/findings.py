"""Says what is wrong with a data set, the worst first, and what to do about it."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any, NamedTuple

from common.errors import listed
from data.check.facts import FEW, IMBALANCE
from data.check.scan import LARGE, LONG

_OF = {"train": "training", "val": "validation", "unlabelled": "unlabelled", "test": "test"}
# Parts that may not share images, and why. The others only should not.
_SEPARATE = {
    "train and test": "the test accuracy counts what was learned by heart",
    "train and val": "the weights that learned most by heart are picked",
}
_ODD = {
    "single_colour": ("images of a single colour", "see whether they are what they should be"),
    "long": (
        f"images with one side more than {LONG} times the other",
        "cut them into shape: a square crop shows little of them",
    ),
    "large": (
        f"images of more than {LARGE / 1e6:.0f} million pixels",
        "store them smaller: reading them slows the training down",
    ),
}


class Finding(NamedTuple):
    """Something that is wrong.

    Attributes:
        spoils: whether results are wrong because of it; else it only has to be known.
        text: what it is.
        remedy: what to do.
    """

    spoils: bool
    text: str
    remedy: str


def judge(facts: dict[str, Any], exif_applied: bool, held_out: bool) -> list[Finding]:
    """Returns what is wrong, those that spoil a result first.

    Args:
        facts: from `data.check.facts.collect`.
        exif_applied: whether images are turned upright by their EXIF orientation.
        held_out: whether the validation images are training images that are held out.
    """
    parts = facts["parts"]
    found = [
        *_contradictions(facts["duplicates"]),
        *_shared(facts),
        *_damaged(parts),
        *_missing(parts, held_out),
        *_repeated(facts),
        *_balance(parts["train"]),
        *_odd(parts),
        *([] if exif_applied else _turned(parts)),
    ]
    return sorted(found, key=lambda one: not one.spoils)  # a stable sort


def _contradictions(duplicates: dict[str, Any]) -> Iterator[Finding]:
    if not duplicates["contradicting_groups"]:
        return
    first, *rest = duplicates["listed"][0]["images"]
    other = next(one for one in rest if one.get("class") != first.get("class"))
    yield Finding(
        True,
        "images with the same pixels, but different classes: "
        f"{duplicates['contradicting_images']:,}, such as {_place(first)} = {_place(other)}",
        "find out which class is right, and remove the others",
    )


def _place(copy: dict[str, Any]) -> str:
    return f"{copy['image']} ({', '.join(filter(None, [copy['part'], copy.get('class')]))})"


def _shared(facts: dict[str, Any]) -> Iterator[Finding]:
    groups = facts["duplicates"]["listed"]
    for pair, count in facts["duplicates"]["between"].items():
        if not count:
            continue
        first, second = pair.split(" and ")
        places = (
            {copy["part"]: _place(copy) for copy in reversed(one["images"])} for one in groups
        )
        example = next((one for one in places if {first, second} <= one.keys()), None)
        why = _SEPARATE.get(pair)
        yield Finding(
            why is not None,
            f"{_OF[second]} images that are among the {_OF[first]} images, too: {count:,} of "
            f"{facts['parts'][second]['images']:,}"
            + (f", such as {example[first]} = {example[second]}" if example else ""),
            f"remove them from the training images: {why}" if why else "remove them from one part",
        )


def _damaged(parts: dict[str, Any]) -> Iterator[Finding]:
    damaged = [one for part in parts.values() for one in part["damaged"]]
    if damaged:
        names = [f"{one['image']}: {one['reason']}" for one in damaged]
        yield Finding(
            True,
            f"images that can't be used: {len(damaged):,} ({listed(names)})",
            "mend or remove them, or train with data.on_corrupt=skip",
        )


def _missing(parts: dict[str, Any], held_out: bool) -> Iterator[Finding]:
    for name, part in parts.items():
        missing, by_chance = part.get("missing_classes"), held_out and name == "val"
        if missing:
            yield Finding(
                not by_chance,
                f"classes without {_OF[name]} images: {len(missing)} of "
                f"{len(part['images_of_class'])} ({listed(missing)})",
                "set data.holdout higher"
                if by_chance
                else "add images, or take these classes out of all parts",
            )


def _repeated(facts: dict[str, Any]) -> Iterator[Finding]:
    for name, count in facts["duplicates"]["within"].items():
        if count:
            kind = _OF[name]
            yield Finding(
                False,
                f"{kind} images that repeat another {kind} image: {count:,} of "
                f"{facts['parts'][name]['images']:,}",
                "remove them: they count more than once",
            )


def _balance(train: dict[str, Any]) -> Iterator[Finding]:
    small = train["small_classes"]
    if small:
        yield Finding(
            False,
            f"classes of fewer than {FEW} training images: {len(small)} ({listed(small)})",
            "add images: so few teach little",
        )
    if train["imbalance"] >= IMBALANCE:
        (largest, most), (smallest, least) = train["largest_class"], train["smallest_class"]
        yield Finding(
            False,
            f"classes of very different size: {most:,} training images of {largest!r}, "
            f"{least:,} of {smallest!r}",
            "look at the accuracy of each class: that of all images hides the small ones",
        )


def _odd(parts: dict[str, Any]) -> Iterator[Finding]:
    for key, (what, remedy) in _ODD.items():
        names = [name for part in parts.values() for name in part[key]]
        if names:
            yield Finding(False, f"{what}: {len(names):,} ({listed(names)})", remedy)


def _turned(parts: dict[str, Any]) -> Iterator[Finding]:
    turned = sum(
        count
        for part in parts.values()
        for key, count in part["exif_orientations"].items()
        if key not in ("0", "1")
    )
    if turned:
        yield Finding(
            False,
            f"images that the camera took turned, and that are read as they are: {turned:,}",
            "set data.exif_orientation=apply",
        )
