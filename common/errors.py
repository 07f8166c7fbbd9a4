"""Errors that are the user's to mend: shown as one line, without a traceback."""

from __future__ import annotations

import difflib
from collections.abc import Iterable, Sequence

_LISTED = 5
_LONGEST = 2000  # characters of a message


class UserError(Exception):
    """Bad usage or bad input. The message says what was wrong, where, and what to do, in one line."""

    def __init__(self, message: str):
        line = " ".join(message.split())  # what it quotes may have several
        super().__init__(line if len(line) <= _LONGEST else f"{line[:_LONGEST]} ...")


def listed(names: Sequence[str]) -> str:
    """Names for a message: the first few of them, and how many there are beside."""
    more = f" and {len(names) - _LISTED} more" if len(names) > _LISTED else ""
    return ", ".join(names[:_LISTED]) + more


def nearest(name: str, known: Iterable[str], listed: bool = True) -> str:
    """A hint for a name that is not known: `; did you mean 'x'?`, else the list of what there is (if `listed`)."""
    known = sorted(known)
    close = difflib.get_close_matches(name, known, n=1, cutoff=0.5)
    if close:
        return f"; did you mean {close[0]!r}?"
    return f"; known: {', '.join(known)}" if listed else ""
