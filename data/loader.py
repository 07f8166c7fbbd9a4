"""From a data set and a sampler to batches of tensors."""

from __future__ import annotations

import contextlib
import ctypes
import functools
import os
import shutil
import signal
from collections.abc import Iterator
from typing import NamedTuple

import numpy as np
import paddle
from paddle import Tensor
from paddle.io import DataLoader, Dataset

from common.errors import UserError
from data.augment.device_resize import enlarge

_AHEAD = 2  # batches that each worker prepares, Paddle's own default
_SIGNAL_OF_PARENTS_DEATH = 1  # of prctl(2)


class Batch(NamedTuple):
    """`images` uint8 `(B, 3, S, S)`, `labels` int64 `(B,)`, and how many damaged images were
    replaced or left out.

    Images that the device is to resize are `(B, 3, H, W)` and have `windows`, int32 `(B, 2, 3 +
    S)`.
    """

    images: Tensor
    labels: Tensor
    skipped: int
    windows: Tensor | None = None
    interpolation: str = ""

    def pixels(self, count: int | None = None) -> Tensor:
        """The first `count` images, or all, at the model's size: uint8 `(B, 3, S, S)`."""
        images = self.images if count is None else self.images[:count]
        return (
            images
            if self.windows is None
            else enlarge(images, self.windows[: len(images)], self.interpolation)
        )


class _Guarded(Dataset):
    """Gives an error as an item: what a worker process raises would reach the user as a crash of
    Paddle's queue.
    """

    def __init__(self, dataset: Dataset):
        super().__init__()
        self.dataset = dataset

    def __len__(self) -> int:
        return len(self.dataset)

    def __getitem__(self, key):
        try:
            return self.dataset[key]
        except UserError as error:
            return error


def _collate(items) -> tuple[np.ndarray, ...]:
    """Images, labels, number of skipped images, the text of an error (empty for none), and windows,
    as arrays.
    """
    errors = [str(item) for item in items if isinstance(item, UserError)]
    # Ended by a zero byte, since an empty array does not travel through shared memory.
    text = np.frombuffer("".join(errors[:1]).encode() + b"\0", np.uint8)
    if errors:
        return np.zeros(1, np.uint8), np.zeros(1, np.int64), np.zeros(1, np.int64), text
    images, labels, skipped, *windows = zip(*items)
    counts = np.array(labels, np.int64), np.array([sum(skipped)], np.int64)
    return np.stack(images), *counts, text, *(np.stack(part) for part in windows)


@functools.cache  # said once
def _shared_memory_fits(needed: int) -> bool:
    """Whether worker processes can pass batches through shared memory; containers often have 64 MB
    of it.
    """
    try:
        free = shutil.disk_usage("/dev/shm").free
    except OSError:
        free = 0
    if free < needed:
        print(
            f"/dev/shm has {free >> 20} MB free, the workers need {needed >> 20} MB: they pass batches through pipes, "
            "which is slower",
            flush=True,
        )
    return free >= needed


def _begin_worker(number: int) -> None:
    """Have a worker leave with its trainer, and not before: a signal to all of a group is for the
    trainer.
    """
    os.setpgid(0, 0)
    with contextlib.suppress(
        OSError, AttributeError
    ):  # where there is no such call, Paddle's watch dog must do
        ctypes.CDLL(None).prctl(_SIGNAL_OF_PARENTS_DEATH, signal.SIGKILL)


def _batches(dataset, sampler, workers: int) -> Iterator[list[Tensor]]:
    guarded = _Guarded(dataset)
    if workers == 0:
        for keys in sampler:
            yield [paddle.to_tensor(array) for array in _collate([guarded[key] for key in keys])]
        return
    needed = (
        sampler.batch_size
        * dataset.item_bytes
        * _AHEAD
        * workers
        * int(os.environ.get("PADDLE_LOCAL_SIZE", "1"))
    )
    shared = _shared_memory_fits(needed)
    options = {
        "collate_fn": _collate,
        "num_workers": workers,
        "use_shared_memory": shared,
        "return_list": True,
    }
    options["worker_init_fn"] = _begin_worker
    yield from DataLoader(guarded, batch_sampler=sampler, **options)


def join(labelled: Iterator[Batch], unlabelled: Iterator[Batch]) -> Iterator[Batch]:
    """Batches with images without labels behind the others: `images` are then `(B + U, 3, S, S)`,
    `labels` `(B,)`.
    """
    for first, second in zip(labelled, unlabelled):
        images = paddle.concat([first.images, second.images])
        windows = None if first.windows is None else paddle.concat([first.windows, second.windows])
        yield first._replace(images=images, skipped=first.skipped + second.skipped, windows=windows)


def load(dataset, sampler, workers: int) -> Iterator[Batch]:
    """Yield the sampler's batches, in its order, read by `workers` processes (0: by this one).

    Raises:
        UserError: for a damaged image that is not to be skipped.
    """
    for images, labels, skipped, text, *windows in _batches(dataset, sampler, workers):
        message = text.numpy().tobytes().rstrip(b"\0").decode()
        if message:
            raise UserError(message)
        yield Batch(
            images, labels, skipped.item(), *(windows or [None]), dataset.transform.interpolation
        )
