"""Distillation against numbers by hand, its gradient in closed form, and PyTorch (slow)."""

from __future__ import annotations

import math

import numpy as np
import paddle
import pytest

from losses import DistillationLoss


def _random(copies: int = 2, batch: int = 6, classes: int = 5):
    rng = np.random.default_rng(0)
    student = paddle.to_tensor(
        rng.normal(0, 2, (copies, batch, classes)).astype("float32"), stop_gradient=False
    )
    return student, paddle.to_tensor(
        rng.normal(0, 2, (batch, classes)).astype("float32"), stop_gradient=False
    )


def _softmax(logits: np.ndarray) -> np.ndarray:
    return np.exp(logits) / np.exp(logits).sum(axis=-1, keepdims=True)


def test_soft_by_hand():
    """T^2 KL(teacher || student) at T = 2.

    The teacher has (3/4, 1/4), the two copies (1/2, 1/2) and (1/5, 4/5).
    """
    teacher = paddle.to_tensor([[2 * math.log(3), 0.0]])
    student = paddle.to_tensor([[[0.0, 0.0]], [[0.0, 2 * math.log(4)]]])
    first = 0.75 * math.log(0.75 / 0.5) + 0.25 * math.log(0.25 / 0.5)
    second = 0.75 * math.log(0.75 / 0.2) + 0.25 * math.log(0.25 / 0.8)
    assert DistillationLoss("soft", 2.0)(student, teacher).item() == pytest.approx(
        2 * (first + second), rel=1e-6
    )


def test_hard_by_hand():
    """The teacher's first class is 1, for any margin and temperature."""
    student = paddle.to_tensor([[[0.0, 0.0]], [[0.0, math.log(4)]]])
    expected = 0.5 * (math.log(2) - math.log(0.8))
    for margin, temperature in ((0.1, 1.0), (9.0, 5.0)):
        loss = DistillationLoss("hard", temperature)(student, paddle.to_tensor([[0.0, margin]]))
        assert loss.item() == pytest.approx(expected, rel=1e-6)


@pytest.mark.parametrize("temperature", [1.0, 3.0])
def test_gradient_in_closed_form(temperature):
    """d soft / d z_i = T (softmax(z_i / T) - softmax(v / T)) / (m B), and none for the teacher."""
    student, teacher = _random()
    DistillationLoss("soft", temperature)(student, teacher).backward()
    z, v = (
        logits.detach().numpy().astype(np.float64) / temperature for logits in (student, teacher)
    )
    expected = temperature * (_softmax(z) - _softmax(v)) / 12
    np.testing.assert_allclose(student.grad.numpy(), expected, rtol=1e-5, atol=1e-8)
    assert teacher.grad is None


def test_no_gradient_reaches_the_teacher_of_hard_either():
    student, teacher = _random()
    DistillationLoss("hard")(student, teacher).backward()
    assert teacher.grad is None


def test_logits_and_log_probabilities_are_the_same_input():
    """A constant added to all logits of an image changes nothing.

    A student that agrees with the teacher has no loss.
    """
    student, teacher = _random()
    loss = DistillationLoss()
    log_probs = paddle.to_tensor(np.log(_softmax(teacher.numpy().astype(np.float64))))
    assert loss(student, log_probs).item() == pytest.approx(loss(student, teacher).item(), rel=1e-6)
    same = paddle.stack([teacher.detach() + 7, teacher.detach()])
    same.stop_gradient = False
    value = loss(same, teacher)
    value.backward()
    assert value.item() == pytest.approx(0, abs=1e-9)
    assert same.grad.abs().max().item() < 1e-7


@pytest.mark.parametrize("kind", ["soft", "hard"])
def test_a_mean_over_copies_and_samples(kind):
    student, teacher = _random()
    loss = DistillationLoss(kind)
    single = [
        loss(student[i, j : j + 1], teacher[j : j + 1]).item() for i in (0, 1) for j in range(6)
    ]
    assert loss(student, teacher).item() == pytest.approx(np.mean(single), rel=1e-6)


def test_extreme_logits():
    far = paddle.to_tensor([[[-300.0, 300.0]]], stop_gradient=False)
    value = DistillationLoss("soft", 1.0)(far, paddle.to_tensor([[300.0, -300.0]]))
    value.backward()
    assert value.item() == pytest.approx(600, rel=1e-6)
    assert np.isfinite(far.grad.numpy()).all()


def test_what_does_not_fit():
    student, teacher = _random()
    with pytest.raises(ValueError, match="expected one of soft, hard"):
        DistillationLoss("warm")
    with pytest.raises(ValueError, match="temperature is 0.0"):
        DistillationLoss("soft", 0.0)
    for one, other in ((student, teacher[:1]), (student, student), (student[:, :, :1], teacher)):
        with pytest.raises(ValueError, match="expected \\(m, B, C\\) and \\(B, C\\)"):
            DistillationLoss()(one, other)


@pytest.mark.slow
@pytest.mark.parametrize("temperature", [1.0, 3.0])
def test_live(temperature):
    """PyTorch's `kl_div` takes logarithms: of the input and, with `log_target`, of the target.

    Its first argument is the student.
    """
    torch = pytest.importorskip("torch")
    student, teacher = _random(copies=1, batch=9, classes=7)
    z, v = (torch.tensor(logits.numpy(), dtype=torch.float64) for logits in (student[0], teacher))
    z.requires_grad_()
    soft = torch.nn.functional.kl_div(
        torch.log_softmax(z / temperature, 1),
        torch.log_softmax(v / temperature, 1),
        reduction="batchmean",
        log_target=True,
    )
    for kind, expected in (
        ("soft", soft * temperature**2),
        ("hard", torch.nn.functional.cross_entropy(z, v.argmax(1))),
    ):
        z.grad = None
        expected.backward(retain_graph=True)
        student.clear_gradient()
        found = DistillationLoss(kind, temperature)(student, teacher)
        found.backward()
        assert found.item() == pytest.approx(expected.item(), rel=1e-6)
        np.testing.assert_allclose(student.grad[0].numpy(), z.grad.numpy(), rtol=1e-5, atol=1e-8)
