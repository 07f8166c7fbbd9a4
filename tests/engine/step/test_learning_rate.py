"""The learning rate at steps that can be worked out by hand; it never rises again at the end."""

from __future__ import annotations

import pytest

from configs import default
from engine.step.learning_rate import learning_rate


def _rates(schedule: str, steps: int = 110, **fields):
    config = default.get_config().optim
    config.update(schedule=schedule, lr=0.8, warmup_steps=10, **fields)
    return [learning_rate(step, config, steps) for step in range(steps + 20)]


@pytest.mark.parametrize("schedule", ["cosine", "linear", "polynomial", "constant"])
def test_warmup_is_gradual_and_reaches_the_peak(schedule):
    rates = _rates(schedule)
    assert rates[0] == pytest.approx(0.08)
    assert rates[4] == pytest.approx(0.4)
    assert rates[9] == rates[10] == pytest.approx(0.8)


@pytest.mark.parametrize(
    ("schedule", "quarter", "half", "end"),
    [
        ("cosine", 0.6828427, 0.4, 0.0),
        ("linear", 0.6, 0.4, 0.0),
        ("polynomial", 0.45, 0.2, 0.0),
        ("constant", 0.8, 0.8, 0.8),
    ],
)
def test_shapes(schedule, quarter, half, end):
    rates = _rates(schedule, power=2.0)
    assert rates[35] == pytest.approx(quarter)
    assert rates[60] == pytest.approx(half)
    assert rates[110] == pytest.approx(end)


@pytest.mark.parametrize("schedule", ["cosine", "linear", "polynomial"])
def test_final_rate_and_no_rise(schedule):
    rates = _rates(schedule, final_lr=0.1)
    assert all(a >= b for a, b in zip(rates[9:], rates[10:]))
    assert rates[110:] == pytest.approx([0.1] * 20)


def test_no_warmup():
    config = default.get_config().optim
    assert learning_rate(0, config, 10) == config.lr


def test_steps_fall_at_the_milestones_and_never_rise():
    rates = _rates("multi_step", milestones=(30, 60), gamma=0.5)
    assert rates[0] == pytest.approx(0.08)
    assert (rates[29], rates[30], rates[59], rates[60]) == pytest.approx((0.8, 0.4, 0.4, 0.2))
    assert rates[109] == rates[129] == pytest.approx(0.2)
    assert all(a >= b for a, b in zip(rates[9:], rates[10:]))


@pytest.mark.slow
@pytest.mark.parametrize("schedule", ["cosine", "linear", "polynomial", "constant", "multi_step"])
def test_against_pytorch(schedule):
    """Its schedulers after its linear warm-up; PyTorch's first rate is that of our first step."""
    torch = pytest.importorskip("torch")
    scheduler = torch.optim.lr_scheduler
    total, warmup, peak = 50, 10, 0.8
    optimizer = torch.optim.SGD([torch.nn.Parameter(torch.zeros(1))], lr=peak)
    after = {
        "cosine": lambda: scheduler.CosineAnnealingLR(optimizer, total - warmup),
        "linear": lambda: scheduler.LinearLR(optimizer, 1.0, 0.0, total - warmup),
        "polynomial": lambda: scheduler.PolynomialLR(optimizer, total - warmup, power=2.0),
        "constant": lambda: scheduler.ConstantLR(optimizer, 1.0),
        "multi_step": lambda: scheduler.MultiStepLR(optimizer, [10, 25], gamma=0.3),
    }[schedule]
    first = scheduler.LinearLR(optimizer, 1 / warmup, 1.0, warmup - 1)
    joined = scheduler.SequentialLR(optimizer, [first, after()], [warmup])
    config = default.get_config().optim
    config.update(schedule=schedule, lr=peak, warmup_steps=warmup, power=2.0, gamma=0.3)
    if schedule == "multi_step":
        config.milestones = (20, 35)
    for step in range(total):
        assert learning_rate(step, config, total) == pytest.approx(
            optimizer.param_groups[0]["lr"], abs=1e-9
        ), step
        optimizer.step()
        joined.step()
