"""docs/results.md is what the lines in docs/results/ say, and what happens where it is not."""

from __future__ import annotations

import re

import pytest
import test_chinese_docs as twins
import twin_pages
from conftest import ROOT, run_program
from made_lines import docs_in, made_line, main_table_lines, write_lines

from common.errors import UserError
from tools import results_tables
from tools.results import pages

_PAGE = "docs/results.md"


def test_the_pages_are_what_the_lines_say():
    done = run_program("-m", "tools.results_tables", "--check")
    assert done.returncode == 0, done.stdout + done.stderr


@pytest.fixture
def docs(tmp_path):
    """The docs with made-up lines of the main table."""
    folder = docs_in(tmp_path)
    for old in (folder / "results").glob("*.jsonl"):
        old.unlink()
    write_lines(folder / "results" / "cifar10_vit_s_14.jsonl", main_table_lines())
    return folder


def _write(docs) -> list:
    found = results_tables.changes(docs)
    for change in found:
        change.write()
    return found


def test_pages_and_pictures_are_written_once(docs):
    written = {change.path.relative_to(docs).as_posix() for change in _write(docs)}
    assert written == {"results.md", "cn/results.md", "images/cifar10_vit_s_14.png"}
    assert results_tables.changes(docs) == []
    text = (docs / "results.md").read_text(encoding="utf-8")
    assert "| 10 labels a class, R-Drop | 3 | 64.01 +- 2.00 |" in text
    kept = (ROOT / "docs" / "results.md").read_text(encoding="utf-8")
    before, after = (re.sub(r"(?s)(?<=-->).*?(?=<!-- end)", "", one) for one in (kept, text))
    assert before == after  # what is outside of the markers is left alone


def test_the_pages_are_twins(docs, monkeypatch):
    _write(docs)
    for module in (twins, twin_pages):
        monkeypatch.setattr(module, "ROOT", docs.parent)
    for check in (
        *(twins.test_headings_tables_and_lists_agree, twins.test_code_agrees),
        *(twins.test_figures_agree, twins.test_links_agree, twins.test_links_lead_somewhere),
    ):
        check(_PAGE)
    for check in (
        *(twins.test_terms_are_those_of_the_glossary, twins.test_chinese_and_latin_are_apart),
        twins.test_links_lead_somewhere,
    ):
        check("docs/cn/results.md")


def test_a_figure_that_was_typed_is_found(docs):
    _write(docs)
    page = docs / "results.md"
    page.write_text(page.read_text(encoding="utf-8").replace("64.01 +- 2.00", "64.02 +- 2.00"))
    done = run_program("-m", "tools.results_tables", "--check", "--docs", docs)
    assert (done.returncode, done.stdout.count("\n")) == (1, 1)
    assert "results.md: is not what the lines say; run make results-tables" in done.stdout
    assert "64.02" in page.read_text(encoding="utf-8")  # --check writes nothing
    done = run_program("-m", "tools.results_tables", "--docs", docs)
    assert (done.returncode, done.stdout) == (0, f"written: {page}\n")
    assert "64.02" not in page.read_text(encoding="utf-8")


def test_lines_that_no_table_shows(docs):
    path = docs / "results" / "cifar10_vit_s_14.jsonl"
    write_lines(path, [*main_table_lines(), made_line("another", 0, 0.5)])
    with pytest.raises(UserError, match="cifar10_vit_s_14 another is in no row of the tables"):
        results_tables.changes(docs)
    write_lines(path, main_table_lines())
    write_lines(docs / "results" / "unknown.jsonl", [made_line("", 0, 0.5)])
    with pytest.raises(UserError, match=r"unknown\.jsonl: .* has no table of it"):
        results_tables.changes(docs)


def test_markers_that_do_not_fit(docs):
    page = docs / "results.md"
    text = page.read_text(encoding="utf-8")
    page.write_text(text.replace("<!-- table cifar10_vit_s_14 -->", "<!-- table other -->"))
    with pytest.raises(UserError, match=r"results\.md: tools.* has no table other"):
        results_tables.changes(docs)
    page.write_text(re.sub(r"(?s)<!-- table cifar10_vit_s_14 -->.*?<!-- end -->", "", text))
    with pytest.raises(UserError, match="no place for the table cifar10_vit_s_14; add `<!-- table"):
        results_tables.changes(docs)


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("<!-- table a -->\n", "needs `<!-- end -->`"),
        ("<!-- table a -->\n<!-- table b -->\n<!-- end -->", "needs `<!-- end -->`"),
        ("<!-- end -->", "needs `<!-- end -->`"),
        ("<!-- table a -->\n<!-- end -->\n<!-- table a -->\n<!-- end -->", "table a twice"),
    ],
)
def test_markers_without_their_end(text, said):
    with pytest.raises(UserError, match=said):
        pages.tables_of(text, "a.md")


def test_a_page_that_is_filled_is_filled_again():
    text = "before\n<!-- table a -->\n<!-- end -->\nbehind\n"
    once = pages.filled(text, {"a": "1 \\d"})
    assert once == "before\n<!-- table a -->\n\n1 \\d\n\n<!-- end -->\nbehind\n"
    assert pages.filled(once, {"a": "2"}) == once.replace("1 \\d", "2")
