"""Exact evaluation: every image is counted once, and no averages are averaged."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterable
from typing import Any, NamedTuple

import numpy as np
import paddle
from ml_collections import ConfigDict
from numpy.typing import NDArray
from paddle import nn

import data
import models
from engine import distributed
from engine.results import progress_lines
from engine.step.training_batches import FeatureBatch
from measures.calibration import BINS, bins_of, log_softmax


class Result(NamedTuple):
    """The accuracy of a model on one split.

    `top1` and `top5` are fractions; with fewer than 5 classes `top5` is None. `loss` is the mean
    cross-entropy in nats. `ece` is the expected calibration error, a fraction (Guo et al.,
    arXiv:1706.04599, 15 bins of equal width). `seen` is the number of images that were counted,
    `skipped` that of damaged ones, which were left out. `seconds` is the time on this process.
    """

    top1: float
    top5: float | None
    loss: float
    ece: float
    seen: int
    skipped: int
    seconds: float
    images_per_second: float


class Counter:
    """Sums over images, from which the result follows; in float64, where counts are exact."""

    def __init__(self) -> None:
        self.sums = np.zeros(5)  # seen, skipped, top-1 hits, top-5 hits, cross-entropy
        self.bins = np.zeros((3, BINS))  # by confidence: images, hits, sum of confidences

    def add(self, logits: NDArray[Any], labels: NDArray[np.int64]) -> None:
        """Counts one batch.

        Args:
            logits: `(B, C)`.
            labels: `(B,)`; images with the label `data.UNREADABLE` are left out.
        """
        valid = labels != data.UNREADABLE
        logits, labels = logits[valid].astype(np.float64), labels[valid]
        log_probs = log_softmax(logits)
        images, classes = logits.shape
        own = logits[np.arange(images), labels][:, None]
        # The rank of the label's logit, from 0; of equal logits the lower class is first, as in
        # argmax. A prediction that is not a number is a miss.
        earlier = np.arange(classes)[None] < labels[:, None]
        place = ((logits > own) | ((logits == own) & earlier)).sum(axis=1)
        place[np.isnan(logits).any(axis=1)] = max(classes, 5)
        loss = -log_probs[np.arange(images), labels].sum()
        self.sums += [images, (~valid).sum(), (place == 0).sum(), (place < 5).sum(), loss]
        confidence = np.nan_to_num(np.exp(log_probs.max(axis=1)))
        index = bins_of(confidence)
        self.bins += [
            np.bincount(index, weights, BINS)
            for weights in (np.ones(images), place == 0, confidence)
        ]

    def result(self, seconds: float) -> Result:
        """Returns the result over all ranks, the same on each of them."""
        total = distributed.sum_over_ranks(np.concatenate([self.sums, self.bins.ravel()]))
        seen, skipped, *sums = total[: len(self.sums)].tolist()
        _, hits, confidences = total[len(self.sums) :].reshape(3, BINS)
        share, rate = max(seen, 1), seen / max(seconds, 1e-9)
        top1, top5, loss, ece = (
            float(value / share) for value in (*sums, np.abs(hits - confidences).sum())
        )
        return Result(top1, top5, loss, ece, int(seen), int(skipped), seconds, rate)


@paddle.no_grad()
def evaluate(
    model: nn.Layer,
    dataset: data.ImageDataset,
    config: ConfigDict,
    on_batch: Callable[[int], None] | None = None,
    check: Callable[[], None] = lambda: None,
    collect: Callable[[data.Batch, NDArray[np.float32]], None] | None = None,
    cached: Callable[[data.EvalSampler], Iterable[FeatureBatch]] | None = None,
) -> Result:
    """Evaluates a model on a data set, with all processes.

    Args:
        model: not wrapped for several cards; its mode is the same afterwards.
        dataset: from `data.build`, without augmentation.
        config: a whole config.
        on_batch: called after each batch of this process with its number of images; None: a long
            evaluation prints lines where there is no terminal.
        check: called before each batch that all processes have; may raise on all of them, which
            ends the evaluation.
        collect: gets each batch of this process with its logits `(B, C)`; not with `cached`.
        cached: returns a sampler's batches with the output of the model's frozen part; None: the
            images are read.

    Returns:
        The result over all processes, on each of them.
    """
    was_training = model.training
    model.eval()
    sampler = data.EvalSampler(dataset, config.eval.batch_size)
    on_batch = on_batch or progress_lines.evaluation(len(dataset))
    counter, started = Counter(), time.perf_counter()
    try:
        batches: Iterable[data.Batch | FeatureBatch] = (
            cached(sampler) if cached else data.load(dataset, sampler, config.data.workers)
        )
        for number, batch in enumerate(batches):
            if number < sampler.common_batches:
                check()
            logits = _logits(model, batch, config)
            counter.add(logits, batch.labels.numpy())
            if collect and isinstance(batch, data.Batch):
                collect(batch, logits)
            on_batch(len(batch.labels))
    finally:
        if was_training:
            model.train()
    result = counter.result(time.perf_counter() - started)
    return result if config.model.num_classes >= 5 else result._replace(top5=None)


def _logits(
    model: nn.Layer, batch: data.Batch | FeatureBatch, config: ConfigDict
) -> NDArray[np.float32]:
    if isinstance(batch, FeatureBatch):
        return model(batch.features, cached=True).numpy()
    return model(models.normalise(batch.pixels(), config.model)).astype("float32").numpy()
