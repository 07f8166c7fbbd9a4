"""What a step minimises: cross-entropy, R-Drop's consistency and distillation, by the config."""

from __future__ import annotations

import itertools
from collections.abc import Callable
from typing import NamedTuple

import numpy as np
import paddle
import paddle.nn.functional as F
from ml_collections import ConfigDict
from paddle import Tensor, nn

import models
from common.errors import UserError
from data import Batch, Erasing, Mixing
from engine.step.noise import is_rdrop_step, place_in_step, rows_in_step
from engine.step.training_batches import FeatureBatch
from losses import DistillationLoss, RDropLoss, smooth

# These tell the random numbers of mixing and of erasing from those of other uses of the same seed.
_MIXING, _ERASING = 0x314C, 0xE4A5


class LossTerms(NamedTuple):
    """The loss of a micro-batch, and by name the parts that it is made of: scalars, in nats.

    The parts are `ce`, with R-Drop `kl`, with images without labels `kl_unlabelled`, with a teacher
    `distillation`; none is multiplied by its weight.
    """

    total: Tensor
    parts: dict[str, Tensor]


class Taught(NamedTuple):
    """Targets of the images with labels, and the teacher's logits `(B, C)` for them."""

    labels: Tensor
    teacher: Tensor


class Objective:
    """The loss of a config at each step of its run.

    Args:
        config: with its model's input statistics and number of classes.

    Raises:
        UserError: for options of the loss that do not go together.
    """

    def __init__(self, config: ConfigDict):
        self.config, data = config, config.data
        self.loss = rdrop_loss(config)
        self.erasing = Erasing(data.erase_probability, data.erase_mode, data.erase_count)
        probabilities = data.mix_probability, data.mix_switch_probability
        self.mixing = Mixing(data.mixup_alpha, data.cutmix_alpha, data.mix_mode, *probabilities)

    def copies(self, step: int) -> int:
        """Returns how many times each image passes in this step."""
        return self.config.rdrop.copies if is_rdrop_step(self.config, step) else 1

    def by_micro_batch(self, model: nn.Layer) -> bool:
        """Returns whether the split into micro-batches changes the objective.

        It does with images without labels, mixed pairs, KL as a sum, and batch norms.
        """
        unlabelled, mixed = self.config.rdrop.unlabelled_batch_size > 0, self.mixing.active
        return unlabelled or mixed or self.loss.sums_kl or bool(models.batch_norms(model))

    @property
    def changes_images(self) -> bool:
        """Whether it erases or mixes images, in another way in each step."""
        return self.erasing.active or self.mixing.active

    def prepare(
        self, batch: Batch | FeatureBatch, step: int, micro_batch: int
    ) -> tuple[Tensor, Tensor | Taught]:
        """Returns the input of the model, and the targets of the images with labels.

        Erasing and mixing, in the order of `data.erase_order`, are done before the images are
        copied: all copies of an image share them.

        Returns:
            Images float32 `(B + U, 3, S, S)`, those with labels first, or their cached features;
            and labels int64 `(B,)` or targets float32 `(B, C)`.
        """
        config, labelled = self.config, len(batch.labels)
        passing = None if self.copies(step) > 1 else labelled
        classes = config.model.num_classes
        targets = smooth(batch.labels, classes, config.loss.label_smoothing)
        if isinstance(batch, FeatureBatch):
            return batch.features[:passing], targets
        images = models.normalise(batch.pixels(passing), config.model)
        first = config.data.erase_order == "before_mixing"
        if first:
            images = self._erased(images, step, micro_batch)
        if self.mixing.active:
            key = (_MIXING, config.seed, step, place_in_step(config, micro_batch))
            rng = np.random.default_rng(key)
            mixed, targets = self.mixing(images[:labelled], targets, classes, rng)
            images = paddle.concat([mixed, images[labelled:]]) if len(images) > labelled else mixed
        return images if first else self._erased(images, step, micro_batch), targets

    def _erased(self, images: Tensor, step: int, micro_batch: int) -> Tensor:
        """Erases boxes of some images of a micro-batch, if the config says so."""
        if not self.erasing.active:
            return images
        rows = itertools.chain(*rows_in_step(self.config, step, micro_batch))
        return self.erasing(images, [(_ERASING, self.config.seed, step, row) for row in rows])

    def __call__(self, logits: Tensor, targets: Tensor | Taught, step: int) -> LossTerms:
        """Computes the loss of one micro-batch.

        Args:
            logits: of the model, `(m, B + U, C)`, of two heads `(m, B + U, 2, C)`; without m for
                one copy.
            targets: from `prepare`.
            step: decides the weight of the consistency, which may grow.
        """
        rdrop, growth = self.config.rdrop, self._growth(step)
        if self.copies(step) == 1:
            # Cross-entropy as it is: what the preset makes of it is meant together with KL.
            ce = self.loss(logits.unsqueeze(0), targets).ce
            return LossTerms(ce, {"ce": ce})
        labelled = len(targets)
        with_labels = logits[:, :labelled] if rdrop.unlabelled_batch_size else logits
        total, ce, kl = self.loss(with_labels, targets, alpha=growth * rdrop.alpha)
        parts = {"ce": ce, "kl": kl}
        if rdrop.unlabelled_batch_size:
            parts["kl_unlabelled"] = self.loss.unlabelled(logits[:, labelled:])
            total = total + growth * rdrop.unlabelled_alpha * parts["kl_unlabelled"]
        return LossTerms(total, parts)

    def predictions(self, logits: Tensor, targets: Tensor | Taught, step: int) -> Tensor:
        """Returns logits `(B, C)` of the first copy of the images with labels, a mean over heads.

        No gradient reaches them.
        """
        first = (logits if self.copies(step) == 1 else logits[0])[: len(targets)].detach()
        return first.mean(axis=1) if first.ndim == 3 else first

    def _growth(self, step: int) -> float:
        """Returns the share of its full weight that the consistency has at a step."""
        warmup = self.config.rdrop.alpha_warmup_steps
        return min(1.0, step / warmup) if warmup else 1.0


