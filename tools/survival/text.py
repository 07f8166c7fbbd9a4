"""A study of noise as text for people."""

from __future__ import annotations

from collections.abc import Callable, Iterator

from engine.survival.bench import KEPT, Keeping, Point
from engine.survival.places import Place, shown
from tools.survival.study import Study

_SPLITS = {"train": "training", "val": "held-out", "test": "test"}


def describe(study: Study) -> Iterator[str]:
    """Yields the lines of a study."""
    subject, model = study.subject, study.subject.config.model
    passes = len(next(iter(study.rows.values())).points[0].passes)
    yield (
        f"{model.name} at {model.image_size} px, weights: {model.pretrained or 'new'}; "
        f"{len(subject.images)} {_SPLITS[subject.split]} images of {subject.config.data.name}, "
        f"{passes} passes of each noise"
    )
    if not model.pretrained:
        yield "the weights are new: their features hardly differ between images, little survives"
    yield ""
    yield "what survives of the features that the head reads (1: all; 0: nothing):"
    yield from _table(study, lambda point: f"{point.survival:.2f}", keeping=True)
    yield ""
    if all(not point.kl for row in study.rows.values() for point in row.points):
        yield f"KL between the passes: 0 everywhere, the head is {subject.head}"
    else:
        yield f"KL between the passes in nats (the head: {subject.head}):"
        yield from _table(study, lambda point: f"{point.kl or 0:.2g}", keeping=False)
    yield ""
    yield _own(study)


def _table(study: Study, text: Callable[[Point], str], keeping: bool) -> list[str]:
    last = f"  {KEPT:g} survives at" if keeping else ""
    head = "".join(f"{rate:>8g}" for rate in study.rates)
    lines = [f"{'noise':26}{'field':24}{head}{last}"]
    for row in study.rows.values():
        values = "".join(f"{text(point):>8}" for point in row.points)
        end = f"  {rate_that_keeps(row.keeping)}" if keeping else ""
        lines.append(f"{_named(row.place)}{values}{end}")
    return lines


def _named(place: Place) -> str:
    return f"{place.text:26}{place.field:24}"


def rate_that_keeps(keeping: Keeping | None) -> str:
    """Returns the rate at which enough survives in words."""
    if keeping is None:
        return ""
    if keeping.outside == "above":
        return f"more than {keeping.rate:.2g}, the highest tried"
    below = ", below the lowest tried" if keeping.outside else ""
    return f"{keeping.rate:.2g}{below}"


def _own(study: Study) -> str:
    if not study.own:
        return "the config itself has no noise"
    fields = ", ".join(f"{name}={shown(rate)}" for name, rate in study.own_fields.items())
    shares = ", ".join(f"{one:.2f}" for one in study.own.passes)
    return (
        f"the config's own noise, {fields}: {study.own.survival:.2f} survives (by pass {shares}), "
        f"KL {study.own.kl or 0:.3g}"
    )
