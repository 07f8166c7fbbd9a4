"""Training metrics between two records."""

from __future__ import annotations

from typing import NamedTuple

import paddle
from paddle import Tensor

from engine import distributed


class _MicroBatch(NamedTuple):
    terms: dict[str, Tensor]
    hits: Tensor
    images: int


class Meter:
    """What the micro-batches since the last reading gave; it stays on the device until it is read."""

    def __init__(self):
        self._micro_batches: list[_MicroBatch] = []
        self._skipped = 0

    def add(self, terms: NamedTuple, predictions: Tensor, labels: Tensor, skipped: int = 0) -> None:
        """Count one micro-batch: named scalars, of which `total` is the loss, and predictions `(B, C)`."""
        named = {"loss" if name == "total" else name: term.detach() for name, term in terms._asdict().items()}
        hits = (predictions.detach().argmax(axis=-1) == labels).astype("float32").sum()
        self._micro_batches.append(_MicroBatch(named, hits, len(labels)))
        self._skipped += skipped

    def drop(self, micro_batches: int) -> None:
        """Leave the last ones out, which were no part of the training after all."""
        del self._micro_batches[-micro_batches:]

    def read(self) -> dict[str, float]:
        """Means over micro-batches and ranks (accuracy: over images; skipped: a sum); then start anew.

        Where there are no micro-batches, skipped alone.
        """
        terms: dict[str, list[Tensor]] = {}  # each of the micro-batches that had it
        for micro_batch in self._micro_batches:
            for name, term in micro_batch.terms.items():
                terms.setdefault(name, []).append(term)
        sums = [paddle.stack(values).astype("float64").sum().item() for values in terms.values()]
        counts = [len(values) for values in terms.values()]
        hits = paddle.stack([one.hits for one in self._micro_batches]).sum().item() if terms else 0.0
        images = sum(one.images for one in self._micro_batches)
        *both, hits, images, skipped = distributed.sum_over_ranks(
            [*sums, *counts, hits, images, self._skipped]
        ).tolist()
        means = {name: both[place] / both[place + len(sums)] for place, name in enumerate(terms)}
        self.__init__()
        return {**means, **({"accuracy": hits / images} if images else {}), "skipped": int(skipped)}
