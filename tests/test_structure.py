"""The contract of the layout: imports point one way, and importing does nothing."""

from __future__ import annotations

import ast
import os
import subprocess
import sys

import pytest
from conftest import ROOT, run_program

_MAY_IMPORT = {
    "common": set(),
    "configs": set(),
    "losses": {"common"},
    "models": {"common"},
    "data": {"common"},
    "engine": {"common", "losses", "models", "data", "configs"},
    "tools": {"common", "losses", "models", "data", "configs", "engine"},
}
_OURS = {*_MAY_IMPORT, "main", "val"}


def _imports(path) -> set[str]:
    found = set()
    for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
        if isinstance(node, ast.Import):
            found |= {alias.name.split(".")[0] for alias in node.names}
        elif isinstance(node, ast.ImportFrom) and node.level == 0:
            found.add(node.module.split(".")[0])
    return found


@pytest.mark.parametrize("package", sorted(_MAY_IMPORT))
def test_imports_point_one_way(package):
    for path in sorted((ROOT / package).rglob("*.py")):
        forbidden = (_imports(path) & _OURS) - _MAY_IMPORT[package] - {package}
        assert not forbidden, f"{path.name} imports {forbidden}"
        if package == "configs":
            assert _imports(path) <= {"configs", "ml_collections", "__future__"}, path.name


def test_entry_points_import_the_engine_alone():
    for name in ("main.py", "val.py"):
        assert _imports(ROOT / name) & _OURS == {"engine"}


def test_importing_does_nothing(tmp_path):
    """No output, no file, no flag, no seed; and the entry points start without Paddle until they
    need it.
    """
    modules = [
        ".".join(path.relative_to(ROOT).with_suffix("").parts)
        for package in ("common", "losses", "models", "data", "engine", "configs", "tools")
        for path in sorted((ROOT / package).rglob("*.py"))
        if path.stem != "__init__"
    ]
    code = "import sys; from engine import runtime, settings; assert 'paddle' not in sys.modules\n"
    code += "runtime.prepare_environment()\nimport paddle, numpy, random; from absl import flags\n"
    code += "def state(): return paddle.get_rng_state()[0].current_seed(), numpy.random.get_state()[1].tolist(), "
    code += "random.getstate(), sorted(flags.FLAGS)\n"
    code += (
        "before = state()\n"
        + "".join(f"import {module}\n" for module in modules)
        + "assert before == state()\n"
    )
    done = subprocess.run(
        [sys.executable, "-c", code],
        cwd=tmp_path,
        env={**os.environ, "PYTHONPATH": str(ROOT)},
        capture_output=True,
        text=True,
    )
    assert (done.returncode, done.stdout, done.stderr) == (0, "", "")
    assert not list(tmp_path.iterdir())


def test_every_tool_explains_itself():
    for path in sorted((ROOT / "tools").glob("*.py")):
        if '__name__ == "__main__"' in path.read_text(encoding="utf-8"):
            done = run_program("-m", f"tools.{path.stem}", "--help")
            assert done.returncode == 0, done.stderr
            assert f"tools.{path.stem}" in done.stdout
