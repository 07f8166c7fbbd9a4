"""The parts of ViT: what they compute by all operators, in several passes, and their bounds."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import paddle
import pytest
import vit_variants as variants
from conftest import SHARED_DATA

import models
from common.errors import UserError
from models import activation_memory, flops
from models.families.parts import PLAIN
from models.families.timm_vits import TIMM_VITS
from models.families.vit_layers import ACTIVATIONS
from models.fast import branches
from models.fast.loops import activations
from models.layers import operators

_DISTILLED = {"layer_scale": 0.3, "registers": 2, "class_position": False, "norm_pre": True}
_ALL = [*((name, fields, False) for name, fields in variants.FIELDS.items())]
_ALL.append(("distilled", _DISTILLED, True))


def _step(model, context=paddle.enable_grad, copies: int = 2) -> dict[str, np.ndarray]:
    """Returns logits and gradients of a step."""
    paddle.seed(5)
    with context():
        logits = model(paddle.to_tensor(variants.images()), copies=copies)
        found = variants.gradients(model, logits)
    return {"logits": logits.numpy(), **found}


@pytest.mark.parametrize(("name", "fields", "distilled"), _ALL, ids=[one[0] for one in _ALL])
def test_every_part_by_all_operators_and_once_more(name, fields, distilled):
    """Compiled operators, Paddle's, and blocks that run again agree, with noise everywhere."""
    model = variants.make(fields, variants.NOISE, distilled)
    model.train()
    found = _step(model)
    variants.agree(found, _step(model, operators.plain), 2e-5)
    model.recompute()
    again = _step(model)
    for key, array in found.items():
        np.testing.assert_allclose(again[key], array, rtol=0, atol=1e-6 * np.abs(array).max())


@pytest.mark.parametrize("name", variants.FIELDS)
def test_every_array_of_a_part_matters(name):
    """But for a bias of keys, which moves all arguments of a softmax alike if it is not turned."""
    model = variants.make(variants.FIELDS[name])
    model.eval()
    images = paddle.to_tensor(variants.images())
    expected = model(images).numpy()
    for key, parameter in model.named_parameters():
        before = parameter.numpy()
        parameter.set_value(1.5 * parameter)
        changed = np.abs(model(images).numpy() - expected).max() > 1e-5 * np.abs(expected).max()
        without_effect = key.endswith("k_norm.bias") and not model.parts.rope
        assert changed != without_effect, key
        parameter.set_value(before)


@pytest.mark.parametrize("name", variants.FIELDS)
def test_what_is_compiled(name, monkeypatch):
    """All branches but those of SwiGLU, and attention with further parts."""
    calls, run = [], branches._forward
    monkeypatch.setattr(branches, "_forward", lambda *words: calls.append(1) or run(*words))
    with paddle.no_grad():
        variants.make(variants.FIELDS[name])(paddle.to_tensor(variants.images()))
    parts = PLAIN.with_fields(variants.FIELDS[name])
    attention = parts.qk_norm or parts.rope or parts.attention_norm or not parts.key_bias
    assert len(calls) == 3 * ((not attention) + (parts.mlp == "plain"))


def test_the_last_block_leaves_out_what_nothing_reads():
    for name, fields in variants.FIELDS.items():
        queries = variants.make(fields).blocks[-1].queries
        assert queries == (0 if fields.get("pool", "token") != "token" else 1), name
    assert variants.make(_DISTILLED, distilled=True).blocks[-1].queries == 2


