"""The rule at the start of a run: how much of the pretrained features survives the run's noise.

It costs two passes of a few images, and some more where it warns. It changes nothing of the run:
neither random numbers nor statistics nor the order of the images.
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from typing import NamedTuple

import paddle
from ml_collections import ConfigDict

from common.errors import UserError
from data.build import load_source
from data.images.images_and_labels import ImagesAndLabels
from data.sets.registry import find_entry
from engine import distributed
from engine.survival.bench import KEPT, Bench
from engine.survival.passes import read_images
from engine.survival.places import Profile, profile_of, rates_of, scaled, set_fields, shown
from models import flops
from models.layers import Rate, random_layers
from models.multipass import MultiPass
from program.config import config_fields

WARNED = 0.5  # below this survival
_MOST_IMAGES, _LEAST_IMAGES = 32, 16
# Multiply-adds of the two passes: some seconds on two cores, less on a GPU.
_MOST_ON_CPU, _MOST_ON_GPU = 250e9, 25e12
_MOST_LISTED = 200_000  # images of a published data set that a dry run lists
_TRIES = 4  # weaker noises that are tried for the advice


class Start(NamedTuple):
    """What is said at the start of a run, and the survival; None: it was not measured."""

    lines: list[str]
    survival: float | None


def measure(model: MultiPass, config: ConfigDict, source: ImagesAndLabels) -> Start:
    """Returns a line about survival, a warning where it is low; nothing on other processes than 0.

    Without noise all survives, of which nothing is said.

    Args:
        model: with its pretrained weights, before the first step.
        config: a resolved one.
        source: the training images.
    """
    if not distributed.is_main():
        return Start([], None)
    if not random_layers(model):
        return Start([], 1.0)
    images = _affordable(model, config)
    if images < _LEAST_IMAGES:
        return _unknown("it would take long on this device (python -m tools.noise does)")
    found = read_images(source, config, images)
    profile, rates = profile_of(model), rates_of(config)
    try:
        bench = Bench(model, profile, found, config)
        survived = bench.at(rates).survival
    except UserError as error:
        return _unknown(error)
    if survived >= WARNED:
        how = f"cosine, the mean over {len(found)} training images taken off"
        line = f"noise: {survived:.2f} of the pretrained features survives it ({how})"
    else:
        line = _warning(survived, len(found), config, profile, bench)
    return Start([line], survived)


def _unknown(why: object) -> Start:
    what = "noise: how much of the pretrained features survives was not measured"
    return Start([f"{what}: {why}"], None)


def lines_of_dry_run(model: MultiPass, config: ConfigDict) -> list[str]:
    """Returns the same for a dry run, which reads no large data set, and downloads none."""
    entry = find_entry(config.data.name)
    if not random_layers(model) or not distributed.is_main():
        return []
    here = config.data.root or config.data.name == "digits"
    if not here or entry.train_images > _MOST_LISTED:
        return _unknown(f"a dry run does not read {config.data.name}").lines
    try:
        source = load_source(config, "train")
    except UserError as error:
        return _unknown(error).lines
    return measure(model, config, source).lines


def _affordable(model: MultiPass, config: ConfigDict) -> int:
    """Returns the number of images whose two passes take a few seconds, at most 32."""
    most = _MOST_ON_CPU if paddle.get_device() == "cpu" else _MOST_ON_GPU
    cost = flops.cost(model, config.model.image_size).multiply_adds
    return min(_MOST_IMAGES, int(most / (2 * max(cost, 1))))


def _warning(
    survived: float, images: int, config: ConfigDict, profile: Profile, bench: Bench
) -> str:
    fields = set_fields(config, profile.parts())
    own = ", ".join(f"{name}={shown(rate)}" for name, rate in fields.items())
    better = _weaker(survived, config, fields, bench)
    advice = "weaker noise keeps more"
    if better:
        flags = " ".join(f"--config.{name}={shown(rate)}" for name, rate in better[0].items())
        advice = f"with {flags} it is {better[1]:.2f}"
    return (
        f"warning: only {survived:.2f} of the pretrained features survives the noise of {own} "
        f"(cosine with and without it, the mean over {images} training images taken off): "
        f"fine-tuning may lose more by it than R-Drop gains; {advice} (python -m tools.noise "
        "measures each place)"
    )


def _weaker(
    survived: float, config: ConfigDict, fields: Mapping[str, Rate], bench: Bench
) -> tuple[dict[str, Rate], float] | None:
    """Returns weaker rates at which 0.9 survives, by field, and the survival; None: not found."""

    def tried(factor: float) -> tuple[dict[str, Rate], float]:
        less = {name: _rounded_down(scaled(rate, factor)) for name, rate in fields.items()}
        return less, bench.at(rates_of(config_fields.changed(config, {**less}))).survival

    target, strong = _variance(KEPT), _variance(max(survived, 0.1))
    # At small rates the variance is proportional to them; it grows faster where noise adds up.
    factor = target / strong
    for _ in range(_TRIES):
        found = tried(factor)
        if found[1] >= KEPT:
            break
        factor /= 3
    else:
        return None
    weak = _variance(min(found[1], 0.999))
    if weak < strong:  # between the two on a straight line of logarithms, and a little below it
        slope = math.log(factor) / math.log(weak / strong)
        nearer = tried(0.9 * (target / strong) ** slope)
        found = nearer if nearer[1] >= KEPT else found
    return found


def _variance(survived: float) -> float:
    """Returns that of noise next to features of variance 1 which leaves such a cosine."""
    return 1 / survived**2 - 1


def _rounded_down(rate: Rate) -> Rate:
    """Returns a rate with two digits, no larger than it is."""
    if isinstance(rate, tuple):
        return tuple(_floor(one) for one in rate)
    return _floor(rate)


def _floor(rate: float) -> float:
    if rate <= 0:
        return 0.0
    unit = 10.0 ** (math.floor(math.log10(rate)) - 1)
    return float(f"{math.floor(rate / unit) * unit:.2g}")
