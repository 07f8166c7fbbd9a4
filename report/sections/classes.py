"""Accuracy of each class, and the confusion matrix with the pictures behind its cells."""

from __future__ import annotations

import numpy as np

from measures import confusion
from measures.intervals import wilson
from report.charts.model import Chart, Heatmap, Section, Series
from report.looks import Part
from report.pictures import Gallery
from report.pieces import details, text
from report.tables import sortable
from report.texts import Words

MOST_CONFUSED = 30
_OF_A_CELL, _OF_ALL_CELLS = 8, 500  # pictures
_MOST_NAMED = 3  # classes that one is taken for
_MOST_LISTED = 60  # classes that a table shows without being opened


def section(part: Part, classes: tuple[str, ...], words: Words) -> Section:
    """Returns the accuracy of each class with Wilson intervals, and what each is taken for."""
    matrix = confusion.counts(part.labels, part.predicted, len(classes))
    images, shares = matrix.sum(axis=1), confusion.accuracy_of_classes(matrix)
    kept = [one for one in np.argsort(shares, kind="stable") if images[one]]
    ends = [wilson(int(matrix[one, one]), int(images[one])) for one in kept]
    chart = Chart(
        "accuracy_of_classes",
        words("accuracy_of_classes"),
        words("class"),
        words("accuracy_axis"),
        (
            Series(
                words("accuracy_axis"),
                tuple(_distinct(classes, one) for one in kept),
                tuple(float(shares[one]) for one in kept),
                tuple(low for low, _ in ends),
                tuple(high for _, high in ends),
                tuple(
                    f"{classes[one]}: {matrix[one, one]} / {images[one]}, {_range(*end, words)}"
                    for one, end in zip(kept, ends)
                ),
            ),
        ),
        kind="bar",
        percent=True,
    )
    rows = [
        (
            text(classes[one]),
            (int(images[one]), f"{images[one]:,}"),
            (float(shares[one]), words.percent(shares[one], 1)),
            _range(*end, words),
            text(_mistaken_for(matrix[one], one, classes, words)),
        )
        for one, end in zip(kept, ends)
    ]
    heads = [words(key) for key in ("class", "images", "accuracy_axis", "interval", "taken_for")]
    table = sortable(heads, rows)
    if len(rows) > _MOST_LISTED:
        table = details(words("all_classes", count=len(rows)), table)
    return Section(words("classes"), (f"<p>{words.html('classes_note')}</p>", chart, table))


def _distinct(classes: tuple[str, ...], one: int) -> str:
    """Returns the name of a bar; two classes of one name (of two folders) stay two bars."""
    return classes[one] if classes.count(classes[one]) == 1 else f"{classes[one]} ({one})"


def _range(low: float, high: float, words: Words) -> str:
    return f"{100 * low:.1f} – {words.percent(high, 1)}"


def _mistaken_for(row: np.ndarray, own: int, classes: tuple[str, ...], words: Words) -> str:
    others = row.copy()
    others[own] = 0
    top = [int(one) for one in np.argsort(-others, kind="stable")[:_MOST_NAMED] if others[one]]
    named = [f"{classes[one]} ({others[one]})" for one in top]
    left = int(others.sum() - others[top].sum())
    return words("between").join([*named, words("more", count=left)] if left else named)


def matrix_section(part: Part, classes: tuple[str, ...], words: Words, gallery: Gallery) -> Section:
    """Returns the confusion matrix; the pictures of its cells go into the gallery."""
    matrix = confusion.counts(part.labels, part.predicted, len(classes))
    chosen = confusion.most_confused(matrix, MOST_CONFUSED)
    shown = matrix[np.ix_(chosen, chosen)]
    chart = Heatmap(
        "confusion",
        words("confusion"),
        words("predicted"),
        words("true"),
        tuple(classes[one] for one in chosen),
        tuple(tuple(row) for row in shown.tolist()),
    )
    _pictures(part, chosen, gallery)
    note = words.html("confusion_note")
    if len(chosen) < len(classes):
        fewer = words.html("most_confused", shown=len(chosen), count=len(classes))
        note = words.joined(note, fewer)
    return Section(
        words("confusion"),
        (
            f"<p>{note}</p>",
            chart,
            f'<div id="cell" class="soft">{words.html("click_a_cell")}</div>',
        ),
    )


def _pictures(part: Part, chosen: np.ndarray, gallery: Gallery) -> None:
    """Adds pictures to cells, mistakes first; a cell has its most certain ones."""
    place = {int(one): number for number, one in enumerate(chosen)}
    certain = part.logits.max(axis=1) - np.median(part.logits, axis=1)
    left = _OF_ALL_CELLS
    for wrong in (True, False):
        for row in np.argsort(-certain, kind="stable"):
            true, named = int(part.labels[row]), int(part.predicted[row])
            if (true != named) != wrong or true not in place or named not in place:
                continue
            cell = f"{place[true]},{place[named]}"
            if left and len(gallery.cells.get(cell, ())) < _OF_A_CELL:
                gallery.add_to_cell(cell, part, int(row))
                left -= 1