@pytest.mark.parametrize("name", ["quick_gelu", "gelu_tanh", "silu", "gelu"])
def test_compiled_activations(name):
    """Value and slope against Paddle's in float64, also far out."""
    x = np.concatenate([np.linspace(-30, 30, 400), [-90, 90, 1e4, 0]])
    exact = paddle.to_tensor(x, stop_gradient=False)
    expected = ACTIVATIONS[name](exact)
    expected.sum().backward()
    gate, ones = activations.GATES[name], np.ones((1, x.size), np.float32)
    rows = 0 * ones, x.astype(np.float32), np.empty((1, 0), np.bool_), ones[:, 0]
    found, again, slope = (np.empty_like(ones) for _ in range(3))
    activations.activate(*rows, gate, found)
    activations.activate_gradient(*rows, gate, ones, again, slope)
    np.testing.assert_allclose(found[0], expected.numpy(), rtol=2e-5, atol=2e-6)
    np.testing.assert_allclose(again, found, rtol=1e-5)
    np.testing.assert_allclose(slope[0], exact.grad.numpy(), rtol=2e-5, atol=4e-6)
    activations.activate(ones * np.float32("nan"), *rows[1:], gate, found)
    assert np.isnan(found).all()


def test_first_values():
    """Those of timm: LayerScale's value, registers near 0, half of SwiGLU's first layer 0 and 1."""
    model = models.create(
        "vit_n_8", 5, layer_scale=1e-4, registers=2, mlp="swiglu", norm_pre=True, pre_logits=7
    )
    assert (model.blocks[0].ls1.gamma.numpy() == np.float32(1e-4)).all()
    assert 0 < np.abs(model.reg_token.numpy()).max() < 1e-5
    first = model.blocks[1].mlp.fc1
    assert np.abs(first.weight.numpy()[:, 48:]).max() < 1e-5 < first.weight.numpy()[:, :48].std()
    assert (first.bias.numpy() == np.repeat([0.0, 1.0], 48)).all()
    assert model.head.weight.shape == [7, 5]


def test_layers_and_weight_decay():
    model = models.create("vit_n_8", 5, registers=2, norm_pre=True, fc_norm=True, pre_logits=7)
    numbers = models.layer_numbers(model)
    for name in ("reg_token", "norm_pre.weight", "cls_token", "pos_embed"):
        assert numbers[name] == 0
    for name in ("fc_norm.bias", "pre_logits.fc.weight", "head.weight"):
        assert numbers[name] == 5
    model = models.create("vit_n_8", 5, layer_scale=1.0, qk_norm=True)
    numbers = models.layer_numbers(model)
    assert (numbers["blocks.2.ls1.gamma"], numbers["blocks.3.attn.q_norm.bias"]) == (3, 4)


def test_costs():
    """By hand: registers are tokens, a mean is free, SwiGLU's second layer is half as wide."""

    def create(**fields):
        return models.create("vit_n_8", 5, 32, 0.1, **fields)

    plain = create()
    base = flops.cost(plain, 32).multiply_adds
    # A token more: qkv, proj and MLP; products of attention with 17 + 1 tokens instead of 17.
    token = 4 * ((3 + 1 + 4) * 48**2 + 2 * 48 * (18**2 - 17**2))
    assert flops.cost(create(registers=1), 32).multiply_adds == base + token
    assert flops.cost(create(pool="avg"), 32).multiply_adds == base
    gated = flops.cost(create(mlp="swiglu"), 32).multiply_adds
    assert gated == base - 4 * 17 * 48**2
    for name in ("SBB", "DINOv2 giant", "qk_norm", "DINOv3", "EVA-02"):
        model = create(**variants.FIELDS[name])
        assert activation_memory.kept(model, 32, 2).whole > 0
        assert activation_memory.kept_on_gpu(model, 32, 2, "O1").whole > 0


