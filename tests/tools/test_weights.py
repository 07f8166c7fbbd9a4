"""What `tools.weights` tells of a file."""

from __future__ import annotations

import json

import numpy as np
import pytest
from in_process import run_here

import models
from common.errors import UserError
from models.weights.names import layouts
from tools.weights import look


def _arrays(**fields) -> dict[str, np.ndarray]:
    """Random values by timm's names."""
    rng = np.random.default_rng(0)
    model = models.create("vit_n_8", num_classes=5, image_size=32, **fields)
    arrays = {
        name: rng.random(value.shape, dtype="float32") for name, value in model.state_dict().items()
    }
    return layouts.to_timm(model, arrays)


def _write(path, **fields):
    models.write_arrays(path, _arrays(**fields), None)
    return str(path)


def test_a_file_and_its_json(tmp_path):
    source = _write(tmp_path / "my w.safetensors", layer_scale=1e-5, registers=2)
    config = {"pretrained_cfg": {"mean": [0.1] * 3, "std": [0.2] * 3}, "label_names": ["cat"]}
    (tmp_path / "config.json").write_text(json.dumps(config))
    done = run_here("tools.weights", source, "--arrays", "--json", str(tmp_path / "found.json"))
    assert done.returncode == 0, done.stderr
    for line in (
        f"file:       {source} (safetensors)",
        "library:    timm",
        "images:     mean (0.1, 0.1, 0.1), std (0.2, 0.2, 0.2), crop_fraction 1.0",
        "classes:    cat",
        f"use:        --config.model.name=vit_n_8 --config.model.pretrained='{source}'",
    ):
        assert f"{line}\n" in done.stdout
    assert "model:      vit_n_8 with layer_scale=1e-05,registers=2 at 32 px for 5" in done.stdout
    found = json.loads((tmp_path / "found.json").read_text())
    assert found["arrays"]["reg_token"] == [1, 2, 48]
    assert found["parameters"] == sum(map(np.size, _arrays(registers=2, layer_scale=1.0).values()))
    assert found["parts"] == ["layer_scale=1e-05: the arrays", "registers=2: the arrays"]


def test_an_oblong_size_is_told(tmp_path):
    source = _write(tmp_path / "w.safetensors")
    config = {"model_type": "vit", "hidden_size": 48, "image_size": [16, 64]}
    (tmp_path / "config.json").write_text(json.dumps(config))
    assert " at 16 x 64 px for 5 classes" in look(source)["model"]


def test_several_models_in_one_file(tmp_path):
    arrays = _arrays()
    pair = {
        f"{word}.{name}": one for word in ("Student", "Teacher") for name, one in arrays.items()
    }
    models.write_arrays(tmp_path / "w.pdparams", pair, None)
    done = run_here("tools.weights", str(tmp_path / "w.pdparams"))
    assert "also there: #Teacher\n" in done.stdout
    assert "note:       took Student, not Teacher" in done.stdout


def test_the_values_are_not_read(tmp_path):
    source = _write(tmp_path / "w.safetensors")
    content = (tmp_path / "w.safetensors").read_bytes()
    (tmp_path / "w.safetensors").write_bytes(content[:-400] + b"\xff" * 400)  # NaN
    assert look(source)["model"] == "vit_n_8 at 32 px for 5 classes"


def test_what_is_of_no_model_here(tmp_path):
    arrays = {"conv.weight": np.zeros((3, 3), np.float32), "conv.bias": np.zeros(3, np.float32)}
    models.write_arrays(tmp_path / "w.safetensors", arrays, None)
    done = run_here("tools.weights", str(tmp_path / "w.safetensors"))
    assert done.returncode == 0, done.stderr
    assert "library:    not known\n" in done.stdout
    assert "but:        model.name=auto: " in done.stdout


def test_what_is_no_weights(tmp_path):
    (tmp_path / "w.pth").write_text("<html><title>Sign in</title></html>")
    with pytest.raises(UserError, match=r"web page \(HTML\)"):
        look(str(tmp_path / "w.pth"))
    done = run_here("tools.weights", str(tmp_path / "w.pth"))
    assert (done.returncode, done.stderr.count("\n")) == (2, 1)
