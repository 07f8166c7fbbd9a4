"""ViT with rotary positions: the names of DINOv3 and EVA-02, and what their arrays tell."""

from __future__ import annotations

import json

import numpy as np
import pytest
from names_by_hand import theirs

import models
from common.errors import UserError
from models.weights.names import layouts
from models.weights.names.translate import to_timm
from models.weights.reading import read_weights
from models.weights.told.architecture import architecture_of, resolve

DINOV3 = {
    "layer_scale": 0.1,
    "registers": 4,
    "norm_epsilon": 1e-5,
    "positions": False,
    "rope": "dinov3",
    "key_bias": False,
}
_GATED = {**DINOV3, "mlp": "swiglu"}
_EVA = {"rope": "eva", "key_bias": False, "mlp": "swiglu", "pool": "avg", "fc_norm": True}
_LARGE_EVA = {**_EVA, "mlp_norm": True, "attention_norm": True}
_EVA_GIANT = {"key_bias": False, "pool": "avg", "fc_norm": True}

# Library, the parts of a model, and its names by hand, see `names_by_hand.py`.
_HF = """
    embeddings.cls_token = cls_token
    embeddings.register_tokens = reg_token
    embeddings.patch_embeddings = patch_embed.proj
    layer.{}.norm1 = blocks.{}.norm1
    layer.{}.attention.q_proj + k_proj + v_proj = blocks.{}.attn.qkv
    layer.{}.attention.q_proj.bias = blocks.{}.attn.q_bias
    layer.{}.attention.v_proj.bias = blocks.{}.attn.v_bias
    layer.{}.attention.o_proj = blocks.{}.attn.proj
    layer.{}.layer_scale1.lambda1 = blocks.{}.ls1.gamma
    layer.{}.norm2 = blocks.{}.norm2
    layer.{}.mlp.up_proj = blocks.{}.mlp.fc1
    layer.{}.mlp.down_proj = blocks.{}.mlp.fc2
    layer.{}.layer_scale2.lambda1 = blocks.{}.ls2.gamma
    norm = norm
    classifier = head
"""
_HF_GATED = _HF.replace("mlp.up_proj", "mlp.gate_proj + up_proj")
_BLOCK = """
    cls_token = cls_token
    pos_embed = pos_embed
    patch_embed.proj = patch_embed.proj
    blocks.{}.norm1 = blocks.{}.norm1
    blocks.{}.attn.proj = blocks.{}.attn.proj
    blocks.{}.norm2 = blocks.{}.norm2
    norm = norm
    fc_norm = fc_norm
    head = head
"""
_TIMMS_DINOV3 = f"""{_BLOCK.strip()}
    reg_token = reg_token
    blocks.{{}}.attn.qkv = blocks.{{}}.attn.qkv
    blocks.{{}}.attn.q_bias = blocks.{{}}.attn.q_bias
    blocks.{{}}.attn.v_bias = blocks.{{}}.attn.v_bias
    blocks.{{}}.gamma_1 = blocks.{{}}.ls1.gamma
    blocks.{{}}.gamma_2 = blocks.{{}}.ls2.gamma
    blocks.{{}}.mlp.fc1_g + fc1_x = blocks.{{}}.mlp.fc1
    blocks.{{}}.mlp.fc2 = blocks.{{}}.mlp.fc2
"""
_TIMMS_EVA = f"""{_BLOCK.strip()}
    blocks.{{}}.attn.q_proj + k_proj + v_proj = blocks.{{}}.attn.qkv
    blocks.{{}}.attn.q_proj.bias = blocks.{{}}.attn.q_bias
    blocks.{{}}.attn.v_proj.bias = blocks.{{}}.attn.v_bias
    blocks.{{}}.attn.norm = blocks.{{}}.attn.norm
    blocks.{{}}.mlp.fc1_g + fc1_x = blocks.{{}}.mlp.fc1
    blocks.{{}}.mlp.norm = blocks.{{}}.mlp.norm
    blocks.{{}}.mlp.fc2 = blocks.{{}}.mlp.fc2
"""
_OFFICIAL_EVA = f"""{_BLOCK.strip()}
    blocks.{{}}.attn.q_proj + k_proj + v_proj = blocks.{{}}.attn.qkv
    blocks.{{}}.attn.q_bias = blocks.{{}}.attn.q_bias
    blocks.{{}}.attn.v_bias = blocks.{{}}.attn.v_bias
    blocks.{{}}.attn.inner_attn_ln = blocks.{{}}.attn.norm
    blocks.{{}}.mlp.w1 + w2 = blocks.{{}}.mlp.fc1
    blocks.{{}}.mlp.ffn_ln = blocks.{{}}.mlp.norm
    blocks.{{}}.mlp.w3 = blocks.{{}}.mlp.fc2
"""
_TABLES = [
    ("Hugging Face's DINOv3", DINOV3, _HF),
    ("Hugging Face's DINOv3", _GATED, _HF_GATED),
    ("Hugging Face's DINOv3", DINOV3, _HF.replace("layer.", "model.layer.")),
    ("Hugging Face's DINOv3", _GATED, _HF_GATED.replace("layer.", "model.layer.")),
    ("timm's EVA", _GATED, _TIMMS_DINOV3),
    ("timm's EVA", _LARGE_EVA, _TIMMS_EVA),
    ("the official EVA-02 code", _LARGE_EVA, _OFFICIAL_EVA),
]


