"""Draws `curve.png`: loss terms and accuracy over the steps of a run."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any

from common.atomic_writing import atomic_path
from engine.results.metrics_reader import numbers, read_metrics
from engine.results.picture_fonts import fonts_for
from program.run_folder import CURVE

if TYPE_CHECKING:
    from matplotlib.figure import Figure


def draw_curve(folder: Path) -> Path:
    """Draws loss terms and accuracy over the steps of a run; returns the file, `curve.png`."""
    # Fonts take no bytes that are not Unicode text.
    title = f"{folder.name.encode(errors='replace').decode()}: loss in nats"
    with fonts_for([title]), atomic_path(folder / CURVE) as temporary:
        _figure(read_metrics(folder), title).savefig(temporary, dpi=120)
    return folder / CURVE


def _figure(records: list[dict[str, Any]], title: str) -> Figure:
    from matplotlib.figure import Figure  # half a second to import, and only needed at the end

    figure = Figure(figsize=(10, 4), layout="constrained")
    losses, accuracy = figure.subplots(1, 2)
    for axes, split, name, label in (
        (losses, "train", "ce", "cross-entropy, training"),
        (losses, "train", "kl", "KL between the copies"),
        (losses, "val", "loss", "cross-entropy, validation"),
        (accuracy, "train", "accuracy", "training"),
        (accuracy, "val", "top1", "validation"),
        (accuracy, "val_ema", "top1", "validation, EMA weights"),
        (accuracy, "val_swa", "top1", "validation, SWA weights"),
    ):
        values = (
            (record["step"], numbers(record).get(name))
            for record in records
            if record["split"] == split
        )
        points = [(step, value) for step, value in values if value is not None]
        if points:
            axes.plot(*zip(*points), label=label)
    losses.set_title(title, parse_math=False)
    losses.set(xlabel="optimiser step", yscale="log")
    accuracy.set(title="accuracy", xlabel="optimiser step")
    for axes in (losses, accuracy):
        axes.grid(alpha=0.3)
        if axes.lines:
            axes.legend()
    return figure
