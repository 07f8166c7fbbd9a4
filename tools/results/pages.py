"""The pages that show the tables: what lies between the markers of a table is replaced."""

from __future__ import annotations

import re

from common.errors import UserError

_END = "<!-- end -->"
_BLOCK = re.compile(rf"<!-- table (\S+) -->\n(.*?){re.escape(_END)}", re.DOTALL)
_OPENING = re.compile(r"<!-- table (\S+) -->")


def tables_of(text: str, page: str) -> list[str]:
    """Returns the names of the tables that a page has markers of, in order.

    Args:
        text: of the page.
        page: its name, for the message.

    Raises:
        UserError: when a marker has no end, or a table has two.
    """
    names = [match[1] for match in _BLOCK.finditer(text)]
    openings = [match[1] for match in _OPENING.finditer(text)]
    if openings != names or text.count(_END) != len(names):
        raise UserError(f"{page}: each `<!-- table NAME -->` needs `{_END}` behind it")
    twice = {name for name in names if names.count(name) > 1}
    if twice:
        raise UserError(f"{page}: has the table {min(twice)} twice; remove one")
    return names


def filled(text: str, blocks: dict[str, str]) -> str:
    """Returns a page with other blocks between the markers.

    Args:
        text: of the page.
        blocks: by the names of the tables, all that the page has.
    """

    def block(match: re.Match[str]) -> str:
        return f"<!-- table {match[1]} -->\n\n{blocks[match[1]]}\n\n{_END}"

    return _BLOCK.sub(block, text)
