"""Where the model looks: attention maps over chosen test images."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from inference import attention_maps, pictures
from report.charts.model import Section
from report.looks import Look
from report.pictures import Gallery, enlarged
from report.pieces import text
from report.texts import Words

_HITS, _MISTAKES = 6, 6


def section(seen: Look, words: Words, gallery: Gallery) -> Section | None:
    """Returns maps of a few hits and mistakes; None where the model has none."""
    rows = _chosen(seen)
    pixels = np.stack([seen.test.pixels(row) for row in rows])
    found = _maps(seen, pixels)
    if not found:
        return None
    note = words.html("grad_cam_note" if "grad_cam" in found else "attention_note")
    figures = []
    for place, row in enumerate(rows):
        images = [_titled(gallery.add(seen.test.pixels(row)), words("input"))]
        images += [
            _titled(gallery.add(overlays[place]), words(key)) for key, overlays in found.items()
        ]
        named = text(seen.classifier.classes[seen.test.predicted[row]])
        true = text(seen.classifier.classes[seen.test.labels[row]])
        mark = (
            ""
            if seen.test.hits[row]
            else f"{words.html('comma')}{words.html('truly')} <b>{true}</b>"
        )
        figures.append(
            f'<figure class="trio"><div>{"".join(images)}</div><figcaption>{named}{mark}'
            "</figcaption></figure>"
        )
    shown = " · ".join([words.html("input"), *map(words.html, found)])
    content = f'<p>{note}</p><p class="soft">{shown}</p><div class="gallery">{"".join(figures)}'
    return Section(words("attention"), (f"{content}</div>",))


def _titled(number: int, title: str) -> str:
    return f'<img data-picture="{number}" alt="{text(title)}" title="{text(title)}">'


def _chosen(seen: Look) -> list[int]:
    """Returns rows of hits of different classes, and of mistakes."""
    part = seen.test
    hits, mistakes = np.flatnonzero(part.hits), np.flatnonzero(~part.hits)
    _, first = np.unique(part.labels[hits], return_index=True)
    spread = np.linspace(0, len(first) - 1, min(_HITS, len(first))).astype(int)
    return [*hits[first][spread].tolist(), *mistakes[:_MISTAKES].tolist()]


def _maps(seen: Look, pixels: NDArray[np.uint8]) -> dict[str, list[NDArray[np.uint8]]]:
    """Returns pictures, uint8 `(3, H, W)`, of the maps over their images, by the name of a map."""
    found = attention_maps.maps(seen.classifier, pixels)
    if found is None:
        return {}
    named = {"grad_cam": found.values}
    if found.kind == attention_maps.ROLLOUT:
        last = attention_maps.last_attention(seen.classifier, pixels).mean(axis=1)
        named = {"rollout": found.values, "last_attention": last}
    return {
        key: [
            pictures.overlay(enlarged(image), one).transpose(2, 0, 1)
            for image, one in zip(pixels, maps)
        ]
        for key, maps in named.items()
    }
