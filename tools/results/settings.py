"""The rows of a table, and the lines of runs that each of them has."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any, NamedTuple

from common.errors import UserError
from configs import default
from program.config.config_fields import flattened
from tools.results.lines import Line

Text = tuple[str, str]  # English, Chinese


class Row(NamedTuple):
    """A row of a table, or a point of a picture.

    Attributes:
        key: names it in `Row.against`.
        name: what the reader sees.
        select: what its lines have: `setting`, `row`, the name of a `config` (without folder and
            ending), or values of fields.
        against: keys of the rows that it is compared with, one for each baseline of the table;
            empty: not compared.
        line: the line of the picture that it is a point of.
        x: its place there, a number, or the name of a place.
    """

    key: str
    name: Text
    select: dict[str, Any]
    against: tuple[str, ...] = ()
    line: Text = ("", "")
    x: Any = None


class Table(NamedTuple):
    """A table of docs/results.md, with its picture.

    Attributes:
        name: in the markers of the pages, and of the picture.
        title: of the table and of the picture.
        experiment: whose lines it shows: the name of a file in docs/results/.
        rows: in order; a function that returns them where the lines decide which there are.
        baselines: what the columns of differences are called.
        x_title: of the picture.
        band: whether the picture has a band, and a line through the means.
    """

    name: str
    title: Text
    experiment: str
    rows: Sequence[Row] | Callable[[Sequence[Line]], Sequence[Row]]
    baselines: tuple[Text, ...]
    x_title: Text
    band: bool = False


class Setting(NamedTuple):
    """A row with its lines, in the order of the seeds."""

    row: Row
    lines: tuple[Line, ...]

    def values(self, name: str) -> list[float]:
        """Returns a number of each line; nan where it has none."""
        values = (line.get(name) for line in self.lines)
        return [float("nan") if value is None else float(value) for value in values]

    def by_seed(self, name: str) -> dict[int, float]:
        """Returns a number of each line by its seed."""
        return dict(zip((line["seed"] for line in self.lines), self.values(name)))


def value(line: Line, name: str) -> Any:
    """Returns what a line has under a name of `Row.select`."""
    if name in ("setting", "row"):
        return line[name]
    if name == "config":
        return Path(line["config"]).stem
    usual = flattened(default.get_config())
    if name not in usual:
        raise UserError(f"tools/results/described.py: {name} is no field of a config")
    found = line["fields"].get(name, usual[name])
    return tuple(found) if isinstance(found, list) else found


def settings_of(table: Table, lines: Sequence[Line]) -> list[Setting]:
    """Returns the rows of a table with their lines; a row that was not run has none.

    Raises:
        UserError: when the lines of a row are of several settings, which are not to be mixed.
    """
    rows = table.rows(lines) if callable(table.rows) else table.rows
    found = []
    for row in rows:
        own = [line for line in lines if all(value(line, k) == v for k, v in row.select.items())]
        names = sorted({line["setting"] for line in own})
        if len(names) > 1:
            raise UserError(
                f"docs/results/{table.experiment}.jsonl: the row {row.key} of the table "
                f"{table.name} has lines of {len(names)} settings: {'; '.join(names[:3])}"
            )
        found.append(Setting(row, tuple(sorted(own, key=lambda line: line["seed"]))))
    return found


def by_value(
    field: str, name: Text, base: Any, show: Callable[[Any], str] = "{:g}".format
) -> Callable[[Sequence[Line]], Sequence[Row]]:
    """Returns the rows of an ablation: one for each value of a field that the lines have.

    Args:
        field: of the config.
        name: of the field, in front of the value.
        base: the value that the others are compared with.
        show: returns a value as text.
    """

    def rows(lines: Sequence[Line]) -> list[Row]:
        values = sorted({value(line, field) for line in lines})
        texts = [show(one) for one in values]
        return [
            Row(
                text,
                (f"{name[0]} {text}", f"{name[1]} {text}"),
                {field: one},
                () if one == base else (show(base),),
                x=one,
            )
            for one, text in zip(values, texts)
        ]

    return rows
