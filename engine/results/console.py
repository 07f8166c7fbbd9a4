"""What people see in the terminal: the table of a result, its files, the progress bar."""

from __future__ import annotations

import sys
from pathlib import Path

from tqdm import tqdm

from engine.results.evaluation import Result


def progress_bar(total_images: int, done: int = 0):
    """A bar on standard error that counts images; silent where that is not a terminal."""
    quiet = not sys.stderr.isatty()
    return tqdm(
        total=total_images,
        initial=done,
        unit="img",
        disable=quiet,
        dynamic_ncols=True,
        smoothing=0.1,
    )


def table(result: Result, split: str) -> str:
    """A result as a small table of text."""
    head = f"{'split':8} {'images':>8} {'top-1':>8} {'top-5':>8} {'loss':>8} {'ECE':>8} {'images/s':>9}"
    accuracy = f"{100 * result.top1:7.2f}% {100 * result.top5:7.2f}% {result.loss:8.4f} {100 * result.ece:7.2f}%"
    row = f"{split:8} {result.seen:8,} {accuracy} {result.images_per_second:9,.1f}"
    return "\n".join(
        [head, row] + ([f"skipped: {result.skipped} damaged images"] if result.skipped else [])
    )


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
