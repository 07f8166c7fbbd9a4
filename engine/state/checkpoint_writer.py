"""Writes checkpoints in a thread, while training goes on."""

from __future__ import annotations

import contextlib
import threading
from collections.abc import Callable
from pathlib import Path

from safetensors import SafetensorError

from common.errors import UserError
from engine.state import checkpoint
from engine.state.checkpoint import State


class Writer:
    """Writes states in a thread of its own, one at a time.

    At the end of its `with` block the last state is on the disk.

    Args:
        folder: the run's `checkpoints`.
        keep: how many of the newest to keep, at least 1.
        stop: whether a state that can't be written ends the run; else a line says so, and training
            goes on without it.
        say: prints a line.
        timer: returns a context around the writing of a state.
    """

    def __init__(
        self,
        folder: Path,
        keep: int,
        stop: bool = True,
        say: Callable[[str], None] = print,
        timer: Callable[[], contextlib.AbstractContextManager[object]] = contextlib.nullcontext,
    ):
        self._folder, self._keep, self._stop = folder, keep, stop
        self._say, self._timer = say, timer
        self._thread: threading.Thread | None = None
        self._failure: str | None = None

    def __enter__(self) -> Writer:
        return self

    def __exit__(self, kind: type[BaseException] | None, *exception: object) -> None:
        if kind is None:
            self.wait()
        elif self._thread:
            self._thread.join()

    def save(self, state: State) -> None:
        """Begins to write a state; the one before is on the disk then.

        Args:
            state: of which nobody may change an array any more.

        Raises:
            UserError: as in `check`.
        """
        self.wait()
        self._thread = threading.Thread(
            target=self._write, args=(state,), name="checkpoint", daemon=True
        )
        self._thread.start()

    def wait(self) -> None:
        """Waits until the state is on the disk.

        Raises:
            UserError: as in `check`.
        """
        if self._thread:
            self._thread.join()
        self.check()

    def check(self) -> None:
        """Checks whether all states so far were written; does not wait.

        Raises:
            UserError: when one was not, and that ends the run.
        """
        failure, self._failure = self._failure, None
        if failure and self._stop:
            raise UserError(
                f"{failure}; make room, and the same command goes on from the newest checkpoint"
            )
        if failure:
            self._say(f"warning: {failure}; going on without it")

    def _write(self, state: State) -> None:
        try:
            with self._timer():
                checkpoint.save(self._folder, state, self._keep)
        except (OSError, SafetensorError) as error:
            target = self._folder / checkpoint.folder_name(state.progress.steps_done)
            self._failure = f"{target} could not be written ({error})"
