"""Measures in rounds, in each of which everything takes one turn, and prints a table.

Machines are shared and noisy: the ratio of two times within a round is less noisy than the times.
"""

import statistics
import time
from collections.abc import Callable

# Seconds in which the threads of the one before fall asleep: OpenMP's spin for up to 0.2 s.
_PAUSE = 0.3
# Seconds of a turn, at least. Short steps are repeated: the first one finds cold caches and
# sleeping threads, which it does not in a training that takes step after step.
_TURN = 0.5
Step = Callable[[], float]  # does the work once, and returns the seconds that it took


def measure(steps: dict[str, Step], rounds: int) -> dict[str, list[float]]:
    """Returns the seconds of each step in each round, after two rounds of warm-up.

    Those of a round are the median of the steps of one turn, which takes half a second or one step.
    """
    for _ in range(2):
        for step in steps.values():
            step()
    seconds = {name: [] for name in steps}
    for _ in range(rounds):
        for name, step in steps.items():
            time.sleep(_PAUSE)
            seconds[name].append(_turn(step))
    return seconds


def _turn(step: Step) -> float:
    end, found = time.perf_counter() + _TURN, [step()]
    # What a step returns may be scaled (`peak_flops`), so both clocks end a turn.
    while sum(found) < _TURN and time.perf_counter() < end:
        found.append(step())
    return statistics.median(found)


def table(seconds: dict[str, list[float]], batch: int) -> list[dict]:
    """Prints and returns a row for each name: its speed, and its ratio to the first in each round.

    Args:
        seconds: of each step by its name, as `measure` returns them.
        batch: images of a step.
    """
    first = next(iter(seconds.values()))
    rows, width = [], max(28, *map(len, seconds))
    for name, found in seconds.items():
        median, ratios = statistics.median(found), [own / base for own, base in zip(found, first)]
        row = {"name": name, "images_per_second": batch / median, "seconds": found}
        rows.append({**row, "ratio": statistics.median(ratios), "ratios": ratios})
        spread = f" ({min(ratios):.2f} to {max(ratios):.2f})" if found is not first else ""
        print(
            f"{name:{width}} {median * 1e3:8.1f} ms  {row['images_per_second']:8.2f} images/s  "
            f"x {rows[-1]['ratio']:.3f}{spread}  n = {len(found)}",
            flush=True,
        )
    return rows


def report(seconds: dict[str, list[float]], batch: int) -> dict:
    """Prints the table; returns its rows with the figures of the last one, for `--json`."""
    rows = table(seconds, batch)
    speed, found = rows[-1]["images_per_second"], rows[-1]["seconds"]
    return {"images_per_second": speed, "seconds": found, "rows": rows}


def compared(seconds: dict[str, list[float]], batch: int, own: str) -> dict:
    """Prints the table of two sides; returns it with `ratio`, the median of the rounds' ratios.

    Args:
        seconds: as of `table`; of each side the faster way comes first.
        batch: images of a step.
        own: how the names of our ways begin.

    Returns:
        In addition to what `report` returns, how many times as fast our better way is as the
        better one of the other side, and that of each round.
    """
    found, ways = report(seconds, batch), list(seconds)
    theirs = next(seconds[name] for name in ways if not name.startswith(own))
    ours = next(seconds[name] for name in ways if name.startswith(own))
    ratios = [other / mine for other, mine in zip(theirs, ours)]
    ratio = statistics.median(ratios)
    print(f"ratio: {ratio:.2f} times as fast ({min(ratios):.2f} to {max(ratios):.2f})", flush=True)
    return {**found, "ratio": ratio, "ratios": ratios}
