"""The published forms of R-Drop in PyTorch, written from their definitions, in float64; `main` stores what they give.

    python tests/losses/pytorch_reference.py    # needs torch; writes tests/losses/golden.npz

`golden.npz` holds, for each preset and micro-batch, the loss and its gradient on random logits; the tests compare with
it where PyTorch is not installed.
"""

from __future__ import annotations

from pathlib import Path

import numpy as np

GOLDEN = Path(__file__).with_name("golden.npz")
ALPHA, CLASSES, BATCHES = 0.3, 10, (1, 8, 32)


def random_batch(batch: int) -> tuple[np.ndarray, np.ndarray]:
    """Logits float32 `(2, B, C)` and labels int64 `(B,)`."""
    rng = np.random.default_rng(batch)
    return rng.normal(0, 2, (2, batch, CLASSES)).astype(np.float32), rng.integers(0, CLASSES, batch)


def loss(preset: str, first, second, labels, alpha: float):
    """The total that a publication minimises, from two logits `(B, C)`."""
    import torch.nn.functional as F

    entropies = F.cross_entropy(first, labels) + F.cross_entropy(second, labels)
    p, q = F.log_softmax(first, -1), F.log_softmax(second, -1)
    both = F.kl_div(p, q.exp(), reduction="none").sum() + F.kl_div(q, p.exp(), reduction="none").sum()
    if preset == "official_code":  # dropreg/R-Drop, vit_src/models/modeling.py: nothing halved, KL summed
        return entropies + alpha * both
    if preset == "paddle_2021":
        return entropies / 2 + alpha * both / 2
    if preset == "paper":  # equation (4), its expectation over samples
        return entropies + alpha * both / (2 * len(labels))
    return entropies / 2 + alpha * both / (2 * len(labels))


def loss_and_gradient(preset: str, logits: np.ndarray, labels: np.ndarray, alpha: float) -> tuple[float, np.ndarray]:
    """PyTorch's total and its gradient `(2, B, C)`, in float64."""
    import torch

    values = torch.tensor(logits, dtype=torch.float64, requires_grad=True)
    total = loss(preset, values[0], values[1], torch.tensor(labels), alpha)
    total.backward()
    return total.item(), values.grad.numpy()


def main() -> None:
    """Write the golden file."""
    arrays = {}
    for preset in ("per_sample", "paper", "official_code", "paddle_2021"):
        for batch in BATCHES:
            total, gradient = loss_and_gradient(preset, *random_batch(batch), ALPHA)
            arrays[f"{preset}/{batch}/total"] = np.array(total)
            arrays[f"{preset}/{batch}/gradient"] = gradient
    np.savez_compressed(GOLDEN, **arrays)


if __name__ == "__main__":
    main()
