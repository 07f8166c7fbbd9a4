"""Networks of PPIM and paddle.vision build, train, and evaluate as PPIM's own classes do."""

from __future__ import annotations

import numpy as np
import paddle
import ppim.models
import pytest
from conftest import import_timm
from paddle import nn
from ppim.models import cdnv2, repvgg

import models
from common.errors import UserError
from losses import RDropLoss
from models import flops
from models.families.cnn_levit_t2t import Whole
from models.layers import dropout

_ALL = [
    name
    for name, spec in models.MODELS.items()
    if spec.parts is None and not name.startswith(("cait_", "swin_"))
]
_ONE_OF_EACH = [
    "resnet_18",
    "dla_46_c",
    "cdnv2_a",
    "rexnet_1_0",
    "repvgg_a0",
    "hardnet_39_ds",
    "rednet_26",
    "levit_128s",
    "t2t_vit_7",
]
# LeViT's last tokens are a quarter of those of the first stage along each side.
_SIZES = {"levit": 128, "t2t": 32}


def _size(name: str) -> int:
    return _SIZES.get(name.split("_")[0], 64)


def _create(name: str, **fields):
    """Makes a small model whose weights are all so far from their first values that they matter."""
    paddle.seed(0)
    model = models.create(name, 7, image_size=_size(name), **fields)
    for parameter in model.parameters():
        if not parameter.stop_gradient:
            parameter.set_value(parameter + 0.02 * paddle.randn(parameter.shape))
    return model


def _images(name: str, batch: int, size: int = 0):
    size = size or _size(name)
    return paddle.to_tensor(
        np.random.default_rng(1).normal(size=(batch, 3, size, size)).astype("float32")
    )


def _own(name: str):
    """Makes the model of PPIM or paddle.vision, whose functions `_create` has repaired."""
    if name.startswith("resnet"):
        return paddle.vision.models.resnet18(num_classes=7)
    size = {"img_size": _size(name)} if name.startswith(("levit", "t2t")) else {}
    return getattr(ppim.models, name)(class_dim=7, **size)


@pytest.fixture(params=_ONE_OF_EACH)
def name(request) -> str:
    return request.param


def test_every_network_of_ppim_has_its_row():
    families = ("dla", "cdnv2", "rexnet", "repvgg", "hardnet", "rednet", "levit", "t2t")
    known = {name for family in families for name in getattr(ppim.models, family).urls}
    assert {name for name in _ALL if not name.startswith("resnet")} == known
    assert {name.split("_")[0] for name in _ONE_OF_EACH} == {name.split("_")[0] for name in _ALL}


def test_copies_differ_by_dropout_alone(name):
    model, images = _create(name, drop_rate=0.3), _images(name, 3)
    logits = model(images, copies=2)
    assert logits.shape == [2, 3, 7]
    assert RDropLoss().unlabelled(logits).item() > 1e-4
    assert (
        len(models.random_layers(model)) == (2 if name.startswith("levit") else 1)
        or name == "t2t_vit_7"
    )
    model.eval()
    np.testing.assert_array_equal(*model(images, copies=2).numpy())
    model.train()
    dropout.silence(model)
    assert models.random_layers(model) == []
    np.testing.assert_array_equal(*model(images, copies=2).numpy())


@pytest.mark.parametrize("name", _ONE_OF_EACH[:-1])
def test_what_is_before_the_dropout_runs_once_with_the_same_result(name, monkeypatch):
    """The batch norms of a few small images amplify rounding, up to 3 % of the gradient.

    With other dropout masks, the gradients differ by 70 % and more.
    """
    model, found, seen = _create(name, drop_rate=0.3), [], []
    before = {key: value.numpy() for key, value in model.state_dict().items()}
    first = next(layer for layer in model.sublayers() if isinstance(layer, nn.Conv2D))
    first.register_forward_pre_hook(lambda layer, inputs: seen.append(inputs[0].shape[0]))
    for once in (True, False):
        assert model.noise_in_heads_only
        monkeypatch.setattr(Whole, "noise_in_heads_only", once)
        paddle.seed(3)
        logits = model(_images(name, 4), copies=2)
        RDropLoss(alpha=3.0)(logits, paddle.to_tensor([0, 1, 2, 3])).total.backward()
        gradients = [p.grad.numpy() for p in model.parameters() if p.grad is not None]
        found.append(
            (
                logits.numpy(),
                gradients,
                {key: value.numpy() for key, value in model.state_dict().items()},
            )
        )
        monkeypatch.undo()
        model.clear_gradients()
        model.set_state_dict(before)
    (logits, gradients, state), (expected, others, state_of_all) = found
    assert seen == [4, 8]
    np.testing.assert_allclose(logits, expected, atol=1e-3 * np.abs(expected).max())
    gradient, other = (
        np.concatenate([one.ravel() for one in parts]) for parts in (gradients, others)
    )
    assert np.linalg.norm(gradient - other) < 0.1 * np.linalg.norm(other)
    for key, value in state.items():
        np.testing.assert_allclose(value, state_of_all[key], rtol=1e-3, atol=1e-4, err_msg=key)


