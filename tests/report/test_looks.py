"""What the model says to test images, against the result that the run wrote."""

from __future__ import annotations

import shutil

import numpy as np
import pytest

from common.errors import UserError
from report import looks, runs


def test_the_same_figures_as_the_result(small_run, small_look):
    assert len(small_look.test.labels) == small_look.total == small_run.test_images
    assert small_look.test.hits.mean() == pytest.approx(small_run.result["top1"])
    assert (np.diff(small_look.test.positions) > 0).all()
    assert small_look.val is not None
    assert len(small_look.val.labels) == small_run.result["data"]["val"]["images"]
    assert small_look.val.hits.mean() == pytest.approx(small_run.result["best_top1"])


def test_rows_are_images(small_look):
    row = len(small_look.test.labels) - 1
    assert small_look.test.name(row).endswith("4 <i>图.png")
    again = small_look.classifier.logits(small_look.test.pixels(row)[None])[0]
    assert again == pytest.approx(small_look.test.logits[row], abs=1e-5)
    assert small_look.noisy.shape == (looks.MASKS, 15, 3)
    assert sorted(small_look.noisy_positions) == list(range(15))
    # Without noise the mean of the passes is near the logits of the same image.
    place = list(small_look.noisy_positions).index(row)
    assert np.abs(small_look.noisy[:, place].mean(axis=0) - small_look.test.logits[row]).max() < 1


def test_some_images(small_run, small_look):
    few = looks.look(small_run, images=4)
    assert len(few.test.labels) == 4
    assert few.total == 15
    for place, position in enumerate(few.test.positions):
        assert few.test.logits[place] == pytest.approx(small_look.test.logits[position], abs=1e-5)
    assert few.noisy.shape[1] == 4


def test_missing_parts(small_run, small_runs, tmp_path):
    """A damaged image is left out; without data or weights there is one reason, and no fault."""
    shutil.copytree(small_runs.data, tmp_path / "data")
    shutil.copytree(small_runs.folders["rdrop_0"], tmp_path / "run")
    image = sorted((tmp_path / "data" / "test").rglob("*.png"))[3]
    image.write_bytes(b"x")
    moved = runs.read_all([tmp_path / "run"])[0]
    moved.config.unlock()
    moved.config.data.root = str(tmp_path / "data")
    assert len(looks.look(moved).test.labels) == 14
    said = []
    # Without its test part, other images of the folder would be used for it.
    shutil.rmtree(tmp_path / "data" / "test")
    with pytest.raises(UserError, match="other test images"):
        looks.look(moved)
    shutil.rmtree(tmp_path / "data")
    found, reasons = looks.look_at_all([moved], None, said.append)
    assert not found
    assert len(reasons) == len(said) == 1
    (tmp_path / "run" / "weights.safetensors").unlink()
    with pytest.raises(UserError):
        looks.look(moved)
