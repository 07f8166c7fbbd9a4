"""What an expert would say of a run: at its start from the config, later from the recorded metrics.

Nothing here changes a run. A rule speaks where a cause is likely, and is silent where noise could
explain what is seen: the mean of a record over n images is taken to spread by 1 / sqrt(n) of
itself. Each kind of finding comes once.
"""

from __future__ import annotations

import math
from collections import deque
from collections.abc import Callable, Sequence
from types import SimpleNamespace
from typing import NamedTuple

import numpy as np

from engine.plan.resolve_config import with_rate
from engine.step.objective import rdrop_loss
from engine.watch import start_warnings

_WINDOW, _HALF = (
    10,
    5,
)  # records of training metrics that are looked at, and those that make a level
_SETTLED_STEPS = 100  # behind the warm-up, before accuracy must differ from chance
_CHANCE_HITS = 20  # images of each class before accuracy is compared with chance
_SIGMAS = 3.0
_NEAR_UNIFORM = 0.02  # relative distance of the cross-entropy from ln(classes)
_NO_KL, _NO_KL_RECORDS = 1e-7, 3  # relative to the cross-entropy
_COLLAPSED_KL = 1e-3  # likewise
_HEAVY_ALPHA = 10  # per sample, from where the weight of KL is the first suspect
_BOUNCE, _RISE = 0.2, 0.5  # relative to the level of the cross-entropy
_LEAST_RISE = 0.1  # relative to the cross-entropy of guessing
_OVERFIT_GAP, _OVERFIT_VALIDATIONS = 0.25, 3
_CLIPPED = 20  # times clip_norm


class Finding(NamedTuple):
    """One line for people that begins with `warning:`, and its kind, a word."""

    kind: str
    text: str


class _Record(NamedTuple):
    """Training metrics of a number of images; `draws` is of how many independent losses they are
    means.
    """

    step: int
    images: int
    draws: int
    ce: float
    kl: float | None
    accuracy: float
    grad_norm: float


class _Validation(NamedTuple):
    step: int
    top1: float
    seen: int
    train_accuracy: float


