"""The doctor as a user runs it: exit codes, its page, and machines without a Paddle that works."""

from __future__ import annotations

import json
import os
import subprocess
import sys

import pytest
from conftest import ROOT, run_program

_NO_LIMIT = "--patience=0"


def _doctor(*words, folder, **environment):
    """Runs the doctor with runs in a folder."""
    return run_program(
        "-m", "tools.doctor", "--offline", _NO_LIMIT, f"--workdir={folder}", *words, **environment
    )


def _paddle(folder, source: str) -> dict[str, str]:
    """Makes another Paddle, and returns the environment with which it is found."""
    (folder / "fake" / "paddle").mkdir(parents=True)
    (folder / "fake" / "paddle" / "__init__.py").write_text(source)
    return {"PYTHONPATH": str(folder / "fake")}


def _states(done) -> dict[str, str]:
    found = {}
    for line in done.stdout.splitlines()[:-1]:
        state, _, rest = line.partition(" ")
        assert state in ("fine", "look", "bad"), line
        found[rest.strip().partition(":")[0]] = state
    return found


@pytest.mark.parametrize(
    ("source", "words"),
    [
        ("raise ModuleNotFoundError(\"No module named 'paddle'\")", "can't be imported"),
        ("raise ImportError('libcublas.so.11: cannot open')", "install the CUDA libraries"),
        ("import os; os.abort()", "ended by SIGABRT"),
        ("import os, signal; os.kill(os.getpid(), signal.SIGILL)", "lacks instructions"),
    ],
)
def test_a_paddle_that_is_broken(tmp_path, source, words):
    """The page is whole, and its first line says what is wrong."""
    done = _doctor(folder=tmp_path, **_paddle(tmp_path, source))
    assert (done.returncode, done.stderr) == (1, "")
    first = done.stdout.splitlines()[0]
    assert first.startswith("bad  Paddle: ")
    assert words in first
    states = _states(done)
    assert states["several processes"] == "look"
    assert states["packages"] == states["memory"] == states["clock"] == "fine"
    assert sorted(path.name for path in tmp_path.iterdir()) == ["fake"]


def test_nothing_but_python(tmp_path):
    """It starts where no package is installed, says which are missing, and can't be refused."""
    code = (
        "import sys, runpy; sys.path = [p for p in sys.path if 'site-packages' not in p]\n"
        f"sys.path.insert(0, {str(ROOT)!r})\n"
        "import os; os.environ['PYTHONNOUSERSITE'] = '1'\n"
        "from importlib import metadata; metadata.distributions = lambda: ()\n"
        "sys.argv[0] = 'tools.doctor'; runpy.run_module('tools.doctor', run_name='__main__')\n"
    )
    words = ["--offline", _NO_LIMIT, f"--workdir={tmp_path}", f"--json={tmp_path}/page.json"]
    fake = _paddle(tmp_path, "raise ModuleNotFoundError(\"No module named 'paddle'\")")
    done = subprocess.run(
        [sys.executable, "-S", "-c", code, *words],
        cwd=ROOT,
        env={**os.environ, **fake},
        capture_output=True,
        text=True,
    )
    assert (done.returncode, done.stderr) == (1, "")
    assert "bad  Paddle: not installed; pip install -r requirements.txt" in done.stdout
    assert "bad  packages: missing: absl-py, matplotlib," in done.stdout
    page = json.loads((tmp_path / "page.json").read_text())["lines"]
    assert page[0]["name"] == "Paddle"
    assert page[0]["state"] == "bad"
    assert len(page) == len(done.stdout.splitlines()) - 1


@pytest.mark.slow
def test_this_machine(tmp_path, painted):
    """Paddle works here, two processes too; the config's run is planned."""
    config = ["--config=configs/folder_small.py", f"--config.data.root={painted}"]
    done = _doctor(f"--json={tmp_path / 'page.json'}", *config, folder=tmp_path / "runs")
    assert done.stderr == ""
    states = _states(done)
    for name in ("Paddle", "run_check", "device", "gloo between processes", "data", "memory"):
        assert states[name] == "fine", done.stdout
    assert any(name.startswith("data /") for name in states)
    bad = sum(state == "bad" for state in states.values())
    assert done.returncode == (1 if bad else 0)
    assert not (tmp_path / "runs").exists()


def test_a_broken_nvidia_smi_and_a_stale_launch(tmp_path):
    fake = tmp_path / "bin" / "nvidia-smi"
    fake.parent.mkdir()
    fake.write_text("#!/bin/sh\necho 'Driver/library version mismatch'; exit 18\n")
    fake.chmod(0o755)
    environment = _paddle(tmp_path, "raise ImportError('a')")
    environment["PATH"] = f"{fake.parent}{os.pathsep}{os.environ['PATH']}"
    done = _doctor(folder=tmp_path, PADDLE_TRAINERS_NUM="4", **environment)
    assert done.returncode == 1
    assert "bad  driver: nvidia-smi fails: Driver/library version mismatch; mend" in done.stdout
    assert "bad  launcher: PADDLE_TRAINERS_NUM=4; a run started here would wait" in done.stdout


def test_the_machine_is_not_changed(tmp_path):
    """A data root that can't be read and a workdir below a file are lines, not errors."""
    (tmp_path / "a").write_text("x")
    done = _doctor(
        f"--data={tmp_path / 'absent'}",
        folder=tmp_path / "a" / "b",
        **_paddle(tmp_path, "raise ImportError('a')"),
    )
    assert done.returncode == 1
    assert "a is a file; give another --workdir" in done.stdout
    assert "absent: is not there; give the folder" in done.stdout
    assert (tmp_path / "a").read_text() == "x"


@pytest.mark.parametrize(
    ("words", "message"),
    [
        (["--ofline"], "unrecognized arguments: --ofline"),
        (["--config=digit"], "digit"),
        (["--config.optim.l=1"], "did you mean 'optim.lr'"),
        (["--patience=nan"], "--patience is nan"),
        (["--json={t}"], "is a folder"),
    ],
)
def test_wrong_flags(tmp_path, words, message):
    done = run_program("-m", "tools.doctor", *(word.format(t=tmp_path) for word in words))
    assert (done.returncode, done.stdout) == (2, "")
    (line,) = done.stderr.splitlines()
    assert line.startswith("error: ")
    assert message in line
