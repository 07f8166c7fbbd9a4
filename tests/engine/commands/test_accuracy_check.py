"""The accuracy check: classes, confusion, several weights, other images, other libraries."""

from __future__ import annotations

import csv
import json

import numpy as np
import paddle
import pytest
from conftest import paint
from in_process import run_here
from sklearn.metrics import confusion_matrix
from small_weights import write_own, write_timm

import data
from common.errors import UserError
from engine.commands import accuracy_tables, class_counts
from engine.results.evaluation import Result
from inference import load
from measures.intervals import wilson

_CLASSES = ("class_0", "class_1", "class_2")


@pytest.fixture
def weights(tmp_path):
    return write_own(tmp_path / "a,[1].safetensors", _CLASSES)


def _images(folder):
    return sorted(folder.rglob("*.png"))


def test_every_figure_against_the_classifier_image_by_image(weights, painted, tmp_path):
    """Top-1, its interval, classes and confusion, from what the classifier says of each file."""
    table, report = tmp_path / "confusion.csv", tmp_path / "out.json"
    words = ("--by_class", f"--confusion={table}", f"--json={report}")
    done = run_here("val.py", f"--weights={weights}", f"--data_root={painted}", *words)
    assert (done.returncode, done.stderr) == (0, "")
    paths = _images(painted / "test")
    true = [path.parent.name for path in paths]
    found = [one.name for one in load(weights)(paths)]
    hits = sum(one == other for one, other in zip(true, found))
    result = json.loads(report.read_text())
    assert (result["seen"], round(result["top1"] * 15)) == (15, hits)
    assert result["top1_interval"] == pytest.approx(wilson(hits, 15))
    low, high = (100 * end for end in wilson(hits, 15))
    assert f"top-1 is {low:.2f} to {high:.2f} % with 95 % confidence" in done.stdout
    rows = list(csv.reader(table.read_text().splitlines()))
    assert rows[0] == ["class", *_CLASSES]
    matrix = confusion_matrix(true, found, labels=list(_CLASSES))
    assert np.array([row[1:] for row in rows[1:]], int).tolist() == matrix.tolist()
    for row, counts, name in zip(result["by_class"], matrix, _CLASSES):
        assert (row["class"], row["images"]) == (name, 5)
        assert row["hits"] == counts[_CLASSES.index(name)]
        assert row["top1"] == row["hits"] / 5
        assert row["confused"] <= 5 - row["hits"]
        assert f"{100 * row['top1']:.2f}%  {name}" in done.stdout


def test_all_parts(weights, painted, tmp_path):
    """Each image of train and test is counted once; so is that of a folder of class folders."""
    report = tmp_path / "out.json"
    for root, images in ((painted, 36 + 15), (painted / "train", 36)):
        words = (f"--data_root={root}", "--split=all", f"--json={report}")
        done = run_here("val.py", f"--weights={weights}", *words)
        assert (done.returncode, done.stderr) == (0, "")
        assert f"{images} all images (all parts)" in done.stdout
        result = json.loads(report.read_text())
        assert result["seen"] == images
        found = [one.name for one in load(weights)(_images(root))]
        hits = sum(path.parent.name == name for path, name in zip(_images(root), found))
        assert round(result["top1"] * images) == hits


def test_several_weights(weights, painted, tmp_path):
    """In the order of the flags; commas, patterns, and a path with both."""
    second = write_own(tmp_path / "b.safetensors", _CLASSES, size=8)
    report = tmp_path / "out.json"
    words = (f"--data_root={painted}", f"--json={report}")
    for given in (
        [f"--weights={weights}", f"--weights={second}"],
        [f"--weights={weights}", f"--weights={second},{second}"],
        [f"--weights={tmp_path}/*.safetensors"],
    ):
        done = run_here("val.py", *given, *words)
        assert (done.returncode, done.stderr) == (0, ""), given
        rows = json.loads(report.read_text())
        assert [row["weights"] for row in rows] == [str(weights), str(second)]
        assert all(len(row["top1_interval"]) == 2 for row in rows)
        *_, header, first, last = done.stdout.splitlines()
        assert "95 % interval" in header
        assert first.endswith(str(weights))
        assert last.endswith(str(second))
        assert f"{100 * rows[1]['top1']:.2f}%" in last
    done = run_here("val.py", f"--weights={weights},{second}", *words, "--expect_top1=1.0")
    assert (done.returncode, done.stdout.count("FAILED: top-1 of")) == (2, 0)  # no such path


def test_one_of_several_that_does_not_fit(weights, painted, tmp_path):
    """The others are evaluated, and it is named at the end."""
    other = write_own(tmp_path / "b.safetensors", ("x", "y", "z"))
    report = tmp_path / "out.json"
    words = (f"--data_root={painted}", f"--json={report}", f"--weights={other}")
    done = run_here("val.py", *words, f"--weights={weights}")
    assert done.returncode == 2
    assert done.stderr.count("\n") == 1
    assert "class 0 of the data is 'class_0', but that of" in done.stderr
    assert [row["weights"] for row in json.loads(report.read_text())] == [str(weights)]


def test_an_expectation_of_several(weights, painted, tmp_path):
    second = write_own(tmp_path / "b.safetensors", _CLASSES, size=8)
    words = (f"--weights={weights}", f"--weights={second}", f"--data_root={painted}")
    done = run_here("val.py", *words, "--expect_top1=1.0")
    assert (done.returncode, done.stdout.count("FAILED: top-1 of")) == (1, 2)


