"""Blocks that begin as the identity, and heads from N(0, 0.01): arXiv:1706.02677."""

from __future__ import annotations

import math

import numpy as np
import paddle
import paddle.nn.functional as F
import pytest
from paddle.vision.models import resnet
from ppim.models import dla, rexnet

import models
from common.errors import UserError
from models.families import residual_norms
from models.layers import watched

# How many residual blocks there are, by the published architectures. DLA-34: 2 in each of 6 trees;
# DLA-102: 2 in each of 14 trees, whose roots add, too. ReXNet: 16 blocks, of which 5 do not add.
_BLOCKS = {
    "resnet_18": 8,
    "resnet_50": 16,
    "rednet_26": 8,
    "dla_34": 12,
    "dla_102": 42,
    "rexnet_1_0": 11,
}
# The scales that begin at 0; those of ReXNet have other numbers in blocks with squeeze-excitation.
_NAMES = {
    "resnet_18": ("bn2.weight",),
    "resnet_50": ("bn3.weight",),
    "rednet_26": ("bn3.weight",),
    "dla_34": ("bn2.weight",),
    "dla_102": ("bn3.weight", "root.bn.weight"),
    "rexnet_1_0": ("out.7.weight", "out.8.weight"),
}
_KINDS = (resnet.BasicBlock, resnet.BottleneckBlock, dla.DlaBasic, dla.DlaBottleneck)


def _images(count: int, size: int = 64):
    pixels = np.random.default_rng(1).normal(size=(count, 3, size, size))
    return paddle.to_tensor(pixels.astype("float32"))


def _made(name: str, **fields):
    paddle.seed(0)
    return models.create(name, 1000, image_size=64, **fields)


def _expected(block, inputs):
    """Returns what a block puts out whose branch is 0."""
    x = inputs[0]
    if isinstance(block, rexnet.LinearBottleneck):  # more channels come out than go in
        return F.pad(x, [0, 0, 0, block.out_channels - block.in_channels, 0, 0, 0, 0])
    if isinstance(block, resnet.BasicBlock | resnet.BottleneckBlock) and block.downsample:
        x = block.downsample(x)
    elif isinstance(block, dla.DlaBasic | dla.DlaBottleneck) and len(inputs) > 1:
        x = inputs[1]
    return F.relu(x)


@pytest.mark.parametrize("name", _BLOCKS)
@pytest.mark.parametrize("training", [True, False])
@paddle.no_grad()
def test_each_block_begins_as_the_identity(name, training):
    model, seen = _made(name, zero_gamma=True), []
    model.train() if training else model.eval()

    def compare(block, inputs, output):
        np.testing.assert_array_equal(output.numpy(), _expected(block, inputs).numpy())
        seen.append(block)

    with watched(_residual_blocks(model), after=compare):
        model(_images(2))
    assert len(seen) == len(residual_norms.last_norms(model)) == _BLOCKS[name]
    named = model.named_parameters()
    zeros = [key for key, value in named if key.endswith(".weight") and (value == 0).all()]
    assert len(zeros) == _BLOCKS[name]
    assert all(key.endswith(_NAMES[name]) for key in zeros)


def _residual_blocks(model):
    roots = [one for one in model.sublayers() if isinstance(one, dla.DlaRoot) and one.residual]
    bottlenecks = [one for one in model.sublayers() if isinstance(one, rexnet.LinearBottleneck)]
    plain = [one for one in model.sublayers() if isinstance(one, _KINDS)]
    return plain + roots + [one for one in bottlenecks if one.use_shortcut]


@pytest.mark.parametrize("name", ["resnet_18", "rexnet_1_0"])
def test_nothing_else_differs_and_the_scales_learn(name):
    plain, model = _made(name), _made(name, zero_gamma=True)
    scales = {id(norm.weight) for norm in residual_norms.last_norms(model)}
    before = plain.state_dict()
    for key, value in model.state_dict().items():
        same = (value == before[key]).all()
        assert bool(same) == (id(value) not in scales), key
    F.cross_entropy(model(_images(4)), paddle.to_tensor([0, 1, 2, 3])).backward()
    for norm in residual_norms.last_norms(model):
        assert norm.weight.grad.abs().max() > 0


@pytest.mark.parametrize(
    "name",
    [
        *("vit_n_8", "swin_ti", "cait_xxs_24", "t2t_vit_7"),
        *("levit_128s", "repvgg_a0", "hardnet_39_ds", "cdnv2_a"),
    ],
)
def test_models_without_such_blocks(name):
    with pytest.raises(UserError, match=f"model {name}: zero_gamma has no use: it has no residual"):
        models.create(name, 7, zero_gamma=True)


@pytest.mark.parametrize(("zero_gamma", "spread"), [(True, 0.25), (False, 0.35)])
@pytest.mark.parametrize("name", ["resnet_18", "rednet_26", "dla_34", "rexnet_1_0"])
@paddle.no_grad()
def test_the_first_loss_of_a_network_is_that_of_guessing(name, zero_gamma, spread):
    """Logits of a standard deviation s have a loss of ln(C) + s^2 / 2 -+ s / sqrt(images).

    With zero gamma s is at most 0.25, and 32 images are within 0.03 + 3 * 0.044 = 0.16 of 6.91.
    """
    model = _made(name, head_init="normal_0.01", zero_gamma=zero_gamma)
    logits = model(_images(32))
    labels = paddle.to_tensor(np.random.default_rng(2).integers(0, 1000, 32))
    assert logits.std() < spread
    bound = spread**2 / 2 + 3 * spread / math.sqrt(32)
    assert F.cross_entropy(logits, labels).item() == pytest.approx(math.log(1000), abs=bound)


@pytest.mark.parametrize(
    "name", ["vit_n_8", "vit_n_8_distilled", "swin_ti", "resnet_18", "dla_34", "levit_128s"]
)
def test_heads_from_a_narrow_normal_distribution(name):
    """The same seed gives the same weights; the body has those of the usual initialisation."""
    paddle.seed(3)
    model = models.create(name, 1000, head_init="normal_0.01")
    paddle.seed(3)
    again = models.create(name, 1000, head_init="normal_0.01").state_dict()
    paddle.seed(3)
    usual = models.create(name, 1000).state_dict()
    for key, value in model.state_dict().items():
        np.testing.assert_array_equal(value.numpy(), again[key].numpy())
        if not model.is_in_head(key):
            np.testing.assert_array_equal(value.numpy(), usual[key].numpy())
        elif value.ndim == 1:
            assert (value == 0).all()
        else:  # four standard errors of the mean and the deviation of at least 48,000 numbers
            size = math.prod(value.shape)
            assert abs(value.mean().item()) < 4 * 0.01 / math.sqrt(size)
            assert value.std().item() == pytest.approx(0.01, rel=4 / math.sqrt(2 * size))
