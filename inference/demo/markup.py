"""Answers as HTML; names of classes and of files are escaped."""

from __future__ import annotations

from html import escape

import numpy as np
from numpy.typing import NDArray

from inference.demo.answers import MASKS, Answer
from inference.demo.texts import TEXTS
from inference.pictures import data_uri

_MOSTLY = 0.9  # share of the passes that agree, from which an answer counts as stable

# The colours are Gradio's, which follow the browser's light or dark mode.
STYLE = """
.rd-row {display: flex; align-items: center; gap: 8px; margin: 6px 0}
.rd-name {flex: 0 1 38%; min-width: 0; overflow-wrap: anywhere; text-align: right}
.rd-track {flex: 1 1 50%; height: 16px; border-radius: 4px; overflow: hidden;
  background: var(--background-fill-secondary); border: 1px solid var(--border-color-primary)}
.rd-bar {height: 100%; background: var(--color-accent)}
.rd-share {flex: 0 0 4.2em; font-variant-numeric: tabular-nums; text-align: right}
.rd-pictures {margin-top: 14px; display: flex; flex-wrap: wrap; gap: 16px}
.rd-pictures figure {margin: 0; flex: 1 1 180px; max-width: 320px}
.rd-pictures img {width: 100%; border-radius: 4px}
.rd-pictures figcaption {font-size: .9em; margin-top: 4px; overflow-wrap: anywhere}
.rd-error {border-left: 4px solid #c2410c; padding: 8px 12px; overflow-wrap: anywhere}
#examples .grid-wrap {padding-top: 34px}
#examples .grid-container {grid-template-columns: repeat(auto-fill, minmax(72px, 1fr)) !important}
.rd-answer h3 {margin: 14px 0 6px} .rd-answer p {margin: 4px 0; overflow-wrap: anywhere}
"""


def headline(language: str, model: str, classes: int, size: int) -> str:
    """Returns the title and a line about the model."""
    texts = TEXTS[language]
    line = texts["intro"].format(model=escape(model), classes=classes, size=size)
    return f"<h1>{texts['title']}</h1><p>{line}</p>"


def note(language: str, key: str, **fields: str) -> str:
    """Returns a sentence of the table as a paragraph.

    Args:
        language: a key of `TEXTS`.
        key: of the sentence.
        fields: texts in it, or keys of the table.
    """
    texts = TEXTS[language]
    fields = {name: escape(texts.get(value, value)) for name, value in fields.items()}
    return f'<div class="rd-answer"><p>{texts[key].format(**fields)}</p></div>'


def refusal(language: str, reason: str) -> str:
    """Returns the sentence for a file that can't be used; without a reason, for a fault."""
    texts = TEXTS[language]
    first = texts["bad_file"] if reason else texts["fault"]
    why = f"<p>{texts['reason'].format(reason=escape(reason))}</p>" if reason else ""
    return f'<div class="rd-answer rd-error" role="alert"><p>{first}</p>{why}</div>'


def answer(language: str, found: Answer) -> str:
    """Returns what is known of a picture."""
    texts = TEXTS[language]
    parts = [
        _truth(language, found),
        f"<h3>{texts['top']}</h3>",
        *(_bar(name, chance) for name, chance in found.top),
        f"<h3>{texts['doubt']}</h3>",
        *(f"<p>{line}</p>" for line in _doubt(language, found)),
        _pictures(language, found),
    ]
    return f'<div class="rd-answer">{"".join(parts)}</div>'


def _bar(name: str, chance: float) -> str:
    return (
        f'<div class="rd-row"><div class="rd-name">{escape(name)}</div><div class="rd-track">'
        f'<div class="rd-bar" style="width:{chance:.1%}"></div></div>'
        f'<div class="rd-share">{chance:.1%}</div></div>'
    )


def _truth(language: str, found: Answer) -> str:
    if found.truth is None:
        return ""
    texts = TEXTS[language]
    verdict = texts["right" if found.truth == found.top[0][0] else "wrong"]
    said = texts["truth"].format(name=f"<b>{escape(found.truth)}</b>", verdict=verdict)
    return f"<p>{said}</p>"


def _doubt(language: str, found: Answer) -> list[str]:
    texts, doubt = TEXTS[language], found.doubt
    if doubt is None:
        return [texts["no_dropout"]]
    few = "agree_most" if doubt.agree >= _MOSTLY * MASKS else "agree_few"
    said = texts["agree_all" if doubt.agree == MASKS else few]
    name = escape(found.top[0][0])
    return [
        said.format(agree=doubt.agree, masks=MASKS, name=name),
        texts["spread"].format(low=f"{doubt.low:.1%}", high=f"{doubt.high:.1%}"),
    ]


def _pictures(language: str, found: Answer) -> str:
    texts = TEXTS[language]
    shown = _figure(found.picture, texts["picture"])
    if found.kind is None or found.overlay is None:
        return f'<div class="rd-pictures">{shown}</div><p>{texts["no_map"]}</p>'
    caption = texts[found.kind].format(name=escape(found.top[0][0]))
    return f'<div class="rd-pictures">{shown}{_figure(found.overlay, caption)}</div>'


def _figure(picture: NDArray[np.uint8], caption: str) -> str:
    return (
        f'<figure><img src="{data_uri(picture)}" alt=""><figcaption>{caption}</figcaption></figure>'
    )