class Diagnosis:
    """The rules, with what they remember of a run.

    Args:
        config: with what the weights and the data set decide filled in.
        plan: the run's arithmetic.
    """

    def __init__(self, config, plan):
        self.config, self.plan, self.classes = config, plan, config.model.num_classes
        self._records: deque[_Record] = deque(maxlen=_WINDOW)
        self._validations: list[_Validation] = []
        self._lowest = math.inf  # level of the cross-entropy so far
        self._told: set[str] = set()

    def start(self) -> list[str]:
        """What the config alone shows, as lines."""
        config = with_rate(self.config, self.plan.global_batch)
        found = (rule(config, self.plan) for rule in start_warnings.RULES)
        return [f"warning: {text}" for text in found if text]

    def replay(self, records: Sequence[dict], validation_images: int) -> None:
        """Remember what a run that goes on was told before: its records, as `metrics.jsonl` has
        them.
        """
        for record in records:
            if record["split"] == "train":
                self.training(record["step"], record)
            elif record["split"] == "val":
                self.validation(
                    record["step"], SimpleNamespace(top1=record["top1"], seen=validation_images)
                )

    def training(self, step: int, values: dict[str, float]) -> list[Finding]:
        """Look at a record of training metrics.

        Args:
            step: the last of those that the record is of.
            values: `ce`, `accuracy`, `grad_norm` where the step was taken, and `kl` where there
                were steps of R-Drop; neither where all steps were left out.
        """
        if "ce" not in values:
            return []
        train, data = self.config.train, self.config.data
        span = step % train.log_every_steps or train.log_every_steps
        images = span * self.plan.global_batch
        mixed = data.mixup_alpha or data.cutmix_alpha  # one share for all images of a micro-batch
        draws = images // train.batch_size if mixed else images
        kl, norm = (
            values.get("kl"),
            values.get("grad_norm", 0.0),
        )  # a step that the loss scale skips has none
        self._records.append(
            _Record(step, images, draws, values["ce"], kl, values["accuracy"], norm)
        )
        found = self._told_once(
            rising=self._rising,
            bouncing=self._bouncing,
            collapse=self._collapse,
            chance=self._chance,
            no_kl=self._no_kl,
            clipped=self._clipped,
        )
        if len(self._records) >= _HALF:
            self._lowest = min(self._lowest, self._level())
        return found

    def validation(self, step: int, result) -> list[Finding]:
        """Look at a validation: `result` has `top1`, a fraction, and `seen`, the images."""
        if not self._records:
            return []
        self._validations.append(
            _Validation(step, result.top1, result.seen, self._records[-1].accuracy)
        )
        return self._told_once(labels=self._other_labels, overfitting=self._overfitting)

    def test(self, result) -> list[str]:
        """Look at the result on the test images; gives lines."""
        if not self._records:
            return []
        found = self._labels_differ(
            _Validation(0, result.top1, result.seen, self._records[-1].accuracy)
        )
        return [f"warning: {_LABELS.format(part='the test', **found)}"] if found else []

    def _told_once(self, **rules: Callable[[], str | None]) -> list[Finding]:
        found = []
        for kind, rule in rules.items():
            text = None if kind in self._told or self.classes < 2 else rule()
            if text:
                self._told.add(kind)
                found.append(Finding(kind, f"warning: {text}"))
        return found

    @property
    def _uniform(self) -> float:
        """The cross-entropy of a model that knows nothing but the number of classes."""
        share = 1 / self.classes
        if self.config.loss.form == "softmax":
            return -math.log(share)
        return -share * math.log(share) - (1 - share) * math.log(1 - share)

    def _level(self) -> float:
        return float(np.median([record.ce for record in self._records][-_HALF:]))

    def _noise(self) -> float:
        """The relative spread of a record's mean that is no surprise."""
        return _SIGMAS / math.sqrt(max(min(record.draws for record in self._records), 1))

    def _rising(self) -> str | None:
        if len(self._records) < _HALF:
            return None
        ces, level = [record.ce for record in self._records], self._level()
        untrained = self._uniform if self.config.loss.form == "softmax" else math.log(2)
        best = min(self._lowest, untrained)
        rise = max(
            max(_RISE, 2 * self._noise()) * best, _LEAST_RISE * untrained
        )  # noise at both ends
        if level < best + rise or np.median(ces[-3:]) < np.median(ces[:3]):
            return None
        seen = f"has risen to {level:.3g} from {best:.3g}"
        if best == untrained:
            seen = f"is {level:.3g}, above the {best:.3g} of guessing"
        return f"the cross-entropy {seen}: the run diverges; use {_lower_rate(self.config)}"

    def _bouncing(self) -> str | None:
        warmup = self.config.optim.warmup_steps
        ces = np.array([record.ce for record in self._records if record.step > warmup])
        if len(ces) < _WINDOW:
            return None
        level, swing = float(np.median(ces)), float(np.median(np.abs(np.diff(ces))))
        falls = np.median(ces[_HALF:]) < 0.98 * np.median(ces[:_HALF])
        if falls or level < 0.5 * self._uniform or swing < max(_BOUNCE, self._noise()) * level:
            return None
        return (
            f"the cross-entropy swings by {100 * swing / level:.0f} % from record to record around {level:.3g} and "
            f"does not fall: the rate is too high for {self.plan.global_batch} images a step; use "
            f"{_lower_rate(self.config)}"
        )

    def _at_chance(self) -> float | None:
        """The accuracy over the window, where that is no better than chance; None where it is, or
        too early.
        """
        settled = self.config.optim.warmup_steps + _SETTLED_STEPS
        records = [record for record in self._records if record.step > settled]
        images = sum(record.images for record in records)
        if (
            len(records) < _HALF
            or images < _CHANCE_HITS * self.classes
            or self._level() < 0.95 * self._uniform
        ):
            return None
        accuracy = sum(record.accuracy * record.images for record in records) / images
        return accuracy if accuracy <= _chance_bound(self.classes, images) else None

    def _collapse(self) -> str | None:
        kls, level = [record.kl for record in self._records if record.kl is not None], self._level()
        uniform = abs(level / self._uniform - 1) < _NEAR_UNIFORM
        if (
            not kls
            or not uniform
            or max(kls[-_HALF:]) > _COLLAPSED_KL * level
            or self._at_chance() is None
        ):
            return None
        self._told.add("chance")
        rdrop, rate = self.config.rdrop, _lower_rate(self.config)
        alpha = f"--config.rdrop.alpha={rdrop.alpha / 10:g} or rdrop.alpha_warmup_steps"
        heavy = (
            rdrop_loss(self.config).per_sample_alpha(self.config.train.batch_size) > _HEAVY_ALPHA
        )
        return (
            f"all predictions are alike: cross-entropy {level:.3g}, by guessing {self._uniform:.3g}, KL {kls[-1]:.1g}: "
            + (
                f"KL outweighs the labels; use {alpha}"
                if heavy
                else f"the rate is too high; use {rate}, then {alpha}"
            )
        )

    def _chance(self) -> str | None:
        accuracy = self._at_chance()
        if accuracy is None:
            return None
        self._told.add("collapse")
        return (
            f"training accuracy is {100 * accuracy:.2f} % after {self._records[-1].step} steps, by chance it is "
            f"{100 / self.classes:.2f} %: nothing is learned. Either the rate is far off, use "
            f"{_lower_rate(self.config)}; or the labels do not belong to the images, look at train/images in VisualDL"
        )

    def _no_kl(self) -> str | None:
        rdrop = self.config.rdrop
        records = [record for record in self._records if record.kl is not None][-_NO_KL_RECORDS:]
        zero = [record.kl < _NO_KL * record.ce for record in records]
        learned = [
            record.ce < (1 - _NEAR_UNIFORM) * self._uniform for record in records
        ]  # a new head's KL begins at 0
        if rdrop.copies == 1 or len(records) < _NO_KL_RECORDS or not all(zero) or not all(learned):
            return None
        return (
            f"KL between the copies is {records[-1].kl:.1g} beside a cross-entropy of {records[-1].ce:.3g}: nothing "
            "random tells them apart, and this is plain cross-entropy at the price of R-Drop; set "
            "--config.model.drop_rate=0.1 (the paper's), or --config.rdrop.copies=1"
        )

    def _clipped(self) -> str | None:
        clip, norms = self.config.optim.clip_norm, [record.grad_norm for record in self._records]
        if not clip or len(norms) < _WINDOW or min(norms) <= _CLIPPED * clip:
            return None
        norm = float(np.median(norms))
        return (
            f"the gradient's norm is {norm:.3g}, {norm / clip:.0f} times optim.clip_norm={clip:g} at every record: "
            "clipping, not the gradient, makes the length of each step; look at the loss's scale (rdrop.preset, "
            f"rdrop.alpha), or set --config.optim.clip_norm={norm:.2g} with a lower optim.lr"
        )

    def _labels_differ(self, seen: _Validation) -> dict[str, float] | None:
        """Figures of a part that is at chance while training is far from it."""
        bound = _chance_bound(self.classes, seen.seen)
        if seen.top1 > min(bound, 0.5 * seen.train_accuracy) or seen.train_accuracy < bound + 0.1:
            return None
        return {
            "train": 100 * seen.train_accuracy,
            "top1": 100 * seen.top1,
            "chance": 100 / self.classes,
        }

    def _other_labels(self) -> str | None:
        found = [self._labels_differ(one) for one in self._validations[-2:]]
        return (
            _LABELS.format(part="validation", **found[-1])
            if len(found) == 2 and all(found)
            else None
        )

    def _overfitting(self) -> str | None:
        last, before = (
            self._validations[-_OVERFIT_VALIDATIONS:],
            self._validations[:-_OVERFIT_VALIDATIONS],
        )
        if not before or "labels" in self._told:
            return None
        best = max(before, key=lambda one: one.top1)
        if max(one.top1 for one in last) > best.top1:
            return None
        gaps = [one.train_accuracy - one.top1 for one in last]
        if min(gaps) < max(_OVERFIT_GAP, _SIGMAS * math.sqrt(0.25 / max(last[-1].seen, 1))):
            return None
        rdrop = self.config.rdrop
        more = "rdrop.copies=2" if rdrop.copies == 1 else f"rdrop.alpha={2 * rdrop.alpha or 1:g}"
        return (
            f"training accuracy is {100 * last[-1].train_accuracy:.1f} %, validation {100 * last[-1].top1:.1f} %, no "
            f"better than the {100 * best.top1:.1f} % of step {best.step}: the model overfits; the best weights "
            f"are kept. Regularise more (--config.{more}, model.drop_rate, data.*), or train no longer "
            f"(--config.train.steps={best.step})"
        )


_LABELS = (
    "training accuracy is {train:.1f} %, but {part} is at chance ({top1:.1f} %, by chance {chance:.1f} %): the labels "
    "of the two parts do not mean the same (another order of classes, or shuffled), or evaluation prepares images in "
    "another way; compare the classes' folders or lists, and data.eval_crop"
)


def _chance_bound(classes: int, images: int) -> float:
    """The accuracy that guessing exceeds in one of 700 cases (three standard deviations of a
    binomial).
    """
    share = 1 / classes
    return share + _SIGMAS * math.sqrt(share * (1 - share) / max(images, 1))


def _lower_rate(config) -> str:
    clip = "" if config.optim.clip_norm else " with --config.optim.clip_norm=1.0"
    return f"--config.optim.lr={config.optim.lr / 10:g}{clip} (python -m tools.lr_find searches for a rate)"
