"""Errors that are the user's to mend: shown as one line, without a traceback."""

from __future__ import annotations

import difflib
from collections.abc import Iterable


class UserError(Exception):
    """Bad usage or bad input. The message says what was wrong, where, and what to do."""


def nearest(name: str, known: Iterable[str]) -> str:
    """A hint for a name that is not known: `; did you mean 'x'?`, else the list of what there is."""
    known = sorted(known)
    close = difflib.get_close_matches(name, known, n=1, cutoff=0.5)
    return f"; did you mean {close[0]!r}?" if close else f"; known: {', '.join(known)}"
