"""Who decays and how fast each layer learns: by hand, and as in timm."""

from __future__ import annotations

import paddle
import pytest
from conftest import import_timm

import models
from common.errors import UserError
from configs import default
from engine.step.optimizer import Optimizer
from engine.step.parameter_groups import parameter_groups


def _described(model, **fields) -> dict[str, tuple[float, float]]:
    """Decay and scale of the rate of each trained parameter."""
    config = default.get_config().optim
    config.update(weight_decay=0.5, **fields)
    names = {id(parameter): name for name, parameter in model.named_parameters()}
    groups = parameter_groups(model, config)
    return {
        names[id(p)]: (group.weight_decay, group.lr_scale)
        for group in groups
        for p in group.parameters
    }


def test_matrices_decay_and_what_stands_for_a_position_does_not():
    found = _described(models.create("vit_n_2_distilled"))
    assert (
        found["blocks.0.mlp.fc1.weight"]
        == found["patch_embed.proj.weight"]
        == found["head.weight"]
        == (0.5, 1.0)
    )
    for name in ("pos_embed", "cls_token", "dist_token", "norm.weight", "blocks.1.attn.qkv.bias"):
        assert found[name] == (0.0, 1.0), name


@pytest.mark.parametrize(
    ("name", "ending"), [("swin_ti", "bias_table"), ("levit_128s", "attention_biases")]
)
def test_tables_of_biases_do_not_decay(name, ending):
    found = _described(models.create(name))
    tables = {decay for key, (decay, _) in found.items() if key.endswith(ending)}
    assert tables == {0.0}
    assert {decay for decay, _ in found.values()} == {0.0, 0.5}


def test_all_decay():
    assert {decay for decay, _ in _described(models.create("vit_n_2"), decay="all").values()} == {
        0.5
    }


def test_rates_fall_towards_the_input():
    found = _described(models.create("vit_n_2"), layer_decay=0.5)  # four blocks
    scales = {name: scale for name, (_, scale) in found.items()}
    assert scales["head.weight"] == scales["head.bias"] == 1.0
    assert [scales[f"blocks.{block}.norm1.weight"] for block in range(4)] == [
        1 / 16,
        1 / 8,
        1 / 4,
        1 / 2,
    ]
    assert scales["pos_embed"] == scales["cls_token"] == scales["patch_embed.proj.bias"] == 1 / 32
    assert scales["norm.weight"] == 1 / 2


@pytest.mark.parametrize(
    ("optimizer", "field"), [("sgd", {}), ("adamw", {"weight_decay": 0.5}), ("momentum", {})]
)
def test_a_step_has_the_rate_of_its_layer(optimizer, field):
    """With gradient 1 weights move by the rate (SGD); decoupled decay is in proportion to it."""
    paddle.seed(0)
    model = models.create("vit_n_2", num_classes=3)
    config = default.get_config().optim
    config.update(name=optimizer, lr=0.01, schedule="constant", layer_decay=0.5, **field)
    before = {name: value.numpy() for name, value in model.state_dict().items()}
    steps = Optimizer(model, config, 10)
    steps.accumulate(paddle.add_n([parameter.sum() for parameter in model.parameters()]))
    steps.step()
    for name, scale in (
        ("head.weight", 1),
        ("blocks.3.mlp.fc1.weight", 1 / 2),
        ("patch_embed.proj.weight", 1 / 32),
    ):
        moved = before[name] - model.state_dict()[name].numpy()
        expected = 0.01 * scale * (1 + field.get("weight_decay", 0) * before[name])
        assert abs(moved - expected).max() < 1e-7, name


def test_a_network_without_blocks_has_no_layers():
    with pytest.raises(UserError, match="layer_decay needs a model that is made of blocks"):
        _described(models.create("resnet_18"), layer_decay=0.5)


def test_class_attention_belongs_to_the_last_blocks_one_by_one():
    """CaiT has 24 blocks and two of class attention: they are layers 23 and 24 of 25."""
    numbers = models.layer_numbers(models.create("cait_xxs_24"))
    layers = {place: numbers[f"blocks_token_only.{place}.attn.q.weight"] for place in (0, 1)}
    assert layers == {0: 23, 1: 24}
    assert (numbers["blocks.23.norm1.weight"], numbers["norm.weight"]) == (24, 24)
    assert max(numbers.values()) == 25


@pytest.mark.slow
@pytest.mark.parametrize(
    ("ours", "theirs"),
    [
        ("vit_ti_16", "vit_tiny_patch16_224"),
        ("deit_ti_distilled", "deit_tiny_distilled_patch16_224"),
        ("vit_small_patch14_reg4_dinov2", "vit_small_patch14_reg4_dinov2"),
        ("vit_xsmall_patch16_clip_224", "vit_xsmall_patch16_clip_224"),
        ("vit_wee_patch16_reg1_gap_256", "vit_wee_patch16_reg1_gap_256"),
        ("swin_ti", "swin_tiny_patch4_window7_224"),
        ("cait_xxs_24", "cait_xxs24_224"),
        ("levit_128s", "levit_128s"),
    ],
)
def test_decay_and_scales_are_timms(ours, theirs):
    timm = import_timm()
    from timm.optim import _param_groups

    model, reference = models.create(ours), timm.create_model(theirs, num_classes=1000)
    layered = ours != "levit_128s"
    groups = _param_groups.param_groups_layer_decay(
        reference, 0.5, reference.no_weight_decay(), layer_decay=0.7 if layered else 1.0
    )
    names = {id(parameter): name for name, parameter in reference.named_parameters()}
    expected = {
        names[id(p)]: (group["weight_decay"], group["lr_scale"])
        for group in groups
        for p in group["params"]
    }
    found = _described(model, layer_decay=0.7 if layered else 1.0)
    found = {model.timm_name(name.replace("net.", "", 1)): value for name, value in found.items()}
    if not layered:  # whose names are others here
        assert sorted(found.values()) == sorted(expected.values())
        return
    assert found.keys() == expected.keys()
    for name, (decay, scale) in expected.items():
        assert found[name] == pytest.approx((decay, scale)), name
