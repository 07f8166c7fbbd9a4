"""The mean of weights after the fact, against numpy; and what has no mean."""

from __future__ import annotations

import numpy as np
import pytest
from conftest import run_program

from common.errors import UserError
from configs import default
from engine.commands import single_run
from models import read_arrays
from tools.average_weights import average, mean_arrays


def _run(painted, folder, **fields):
    config = default.get_config()
    config.data.update(name="folder", root=str(painted), crop_scale=(0.5, 1.0))
    config.model.update(name="vit_n_8", image_size=16, drop_rate=0.1)
    config.model.update(fields)
    config.train.update(steps=6, batch_size=12, checkpoint_every_steps=2, keep_checkpoints=3)
    single_run.train(config, folder)
    return folder


def test_checkpoints_of_a_run(painted, tmp_path):
    run, output = _run(painted, tmp_path / "run"), tmp_path / "mean.safetensors"
    folders = sorted((run / "checkpoints").glob("step_*"))
    done = run_program("-m", "tools.average_weights", *folders, "--output", output)
    assert done.returncode == 0, done.stderr
    found, members = (
        read_arrays(output)[0],
        [read_arrays(folder / "model.safetensors")[0] for folder in folders],
    )
    assert len(members) == 3
    for name, value in found.items():
        expected = np.mean([member[name].astype(np.float64) for member in members], axis=0)
        np.testing.assert_allclose(value, expected, rtol=1e-6, atol=1e-9)
    done = run_program("val.py", f"--weights={output}")
    assert done.returncode == 0, done.stderr


def test_batch_norms(painted, tmp_path):
    """Their statistics are those of the mean weights over training batches."""
    run = _run(painted, tmp_path / "run", name="rexnet_1_0", image_size=32)
    paths = sorted((run / "checkpoints").glob("step_*"))[1:]
    with pytest.raises(UserError, match="--bn_batches"):
        average(paths, 0)
    mean = average(paths, 2)
    members = [read_arrays(path / "model.safetensors")[0] for path in paths]
    weight, statistic = "features.0.weight", "features.1._variance"
    np.testing.assert_allclose(
        mean.arrays[weight], (members[0][weight] + members[1][weight]) / 2, rtol=1e-5
    )
    assert (
        abs(
            mean.arrays[statistic] / ((members[0][statistic] + members[1][statistic]) / 2) - 1
        ).max()
        > 0.01
    )


def test_of_the_same_it_is_the_same():
    arrays = {"w": np.array([0.1, 0.7], "float32"), "n": np.array([3])}
    found = mean_arrays([arrays] * 3, ["a"] * 3)
    assert all((found[name] == arrays[name]).all() for name in arrays)


@pytest.mark.parametrize(
    "other",
    [
        {"w": np.zeros(3, "float32")},
        {"v": np.zeros(2, "float32")},
        {"w": np.zeros(2, "float32"), "n": np.array([4])},
    ],
)
def test_other_models(other):
    with pytest.raises(UserError, match="b is of another model than a: [nvw] differs"):
        mean_arrays([{"w": np.zeros(2, "float32"), "n": np.array([3])}, other], ["a", "b"])


@pytest.mark.parametrize("kind", ["folder", "file", "absent"])
def test_what_is_no_weights(tmp_path, kind):
    path = tmp_path / "step_x"
    if kind == "folder":
        path.mkdir()
    elif kind == "file":
        path.write_bytes(b"x")
    done = run_program(
        "-m", "tools.average_weights", path, "--output", tmp_path / "mean.safetensors"
    )
    assert (done.returncode, "Traceback" in done.stderr) == (2, False)
    assert "step_x" in done.stderr
