"""The variants of the R-Drop loss: measures of consistency, forms, masks, heads, kinds of labels.

Numbers by hand are of p = (1/2, 1/2) and q = (3/4, 1/4), as in `test_rdrop.py`.
"""

from __future__ import annotations

import itertools
import math

import numpy as np
import paddle
import pytest
from conftest import labelled_logits

from losses import CONSISTENCY, FORMS, PRESETS, RDropLoss

_HALVES = [[[0.0, 0.0]], [[math.log(3), 0.0]]]
_KL_PQ = 0.5 * math.log(2 / 3) + 0.5 * math.log(2)
_KL_QP = 0.75 * math.log(3 / 2) + 0.25 * math.log(1 / 2)


def _kl(values, **options) -> float:
    return RDropLoss(**options)(paddle.to_tensor(values), paddle.to_tensor([0])).kl.item()


def test_consistency_terms_by_hand():
    mixed = (5 / 8, 3 / 8)
    js = sum(
        0.5 * sum(a * math.log(a / b) for a, b in zip(one, mixed))
        for one in ((1 / 2, 1 / 2), (3 / 4, 1 / 4))
    )
    assert _kl(_HALVES, consistency="symmetric_kl") == pytest.approx(
        (_KL_PQ + _KL_QP) / 2, rel=1e-6
    )
    assert _kl(_HALVES, consistency="kl") == pytest.approx(_KL_PQ, rel=1e-6)
    assert _kl(_HALVES[::-1], consistency="kl") == pytest.approx(_KL_QP, rel=1e-6)
    assert _kl(_HALVES, consistency="js") == pytest.approx(js, rel=1e-5)
    assert _kl(_HALVES, consistency="mse") == pytest.approx(math.log(3) ** 2 / 2, rel=1e-6)
    assert _kl([[[1.0, 1.0]], [[1.0, 0.0]]], consistency="cosine") == pytest.approx(
        1 - 0.5**0.5, rel=1e-6
    )


def test_a_temperature_by_hand():
    """Logits of twice the size at temperature 2 are the same predictions.

    The term is multiplied by 2^2.
    """
    double = [[[0.0, 0.0]], [[2 * math.log(3), 0.0]]]
    assert _kl(double, temperature=2.0) == pytest.approx(4 * (_KL_PQ + _KL_QP) / 2, rel=1e-6)


@pytest.mark.parametrize("copies", [2, 3, 4])
@pytest.mark.parametrize("consistency", sorted(CONSISTENCY))
def test_consistency_of_several_copies(consistency, copies):
    """Against the definitions in float64. Copies that agree have no inconsistency."""
    logits, labels = labelled_logits(copies, 5, 7)
    z = logits.numpy().astype(np.float64)
    expected = _reference(consistency, "softmax", z, z)
    loss = RDropLoss(consistency=consistency)
    assert loss(logits, labels).kl.item() == pytest.approx(expected, rel=5e-6)
    same = paddle.concat([logits[:1]] * copies)
    assert loss(same, labels).kl.item() == pytest.approx(0, abs=1e-6)


@pytest.mark.parametrize("form", FORMS)
@pytest.mark.parametrize("stop_gradient", [False, True])
@pytest.mark.parametrize("consistency", sorted(CONSISTENCY))
def test_gradients_by_finite_differences(consistency, stop_gradient, form):
    """In the direction of one copy: a stopped target must not contribute, others must."""
    if stop_gradient and consistency == "js":
        pytest.skip("refused")
    loss = RDropLoss(1.0, consistency=consistency, stop_gradient=stop_gradient, form=form)
    logits, _ = labelled_logits(3, 4, 5)
    z = logits.detach().numpy().astype(np.float64)
    loss.unlabelled(logits).backward()
    direction = np.random.default_rng(1).normal(size=z.shape)
    step = 1e-5

    def value(moved: np.ndarray, target: np.ndarray) -> float:
        """Returns the term in float64, for targets and predictions that may be different arrays."""
        return _reference(consistency, form, target, moved)

    fixed = z if stop_gradient else None
    up, down = z + step * direction, z - step * direction
    slope = (
        value(up, up if fixed is None else fixed) - value(down, down if fixed is None else fixed)
    ) / (2 * step)
    assert (logits.grad.numpy() * direction).sum() == pytest.approx(slope, rel=1e-4, abs=1e-6)


def _divergence(p: np.ndarray, q: np.ndarray) -> np.ndarray:
    return (p * np.log(p / q)).sum(-1)


def _cosine(z: np.ndarray, w: np.ndarray) -> np.ndarray:
    return (z * w).sum(-1) / np.linalg.norm(z, axis=-1) / np.linalg.norm(w, axis=-1)


