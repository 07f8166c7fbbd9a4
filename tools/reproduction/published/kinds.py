"""What is known of a published figure."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, replace


@dataclass(frozen=True)
class Published:
    """A published top-1, in percent, with its spread as far as the source states it.

    Attributes:
        value: the top-1; None where no source states one.
        source: paper with table, or repository with file and commit.
        digits: behind the point, as it was published; half a unit of the last one is rounding.
        deviation: standard deviation over `runs`; 0: not stated.
        runs: how many runs the value is the mean of; 0: not stated.
        repeats: what others reached with the same settings: `(top-1, who)`.
    """

    value: float | None
    source: str
    digits: int = 2
    deviation: float = 0.0
    runs: int = 0
    repeats: tuple[tuple[float, str], ...] = ()

    @property
    def text(self) -> str:
        """The value with its spread, such as `76.26 +- 0.09`; `not stated` for none."""
        if self.value is None:
            return "not stated"
        spread = f" +- {self.deviation:.{self.digits}f}" if self.deviation else ""
        return f"{self.value:.{self.digits}f}{spread}"


@dataclass(frozen=True)
class Figure:
    """A published figure, and what this project runs for it.

    Attributes:
        name: what `tools.reproduce` takes.
        title: a line for people.
        published: the value and its source.
        config: name of the config file, without its ending.
        row: of the config; empty: as it is.
        fields: other fields of the config, in addition to the row.
        data: a key of `datasets.DATA_SETS`.
        cards: that the config's batch and accumulation are written for; 0: a CPU does.
        set_up: machine and batch of the published run, as far as its source states them.
        open_questions: what the source leaves open, and what is assumed here in its place.
        differences: what is known to differ from the published run.
    """

    name: str
    title: str
    published: Published
    config: str
    data: str
    cards: int
    set_up: str
    row: str = ""
    fields: tuple[tuple[str, object], ...] = ()
    open_questions: tuple[str, ...] = ()
    differences: tuple[str, ...] = ()

    def variant(self, ending: str, title: str, published: Published, **changes) -> Figure:
        """Returns a figure of the same set-up with another name, title, value, and row."""
        changes = {"row": ending, "name": f"{self.name}_{ending}", **changes}
        return replace(self, title=title, published=published, **changes)


def by_name(figures: Iterable[Figure]) -> dict[str, Figure]:
    """Returns figures by their names."""
    return {figure.name: figure for figure in figures}
