"""What a figure costs: hours by a model of the multiply-adds, bytes to download and to keep.

The multiply-adds are those that `models/flops.py` counts (a test compares them), noted here so that
a list needs no Paddle. A training step counts its forward pass three times, for the gradients of
the inputs and of the weights. The hours follow from the share of the peak that a whole step is
assumed to reach; docs/performance.md derives it for ViT-B/16, and it was not measured.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import NamedTuple

from ml_collections import ConfigDict

from engine.plan.memory_rules import run_bytes
from program.config import config_fields, config_files
from tools.reproduction.published.datasets import DATA_SETS, DataSet
from tools.reproduction.published.kinds import Figure


class Model(NamedTuple):
    """Parameters, and multiply-adds of one image."""

    parameters: int
    multiply_adds: int


# By name and size of the input; of 1,000 classes (vit_n_2: 10).
MODELS = {
    ("vit_n_2", 8): Model(77_914, 1_374_048),
    ("vit_b_16_384", 384): Model(86_859_496, 55_484_350_464),
    ("vit_l_16_384", 384): Model(304_715_752, 191_066_300_416),
    ("deit_b_distilled_384", 384): Model(87_630_032, 55_591_342_080),
    ("swin_l_384", 384): Model(196_735_516, 103_919_087_616),
    ("cait_s_36_384", 384): Model(68_366_632, 47_907_955_200),
    ("resnet_50", 224): Model(25_557_032, 4_089_184_256),
    ("resnet_50", 384): Model(25_557_032, 12_013_223_936),
    ("resnet_152", 224): Model(60_192_808, 11_513_626_624),
    ("deit_ti_distilled", 224): Model(5_910_800, 1_261_003_776),
}
_SIZES = {"resnet_50": 224, "resnet_152": 224, "vit_n_2": 8, "deit_ti_distilled": 224}


class Card(NamedTuple):
    """A GPU: peak in FLOP/s, and the share of it that a whole training step is assumed to reach."""

    float32: float
    half: float
    share_float32: float
    share_half: float


CARDS = {
    "V100": Card(15.7e12, 125e12, 0.6, 0.14),
    "H100": Card(67e12, 990e12, 0.5, 0.2),
}
SEVERAL = 0.9  # share of the speed of n cards that n cards reach together


@dataclass(frozen=True)
class Cost:
    """What one seed of a figure costs.

    Attributes:
        flops: floating-point operations.
        half: whether the config computes in half precision.
        kept: bytes of its checkpoints and weights.
        steps: optimiser steps of all stages.
    """

    flops: float
    half: bool
    kept: int
    steps: int

    def hours(self, card: str, count: int = 1, half: bool | None = None) -> float:
        """Returns the estimated hours of a run.

        Args:
            card: a key of `CARDS`.
            count: of cards.
            half: whether in half precision; None: as the config says.
        """
        kind = CARDS[card]
        in_half = self.half if half is None else half
        speed = kind.half * kind.share_half if in_half else kind.float32 * kind.share_float32
        return self.flops / (speed * count * (SEVERAL if count > 1 else 1.0)) / 3600


def stages(figure: Figure, fields: dict[str, object] | None = None) -> dict[str, ConfigDict]:
    """Returns the configs of a figure's stages, by their names; a single one without a name.

    Args:
        figure: whose config is read.
        fields: others, with priority over stage and row, as on the command line.
    """
    path = f"configs/{figure.config}.py"
    config = config_files.load_file(path)
    own = config_files.load_table(path, "get_rows")[figure.row] if figure.row else {}
    found = config_files.load_table(path, "get_stages") or {"": {}}
    given = {**own, **dict(figure.fields), **(fields or {})}
    return {
        name: config_fields.changed(config, {**stage, **given}) for name, stage in found.items()
    }


def global_batch(figure: Figure) -> int:
    """Returns the images of an optimiser step on the cards that the config is written for."""
    train = next(iter(stages(figure).values())).train
    return int(train.batch_size * train.accumulation_steps * max(1, figure.cards))


def cost(figure: Figure) -> Cost:
    """Returns what one seed of a figure costs."""
    data, batch, configs = DATA_SETS[figure.data], global_batch(figure), stages(figure).values()
    counted = [_stage(config, data, batch) for config in configs]
    return Cost(
        flops=sum(flops for flops, _ in counted),
        half=bool(next(iter(configs)).train.amp),
        kept=sum(map(_kept, configs)),
        steps=sum(steps for _, steps in counted),
    )


def model_of(name: str, image_size: int) -> Model:
    """Returns the model of a name; for image_size=0 at its own size."""
    return MODELS[name, image_size or _SIZES.get(name, 384)]


def _stage(config: ConfigDict, data: DataSet, batch: int) -> tuple[float, int]:
    """Returns floating-point operations and steps of a stage."""
    held_out = round(data.train_images * config.data.holdout)
    images = config.data.max_images or data.train_images - held_out
    images = config.data.labels_per_class * data.classes or images
    steps = int(config.train.steps or max(1, round(config.train.epochs * images / batch)))
    multiply_adds = model_of(config.model.name, config.model.image_size).multiply_adds
    forward = 1.0 if config.model.trainable in ("head", "head_and_norm") else 3.0
    forward += 1.0 if config.train.recompute and forward > 1 else 0.0
    shown = batch + config.rdrop.unlabelled_batch_size
    passes = steps * shown * config.rdrop.copies * forward
    validations = steps // (config.eval.every_steps or max(1, images // batch))
    passes += held_out * validations + data.test_images
    total = passes * multiply_adds
    if config.distill.teacher:
        teacher = model_of(config.distill.teacher, config.distill.image_size)
        total += steps * shown * teacher.multiply_adds
    return 2.0 * total, steps


def _kept(config: ConfigDict) -> int:
    """Returns the bytes of a run's folder at its largest."""
    parameters = model_of(config.model.name, config.model.image_size).parameters
    frozen = config.model.trainable in ("head", "head_and_norm")
    return run_bytes(config, parameters, 0 if frozen else parameters)
