"""Predictions of trained weights on image files of any size."""

from __future__ import annotations

import json
import subprocess
import sys

import numpy as np
import pytest
from conftest import ROOT, paint, run_program
from in_process import run_here
from PIL import Image
from small_weights import write_timm

from configs import default
from engine.commands import single_run
from inference import image_words, inputs, load
from tools import predict as predict_tool
from tools.predict import classified, predict


@pytest.fixture(scope="module")
def weights(tmp_path_factory):
    """A run on images like those of `painted`."""
    root = tmp_path_factory.mktemp("trained")
    for part, images in (("train", 12), ("test", 5)):
        paint(root / "painted" / part, 3, images)
    config = default.get_config()
    config.data.update(name="folder", root=str(root / "painted"), crop_scale=(0.5, 1.0))
    config.model.update(name="vit_n_8", image_size=16, drop_rate=0.1)
    config.optim.lr = 3e-3
    config.train.update(steps=60, batch_size=12)
    single_run.train(config, root / "run")
    return root / "run" / "weights.safetensors"


def test_predict(weights, painted, tmp_path):
    paths = sorted((painted / "test").rglob("*.png"))
    done = run_program(
        "-m", "tools.predict", "--weights", weights, "--json", tmp_path / "out.json", *paths
    )
    assert done.returncode == 0, done.stderr
    rows = json.loads((tmp_path / "out.json").read_text())
    assert len(done.stdout.splitlines()) == len(rows) == len(paths)
    assert (
        sum(row["class"] == path.parent.name for row, path in zip(rows, paths)) >= 12
    )  # of 15; chance: 5
    assert sum(rows[0]["probabilities"].values()) == pytest.approx(1, abs=1e-5)


def test_folders_patterns_and_bad_images_among_good_ones(weights, painted, tmp_path):
    """The good ones are printed in order, the bad ones named at the end; the exit code is 2."""
    folder, report = painted / "test", tmp_path / "out.json"
    for name in ("class_0/bad.png", "bad.jpg"):
        (folder / name).write_bytes(b"x")
    good = sorted(folder.rglob("0*.png"))
    words = (folder, f"{folder}/class_1/*.png", tmp_path / "absent.png", f"{folder}/**/000.png")
    done = run_here("tools.predict", "--weights", weights.parent, *words, "--json", report)
    assert done.returncode == 2
    expected = [*good, *good[5:10], *good[::5]]
    files = [line.split("  ")[0] for line in done.stdout.splitlines()]
    assert files == [str(path) for path in expected]
    assert [row["file"] for row in json.loads(report.read_text())] == files
    *said, last = done.stderr.splitlines()
    assert len(said) == 3
    for line, name in zip(said, ("test/bad.jpg", "class_0/bad.png", "absent.png")):
        assert line.startswith("error: ")
        assert name in line
        assert line.endswith("mend or remove it")
    assert last == f"error: 3 of {len(expected) + 3} could not be read"


def test_what_is_shown_written_and_copied(weights, painted, tmp_path):
    """The same classes in the table, as CSV, and as folders; a second run copies nothing."""
    folder, table, target = painted / "test", tmp_path / "out.csv", tmp_path / "sorted"
    words = ("--weights", weights, "--top", 2, "--batch", 4, "--csv", table, "--copy_to", target)
    done = run_here("tools.predict", *words, folder)
    assert (done.returncode, done.stderr) == (0, "")
    *lines, last = done.stdout.splitlines()
    assert last == f"copied 15 images into {target}"
    rows = [line.split(",") for line in table.read_text().splitlines()]
    assert rows[0] == ["file", "class", "probability", "class_2", "probability_2"]
    for line, row in zip(lines, rows[1:]):
        file, name, probability, second, other = line.split("  ")
        assert [file, name, second] == [row[0], row[1], row[3]]
        assert float(probability) == pytest.approx(float(row[2]), abs=1e-4)
        assert float(other) <= float(probability)
    assert len(lines) == 15
    copies = sorted(target.rglob("*.png"))
    assert len(copies) == 15  # 000.png of two classes may be taken for the same one
    contents = {path.read_bytes() for path in folder.rglob("*.png")}
    assert {path.read_bytes() for path in copies} == contents
    assert {path.parent.name for path in copies} == {row[1] for row in rows[1:]}
    done = run_here("tools.predict", *words, folder)
    assert f"copied 0 images into {target}, 15 were there already" in done.stdout
    done = run_here("tools.predict", *words[:-1], folder / "new", folder)
    assert (done.returncode, "is in" in done.stderr) == (2, True)


