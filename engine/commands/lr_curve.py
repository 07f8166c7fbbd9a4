"""The curve of a learning rate range test: what it suggests, in words and as a picture.

Sources: Smith, arXiv:1506.01186 (the test); Gugger, "How do you find a good learning rate" (2018),
and fastai: a loss smoothed by a bias-corrected exponential average, an early stop at 4 times the
best loss, and the two suggestions. Changed from them: the average is over some 10 losses, not 50,
which of 100 steps over 6 decades is half, and moves the minimum to higher rates; and nothing is
suggested where the curve does not answer.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import NamedTuple

import numpy as np

from common.atomic_writing import atomic_path
from common.errors import UserError

LEAST_STEPS = 20
_BETA = 0.9  # of the exponential average
DIVERGED = 4.0  # times the best smoothed loss
_SKIPPED = 0.1  # share of the steps at the start whose average is of too few losses
_LEAST_FALL = 10.0  # standard errors of the smoothed loss by which it must fall to say anything
_LEAST_RISE = 0.5  # share of its fall by which it must rise again behind its minimum


class Curve(NamedTuple):
    """The rates of the steps, and their losses as they were and smoothed, in nats."""

    rates: list[float]
    losses: list[float]
    smoothed: list[float]


class Suggestion(NamedTuple):
    """What a curve says.

    `lr` is the smaller of `steepest`, where the smoothed loss falls fastest over the logarithm of
    the rate, and `tenth_of_lowest`, a tenth of the rate of its minimum; None where the curve has no
    answer. `cautions` say why.
    """

    lr: float | None
    steepest: float
    tenth_of_lowest: float
    cautions: list[str]


def growing_rates(lowest: float, highest: float, steps: int) -> list[float]:
    """Rates at equal ratios, both ends included."""
    return [lowest * (highest / lowest) ** (step / (steps - 1)) for step in range(steps)]


def range_test(rates: Sequence[float], train_step: Callable[[float], float]) -> Curve:
    """Take a step at each rate until the loss gets away.

    Args:
        rates: growing.
        train_step: takes a step at a rate and gives its loss.
    """
    curve, average, best = Curve([], [], []), 0.0, math.inf
    for step, rate in enumerate(rates, start=1):
        loss = train_step(rate)
        if not math.isfinite(loss):
            break
        average = _BETA * average + (1 - _BETA) * loss
        smoothed = average / (1 - _BETA**step)
        for values, value in zip(curve, (rate, loss, smoothed)):
            values.append(value)
        best = min(best, smoothed)
        if smoothed > DIVERGED * best:
            break
    return curve


def suggest(curve: Curve, stopped_early: bool) -> Suggestion:
    """Read the rate off a curve.

    Args:
        curve: of `range_test`.
        stopped_early: whether the loss got away before the last rate.

    Raises:
        UserError: when it has too few points.
    """
    if len(curve.rates) < LEAST_STEPS // 2:
        last = f", at a rate of {curve.rates[-1]:g}" if curve.rates else ""
        raise UserError(
            f"the loss got away after {len(curve.rates)} steps{last}: set --lowest lower"
        )
    first = int(_SKIPPED * len(curve.rates))
    rates, smoothed = np.array(curve.rates[first:]), np.array(curve.smoothed[first:])
    lowest = int(smoothed.argmin())
    slopes = np.gradient(smoothed, np.log(rates))[
        : lowest + 1
    ]  # behind it a loss may fall from where it got away to
    steepest, tenth = float(rates[slopes.argmin()]), float(rates[lowest] / 10)
    fall = (
        min(curve.losses[0], smoothed[0]) - smoothed[lowest]
    )  # the first loss is before any step at any rate
    cautions = []
    if lowest == 0 or fall <= 0:
        cautions.append("the loss is lowest at the start: set --lowest lower")
    elif fall < _LEAST_FALL * _standard_error(curve.losses):
        cautions.append(
            f"the loss fell by {fall:.2g}, no more than its noise: set more --steps, or --highest higher"
        )
    clear = not cautions
    if not stopped_early and smoothed[-1] - smoothed[lowest] < _LEAST_RISE * fall:
        cautions.append(
            "the loss never got away, so the best rate may be higher: set --highest higher"
        )
    return Suggestion(min(steepest, tenth) if clear else None, steepest, tenth, cautions)


def _standard_error(losses: Sequence[float]) -> float:
    """Of an exponential average of the losses; their noise is that of the median change from one to
    the next.
    """
    noise_of_change = 1.4826 * float(np.median(np.abs(np.diff(losses))))
    return noise_of_change / math.sqrt(2) * math.sqrt((1 - _BETA) / (1 + _BETA))


def describe(
    curve: Curve, found: Suggestion, steps: int, global_batch: int, reference: int = 0
) -> list[str]:
    """The lines for people: what was done, what it means, and what to set.

    Args:
        curve: of the test.
        found: what `suggest` read off it.
        steps: planned.
        global_batch: of a step, for which the answer is.
        reference: the batch that the config's own rate was chosen for; 0: not known.
    """
    lowest = min(curve.smoothed)
    lines = [
        f"tried: {len(curve.rates)} of {steps} steps of {global_batch} images, "
        f"rates {curve.rates[0]:.2g} to {curve.rates[-1]:.2g}, smoothed loss {curve.smoothed[0]:.3g}, "
        f"lowest {lowest:.3g}, last {curve.smoothed[-1]:.3g}",
        f"steepest descent at a rate of {found.steepest:.2g}",
        f"lowest loss at {10 * found.tenth_of_lowest:.2g}, a tenth of which is {found.tenth_of_lowest:.2g}",
        *(f"caution: {caution}" for caution in found.cautions),
    ]
    if found.lr is None:
        return [*lines, "no suggestion: the curve gives no clear answer"]
    batch = (
        f" --config.train.reference_batch_size={global_batch}"
        if reference not in (0, global_batch)
        else ""
    )
    return [*lines, f"suggestion, the smaller of the two: --config.optim.lr={found.lr:.2g}{batch}"]


def draw(curve: Curve, found: Suggestion, path: Path) -> None:
    """Draw the losses over the rates."""
    from matplotlib.figure import Figure  # half a second to import, and only needed at the end

    figure = Figure(figsize=(7, 4), layout="constrained")
    axes = figure.subplots()
    axes.plot(curve.rates, curve.losses, alpha=0.3, label="loss of a step")
    axes.plot(curve.rates, curve.smoothed, label="smoothed")
    if found.lr:
        axes.axvline(found.lr, color="black", linestyle="--", label=f"suggestion {found.lr:.2g}")
    axes.set(
        title="learning rate range test",
        xlabel="learning rate",
        ylabel="loss in nats",
        xscale="log",
    )
    lowest, start = min(curve.smoothed), curve.smoothed[0]
    margin = 0.5 * (start - lowest) + 0.02 * start  # a loss that gets away would hide the valley
    axes.set_ylim(lowest - margin, start + 2 * margin)
    axes.grid(alpha=0.3)
    axes.legend()
    with atomic_path(path) as temporary:
        figure.savefig(temporary, dpi=120)
