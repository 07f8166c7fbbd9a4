"""What users get wrong ends in one line: what, where and what to do; nothing is overwritten.

The exit code is 2.

A row of the tables in `bad_*.py` has three entries. The first makes the input, in a folder of its
own, with a finished run to copy from. The second is the command line (`{t}` is that folder, `{run}`
the run). The third is a part of the line that is expected. Input that looks odd and must work is in
`test_odd_input.py`.
"""

from __future__ import annotations

import os
import shlex
from pathlib import Path

import pytest
from bad_archives import ARCHIVES
from bad_flags import FLAGS
from bad_images import DAMAGED_IMAGES, OWN_IMAGES
from bad_run_folders import RUN_FOLDERS, UNREADABLE
from bad_tools import TOOLS
from bad_weights import WEIGHTS
from in_process import run_here

_TABLES = {"flag": FLAGS, "images": OWN_IMAGES, "archive": ARCHIVES, "weights": WEIGHTS}
_TABLES.update({"folder": RUN_FOLDERS, "tool": TOOLS})
_CASES = {f"{topic}-{name}": row for topic, table in _TABLES.items() for name, row in table.items()}


@pytest.fixture(scope="module")
def finished(tmp_path_factory) -> Path:
    """A finished run of two steps on the digits."""
    folder = tmp_path_factory.mktemp("finished") / "run"
    words = ["--config.train.steps=2", "--config.train.batch_size=8"]
    done = run_here("main.py", f"--workdir={folder}", *words)
    assert done.returncode == 0, done.stderr
    return folder


def contents(*places: Path) -> dict[Path, bytes]:
    """Reads every readable file below some folders, but locks, which change each time."""
    found = (path for place in places for path in place.rglob("*") if os.access(path, os.R_OK))
    kept = (path for path in found if path.is_file() and not path.name.endswith(".lock"))
    return {path: path.read_bytes() for path in kept}


def refused(row, place: Path, run: Path) -> set[Path]:
    """Runs one row, checks its message and that no file has changed; returns the new files."""
    make, line, expected = row
    make(place, run)
    before = contents(place, run)
    words = [word.format(t=place, run=run) for word in shlex.split(line)]
    if words[0] == "main.py" and not any(word.startswith("--workdir") for word in words):
        words.append(f"--workdir={place / 'new'}")
    done = run_here(*words)
    said = [text for text in done.stderr.splitlines() if text.strip()]
    assert "Traceback" not in done.stdout + done.stderr, done.stderr
    assert done.returncode == 2, (done.returncode, done.stdout[-500:], said)
    assert len(said) == 1, said
    assert said[0].startswith("error: "), said
    assert expected in said[0]
    after = contents(place, run)
    assert {path: content for path, content in after.items() if path in before} == before
    return after.keys() - before.keys()


@pytest.mark.parametrize("name", _CASES)
def test_is_refused_in_one_line(name, tmp_path, finished):
    new = refused(_CASES[name], tmp_path, finished)
    assert not new, new


@pytest.mark.parametrize("name", UNREADABLE)
def test_what_may_not_be_read_is_refused_in_one_line(name, tmp_path, finished):
    probe = tmp_path / "probe"
    probe.touch(0)
    if os.access(probe, os.R_OK):
        pytest.skip("root may read everything")
    new = refused(UNREADABLE[name], tmp_path, finished)
    assert not new, new


@pytest.mark.parametrize("name", DAMAGED_IMAGES)
def test_a_damaged_image_ends_the_run_in_one_line(name, tmp_path, finished):
    new = refused(DAMAGED_IMAGES[name], tmp_path, finished)
    assert all(path.is_relative_to(tmp_path / "new") for path in new)
    assert not (tmp_path / "new" / "result.json").exists()
