"""Whether a figure was reproduced: pure functions of the published value and of our runs.

All values are top-1 in percent. With m the mean over our n seeds, s their sample standard
deviation, p the published value and N the number of test images:

    noise       m to the upper end of the 95 % Wilson interval of m over N images
    interval    m +- t(0.975, n - 1) s / sqrt(n), for 3 seeds or more. It counts only where its half
                width is at most the noise: seeds that differ by more than images explain are
                no evidence for p
    spread      the largest of: the noise; twice the published standard deviation; the distance from
                p to the lowest of the published repeats; twice s, where the interval counts

    reproduced          m is p or more, to the rounding of p; or the interval counts and holds p
    within the spread   p - m is at most the spread
    not                 p - m is more

Several seeds have the same test images, so more seeds make the interval smaller, but not the noise.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from typing import Any

from scipy import stats

from measures.intervals import wilson
from tools.reproduction.published.kinds import Published

REPRODUCED, WITHIN, NOT, NO_VALUE = "reproduced", "within the spread", "not", "no value"
LEVEL = 0.95
_LEAST_SEEDS = 3


@dataclass(frozen=True)
class Verdict:
    """What our runs say about a published value; all in percent.

    Attributes:
        kind: `REPRODUCED`, `WITHIN`, `NOT`, or `NO_VALUE`: nothing is published.
        mean: of our seeds.
        deviation: their sample standard deviation; None for one seed.
        interval: of the mean; None for fewer than three seeds.
        counts: whether the interval counts.
        noise: of the test images, upwards.
        spread: the largest distance below the published value that is within it.
        gap: published less ours; None where nothing is published.
        seeds: how many.
    """

    kind: str
    mean: float
    deviation: float | None
    interval: tuple[float, float] | None
    counts: bool
    noise: float
    spread: float
    gap: float | None
    seeds: int

    def as_dict(self) -> dict[str, Any]:
        """Returns it for JSON."""
        return asdict(self)


def judge(published: Published, top1s: Sequence[float], images: int) -> Verdict:
    """Compares our runs with a published value.

    Args:
        published: the value and what is known of its spread.
        top1s: of our seeds, in percent.
        images: number of test images.

    Raises:
        ValueError: for no seed or no image.
    """
    if not top1s or images < 1:
        raise ValueError(f"{len(top1s)} seeds and {images} images; expected 1 or more of both")
    count, mean = len(top1s), math.fsum(top1s) / len(top1s)
    noise = _noise(mean, images)
    deviation = _deviation(top1s) if count > 1 else None
    half = _half_width(deviation, count)
    counts = half is not None and half <= noise
    spread = _spread(published, noise, deviation if counts else None)
    gap = None if published.value is None else published.value - mean
    return Verdict(
        kind=_kind(published, gap, half if counts else None, spread),
        mean=mean,
        deviation=deviation,
        interval=None if half is None else (mean - half, mean + half),
        counts=counts,
        noise=noise,
        spread=spread,
        gap=gap,
        seeds=count,
    )


def describe(verdict: Verdict, published: Published) -> str:
    """Returns the line of a verdict."""
    seeds = f"{verdict.seeds} seed" + ("s" if verdict.seeds > 1 else "")
    ours = f"{verdict.mean:.2f} %"
    if verdict.deviation is not None:
        ours = f"{verdict.mean:.2f} +- {verdict.deviation:.2f} %"
    if verdict.gap is None:
        return f"no value to compare with: ours is {ours} ({seeds}); {published.source}"
    words = {
        REPRODUCED: "reproduced",
        WITHIN: "within the spread",
        NOT: f"not reproduced, {verdict.gap - verdict.spread:.2f} points beyond the spread",
    }
    side = "below" if verdict.gap > 0 else "above"
    return (
        f"{words[verdict.kind]}: ours is {ours} ({seeds}), published {published.text} %, "
        f"{abs(verdict.gap):.2f} points {side}; {_evidence(verdict)}"
    )


def _evidence(verdict: Verdict) -> str:
    """Returns how exactly our value is known."""
    known = f"the spread is {verdict.spread:.2f} points, the test images alone {verdict.noise:.2f}"
    if verdict.interval is None:
        return f"{known}; fewer than {_LEAST_SEEDS} seeds give no interval"
    low, high = verdict.interval
    interval = f"95 % interval of the mean {low:.2f} to {high:.2f}"
    if not verdict.counts:
        return f"{known}; the seeds differ too much for their {interval} to count"
    return f"{known}, {interval}"


def _kind(published: Published, gap: float | None, half: float | None, spread: float) -> str:
    if gap is None:
        return NO_VALUE
    rounding = 0.5 * 10.0**-published.digits
    if gap <= max(rounding, half or 0.0):
        return REPRODUCED
    return WITHIN if gap <= spread else NOT


def _noise(mean: float, images: int) -> float:
    hits = min(images, max(0, round(mean / 100 * images)))
    return 100 * wilson(hits, images, LEVEL)[1] - 100 * hits / images


def _deviation(values: Sequence[float]) -> float:
    mean = math.fsum(values) / len(values)
    return math.sqrt(math.fsum((value - mean) ** 2 for value in values) / (len(values) - 1))


def _half_width(deviation: float | None, count: int) -> float | None:
    if deviation is None or count < _LEAST_SEEDS:
        return None
    return float(stats.t.ppf((1 + LEVEL) / 2, count - 1)) * deviation / math.sqrt(count)


def _spread(published: Published, noise: float, deviation: float | None) -> float:
    lowest = min((value for value, _ in published.repeats), default=published.value or 0.0)
    return max(
        noise,
        2 * published.deviation,
        (published.value or 0.0) - lowest,
        2 * (deviation or 0.0),
    )
