"""Reads Markdown pages in two languages into parts that can be compared."""

from __future__ import annotations

import re
from collections import Counter
from dataclasses import dataclass, field
from pathlib import Path
from posixpath import normpath

from conftest import ROOT

_LINK = re.compile(r"\[((?:[^\[\]]|\[[^\]]*\])*)\]\(([^)\s]+)\)")
_SPAN = re.compile(r"``?([^`]+)``?")
# A digit behind a letter belongs to a name (float32). 8,900 万 and 89 million are one number.
_NUMBER = re.compile(
    r"(?<![A-Za-z0-9_.])(\d+(?:[.,]\d+)*(?:e-?\d+)?)(?: ?(万|亿|thousand\b|million\b|billion\b))?"
)
_UNITS = {"万": 1e4, "亿": 1e8, "thousand": 1e3, "million": 1e6, "billion": 1e9}
# What a translated drawing or formula keeps: names with `/`, `_` or `.py`, and calls.
_NAME = re.compile(r"\w*[A-Za-z]\w*(?:/|\.py\b|\()|\b[A-Za-z]\w*_\w+", re.ASCII)
_LANGUAGES = {"[English](", "English | "}
CHINESE = re.compile(r"[\u3400-\u9fff]")


@dataclass
class Section:
    """A heading and what follows up to the next one."""

    level: int
    title: str
    lines: list[str] = field(default_factory=list)  # without code blocks
    code: list[tuple[str, str]] = field(default_factory=list)  # (language, text)

    @property
    def text(self) -> str:
        return "\n".join([self.title, *self.lines])

    @property
    def slug(self) -> str:
        """The anchor that GitHub gives to the heading."""
        kept = re.sub(r"[^\w\- ]", "", _LINK.sub(r"\1", self.title).strip().lower())
        return kept.replace(" ", "-")

    def numbers(self) -> Counter:
        return numbers(_SPAN.sub(" ", _LINK.sub(r"\1", self.text)))

    def spans(self) -> set[str]:
        """Inline code; a placeholder in angle brackets may be translated."""
        found = _SPAN.findall(_LINK.sub(r"\1", self.text))
        return {re.sub(r"<[^>]*>", "<>", span) for span in found}

    def shape(self) -> tuple[list[list[Counter]], list[int]]:
        """Returns the numbers of each cell of each row, and the depth of each item of lists."""
        rows = [_SPAN.sub(" ", _LINK.sub(r"\1", line)) for line in self.lines if line[:1] == "|"]
        items = [re.match(r"( *)(?:[-*]|\d+\.) ", line) for line in self.lines]
        cells = [[numbers(cell) for cell in row.split("|")] for row in rows]
        return cells, [len(item[1]) for item in items if item]

    def links(self) -> list[str]:
        return [target for _, target in _LINK.findall(self.text)]


def numbers(text: str) -> Counter:
    """Counts the numbers of a text, as they are written; with a unit, by their value."""
    return Counter(
        f"{float(number.replace(',', '')) * _UNITS[unit]:.12g}" if unit else number
        for number, unit in _NUMBER.findall(text)
    )


def without_comments(code: str) -> str:
    return re.sub(r"[ \t]*(?:^|(?<=\s))#.*$", "", code, flags=re.MULTILINE).strip()


def names(code: str) -> Counter:
    """Counts the names of a drawing or a formula, whatever language surrounds them."""
    return Counter(_NAME.findall(code))


def sections(text: str) -> list[Section]:
    """Divides a page at its headings."""
    found = [Section(0, "")]
    lines = iter(text.splitlines())
    before = ""
    for line in lines:
        fence = re.match(r"```(\w*)$", line)
        heading = re.match(r"(#+) (.*)", line)
        if fence:
            block = list(iter(lambda: next(lines), "```"))
            found[-1].code.append((fence[1], "\n".join(block)))
        elif line.startswith("    ") and (not before or before.startswith("    ")):
            _add_indented(found[-1], line, continues=bool(before))
        elif heading:
            found.append(Section(len(heading[1]), heading[2]))
        elif not any(line.startswith(beginning) for beginning in _LANGUAGES):
            found[-1].lines.append(line)
        before = line
    return found


def _add_indented(section: Section, line: str, continues: bool) -> None:
    if continues and section.code:
        section.code[-1] = ("indented", section.code[-1][1] + "\n" + line)
    else:
        section.code.append(("indented", line))


def twin(english: str) -> str:
    """Returns the path of the Chinese page, from the root of the project."""
    path = Path(english)
    if path.parent.name == "docs":
        return f"docs/cn/{path.name}"
    return str(path.with_name(f"{path.stem}_cn{path.suffix}"))


def resolve(page: str, target: str) -> str:
    """Returns the path of a link's target from the root, with its anchor; addresses stay."""
    if re.match(r"[a-z]+:", target):
        return target
    path, _, anchor = target.partition("#")
    path = normpath(str(Path(page).parent / path)) if path else page
    return f"{path}#{anchor}" if anchor else path


def place_of(anchor_target: str) -> str:
    """Replaces an anchor by the number of the heading that it names.

    Raises:
        ValueError: if the page has no such heading.
    """
    path, _, anchor = anchor_target.partition("#")
    if not anchor or not path.endswith(".md"):
        return anchor_target
    slugs = [section.slug for section in sections((ROOT / path).read_text(encoding="utf-8"))]
    return f"{path}#{slugs.index(anchor)}"
