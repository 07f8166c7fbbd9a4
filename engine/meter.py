"""Training metrics between two records."""

from __future__ import annotations

import numpy as np
import paddle
from paddle import Tensor

from engine import distributed
from losses import Terms


class Meter:
    """Sums over the micro-batches since the last reading; they stay on the device until they are read."""

    def __init__(self):
        self._rows: list[Tensor] = []  # loss, CE, KL, hits of each micro-batch
        self._images = self._skipped = 0

    def add(self, terms: Terms, logits: Tensor, labels: Tensor, skipped: int = 0) -> None:
        """Count one micro-batch; `logits` are `(m, B, C)` or `(B, C)`, and the first copy's accuracy is taken."""
        first = logits.detach() if logits.ndim == 2 else logits[0].detach()
        hits = (first.argmax(axis=-1) == labels).astype("float32").sum()
        self._rows.append(paddle.stack([*(term.detach() for term in terms), hits]))
        self._images += len(labels)
        self._skipped += skipped

    def read(self) -> dict[str, float]:
        """Means over micro-batches and ranks (accuracy: over images; skipped: a sum); then start anew."""
        rows = np.stack([row.numpy() for row in self._rows]).astype(np.float64)
        mine = [*rows.sum(axis=0), len(rows), self._images, self._skipped]
        *terms, hits, batches, images, skipped = distributed.sum_over_ranks(mine).tolist()
        self.__init__()
        loss, ce, kl = (term / batches for term in terms)
        return {"loss": loss, "ce": ce, "kl": kl, "accuracy": hits / images, "skipped": int(skipped)}