def _pairs(copies: np.ndarray) -> list[tuple[int, int]]:
    return list(itertools.permutations(range(len(copies)), 2))


# The definition of each measure in float64, a list of which the mean is taken: of the probabilities
# p of the targets and q of the other copies, and of their logits z and w, all (m, B, C).
_REFERENCES = {
    "symmetric_kl": lambda p, q, z, w: [_divergence(p[i], q[j]) for i, j in _pairs(p)],
    "kl": lambda p, q, z, w: [_divergence(p[i], q[j]) for i, j in _pairs(p) if i < j],
    "js": lambda p, q, z, w: [_divergence(one, q.mean(0)) for one in p],
    "mse": lambda p, q, z, w: [(z[i] - w[j]) ** 2 for i, j in _pairs(p)],
    "cosine": lambda p, q, z, w: [1 - _cosine(z[i], w[j]) for i, j in _pairs(p)],
}


def test_every_measure_has_a_reference():
    assert _REFERENCES.keys() == CONSISTENCY.keys(), "add its definition to _REFERENCES above"


def _reference(consistency: str, form: str, target: np.ndarray, other: np.ndarray) -> float:
    def probabilities(z):
        if form == "softmax":
            return np.exp(z) / np.exp(z).sum(-1, keepdims=True)
        return np.stack([1 / (1 + np.exp(-z)), 1 / (1 + np.exp(z))], -1)

    if consistency not in _REFERENCES:
        pytest.skip("without a reference")
    measure = _REFERENCES[consistency]
    return float(np.mean(measure(probabilities(target), probabilities(other), target, other)))


def test_cosub():
    """As in its code, the terms count a quarter each.

    They are the BCE of each copy with the labels, and with the other copy's stopped sigmoid.
    """
    logits, labels = labelled_logits(2, 6, 5)
    targets = paddle.nn.functional.one_hot(labels, 5)
    bce = paddle.nn.functional.binary_cross_entropy_with_logits
    first, second = logits[0], logits[1]
    cosub = 0.25 * (
        bce(first, targets)
        + bce(second, targets)
        + bce(first, paddle.nn.functional.sigmoid(second.detach()))
        + bce(second, paddle.nn.functional.sigmoid(first.detach()))
    )
    cosub.backward()
    expected = logits.grad.numpy()
    logits.clear_gradient()
    (RDropLoss(1.0, stop_gradient=True, form="sigmoid")(logits, labels).total / 2).backward()
    np.testing.assert_allclose(logits.grad.numpy(), expected, atol=1e-6 * np.abs(expected).max())


def test_soft_labels_by_hand():
    """Label smoothing, mixup, CutMix: cross-entropy with a distribution, the same for each copy."""
    targets = paddle.to_tensor([[0.75, 0.25]])
    ce = RDropLoss()(paddle.to_tensor(_HALVES), targets).ce.item()
    first = math.log(2)
    second = -0.75 * math.log(3 / 4) - 0.25 * math.log(1 / 4)
    assert ce == pytest.approx((first + second) / 2, rel=1e-6)


def test_binary_cross_entropy_by_hand():
    ce = RDropLoss(form="sigmoid")(
        paddle.to_tensor([[[math.log(3), 0.0]]]), paddle.to_tensor([0])
    ).ce.item()
    assert ce == pytest.approx((-math.log(3 / 4) + math.log(2)) / 2, rel=1e-6)


@pytest.mark.parametrize("preset", sorted(PRESETS))
def test_a_mask_hides_samples(preset):
    """It also hides them from the sums of the published code."""
    logits, labels = labelled_logits(2, 4, 3)
    loss, mask = RDropLoss(0.3, preset), paddle.to_tensor([True, False, True, False])
    expected = loss(logits[:, ::2], labels[::2]).total.item()
    assert loss(logits, labels, mask=mask).total.item() == pytest.approx(expected, rel=1e-6)
    numbers = mask.astype("float32")
    assert loss.unlabelled(logits, numbers).item() == pytest.approx(
        loss.unlabelled(logits[:, ::2]).item(), rel=1e-6
    )


