"""What a step minimises: cross-entropy and R-Drop's consistency, as the config describes them."""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
import paddle
from paddle import Tensor

from common.errors import UserError
from data import Mixing
from engine.evaluator import normalise
from engine.noise import is_rdrop_step, place_in_step
from losses import RDropLoss, smooth

_STREAM = 0x314C  # tells these random numbers from those of other uses of the same seed


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
        self.mixing = Mixing(config.data.mixup_alpha, config.data.cutmix_alpha)

    def copies(self, step: int) -> int:
        """How many times each image passes in this step."""
        return self.config.rdrop.copies if is_rdrop_step(self.config, step) else 1

    def prepare(self, batch, step: int, micro_batch: int) -> tuple[Tensor, Tensor]:
        """What goes into the model, and the targets of the images with labels, which come first.

        Mixing is done before the images are copied: all copies of an image share it.

        Returns:
            Images float32 `(B + U, 3, S, S)`, and labels int64 `(B,)` or targets float32 `(B, C)`.
        """
        classes, labelled = self.config.model.num_classes, len(batch.labels)
        pixels = batch.images if self.copies(step) > 1 else batch.images[:labelled]
        images = normalise(pixels, self.config.model)
        targets = smooth(batch.labels, classes, self.config.loss.label_smoothing)
        if self.mixing.active:
            rng = np.random.default_rng((_STREAM, self.config.seed, step, place_in_step(self.config, micro_batch)))
            mixed, targets = self.mixing(images[:labelled], targets, classes, rng)
            images = paddle.concat([mixed, images[labelled:]]) if len(images) > labelled else mixed
        return images, targets

    def __call__(self, logits: Tensor, targets: Tensor, step: int) -> NamedTuple:
        """The loss of one micro-batch, `total`, and its terms.

        Args:
            logits: what the model gives, `(m, B + U, C)` (`(m, B + U, 2, C)` of two heads), without m for one copy.
            targets: as `prepare` gives them.
            step: decides the weight of the consistency, which may grow.
        """
        rdrop, growth = self.config.rdrop, self._growth(step)
        if self.copies(step) == 1:
            ce = self.loss(logits.unsqueeze(0), targets).ce  # as it is, whatever the preset makes of it beside KL
            return SinglePassTerms(ce, ce)
        if not rdrop.unlabelled_batch_size:
            return self.loss(logits, targets, alpha=growth * rdrop.alpha)
        labelled = len(targets)
        terms = self.loss(logits[:, :labelled], targets, alpha=growth * rdrop.alpha)
        kl = self.loss.unlabelled(logits[:, labelled:])
        return SemiSupervisedTerms(terms.total + growth * rdrop.unlabelled_alpha * kl, terms.ce, terms.kl, kl)

    def predictions(self, logits: Tensor, targets: Tensor, step: int) -> Tensor:
        """Logits `(B, C)` of the first copy of the images with labels, averaged over heads."""
        first = (logits if self.copies(step) == 1 else logits[0])[: len(targets)].detach()
        return first.mean(axis=1) if first.ndim == 3 else first

    def _growth(self, step: int) -> float:
        """The share of its full weight that the consistency has: linear from 0 at the first step."""
        warmup = self.config.rdrop.alpha_warmup_steps
        return min(1.0, step / warmup) if warmup else 1.0


def rdrop_loss(config) -> RDropLoss:
    """The loss that a config describes.

    Raises:
        UserError: for options that do not go together.
    """
    rdrop = config.rdrop
    try:
        return RDropLoss(
            rdrop.alpha, rdrop.preset, rdrop.consistency, rdrop.temperature, rdrop.stop_gradient, config.loss.form
        )
    except ValueError as error:
        raise UserError(f"config.rdrop: {error}") from None
