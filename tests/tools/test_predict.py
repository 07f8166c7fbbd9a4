"""Predictions of trained weights on image files of any size."""

from __future__ import annotations

import json

import pytest
from conftest import run_program

from configs import default
from engine.commands import single_run


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
    (tmp_path / "bad.png").write_bytes(b"x")
    done = run_program("-m", "tools.predict", "--weights", weights, tmp_path / "bad.png")
    assert (done.returncode, "Traceback" in done.stderr) == (2, False)
    assert "bad.png" in done.stderr
