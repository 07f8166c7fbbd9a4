"""Verdicts with values worked out by hand: one of each kind, and the cases at their borders."""

from __future__ import annotations

import pytest
from conftest import ROOT

from tools.reproduction import verdict
from tools.reproduction.published.figures import FIGURES
from tools.reproduction.published.kinds import Published

_PUBLISHED = Published(93.29, "a paper")
_IMAGES = 10_000
# Of 93.2 % of 10,000 images: the upper end of Wilson's interval is 93.68 (statsmodels 0.14).
_NOISE = 0.48


def _judge(*top1s: float, published: Published = _PUBLISHED, images: int = _IMAGES):
    return verdict.judge(published, top1s, images)


@pytest.mark.parametrize(
    ("top1s", "kind"),
    [
        ((93.29,), verdict.REPRODUCED),  # the very value
        ((94.0,), verdict.REPRODUCED),  # above
        ((93.286,), verdict.REPRODUCED),  # to the rounding of what is published
        # s is 0.1, t(0.975, 2) = 4.303: the half width is 0.248, and 93.2 + 0.248 is above 93.29.
        ((93.1, 93.2, 93.3), verdict.REPRODUCED),
        ((93.2, 93.2), verdict.WITHIN),  # two seeds have no interval, but the noise is 0.48
        ((93.0,), verdict.WITHIN),
        ((92.7,), verdict.NOT),  # 0.59 below
        ((92.69, 92.7, 92.71), verdict.NOT),  # the interval is 92.68 to 92.72
        # One seed has failed: an interval of 62 +- 132 would hold anything, and does not count.
        ((93.2, 93.3, 1.0), verdict.NOT),
    ],
)
def test_kinds(top1s, kind):
    assert _judge(*top1s).kind == kind


def test_the_numbers_of_a_verdict():
    found = _judge(93.1, 93.2, 93.3)
    assert found.mean == pytest.approx(93.2)
    assert found.deviation == pytest.approx(0.1)
    assert found.interval == pytest.approx((93.2 - 0.24841, 93.2 + 0.24841), abs=1e-4)
    assert found.gap == pytest.approx(0.09)
    assert found.noise == pytest.approx(_NOISE, abs=0.005)
    assert found.counts
    assert found.spread == pytest.approx(found.noise)


def test_a_published_spread_is_allowed_twice():
    """76.26 +- 0.09 on 50,000 images, whose noise is 0.37; with +- 0.30 it is 0.60."""
    narrow, wide = (Published(76.26, "a paper", deviation=one, runs=5) for one in (0.09, 0.30))
    assert _judge(75.7, published=narrow, images=50_000).kind == verdict.NOT
    assert _judge(75.7, published=wide, images=50_000).kind == verdict.WITHIN
    assert _judge(75.6, published=wide, images=50_000).kind == verdict.NOT


def test_what_others_reached_is_within_the_spread():
    repeated = Published(93.29, "a paper", repeats=((92.71, "x"), (92.65, "y")))
    assert _judge(92.66, published=repeated).kind == verdict.WITHIN
    assert _judge(92.60, published=repeated).kind == verdict.NOT
    assert _judge(92.60, published=repeated).spread == pytest.approx(0.64)


def test_seeds_that_differ_widen_the_spread_only_as_far_as_images_explain():
    """s = 0.19 counts (0.47 <= 0.48), twice it is less than the noise; s = 0.4 does not count."""
    assert _judge(93.01, 93.2, 93.39).counts
    assert not _judge(92.8, 93.2, 93.6).counts


def test_a_value_with_one_digit_is_rounded_to_it():
    published = Published(91.1, "a report", digits=1)
    assert _judge(91.06, published=published).kind == verdict.REPRODUCED
    assert _judge(91.04, published=published).kind == verdict.WITHIN


def test_nothing_published():
    found = _judge(50.0, published=Published(None, "states none"))
    assert (found.kind, found.gap) == (verdict.NO_VALUE, None)
    line = verdict.describe(found, Published(None, "states none"))
    assert line == "no value to compare with: ours is 50.00 % (1 seed); states none"


@pytest.mark.parametrize("top1", [0.0, 100.0])
def test_ends(top1):
    assert 0 <= _judge(top1).noise < 0.1


@pytest.mark.parametrize(("top1s", "images"), [((), 10), ((50.0,), 0)])
def test_nothing_to_judge(top1s, images):
    with pytest.raises(ValueError, match="expected 1 or more"):
        verdict.judge(_PUBLISHED, top1s, images)


def test_the_line_in_the_docs():
    figure = FIGURES["cifar100_vit_b_384"].published
    line = verdict.describe(_judge(93.1, 93.2, 93.3, published=figure), figure)
    assert f"verdict: {line}\n" in (ROOT / "docs/reproduce.md").read_text(encoding="utf-8")


def test_lines():
    """One of each kind, as a user reads it."""
    lines = {
        one: verdict.describe(_judge(*top1s), _PUBLISHED)
        for one, top1s in {
            "reproduced": (93.1, 93.2, 93.3),
            "above": (93.5,),
            "within": (93.0,),
            "not": (92.0, 92.1),
            "failed": (93.2, 93.3, 1.0),
        }.items()
    }
    assert lines["reproduced"] == (
        "reproduced: ours is 93.20 +- 0.10 % (3 seeds), published 93.29 %, 0.09 points below; the "
        "spread is 0.48 points, the test images alone 0.48, 95 % interval of the mean 92.95 to "
        "93.45"
    )
    assert lines["above"].startswith(
        "reproduced: ours is 93.50 % (1 seed), published 93.29 %, 0.21"
    )
    assert "0.21 points above" in lines["above"]
    assert lines["within"].startswith("within the spread: ours is 93.00 % (1 seed)")
    assert "fewer than 3 seeds give no interval" in lines["within"]
    assert lines["not"].startswith("not reproduced, 0.73 points beyond the spread: ours is 92.05")
    assert "the seeds differ too much" in lines["failed"]