def _model(fields: dict):
    return models.create("vit_n_8", 5, 32, **fields)


def _canonical(model) -> dict[str, np.ndarray]:
    """Returns random arrays with the names of timm's `VisionTransformer`, in PyTorch's layout."""
    rng = np.random.default_rng(0)
    matrices = layouts._matrices(model)
    drawn = {
        name: rng.normal(size=value.shape).astype("float32")
        for name, value in model.state_dict().items()
    }
    return {name: array.T if name in matrices else array for name, array in drawn.items()}


def _assert_loads(model, found: dict, expected: dict) -> None:
    report = models.assign(model, found, "file")
    assert sorted(report.loaded) == sorted(expected)
    matrices = layouts._matrices(model)
    for name, value in model.state_dict().items():
        array = value.numpy()
        assert ((array.T if name in matrices else array) == expected[name]).all(), name


@pytest.mark.parametrize(("library", "fields", "table"), _TABLES)
@pytest.mark.parametrize("prefix", ["", "backbone."])
def test_names(library, fields, table, prefix):
    model = _model(fields)
    expected = _canonical(model)
    found = {prefix + name: one for name, one in theirs(table, expected).items()}
    named = to_timm(found, "file")
    assert (named.library, named.dropped) == (library, ())
    _assert_loads(model, found, expected)


@pytest.mark.parametrize("fields", [DINOV3, _GATED, _EVA, _LARGE_EVA, _EVA_GIANT])
def test_what_is_written_for_timm_is_read_again(fields):
    model = _model(fields)
    expected = _canonical(model)
    models.assign(model, expected, "file")
    written = layouts.to_timm(model, {n: one.numpy() for n, one in model.state_dict().items()})
    assert any(name not in expected for name in written) or fields in (_EVA, _EVA_GIANT)
    _assert_loads(_model(fields), written, expected)


