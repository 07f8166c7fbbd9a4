"""What the metric rules look at: the latest training records, all validations, and their noise."""

from __future__ import annotations

import math
from collections import deque
from typing import NamedTuple

import numpy as np
from ml_collections import ConfigDict

from engine.plan.resolve_config import with_rate
from engine.plan.run_plan import Plan

WINDOW, HALF = 10, 5  # training records that are looked at, and those that make a level
SIGMAS = 3.0
_SETTLED_STEPS = 100  # after the warm-up, before accuracy must differ from chance
_LEVEL = math.erf(SIGMAS / math.sqrt(2))  # of confidence
_CHANCE_HITS = 20  # images of each class before accuracy is compared with chance


class Record(NamedTuple):
    """Training metrics; they are means over `images`, of which `draws` losses are independent."""

    steps_done: int
    images: int
    draws: int
    ce: float
    kl: float | None
    accuracy: float
    grad_norm: float


class Validation(NamedTuple):
    """The accuracy on `seen` images, with the training accuracy of the records before it."""

    steps_done: int
    top1: float
    seen: int
    train_accuracy: float
    train_images: int

    @property
    def train_at_least(self) -> float:
        """The training accuracy less what chance makes of so few images, three deviations.

        It is the lower end of Wilson's interval: a record in which every image is right says little
        if it is of 8 images.
        """
        from measures.intervals import wilson  # half a second to import, and seldom needed

        hits = round(self.train_accuracy * self.train_images)
        return wilson(hits, self.train_images, _LEVEL)[0]


class History:
    """The metrics of a run so far.

    Args:
        config: with what the weights and the data set decide filled in.
        plan: of the run.
    """

    def __init__(self, config: ConfigDict, plan: Plan):
        self.config, self.plan = with_rate(config, plan.global_batch), plan
        self.classes = config.model.num_classes
        self.records: deque[Record] = deque(maxlen=WINDOW)
        self.validations: list[Validation] = []
        self.lowest = math.inf  # level of the cross-entropy before the newest record

    def add(self, steps_done: int, values: dict[str, float]) -> None:
        """Adds a record of training metrics; see `Diagnosis.training`."""
        if len(self.records) >= HALF:
            self.lowest = min(self.lowest, self.level())
        train, data, every = self.config.train, self.config.data, self.config.train.log_every_steps
        images = (steps_done % every or every) * self.plan.global_batch
        # Mixed images have one share for all images of a micro-batch. A step that the loss scale
        # skips has no norm.
        draws = images // train.batch_size if data.mixup_alpha or data.cutmix_alpha else images
        metrics = (values["ce"], values.get("kl"), values["accuracy"], values.get("grad_norm", 0.0))
        self.records.append(Record(steps_done, images, draws, *metrics))

    def validation(self, steps_done: int, top1: float, seen: int) -> Validation:
        """Returns an evaluation with the training accuracy over the newest records."""
        images = sum(record.images for record in self.records)
        hits = sum(record.accuracy * record.images for record in self.records)
        return Validation(steps_done, top1, seen, hits / images, images)

    @property
    def uniform(self) -> float:
        """The cross-entropy of a model that knows only the number of classes."""
        share = 1 / self.classes
        if self.config.loss.form == "softmax":
            return -math.log(share)
        return -share * math.log(share) - (1 - share) * math.log(1 - share)

    def level(self) -> float:
        """Returns the level of the cross-entropy: the median of the newest records."""
        return float(np.median([record.ce for record in self.records][-HALF:]))

    def noise(self) -> float:
        """Returns by how much the mean of a record may spread, relative to it."""
        return SIGMAS / math.sqrt(max(min(record.draws for record in self.records), 1))

    def chance_bound(self, images: int) -> float:
        """Returns the accuracy that guessing exceeds in one of 700 cases.

        That is three standard deviations of a binomial.
        """
        share = 1 / self.classes
        return share + SIGMAS * math.sqrt(share * (1 - share) / max(images, 1))

    def at_chance(self) -> float | None:
        """Returns the accuracy over the records if it is no better than chance, else None.

        None also where it is too early to say.
        """
        settled = self.config.optim.warmup_steps + _SETTLED_STEPS
        records = [record for record in self.records if record.steps_done > settled]
        images = sum(record.images for record in records)
        enough = len(records) >= HALF and images >= _CHANCE_HITS * self.classes
        if not enough or self.level() < 0.95 * self.uniform:
            return None
        accuracy = sum(record.accuracy * record.images for record in records) / images
        return accuracy if accuracy <= self.chance_bound(images) else None