@pytest.mark.parametrize(
    ("fields", "message"),
    [
        ({"layer_scales": 1e-5}, "has no part 'layer_scales'; did you mean 'layer_scale'"),
        ({"registers": -1}, "registers is -1, expected a whole number, 0 or more"),
        ({"registers": True}, "registers is True, expected a whole number"),
        ({"qkv_bias": 0}, "qkv_bias is 0, expected True or False"),
        ({"layer_scale": "1"}, "layer_scale is '1', expected a number"),
        ({"norm_epsilon": 0.0}, "norm_epsilon is 0.0"),
        ({"activation": "relu"}, "activation is 'relu', expected one of gelu, quick_gelu"),
        ({"pool": "map"}, "pool is 'map', expected one of token, avg"),
        ({"class_token": False}, "pool is token, but class_token is off: set pool to avg"),
        ({"heads": 5}, "heads is 5, which does not divide the width 48"),
        ({"positions": False}, "positions is off, and so is rope: set rope to eva or dinov3"),
        ({"rope": "mixed"}, "rope is 'mixed', expected one of eva, dinov3, axial"),
        ({"rope": "eva", "heads": 8}, "rope needs heads of a multiple of 4 channels, not of 6"),
        ({"mlp_norm": True}, "mlp_norm is on, but mlp is plain: set mlp to swiglu"),
    ],
)
def test_parts_that_there_are_not(fields, message):
    with pytest.raises(UserError, match=message):
        models.create("vit_n_8", 5, **fields)


def test_who_has_parts():
    with pytest.raises(UserError, match="model swin_ti: registers: only ViT and DeiT have such"):
        models.create("swin_ti", 5, registers=1)
    with pytest.raises(UserError, match="pool is avg, but each head reads a token of its own"):
        models.create("vit_n_8_distilled", 5, pool="avg")
    assert models.create("vit_n_8_distilled", 5, registers=1).parts.said() == "registers=1"
    assert PLAIN.said() == ""


def test_names_of_timm():
    """Each is a model with its parts; where we have the same one, both names make it."""
    assert len(TIMM_VITS) == 175
    for name, model in TIMM_VITS.items():
        spec = models.MODELS[name]
        assert (spec.parts, spec.image_size % model.shape["patch"]) == (model.parts, 0), name
        assert model.shape["width"] % model.shape["heads"] == 0, name
    made = models.create("vit_xsmall_patch16_clip_224", 5, 32, pool="avg")
    assert made.parts.said() == ("norm_pre=True,patch_bias=False,norm_epsilon=1e-05,pool=avg")
    ours, theirs = models.create("deit_ti", 5), models.create("deit_tiny_patch16_224", 5)
    shapes = [{key: one.shape for key, one in m.state_dict().items()} for m in (ours, theirs)]
    assert shapes[0] == shapes[1]
    assert models.input_stats("deit_s").mean == models.input_stats("deit_small_patch16_224").mean
    assert "deit_small_patch16_224" not in models.SUGGESTED


def test_layer_scale_that_is_folded_in_and_put_back():
    """Real weights of DINOv2's kind give the same logits in both forms."""
    folder = SHARED_DATA / "pretrained"
    if not (folder / "vit_s_14_layer_scale.npz").is_file():
        pytest.skip("the real weights are not here")
    plain = models.create("vit_s_14", 5, 112)
    models.load_weights(plain, folder / "vit_s_14.safetensors")
    arrays = {key: one.numpy() for key, one in plain.state_dict().items()}
    with np.load(folder / "vit_s_14_layer_scale.npz") as scales:
        for key in scales.files:
            last = key.replace("ls1.gamma", "attn.proj").replace("ls2.gamma", "mlp.fc2")
            arrays[key] = scales[key]
            for leaf in ("weight", "bias"):  # (inputs, outputs), (outputs,)
                arrays[f"{last}.{leaf}"] = arrays[f"{last}.{leaf}"] / scales[key]
    scaled = models.create("vit_s_14", 5, 112, layer_scale=1e-5)
    models.assign(scaled, arrays, "with LayerScale")
    images = paddle.to_tensor(variants.images(2, 112))
    for model in (plain, scaled):
        model.eval()
    found, expected = scaled(images).numpy(), plain(images).numpy()
    np.testing.assert_allclose(found, expected, rtol=0, atol=1e-4 * np.abs(expected).max())


def test_the_map_of_variants_has_fields_of_create():
    path = Path(__file__).parents[1] / "weights" / "variants.json"
    for feature, fields in json.loads(path.read_text(encoding="utf-8")).items():
        assert PLAIN.with_fields({**fields, "pool": fields.get("pool", "avg")}), feature
