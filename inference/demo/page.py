"""The page: where a picture is dropped, the test images, and the answer. Needs Gradio.

Works with Gradio 4 to 6. Nothing is loaded from outside: its fonts and its statistics are off.
"""

from __future__ import annotations

import inspect
import os
import traceback
import warnings
from collections.abc import Callable
from pathlib import Path
from typing import Any

from common.errors import UserError, nearest
from inference.classifier import Classifier, load
from inference.demo import markup
from inference.demo.answers import Answer, Example, Respondent, examples
from inference.demo.texts import LANGUAGES, TEXTS
from inference.pictures import enlarged, upright

# Seconds: how often uploaded pictures are looked through, and how old they are when they go.
_CLEARED = (600, 3600)
_FONTS = ("system-ui", "Noto Sans CJK SC", "Microsoft YaHei", "sans-serif")
_FIXED_FONTS = ("ui-monospace", "monospace")
# Events are not in the list of functions that other programs may call.
_PRIVATE: dict[str, Any] = {"api_name": False}


def gradio() -> Any:
    """Imports Gradio, which then sends no statistics.

    Raises:
        UserError: when it is not installed.
    """
    os.environ["GRADIO_ANALYTICS_ENABLED"] = "False"
    os.environ.setdefault("HF_HUB_DISABLE_TELEMETRY", "1")
    try:
        import gradio
    except ImportError as error:
        raise UserError(
            f"the page needs gradio ({error}): pip install -r requirements-extras.txt"
        ) from None
    return gradio


def build(
    classifier: Classifier | str | Path, language: str = "en", with_examples: bool = True
) -> Any:
    """Makes the page of a classifier.

    Args:
        classifier: or its weights, a file or the folder of a run.
        language: `en` or `zh`, that the page begins with; it has a switch.
        with_examples: whether to show test images, where the data of the run is there.

    Returns:
        Gradio's `Blocks`; `launch()` serves it.

    Raises:
        UserError: when Gradio is not installed, the weights can't be read, or the language is not
            known.
    """
    gr = gradio()
    if language not in LANGUAGES:
        raise UserError(f"language {language!r} is not known{nearest(language, LANGUAGES)}")
    if not isinstance(classifier, Classifier):
        classifier = load(classifier)
    found, reason = examples(classifier) if with_examples else ([], "")
    theme = gr.themes.Default(font=_FONTS, font_mono=_FIXED_FONTS)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # Gradio 6 would have theme and style in `launch`
        page = gr.Blocks(
            analytics_enabled=False,
            title=TEXTS[language]["title"],
            theme=theme,
            css=markup.STYLE,
            delete_cache=_CLEARED,
        )
    with page:
        _fill(gr, Respondent(classifier), language, found, reason)
    return page


def _fill(
    gr: Any, respondent: Respondent, language: str, found: list[Example], reason: str
) -> None:
    """Puts the parts on the page, and says what happens when they are used."""
    texts = TEXTS[language]
    with gr.Row():
        with gr.Column(scale=4, min_width=280):
            head = gr.HTML(_headline(respondent.classifier, language))
        with gr.Column(scale=1, min_width=160):
            choices = [(name, code) for code, name in LANGUAGES.items()]
            switch = gr.Radio(choices, value=language, label=texts["language"], elem_id="language")
    with gr.Row():
        with gr.Column(min_width=280):
            # Not an image field: Gradio would refuse a broken picture itself, in English.
            file = gr.File(label=texts["upload"], type="filepath", elem_id="picture", height=160)
            gallery = missing = None
            if found:
                gallery = _gallery(gr, found, texts["examples"])
            elif reason:
                missing = gr.HTML(markup.note(language, "no_examples", reason=reason))
        with gr.Column(min_width=280):
            result = gr.HTML(markup.note(language, "empty"), elem_id="answer")
    last = gr.State(None)  # what is shown, to show it in the other language
    _connect(gr, respondent, found, (file, gallery, switch, last, result))
    shown = [part for part in (head, switch, file, gallery, missing, result) if part is not None]

    def translate(code: str, said: Answer | str | None) -> list[Any]:
        words = TEXTS[code]
        return [
            _headline(respondent.classifier, code),
            gr.update(label=words["language"]),
            gr.update(label=words["upload"]),
            *([gr.update(label=words["examples"])] if gallery is not None else []),
            *([markup.note(code, "no_examples", reason=reason)] if missing is not None else []),
            _shown(code, said),
        ]

    switch.change(translate, [switch, last], shown, **_PRIVATE)


def _connect(gr: Any, respondent: Respondent, found: list[Example], parts: tuple[Any, ...]) -> None:
    """Says what happens when a picture is dropped, removed or chosen."""
    file, gallery, switch, last, result = parts

    def dropped(path: str | None, language: str) -> tuple[Answer | str | None, str]:
        said = None if path is None else _asked(lambda: respondent.of_file(path))
        return said, _shown(language, said)

    def removed(language: str) -> tuple[None, str]:
        return None, _shown(language, None)

    def chosen(event: Any, language: str) -> tuple[Answer | str | None, str]:
        example = found[int(event.index)]
        said = _asked(lambda: respondent.of_pixels(example.pixels, example.truth))
        return said, _shown(language, said)

    file.upload(dropped, [file, switch], [last, result], **_PRIVATE)
    file.clear(removed, [switch], [last, result], **_PRIVATE)
    if gallery is not None:
        chosen.__annotations__["event"] = gr.SelectData  # tells Gradio to pass it
        chosen.__annotations__.update({"language": str, "return": object})
        gallery.select(chosen, [switch], [last, result], **_PRIVATE)


def _asked(ask: Callable[[], Answer]) -> Answer | str:
    """Returns an answer; or why there is none, empty for a fault, which the terminal shows."""
    try:
        return ask()
    except UserError as error:
        return str(error)
    except Exception:
        traceback.print_exc()
        return ""


def _shown(language: str, said: Answer | str | None) -> str:
    if said is None:
        return markup.note(language, "empty")
    if isinstance(said, str):
        return markup.refusal(language, said)
    return markup.answer(language, said)


def _headline(classifier: Classifier, language: str) -> str:
    model = classifier.config.model
    return markup.headline(language, model.name, len(classifier.classes), model.image_size)


def _gallery(gr: Any, found: list[Example], label: str) -> Any:
    pictures = [(upright(enlarged(one.pixels)), one.truth) for one in found]
    options = {
        "label": label,
        "columns": 6,
        "height": "auto",
        "allow_preview": False,
        "object_fit": "contain",
        "format": "png",
        "elem_id": "examples",
        "buttons": [],  # in Gradio 6; before:
        "show_download_button": False,
        "show_share_button": False,
    }
    known = inspect.signature(gr.Gallery.__init__).parameters
    return gr.Gallery(pictures, **{name: one for name, one in options.items() if name in known})
