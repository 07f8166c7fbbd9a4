"""The learning rate at steps that can be worked out by hand; it never rises again at the end."""

from __future__ import annotations

import pytest

from configs import default
from engine.schedules import learning_rate


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
