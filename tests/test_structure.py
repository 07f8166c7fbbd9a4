"""The contract of the layout: imports point one way, rooms stay small, importing does nothing."""

from __future__ import annotations

import ast
import os
import subprocess
import sys
from collections import Counter
from graphlib import TopologicalSorter
from pathlib import Path

import pytest
import structure
from conftest import ROOT, run_program

_LIBRARIES = {"common", "losses", "models", "data"}
_ENGINE = {*_LIBRARIES, "program", "configs"}
_ENGINE_ROOMS = (
    "state",
    "step",
    "plan",
    "results",
    "features",
    "survival",
    "watch",
)  # each may import those before it

# Which packages the files of a room may import, by the longest beginning that fits the room.
_MAY_IMPORT = {
    "common": set(),
    "configs": set(),
    "losses": {"common"},
    "models": {"common"},
    "data": {"common"},
    "program": {"common", "configs"},
    "measures": {"common"},
    "engine": {*_ENGINE, "measures"},
    "inference": {*_ENGINE, "engine", "measures"},
    "report": {*_ENGINE, "engine", "measures", "inference"},
    "tools": {*_ENGINE, "engine", "measures", "inference", "report"},
    "main.py": {"program", "engine", "report"},
    "val.py": {"program", "engine"},
}
# What a user calls or copies: as many as there are.
_OPEN_ROOMS = {"configs", "tools"}
_MOST_FILES, _MOST_LINES, _LONGEST_LINE = 12, 300, 100
_MOST_LINES_OF_A_FUNCTION, _SHARE_WITHIN = 40, 0.95
# One file that can be copied into another project as it is.
_LONGER = {"losses/rdrop.py"}
_LOADS_PADDLE = ("program/paddle_setup.py", "load_paddle")


def _relative(path: Path) -> str:
    return str(path.relative_to(ROOT))


@pytest.mark.parametrize("package", sorted(_MAY_IMPORT))
def test_packages_import_one_way(package):
    for one, other in sorted(structure.arrows()):
        if one.split("/")[0] == package:
            allowed = {package, *_MAY_IMPORT[package]}
            assert other.split("/")[0] in allowed, f"{one} imports {other}"


def test_rooms_of_the_engine_import_one_way():
    """`state` knows none of the others, `watch` all; the loop and the commands stand above them."""
    for one, other in sorted(structure.arrows()):
        parts = [path.split("/")[1] for path in (one, other) if path.startswith("engine/")]
        if len(parts) < 2 or parts[0] == parts[1] or parts[1] in ("distributed.py", "__init__.py"):
            continue
        if parts[0] in _ENGINE_ROOMS:
            before = _ENGINE_ROOMS[: _ENGINE_ROOMS.index(parts[0])]
            assert parts[1] in before, f"{one} imports {other}"
        assert parts[0] == "commands" or parts[1] != "commands", f"{one} imports {other}"


def test_no_circles():
    """No file imports a file that imports it, over however many others; faces hand names on."""
    imported = {}
    for one, other in structure.arrows():
        if not one.endswith("__init__.py") and not other.endswith("__init__.py"):
            imported.setdefault(one, []).append(other)
    sorter = TopologicalSorter(imported)
    sorter.prepare()  # a CycleError names the files


def test_configs_import_next_to_nothing():
    for path in sorted((ROOT / "configs").glob("*.py")):
        for node in ast.walk(structure.tree(path)):
            if isinstance(node, ast.Import):
                names = {alias.name.split(".")[0] for alias in node.names}
            elif isinstance(node, ast.ImportFrom):
                names = {(node.module or "").split(".")[0]}
            else:
                continue
            assert names <= {"configs", "ml_collections", "typing", "__future__"}, path.name


