"""Draws `curve.png`: loss terms and accuracy over the steps of a run."""

from pathlib import Path

from common.atomic_writing import atomic_path
from engine.results.metrics_reader import numbers, read_metrics
from program.run_folder import CURVE


def draw_curve(folder: Path) -> Path:
    """Draws loss terms and accuracy over the steps of a run; returns the file, `curve.png`."""
    from matplotlib.figure import Figure  # half a second to import, and only needed at the end

    records = read_metrics(folder)
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
    # Fonts take no bytes that are not Unicode text.
    name = folder.name.encode(errors="replace").decode()
    losses.set(title=f"{name}: loss in nats", xlabel="optimiser step", yscale="log")
    accuracy.set(title="accuracy", xlabel="optimiser step")
    for axes in (losses, accuracy):
        axes.grid(alpha=0.3)
        if axes.lines:
            axes.legend()
    with atomic_path(folder / CURVE) as temporary:
        figure.savefig(temporary, dpi=120)
    return folder / CURVE