def test_the_official_dinov3():
    """Its bias of keys is masked, and its other arrays are left out."""
    model = _model(_GATED)
    expected = _canonical(model)
    changes = {"reg_token": "storage_tokens", "fc1_g + fc1_x": "w1 + w2", ".mlp.fc2": ".mlp.w3"}
    changes |= {f".gamma_{number}": f".ls{number}.gamma" for number in "12"}
    table = _TIMMS_DINOV3
    for timm, official in changes.items():
        table = table.replace(f"{timm} =", f"{official} =")
    found = theirs(table, expected)
    for number in range(4):
        stem = f"blocks.{number}.attn"
        q, v = (found.pop(f"{stem}.{one}_bias") for one in "qv")
        found[f"{stem}.qkv.bias"] = np.concatenate([q, 9 * np.ones_like(q), v])
        found[f"{stem}.qkv.bias_mask"] = np.full(3 * len(q), np.nan, "float32")
    found |= {"mask_token": np.zeros((1, 48)), "rope_embed.periods": np.ones(4)}
    named = to_timm(found, "file")
    assert named.library == "the official DINOv3 code"
    assert len(named.dropped) == 6
    _assert_loads(model, named.arrays, expected)


def _written(folder, model, **config) -> str:
    arrays = _canonical(model)
    models.write_arrays(folder / "w.pth", arrays, None)
    if config:
        (folder / "config.json").write_text(json.dumps(config))
    return str(folder / "w.pth")


@pytest.mark.parametrize(
    ("fields", "word"),
    [
        (DINOV3, "DINOv3"),
        (_GATED, "DINOv3"),
        (_EVA, "EVA"),
        (_LARGE_EVA, "EVA"),
        (_EVA_GIANT, "EVA"),
    ],
)
def test_a_plain_vit_does_not_take_them(tmp_path, fields, word):
    source = _written(tmp_path, _model(fields))
    with pytest.raises(UserError, match=word):
        models.load_weights(models.create("vit_n_8", 5, 32), source)


def test_they_do_not_take_a_plain_vit(tmp_path):
    source = _written(tmp_path, models.create("vit_n_8", 5, 32))
    for fields in (DINOV3, _EVA, _LARGE_EVA, _EVA_GIANT):
        with pytest.raises(UserError, match="its parts are not those of the model"):
            models.load_weights(_model(fields), source)


@pytest.mark.parametrize("fields", [DINOV3, _GATED, _EVA, _LARGE_EVA, _EVA_GIANT])
def test_the_arrays_tell_the_parts(tmp_path, fields):
    source = _written(tmp_path, _model(fields))
    found = architecture_of(read_weights(source)).parts
    assert {**found, "layer_scale": bool(found.get("layer_scale"))} == {
        **{key: value for key, value in fields.items() if key != "layer_scale"},
        "layer_scale": "layer_scale" in fields,
    }
    assert models.load_weights(_model(fields), source).loaded


def test_hugging_faces_description(tmp_path):
    config = {"model_type": "dinov3_vit", "hidden_size": 48, "num_attention_heads": 6}
    plain = {**config, "rope_theta": 50.0, "hidden_act": "gelu"}
    _, parts = resolve("vit_n_8", "auto", _written(tmp_path, _model(DINOV3), **plain))
    assert "heads=6" in parts
    assert "rope_theta=50.0" in parts
    gated = {**config, "use_gated_mlp": True, "hidden_act": "silu", "layer_norm_eps": 1e-5}
    source = _written(tmp_path, _model({**_GATED, "heads": 6}), **gated)
    assert models.load_weights(_model({**_GATED, "heads": 6}), source).loaded
    source = _written(tmp_path, _model(_GATED), **{**gated, "hidden_act": "gelu"})
    with pytest.raises(UserError, match="use_gated_mlp needs hidden_act=silu"):
        read_weights(source)


@pytest.mark.parametrize("name", ["vit_pe_spatial_base_patch16_512", "eva02_enormous_patch14"])
def test_models_that_only_a_name_tells(tmp_path, name):
    source = _written(tmp_path, models.create("vit_n_8", 5, 32), architecture=f"{name}_224")
    with pytest.raises(UserError, match="holds (Perception Encoder|EVA-02 enormous) weights"):
        read_weights(source)


def test_the_report_says_whose_positions_they_are(tmp_path):
    source = _written(tmp_path, _model(DINOV3))
    said = models.load_weights(_model(DINOV3), source).summary()
    assert "rotary positions of dinov3" in said
