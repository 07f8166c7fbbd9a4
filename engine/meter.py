"""Training metrics between two records."""

from __future__ import annotations

from typing import NamedTuple

import paddle
from paddle import Tensor

from engine import distributed


class Meter:
    """Sums over the micro-batches since the last reading; they stay on the device until they are read."""

    def __init__(self):
        self._terms: dict[str, list[Tensor]] = {}  # each with the micro-batches that had it
        self._hits: list[Tensor] = []
        self._images = self._skipped = 0

    def add(self, terms: NamedTuple, predictions: Tensor, labels: Tensor, skipped: int = 0) -> None:
        """Count one micro-batch: named scalars, of which `total` is the loss, and predictions `(B, C)`."""
        for name, term in terms._asdict().items():
            self._terms.setdefault("loss" if name == "total" else name, []).append(term.detach())
        self._hits.append((predictions.detach().argmax(axis=-1) == labels).astype("float32").sum())
        self._images += len(labels)
        self._skipped += skipped

    def read(self) -> dict[str, float]:
        """Means over micro-batches and ranks (accuracy: over images; skipped: a sum); then start anew."""
        sums = [paddle.stack(values).astype("float64").sum().item() for values in self._terms.values()]
        counts = [len(values) for values in self._terms.values()]
        hits = paddle.stack(self._hits).sum().item()
        *both, hits, images, skipped = distributed.sum_over_ranks(
            [*sums, *counts, hits, self._images, self._skipped]
        ).tolist()
        means = {name: both[place] / both[place + len(sums)] for place, name in enumerate(self._terms)}
        self.__init__()
        return {**means, "accuracy": hits / images, "skipped": int(skipped)}
