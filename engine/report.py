"""What people read: the table of a result, and whether two lists of classes are the same."""

from __future__ import annotations

from pathlib import Path

from common.errors import UserError
from engine.evaluator import Result


def table(result: Result, split: str) -> str:
    """A result as a small table of text."""
    head = f"{'split':8} {'images':>8} {'top-1':>8} {'top-5':>8} {'loss':>8} {'ECE':>8} {'images/s':>9}"
    accuracy = f"{100 * result.top1:7.2f}% {100 * result.top5:7.2f}% {result.loss:8.4f} {100 * result.ece:7.2f}%"
    row = f"{split:8} {result.seen:8,} {accuracy} {result.images_per_second:9,.1f}"
    return "\n".join([head, row] + ([f"skipped: {result.skipped} damaged images"] if result.skipped else []))


def show_result(result: Result, outcome: dict, folder: Path) -> None:
    """Print the end of a run: the table, and where its files are."""
    chosen = "best on the held-out images" if outcome["best_top1"] is not None else "the last"
    print(f"\n{table(result, 'test')}")
    if outcome["best_top1"] is not None:
        print(f"best on the held-out images: {100 * outcome['best_top1']:.2f}%")
    average = "" if outcome["weights_of"] == "raw" else f", {outcome['weights_of'].upper()}"
    for name, other in outcome["beside"].items():
        print(f"beside it: {name} weights {100 * other['top1']:.2f}% ({folder / other['weights']})")
    print(f"weights: {folder / outcome['weights']} (step {outcome['step']}, {chosen}{average})")
    print(f"curve:   {folder / 'curve.png'}")
    print(f"time:    {outcome['seconds']:.0f} s of training", flush=True)


def check_classes(found: tuple[str, ...], expected: tuple[str, ...], owner: str) -> None:
    """Compare the names of classes, in their order.

    Raises:
        UserError: naming the first difference; `owner` is whose classes are expected.
    """
    if tuple(found) == tuple(expected):
        return
    if len(found) != len(expected):
        raise UserError(f"the data has {len(found)} classes, but {owner} {len(expected)}")
    place = next(place for place, pair in enumerate(zip(found, expected)) if pair[0] != pair[1])
    raise UserError(f"class {place} of the data is {found[place]!r}, but that of {owner} is {expected[place]!r}")
