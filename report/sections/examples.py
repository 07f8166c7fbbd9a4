"""Pictures of the most certain mistakes and of the least certain hits."""

from __future__ import annotations

import numpy as np

from measures.calibration import log_softmax
from report.charts.model import Section
from report.looks import Part
from report.pictures import Gallery
from report.pieces import text
from report.texts import Words

_SHOWN = 18


def section(part: Part, classes: tuple[str, ...], words: Words, gallery: Gallery) -> Section:
    """Returns both, the most telling first."""
    probs = np.exp(log_softmax(part.logits))
    confidence = probs.max(axis=1)
    order = np.argsort(-confidence, kind="stable")
    mistakes = [int(row) for row in order if not part.hits[row]][:_SHOWN]
    hits = [int(row) for row in order[::-1] if part.hits[row]][:_SHOWN]
    parts = []
    for key, rows in (("certain_mistakes", mistakes), ("uncertain_hits", hits)):
        shown = "".join(
            gallery.figure(part, row, _caption(part, row, float(confidence[row]), classes, words))
            for row in rows
        )
        parts.append(f"<h3>{words.html(key)}</h3><p>{words.html(key + '_note')}</p>")
        parts.append(
            f'<div class="gallery">{shown}</div>' if rows else f"<p>{words.html('none')}</p>"
        )
    return Section(words("examples"), tuple(parts))


def _caption(
    part: Part, row: int, confidence: float, classes: tuple[str, ...], words: Words
) -> str:
    named, true = text(classes[part.predicted[row]]), text(classes[part.labels[row]])
    share = words.percent(confidence, 1)
    if part.hits[row]:
        return f"<b>{named}</b> {share}"
    return f'<b class="bad">{named}</b> {share}<br>{words.html("truly")} <b>{true}</b>'
