"""What a run shows in the terminal: the progress bar, the table of a result, its files."""

from pathlib import Path
from typing import Any

from tqdm import tqdm

from engine.results.evaluation import Result
from engine.results.progress_lines import shows_bar
from engine.state.averages import RAW
from program.run_folder import CURVE


def progress_bar(total_images: int, done: int = 0) -> tqdm:
    """Returns a bar on standard error that counts images; silent if that is not a terminal."""
    options = {"unit": "img", "dynamic_ncols": True, "smoothing": 0.1}
    return tqdm(total=total_images, initial=done, disable=not shows_bar(), **options)


def table(result: Result, split: str) -> str:
    """Returns a result as a small table of text; top-5 is left out where there are few classes."""
    skipped = f"\nskipped: {result.skipped} damaged images" if result.skipped else ""
    few = result.top5 is None
    top5 = "" if result.top5 is None else f"{100 * result.top5:7.2f}% "
    return (
        f"split      images    top-1 {'' if few else '   top-5 '}    loss      ECE  images/s\n"
        f"{split:8} {result.seen:8,} {100 * result.top1:7.2f}% {top5}"
        f"{result.loss:8.4f} {100 * result.ece:7.2f}% {result.images_per_second:9,.1f}{skipped}"
    )


def show_result(result: Result, outcome: dict[str, Any], folder: Path) -> None:
    """Prints the end of a run: the table, and where its files are.

    Args:
        result: on the test images.
        outcome: the content of `result.json`.
        folder: of the run.
    """
    print(f"\n{table(result, 'test')}")
    chosen = "the last"
    if outcome["best_top1"] is not None:
        chosen = "best on the held-out images"
        print(f"{chosen}: {100 * outcome['best_top1']:.2f}%")
    average = "" if outcome["weights_of"] == RAW else f", {outcome['weights_of'].upper()}"
    for name, other in outcome["beside"].items():
        print(f"beside it: {name} weights {100 * other['top1']:.2f}% ({folder / other['weights']})")
    print(f"weights: {folder / outcome['weights']} (step {outcome['step']}, {chosen}{average})")
    print(f"curve:   {folder / CURVE}")
    print(f"time:    {outcome['seconds']:.0f} s of training", flush=True)
