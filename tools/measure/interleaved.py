"""Measurements in rounds, in each of which everything takes a turn: ratios within a round are less
noisy than times.
"""

from __future__ import annotations

import statistics
from collections.abc import Callable


def measure(steps: dict[str, Callable[[], float]], rounds: int) -> dict[str, list[float]]:
    """Seconds of each, taking turns, after two rounds of warm-up."""
    for _ in range(2):
        for step in steps.values():
            step()
    seconds = {name: [] for name in steps}
    for _ in range(rounds):
        for name, step in steps.items():
            seconds[name].append(step())
    return seconds


def table(seconds: dict[str, list[float]], batch: int) -> list[dict]:
    """Speeds, and ratios to the first within each round; they are printed, too."""
    first = next(iter(seconds.values()))
    rows, width = [], max(28, *map(len, seconds))
    for name, found in seconds.items():
        ratios = [own / base for own, base in zip(found, first)]
        row = {
            "name": name,
            "images_per_second": batch / statistics.median(found),
            "seconds": found,
        }
        rows.append({**row, "ratio": statistics.median(ratios), "ratios": ratios})
        spread = f" ({min(ratios):.2f} to {max(ratios):.2f})" if found is not first else ""
        print(
            f"{name:{width}} {statistics.median(found) * 1e3:8.1f} ms  {row['images_per_second']:8.2f} images/s  "
            f"x {rows[-1]['ratio']:.3f}{spread}  n = {len(found)}",
            flush=True,
        )
    return rows
