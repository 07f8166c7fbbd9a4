"""Paired differences to the first setting, by seeds or by test images, with interval and p."""

from __future__ import annotations

import numpy as np

from measures.paired import Difference, same_images, same_seeds
from report.charts.model import Section
from report.looks import Look
from report.pieces import text
from report.runs import Group
from report.tables import Cell, sortable
from report.texts import Words


def differences(groups: list[Group], seen: dict[str, Look]) -> list[list[Difference]]:
    """Returns for each group its differences to the first, the better founded one first.

    Runs with at least two seeds in common are compared by seeds; the first runs of both groups by
    the test images that both models have seen, where the data is the same.
    """
    first = groups[0]
    found: list[list[Difference]] = [[]]
    for group in groups[1:]:
        own, base = group.results("top1"), first.results("top1")
        seeds = sorted(own.keys() & base.keys())
        each: list[Difference] = []
        if len(seeds) > 1:
            each.append(same_seeds(*(np.array([d[seed] for seed in seeds]) for d in (own, base))))
        pair = [seen.get(str(one.runs[0].folder)) for one in (group, first)]
        if pair[0] is not None and pair[1] is not None and _same_data(pair[0], pair[1]):
            each.append(_by_images(pair[0], pair[1]))
        found.append(each)
    return found


def _same_data(one: Look, other: Look) -> bool:
    mine, theirs = one.test.dataset, other.test.dataset
    return mine.classes == theirs.classes and mine.identity() == theirs.identity()


def _by_images(one: Look, other: Look) -> Difference:
    _, mine, theirs = np.intersect1d(one.test.positions, other.test.positions, return_indices=True)
    return same_images(one.test.hits[mine], other.test.hits[theirs])


def _verdict(one: Difference) -> str:
    if one.low > 0:
        return "better"
    return "worse" if one.high < 0 else "undecided"


def section(groups: list[Group], found: list[list[Difference]], words: Words) -> Section:
    """Returns a row for each comparison, and what can't be compared."""
    rows: list[tuple[Cell, ...]] = []
    for group, each in zip(groups[1:], found[1:]):
        for one in each:
            rows.append(
                (
                    text(group.name),
                    (one.mean, f"{100 * one.mean:+.2f}"),
                    f"[{100 * one.low:+.2f}, {100 * one.high:+.2f}]",
                    (one.p, f"{one.p:.3g}"),
                    (one.pairs, f"{one.pairs:,}"),
                    words.html(one.method, seed=group.runs[0].config.seed),
                    words.html(_verdict(one), name=groups[0].name),
                )
            )
    note = f"<p>{words.html('paired_note', name=groups[0].name)}</p>"
    heads = [
        words(key) for key in ("setting", "difference", "interval", "p", "pairs", "test", "reading")
    ]
    table = sortable(heads, rows) if rows else f"<p>{words.html('no_pairs')}</p>"
    return Section(words("paired"), (note, table))
