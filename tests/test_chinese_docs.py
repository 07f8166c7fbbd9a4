"""The Chinese pages say what the English ones say: commands, figures, headings, links, terms."""

from __future__ import annotations

import json
import re
from collections import Counter
from posixpath import dirname, relpath

import pytest
import twin_pages
from conftest import ROOT

from inference.demo import texts as demo_texts
from report import texts as report_texts

_GLOSSARY = "docs/cn/glossary.md"  # the one page without an English twin
_PAGES = [
    "README.md",
    *(str(path.relative_to(ROOT)) for path in sorted((ROOT / "docs").glob("*.md"))),
    "notebooks/rdrop_ai_studio.ipynb",
]
_CHINESE_PAGES = [
    "README_cn.md",
    *sorted(str(path.relative_to(ROOT)) for path in ROOT.glob("docs/cn/*.md")),
    *sorted(str(path.relative_to(ROOT)) for path in ROOT.glob("notebooks/*_cn.ipynb")),
]
_SAME_TITLES = ("", "R-Drop", "int8", "bfloat16")
_LANGUAGE = re.compile(r'^language = "(?:en|zh)"', re.MULTILINE)


def _text(page: str) -> str:
    """Returns a page as Markdown; cells of code are blocks."""
    text = (ROOT / page).read_text(encoding="utf-8")
    if not page.endswith(".ipynb"):
        return text
    cells = [(cell["cell_type"], "".join(cell["source"])) for cell in json.loads(text)["cells"]]
    return "\n\n".join(
        f"```python\n{source}\n```" if kind == "code" else source for kind, source in cells
    )


def _twins(page: str):
    """Yields the sections of both languages, side by side."""
    english, chinese = (twin_pages.sections(_text(one)) for one in (page, twin_pages.twin(page)))
    assert [s.level for s in english] == [s.level for s in chinese], "headings differ"
    return list(zip(english, chinese))


def test_every_page_has_a_twin():
    assert sorted(_CHINESE_PAGES) == sorted([_GLOSSARY, *map(twin_pages.twin, _PAGES)])


@pytest.mark.parametrize("page", _PAGES)
def test_the_first_lines_lead_to_the_twin(page):
    twin = twin_pages.twin(page)
    there, back = relpath(twin, dirname(page)), relpath(page, dirname(twin))
    assert _text(page).splitlines()[2] == f"English | [中文]({there})"
    assert _text(twin).splitlines()[2] == f"[English]({back}) | 中文"


@pytest.mark.parametrize("page", _PAGES)
def test_headings_tables_and_lists_agree(page):
    for english, chinese in _twins(page):
        assert english.shape() == chinese.shape(), english.title
        same = english.title in _SAME_TITLES
        assert same or twin_pages.CHINESE.search(chinese.title), chinese.title


@pytest.mark.parametrize("page", _PAGES)
def test_code_agrees(page):
    """Comments may be translated. So may drawings and formulas, which keep names and numbers."""
    for english, chinese in _twins(page):
        assert [kind for kind, _ in english.code] == [kind for kind, _ in chinese.code]
        for (kind, one), (_, other) in zip(english.code, chinese.code):
            one, other = (_LANGUAGE.sub("", twin_pages.without_comments(c)) for c in (one, other))
            if kind in ("", "indented") and twin_pages.CHINESE.search(other):
                assert len(one.splitlines()) == len(other.splitlines()), english.title
                assert twin_pages.names(one) == twin_pages.names(other), english.title
                assert twin_pages.numbers(one) == twin_pages.numbers(other), english.title
            else:
                assert one == other, english.title
        assert english.spans() == chinese.spans(), english.title


@pytest.mark.parametrize("page", _PAGES)
def test_figures_agree(page):
    """Each section has the same numbers, equally often, in both languages."""
    for english, chinese in _twins(page):
        one, other = english.numbers(), chinese.numbers()
        assert one == other, f"{english.title}: English {one - other}, Chinese {other - one}"


@pytest.mark.parametrize("page", _PAGES)
def test_links_agree(page):
    """Each section leads to the same places; the Chinese one to Chinese pages where there are."""
    twin = twin_pages.twin(page)
    for english, chinese in _twins(page):
        targets = Counter()
        for link in english.links():
            path, mark, anchor = twin_pages.place_of(twin_pages.resolve(page, link)).partition("#")
            at_home = ":" not in path and (ROOT / twin_pages.twin(path)).exists()
            targets[(twin_pages.twin(path) if at_home else path) + mark + anchor] += 1
        found = Counter(
            twin_pages.place_of(twin_pages.resolve(twin, link)) for link in chinese.links()
        )
        assert found == targets, english.title


@pytest.mark.parametrize("page", [*_PAGES, *_CHINESE_PAGES])
def test_links_lead_somewhere(page):
    for link in (link for section in twin_pages.sections(_text(page)) for link in section.links()):
        target = twin_pages.place_of(twin_pages.resolve(page, link))
        if not re.match(r"[a-z]+:", target):
            assert (ROOT / target.partition("#")[0]).exists(), link


def _refused_terms() -> list[str]:
    """Returns the third column of the glossary's tables: what is not to be written."""
    rows = [line.split("|") for line in _text(_GLOSSARY).splitlines() if line[:1] == "|"]
    return [
        term for row in rows for term in re.split("、", row[3].strip()) if term not in ("", "不用")
    ]


_CHINESE_PROSE = [page for page in _CHINESE_PAGES if page != _GLOSSARY]


@pytest.mark.parametrize("page", _CHINESE_PROSE)
def test_terms_are_those_of_the_glossary(page):
    refused = [term for term in _refused_terms() if set(term) != {"-"}]
    assert len(refused) > 50
    assert not [term for term in refused if term in _text(page)]


def test_terms_of_the_pages_are_those_of_the_glossary():
    pages = [chinese for _, chinese in report_texts.TEXTS.values()]
    written = "\n".join([*pages, *demo_texts.TEXTS["zh"].values()])
    assert not [term for term in _refused_terms() if set(term) != {"-"} and term in written]


@pytest.mark.parametrize("page", _CHINESE_PROSE)
def test_chinese_and_latin_are_apart(page):
    """A space between Chinese and Latin letters or digits; full-width marks behind Chinese."""
    text = re.sub(r"(?ms)^```.*?^```$|^    .*?$|\]\([^)]*\)|`[^`\n]*`", "]", _text(page))
    letter, latin = r"[\u3400-\u9fff]", r"[A-Za-z0-9]"
    for number, line in enumerate(text.splitlines(), 1):
        assert not re.search(f"{letter}{latin}|{latin}{letter}", line), (number, line)
        assert not re.search(letter + r"[,;:?!.](?:\s|$)", line), (number, line)
