"""`model.name=auto`: names, this project's own files, and shapes tell the model."""

from __future__ import annotations

import numpy as np
import pytest

import models
from common.errors import UserError
from common.reading import sha256
from models.abilities import plain_shapes, vit_shapes
from models.weights.reading import Weights, read_weights
from models.weights.stated.descriptions import Description
from models.weights.told.architecture import architecture_of, model_of, parts_for, resolve


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
        ("timm/vit_small_patch14_dinov2.lvd142m", "vit_small_patch14_dinov2"),
        ("timm/vit_base_patch32_clip_224.laion2b", "vit_base_patch32_clip_224"),
        ("timm/vit_base_patch32_clip_224.openai", "vit_base_patch32_clip_quickgelu_224"),
        ("timm/deit3_base_patch16_224.any_other_tag", "deit3_base_patch16_224"),
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
    assert not plain_shapes().keys() & {"swin_ti", "vit_small_patch14_dinov2", "deit3"}
    assert "vit_base_patch16_224" not in plain_shapes()
    assert vit_shapes()["vit_small_patch14_dinov2"]["parts"].layer_scale == 1e-5
    assert "swin_ti" not in vit_shapes()


def _outline(name, **changes) -> dict[str, np.ndarray]:
    """Returns the arrays of a model without memory; `changes` have other shapes, None: no array."""
    shapes = {key: tuple(one.shape) for key, one in models.create(name).state_dict().items()}
    shapes = {key: shape for key, shape in {**shapes, **changes}.items() if shape is not None}
    return {key: np.broadcast_to(np.float32(0), shape) for key, shape in shapes.items()}


def _weights(arrays, **stated) -> Weights:
    description = Description(origin="config.json", **stated)
    return Weights("file", arrays, "timm", "safetensors", {}, description, (), (), ())


def _small(**more) -> dict[str, np.ndarray]:
    """Returns what tells a ViT-S/14 of 518 pixels, in PyTorch's layout."""
    shapes = {
        "patch_embed.proj.weight": (384, 3, 14, 14),
        "patch_embed.proj.bias": (384,),
        "cls_token": (1, 1, 384),
        "pos_embed": (1, 1 + 37 * 37, 384),
        "norm.weight": (384,),
        **{f"blocks.{i}.mlp.fc1.bias": (1536,) for i in range(12)},
        "blocks.0.mlp.fc2.weight": (384, 1536),
        "blocks.0.mlp.fc2.bias": (384,),
        "blocks.0.attn.qkv.bias": (1152,),
    }
    return {
        name: np.broadcast_to(np.float32(0), shape) for name, shape in {**shapes, **more}.items()
    }


_SCALES = {"blocks.0.ls1.gamma": (384,)}


@pytest.mark.parametrize(
    ("arrays", "name"),
    [
        (_small(), "vit_s_14"),
        (_small(**_SCALES), "vit_small_patch14_dinov2"),
        (
            _small(**_SCALES, reg_token=(1, 4, 384), pos_embed=(1, 37 * 37, 384)),
            "vit_small_patch14_reg4_dinov2",
        ),
    ],
)
def test_the_parts_decide_between_models_of_one_shape(arrays, name):
    assert architecture_of(_weights(arrays))[:2] == (name, {})


@pytest.mark.parametrize("name", ["vit_small_patch16_dinov3_qkvb", "eva02_tiny_patch14_336"])
def test_rotary_models(name):
    """The first of those with the same arrays and pixels; another interpolation is no matter."""
    assert architecture_of(_weights(_outline(name)))[:2] == (name, {})


@pytest.mark.parametrize(
    ("changes", "stated", "parts"),
    [
        ({"blocks.0.ls1.gamma": (48,)}, {}, {"layer_scale": 1e-5}),
        ({"cls_token": None, "pos_embed": (1, 64, 48)}, {}, {"class_token": False, "pool": "avg"}),
        ({"norm_pre.weight": (48,)}, {}, {"norm_pre": True}),
        ({"norm.weight": None, "fc_norm.weight": (48,)}, {}, {"pool": "avg", "fc_norm": True}),
        ({"blocks.0.attn.q_norm.weight": (8,)}, {}, {"qk_norm": True, "heads": 6}),
        ({}, {"heads": 6, "activation": "quick_gelu"}, {"heads": 6, "activation": "quick_gelu"}),
        ({}, {"heads": 3, "activation": "gelu", "norm_epsilon": 1e-6}, {}),
        ({}, {"qkv_bias": False}, {}),  # an array shows it, so the file beside does not count
    ],
)
def test_parts(changes, stated, parts):
    found = architecture_of(_weights(_outline("vit_n_8", **changes), parts=stated))
    assert found.name == "vit_n_8"
    assert parts.items() <= found.parts.items()
    assert bool(parts) == bool(found.parts)
    assert found.reasons.keys() == found.parts.keys()


