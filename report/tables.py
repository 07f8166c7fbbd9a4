"""Tables that a reader sorts by a click on a head, and tables to paste into a paper."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Union

from measures.paired import Difference
from report.pieces import text

Cell = Union[str, "tuple[float, str]"]  # HTML; or a number with the text that shows it

# What LaTeX reads as a command.
_LATEX = {
    **{letter: f"\\{letter}" for letter in "&%$#_{}"},
    "\\": r"\textbackslash{}",
    "~": r"\textasciitilde{}",
    "^": r"\textasciicircum{}",
}


def spread(mean: float, deviation: float, mark: str = "±") -> str:
    """Returns a mean with its standard deviation, where there is one."""
    if mean != mean:
        return "–"
    return f"{mean:.2f}" + (f" {mark} {deviation:.2f}" if deviation == deviation else "")


def described(found: list[Difference]) -> str:
    """Returns the first difference as text, in percentage points; – for none."""
    if not found:
        return "–"
    one = found[0]
    shown = f"{100 * one.mean:+.2f}"
    if one.low == one.low:
        shown += f" [{100 * one.low:+.2f}, {100 * one.high:+.2f}]"
    return shown + (f", p={one.p:.2g}" if one.p == one.p else "")


def sortable(heads: Sequence[str], rows: Sequence[Sequence[Cell]]) -> str:
    """Returns a table that sorts; heads are text, cells HTML or numbers with their text."""
    first = rows[0] if rows else [""] * len(heads)
    tops = [
        f"<th{' class=n' if isinstance(cell, tuple) else ''}><button>{text(head)}</button></th>"
        for head, cell in zip(heads, first)
    ]
    lines = ["".join(map(_cell, row)) for row in rows]
    body = "".join(f"<tr>{line}</tr>" for line in lines)
    return (
        f'<div class="wide"><table class="sort"><thead><tr>{"".join(tops)}</tr></thead>'
        f"<tbody>{body}</tbody></table></div>"
    )


def _cell(cell: Cell) -> str:
    if isinstance(cell, tuple):
        key = cell[0] if cell[0] == cell[0] else -1e300  # nan is last
        return f'<td class="n" data-key="{key!r}">{text(cell[1])}</td>'
    return f"<td>{cell}</td>"


def markdown(heads: Sequence[str], rows: Sequence[Sequence[str]]) -> str:
    """Returns a table in Markdown, of plain texts."""
    lines = [heads, ["---"] + ["---:"] * (len(heads) - 1), *rows]
    safe = [[" ".join(str(cell).split()).replace("|", "\\|") for cell in line] for line in lines]
    return "\n".join(f"| {' | '.join(line)} |" for line in safe)


def latex(heads: Sequence[str], rows: Sequence[Sequence[str]]) -> str:
    """Returns a table in LaTeX, of plain texts; it needs the package booktabs."""

    def line(cells: Sequence[str]) -> str:
        return " & ".join(map(_latex, cells)) + r" \\"

    return "\n".join(
        [
            r"\begin{tabular}{l" + "r" * (len(heads) - 1) + "}",
            r"\toprule",
            line(heads),
            r"\midrule",
            *map(line, rows),
            r"\bottomrule",
            r"\end{tabular}",
        ]
    )


def _latex(value: str) -> str:
    plain = " ".join(str(value).split())
    escaped = "".join(_LATEX.get(letter, letter) for letter in plain)
    return escaped.replace("±", r"$\pm$").replace("−", "$-$").replace("–", "--")