def test_the_program_loads_paddle_in_one_place():
    """Flags, configs and folders are looked at before Paddle is loaded, which takes seconds."""
    for path in sorted((ROOT / "program").rglob("*.py")):
        for node in ast.walk(structure.tree(path)):
            inside = [
                below
                for below in ast.walk(node)
                if isinstance(below, ast.Import) and below.names[0].name.startswith("paddle")
            ]
            if inside and isinstance(node, ast.FunctionDef):
                assert (_relative(path), node.name) == _LOADS_PADDLE
            assert not (isinstance(node, ast.ImportFrom) and str(node.module).startswith("paddle"))
    names = (
        ".".join(path.relative_to(ROOT).with_suffix("").parts)
        for path in sorted((ROOT / "program").rglob("[a-z]*.py"))
    )
    code = "import sys, program\n" + "".join(f"import {name}\n" for name in names)
    done = run_program("-c", code + "assert not {'paddle', 'engine', 'models'} & set(sys.modules)")
    assert done.returncode == 0, done.stderr


def test_rooms_and_files_stay_small():
    paths = structure.files()
    members = Counter(structure.room(_relative(path)) for path in paths)
    large = {
        room: count
        for room, count in members.items()
        if count > _MOST_FILES and room not in _OPEN_ROOMS
    }
    assert not large
    long = {
        _relative(path): lines
        for path in paths
        if (lines := len(path.read_text(encoding="utf-8").splitlines())) > _MOST_LINES
    }
    assert long.keys() == _LONGER


def test_lines_stay_short():
    """Also those that end in a remark for a tool, which `ruff` lets pass."""
    for path in [*structure.files(), *sorted((ROOT / "tests").rglob("*.py"))]:
        for number, line in enumerate(path.read_text(encoding="utf-8").splitlines(), 1):
            assert len(line) <= _LONGEST_LINE, f"{_relative(path)}:{number}"


def test_functions_stay_short():
    lengths = [function.lines for function in structure.functions()]
    within = sum(length <= _MOST_LINES_OF_A_FUNCTION for length in lengths)
    assert within >= _SHARE_WITHIN * len(lengths)


def test_faces_hold_no_logic():
    for name in ("models", "data", "losses"):
        for node in structure.tree(ROOT / name / "__init__.py").body:
            assert isinstance(node, (ast.Expr, ast.ImportFrom, ast.Assign)), f"{name}/__init__.py"


def test_every_file_says_what_it_is_for():
    for path in structure.files():
        text = ast.get_docstring(structure.tree(path))
        assert text, _relative(path)
        assert text.splitlines()[0].endswith((".", "?", ":")), _relative(path)


def test_importing_does_nothing(tmp_path):
    """No output, no file, no flag, no seed."""
    modules = [
        ".".join(path.relative_to(ROOT).with_suffix("").parts)
        for path in structure.files()
        if path.stem != "__init__" and path.parent != ROOT
    ]
    code = "from program import command_line, exits, paddle_setup\n"  # with absl's own flags
    code += "paddle_setup.load_paddle()\nimport paddle, numpy, random; from absl import flags\n"
    code += "def state(): return paddle.get_rng_state()[0].current_seed(), "
    code += "numpy.random.get_state()[1].tolist(), random.getstate(), sorted(flags.FLAGS)\n"
    code += "before = state()\n" + "".join(f"import {module}\n" for module in modules)
    code += "assert before == state()\n"
    done = subprocess.run(
        [sys.executable, "-c", code],
        cwd=tmp_path,
        env={**os.environ, "PYTHONPATH": str(ROOT)},
        capture_output=True,
        text=True,
    )
    assert (done.returncode, done.stdout, done.stderr) == (0, "", "")
    assert not list(tmp_path.iterdir())


def test_names_of_test_files_are_unique():
    """pytest imports them by their names alone."""
    names = [path.name for path in (ROOT / "tests").rglob("test_*.py")]
    assert sorted(names) == sorted(set(names))


def test_every_tool_explains_itself():
    for path in sorted((ROOT / "tools").glob("*.py")):
        if '__name__ == "__main__"' in path.read_text(encoding="utf-8"):
            done = run_program("-m", f"tools.{path.stem}", "--help")
            assert done.returncode == 0, done.stderr
            assert f"tools.{path.stem}" in done.stdout