def test_a_description_of_another_model_is_not_used(tmp_path):
    path = _file(tmp_path, "vit_n_8")
    content = '{"model_type": "vit", "hidden_size": 768, "num_attention_heads": 12}'
    (tmp_path / "config.json").write_text(content)
    weights = read_weights(path)
    assert weights.description == Description()
    assert "of another model (width 768" in weights.said[0]
    (tmp_path / "config.json").write_text(content.replace("768", "48").replace("12", "6"))
    assert resolve("auto", "auto", path) == ("vit_n_8", "norm_epsilon=1e-12,heads=6")


def test_what_the_user_says_counts(tmp_path):
    path = _file(tmp_path, "vit_n_8", **{"blocks.0.ls1.gamma": np.ones(48, np.float32)})
    assert resolve("vit_n_8", "auto", path) == ("vit_n_8", "layer_scale=1e-05")
    assert resolve("vit_n_8", "auto,pool=avg", path) == ("vit_n_8", "layer_scale=1e-05,pool=avg")
    assert resolve("vit_n_8", "pool=avg", path) == ("vit_n_8", "pool=avg")
    assert resolve("vit_n_8", "", path) == ("vit_n_8", "")
    assert resolve("vit_n_8", "auto", "") == ("vit_n_8", "")
    for text, message in (
        ("pol=avg", "expected auto or NAME=VALUE.*did you mean 'pool'"),
        ("pool", "expected auto or NAME=VALUE"),
        ("registers=x", "expected a number"),
        ("class_token=maybe", "expected true or false"),
    ):
        with pytest.raises(UserError, match=message):
            resolve("vit_n_8", text, "")


@pytest.mark.parametrize("name", ["swin_ti", "cait_xxs_24"])
def test_other_families(name):
    assert architecture_of(_weights(_outline(name)))[:2] == (name, {})
    with pytest.raises(UserError, match=r"has not the arrays of a ViT, DeiT, CaiT or Swin"):
        architecture_of(_weights(_outline(name, **{"patch_embed.proj.weight": (7, 3, 4, 4)})))


def test_a_vit_that_lost_its_positions_is_not_taken_for_a_rotary_one(tmp_path):
    path = _file(tmp_path, "vit_n_8", pos_embed=None)
    assert resolve("auto", "auto", path) == ("vit_n_8", "")
    with pytest.raises(UserError, match="1 arrays of the model are missing: pos_embed"):
        models.load_weights(models.create("vit_n_8"), path)


def test_the_initial_value_of_layer_scale_is_no_difference():
    """Weights bring their own values; `vit_base_patch14_reg1_tipsv2` would begin at 1."""
    found, _ = parts_for("vit_base_patch14_reg1_tipsv2", _weights(_small(**_SCALES)))
    assert "layer_scale" not in found
    found, _ = parts_for("vit_base_patch14_reg1_tipsv2", _weights(_small()))
    assert found["layer_scale"] == 0.0


def test_the_digest_is_of_the_weights_not_of_their_index(tmp_path):
    for name, part in (("a", "one"), ("b", "two")):
        content = {name: np.ones(3, np.float32)}
        models.write_arrays(tmp_path / f"{part}.safetensors", content, None)
    index = tmp_path / "model.safetensors.index.json"
    index.write_text('{"weight_map": {"a": "one.safetensors", "b": "two.safetensors"}}')
    assert models.digest_of(str(index)) == models.digest_of(str(tmp_path))
    assert models.digest_of(str(index)) != sha256(index)
    alone = tmp_path / "one.safetensors"
    assert models.digest_of(str(alone)) == sha256(alone)
