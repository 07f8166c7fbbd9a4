"""The curve of a learning rate range test: what it suggests, in words and as a picture.

Sources: Smith, arXiv:1506.01186 (the test); Gugger, "How do you find a good learning rate" (2018),
and fastai: a loss smoothed by a bias-corrected exponential average, an early stop at 4 times the
best loss, and the two suggestions. Changed from them: the average is over about 10 losses, not 50.
Of 100 steps over 6 decades 50 are half of the curve, and move the minimum to higher rates. And
nothing is suggested where the curve has no answer.
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
DIVERGED = 4.0  # times the best smoothed loss
_BETA = 0.9  # of the exponential average
_SKIPPED = 0.1  # share of the steps at the start whose average is of too few losses
_LEAST_FALL = 10.0  # standard errors of the smoothed loss by which it must fall to say anything
_LEAST_RISE = 0.5  # share of its fall by which it must rise again after its minimum


class Curve(NamedTuple):
    """The rates of the steps, and their losses as they were and smoothed, in nats."""

    rates: list[float]
    losses: list[float]
    smoothed: list[float]


class Suggestion(NamedTuple):
    """What a curve suggests.

    `steepest` is the rate at which the smoothed loss falls fastest over the logarithm of the rate.
    `tenth_of_lowest` is a tenth of the rate of its minimum. `lr` is the smaller of the two; None
    where the curve has no answer. `cautions` say why.
    """

    lr: float | None
    steepest: float
    tenth_of_lowest: float
    cautions: list[str]


def growing_rates(lowest: float, highest: float, steps: int) -> list[float]:
    """Returns rates with equal ratios, including both ends."""
    return [lowest * (highest / lowest) ** (step / (steps - 1)) for step in range(steps)]


def range_test(rates: Sequence[float], train_step: Callable[[float], float]) -> Curve:
    """Takes a step at each rate until the loss diverges.

    Args:
        rates: growing.
        train_step: takes a step at a rate and returns its loss.
    """
    curve, average = Curve([], [], []), 0.0
    for steps_done, rate in enumerate(rates, start=1):
        loss = train_step(rate)
        if not math.isfinite(loss):
            break
        average = _BETA * average + (1 - _BETA) * loss
        for values, value in zip(curve, (rate, loss, average / (1 - _BETA**steps_done))):
            values.append(value)
        if curve.smoothed[-1] > DIVERGED * min(curve.smoothed):
            break
    return curve


def suggest(curve: Curve, stopped_early: bool) -> Suggestion:
    """Reads the rate off a curve.

    Args:
        curve: of `range_test`.
        stopped_early: whether the loss diverged before the last rate.

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
    # After its minimum a loss may fall from where it had diverged to.
    slopes = np.gradient(smoothed, np.log(rates))[: lowest + 1]
    steepest, tenth = float(rates[slopes.argmin()]), float(rates[lowest] / 10)
    # The first loss is before any step at any rate.
    fall, cautions = min(curve.losses[0], smoothed[0]) - smoothed[lowest], []
    if lowest == 0 or fall <= 0:
        cautions.append("the loss is lowest at the start: set --lowest lower")
    elif fall < _LEAST_FALL * _standard_error(curve.losses):
        cautions.append(
            f"the loss fell by {fall:.2g}, no more than its noise: set more --steps, or --highest "
            "higher"
        )
    lr = None if cautions else min(steepest, tenth)
    if not stopped_early and smoothed[-1] - smoothed[lowest] < _LEAST_RISE * fall:
        cautions.append(
            "the loss never got away, so the best rate may be higher: set --highest higher"
        )
    return Suggestion(lr, steepest, tenth, cautions)


def _standard_error(losses: Sequence[float]) -> float:
    """Returns that of an exponential average of the losses.

    Their noise is that of the median change from one to the next.
    """
    noise_of_change = 1.4826 * float(np.median(np.abs(np.diff(losses))))
    return noise_of_change / math.sqrt(2) * math.sqrt((1 - _BETA) / (1 + _BETA))


def describe(
    curve: Curve, found: Suggestion, steps: int, global_batch: int, reference: int = 0
) -> list[str]:
    """Returns the lines for people: what was done, what it means, and what to set.

    Args:
        curve: of the test.
        found: what `suggest` read off it.
        steps: planned.
        global_batch: of a step, for which the answer is.
        reference: the batch that the config's own rate was chosen for; 0: not known.
    """
    rates, smoothed = curve.rates, curve.smoothed
    lines = [
        f"tried: {len(rates)} of {steps} steps of {global_batch} images, rates {rates[0]:.2g} to "
        f"{rates[-1]:.2g}, smoothed loss {smoothed[0]:.3g}, lowest {min(smoothed):.3g}, last "
        f"{smoothed[-1]:.3g}",
        f"steepest descent at a rate of {found.steepest:.2g}",
        f"lowest loss at {10 * found.tenth_of_lowest:.2g}, a tenth of which is "
        f"{found.tenth_of_lowest:.2g}",
        *(f"caution: {caution}" for caution in found.cautions),
    ]
    if found.lr is None:
        return [*lines, "no suggestion: the curve gives no clear answer"]
    fields = f"--config.optim.lr={found.lr:.2g}"
    if reference not in (0, global_batch):
        fields += f" --config.train.reference_batch_size={global_batch}"
    return [*lines, f"suggestion, the smaller of the two: {fields}"]


def draw(curve: Curve, found: Suggestion, path: Path) -> None:
    """Draws the losses over the rates."""
    from matplotlib.figure import Figure  # half a second to import, and only needed at the end

    figure = Figure(figsize=(7, 4), layout="constrained")
    axes = figure.subplots()
    axes.plot(curve.rates, curve.losses, alpha=0.3, label="loss of a step")
    axes.plot(curve.rates, curve.smoothed, label="smoothed")
    if found.lr:
        axes.axvline(found.lr, color="black", linestyle="--", label=f"suggestion {found.lr:.2g}")
    lowest, start = min(curve.smoothed), curve.smoothed[0]
    margin = 0.5 * (start - lowest) + 0.02 * start  # a loss that diverges would hide the valley
    axes.set(
        title="learning rate range test",
        xlabel="learning rate",
        ylabel="loss in nats",
        xscale="log",
        ylim=(lowest - margin, start + 2 * margin),
    )
    axes.grid(alpha=0.3)
    axes.legend()
    with atomic_path(path) as temporary:
        figure.savefig(temporary, dpi=120)