def _settle(model, images) -> None:
    """Sets the statistics of the batch norms to those of these images.

    With random statistics, activations would grow without end.
    """
    norms = [
        layer for layer in model.sublayers() if isinstance(layer, (nn.BatchNorm1D, nn.BatchNorm2D))
    ]
    for norm in norms:
        norm._momentum = 0.0
    with paddle.no_grad():
        model(images)
    for norm in norms:
        norm._momentum = 0.9


@pytest.mark.parametrize("name", [*_ONE_OF_EACH, "t2t_vit_t_14"])
def test_evaluation_is_that_of_the_original(name):
    """The weights are the same, by their names.

    Also at batch 1, where ReXNet's own class loses the axis of the batch.
    """
    model, own = _create(name, drop_rate=0.3), _own(name)
    size = 224 if name == "cdnv2_a" else 0  # its own pooling takes no other size
    images = _images(name, 6, size)
    _settle(model, images)
    assert list(model.state_dict()) == list(own.state_dict())
    own.set_state_dict(model.state_dict())
    model.eval()
    if name == "repvgg_a0":  # its blocks do not run in evaluation, only its batch norms
        for layer in own.sublayers():
            layer.training = isinstance(layer, repvgg.RepVGGBlock)
    else:
        own.eval()
    with paddle.no_grad():
        found, expected = model(images[:3]).numpy(), own(images[:3]).numpy()
        single = model(images[:1])
    scale = np.abs(expected).max()
    assert expected.std(axis=0).min() > 1e-3 * scale
    np.testing.assert_allclose(found, expected, rtol=1e-6, atol=1e-6 * scale)
    assert single.shape == [1, 7]
    np.testing.assert_allclose(single.numpy(), found[:1], rtol=1e-3, atol=1e-4 * scale)


def test_state_is_the_live_one_and_gradients_reach_all_of_it(name):
    model = _create(name, drop_rate=0.1)
    state = model.state_dict()
    assert {id(p) for p in model.parameters()} <= {id(value) for value in state.values()}
    assert all(layer.training for layer in model.sublayers())
    RDropLoss()(model(_images(name, 4), copies=2), paddle.to_tensor([0, 1, 2, 6])).total.backward()
    for key, parameter in model.named_parameters():
        assert parameter.stop_gradient or paddle.abs(parameter.grad).max().item() > 0, key
    fixed = {key.rsplit(".")[-1] for key, p in model.named_parameters() if p.stop_gradient}
    assert fixed == ({"w", "pos_embed"} if name == "t2t_vit_7" else {"_mean", "_variance"})
    model.set_state_dict({key: paddle.ones_like(value) for key, value in state.items()})
    assert all((value == 1).all() for value in model.net.state_dict().values())


def test_zero_head_and_the_shapes_that_depend_on_the_classes(name):
    model = models.create(name, 7, image_size=_size(name), head_init="zero")
    assert (model(_images(name, 4)) == 0).all()
    other = models.create(name, 5, image_size=_size(name)).state_dict()
    differ = {key for key, value in model.state_dict().items() if value.shape != other[key].shape}
    assert differ == {f"{head}.{kind}" for head in model.heads for kind in ("weight", "bias")}


@pytest.mark.parametrize("rate", ["drop_rate", "attn_drop_rate", "drop_path_rate"])
def test_t2t_has_every_kind_of_noise(rate):
    model, images = _create("t2t_vit_7", **{rate: 0.3}), _images("t2t_vit_7", 2)
    assert RDropLoss().unlabelled(model(images, copies=2)).item() > 1e-5
    model.eval()
    np.testing.assert_array_equal(*model(images, copies=2).numpy())


