"""Where the features of a set of images in one view are kept: in memory, or in a run's folder.

On disk they are mapped, so that only what a step reads is in memory. A file counts when the pass
that wrote it ended, and when it is of the same weights, images and settings; else it is made anew.
"""

from __future__ import annotations

import os
from pathlib import Path
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray
from safetensors.numpy import save_file

from common.atomic_writing import atomic_path
from common.errors import UserError
from common.reading import sha256
from common.safetensors_files import read_safetensors
from engine import distributed


class View(NamedTuple):
    """Of all images in one view: features `(N, ...)`, labels `(N,)`, whether replaced `(N,)`."""

    features: NDArray[np.float32]
    labels: NDArray[np.int64]
    skipped: NDArray[np.int64]


class Memory:
    """Keeps features in the memory of each process."""

    shared = False  # whether all processes write into the same array

    def find(self, name: str, identity: str, shape: tuple[int, ...]) -> View | None:
        """Returns features that an earlier process left; there are none."""
        return None

    def new(self, name: str, shape: tuple[int, ...]) -> NDArray[np.float32]:
        """Returns zeros of a shape."""
        return np.zeros(shape, np.float32)

    def keep(self, name: str, identity: str, view: View) -> View:
        """Returns a complete view."""
        return view


class Disk:
    """Keeps features in files of a folder that all processes see.

    Args:
        folder: made if it is missing.
    """

    shared = True

    def __init__(self, folder: Path):
        self.folder = folder

    def find(self, name: str, identity: str, shape: tuple[int, ...]) -> View | None:
        """Returns the features of a name; None when they are of something else, or not whole.

        Args:
            name: of the set of images and the view.
            identity: of all that the features depend on.
            shape: `(N, ...)`.
        """
        whole = distributed.is_main() and self._is_whole(name, identity, shape)
        return self._read(name, shape) if distributed.from_main(whole) else None

    def new(self, name: str, shape: tuple[int, ...]) -> NDArray[np.float32]:
        """Returns an array on the disk, whose space is taken at once.

        Raises:
            UserError: on all processes, when the disk has too little space or can't be written.
        """
        data, _ = self._paths(name)
        with distributed.together():
            if distributed.is_main():
                try:
                    self.folder.mkdir(parents=True, exist_ok=True)
                    with open(data, "wb") as file:
                        # A map beyond the end of the space would end the process.
                        os.posix_fallocate(file.fileno(), 0, 4 * int(np.prod(shape)))
                except OSError as error:
                    data.unlink(missing_ok=True)
                    raise UserError(
                        f"train.cache_disk_gb: {data} can't be written ({error.strerror}); make "
                        "room, or set it to 0"
                    ) from None
        return np.memmap(data, np.float32, mode="r+", shape=shape)

    def keep(self, name: str, identity: str, view: View) -> View:
        """Marks a complete view as such; returns it as all processes have written it."""
        shape, mapped = view.features.shape, view.features
        if isinstance(mapped, np.memmap):
            mapped.flush()
        distributed.exchange("")  # all have written
        data, about = self._paths(name)
        if distributed.is_main():
            arrays = {"labels": view.labels, "skipped": view.skipped}
            with atomic_path(about) as temporary:
                save_file(arrays, str(temporary), {"identity": identity, "sha256": sha256(data)})
        distributed.exchange("")
        return self._read(name, shape)

    def _paths(self, name: str) -> tuple[Path, Path]:
        return self.folder / f"{name}.float32", self.folder / f"{name}.safetensors"

    def _is_whole(self, name: str, identity: str, shape: tuple[int, ...]) -> bool:
        data, about = self._paths(name)
        try:
            arrays, stated = read_safetensors(about)
            size = data.stat().st_size
        except (OSError, UserError):
            return False
        return (
            stated.get("identity") == identity
            and {"labels", "skipped"} <= arrays.keys()
            and size == 4 * int(np.prod(shape))
            and stated.get("sha256") == sha256(data)
        )

    def _read(self, name: str, shape: tuple[int, ...]) -> View:
        data, about = self._paths(name)
        arrays, _ = read_safetensors(about)
        features = np.memmap(data, np.float32, mode="r", shape=shape)
        return View(features, arrays["labels"], arrays["skipped"])
