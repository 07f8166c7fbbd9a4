"""The words of the page are the same in both languages."""

import string

import pytest

from inference.attention_maps import GRAD_CAM, ROLLOUT
from inference.demo.texts import LANGUAGES, TEXTS


def fields(text):
    return sorted(name for _, name, _, _ in string.Formatter().parse(text) if name)


def test_keys():
    assert TEXTS.keys() == LANGUAGES.keys()
    assert list(TEXTS["en"]) == list(TEXTS["zh"])
    assert {ROLLOUT, GRAD_CAM} <= TEXTS["en"].keys()


@pytest.mark.parametrize("key", TEXTS["en"])
def test_sentences(key):
    """They have the same fields, and Chinese where it is Chinese."""
    english, chinese = TEXTS["en"][key], TEXTS["zh"][key]
    assert fields(english) == fields(chinese)
    assert not any("\u4e00" <= letter <= "\u9fff" for letter in english)
    assert any("\u4e00" <= letter <= "\u9fff" for letter in chinese) or key == "Grad-CAM"
