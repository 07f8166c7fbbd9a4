"""Loss and gradients of several passes as one batch are those of passes one by one."""

from __future__ import annotations

import numpy as np
import paddle
import pytest

import models
from common.errors import UserError
from losses import RDropLoss
from models import multipass
from models.builders import Head
from models.families.cait import CaiT
from models.families.parts import PLAIN
from models.families.swin import Swin
from models.families.vit import DistilledVisionTransformer, VisionTransformer
from models.layers import dropout
from models.layers.dropout import DropRates

_SIZE = 16
_RATES = DropRates(embedding=0.1, attention=0.1, projection=0.2, mlp=0.2, path=0.3)


_VIT = {"width": 24, "depth": 4, "heads": 3, "mlp_ratio": 2.0, "patch": 4}


def _with(parts: dict) -> dict:
    return {**_VIT, "parts": PLAIN.with_fields(parts)}


_CAIT = {"patch_size": 4, "embed_dim": 24, "depth": 4, "num_heads": 3, "init_scale": 0.5}
_SWIN = {"patch_size": 2, "embed_dim": 12, "depths": (2, 2), "num_heads": (2, 4), "window_size": 4}
_CLIP = {"norm_pre": True, "activation": "quick_gelu", "registers": 2, "layer_scale": 0.5}
_MEAN = {"pool": "avg", "class_token": False, "fc_norm": True, "qkv_bias": False}
_GATED = {"mlp": "swiglu", "qk_norm": True, "class_position": False, "pre_logits": 9}
FAMILIES = {
    "vit": (VisionTransformer, Head(7), _VIT),
    "norm before the blocks": (VisionTransformer, Head(7), _with(_CLIP)),
    "mean of tokens": (VisionTransformer, Head(7), _with(_MEAN)),
    "gated": (VisionTransformer, Head(7), _with(_GATED)),
    "deit distilled, average": (DistilledVisionTransformer, Head(7), _VIT),
    "deit distilled, each head": (DistilledVisionTransformer, Head(7, train="each"), _VIT),
    "cait": (CaiT, Head(7), _CAIT),
    "swin": (Swin, Head(7), _SWIN),
}


@pytest.fixture(params=FAMILIES)
def family(request):
    """Makes a small model of one family.

    Its weights are so far from their first values that noise changes its logits.
    """

    def make(rates: DropRates = _RATES):
        paddle.seed(0)
        kind, head, shape = FAMILIES[request.param]
        model = kind(_SIZE, rates, head, **shape)
        rng = np.random.default_rng(0)
        for parameter in model.parameters():
            parameter.set_value(
                (parameter.numpy() + rng.normal(0, 0.1, parameter.shape)).astype("float32")
            )
        return model

    return make


def _gradients(model) -> dict[str, np.ndarray]:
    return {name: p.grad.numpy() for name, p in model.named_parameters() if p.grad is not None}


@pytest.mark.parametrize(("copies", "shared"), [(2, 0), (3, 0), (2, 2), (3, 3)])
def test_loss_and_gradients_are_those_of_full_passes(family, monkeypatch, copies, shared):
    model, loss = family(), RDropLoss(alpha=3.0)
    model.share_blocks(shared)
    images, labels = paddle.randn([5, 3, _SIZE, _SIZE]), paddle.to_tensor([0, 1, 2, 3, 6])
    original, drawn = dropout.keep_mask, []

    def record(shape, rate, axis=0):
        drawn.append((original(shape, rate, axis), axis))
        return drawn[-1][0]

    monkeypatch.setattr(dropout, "keep_mask", record)
    terms = loss(model(images, copies=copies), labels)
    terms.total.backward()
    found = _gradients(model)
    model.clear_gradients()
    assert terms.kl.item() > 1e-4

    single = []
    for copy in range(copies):
        masks = iter([mask.chunk(copies, axis)[copy] for mask, axis in drawn])
        monkeypatch.setattr(
            dropout, "keep_mask", lambda shape, rate, axis=0, masks=masks: next(masks)
        )
        single.append(model(images))
        assert next(masks, None) is None
    reference = loss(paddle.stack(single), labels)
    reference.total.backward()
    assert terms.total.item() == pytest.approx(reference.total.item(), rel=1e-6)
    expected = _gradients(model)
    largest = max(np.abs(gradient).max() for gradient in expected.values())
    for name, gradient in expected.items():
        np.testing.assert_allclose(found[name], gradient, atol=1e-6 * largest, err_msg=name)


@pytest.mark.parametrize("shared", [0, 2])
def test_copies_one_by_one_are_those_of_the_joined_batch(family, monkeypatch, shared):
    """On a CPU, the copies of large batches go one after the other.

    Masks, gradients and later random numbers are the same.
    """
    found = []
    for limit in (1 << 40, 0):
        monkeypatch.setattr(multipass, "_CACHED", limit)
        model = family()
        model.share_blocks(shared)
        images = paddle.randn([5, 3, _SIZE, _SIZE])
        paddle.seed(9)
        logits = model(images, copies=3)
        RDropLoss(alpha=3.0)(logits, paddle.to_tensor([0, 1, 2, 3, 6])).total.backward()
        found.append((logits.numpy(), _gradients(model), paddle.randint(0, 2**30, [4]).numpy()))
    (joined, gradients, after), (single, others, after_single) = found
    np.testing.assert_allclose(single, joined, rtol=1e-4, atol=1e-6 * np.abs(joined).max())
    assert (after == after_single).all()
    largest = max(np.abs(gradient).max() for gradient in gradients.values())
    for name, gradient in gradients.items():
        np.testing.assert_allclose(others[name], gradient, atol=1e-6 * largest, err_msg=name)


