"""Training metrics between two records."""

from typing import Any

import numpy as np
import paddle
from paddle import Tensor

from engine import distributed
from engine.step.objective import LossTerms


class Meter:
    """Sums over the micro-batches since the last reading.

    What is added stays on the device until it is read.
    """

    def __init__(self) -> None:
        self._reset()

    def _reset(self) -> None:
        # What was fetched: for each term its sum and the number of micro-batches that had it; the
        # hits, the images and the skipped images.
        self._sums: dict[str, list[float]] = {}
        self._counts = [0.0, 0, 0]
        # What is still on the device: terms, hits and number of images of each micro-batch.
        self._pending: list[tuple[dict[str, Tensor], Tensor, int]] = []

    def add(self, terms: LossTerms, predictions: Tensor, labels: Tensor, skipped: int = 0) -> None:
        """Counts one micro-batch.

        Args:
            terms: of the micro-batch; the total is called `loss`.
            predictions: logits `(B, C)`.
            labels: `(B,)`.
            skipped: number of damaged images that were left out.
        """
        named = {"loss": terms.total, **terms.parts}
        named = {name: term.detach() for name, term in named.items()}
        hits = (predictions.detach().argmax(axis=-1) == labels).astype("float32").sum()
        self._pending.append((named, hits, len(labels)))
        self._counts[2] += skipped

    def drop(self, micro_batches: int) -> None:
        """Removes the last micro-batches, of a step that was left out.

        Their skipped images still count.
        """
        del self._pending[-micro_batches:]

    def read(self) -> dict[str, float]:
        """Returns the metrics since the last reading, the same on all ranks, and starts anew.

        Returns:
            Means over micro-batches and ranks; `accuracy`, the mean over images; and `skipped`, a
            sum. If there was no micro-batch, only `skipped`.
        """
        *pairs, hits, images, skipped = distributed.sum_over_ranks(self._values()).tolist()
        named = zip(self._sums, pairs[::2], pairs[1::2])
        means = {name: total / count for name, total, count in named}
        self._reset()
        return {**means, **({"accuracy": hits / images} if images else {}), "skipped": int(skipped)}

    def state(self) -> dict[str, list[Any]]:
        """Returns what was counted since the last reading, by rank, for JSON."""
        ranks = distributed.rows_of_ranks(self._values()).tolist()
        return {"terms": list(self._sums), "ranks": ranks}

    def load_state(self, state: dict[str, list[Any]]) -> None:
        """Continues from a state; that of another number of ranks is added on the main one.

        Raises:
            ValueError: when the state is not that of a run.
        """
        ranks, terms = np.array(state["ranks"], np.float64), state["terms"]
        names = all(isinstance(name, str) and name.isidentifier() for name in terms)
        shaped = ranks.ndim == 2 and ranks.shape[1] == 2 * len(terms) + 3
        if not (shaped and names and np.isfinite(ranks[:, -3:]).all()):
            raise ValueError("what was counted since the last record is not that of a run")
        if len(ranks) != distributed.world_size():
            others = np.zeros((distributed.world_size() - 1, ranks.shape[1]))
            ranks = np.stack([ranks.sum(axis=0), *others])
        *pairs, hits, images, skipped = ranks[distributed.rank()].tolist()
        self._reset()
        self._sums = {name: list(pair) for name, *pair in zip(terms, pairs[::2], pairs[1::2])}
        self._counts = [hits, int(images), int(skipped)]

    def _values(self) -> list[float]:
        """Fetches what is pending; returns the pairs of `_sums`, then `_counts`.

        It is added up one micro-batch after the other, so that the sums are the same wherever a run
        was interrupted.
        """
        terms: dict[str, list[Tensor]] = {}
        for named, _, images in self._pending:
            self._counts[1] += images
            for name, term in named.items():
                terms.setdefault(name, []).append(term)
        for name, values in terms.items():
            sums = self._sums.setdefault(name, [0.0, 0])
            for value in paddle.stack(values).astype("float64").numpy().tolist():
                sums[0] += value
            sums[1] += len(values)
        if self._pending:
            self._counts[0] += paddle.stack([hits for _, hits, _ in self._pending]).sum().item()
        self._pending = []
        return [*(value for pair in self._sums.values() for value in pair), *self._counts]
