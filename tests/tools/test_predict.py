"""Predictions of trained weights on image files of any size."""

from __future__ import annotations

import json

import numpy as np
import pytest
from conftest import run_program
from in_process import run_here

from configs import default
from data.images import image_files
from engine.commands import single_run
from tools.predict import classified, predict


@pytest.fixture
def weights(painted, tmp_path):
    config = default.get_config()
    config.data.update(name="folder", root=str(painted), crop_scale=(0.5, 1.0))
    config.model.update(name="vit_n_8", image_size=16, drop_rate=0.1)
    config.optim.lr = 3e-3
    config.train.update(steps=60, batch_size=12)
    single_run.train(config, tmp_path / "run")
    return tmp_path / "run" / "weights.safetensors"


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
    """The good ones are printed in order, the bad ones named at their place; the exit code is 2."""
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
    said = done.stderr.splitlines()
    assert len(said) == 3
    for line, name in zip(said, ("test/bad.jpg", "class_0/bad.png", "absent.png")):
        assert line.startswith("error: ")
        assert name in line
        assert line.endswith("mend or remove it")


def test_a_batch_is_as_good_as_single_images(weights, painted):
    paths = sorted((painted / "train").rglob("*.png"))
    together = predict(str(weights), paths)
    for path, row in list(zip(paths, together))[::9]:
        alone = predict(str(weights), [path])[0]
        assert alone["probabilities"] == pytest.approx(row["probabilities"], abs=1e-5)
        assert (alone["file"], alone["class"]) == (row["file"], row["class"])


def test_images_come_as_they_are_classified(weights, painted, monkeypatch):
    """The first batch is out before the second one is read."""
    paths, read = sorted((painted / "train").rglob("*.png")), []
    monkeypatch.setattr(image_files, "decode", lambda path, name: read.append(path) or _PIXELS)
    rows = classified(str(weights), paths)
    next(rows)
    assert read == paths[:16]


_PIXELS = np.zeros((20, 20, 3), np.uint8)
