"""Errors that are the user's to mend: shown as one line, without a traceback."""

from __future__ import annotations

import difflib
from collections.abc import Iterable, Sequence

_LISTED = 5
_LONGEST = 1000  # characters of a message: what it quotes of a file may be megabytes


class UserError(Exception):
    """Bad usage or bad input. The message says what was wrong, where, and what to do, in one
    line.
    """

    def __init__(self, message: str):
        super().__init__(_one_line(message))


def _one_line(message: str) -> str:
    """A message whose quotations of a file are cut, and can't steer the terminal."""
    if len(message) > _LONGEST:
        message = f"{message[: _LONGEST // 2]} ... {message[-_LONGEST // 2 :]}"
    line = " ".join(message.split())
    return (
        line
        if line.isprintable()
        else "".join(letter if letter.isprintable() else "?" for letter in line)
    )


def listed(names: Sequence[str]) -> str:
    """Names for a message: the first few of them, and how many there are beside."""
    more = f" and {len(names) - _LISTED} more" if len(names) > _LISTED else ""
    return ", ".join(names[:_LISTED]) + more


def nearest(name: str, known: Iterable[str], listed: bool = True) -> str:
    """A hint for a name that is not known: `; did you mean 'x'?`, else the list of what there is
    (if `listed`).
    """
    known = sorted(known)
    close = difflib.get_close_matches(name, known, n=1, cutoff=0.5)
    if close:
        return f"; did you mean {close[0]!r}?"
    return f"; known: {', '.join(known)}" if listed else ""