@pytest.mark.parametrize("form", FORMS)
@pytest.mark.parametrize("consistency", sorted(CONSISTENCY))
def test_a_mask_hides_padding(consistency, form):
    """The loss of sequences `(m, B, T, C)` is that of their valid places alone."""
    logits, labels = labelled_logits(2, 12, 5)
    valid = np.array([[1, 1, 1, 0], [1, 0, 0, 0], [1, 1, 1, 1]], bool)
    values = logits.detach().numpy().reshape(2, 3, 4, 5)
    values[:, ~valid] = np.nan
    padded = np.where(valid, labels.numpy().reshape(3, 4), -100)
    sequence = paddle.to_tensor(values, stop_gradient=False)
    loss = RDropLoss(2.0, consistency=consistency, form=form)
    terms = loss(sequence, paddle.to_tensor(padded), mask=paddle.to_tensor(valid))
    flat = paddle.to_tensor(values[:, valid], stop_gradient=False)
    expected = loss(flat, paddle.to_tensor(padded[valid]))
    for found, wanted in zip(terms, expected):
        assert found.item() == pytest.approx(wanted.item(), rel=1e-5)
    terms.total.backward()
    expected.total.backward()
    gradient = sequence.grad.numpy()
    assert (gradient[:, ~valid] == 0).all()
    np.testing.assert_allclose(gradient[:, valid], flat.grad.numpy(), rtol=1e-4, atol=1e-7)


def test_a_mask_with_soft_labels_of_samples_and_one_that_hides_everything():
    logits, _ = labelled_logits(2, 4, 3)
    targets = paddle.nn.functional.softmax(paddle.randn([4, 3]))
    mask = paddle.to_tensor([True, False, True, False])
    found = RDropLoss()(logits, targets, mask=mask)
    expected = RDropLoss()(logits[:, ::2], targets[::2])
    assert found.total.item() == pytest.approx(expected.total.item(), rel=1e-6)
    assert RDropLoss()(logits, targets, mask=paddle.zeros([4], "bool")).total.item() == 0


def test_heads_are_averaged_over_and_share_their_label():
    logits, labels = labelled_logits(2, 4, 3)
    heads = paddle.stack([logits, 2 * logits], axis=2)  # (m, B, 2, C)
    found = RDropLoss(3.0)(heads, labels)
    each = [RDropLoss(3.0)(one, labels) for one in (logits, 2 * logits)]
    for name in found._fields:
        expected = sum(getattr(terms, name).item() for terms in each) / 2
        assert getattr(found, name).item() == pytest.approx(expected, rel=1e-6)


def test_labels_in_a_column():
    logits, labels = labelled_logits(2, 4, 3)
    assert (
        RDropLoss()(logits, labels.unsqueeze(1)).total.item()
        == RDropLoss()(logits, labels).total.item()
    )


def test_other_integers_are_labels_too():
    logits, labels = labelled_logits(2, 4, 3)
    for dtype in ("uint8", "int16", "int32"):
        assert (
            RDropLoss()(logits, labels.astype(dtype)).total.item()
            == RDropLoss()(logits, labels).total.item()
        )


def test_no_labels():
    with pytest.raises(ValueError, match=r"logits have shape \[4, 3\], expected \(m, B, C\)"):
        RDropLoss().unlabelled(paddle.randn([4, 3]))
    logits, labels = labelled_logits(3, 4, 5)
    assert RDropLoss().unlabelled(logits).item() == RDropLoss()(logits, labels).kl.item()


@pytest.mark.parametrize("dtype", ["bfloat16", "float16"])
def test_half_precision_is_taken_up_before_the_softmax(dtype):
    logits, labels = labelled_logits(2, 16, 50)
    half = logits.detach().astype(dtype)
    assert (
        RDropLoss()(half, labels).total.item()
        == RDropLoss()(half.astype("float32"), labels).total.item()
    )
    large = paddle.to_tensor([[[60.0, 0.0]], [[-60.0, 0.0]]]).astype(dtype)
    assert RDropLoss()(large, paddle.to_tensor([0])).total.item() == pytest.approx(
        30 + 60, rel=1e-2
    )


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"consistency": "l1"}, "consistency is 'l1', expected one of symmetric_kl"),
        ({"precision": "float16"}, "precision is 'float16', expected one of float64"),
        ({"form": "hinge"}, "form is 'hinge', expected one of softmax"),
        ({"temperature": 0.0}, "temperature is 0.0, expected 0.001 to 1000"),
        ({"temperature": 1e200}, "expected 0.001 to 1000"),
        ({"alpha": math.nan}, "alpha is nan, expected 0 or more"),
        ({"temperature": 2.0, "consistency": "mse"}, "consistency=mse has none"),
        ({"stop_gradient": True, "consistency": "js"}, "changes nothing"),
    ],
)
def test_options_that_make_no_sense(options, message):
    with pytest.raises(ValueError, match=message):
        RDropLoss(**options)


@pytest.mark.parametrize("shape", [(), (3,), (4, 2), (2, 4)])
def test_labels_that_do_not_fit(shape):
    logits, _ = labelled_logits(2, 4, 3)
    with pytest.raises(ValueError, match=r"expected \(m, B, C\) with"):
        RDropLoss()(logits, paddle.zeros(list(shape), "int64"))
