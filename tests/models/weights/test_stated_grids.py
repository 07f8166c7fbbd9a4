"""What files beside the weights say of the grid, and of what no array shows."""

from __future__ import annotations

import json

import numpy as np
import pytest

import models
from common.errors import UserError
from models.weights.formats.array_files import write_arrays
from models.weights.grid_resizing import resize_positions
from models.weights.names import layouts
from models.weights.stated.descriptions import describe

_STATED = {"mean": [0.1] * 3, "std": [0.2] * 3}


def _folder(tmp_path, places, **config):
    """Writes a ViT with so many places, and the config beside it."""
    model = models.create("vit_n_8", num_classes=5, image_size=32)
    arrays = layouts.to_timm(model, {n: v.numpy() for n, v in model.state_dict().items()})
    rng = np.random.default_rng(0)
    arrays["pos_embed"] = rng.normal(size=(1, places, 48)).astype(np.float32)
    write_arrays(tmp_path / "model.safetensors", arrays, None)
    (tmp_path / "config.json").write_text(json.dumps(config))
    return model, arrays["pos_embed"]


@pytest.mark.parametrize(
    "config",
    [
        {"model_type": "vit", "hidden_size": 48, "image_size": [16, 64]},
        {"pretrained_cfg": {**_STATED, "input_size": [3, 16, 64]}},
        {"pretrained_cfg": _STATED, "model_args": {"img_size": [16, 64]}},
    ],
)
def test_a_grid_that_is_stated_is_not_taken_for_a_square(tmp_path, config):
    model, places = _folder(tmp_path, 17, **config)
    report = models.load_weights(model, str(tmp_path))
    expected = resize_positions(places, (4, 4), 1, (2, 8))
    np.testing.assert_array_equal(model.pos_embed.numpy(), expected)
    assert "from 2 x 8 to 4 x 4 places: config.json says so" in report.summary()


def test_places_that_would_be_a_square_without_the_class_token(tmp_path):
    config = {"model_type": "vit", "hidden_size": 48, "image_size": [16, 32]}
    model, places = _folder(tmp_path, 9, **config)  # 2 x 4 and the class token, or 3 x 3
    models.load_weights(model, str(tmp_path))
    expected = resize_positions(places, (4, 4), 1, (2, 4))
    np.testing.assert_array_equal(model.pos_embed.numpy(), expected)


def test_a_size_that_does_not_fit_the_places_is_not_used(tmp_path):
    config = {"model_type": "vit", "hidden_size": 48, "image_size": [16, 32]}
    model, places = _folder(tmp_path, 17, **config)
    models.load_weights(model, str(tmp_path))
    np.testing.assert_array_equal(model.pos_embed.numpy(), places)


def test_names_of_timm_tell_the_activation(tmp_path):
    name = "vit_base_patch16_clip_quickgelu_224"
    model, _ = _folder(tmp_path, 17, architecture=name, pretrained_cfg=_STATED)
    with pytest.raises(UserError, match="activation=quick_gelu here and gelu in the model"):
        models.load_weights(model, str(tmp_path))


def test_a_config_of_open_clip(tmp_path):
    vision = {"image_size": 32, "layers": 4, "width": 48, "patch_size": 8, "head_width": 16}
    content = {"model_cfg": {"vision_cfg": vision, "quick_gelu": True}, "preprocess_cfg": _STATED}
    (tmp_path / "open_clip_config.json").write_text(json.dumps(content))
    found = describe(tmp_path)
    assert found.parts == {"activation": "quick_gelu", "heads": 3}
    assert (found.width, found.sides, found.origin) == (48, (32, 32), "open_clip_config.json")
    assert found.input["mean"] == (0.1, 0.1, 0.1)


def test_an_interpolation_that_is_not_known_is_left_to_the_model(tmp_path):
    content = {"pretrained_cfg": {**_STATED, "interpolation": "random"}, "architecture": "x"}
    (tmp_path / "config.json").write_text(json.dumps(content))
    assert "interpolation" not in describe(tmp_path).input


def test_matrices_of_zeros_are_those_of_a_stopped_download(tmp_path):
    model, _ = _folder(tmp_path, 17)
    arrays = {n: v.numpy() for n, v in model.state_dict().items()}
    cut = {n: np.zeros_like(v) if n > "blocks.1" else v + 1 for n, v in arrays.items()}
    with pytest.raises(UserError, match="hold only zeros, as after a download that was stopped"):
        models.assign(model, cut, "file")


def test_a_figure_beside_the_arrays_is_dropped(tmp_path):
    model, _ = _folder(tmp_path, 17)
    arrays = {n: v.numpy() for n, v in model.state_dict().items()}
    assert models.assign(model, {**arrays, "epoch": np.int64(3)}, "file").dropped == ["epoch"]
