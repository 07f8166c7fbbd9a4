"""Files of a hostile author: no code runs, nothing is written elsewhere, memory stays bounded."""

from __future__ import annotations

import functools
import os
import re

import numpy as np
import pytest
from caged import in_a_cage
from crafted import FILES
from hostile import READERS, read_in, stored_config

from common.errors import UserError
from common.pickles import safe_load
from data.files.folder_tree import list_folder
from data.sets import cifar, imagenet, imagenet_labels
from engine.commands import staged_run
from engine.state import run_weights
from models.weights.formats import array_files
from program import command_line, run_folder

_MEGABYTES = 300  # by which memory may grow; the largest of the files has 68


@pytest.mark.parametrize("kind", FILES)
def test_crafted_files(tmp_path, monkeypatch, kind):
    # Files that reach the real limits take long to make.
    monkeypatch.setattr(cifar, "_LARGEST_ARCHIVE", 32 << 20)
    monkeypatch.setattr(safe_load, "_MOST_STEPS", 200_000)
    for number, (name, file, content, message) in enumerate(FILES[kind]()):
        place = tmp_path / str(number)
        place.mkdir()
        found = in_a_cage(functools.partial(_said, place, file, content))
        assert found.kind == "returned", (name, found)
        assert re.search(message or "^fine$", found.text), (name, found)
        assert found.megabytes < _MEGABYTES, (name, found)


def _said(place, file: str, content: bytes) -> str:
    found = read_in(place, file, content)
    return str(found)[:1500] if isinstance(found, UserError) else "fine"


@pytest.mark.parametrize(
    "name", ["config.json", "result.json", "metrics.jsonl", "w.pdparams", "image.png"]
)
@pytest.mark.parametrize("kind", ["device", "pipe", "folder"])
def test_what_is_no_file(tmp_path, name, kind):
    """Each would be read for ever, or waited for."""
    path = tmp_path / name
    if kind == "device":
        path.symlink_to("/dev/zero")
    elif kind == "pipe":
        os.mkfifo(path)
    else:
        path.mkdir()
    found = in_a_cage(lambda: READERS[name](path))
    assert found.kind == "UserError" or (found.kind, found.text) in (
        ("returned", "None"),
        ("returned", "[]"),
    )


@pytest.mark.parametrize("link", [".lock", "checkpoints", "checkpoints/step_00000001"])
def test_a_run_writes_into_its_own_folder_only(tmp_path, link):
    (tmp_path / "outside").mkdir()
    (tmp_path / "outside" / "mine").write_text("mine")
    path = tmp_path / "run" / link
    path.parent.mkdir(parents=True)
    path.symlink_to(tmp_path / "outside" / ("mine" if link == ".lock" else ""))
    with pytest.raises(UserError, match="is a link"), run_folder.lock(tmp_path / "run"):
        pass
    assert [entry.name for entry in (tmp_path / "outside").iterdir()] == ["mine"]
    assert (tmp_path / "outside" / "mine").read_text() == "mine"


def test_the_folder_of_a_run_may_be_a_link(tmp_path):
    (tmp_path / "large_disk").mkdir()
    (tmp_path / "run").symlink_to(tmp_path / "large_disk")
    with run_folder.lock(tmp_path / "run"):
        assert (tmp_path / "large_disk" / ".lock").is_file()


def test_a_stage_that_leads_out_of_the_folder(tmp_path):
    (tmp_path / "outside").mkdir()
    (tmp_path / "run").mkdir()
    (tmp_path / "run" / "one").symlink_to(tmp_path / "outside")
    with pytest.raises(UserError, match="is a link"):
        staged_run.train({"one": stored_config(), "two": stored_config()}, tmp_path / "run")
    assert not list((tmp_path / "outside").iterdir())


def test_weights_decide_neither_processes_nor_places(tmp_path):
    """The config in a stranger's weights has a million workers, a huge batch, and a folder."""
    fields = {
        "data.workers": 10**6,
        "eval.batch_size": 10**9,
        "data.cache_dir": str(tmp_path / "theirs"),
    }
    path = tmp_path / "w.safetensors"
    run_weights.save(path, {"a": np.zeros(3, np.float32)}, stored_config(**fields), ("a", "b"))
    found = command_line.config_of_weights(["val.py", f"--weights={path}"])
    assert found.data.workers <= os.cpu_count()
    assert found.eval.batch_size == 512
    assert found.data.cache_dir == ""
    assert found.model.name == "vit_n_2"


@pytest.mark.slow
def test_large_files_are_read(tmp_path):
    """400 MB in each format, as a base model has, need little more memory than their bytes."""
    arrays = {f"w{number}": np.full(10_000_000, number, np.float32) for number in range(10)}
    for name in ("w.safetensors", "w.pdparams", "w.pth"):
        array_files.write_arrays(tmp_path / name, arrays, None)
        found = in_a_cage(
            lambda path=tmp_path / name: float(array_files.read_arrays(path)[0]["w9"][-1])
        )
        assert (found.kind, found.text) == ("returned", "9.0")
        assert found.megabytes < 900
        (tmp_path / name).unlink()


@pytest.mark.parametrize(
    "content", [b"", b"MATLAB 5.0 MAT-file" + bytes(200), b"\x00" * 1000, bytes(17 << 20)]
)
def test_a_development_kit_that_is_none(tmp_path, content):
    (tmp_path / "meta.mat").write_bytes(content)
    (tmp_path / "ILSVRC2012_validation_ground_truth.txt").write_text("1\n")
    with pytest.raises(UserError, match=r"meta\.mat"):
        imagenet_labels.validation_labels([list_folder(tmp_path)], ["a"], ["n1"])


@pytest.mark.parametrize(
    "content",
    [b"x" * (65 << 20), b"a\xff", b"ImageId,PredictionString\n" + b"x" * 200_000, b"a\nb"],
)
def test_lists_of_labels_that_are_none(painted, content):
    for name in ("LOC_val_solution.csv", "val_list.txt"):
        (painted / name).write_bytes(content)
        tree, classes = list_folder(painted), ["class_0", "class_1", "class_2"]
        with pytest.raises(UserError):
            imagenet.flat_validation(tree, tree, "test/class_0", classes)
        (painted / name).unlink()
