"""Measures what survives the noise of a config: the grid of places and rates, and its own noise."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any, NamedTuple

from ml_collections import ConfigDict

import data
from common.errors import UserError
from data.build import load_source
from engine.model_setup import build_model, keeps_head, load_pretrained
from engine.plan import recipe, resolve_config
from engine.results import console, progress_lines
from engine.survival.bench import Bench, Keeping, Point, rate_keeping
from engine.survival.passes import read_images
from engine.survival.places import (
    PLACES,
    Place,
    Profile,
    profile_of,
    rates_of,
    set_fields,
    with_all_noise,
)
from models.layers import Rate
from models.multipass import MultiPass

RATES = (0.003, 0.01, 0.03, 0.1, 0.3, 0.5)


class Subject(NamedTuple):
    """A model with its weights, its images (uint8 `(N, 3, S, S)`), and words for them."""

    config: ConfigDict
    model: MultiPass
    profile: Profile
    images: Any
    split: str
    head: str  # loaded, or how a new one was made


class Row(NamedTuple):
    """A place, with a point for each rate of the grid."""

    place: Place
    points: list[Point]
    keeping: Keeping | None


class Study(NamedTuple):
    """All that was measured; `own` is None where the config has no noise."""

    subject: Subject
    rates: list[float]
    rows: dict[str, Row]
    own: Point | None
    own_fields: dict[str, Rate]


def subject_of(config: ConfigDict, split: str, images: int) -> Subject:
    """Builds the model of a config with its weights, and reads its images.

    Args:
        config: checked by `config_validation.validate`.
        split: `train`, `val` or `test`; `auto`: the held-out images, or else those of training.
        images: how many, spread evenly over the part.

    Raises:
        UserError: for what can't be built or read.
    """
    config = resolve_config.with_input(recipe.resolve(config))
    if split == "auto":
        split = "val" if data.has_own_val(config) or config.data.holdout else "train"
    source = load_source(config, split)
    config = resolve_config.with_classes(config, len(source.classes))
    model = build_model(with_all_noise(config))
    loaded = load_pretrained(model, config, source.classes)
    profile = profile_of(model)
    if not profile.parts():
        shared = config.rdrop.shared_blocks
        why = f"rdrop.shared_blocks={shared} leaves none" if shared else "none of ours"
        raise UserError(f"{config.model.name} has no place for noise: {why}")
    head = f"new ({config.model.head_init})"
    head = "that of the weights" if keeps_head(model, loaded) else head
    return Subject(config, model, profile, read_images(source, config, images), split, head)


def bench_of(subject: Subject, repeats: int, noises: int) -> tuple[Bench, Callable[[], None]]:
    """Returns a bench that shows how far it is, and what ends the bar.

    Args:
        subject: of the bench.
        repeats: passes of each noise.
        noises: how many will be measured.
    """
    total = len(subject.images) * (1 + repeats * noises)
    bar, lines = console.progress_bar(total), progress_lines.evaluation(total, "measured")

    def on_images(count: int) -> None:
        bar.update(count)
        lines(count)

    images = subject.images
    bench = Bench(subject.model, subject.profile, images, subject.config, repeats, on_images)
    return bench, bar.close


def measure(subject: Subject, rates: Sequence[float], repeats: int) -> Study:
    """Measures each place at each rate, and the noise of the config.

    Args:
        subject: of `subject_of`.
        rates: above 0 and below 1, growing.
        repeats: passes of each noise, 2 or more.
    """
    places = subject.profile.places()
    fields = set_fields(subject.config, subject.profile.parts())
    bench, close = bench_of(subject, repeats, len(places) * len(rates) + bool(fields))
    try:
        own = bench.at(rates_of(subject.config)) if fields else None
        rows = {name: _row(bench, PLACES[name], rates) for name in places}
    finally:
        close()
    return Study(subject, [*rates], rows, own, fields)


def _row(bench: Bench, place: Place, rates: Sequence[float]) -> Row:
    points = [bench.at(dict.fromkeys(place.parts, rate)) for rate in rates]
    pairs = [(rate, point.survival) for rate, point in zip(rates, points)]
    return Row(place, points, rate_keeping(pairs))


def as_json(study: Study) -> dict[str, Any]:
    """Returns all that was measured as `--json` writes it."""
    subject = study.subject
    model = subject.config.model
    rows = {
        name: {
            "text": row.place.text,
            "field": row.place.field,
            "points": [
                {"rate": rate, **point._asdict()} for rate, point in zip(study.rates, row.points)
            ],
            "keeps_0.9": row.keeping._asdict() if row.keeping else None,
        }
        for name, row in study.rows.items()
    }
    own = {"fields": study.own_fields, **study.own._asdict()} if study.own else None
    return {
        "model": model.name,
        "image_size": model.image_size,
        "weights": model.pretrained,
        "head": subject.head,
        "data": subject.config.data.name,
        "split": subject.split,
        "images": len(subject.images),
        "own": own,
        "places": rows,
    }
