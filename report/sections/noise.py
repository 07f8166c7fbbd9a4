"""What R-Drop did: how far the passes of an image through different dropout masks are apart."""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from measures.passes import Passes, compare
from report.charts.model import Chart, Section, Series
from report.looks import MASKS, Look
from report.pieces import text
from report.tables import sortable
from report.texts import Words

_BINS = 30
_LEAST_KL = 1e-7  # nats: below it, float32 logits can't tell


class Named(NamedTuple):
    """A model that is compared; `kind` says in a word what it was trained with."""

    name: str
    kind: str
    seen: Look


def section(models: list[Named], words: Words) -> Section:
    """Returns histograms and means of the models that have random layers."""
    with_rdrop = any(one.kind == "rdrop" for one in models)
    title = words("noise" if with_rdrop else "noise_without")
    able = [one for one in models if one.seen.noisy is not None]
    if not able:
        return Section(title, (f"<p>{words.html('no_noise')}</p>",))
    found = [compare(one.seen.noisy) for one in able if one.seen.noisy is not None]
    note = words.html("noise_note", masks=MASKS, images=len(found[0].kl))
    if with_rdrop:
        note = words.joined(note, words.html("noise_rdrop"))
    if with_rdrop and len(able) == 1:
        note = words.joined(note, words.html("noise_alone"))
    rates = {one.name: _rates(one, words) for one in able}
    if len(set(rates.values())) > 1:
        each = (words("rates_of", name=name, rates=one) for name, one in rates.items())
        shown = words("between_clauses").join(each)
        note += f'</p><p class="finding">{words.html("noise_rates", rates=shown)}'
    names = [one.name for one in able]
    logs = [np.log10(np.maximum(one.kl, _LEAST_KL)) for one in found]
    charts = [
        _histogram("pass_kl", "log_kl", names, logs, words),
        _histogram("pass_agreement", "agreement_axis", names, [f.agreement for f in found], words),
        _histogram("pass_spread", "spread_axis", names, [f.spread for f in found], words),
    ]
    return Section(title, (f"<p>{note}</p>", _table(able, found, words), *charts))


def _rates(model: Named, words: Words) -> str:
    """Returns the drop rates of a model that are not 0, as text."""
    own = model.seen.classifier.config.model
    rates = {name: own[name] for name in own if name.endswith("_rate") and own[name] > 0}
    return words("between").join(f"{name}={value:g}" for name, value in rates.items())


def _table(able: list[Named], found: list[Passes], words: Words) -> str:
    keys = ("model", "trained_with", "images", "mean_kl", "median_kl", "agreement", "spread")
    rows = [
        (
            text(one.name),
            words.html(one.kind),
            (len(passes.kl), f"{len(passes.kl):,}"),
            (float(passes.kl.mean()), f"{passes.kl.mean():.4g}"),
            (float(np.median(passes.kl)), f"{np.median(passes.kl):.4g}"),
            (float(passes.agreement.mean()), words.percent(passes.agreement.mean(), 2)),
            (float(passes.spread.mean()), f"{passes.spread.mean():.3f}"),
        )
        for one, passes in zip(able, found)
    ]
    return sortable([words(key) for key in keys], rows)


def _histogram(
    key: str, axis: str, names: list[str], values: list[NDArray[np.float64]], words: Words
) -> Chart:
    """Returns outlines over the same bins; each is the share of the images of its model."""
    low, high = min(one.min() for one in values), max(one.max() for one in values)
    edges = np.linspace(low, high if high > low else low + 1.0, _BINS + 1)
    series = []
    for name, own in zip(names, values):
        shares = np.histogram(own, edges)[0] / len(own)
        y = (0.0, *shares.tolist(), 0.0)
        x = (float(edges[0]), *edges.tolist())  # up from 0, and back to it
        series.append(Series(name, x, y))
    return Chart(
        key, words(key), words(axis), words("share"), tuple(series), kind="steps", percent=True
    )
