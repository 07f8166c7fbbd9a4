"""What a step minimises: cross-entropy, R-Drop's consistency and distillation, as the config
describes them.
"""

from __future__ import annotations

import itertools
from collections import namedtuple
from collections.abc import Callable
from functools import cache
from typing import NamedTuple

import numpy as np
import paddle
import paddle.nn.functional as F
from paddle import Tensor

import models
from common.errors import UserError
from data import Erasing, Mixing
from engine.step.noise import is_rdrop_step, place_in_step, rows_in_step
from losses import DistillationLoss, RDropLoss, smooth
from models.input_images import normalise

_STREAM, _ERASING = (
    0x314C,
    0xE4A5,
)  # tell these random numbers from those of other uses of the same seed


class SinglePassTerms(NamedTuple):
    """Loss terms of a step in which the images pass once."""

    total: Tensor
    ce: Tensor


class SemiSupervisedTerms(NamedTuple):
    """Loss terms with those of images without labels; scalars, in nats."""

    total: Tensor
    ce: Tensor
    kl: Tensor
    kl_unlabelled: Tensor


class Taught(NamedTuple):
    """Targets of images with labels, as `Objective.prepare` gives them, and the teacher's logits
    `(B, C)` for them.
    """

    labels: Tensor
    teacher: Tensor


class Objective:
    """The loss of a config at each step of its run.

    Args:
        config: a whole config, with its model's input statistics and number of classes.

    Raises:
        UserError: for options of the loss that do not go together.
    """

    def __init__(self, config):
        self.config = config
        self.loss = rdrop_loss(config)
        options = config.data
        self.erasing = Erasing(options.erase_probability, options.erase_mode, options.erase_count)
        probabilities = options.mix_probability, options.mix_switch_probability
        self.mixing = Mixing(
            options.mixup_alpha, options.cutmix_alpha, options.mix_mode, *probabilities
        )

    def copies(self, step: int) -> int:
        """How many times each image passes in this step."""
        return self.config.rdrop.copies if is_rdrop_step(self.config, step) else 1

    def by_micro_batch(self, model) -> bool:
        """Whether a batch in other micro-batches is another objective: something is counted by
        them.

        That is images without labels, pairs that are mixed, KL as a sum, and the statistics of
        batch norms.
        """
        unlabelled, mixed = self.config.rdrop.unlabelled_batch_size > 0, self.mixing.active
        return unlabelled or mixed or self.loss.sums_kl or bool(models.batch_norms(model))

    def prepare(self, batch, step: int, micro_batch: int) -> tuple[Tensor, Tensor]:
        """What goes into the model, and the targets of the images with labels, which come first.

        Erasing and mixing are done before the images are copied: all copies of an image share them.

        Returns:
            Images float32 `(B + U, 3, S, S)`, and labels int64 `(B,)` or targets float32 `(B, C)`.
        """
        classes, labelled = self.config.model.num_classes, len(batch.labels)
        pixels = batch.pixels() if self.copies(step) > 1 else batch.pixels(labelled)
        images = normalise(pixels, self.config.model)
        if self.erasing.active:
            rows = itertools.chain(*rows_in_step(self.config, step, micro_batch))
            images = self.erasing(images, [(_ERASING, self.config.seed, step, row) for row in rows])
        targets = smooth(batch.labels, classes, self.config.loss.label_smoothing)
        if self.mixing.active:
            rng = np.random.default_rng(
                (_STREAM, self.config.seed, step, place_in_step(self.config, micro_batch))
            )
            mixed, targets = self.mixing(images[:labelled], targets, classes, rng)
            images = paddle.concat([mixed, images[labelled:]]) if len(images) > labelled else mixed
        return images, targets

    def __call__(self, logits: Tensor, targets: Tensor, step: int) -> NamedTuple:
        """The loss of one micro-batch, `total`, and its terms.

        Args:
            logits: what the model gives, `(m, B + U, C)` (`(m, B + U, 2, C)` of two heads), without
                m for one copy.
            targets: as `prepare` gives them.
            step: decides the weight of the consistency, which may grow.
        """
        rdrop, growth = self.config.rdrop, self._growth(step)
        if self.copies(step) == 1:
            ce = self.loss(
                logits.unsqueeze(0), targets
            ).ce  # as it is, whatever the preset makes of it beside KL
            return SinglePassTerms(ce, ce)
        if not rdrop.unlabelled_batch_size:
            return self.loss(logits, targets, alpha=growth * rdrop.alpha)
        labelled = len(targets)
        terms = self.loss(logits[:, :labelled], targets, alpha=growth * rdrop.alpha)
        kl = self.loss.unlabelled(logits[:, labelled:])
        return SemiSupervisedTerms(
            terms.total + growth * rdrop.unlabelled_alpha * kl, terms.ce, terms.kl, kl
        )

    def predictions(self, logits: Tensor, targets: Tensor, step: int) -> Tensor:
        """Logits `(B, C)` of the first copy of the images with labels, averaged over heads."""
        first = (logits if self.copies(step) == 1 else logits[0])[: len(targets)].detach()
        return first.mean(axis=1) if first.ndim == 3 else first

    def _growth(self, step: int) -> float:
        """The share of its full weight that the consistency has: linear from 0 at the first
        step.
        """
        warmup = self.config.rdrop.alpha_warmup_steps
        return min(1.0, step / warmup) if warmup else 1.0