def test_a_list_and_standard_input(weights, painted, tmp_path):
    paths = sorted((painted / "test").rglob("*.png"))[:3]
    (tmp_path / "list.txt").write_text("".join(f"{path} 0\n" for path in paths))
    done = run_here("tools.predict", "--weights", weights, "--list", tmp_path / "list.txt")
    assert done.returncode == 0, done.stderr
    expected = done.stdout
    assert [line.split("  ")[0] for line in expected.splitlines()] == [*map(str, paths)]
    command = [sys.executable, "-m", "tools.predict", "--weights", weights, "-"]
    content = paths[0].read_bytes()
    done = subprocess.run(command, cwd=ROOT, capture_output=True, input=content)
    first = expected.splitlines()[0].replace(str(paths[0]), "-")
    assert (done.returncode, done.stdout.decode()) == (0, f"{first}\n")


def test_columns_of_a_terminal(monkeypatch):
    """Chinese letters and emoji are two columns wide; a pipe gets no blanks."""
    names, classes = ["图片/a.png", "b.png"], ["猫", "tabby"]
    lines = [("图片/a.png", [("猫", 0.5)]), ("b.png", [("tabby", 1.0)])]
    table = predict_tool._Table(names, classes)
    assert table.line(*lines[0]) == "图片/a.png  猫  0.5000"
    monkeypatch.setattr(sys.stdout, "isatty", lambda: True)
    table = predict_tool._Table(names, classes)
    assert table.line(*lines[0]) == "图片/a.png  猫     0.5000"
    assert table.line(*lines[1]) == "b.png       tabby  1.0000"


def test_weights_of_another_library(painted, tmp_path):
    """What was decided is said on standard error, so that a pipe gets the classes alone."""
    folder = write_timm(tmp_path / "theirs", 3)
    (tmp_path / "labels.txt").write_text("一\n二\n三\n", encoding="utf-8")
    image = painted / "test" / "class_0" / "000.png"
    done = run_here("tools.predict", "--weights", folder, "--model", "vit_n_8", image)
    assert done.returncode == 0, done.stderr
    assert done.stdout.split("  ")[1].startswith("class ")
    assert "nothing names the 3 classes" in done.stderr
    named = ("--classes", tmp_path / "labels.txt")
    done = run_here("tools.predict", "--weights", folder, *named, image)
    assert done.returncode == 0, done.stderr
    assert done.stdout.split("  ")[1] in ("一", "二", "三")


def test_a_batch_is_as_good_as_single_images(weights, painted):
    paths = sorted((painted / "train").rglob("*.png"))
    together = predict(str(weights), paths)
    for path, row in list(zip(paths, together))[::9]:
        alone = predict(str(weights), [path])[0]
        assert alone["probabilities"] == pytest.approx(row["probabilities"], abs=1e-5)
        assert (alone["file"], alone["class"]) == (row["file"], row["class"])


def test_images_come_as_they_are_classified(weights, painted, monkeypatch):
    """The first batch is out before the last one is read."""
    paths, read = sorted((painted / "train").rglob("*.png")), []
    monkeypatch.setattr(inputs, "decode", lambda path, *_: read.append(path) or _PIXELS)
    images = image_words.find(map(str, paths))
    found, _ = next(classified(load(weights), images, batch=4))
    assert found.image == paths[0]
    assert sorted(read) == paths[: len(read)]
    assert 4 <= len(read) <= 16


_PIXELS = np.zeros((20, 20, 3), np.uint8)


def test_a_photograph_is_turned_as_in_training(weights, tmp_path):
    """Its EXIF orientation counts, as for the images of `data.name=folder`."""
    rng = np.random.default_rng(0)
    upright = Image.fromarray(rng.integers(0, 256, (24, 16, 3), dtype=np.uint8))
    exif = Image.Exif()
    exif[0x0112] = 6
    upright.save(tmp_path / "a.png")
    upright.transpose(Image.Transpose.ROTATE_90).save(tmp_path / "b.png", exif=exif)
    first, second = predict(str(weights), [tmp_path / "a.png", tmp_path / "b.png"])
    assert first["probabilities"] == second["probabilities"]
