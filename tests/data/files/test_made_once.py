"""What is kept in the cache is made by one process, and anew when its source changes."""

import importlib.util
import io
import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest
from conftest import ROOT
from data_trees import CLASSES, found_in, picture, zip_of

from common.errors import UserError
from data.files.made_once import made_once, states

_MAKER = """
import sys, time
from pathlib import Path
from data.files.made_once import made_once
cache = Path(sys.argv[1])
def make(folder):
    with open(cache / "calls", "a") as calls:
        calls.write("x")
    (folder / "a").write_text("half")
    time.sleep(float(sys.argv[2]))
    (folder / "a").write_text("whole")
print(made_once(cache, "kind", "key", "making", make))
"""


def _start(cache, seconds):
    cache.mkdir(exist_ok=True)
    command = [sys.executable, "-c", _MAKER, str(cache), str(seconds)]
    return subprocess.Popen(command, cwd=ROOT, stdout=subprocess.PIPE, text=True)


def _make(folder):
    (folder / "a").write_text("whole")


def _calls(cache, count):
    calls = cache / "calls"
    for _ in range(600):
        if calls.exists() and len(calls.read_text()) >= count:
            return
        time.sleep(0.1)
    raise AssertionError("it was never made")


def test_two_processes_make_it_once(tmp_path, capfd):
    process = _start(tmp_path, 3)
    _calls(tmp_path, 1)
    folder = made_once(tmp_path, "kind", "key", "making", _make)
    output = process.communicate(timeout=60)[0]
    assert output.splitlines()[-1] == str(folder)
    assert (tmp_path / "calls").read_text() == "x"
    assert (folder / "a").read_text() == "whole"
    text = capfd.readouterr().out
    assert text.count(f"waiting for another process, which makes {folder}") == 1
    assert "making" not in text


def test_another_folder_does_not_wait(tmp_path, capfd):
    process = _start(tmp_path, 60)
    try:
        _calls(tmp_path, 1)
        folder = made_once(tmp_path, "kind", "other", "making", _make)
        assert (folder / "a").read_text() == "whole"
        assert list(tmp_path.glob(".partial-*"))  # what the other process writes
    finally:
        process.kill()
        process.communicate()
    assert "waiting" not in capfd.readouterr().out


def test_after_a_killed_process(tmp_path):
    process = _start(tmp_path, 60)
    _calls(tmp_path, 1)
    os.kill(process.pid, signal.SIGKILL)
    process.communicate()
    (tmp_path / ".partial-kind-other.x").mkdir()
    assert len(list(tmp_path.glob(".partial-*"))) == 2
    folder = made_once(tmp_path, "kind", "key", "making", _make)
    assert (folder / "a").read_text() == "whole"
    assert [path.name for path in tmp_path.glob(".partial-*")] == [".partial-kind-other.x"]


def test_what_is_there_takes_no_lock(tmp_path, monkeypatch):
    folder = made_once(tmp_path, "kind", "key", "making", _make)
    monkeypatch.setattr("data.files.made_once.fcntl", None)
    assert made_once(tmp_path, "kind", "key", "making", _make) == folder


def test_whose_fault_it_is(tmp_path):
    cache, source = tmp_path / "cache", tmp_path / "source"

    def unreadable(folder):
        source.read_bytes()

    with pytest.raises(UserError, match=f"^{source}: can't be read \\(No such file"):
        made_once(cache, "kind", "key", "making", unreadable)

    def unwritable(folder):
        (folder / "a/b").write_text("x")

    with pytest.raises(UserError, match=f"^{cache}: can't write the cache there"):
        made_once(cache, "kind", "key", "making", unwritable)

    def full(folder):
        raise OSError(28, "No space left on device")

    with pytest.raises(UserError, match=f"^{cache}: can't write the cache there"):
        made_once(cache, "kind", "key", "making", full)
    assert not [path for path in cache.iterdir() if not path.name.endswith(".lock")]


def test_states(tmp_path, monkeypatch):
    (tmp_path / "a").write_text("abc")
    (tmp_path / "link").symlink_to("gone")
    path = str(tmp_path / "a")
    found = states([path, tmp_path / "a", str(tmp_path / "link")])
    assert [state[:2] for state in found] == [(path, 3), (str(tmp_path / "gone"), -1)]
    monkeypatch.chdir(tmp_path)
    assert states(["a"]) == found[:1]


@pytest.mark.skipif(importlib.util.find_spec("pyarrow") is None, reason="pyarrow is not installed")
def test_images_of_a_zip_that_was_replaced(tmp_path, monkeypatch):
    def write(path: Path, side):
        import pyarrow
        from pyarrow import parquet

        labels = [number % 3 for number in range(30)]
        images = [{"bytes": picture(label, side=side)} for label in labels]
        names = [CLASSES[label] for label in labels]
        buffer = io.BytesIO()
        parquet.write_table(pyarrow.table({"image": images, "label": names}), buffer)
        path.parent.mkdir(exist_ok=True)
        zip_of(path, {"train.parquet": buffer.getvalue()})

    def side_of_first(path):
        return len(found_in(path, cache_dir=str(cache)).part("train", False).images[0])

    cache = tmp_path / "cache"
    for folder, side in (("a", 8), ("b", 9), ("a", 10)):
        write(tmp_path / folder / "a.zip", side)
        monkeypatch.chdir(tmp_path / folder)
        assert [side_of_first(Path("a.zip")) for _ in range(2)] == [side, side]
    assert len(list(cache.glob("parquet-*"))) == 3
