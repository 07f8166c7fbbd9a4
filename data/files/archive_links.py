"""Follows the links in an archive, which lead to other members of it and nowhere else."""

from __future__ import annotations

from bisect import bisect_left
from pathlib import Path
from typing import Any

from common.errors import UserError

_MOST_LINKS, _DEEPEST = 8, 50  # links and folders on the way to what a link leads to
_MOST_LINKED = 1000  # links to folders


def resolve_links(
    members: dict[str, Any], links: dict[str, str], path: Path, most: int
) -> set[str]:
    """Adds what links lead to, files or whole folders, to the members of an archive.

    In a folder that a link leads to are only files, not the links to folders that are there.

    Args:
        members: by the name; it is changed.
        links: where the links lead to, by their names.
        path: of the archive.
        most: largest number of members.

    Returns:
        The names of links that lead to nothing in the archive.

    Raises:
        UserError: when there would be too many members.
    """
    waiting = {name: _followed(to, members, links) for name, to in links.items()}
    found = {name: members[to] for name, to in waiting.items() if to in members}
    members.update(found)
    waiting = {name: to for name, to in waiting.items() if name not in found}
    names, left = sorted(members), set(waiting)
    added: dict[str, Any] = {}
    for name, to in list(waiting.items())[:_MOST_LINKED]:
        # "0" is the letter behind "/".
        begin, end = bisect_left(names, f"{to}/"), bisect_left(names, f"{to}0")
        if not to or begin == end or name.startswith(f"{to}/"):
            continue
        if len(members) + len(added) + end - begin > most:
            raise UserError(f"{path}: has more than {most} members, with those that links lead to")
        added.update({name + one[len(to) :]: members[one] for one in names[begin:end]})
        left.remove(name)
    members.update(added)
    return left


def _followed(to: str, members: dict[str, Any], links: dict[str, str]) -> str:
    """Returns where a path leads to when links are on it; empty: out of the archive."""
    for _ in range(_MOST_LINKS):  # a link may lead to a link
        if to in members:
            break
        parts = to.split("/", _DEEPEST)[:_DEEPEST]
        ways = ("/".join(parts[:depth]) for depth in range(1, len(parts) + 1))
        way = next((one for one in ways if one in links), "")
        if not way:
            break
        to = links[way] + to[len(way) :] if links[way] else ""
    return to