def test_shared_blocks_see_each_image_once_and_the_others_every_copy(family):
    model, seen = family(), []
    model.share_blocks(2)
    for group in model.block_groups():
        group[0].register_forward_pre_hook(lambda layer, inputs: seen.append(inputs[0].shape[0]))
    model(paddle.randn([4, 3, _SIZE, _SIZE]), copies=3)
    assert seen == [4, 4, 4, 12, 12]  # the embedding's dropout, then the blocks


def test_only_the_shared_blocks_lose_their_noise(family):
    model = family()
    before = models.random_layers(model)
    model.share_blocks(3)
    quiet = sum(
        len(models.random_layers(layer)) for group in model.block_groups()[:4] for layer in group
    )
    assert quiet == 0
    assert models.random_layers(model) == before[-len(models.random_layers(model)) :] != []


def test_all_copies_are_the_same_in_evaluation(family):
    model = family()
    model.eval()
    images = paddle.randn([2, 3, _SIZE, _SIZE])
    several = model(images, copies=3).numpy()
    assert (several == several[:1]).all()
    np.testing.assert_allclose(several[0], model(images).numpy(), rtol=1e-5, atol=1e-6)


@pytest.mark.parametrize(
    "rates", [DropRates(path=0.5), DropRates(mlp=0.3), DropRates(attention=0.3)]
)
def test_each_kind_of_noise_is_enough(family, rates):
    """Stochastic depth can replace dropout, and each rate reaches its layers."""
    logits = family(rates)(paddle.randn([6, 3, _SIZE, _SIZE]), copies=2)
    assert RDropLoss().unlabelled(logits).item() > 1e-6


def test_each_copy_can_have_a_rate_of_its_own(family):
    """The first copy has no noise and equals evaluation; the second copy does not."""
    model = family(DropRates(embedding=(0.0, 0.3), projection=(0.0, 0.3), mlp=(0.0, 0.3)))
    images = paddle.randn([6, 3, _SIZE, _SIZE])
    logits = model(images, copies=2)
    model.eval()
    quiet = model(images)
    averaged = logits.ndim == 4
    first, second = (copy.mean(axis=1) if averaged else copy for copy in logits)
    np.testing.assert_allclose(first.numpy(), quiet.numpy(), rtol=1e-4, atol=1e-5)
    assert not np.allclose(second.numpy(), quiet.numpy(), atol=1e-3)


def test_too_many_shared_blocks():
    with pytest.raises(UserError, match="shared_blocks is 5, expected 0 to 4"):
        models.create("vit_n_2", drop_rate=0.1, shared_blocks=5)


def _step(
    model, copies: int, recompute: bool
) -> tuple[float, dict[str, np.ndarray], list[int], int]:
    """Returns loss and gradients of two micro-batches.

    Also the random numbers drawn afterwards, and how often the last block ran.
    """
    runs = []
    model.block_groups()[-1][0].register_forward_pre_hook(lambda *_: runs.append(1))
    if recompute:
        model.recompute()
    images, labels = paddle.randn([6, 3, _SIZE, _SIZE]), paddle.to_tensor([0, 1, 2, 3, 6, 5])
    total = 0.0
    for rows in (range(4), range(4, 6)):
        paddle.seed(9)
        with models.batch_rows(rows):
            part = slice(rows.start, rows.stop)
            logits = model(images[part], copies=copies)
        terms = RDropLoss(alpha=3.0)(logits if copies > 1 else logits.unsqueeze(0), labels[part])
        paddle.seed(77)  # the backward pass comes at another time, out of the context of the rows
        terms.total.backward()
        total += terms.total.item()
    return total, _gradients(model), paddle.randint(0, 2**30, [4]).tolist(), len(runs)


@pytest.mark.parametrize("limit", [1 << 40, 0])
@pytest.mark.parametrize(("copies", "shared"), [(1, 0), (2, 0), (2, 2), (3, 3)])
def test_recomputed_blocks_have_the_same_masks(family, monkeypatch, copies, shared, limit):
    """The results have the same bits, and later random numbers are the same."""
    monkeypatch.setattr(multipass, "_CACHED", limit)
    found = []
    for recompute in (False, True):
        model = family()
        model.share_blocks(shared)
        paddle.seed(5)
        found.append(_step(model, copies, recompute))
    (total, gradients, drawn, once), (again, others, drawn_again, twice) = found
    assert twice == 2 * once
    assert again == total
    assert drawn_again == drawn
    assert gradients.keys() == others.keys()
    for name, gradient in gradients.items():
        assert (others[name] == gradient).all(), name
