"""Looks at all images before the first step, in threads, while the model is made."""

from __future__ import annotations

import threading
from concurrent.futures import ThreadPoolExecutor

import data
from common.errors import UserError, listed
from engine import distributed

_MOST = 100_000  # images of a split that are looked at; of more, so many at equal distances


class ImageCheck:
    """A look at the images of all splits that begins at once, on the main process.

    Args:
        splits: of the run.
        on_corrupt: `data.on_corrupt`.
    """

    def __init__(self, splits: data.Splits, on_corrupt: str):
        self._splits, self._on_corrupt = splits.named(), on_corrupt
        self._pool = ThreadPoolExecutor(1, thread_name_prefix="image check")
        self._given_up = threading.Event()
        # Data sets that are arrays have no files.
        self._looks = {
            name: self._pool.submit(
                data.look_at, files[:: -(-len(files) // _MOST) or 1], self._given_up
            )
            for name, one in self._splits.items()
            if distributed.is_main() and (files := one.source.files())
        }

    def __enter__(self) -> ImageCheck:
        return self

    def __exit__(self, *exception: object) -> None:
        """Gives up what is left of the look."""
        self._given_up.set()
        self._pool.shutdown(cancel_futures=True)

    def judge(self) -> None:
        """Waits for the end of the look.

        With `data.on_corrupt=skip` each damaged image is named.

        Raises:
            UserError: on the main process, when images are damaged and are not to be skipped.
        """
        found = {name: look.result() for name, look in self._looks.items()}
        damaged = [problem for problems in found.values() for problem in problems]
        if damaged and self._on_corrupt == "error":
            raise UserError(_message(damaged))
        for name, problems in found.items():
            self._splits[name].name_skipped(problems)


def _message(damaged: list[str]) -> str:
    if len(damaged) == 1:
        return damaged[0]
    short = [problem.removesuffix(f"; {data.REMEDY}") for problem in damaged]
    remedy = data.REMEDY.replace(" it,", " them,")
    return f"{len(damaged)} images are damaged: {listed(short)}; {remedy}"
