"""Write the tables and pictures of docs/results.md from the lines of the runs.

    python -m tools.results_tables            # or: make results-tables
    python -m tools.results_tables --check    # writes nothing; exit code 1 when something differs

The lines are docs/results/EXPERIMENT.jsonl, which tools.sweep --lines writes; the tables are
described in tools/results/described.py. What lies between `<!-- table NAME -->` and `<!-- end -->`
in docs/results.md and docs/cn/results.md is written, and docs/images/NAME.png. No figure there is
typed by hand.
"""

from __future__ import annotations

import argparse
import sys
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import NamedTuple

from common.atomic_writing import write_text
from common.errors import UserError
from common.reading import read_text, user_path
from program import exits, tool_arguments
from tools.results import lines, pages, pictures, rendering
from tools.results.described import TABLES
from tools.results.settings import Setting, Table, settings_of

_DOCS = Path(__file__).resolve().parent.parent / "docs"
_PAGES = {"en": "results.md", "zh": "cn/results.md"}  # below the docs


class Change(NamedTuple):
    """A file that is not what the lines make of it, and what writes it."""

    path: Path
    write: Callable[[], None]


def _arguments() -> argparse.Namespace:
    parser = tool_arguments.ArgumentParser("tools.results_tables", __doc__)
    parser.add_argument("--check", action="store_true", help="write nothing, only compare")
    parser.add_argument("--docs", type=user_path, default=_DOCS, help="folder of the pages")
    return parser.parse_args()


def changes(docs: Path, tables: Sequence[Table] = TABLES) -> list[Change]:
    """Returns the files of the docs that are not what the lines make of them.

    Args:
        docs: the folder of the pages.
        tables: their descriptions.

    Raises:
        UserError: when a page or a line is not as expected, or lines are in no table.
    """
    files = {path.stem: lines.read(path) for path in sorted((docs / "results").glob("*.jsonl"))}
    settings = {one.name: settings_of(one, files.get(one.experiment, [])) for one in tables}
    _check_shown(files, tables, settings)
    found = [*_pictures(docs, tables, settings)]
    for language, name in _PAGES.items():
        path = docs / name
        text = read_text(path)
        shown = pages.tables_of(text, name)
        _check_markers(name, shown, settings)
        blocks = {
            one.name: rendering.block(one, settings[one.name], language)
            for one in tables
            if one.name in shown
        }
        new = pages.filled(text, blocks)
        if new != text:
            found.append(Change(path, lambda path=path, new=new: write_text(path, new)))
    return found


def _check_shown(
    files: dict[str, list[lines.Line]],
    tables: Sequence[Table],
    settings: dict[str, list[Setting]],
) -> None:
    """Checks that each line is in a table: a result is not left out without a word."""
    for experiment, own in files.items():
        names = [one.name for one in tables if one.experiment == experiment]
        if not names:
            raise UserError(
                f"docs/results/{experiment}.jsonl: tools/results/described.py has no table of it"
            )
        shown = {id(line) for name in names for one in settings[name] for line in one.lines}
        left = sorted({line["setting"] for line in own if id(line) not in shown})
        if left:
            raise UserError(
                f"docs/results/{experiment}.jsonl: {left[0]} is in no row of the tables "
                f"{', '.join(names)} ({len(left)} such settings); add it to "
                "tools/results/described.py, or remove the lines"
            )


def _check_markers(page: str, shown: Sequence[str], settings: dict[str, list[Setting]]) -> None:
    """Checks that a page has markers of each table that was run, and no others."""
    for name in shown:
        if name not in settings:
            raise UserError(f"{page}: tools/results/described.py has no table {name}")
    for name, own in settings.items():
        if name not in shown and any(one.lines for one in own):
            raise UserError(
                f"{page}: has no place for the table {name}; add `<!-- table {name} -->` and "
                "`<!-- end -->` on lines of their own"
            )


def _pictures(
    docs: Path, tables: Sequence[Table], settings: dict[str, list[Setting]]
) -> list[Change]:
    """Returns the pictures that show something else than the lines."""
    found = []
    for table in tables:
        if any(one.lines for one in settings[table.name]):
            shown = pictures.picture(table, settings[table.name])
            path = docs / "images" / f"{table.name}.png"
            if pictures.digest_in(path) != shown.digest:
                found.append(
                    Change(path, lambda shown=shown, path=path: pictures.write(shown, path))
                )
    return found


def main() -> int:
    """Writes or checks the pages; returns the exit code."""
    arguments = _arguments()
    found = changes(arguments.docs)
    for change in found:
        if arguments.check:
            print(f"{change.path}: is not what the lines say; run make results-tables")
        else:
            change.write()
            print(f"written: {change.path}")
    if not found:
        print("nothing to write: the pages are what the lines say", file=sys.stderr)
    return exits.FAILED_EXPECTATION if found and arguments.check else exits.DONE


if __name__ == "__main__":
    exits.run_tool(main)
