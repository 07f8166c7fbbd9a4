"""The tables of `val.py`: the interval of a figure, several weights, classes."""

from __future__ import annotations

from collections.abc import Sequence

from engine.commands.class_counts import ClassRow
from engine.results.evaluation import Result
from measures.intervals import wilson


def top1_interval(result: Result) -> tuple[float, float]:
    """Returns Wilson's 95 % interval of top-1, fractions."""
    return wilson(round(result.top1 * result.seen), result.seen)


def interval_line(result: Result) -> str:
    """Returns the interval in words."""
    low, high = top1_interval(result)
    return f"top-1 is {100 * low:.2f} to {100 * high:.2f} % with 95 % confidence (Wilson)"


def several(rows: Sequence[tuple[str, Result]]) -> str:
    """Returns the results of several weights, a row for each."""
    lines = ["  images    top-1     95 % interval    top-5     loss      ECE  images/s  weights"]
    for path, result in rows:
        low, high = (100 * end for end in top1_interval(result))
        top5 = "-" if result.top5 is None else f"{100 * result.top5:.2f}%"
        skipped = f" ({result.skipped} damaged images skipped)" if result.skipped else ""
        lines.append(
            f"{result.seen:8,} {100 * result.top1:7.2f}%  {low:6.2f} to {high:6.2f}% {top5:>8} "
            f"{result.loss:8.4f} {100 * result.ece:7.2f}% {result.images_per_second:9,.1f}  "
            f"{path}{skipped}"
        )
    return "\n".join(lines)


def by_class(rows: Sequence[ClassRow]) -> str:
    """Returns the accuracy of each class, the lowest first; classes without images come last."""
    ordered = sorted(rows, key=lambda row: (not row.images, row.hits / max(row.images, 1)))
    lines = ["  images     hits    top-1  class"]
    for row in ordered:
        share = f"{100 * row.hits / row.images:.2f}%" if row.images else "-"
        other = f" ({row.confused} taken for {row.confused_with})" if row.confused else ""
        lines.append(f"{row.images:8,} {row.hits:8,} {share:>8}  {row.name}{other}")
    return "\n".join(lines)
