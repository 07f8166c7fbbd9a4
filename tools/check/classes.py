"""The sections of the page about classes: how many images each has, and some pictures."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Any

from report.pieces import details, picture, table, text

_MOST_BARS = 60  # classes with a bar and a name each; of more there is a strip
_EXTREMES = 10  # of the smallest and largest classes that are named next to a strip
_WIDEST = 78  # percent of the width that is for the longest bar
_PICTURE_WIDTH, _LEAST_WIDTH, _IN_A_ROW = 69, 104, 4  # pixels, pixels, pictures of a class
NAMES = {"train": "training", "val": "validation", "test": "test"}


def sizes_of_classes(parts: dict[str, Any]) -> Iterator[str]:
    """Yields the chart of images a class, for each part with labels."""
    labelled = {name: one for name, one in parts.items() if "images_of_class" in one}
    train = labelled["train"]["images_of_class"]
    order = sorted(train, key=lambda name: (-train[name], name))
    yield f"<h2>Images of each class</h2>{_extremes(labelled)}"
    if len(order) <= _MOST_BARS:
        yield _bars(order, labelled)
        return
    for number, (name, part) in enumerate(labelled.items()):
        if len(set(part["images_of_class"].values())) == 1:
            continue
        yield _strip(part["images_of_class"], name, number)
    counts = "".join(
        f"<div><span>{text(name)}</span><span>"
        + " / ".join(f"{part['images_of_class'][name]:,}" for part in labelled.values())
        + "</span></div>"
        for name in order
    )
    shown = " / ".join(NAMES[name] for name in labelled)
    yield details(f"all {len(order):,} classes ({shown})", f'<div class="columns">{counts}</div>')


def _extremes(labelled: dict[str, Any]) -> str:
    head = ("part", "images", "classes", "smallest class", "images", "largest class", "images", "")
    columns = len(head)
    rows = []
    for name, part in labelled.items():
        (small, least), (large, most) = part["smallest_class"], part["largest_class"]
        missing = len(part["missing_classes"])
        note = f"{missing} without images" if missing else ""
        classes = len(part["images_of_class"]) - missing
        if least == most:
            small, large = "all are alike", ""
        rows.append((NAMES[name], part["images"], classes, small, least, large, most, note))
    columns -= not any(row[-1] for row in rows)
    return table(head[:columns], [row[:columns] for row in rows])


def _bars(order: Sequence[str], labelled: dict[str, Any]) -> str:
    most = max(max(part["images_of_class"].values()) for part in labelled.values())
    key = "".join(f'<i class="c{n}"></i>{NAMES[name]}' for n, name in enumerate(labelled))
    rows = []
    for name in order:
        bars = "".join(
            f'<div class="bar c{n}"><i style="width:{_WIDEST * count / most:.2f}%"></i>{count:,}'
            "</div>"
            for n, part in enumerate(labelled.values())
            for count in [part["images_of_class"][name]]
        )
        shown = text(name)
        rows.append(f'<div class="name" title="{shown}">{shown}</div><div>{bars}</div>')
    return f'<p class="key soft">{key}</p><div class="bars">{"".join(rows)}</div>'


def _strip(counts: dict[str, int], part: str, number: int) -> str:
    """Returns a bar for each class next to each other, the largest first, and the extremes."""
    order = sorted(counts, key=lambda name: (-counts[name], name))
    most = counts[order[0]]
    bars = "".join(
        f'<i style="height:{100 * counts[name] / most:.1f}%" '
        f'title="{text(name)}: {counts[name]:,}"></i>'
        for name in order
    )
    ends = ""
    if counts[order[-1]] < most:
        named = (order[:_EXTREMES], order[: -_EXTREMES - 1 : -1])
        listed = [", ".join(f"{name} ({counts[name]:,})" for name in names) for names in named]
        ends = (
            f"<p><small>largest: {text(listed[0])}</small><br>"
            f"<small>smallest: {text(listed[1])}</small></p>"
        )
    title = f"{NAMES[part]} images, a bar for each class, the highest is {most:,}"
    return f'<h3>{text(title)}</h3><div class="strip c{number}">{bars}</div>{ends}'


def samples(classes: Sequence[str], labels: Any, pictures: dict[int, bytes]) -> Iterator[str]:
    """Yields some training images of each class.

    Args:
        classes: names of the classes.
        labels: of the training images.
        pictures: small encoded images, by the position of the training image.
    """
    by_class: dict[int, list[bytes]] = {}
    for position, content in pictures.items():
        by_class.setdefault(int(labels[position]), []).append(content)
    most = max(map(len, by_class.values()), default=1)
    width = max(_LEAST_WIDTH, _PICTURE_WIDTH * min(_IN_A_ROW, most))
    cards = [
        f'<div><div class="caption">{text(classes[label])}</div><div class="pictures">'
        + "".join(picture(one, classes[label]) for one in by_class[label])
        + "</div></div>"
        for label in sorted(by_class)
    ]
    if len(by_class) < len(classes):
        title = f"Training images of {len(by_class):,} of the {len(classes):,} classes"
    else:
        title = "Training images of each class"
    columns = f"grid-template-columns:repeat(auto-fill,minmax({width}px,1fr))"
    yield f'<h2>{title}</h2><div class="classes" style="{columns}">{"".join(cards)}</div>'
