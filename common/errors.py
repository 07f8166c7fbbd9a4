"""Errors that the user can correct: shown as one line, without a traceback."""

from collections.abc import Iterable, Sequence

from common.similar_names import similar

_LISTED = 5  # names in a message
_LONGEST = 1000  # characters of a message; what it quotes from a file may be megabytes


class UserError(Exception):
    """Bad usage or bad input. The message is one line: what was wrong, where, and what to do.

    A long message is shortened, and characters that could control the terminal are replaced.
    """

    def __init__(self, message: str):
        if len(message) > _LONGEST:
            message = f"{message[: _LONGEST // 2]} ... {message[-_LONGEST // 2 :]}"
        super().__init__(one_line(message))


def one_line(text: str) -> str:
    """Returns a text as one line, without characters that could control the terminal."""
    line = " ".join(text.split())
    return "".join(letter if letter.isprintable() else "?" for letter in line)


def listed(names: Sequence[str]) -> str:
    """Joins names for a message: the first few, then how many more there are."""
    more = f" and {len(names) - _LISTED} more" if len(names) > _LISTED else ""
    return ", ".join(names[:_LISTED]) + more


def nearest(name: str, known: Iterable[str], listed: bool = True) -> str:
    """Returns a hint for an unknown name: `; did you mean 'x'?`, or else the known names.

    Args:
        name: the unknown name; that of another library is understood, see `similar_names.py`.
        known: the names that there are.
        listed: whether to list the known names when none is similar.
    """
    known = list(known)
    close = similar(name, known)
    if close:
        return f"; did you mean {' or '.join(map(repr, close))}?"
    return f"; known: {', '.join(sorted(known))}" if listed else ""