@pytest.mark.parametrize("name", ["resnet_18", "levit_128s"])
@pytest.mark.parametrize("rate", ["attn_drop_rate", "drop_path_rate"])
def test_noise_that_a_network_does_not_have(name, rate):
    with pytest.raises(UserError, match=f"{name}: attn_drop_rate and drop_path_rate must be 0"):
        models.create(name, **{rate: 0.1})


@pytest.mark.parametrize(
    ("name", "unit"), [("levit_128s", 16), ("t2t_vit_7", 16), ("dla_34", 32), ("rednet_26", 32)]
)
def test_image_sizes_that_do_not_fit(name, unit):
    with pytest.raises(
        UserError, match=f"image_size is 40, expected one side, a multiple of {unit}"
    ):
        models.create(name, image_size=40)


def test_condensenet_uses_all_channels_before_it_has_weights():
    """PPIM's buffers are zeros at first: the first channel for all, and no feedback."""
    for layer in models.create("cdnv2_a", 7).sublayers():
        if isinstance(layer, cdnv2.CondenseLGC):
            assert (layer.index.numpy() == np.arange(layer.in_channels)).all()
        if isinstance(layer, cdnv2.CondenseSFR):
            assert (layer.index.numpy() == np.eye(layer.out_channels)).all()


def test_no_blocks_to_share():
    with pytest.raises(UserError, match="shared_blocks is 1, expected 0 to 0"):
        models.create("resnet_18", shared_blocks=1)


@pytest.mark.parametrize(
    ("name", "parameters", "multiply_adds"),
    [
        ("resnet_18", 11_689_512, 1.82e9),
        ("resnet_50", 25_557_032, 4.11e9),
        ("rexnet_1_0", 4_796_873, 0.40e9),
        ("dla_46_c", 1_301_400, 0.58e9),
        ("hardnet_39_ds", 3_488_228, 0.44e9),
        ("levit_128s", 7_777_058, 0.305e9),
        ("repvgg_a0", 9_108_968, 1.52e9),  # in the form for training
        ("rednet_26", None, 1.7e9),
        ("t2t_vit_7", None, 1.1e9),
        ("t2t_vit_t_14", None, 6.1e9),
    ],
)
def test_parameters_and_multiply_adds_as_published(name, parameters, multiply_adds):
    """At 1000 classes: parameters as in timm, multiply-adds as rounded by the papers and timm."""
    model = models.create(name)
    assert parameters in (None, flops.parameters(model))
    assert flops.cost(model, 224).multiply_adds == pytest.approx(multiply_adds, rel=0.045)


@pytest.mark.slow
@pytest.mark.parametrize("name", _ALL)
def test_all_train_at_their_native_size(name):
    paddle.seed(0)
    model = models.create(name, 7, drop_rate=0.1)
    images = _images(name, 2, models.native_size(name))
    RDropLoss()(model(images, copies=2), paddle.to_tensor([0, 6])).total.backward()
    assert all(p.stop_gradient or np.isfinite(p.grad.numpy()).all() for p in model.parameters())
    # With the first statistics, RedNet's activations grow without end in evaluation.
    _settle(model, images)
    model.eval()
    assert np.isfinite(model(images).numpy()).all()


@pytest.mark.slow
def test_resnet_18_is_that_of_timm():
    """With the same weights."""
    torch, timm = pytest.importorskip("torch"), import_timm()
    torch.manual_seed(0)
    theirs = timm.create_model("resnet18").train()
    with torch.no_grad():
        for _ in range(3):
            theirs(torch.randn(4, 3, 64, 64))  # statistics that are not the first ones
    model, names = models.create("resnet_18"), {"running_mean": "_mean", "running_var": "_variance"}
    arrays = {}
    for key, value in theirs.state_dict().items():
        stem, _, leaf = key.rpartition(".")
        if leaf != "num_batches_tracked":
            arrays[f"{stem}.{names.get(leaf, leaf)}"] = (
                value.numpy().T if key == "fc.weight" else value.numpy()
            )
    assert set(arrays) == set(model.state_dict())
    for key, value in model.state_dict().items():
        value.set_value(np.ascontiguousarray(arrays[key]))
    images = _images("resnet_18", 2, 224)
    with torch.no_grad():
        expected = theirs.eval()(torch.tensor(images.numpy())).numpy()
    model.eval()
    np.testing.assert_allclose(model(images).numpy(), expected, atol=1e-5 * np.abs(expected).max())
