"""Both languages say the same things: every key in both, with the same values."""

from __future__ import annotations

import ast
import re
import string
from pathlib import Path

import pytest
from conftest import ROOT

from report.labels import LABELS
from report.notes import NOTES
from report.texts import LANGUAGES, TEXTS, Words

_CHINESE = r"[\u4e00-\u9fff]"
_HALF_WIDTH = re.compile(rf"{_CHINESE}[,;:()]|[,;()]")
_TOUCHING = re.compile(rf"{_CHINESE}[A-Za-z0-9]|[A-Za-z0-9]{_CHINESE}")


def _fields(text: str) -> list[tuple[str | None, str | None]]:
    parts = [(name, how) for _, name, how, _ in string.Formatter().parse(text) if name]
    return sorted(parts)


@pytest.mark.parametrize("key", sorted(TEXTS))
def test_both_languages_take_the_same_values(key):
    english, chinese = TEXTS[key]
    assert len(LANGUAGES) == 2
    assert english.strip()
    assert chinese.strip()
    assert _fields(english) == _fields(chinese)
    assert not re.search(r"[\u4e00-\u9fff]", english)
    plain = re.sub(r"\{.*?\}", "", chinese)
    assert not _HALF_WIDTH.search(plain), "punctuation of Chinese is of full width"
    assert not _TOUCHING.search(plain), "a space is between Chinese and Latin"
    assert " %" not in chinese, "no space is before a percent sign"


def test_no_key_is_in_both_files():
    assert not LABELS.keys() & NOTES.keys()


def test_every_key_is_used_and_every_used_key_is_there():
    source = ""
    for path in sorted((ROOT / "report").rglob("*.py")):
        if path.name not in ("labels.py", "notes.py"):
            source += path.read_text(encoding="utf-8")
            for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
                key = _key_of_call(node)
                assert key is None or key in TEXTS, f"{path.name}: {key}"
    made = {f"curve_{key}" for key in ("ce", "kl", "accuracy", "lr", "grad_norm")}
    made |= {"certain_mistakes_note", "uncertain_hits_note", "mcnemar", "t"}
    for key in TEXTS:
        assert re.search(f"[\"']{key}[\"']", source) or key in made, f"{key} is not used"
    assert Path(ROOT / "measures" / "paired.py").read_text().count('"mcnemar"')


def _key_of_call(node: ast.AST) -> str | None:
    """Returns the text that a call such as `words("key")` or `words.html("key")` names."""
    if not isinstance(node, ast.Call) or not node.args:
        return None
    called = node.func.value if isinstance(node.func, ast.Attribute) else node.func
    if not isinstance(called, ast.Name) or called.id != "words":
        return None
    key = node.args[0]
    return key.value if isinstance(key, ast.Constant) else None


def test_values_are_escaped():
    assert "&lt;b&gt;" in Words().html("paired_note", name="<b>")
    assert Words("zh")("of_step", step=1200) == "第 1,200 步"


def test_chinese_has_no_spaces_before_percent_signs_and_between_sentences():
    assert Words().percent(0.974, 2) == "97.40 %"
    assert Words("zh").percent(0.974, 2) == "97.40%"
    assert (Words().joined("a.", "b."), Words("zh").joined("a。", "b。")) == ("a. b.", "a。b。")
