"""Where the model looks: attention maps over chosen test images."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from report.charts.model import Section
from report.looks import Look
from report.pictures import Gallery, overlay
from report.pieces import text
from report.texts import Words

_HITS, _MISTAKES = 6, 6


def section(seen: Look, words: Words, gallery: Gallery) -> Section | None:
    """Returns maps of a few hits and mistakes; None where the model has none."""
    rows = _chosen(seen)
    pixels = np.stack([seen.test.pixels(row) for row in rows])
    found = _maps(seen, pixels, seen.test.predicted[rows])
    if not found:
        return None
    note = words.html("grad_cam_note" if "grad_cam" in found else "attention_note")
    figures = []
    for place, row in enumerate(rows):
        images = [_titled(gallery.add(seen.test.pixels(row)), words("input"))]
        images += [
            _titled(gallery.add(overlay(pixels[place], maps[place])), words(key))
            for key, maps in found.items()
        ]
        named = text(seen.classifier.classes[seen.test.predicted[row]])
        true = text(seen.classifier.classes[seen.test.labels[row]])
        mark = "" if seen.test.hits[row] else f", {words.html('truly')} <b>{true}</b>"
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


def _maps(
    seen: Look, pixels: NDArray[np.uint8], predicted: NDArray[np.int64]
) -> dict[str, NDArray[np.float32]]:
    """Returns maps `(B, h, w)` by the key of their name."""
    try:
        from inference import attention_maps
    except ImportError:
        return {}
    rollout = attention_maps.rollout(seen.classifier, pixels)
    if rollout is not None:
        last = attention_maps.last_attention(seen.classifier, pixels)
        return {"rollout": rollout, "last_attention": last.mean(axis=1)}
    cam = attention_maps.grad_cam(seen.classifier, pixels, predicted)
    return {} if cam is None else {"grad_cam": cam}
