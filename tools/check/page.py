"""The page of a check: what is wrong first, then classes, files, pixels and pictures."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator, Sequence
from typing import Any

from data.check.duplicates import Group
from data.check.findings import Finding
from data.check.one_image import examiner
from data.check.scan import Scan
from report import pieces
from report.pieces import details, table, text
from tools.check.classes import NAMES, samples, sizes_of_classes

_GROUPS = 24  # of duplicates that are shown, and how many copies of each
_COPIES = 4
_ROWS = 8  # of a table of sizes
_LISTED = 100  # names in a folded list
_ORIENTATIONS = {
    "0": "none",
    "1": "1 (upright)",
    "2": "2 (mirrored)",
    "3": "3 (upside down)",
    "4": "4 (mirrored, upside down)",
    "5": "5 (mirrored, turned left)",
    "6": "6 (turned left)",
    "7": "7 (mirrored, turned right)",
    "8": "8 (turned right)",
}
_KEPT = {"single_colour": "Images of a single colour", "long": "Long ones", "large": "Large ones"}


def render(
    facts: dict[str, Any],
    findings: Sequence[Finding],
    scans: dict[str, Scan],
    groups: Sequence[Group],
) -> str:
    """Returns the HTML of the page.

    Args:
        facts: of the check, as in the JSON.
        findings: what is wrong, the worst first.
        scans: by the part, for the pictures.
        groups: of images with the same pixels, the worst first.
    """
    train = scans["train"]
    title = f"Data check: {facts['name']}"
    return pieces.page(
        title,
        [
            f'<h1>{text(title)}</h1><p class="soft path">{text(facts["root"])}</p>',
            *_findings(findings),
            *_parts(facts["parts"]),
            *_duplicates(facts, scans, groups),
            *_damaged(facts["parts"]),
            *sizes_of_classes(facts["parts"]),
            *_files(facts["parts"]),
            *_pixels(facts["parts"]),
            *samples(train.part.classes, train.part.labels, train.pictures),
        ],
    )


def _findings(findings: Sequence[Finding]) -> Iterator[str]:
    yield "<h2>What to do</h2>"
    if not findings:
        yield '<p class="fine">Nothing is wrong: each image is readable, and comes once.</p>'
    for one in findings:
        kind, word = ("spoils", "Spoils the result") if one.spoils else ("", "Look at it")
        yield (
            f'<div class="finding {kind}"><b>{word}:</b> {text(one.text)}<br>'
            f"{text(one.remedy[:1].upper() + one.remedy[1:])}.</div>"
        )


def _name(part: str) -> str:
    return NAMES.get(part, part)


def _pair(pair: str) -> str:
    return " and ".join(map(_name, pair.split(" and ")))


def _parts(parts: dict[str, Any]) -> Iterator[str]:
    rows = [(_name(name), one["images"], one["origin"]) for name, one in parts.items()]
    if any(one["origin"] for one in parts.values()):
        yield f"<h2>Parts</h2>{table(('part', 'images', 'from'), rows)}"
    else:
        yield f"<h2>Parts</h2>{table(('part', 'images'), [row[:2] for row in rows])}"
    notes = dict.fromkeys(note for one in parts.values() for note in one["notes"])
    yield from (f'<p class="path"><small>{text(note)}</small></p>' for note in notes)


def _duplicates(
    facts: dict[str, Any], scans: dict[str, Scan], groups: Sequence[Group]
) -> Iterator[str]:
    found = facts["duplicates"]
    rows = [
        ("same pixels, different classes", found["contradicting_images"]),
        *((f"in {_pair(pair)} both", count) for pair, count in found["between"].items()),
        *((f"repeated within {_name(name)}", count) for name, count in found["within"].items()),
    ]
    yield f"<h2>Images with the same pixels</h2>{table(('', 'images'), rows)}"
    examine = {name: examiner(one.part, 0) for name, one in scans.items()}
    for group in groups[:_GROUPS]:
        figures = []
        for copy in group.copies[:_COPIES]:
            part = scans[copy.part].part
            label = text(part.classes[copy.label]) if copy.label >= 0 else "no label"
            name = scans[copy.part].name(copy.position)
            content = examine[copy.part](copy.position, True).picture
            figures.append(
                f"<figure>{pieces.picture(content, name)}<figcaption><b>{_name(copy.part)}: "
                f"{label}</b><br>{text(name)}</figcaption></figure>"
            )
        more = len(group.copies) - _COPIES
        rest = f'<p class="soft">and {more:,} more</p>' if more > 0 else ""
        kind = " spoils" if group.contradicts else ""
        yield f'<div class="group{kind}">{"".join(figures)}{rest}</div>'
    if len(groups) > _GROUPS:
        yield (
            f'<p class="soft">{_GROUPS} of {len(groups):,} groups, the worst first; the JSON has '
            "them by name.</p>"
        )


def _damaged(parts: dict[str, Any]) -> Iterator[str]:
    rows = [
        (_name(name), bad["image"], bad["reason"])
        for name, one in parts.items()
        for bad in one["damaged"]
    ]
    if rows:
        yield "<h2>Images that can't be used</h2>"
        yield table(("part", "image", "why"), rows[:_LISTED])
    if len(rows) > _LISTED:
        yield f'<p class="soft">{_LISTED} of {len(rows):,}; the JSON has all of them.</p>'


def _files(parts: dict[str, Any]) -> Iterator[str]:
    yield "<h2>Files and sizes</h2>"
    yield _counted("file and mode of its pixels", {n: one["kinds"] for n, one in parts.items()})
    turned = {
        name: {_ORIENTATIONS[key]: count for key, count in one["exif_orientations"].items()}
        for name, one in parts.items()
    }
    if any(set(one) - {"none"} for one in turned.values()):
        yield _counted("EXIF orientation", turned)
    sizes = {
        name: {f"{w} x {h}": n for w, h, n in one["sizes"]["most_frequent"]}
        for name, one in parts.items()
    }
    yield _counted("width x height", sizes, _most_frequent(sizes)[:_ROWS])
    if any(one["sizes"]["different"] > _ROWS for one in parts.values()):
        yield "".join(
            f"<p><small>{_name(name)}: {one['sizes']['different']:,} different sizes</small></p>"
            for name, one in parts.items()
        )
        shorter = {
            name: {f"{low} to {high} pixels": n for low, high, n in one["sizes"]["shorter_side"]}
            for name, one in parts.items()
        }
        order = sorted({key for one in shorter.values() for key in one}, key=_first_number)
        yield _counted("shorter side", shorter, order)
    for key, title in _KEPT.items():
        names = [name for one in parts.values() for name in one[key]]
        if names:
            shown = "<br>".join(map(text, names[:_LISTED]))
            rest = f"<br>and {len(names) - _LISTED:,} more" if len(names) > _LISTED else ""
            yield details(f"{title}: {len(names):,}", f'<small class="path">{shown}{rest}</small>')


def _first_number(words: str) -> int:
    return int(words.split()[0])


def _counted(
    what: str, parts: dict[str, dict[str, int]], order: Sequence[str] | None = None
) -> str:
    """Returns a table: a row for each thing that is counted, a column for each part."""
    keys = _most_frequent(parts) if order is None else order
    rows = [(key, *(one.get(key, 0) for one in parts.values())) for key in keys]
    return table((what, *map(_name, parts)), rows)


def _most_frequent(parts: dict[str, dict[str, int]]) -> list[str]:
    total: Counter[str] = Counter()
    for one in parts.values():
        total.update(one)
    return [key for key, _ in total.most_common()]


def _pixels(parts: dict[str, Any]) -> Iterator[str]:
    def numbers(values: Sequence[float]) -> str:
        return ", ".join(f"{value:.4f}" for value in values)

    rows = [(_name(name), numbers(one["mean"]), numbers(one["std"])) for name, one in parts.items()]
    yield "<h2>Pixels</h2>" + table(("part", "mean (red, green, blue)", "std"), rows)
    yield (
        "<p><small>From 0 to 1; each image counts the same. A model that is trained from scratch "
        "may have them as model.mean and model.std; pretrained weights bring their own.</small></p>"
    )