def test_weights_of_another_library(painted, tmp_path):
    """Their model is named, or told by them; the images have to be named."""
    folder = write_timm(tmp_path / "theirs", 3)
    report = tmp_path / "out.json"
    words = ("val.py", f"--weights={folder}", f"--json={report}")
    for more in (["--model=vit_n_8"], ["--model=auto"], []):
        done = run_here(*words, f"--data_root={painted}", *more)
        assert (done.returncode, done.stderr) == (0, ""), more
        assert "their order was not checked" in done.stdout
        result = json.loads(report.read_text())
        found = load(folder, classes=list(_CLASSES))(_images(painted / "test"))
        names = [path.parent.name for path in _images(painted / "test")]
        hits = sum(one.name == name for one, name in zip(found, names))
        assert round(result["top1"] * 15) == hits
    named = ("--config.data.name=folder", f"--config.data.root={painted}")
    assert run_here(*words, "--model=auto", *named).returncode == 0
    done = run_here(*words, *named)
    assert (done.returncode, "--data_root=FOLDER" in done.stderr) == (2, True)


def test_one_image_and_none(tmp_path):
    """One image has an interval of nearly everything; a part without images is refused."""
    weights = write_own(tmp_path / "w.safetensors", _CLASSES[:2])
    paint(tmp_path / "images" / "train", 2, 2)
    paint(tmp_path / "images" / "test", 2, 1)
    (tmp_path / "images" / "test" / "class_1" / "000.png").write_bytes(b"x")
    report = tmp_path / "out.json"
    words = (f"--weights={weights}", "--by_class", f"--json={report}")
    more = (f"--data_root={tmp_path / 'images'}", "--config.data.on_corrupt=skip")
    done = run_here("val.py", *words, *more)
    assert (done.returncode, done.stderr) == (0, "")
    result = json.loads(report.read_text())
    assert (result["seen"], result["skipped"]) == (1, 1)
    low, high = result["top1_interval"]
    assert high - low == pytest.approx(0.7935, abs=1e-4)  # 0 to 0.7935, or 0.2065 to 1
    assert result["by_class"][1]["top1"] is None
    paint(tmp_path / "few", 2, 1)
    done = run_here("val.py", *words, f"--data_root={tmp_path / 'few'}")
    assert (done.returncode, "split test has no images" in done.stderr) == (2, True)
    done = run_here("val.py", *words, f"--data_root={tmp_path / 'few'}", "--split=all")
    assert (done.returncode, "2 all images" in done.stdout) == (0, True)


def _batch_of(labels):
    return data.Batch(None, paddle.to_tensor(labels), 0)


def test_counts_by_hand():
    counts = class_counts.ClassCounts(("a", "b", "c"))
    logits = np.array([[2, 1, 0], [0, 1, 0], [0, 0, 1], [np.nan, 0, 0], [9, 0, 0]], np.float32)
    counts.add(_batch_of([0, 0, 0, 1, -1]), logits)
    counts.add(_batch_of([1]), np.array([[1.0, 1.0, 0.0]]))  # of equal logits the first
    total = counts.total()
    assert total.tolist() == [[1, 1, 1, 0], [1, 0, 0, 1], [0, 0, 0, 0]]
    rows = class_counts.rows_of(total, counts.classes)
    assert rows[0] == ("a", 3, 1, "b", 1)
    assert rows[1] == ("b", 2, 0, "a", 1)
    assert rows[2].as_dict()["top1"] is None
    lines = accuracy_tables.by_class(rows).splitlines()
    assert [line.split()[3] for line in lines[1:]] == ["b", "a", "c"]  # the lowest first


def test_a_table_of_names_in_any_language(tmp_path):
    names = ("猫", 'a,"b"', "\udcff")
    class_counts.write_confusion(tmp_path / "c.csv", np.eye(3, 4, dtype=np.int64), names)
    rows = list(csv.reader((tmp_path / "c.csv").read_text(encoding="utf-8").splitlines()))
    assert rows[0] == ["class", "猫", 'a,"b"', "\\udcff"]
    assert rows[1] == ["猫", "1", "0", "0"]
    strange = np.eye(3, 4, k=1, dtype=np.int64)
    class_counts.write_confusion(tmp_path / "c.csv", strange, names)
    assert "not a number" in (tmp_path / "c.csv").read_text(encoding="utf-8")
    with pytest.raises(UserError, match="5,001 classes is too large"):
        class_counts.ClassCounts(tuple(map(str, range(5_001))))


def test_a_row_of_several_with_few_classes():
    result = Result(0.5, None, 1.0, 0.1, 1_000, 2, 1.0, 1_000.0)
    line = accuracy_tables.several([("w", result)]).splitlines()[1]
    assert line.split()[:6] == ["1,000", "50.00%", "46.91", "to", "53.09%", "-"]
    assert line.endswith("w (2 damaged images skipped)")


def test_test_images_that_have_changed(painted, tmp_path):
    """A root without its `test/` is divided anew: its images were trained on, which is said."""
    run, words = tmp_path / "run", (f"--config.data.root={painted}", "--config.train.steps=2")
    fast = ("--config.model.name=vit_n_2", "--config.data.holdout=0")
    assert run_here("main.py", "--config=folder_small", f"--workdir={run}", *words, *fast)[0] == 0
    assert "warning" not in run_here("val.py", f"--weights={run}").stdout
    moved = painted.with_name("moved")
    (painted / "test").rename(moved)
    said = run_here("val.py", f"--weights={run}").stdout
    assert f"warning: these are not the test images of {run / 'result.json'}" in said
    assert "it is of 15 images" in said
    # Other images on purpose: no warning; nor for other parts, or without a record that is whole.
    for words in ((f"--data_root={painted / 'train'}",), ("--split=train",)):
        assert "not the test images" not in run_here("val.py", f"--weights={run}", *words).stdout
    (run / "result.json").write_text("{")
    done = run_here("val.py", f"--weights={run}")
    assert (done.returncode, "not the test images" in done.stdout) == (0, False)