class DistilledObjective(Objective):
    """The objective of a student with a teacher; `a` is `distill.alpha`, `alpha` that of R-Drop.

        loss = (1 - a) * (CE + alpha * KL) + a * distillation

    A model with two heads that are both trained (`model.train_head=each`) is taught as in DeiT
    (arXiv:2012.12877): CE is that of the class head, distillation that of the distillation head. KL
    stays the mean over both heads. All other models have one prediction for all three terms. The
    preset decides what CE and KL weigh in the bracket. Images without labels have their consistency
    there, and no teacher.

    Args:
        config: as for `Objective`.
        teacher: returns logits `(B, C)` for images from `prepare`; asked once for all copies.

    Raises:
        UserError: for options of the loss that do not go together.
    """

    def __init__(self, config: ConfigDict, teacher: Callable[[Tensor], Tensor]):
        super().__init__(config)
        self.teacher, self.share = teacher, config.distill.alpha
        self.distillation = _distillation_loss(config)
        both = config.model.train_head == "each"
        self.two_heads = both and models.is_distilled(config.model.name)
        if self.two_heads and self.share == 1:
            raise UserError(
                "config.distill.alpha is 1, which leaves the class head without a loss; lower it, "
                "or set model.train_head=distillation"
            )

    def prepare(
        self, batch: Batch | FeatureBatch, step: int, micro_batch: int
    ) -> tuple[Tensor, Taught]:
        """See `Objective`; the teacher sees the same images, mixed or not."""
        images, labels = super().prepare(batch, step, micro_batch)
        teacher = self.teacher(images[: len(labels)])
        return images, Taught(self._for_class_head(labels) if self.two_heads else labels, teacher)

    def __call__(self, logits: Tensor, targets: Taught, step: int) -> LossTerms:
        """See `Objective`; one more part is `distillation`."""
        base = super().__call__(logits, targets.labels, step)
        copies = logits.unsqueeze(0) if self.copies(step) == 1 else logits
        student = copies[:, : len(targets.labels)]  # (m, B, C), or (m, B, 2, C)
        student = student[:, :, 1] if self.two_heads else student
        distillation = self.distillation(student, targets.teacher)
        total = (1 - self.share) * base.total + self.share * distillation
        return LossTerms(total, {**base.parts, "distillation": distillation})

    def predictions(self, logits: Tensor, targets: Taught, step: int) -> Tensor:
        """See `Objective`."""
        return super().predictions(logits, targets.labels, step)

    def _for_class_head(self, labels: Tensor) -> Tensor:
        """Returns targets `(B, 2, C)` for a mean over both heads: the class head counts twice."""
        targets = F.one_hot(labels, self.config.model.num_classes) if labels.ndim == 1 else labels
        return paddle.stack([2 * targets, paddle.zeros_like(targets)], axis=1)


def make_objective(
    config: ConfigDict, teacher: Callable[[Tensor], Tensor] | None = None
) -> Objective:
    """Makes the objective of a config, with its teacher, if it has one."""
    return DistilledObjective(config, teacher) if teacher else Objective(config)


def rdrop_loss(config: ConfigDict) -> RDropLoss:
    """Makes the loss that a config describes.

    Raises:
        UserError: for options that do not go together.
    """
    rdrop = config.rdrop
    options = rdrop.preset, rdrop.consistency, rdrop.temperature, rdrop.stop_gradient
    try:
        return RDropLoss(rdrop.alpha, *options, config.loss.form)
    except ValueError as error:
        raise UserError(f"config.rdrop: {error}") from None


def _distillation_loss(config: ConfigDict) -> DistillationLoss:
    try:
        return DistillationLoss(config.distill.kind, config.distill.temperature)
    except ValueError as error:
        raise UserError(f"config.distill: {error}") from None
