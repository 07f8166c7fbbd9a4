"""Loads the batches that a sampler chooses from a data set, as tensors, with worker processes."""

from __future__ import annotations

import contextlib
import ctypes
import functools
import os
import shutil
import signal
from collections.abc import Generator, Iterator
from typing import Any, NamedTuple

import numpy as np
import paddle
from numpy.typing import NDArray
from paddle.io import DataLoader, Dataset

from common.errors import UserError
from data.augment.device_resize import enlarge
from data.dataset import ImageDataset
from data.sampler import EvalSampler, TrainSampler

_AHEAD = 2  # batches that each worker prepares, Paddle's own default
_PR_SET_PDEATHSIG = 1  # of prctl(2): the signal that a process gets when its parent ends


class Batch(NamedTuple):
    """A micro-batch on the device.

    Attributes:
        images: uint8 `(B, 3, S, S)`, or `(B, 3, H, W)` when the device has to resize them.
        labels: int64 `(B,)`.
        skipped: number of damaged images that were replaced or left out.
        windows: int32 `(B, 2, 3 + S)`, how the device resizes the images; None: it does not.
        interpolation: the resampling for that.
    """

    images: paddle.Tensor
    labels: paddle.Tensor
    skipped: int
    windows: paddle.Tensor | None = None
    interpolation: str = ""

    def pixels(self, count: int | None = None) -> paddle.Tensor:
        """Returns the first `count` images at the model's size, uint8 `(B, 3, S, S)`; None: all."""
        images = self.images if count is None else self.images[:count]
        if self.windows is None:
            return images
        return enlarge(images, self.windows[: len(images)], self.interpolation)


class _Keys(Dataset):
    """Returns keys as they are: `_read` gets them, in a worker process."""

    def __getitem__(self, key: tuple[int, ...]) -> tuple[int, ...]:
        return key


def _read(dataset: ImageDataset, keys: list[tuple[int, ...]]) -> tuple[NDArray[Any], ...]:
    """Reads a batch; returns images, labels, number of skipped images, error text, and windows.

    An error is returned as text: raised in a worker, it would crash Paddle's queue. Behind it comes
    what is wrong with each image that was skipped. The text ends with a zero byte, since an empty
    array can't pass through shared memory.
    """
    try:
        items, error = [dataset[key] for key in keys], ""
    except UserError as problem:
        items, error = [(np.zeros(1, np.uint8), 0, 0)], str(problem)
    images, labels, skipped, *windows = zip(*items)
    lines = "\n".join([error, *dataset.take_skipped()])
    text = np.frombuffer(lines.encode("utf-8", "surrogateescape") + b"\0", np.uint8)
    counts = np.array(labels, np.int64), np.array([sum(skipped)], np.int64)
    return np.stack(images), *counts, text, *(np.stack(part) for part in windows)


@functools.cache  # the message is printed once
def _shared_memory_fits(needed: int) -> bool:
    """Returns whether `needed` bytes fit in shared memory, of which containers often have 64 MB."""
    try:
        free = shutil.disk_usage("/dev/shm").free
    except OSError:
        free = 0
    if free < needed:
        print(
            f"/dev/shm has {free >> 20} MB free, the workers need {needed >> 20} MB: they pass "
            "batches through pipes, which is slower",
            flush=True,
        )
    return free >= needed


def _begin_worker(number: int) -> None:
    """Makes a worker end with its trainer and not earlier: group signals do not reach it."""
    os.setpgid(0, 0)
    # Without prctl (not on Linux) Paddle's watch dog ends the worker.
    with contextlib.suppress(OSError, AttributeError):
        ctypes.CDLL(None).prctl(_PR_SET_PDEATHSIG, signal.SIGKILL)


def _batches(
    dataset: ImageDataset, sampler: TrainSampler | EvalSampler, workers: int
) -> Iterator[list[paddle.Tensor]]:
    if workers == 0:
        for keys in sampler:
            yield [paddle.to_tensor(array) for array in _read(dataset, keys)]
        return
    processes = workers * int(os.environ.get("PADDLE_LOCAL_SIZE", "1"))  # of all cards
    needed = sampler.batch_size * dataset.item_bytes * _AHEAD * processes
    yield from DataLoader(
        _Keys(),
        batch_sampler=sampler,
        collate_fn=functools.partial(_read, dataset),
        num_workers=workers,
        use_shared_memory=_shared_memory_fits(needed),
        return_list=True,
        worker_init_fn=_begin_worker,
    )


def join(labelled: Iterator[Batch], unlabelled: Iterator[Batch]) -> Generator[Batch, None, None]:
    """Yields batches with unlabelled images after the labelled ones.

    `images` are then `(B + U, 3, S, S)`, `labels` `(B,)`.
    """
    for first, second in zip(labelled, unlabelled):
        images = paddle.concat([first.images, second.images])
        windows = None if first.windows is None else paddle.concat([first.windows, second.windows])
        yield first._replace(images=images, skipped=first.skipped + second.skipped, windows=windows)


def load(
    dataset: ImageDataset, sampler: TrainSampler | EvalSampler, workers: int
) -> Generator[Batch, None, None]:
    """Yields the sampler's batches in their order.

    Args:
        dataset: the images.
        sampler: yields the keys of each batch.
        workers: number of processes that read; 0: this process reads.

    Raises:
        UserError: for a damaged image that is not to be skipped.
    """
    interpolation = dataset.transform.interpolation
    for images, labels, skipped, text, *windows in _batches(dataset, sampler, workers):
        lines = text.numpy().tobytes().rstrip(b"\0").decode("utf-8", "surrogateescape")
        error, *skipped_now = lines.split("\n")
        dataset.name_skipped(skipped_now)
        if error:
            raise UserError(error)
        yield Batch(images, labels, skipped.item(), windows[0] if windows else None, interpolation)
