"""Runs the programs inside the process of the tests, which takes a tenth of a second each.

Paddle is imported there already.
"""

from __future__ import annotations

import contextlib
import io
import os
import runpy
import sys
import traceback
from pathlib import Path
from typing import NamedTuple

from absl import app, flags  # noqa: F401 (app defines flags of its own, which stay)
from conftest import ROOT, without_page


class Done(NamedTuple):
    """What a program left behind, by the names of `subprocess.CompletedProcess`."""

    returncode: int
    stdout: str
    stderr: str


def run_here(*words: str, cwd: Path = ROOT) -> Done:
    """Runs `main.py`, `val.py` or `tools.NAME` with its arguments; returns how it ended."""
    program, *arguments = without_page(map(str, words))
    path = ROOT / (program if program.endswith(".py") else program.replace(".", "/") + ".py")
    out, err = io.StringIO(), io.StringIO()
    with (
        _process([str(path), *arguments], cwd),
        contextlib.redirect_stdout(out),
        contextlib.redirect_stderr(err),
    ):
        try:
            runpy.run_path(str(path), run_name="__main__")
            code = 0
        except SystemExit as end:
            code = end.code if isinstance(end.code, int) else int(end.code is not None)
        except BaseException:  # as Python itself ends
            traceback.print_exc()
            code = 1
    return Done(code, out.getvalue(), err.getvalue())


@contextlib.contextmanager
def _process(argv: list[str], cwd: Path):
    """A command line, a working folder and flags of its own."""
    before, folder, known = sys.argv, os.getcwd(), set(flags.FLAGS)
    sys.argv = argv
    os.chdir(cwd)
    try:
        yield
    finally:
        sys.argv = before
        os.chdir(folder)
        for name in set(flags.FLAGS) - known:
            delattr(flags.FLAGS, name)
        flags.FLAGS.unparse_flags()
