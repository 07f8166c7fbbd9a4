"""Exact evaluation: every image once, counts added up over batches and processes, no average of
averages.
"""

from __future__ import annotations

import time
from typing import NamedTuple

import numpy as np
import paddle
from paddle import nn

import data
from engine import distributed
from models.input_images import normalise

ECE_BINS = 15


class Result(NamedTuple):
    """Accuracy of a model on one split.

    `top1` and `top5` are fractions, `loss` the mean cross-entropy in nats, `ece` the expected
    calibration error (Guo et al., arXiv:1706.04599, 15 bins of equal width, a fraction), `seen` the
    images counted, `skipped` the damaged ones left out, `seconds` the time on this process.
    """

    top1: float
    top5: float
    loss: float
    ece: float
    seen: int
    skipped: int
    seconds: float
    images_per_second: float


class Counter:
    """Sums over images, from which the result follows. All in float64, where counts are exact."""

    def __init__(self):
        self.sums = np.zeros(5)  # seen, skipped, top-1 hits, top-5 hits, cross-entropy
        self.bins = np.zeros(
            (3, ECE_BINS)
        )  # images, hits and confidences in each bin of confidence

    def add(self, logits: np.ndarray, labels: np.ndarray) -> None:
        """Count one batch: logits `(B, C)`, labels `(B,)`, of which `data.UNREADABLE` are left
        out.
        """
        valid = labels != data.UNREADABLE
        logits, labels = logits[valid].astype(np.float64), labels[valid]
        shifted = logits - logits.max(axis=1, keepdims=True)
        log_probs = shifted - np.log(np.exp(shifted).sum(axis=1, keepdims=True))
        own = logits[np.arange(len(labels)), labels][:, None]
        # The place of the label among the logits; of equal ones the lower class comes first, as in
        # argmax.
        earlier = np.arange(logits.shape[1])[None] < labels[:, None]
        place = ((logits > own) | ((logits == own) & earlier)).sum(axis=1)
        place[np.isnan(logits).any(axis=1)] = max(
            logits.shape[1], 5
        )  # a prediction that is no number is a miss
        loss = -log_probs[np.arange(len(labels)), labels]
        self.sums += [
            len(labels),
            (~valid).sum(),
            (place == 0).sum(),
            (place < 5).sum(),
            loss.sum(),
        ]
        confidence = np.nan_to_num(np.exp(log_probs.max(axis=1)))
        index = np.clip(np.ceil(confidence * ECE_BINS).astype(int) - 1, 0, ECE_BINS - 1)
        for row, weights in enumerate((np.ones(len(labels)), place == 0, confidence)):
            self.bins[row] += np.bincount(index, weights, ECE_BINS)

    def result(self, seconds: float) -> Result:
        """The result over all ranks, the same on each."""
        total = distributed.sum_over_ranks(np.concatenate([self.sums, self.bins.ravel()]))
        (seen, skipped, top1, top5, loss), (_, hits, confidence) = (
            total[:5],
            total[5:].reshape(3, ECE_BINS),
        )
        share = max(seen, 1)
        ece = np.abs(hits - confidence).sum() / share
        fractions = (float(top1 / share), float(top5 / share), float(loss / share), float(ece))
        return Result(
            *fractions, int(seen), int(skipped), seconds, float(seen / max(seconds, 1e-9))
        )


@paddle.no_grad()
def evaluate(
    model: nn.Layer, dataset, config, on_batch=lambda images: None, check=lambda: None
) -> Result:
    """Evaluate a model on a data set, with all processes; each gets the whole result.

    Args:
        model: not wrapped for several cards; put into evaluation mode, and back.
        dataset: what `data.build` gives, without augmentation.
        config: a whole config.
        on_batch: called with the number of images after each batch on this process.
        check: called before each batch that all processes have; may end the evaluation by raising
            on all of them.
    """
    was_training = model.training
    model.eval()
    sampler = data.EvalSampler(dataset, config.eval.batch_size)
    counter, started = Counter(), time.perf_counter()
    try:
        for number, batch in enumerate(data.load(dataset, sampler, config.data.workers)):
            if number < sampler.common_batches:
                check()
            logits = model(normalise(batch.pixels(), config.model))
            counter.add(logits.astype("float32").numpy(), batch.labels.numpy())
            on_batch(len(batch.labels))
    finally:
        if was_training:
            model.train()
    return counter.result(time.perf_counter() - started)
