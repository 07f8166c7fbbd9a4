"""Which part is trained, that the rest stays as it is, and that R-Drop still has noise."""

from __future__ import annotations

import numpy as np
import paddle
import pytest

import models
from common.errors import UserError
from configs import default
from engine.step.optimizer import Optimizer
from losses import RDropLoss


def _frozen(name: str, part: str, size: int = 0, **fields):
    paddle.seed(0)
    size = size or models.native_size(name)
    model = models.create(name, num_classes=3, image_size=size, drop_rate=0.1, **fields)
    models.freeze(model, part, size)
    return model, paddle.randn([4, 3, size, size])


def _trained(model) -> set[str]:
    return {name for name, parameter in model.named_parameters() if not parameter.stop_gradient}


_HEADS = {"head.weight", "head.bias", "head_dist.weight", "head_dist.bias"}


def test_parts_of_a_transformer():
    everything = _trained(_frozen("vit_n_2_distilled", "all")[0])
    assert len(everything) == 59
    assert _trained(_frozen("vit_n_2_distilled", "head")[0]) == _HEADS
    assert _trained(_frozen("vit_n_2_distilled", "head_and_norm")[0]) == {
        *_HEADS,
        "norm.weight",
        "norm.bias",
    }
    attention = {name for name in everything if ".attn." in name}
    assert len(attention) == 16
    assert _trained(_frozen("vit_n_2_distilled", "attention")[0]) == {
        *_HEADS,
        *attention,
        "pos_embed",
    }


def test_a_head_that_is_frozen_stays_so():
    model, _ = _frozen("vit_n_2_distilled", "head", train_head="class")
    assert _trained(model) == {"head.weight", "head.bias"}


@pytest.mark.parametrize(
    ("name", "norms"),
    [
        ("resnet_18", {"net.layer4.1.bn2"}),
        ("rexnet_1_0", {"net.features.20"}),
        ("levit_128s", {"net.head.bn", "net.head_dist.bn"}),
        ("dla_34", {"net.level5.root.bn"}),
    ],
)
def test_the_last_norm_is_the_last_that_runs(name, norms):
    """In DLA, other norms are listed behind it. LeViT's two heads have one each."""
    model, _ = _frozen(name, "head_and_norm", 64)
    heads = tuple(f"net.{head}." for head in model.heads)
    assert {key.rpartition(".")[0] for key in _trained(model) if not key.startswith(heads)} == norms


def test_attention_of_other_families():
    model, _ = _frozen("swin_ti", "attention")
    assert "layers.2.blocks.5.attn.relative_position_bias_table" in _trained(model)
    assert all(".attn." in name or name.startswith("head.") for name in _trained(model))
    with pytest.raises(UserError, match="needs a model with attention layers"):
        _frozen("resnet_18", "attention", 32)


@pytest.mark.parametrize(
    ("name", "part"),
    [
        ("vit_n_2_distilled", "head"),
        ("vit_n_2", "head_and_norm"),
        ("vit_n_2", "attention"),
        ("resnet_18", "head"),
        ("resnet_18", "head_and_norm"),
    ],
)
def test_a_step_changes_that_part_alone(name, part):
    """Weights and running statistics of batch norms; the loss still has noise to compare."""
    model, images = _frozen(name, part, 32 if name == "resnet_18" else 0)
    config = default.get_config().optim
    config.update(name="momentum", weight_decay=0.1, lr=0.1)
    optimizer = Optimizer(model, config, 10)
    before = {key: value.numpy() for key, value in model.state_dict().items()}
    model.train()
    terms = RDropLoss(alpha=1.0)(model(images, copies=2), paddle.to_tensor([0, 1, 2, 0]))
    assert terms.kl.item() > 1e-6
    optimizer.accumulate(terms.total)
    optimizer.step()
    changed = {
        key for key, value in model.state_dict().items() if (value.numpy() != before[key]).any()
    }
    trained = {key.replace("net.", "", 1) for key in _trained(model)}
    statistics = (
        {"layer4.1.bn2._mean", "layer4.1.bn2._variance"} if part == "head_and_norm" else set()
    )
    assert changed - statistics == trained
    if name == "resnet_18":
        assert changed - trained == statistics


def test_frozen_batch_norms_run_as_in_evaluation():
    model, images = _frozen("resnet_18", "head", 32)
    model.net.fc.input_drop.rate = 0.0
    model.train()
    training = model(images).numpy()
    model.eval()
    np.testing.assert_allclose(model(images).numpy(), training, rtol=1e-5, atol=1e-6)


@pytest.mark.parametrize("name", ["vit_n_2", "cait_xxs_24", "levit_128s"])
def test_gradients_of_what_is_trained_are_those_of_the_whole(name):
    """They go through frozen layers.

    Paddle's own LayerNorm on a CPU has other gradients when its weight is frozen and not 1.
    """
    gradients = []
    for part in ("all", "attention"):
        model, images = _frozen(name, part, {"cait_xxs_24": 32, "levit_128s": 64}.get(name, 8))
        rng = np.random.default_rng(0)
        for parameter in model.parameters():
            shift = rng.normal(0, 0.3, parameter.shape) if len(parameter.shape) == 1 else 0
            parameter.set_value((parameter.numpy() + np.abs(shift)).astype("float32"))
        for layer in model.sublayers():
            if hasattr(layer, "_use_global_stats"):
                layer._use_global_stats = True  # in both
        paddle.seed(1)
        model(images).square().mean().backward()
        gradients.append(
            {key: p.grad.numpy() for key, p in model.named_parameters() if p.grad is not None}
        )
    whole, part = gradients
    assert len(part) < len(whole)
    largest = max(np.abs(value).max() for value in part.values())
    for key, value in part.items():
        np.testing.assert_allclose(value, whole[key], atol=1e-5 * largest, err_msg=key)