class DistilledObjective(Objective):
    """The objective of a student with a teacher; `a` is `distill.alpha`, `alpha` that of R-Drop.

        loss = (1 - a) * (CE + alpha * KL) + a * distillation

    As in DeiT (arXiv:2012.12877), of two heads that are trained each (`model.train_head`), CE is
    that of the class head and distillation that of the distillation head; KL stays the mean over
    both, so that each has R-Drop's beside its own term. All other models have one prediction, which
    all three terms are of. The preset decides what CE and KL weigh in the bracket; images without
    labels have their consistency there, and no teacher.

    Args:
        config: as for `Objective`.
        teacher: gives logits `(B, C)` of images as `prepare` gives them; asked once for all copies.

    Raises:
        UserError: for options of the loss that do not go together.
    """

    def __init__(self, config, teacher: Callable[[Tensor], Tensor]):
        super().__init__(config)
        self.teacher, self.share = teacher, config.distill.alpha
        self.distillation = _distillation_loss(config)
        self.two_heads = (
            models.is_distilled(config.model.name) and config.model.train_head == "each"
        )
        if self.two_heads and self.share == 1:
            raise UserError(
                "config.distill.alpha is 1, which leaves the class head without a loss; lower it, or set "
                "model.train_head=distillation"
            )

    def prepare(self, batch, step: int, micro_batch: int) -> tuple[Tensor, Taught]:
        """What goes into the model, and the targets with the teacher's logits for the same images,
        mixed or not.
        """
        images, labels = super().prepare(batch, step, micro_batch)
        teacher = self.teacher(images[: len(labels)])
        return images, Taught(self._for_class_head(labels) if self.two_heads else labels, teacher)

    def __call__(self, logits: Tensor, targets: Taught, step: int) -> NamedTuple:
        """The loss of one micro-batch; see `Objective`. Its terms have `distillation` behind
        them.
        """
        base = super().__call__(logits, targets.labels, step)
        copies = logits.unsqueeze(0) if self.copies(step) == 1 else logits
        student = copies[:, : len(targets.labels)]  # (m, B, C), or (m, B, 2, C)
        distillation = self.distillation(
            student[:, :, 1] if self.two_heads else student, targets.teacher
        )
        total = (1 - self.share) * base.total + self.share * distillation
        return _distilled_terms(base._fields)(*base._replace(total=total), distillation)

    def predictions(self, logits: Tensor, targets: Taught, step: int) -> Tensor:
        """See `Objective`."""
        return super().predictions(logits, targets.labels, step)

    def _for_class_head(self, labels: Tensor) -> Tensor:
        """Targets `(B, 2, C)` for the loss of both heads, a mean: the first counts twice, the
        second not at all.
        """
        targets = F.one_hot(labels, self.config.model.num_classes) if labels.ndim == 1 else labels
        return paddle.stack([2 * targets, paddle.zeros_like(targets)], axis=1)


def _distillation_loss(config) -> DistillationLoss:
    try:
        return DistillationLoss(config.distill.kind, config.distill.temperature)
    except ValueError as error:
        raise UserError(f"config.distill: {error}") from None


@cache
def _distilled_terms(fields: tuple[str, ...]) -> type:
    """The type of terms with these names and `distillation`."""
    return namedtuple("DistilledTerms", (*fields, "distillation"))


def make_objective(config, teacher: Callable[[Tensor], Tensor] | None) -> Objective:
    """The objective of a config, with its teacher, if it has one."""
    return DistilledObjective(config, teacher) if teacher else Objective(config)


def rdrop_loss(config) -> RDropLoss:
    """The loss that a config describes.

    Raises:
        UserError: for options that do not go together.
    """
    rdrop = config.rdrop
    try:
        return RDropLoss(
            rdrop.alpha,
            rdrop.preset,
            rdrop.consistency,
            rdrop.temperature,
            rdrop.stop_gradient,
            config.loss.form,
        )
    except ValueError as error:
        raise UserError(f"config.rdrop: {error}") from None
