"""The reliability diagram and the ECE, before and after temperature scaling."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from measures.calibration import (
    Reliability,
    fit_temperature,
    log_softmax,
    negative_log_likelihood,
    reliability,
)
from report.charts.model import Chart, Section, Series
from report.looks import Look
from report.pieces import text
from report.tables import sortable
from report.texts import Words

_FEWEST = 20  # held-out images from which a temperature is fitted


def section(seen: Look, words: Words) -> Section:
    """Returns the diagram, with a sentence on which images the temperature is from."""
    test, val = seen.test, seen.val
    if val is not None and len(val.labels) >= _FEWEST:
        temperature = fit_temperature(val.logits, val.labels)
        scaled, shown = test.logits / temperature, f"{temperature:.3f}"
        origin = words("temperature_from_val", count=len(val.labels))
    elif len(test.labels) >= 2:
        scaled, both = _cross_fitted(test.logits, test.labels)
        shown = " / ".join(f"{one:.3f}" for one in both)
        origin = words("temperature_from_halves")
    else:
        return Section(words("calibration"), (f"<p>{words.html('too_few')}</p>",))
    before, after = _of(test.logits, test.labels), _of(scaled, test.labels)
    chart = Chart(
        "reliability",
        words("reliability"),
        words("confidence"),
        words("accuracy_axis"),
        (
            _series(words("before", ece=words.percent(before.ece, 2)), before, words),
            _series(words("after", ece=words.percent(after.ece, 2)), after, words),
        ),
        percent=True,
        diagonal=True,
    )
    rows = [
        (words.html(name), (one.ece, words.percent(one.ece, 2)), _number(nll), temperature)
        for name, one, nll, temperature in (
            ("unscaled", before, negative_log_likelihood(test.logits, test.labels), "1"),
            ("scaled", after, negative_log_likelihood(scaled, test.labels), shown),
        )
    ]
    heads = ["", "ECE", words("loss_nats"), words("temperature")]
    sentences = [words.html("calibration_note"), text(origin)]
    if after.ece > before.ece:
        sentences.append(words.html("scaling_worse"))
    note = f"<p>{words.joined(*sentences)}</p>"
    return Section(words("calibration"), (note, chart, sortable(heads, rows)))


def _cross_fitted(
    logits: NDArray[np.float32], labels: NDArray[np.int64]
) -> tuple[NDArray[np.float32], list[float]]:
    """Scales each half of the images by the temperature of the other half."""
    half = np.random.default_rng(0).permutation(len(labels)) % 2 == 0
    scaled, both = logits.copy(), []
    for own in (half, ~half):
        temperature = fit_temperature(logits[~own], labels[~own])
        scaled[own] /= temperature
        both.append(temperature)
    return scaled, both


def _of(logits: NDArray[np.float32], labels: NDArray[np.int64]) -> Reliability:
    probs = np.exp(log_softmax(logits))
    return reliability(probs.max(axis=1), probs.argmax(axis=1) == labels)


def _series(name: str, found: Reliability, words: Words) -> Series:
    kept = np.flatnonzero(found.counts)
    x, y, counts = (one[kept].tolist() for one in (found.confidence, found.accuracy, found.counts))
    hover = tuple(
        f"{words.percent(a, 1)} → {words.percent(b, 1)} (n={n})" for a, b, n in zip(x, y, counts)
    )
    return Series(name, tuple(x), tuple(y), hover=hover, weights=tuple(counts))


def _number(value: float) -> tuple[float, str]:
    return value, f"{value:.4f}"
