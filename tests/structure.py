"""Measures the structure of the code: `python tests/structure.py [--root FOLDER]` prints counts.

A room is a folder with Python files. An arrow goes from a file to a file whose names it imports.
"""

from __future__ import annotations

import argparse
import ast
import statistics
from collections import defaultdict
from collections.abc import Iterator
from pathlib import Path
from typing import NamedTuple

ROOT = Path(__file__).resolve().parent.parent
PACKAGES = (
    *("common", "configs", "losses", "measures", "program", "models", "data", "engine"),
    *("inference", "report", "tools"),
)
ENTRY_POINTS = ("main.py", "val.py")


class Function(NamedTuple):
    """A function or method, with its length in lines, the signature included."""

    path: str
    name: str
    lines: int


def files(root: Path = ROOT) -> list[Path]:
    """Returns the Python files of the project, tests aside."""
    found = [path for package in PACKAGES for path in sorted((root / package).rglob("*.py"))]
    return [root / name for name in ENTRY_POINTS] + found


def tree(path: Path) -> ast.Module:
    """Parses a file."""
    return ast.parse(path.read_text(encoding="utf-8"))


def imports(path: Path, root: Path = ROOT) -> Iterator[tuple[str, ast.stmt]]:
    """Yields each name of this project that a file imports, as `package.module[.name]`."""
    for node in ast.walk(tree(path)):
        if isinstance(node, ast.Import):
            names = [alias.name for alias in node.names]
        elif isinstance(node, ast.ImportFrom) and node.module and not node.level:
            names = [f"{node.module}.{alias.name}" for alias in node.names]
        else:
            continue
        yield from ((name, node) for name in names if name.split(".")[0] in PACKAGES)


def target(name: str, root: Path = ROOT) -> Path | None:
    """Returns the file that an imported name is in."""
    parts = name.split(".")
    for end in range(len(parts), 0, -1):
        place = root.joinpath(*parts[:end])
        if place.with_suffix(".py").is_file():
            return place.with_suffix(".py")
        if (place / "__init__.py").is_file():
            return place / "__init__.py"
    return None


def arrows(root: Path = ROOT) -> set[tuple[str, str]]:
    """Returns the pairs (importing file, imported file), as paths from the root."""
    found = set()
    for path in files(root):
        for name, _ in imports(path, root):
            other = target(name, root)
            if other and other != path:
                found.add((str(path.relative_to(root)), str(other.relative_to(root))))
    return found


def room(path: str) -> str:
    """Returns the folder of a file; a file at the root is a room of its own."""
    return path.rpartition("/")[0] or path


def functions(root: Path = ROOT) -> list[Function]:
    """Returns all functions and methods."""
    return [
        Function(str(path.relative_to(root)), node.name, (node.end_lineno or 0) - node.lineno + 1)
        for path in files(root)
        for node in ast.walk(tree(path))
        if isinstance(node, (ast.FunctionDef, ast.AsyncFunctionDef))
    ]


def main() -> None:
    """Prints the counts."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--root", type=Path, default=ROOT)
    root = parser.parse_args().root.resolve()
    paths, lengths = files(root), sorted(function.lines for function in functions(root))
    lines = sum(len(path.read_text(encoding="utf-8").splitlines()) for path in paths)
    statements = sum(isinstance(node, ast.stmt) for path in paths for node in ast.walk(tree(path)))
    found, members = arrows(root), defaultdict(list)
    for path in paths:
        members[room(str(path.relative_to(root)))].append(path)
    between = {(room(one), room(other)) for one, other in found} - {(r, r) for r in members}
    print(f"files {len(paths)}, lines {lines}, statements {statements}")
    print(f"arrows between files {len(found)}, between rooms {len(between)}")
    for package in PACKAGES:
        inside = [(one, other) for one, other in found if one.startswith(f"{package}/")]
        inside = [(one, other) for one, other in inside if other.startswith(f"{package}/")]
        rooms = {(room(one), room(other)) for one, other in inside if room(one) != room(other)}
        print(f"  inside {package}: {len(inside)} between files, {len(rooms)} between rooms")
    print(f"functions {len(lengths)}: median {statistics.median(lengths):g}, p90 ", end="")
    share = sum(length <= 40 for length in lengths) / len(lengths)
    print(f"{lengths[int(0.9 * len(lengths))]}, longest {lengths[-1]}, within 40: {share:.1%}")
    for name, own in sorted(members.items()):
        sizes = [len(path.read_text(encoding="utf-8").splitlines()) for path in own]
        print(f"  {name:28} {len(own):3} files, longest {max(sizes)} lines")


if __name__ == "__main__":
    main()
