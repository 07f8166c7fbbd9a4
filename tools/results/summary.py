"""The table that a sweep prints: means with their spread over the seeds, a row for each setting."""

from __future__ import annotations

from collections import Counter

import numpy as np


def summarise(name: str, results: list[dict], base: list[dict] | None = None) -> dict:
    """Returns means and sample standard deviations over the seeds; accuracies in percent.

    Args:
        name: of the setting.
        results: one for each seed.
        base: results of the config as it is with the same seeds, to compare with.
    """
    row = {"setting": name, "n": len(results)}
    for key, shown in (("best_top1", "val_top1"), ("top1", "test_top1"), ("ece", "test_ece")):
        values = [100 * result[key] for result in results if result[key] is not None]
        row.update(_spread(shown, values) if values else {})
    if base and base is not results:
        gains = [100 * (own["top1"] - other["top1"]) for own, other in zip(results, base)]
        row.update(_spread("difference", gains))
    row["weights_of"] = dict(Counter(result["weights_of"] for result in results))
    row["seconds"] = round(float(np.mean([result["seconds"] for result in results])), 1)
    return row


def _spread(name: str, values: list[float]) -> dict:
    deviation = round(float(np.std(values, ddof=1)), 3) if len(values) > 1 else None
    each = [round(value, 2) for value in values]
    return {name: round(float(np.mean(values)), 3), f"{name}_std": deviation, f"{name}_each": each}


def table(rows: list[dict]) -> str:
    """Returns the rows as Markdown.

    An ablation has two more columns: the difference to the config as it is, and the accuracy of
    each seed.
    """
    lines = []
    for row in rows:
        weights = row["weights_of"].items()
        cells = {
            "setting": row["setting"],
            "n": str(row["n"]),
            "held-out top-1": _cell(row, "val_top1"),
            "test top-1": _cell(row, "test_top1"),
            "against the config as it is": _cell(row, "difference", "+"),
            "test ECE": _cell(row, "test_ece"),
            "weights": ", ".join(f"{count} {name}" for name, count in weights),
            "seconds": f"{row['seconds']:.0f}",
            "each seed's test top-1": " ".join(f"{value:.2f}" for value in row["test_top1_each"]),
        }
        if not any("difference" in other for other in rows):
            del cells["against the config as it is"], cells["each seed's test top-1"]
        lines.append("| " + " | ".join(cells.values()) + " |")
    return "\n".join(["| " + " | ".join(cells) + " |", "|" + "---|" * len(cells), *lines])


def _cell(row: dict, name: str, sign: str = "") -> str:
    if name not in row:
        return "-"
    deviation = row[f"{name}_std"]
    return f"{row[name]:{sign}.2f}" + (f" +- {deviation:.2f}" if deviation is not None else "")
