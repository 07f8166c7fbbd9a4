"""The lines of the doctor's page, and how a check that fails becomes one."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from pathlib import Path
from typing import NamedTuple

from common.errors import UserError, one_line

FINE, LOOK, BAD = "fine", "look", "bad"
Check = Callable[[], Iterable["Line"]]
_REPORT = "it says nothing about the machine; report it with this page"


class Line(NamedTuple):
    """What a check has found.

    Attributes:
        name: what was looked at.
        state: `fine`, `look` (it works, or may work, but see) or `bad` (it will not work).
        found: what there is.
        remedy: what to do; empty for nothing.
    """

    name: str
    state: str
    found: str
    remedy: str = ""

    def __str__(self) -> str:
        remedy = f"; {self.remedy}" if self.remedy else ""
        return f"{self.state:5}" + one_line(f"{self.name}: {self.found}{remedy}")


def outcome(name: str, check: Check) -> Iterator[Line]:
    """Yields the lines of a check, without the path of the home folder.

    Args:
        name: for the line that takes the place of an error.
        check: whatever it raises becomes a line.
    """
    try:
        for line in check():
            yield line._replace(found=_public(line.found), remedy=_public(line.remedy))
    except UserError as error:
        yield Line(name, LOOK, f"can't be told: {_public(str(error))}")
    except Exception as error:
        said = f" ({error})" if str(error) else ""
        yield Line(name, LOOK, f"this check failed: {type(error).__name__}{_public(said)}", _REPORT)


def summary(lines: Iterable[Line]) -> str:
    """Returns how many lines there are of each state."""
    states = [line.state for line in lines]
    bad, look, fine = (states.count(state) for state in (BAD, LOOK, FINE))
    return f"{bad} bad, {look} to look at, {fine} fine"


def size(count: float) -> str:
    """Returns a number of bytes for people."""
    for unit, bytes_ in (("TB", 2**40), ("GB", 2**30), ("MB", 2**20)):
        if count >= bytes_:
            return (
                f"{count / bytes_:.1f} {unit}"
                if count < 100 * bytes_
                else (f"{count / bytes_:.0f} {unit}")
            )
    return f"{count / 2**10:.0f} kB"


def _public(text: str) -> str:
    """Returns a text in which the home folder is `~`: a page is pasted where all can read it."""
    home = str(Path.home())
    return text if home == "/" else text.replace(home, "~")
