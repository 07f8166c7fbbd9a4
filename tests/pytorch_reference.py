"""The published forms of R-Drop and a ViT in PyTorch, written from their definitions, in float64.

    python tests/pytorch_reference.py    # needs torch; writes tests/losses/golden.npz

`golden.npz` holds, for each preset and micro-batch, the loss and its gradient on random logits; the
default tests compare with it, since they do without PyTorch.
"""

from __future__ import annotations

from pathlib import Path

import numpy as np

GOLDEN = Path(__file__).parent / "losses" / "golden.npz"
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
    both = (
        F.kl_div(p, q.exp(), reduction="none").sum() + F.kl_div(q, p.exp(), reduction="none").sum()
    )
    if (
        preset == "official_code"
    ):  # dropreg/R-Drop, vit_src/models/modeling.py: nothing halved, KL summed
        return entropies + alpha * both
    if preset == "paddle_2021":
        return entropies / 2 + alpha * both / 2
    if preset == "paper":  # equation (4), its expectation over samples
        return entropies + alpha * both / (2 * len(labels))
    return entropies / 2 + alpha * both / (2 * len(labels))


def loss_and_gradient(
    preset: str, logits: np.ndarray, labels: np.ndarray, alpha: float
) -> tuple[float, np.ndarray]:
    """PyTorch's total and its gradient `(2, B, C)`, in float64."""
    import torch

    values = torch.tensor(logits, dtype=torch.float64, requires_grad=True)
    total = loss(preset, values[0], values[1], torch.tensor(labels), alpha)
    total.backward()
    return total.item(), values.grad.numpy()


def vit(weights: dict, images, masks: list, depth: int, heads: int):
    """Logits `(B, C)` of a ViT with dropout, from the weights' names and shapes in this project.

    Args:
        weights: tensors; those of linear layers are `(in, out)`.
        images: `(B, 3, S, S)`.
        masks: of all drop layers, in the order of their use; those of the attention are `(H, B, N,
            N)`, those of drop path `(B,)`. Tokens behind those that a mask has are not dropped:
            they make no difference.
        depth: number of blocks.
        heads: of the attention.
    """
    import torch
    import torch.nn.functional as F

    drawn = iter(masks)

    def drop(x):
        mask = next(drawn)
        return x * (
            mask[:, None, None]
            if mask.ndim == 1
            else F.pad(mask, (0, 0, 0, x.shape[-2] - mask.shape[-2]), value=1)
        )

    def linear(x, name):
        return x @ weights[f"{name}.weight"] + weights[f"{name}.bias"]

    def norm(x, name):
        return F.layer_norm(
            x, x.shape[-1:], weights[f"{name}.weight"], weights[f"{name}.bias"], 1e-6
        )

    kernel = weights["patch_embed.proj.weight"]
    patches = F.conv2d(images, kernel, weights["patch_embed.proj.bias"], stride=kernel.shape[-1])
    tokens = [weights["cls_token"].expand(len(images), -1, -1), patches.flatten(2).transpose(1, 2)]
    x = drop(torch.cat(tokens, 1) + weights["pos_embed"])
    for block in (f"blocks.{number}" for number in range(depth)):
        qkv = linear(norm(x, f"{block}.norm1"), f"{block}.attn.qkv").reshape(
            *x.shape[:2], 3, heads, -1
        )
        q, k, v = qkv.permute(2, 0, 3, 1, 4)  # (B, H, N, D/H)
        attention = torch.softmax(q @ k.transpose(-1, -2) * q.shape[-1] ** -0.5, -1)
        mixed = (
            (drop(attention.transpose(0, 1)).transpose(0, 1) @ v).transpose(1, 2).flatten(2)
        )  # (B, N, D)
        x = x + drop(drop(linear(mixed, f"{block}.attn.proj")))
        hidden = drop(F.gelu(linear(norm(x, f"{block}.norm2"), f"{block}.mlp.fc1")))
        x = x + drop(drop(linear(hidden, f"{block}.mlp.fc2")))
    return linear(norm(x, "norm")[:, 0], "head")


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
