"""Curves of a run over its steps: CE, KL, accuracy, learning rate, gradient norm."""

from __future__ import annotations

from report.charts.model import Chart, Section, Series
from report.runs import Run
from report.texts import Words

_ACCURACY = (
    ("train", "accuracy", "training"),
    ("val", "top1", "validation"),
    ("val_ema", "top1", "validation_ema"),
    ("val_swa", "top1", "validation_swa"),
)


def section(run: Run, words: Words) -> Section:
    """Returns the curves that the run has values for."""
    plans = (
        ("ce", "loss_nats", (("train", "ce", "training"), ("val", "loss", "validation")), True),
        ("kl", "nats", (("train", "kl", "training"),), True),
        ("accuracy", "accuracy_axis", _ACCURACY, False),
        ("lr", "lr_axis", (("train", "lr", "training"),), False),
        ("grad_norm", "norm_axis", (("train", "grad_norm", "training"),), True),
    )
    charts = []
    for key, axis, lines, log_y in plans:
        series = [_series(run, split, value, words(name)) for split, value, name in lines]
        kept = tuple(one for one in series if one.x)
        if kept and any(y for one in kept for y in one.y):  # a KL of 0 is that of cross-entropy
            charts.append(
                Chart(
                    f"curve_{key}",
                    words(f"curve_{key}"),
                    words("step"),
                    words(axis),
                    kept,
                    log_y=log_y,
                    percent=key == "accuracy",
                )
            )
    if not charts:
        return Section(words("curves"), (f"<p>{words.html('no_records')}</p>",))
    note = words.html("curves_note")
    if run.is_mixed:
        note = words.joined(note, words.html("mixed_note"))
    return Section(words("curves"), (f"<p>{note}</p>", *charts))


def _series(run: Run, split: str, value: str, name: str) -> Series:
    points = run.points(split, value)
    return Series(name, tuple(step for step, _, _ in points), tuple(y for _, _, y in points))