def test_looking_for_the_norm_leaves_the_model_as_it_was():
    paddle.seed(3)
    model = models.create("resnet_18", num_classes=3, image_size=32)
    state = {key: value.numpy() for key, value in model.state_dict().items()}
    paddle.seed(3)
    expected = paddle.rand([3]).numpy()
    paddle.seed(3)
    models.freeze(model, "head_and_norm", 32)
    assert (paddle.rand([3]).numpy() == expected).all()
    assert model.training
    assert not any(layer._forward_post_hooks for layer in model.sublayers())
    assert all((value.numpy() == state[key]).all() for key, value in model.state_dict().items())


_SIZES = {"cait_xxs_24": 32, "resnet_18": 32, "rexnet_1_0": 32, "dla_34": 32, "hardnet_68": 64}


@pytest.mark.parametrize(
    ("name", "part", "shared", "shape", "blocks"),
    [
        ("vit_n_2", "head", 0, (48,), -1),
        ("vit_n_2", "head_and_norm", 0, (1, 48), 4),
        ("vit_n_2", "head", 2, (17, 48), 2),
        ("vit_n_2_distilled", "head", 0, (2, 48), -1),
        ("vit_n_2_distilled", "head_and_norm", 3, (18, 48), 3),
        ("cait_xxs_24", "head", 0, (192,), -1),
        ("cait_xxs_24", "head_and_norm", 9, (4, 192), 9),
        ("swin_ti", "head", 0, (768,), -1),
        ("swin_ti", "head", 4, (196, 384), 4),
        ("resnet_18", "head", 0, (512,), -1),
        ("rexnet_1_0", "head", 0, (1280, 1, 1), -1),
        ("dla_34", "head", 0, (512, 1, 1), -1),
        ("hardnet_68", "head", 0, (1024,), -1),
        ("t2t_vit_t_14", "head", 0, (384,), -1),
    ],
)
def test_what_goes_on_from_features(name, part, shared, shape, blocks):
    """Logits of several copies, and gradients, are those of whole passes, with the same masks."""
    noisy = shared > 0 or name in ("resnet_18", "rexnet_1_0", "dla_34", "hardnet_68")
    rates = {"drop_rate": 0.1, "shared_blocks": shared} if noisy else {"drop_rate": 0.0}
    size = _SIZES.get(name) or models.native_size(name)
    paddle.seed(0)
    model = models.create(name, num_classes=3, image_size=size, train_head="average", **rates)
    for key, parameter in model.named_parameters():
        if "gamma" in key:  # at first CaiT's branches, and their noise, hardly matter
            parameter.set_value(parameter * 0 + 0.5)
    models.freeze(model, part, size)
    found = models.cut_frozen(model, size)
    assert (found.shape, found.dtype, found.blocks) == (shape, "float32", blocks)
    assert found.bytes == 4 * np.prod(shape)
    assert model.training
    images, results = paddle.randn([3, 3, size, size]), []
    state = {key: value.numpy() for key, value in model.state_dict().items()}
    for given, cached in ((images, False), (model.features(images), True)):
        assert given.stop_gradient
        for copies in (1, 2):
            paddle.seed(1)
            logits = model(given, copies=copies, cached=cached)
            logits.square().mean().backward()
            results.append(
                (logits.numpy(), [p.grad.numpy() for p in model.parameters() if p.grad is not None])
            )
            model.clear_gradients()
    assert all((value.numpy() == state[key]).all() for key, value in model.state_dict().items())
    for (logits, gradients), (expected, others) in zip(results[2:], results):
        assert logits.shape == expected.shape
        np.testing.assert_allclose(logits, expected, rtol=1e-5, atol=1e-6)
        assert len(gradients) == len(others) > 0
        for gradient, other in zip(gradients, others):
            np.testing.assert_allclose(gradient, other, rtol=1e-5, atol=1e-6)
    first, second = results[3][0]
    assert (first != second).any() == noisy


def test_a_network_that_goes_on_behind_its_classifier():
    """Such as one whose logits are scaled: no features can take the place of its body."""
    model, _ = _frozen("resnet_18", "head", 32)
    model.net.register_forward_post_hook(lambda net, inputs, logits: 2 * logits)
    assert "more than the classifier" in models.cut_frozen(model, 32).why_not


def test_what_is_trained_in_front_of_the_blocks():
    model, _ = _frozen("vit_n_2", "head")
    models.layers.silence(model)
    model.pos_embed.stop_gradient = False
    assert "in front of the first block" in models.cut_frozen(model, 8).why_not
    model.pos_embed.stop_gradient, model.blocks[0].norm1.bias.stop_gradient = True, False
    assert models.cut_frozen(model, 8).why_not == "the first block is trained"
    model.blocks[0].norm1.bias.stop_gradient, model.blocks[2].norm1.bias.stop_gradient = True, False
    assert models.cut_frozen(model, 8).blocks == 2
