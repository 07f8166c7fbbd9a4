"""Answers as HTML."""

from html.parser import HTMLParser

import numpy as np
import pytest

from inference.attention_maps import GRAD_CAM, ROLLOUT
from inference.demo import markup
from inference.demo.answers import MASKS, Answer, Doubt

_PICTURE = np.zeros((4, 4, 3), np.uint8)
_SURE = Doubt(MASKS, 0.5, 0.75)
_NAMES = ("<script>alert(1)</script>", "\u732b \U0001f431", 'a & "b"', "{masks}", "x" * 300)


class _Reader(HTMLParser):
    """Collects tags and text, and checks that what is opened is closed."""

    def __init__(self, text):
        super().__init__()
        self.tags, self.words, self._open = [], "", []
        self.feed(text)
        self.close()
        assert not self._open

    def handle_starttag(self, tag, attributes):
        self.tags.append(tag)
        if tag != "img":
            self._open.append(tag)

    def handle_endtag(self, tag):
        assert self._open.pop() == tag

    def handle_data(self, data):
        self.words += data


def answer_of(name=_NAMES[0], kind=ROLLOUT, doubt=_SURE, truth=None):
    top = tuple(zip((name, *_NAMES[1:]), (0.9, 0.05, 0.03, 0.02, 0.0)))
    return Answer(top, _PICTURE, kind, None if kind is None else _PICTURE, doubt, truth)


@pytest.mark.parametrize("language", ["en", "zh"])
@pytest.mark.parametrize("kind", [ROLLOUT, GRAD_CAM, None])
def test_names_are_escaped(language, kind):
    found = _Reader(markup.answer(language, answer_of(kind=kind, truth=_NAMES[0])))
    assert "script" not in found.tags
    assert all(name in found.words for name in _NAMES)
    assert found.tags.count("img") == (1 if kind is None else 2)


@pytest.mark.parametrize(
    ("agree", "expected"),
    [
        (20, "All 20 passes"),
        (19, "19 of 20 passes with random dropout say \u201ccat\u201d. The answer is probably"),
        (18, "18 of 20"),
        (17, "Only 17 of 20 passes"),
        (0, "Only 0 of 20"),
    ],
)
def test_doubt(agree, expected):
    words = _Reader(markup.answer("en", answer_of("cat", doubt=Doubt(agree, 0.214, 0.956)))).words
    assert expected in words
    assert "between 21.4% and 95.6%" in words


def test_no_dropout():
    assert "without dropout" in markup.answer("en", answer_of(doubt=None))


def test_truth():
    assert "(right)" in markup.answer("en", answer_of("cat", truth="cat"))
    assert "(wrong)" in markup.answer("en", answer_of("cat", truth="dog"))
    assert "This test image" not in markup.answer("en", answer_of("cat"))


def test_refusal():
    found = _Reader(markup.refusal("en", "<img src=x>.png: broken"))
    assert "img" not in found.tags
    assert "<img src=x>.png: broken" in found.words
    assert "terminal" in markup.refusal("en", "")


def test_note_translates_what_the_table_has():
    assert "other classes" in markup.note("en", "no_examples", reason="other_classes")
    assert "&lt;b&gt;" in markup.note("zh", "no_examples", reason="<b>")


def test_headline_is_escaped():
    assert "<i>" not in markup.headline("en", "<i>", 3, 8)
