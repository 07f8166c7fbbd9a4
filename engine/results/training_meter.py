"""Training metrics between two records."""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
import paddle
from paddle import Tensor

from engine import distributed


class _MicroBatch(NamedTuple):
    terms: dict[str, Tensor]
    hits: Tensor
    images: int


class Meter:
    """Sums over the micro-batches since the last reading; they stay on the device until they are
    read.
    """

    def __init__(self):
        self._sums: dict[
            str, list[float]
        ] = {}  # of each term, and the micro-batches that had it; read already
        self._counts = [0.0, 0, 0]  # hits and images read already, skipped images
        self._pending: list[_MicroBatch] = []  # not read yet

    def add(self, terms: NamedTuple, predictions: Tensor, labels: Tensor, skipped: int = 0) -> None:
        """Count one micro-batch: named scalars, of which `total` is the loss, and predictions `(B,
        C)`.
        """
        named = {
            "loss" if name == "total" else name: term.detach()
            for name, term in terms._asdict().items()
        }
        hits = (predictions.detach().argmax(axis=-1) == labels).astype("float32").sum()
        self._pending.append(_MicroBatch(named, hits, len(labels)))
        self._counts[2] += skipped

    def drop(self, micro_batches: int) -> None:
        """Leave out the last ones, of a step that was not taken; their skipped images still
        count.
        """
        del self._pending[-micro_batches:]

    def read(self) -> dict[str, float]:
        """Means over micro-batches and ranks (accuracy: over images; skipped: a sum); then start
        anew.

        Without any micro-batch there is skipped alone.
        """
        self._fetch()
        sums, counts = zip(*self._sums.values()) if self._sums else ((), ())
        *both, hits, images, skipped = distributed.sum_over_ranks(
            [*sums, *counts, *self._counts]
        ).tolist()
        means = {
            name: both[place] / both[place + len(sums)] for place, name in enumerate(self._sums)
        }
        self.__init__()
        return {**means, **({"accuracy": hits / images} if images else {}), "skipped": int(skipped)}

    def state(self) -> dict[str, list]:
        """What was counted since the last reading, by rank, for JSON."""
        self._fetch()
        mine = [*(value for pair in self._sums.values() for value in pair), *self._counts]
        return {"terms": list(self._sums), "ranks": distributed.rows_of_ranks(mine).tolist()}

    def load_state(self, state: dict[str, list]) -> None:
        """Go on from a state; that of another number of ranks goes to the main one."""
        ranks, terms = np.array(state["ranks"], np.float64), state["terms"]
        names = all(isinstance(name, str) and name.isidentifier() for name in terms)
        if (
            ranks.ndim != 2
            or ranks.shape[1] != 2 * len(terms) + 3
            or not names
            or not np.isfinite(ranks[:, -3:]).all()
        ):
            raise ValueError("what was counted since the last record is not that of a run")
        if len(ranks) != distributed.world_size():
            ranks = np.stack(
                [ranks.sum(axis=0), *np.zeros((distributed.world_size() - 1, ranks.shape[1]))]
            )
        *sums, hits, images, skipped = ranks[distributed.rank()].tolist()
        self.__init__()
        self._sums = {name: sums[2 * place : 2 * place + 2] for place, name in enumerate(terms)}
        self._counts = [hits, int(images), int(skipped)]

    def _fetch(self) -> None:
        """Add up what is on the device, one by one: the sums are the same wherever a run was
        interrupted.
        """
        terms: dict[str, list[Tensor]] = {}  # of the micro-batches that had it
        for micro_batch in self._pending:
            for name, term in micro_batch.terms.items():
                terms.setdefault(name, []).append(term)
        for name, values in terms.items():
            sums = self._sums.setdefault(name, [0.0, 0])
            for value in paddle.stack(values).astype("float64").numpy().tolist():
                sums[0] += value
            sums[1] += len(values)
        if self._pending:
            self._counts[0] += paddle.stack([one.hits for one in self._pending]).sum().item()
            self._counts[1] += sum(one.images for one in self._pending)
        self._pending = []
