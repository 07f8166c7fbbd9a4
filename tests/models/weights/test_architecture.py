"""`model.name=auto`: names, this project's own files, and shapes tell the model."""

from __future__ import annotations

import numpy as np
import pytest

import models
from common.errors import UserError
from models.abilities import plain_shapes
from models.weights.architecture import model_of


def _file(folder, name, ending=".safetensors", own=None, **changes):
    """Writes fresh weights of a model; `changes` replace arrays (None: removes them)."""
    arrays = {key: one.numpy() for key, one in models.create(name).state_dict().items()}
    arrays = {key: one for key, one in {**arrays, **changes}.items() if one is not None}
    path = folder / f"weights{ending}"
    models.write_arrays(path, arrays, own)
    return str(path)


@pytest.mark.parametrize(
    ("source", "name"),
    [
        ("deit_ti", "deit_ti"),
        ("swin_ti", "swin_ti"),
        ("timm/vit_base_patch16_224.augreg_in21k", "vit_b_16"),
        ("timm/vit_base_patch16_224.any_other_tag", "vit_b_16"),
        ("timm/deit_small_patch16_224.fb_in1k", "deit_s"),
        ("google/imagenet21k+imagenet2012/ViT-B_16", "vit_b_16_384"),
    ],
)
def test_a_name_says_it(source, name):
    assert model_of(source) == name


@pytest.mark.parametrize("name", ["vit_n_8", "vit_n_2", "vit_n_8_distilled"])
@pytest.mark.parametrize("ending", [".safetensors", ".pdparams"])
def test_the_shapes_of_one_model_say_it(tmp_path, name, ending):
    assert model_of(_file(tmp_path, name, ending)) == name


def test_another_grid_is_resized(tmp_path):
    """37 x 37 positions of a model that has 8 x 8: there is no other model of this shape."""
    positions = np.zeros((1, 1 + 37 * 37, 48), np.float32)
    assert model_of(_file(tmp_path, "vit_n_8", pos_embed=positions)) == "vit_n_8"


def test_own_weights_carry_it(tmp_path):
    own = {"config": {"model": {"name": "vit_n_4"}}}
    assert model_of(_file(tmp_path, "vit_n_8", own=own)) == "vit_n_4"


@pytest.mark.parametrize("own", [{"config": 3}, {"config": {"model": ["vit_n_4"]}}, {"a": 1}])
def test_other_metadata_say_nothing(tmp_path, own):
    assert model_of(_file(tmp_path, "vit_n_8", own=own)) == "vit_n_8"


def test_two_models_of_one_shape_are_not_guessed(tmp_path):
    """They expect other pixels. With what the weights expect, it makes no difference."""
    path = _file(tmp_path, "deit_ti")
    with pytest.raises(
        UserError,
        match="width 192, 12 blocks, patches of 16 px and images of 224 px: vit_ti_16, deit_ti "
        "have this shape, but expect other pixels; name the model by --config.model.name=NAME",
    ):
        model_of(path)
    (tmp_path / "config.json").write_text(
        '{"mean": [0.1, 0.1, 0.1], "std": [1, 1, 1], "interpolation": "bicubic", "crop_pct": 1}'
    )
    assert model_of(path) == "vit_ti_16"


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"cls_token": None}, "has not the arrays of a plain ViT or DeiT"),
        ({"blocks.0.ls1.gamma": np.ones(48, np.float32)}, "has not the arrays of a plain ViT"),
        ({"patch_embed.proj.weight": np.ones((0, 3, 8, 8), np.float32)}, "has not the arrays"),
        ({"patch_embed.proj.weight": np.ones((48, 3, 7, 7), np.float32)}, "patches of 7 px"),
        ({"blocks.4.mlp.fc1.bias": np.ones(96, np.float32)}, "5 blocks, .* no model here is"),
    ],
    ids=str,
)
def test_other_shapes_are_named(tmp_path, changes, message):
    with pytest.raises(UserError, match=message) as error:
        model_of(_file(tmp_path, "vit_n_8", **changes))
    assert "--config.model.name=NAME" in str(error.value)


def test_an_address_that_is_not_here(monkeypatch, tmp_path):
    monkeypatch.setenv("HOME", str(tmp_path))
    with pytest.raises(UserError, match="is not here yet; name the model"):
        model_of("https://example.com/weights.safetensors")


def test_the_shapes_are_those_of_the_models():
    for name in ("vit_n_4", "vit_n_4_distilled"):
        shape, state = plain_shapes()[name], models.create(name).state_dict()
        assert list(state["patch_embed.proj.weight"].shape)[::2] == [shape["width"], shape["patch"]]
        assert models.native_size(name) == shape["side"]
        assert shape["distilled"] == ("dist_token" in state)
    assert "swin_ti" not in plain_shapes()
