"""From a data set and a sampler to batches of tensors."""

from __future__ import annotations

import shutil
from collections.abc import Iterator
from typing import NamedTuple

import numpy as np
from paddle import Tensor
from paddle.io import DataLoader

_SHARED_MEMORY_NEEDED = 256 << 20  # bytes; AI Studio's containers have 64 MB, on which workers crash


class Batch(NamedTuple):
    """`images` uint8 `(B, 3, S, S)`, `labels` int64 `(B,)`, and how many damaged images were replaced or left out."""

    images: Tensor
    labels: Tensor
    skipped: int


def _collate(items) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    images, labels, skipped = zip(*items)
    return np.stack(images), np.array(labels, np.int64), np.array(sum(skipped), np.int64)


def shared_memory_fits() -> bool:
    """Whether worker processes can pass batches through shared memory here."""
    try:
        return shutil.disk_usage("/dev/shm").free >= _SHARED_MEMORY_NEEDED
    except OSError:
        return False


def load(dataset, sampler, workers: int) -> Iterator[Batch]:
    """Yield the sampler's batches, in its order, read by `workers` processes (0: by this one)."""
    shared = workers == 0 or shared_memory_fits()
    if not shared:
        print("/dev/shm is small here: worker processes pass batches through pipes, which is slower", flush=True)
    loader = DataLoader(
        dataset,
        batch_sampler=sampler,
        collate_fn=_collate,
        num_workers=workers,
        use_shared_memory=shared and workers > 0,
        return_list=True,
    )
    for images, labels, skipped in loader:
        yield Batch(images, labels, skipped.item())
