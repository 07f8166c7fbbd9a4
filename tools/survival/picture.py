"""Draws a study of noise: what survives over the rate, a curve for each place."""

from __future__ import annotations

from pathlib import Path

from common.atomic_writing import atomic_path
from common.errors import UserError
from engine.survival.bench import KEPT
from tools.survival.study import Study


def draw(study: Study, path: Path) -> None:
    """Draws survival, and KL between the passes, over the rate.

    Raises:
        UserError: when the picture can't be written.
    """
    from matplotlib.figure import Figure  # half a second to import

    figure = Figure(figsize=(10, 4), layout="constrained")
    left, right = figure.subplots(1, 2)
    for row in study.rows.values():
        left.plot(study.rates, [one.survival for one in row.points], "o-", label=row.place.text)
        divergences = [one.kl or 0 for one in row.points]
        if all(divergences):
            right.plot(study.rates, divergences, "o-", label=row.place.text)
    left.axhline(KEPT, color="black", linestyle="--", linewidth=0.8)
    if study.own:
        label = f"the config's own: {study.own.survival:.2f}"
        left.axhline(study.own.survival, color="grey", linestyle=":", label=label)
    left.set(title="features that survive", xlabel="drop rate", xscale="log", ylim=(-0.05, 1.05))
    head = f"KL between passes, nats (head: {study.subject.head})"
    right.set(title=head, xlabel="drop rate", xscale="log")
    if right.lines:
        right.set(yscale="log")
    for axes in (left, right):
        axes.grid(alpha=0.3)
    left.legend(fontsize=8)
    try:
        with atomic_path(path) as temporary:
            figure.savefig(temporary, dpi=120)
    except OSError as error:
        raise UserError(f"--png: {path}: {error.strerror}") from None
