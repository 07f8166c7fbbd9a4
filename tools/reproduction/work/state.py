"""What is done of a reproduction: a file in its folder, written after each stage."""

from __future__ import annotations

import contextlib
import fcntl
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

from common.atomic_writing import write_json
from common.errors import UserError
from common.reading import read_json
from tools.reproduction.work import children

FILE, LOCK = "reproduction.json", ".reproduction.lock"


class State:
    """The stages that are done, with what each has found.

    Args:
        workdir: folder of the reproduction.
        what: what is reproduced, and how; a folder with another one is refused.

    Raises:
        UserError: when the folder holds another reproduction, or its file is damaged.
    """

    def __init__(self, workdir: Path, what: dict[str, Any]):
        self.path = workdir / FILE
        self._content: dict[str, Any] = {"what": what, "stages": {}, "running": None}
        if not self.path.is_file():
            return
        found = read_json(self.path)
        if not isinstance(found, dict) or not {"what", "stages", "running"} <= found.keys():
            raise UserError(
                f"{self.path} is not the state of a reproduction; give another --workdir"
            )
        for name, value in what.items():
            if found["what"].get(name) != value:
                raise UserError(
                    f"{workdir} holds a reproduction with {name} = "
                    f"{found['what'].get(name)!r}, not {value!r}; give another --workdir"
                )
        self._content = found

    def done(self, name: str) -> dict[str, Any] | None:
        """Returns what a stage has found; None where it is not done."""
        found: dict[str, Any] | None = self._content["stages"].get(name)
        return found

    def stages(self) -> dict[str, dict[str, Any]]:
        """Returns what is done, by the names of the stages, in order."""
        return dict(self._content["stages"])

    def run(self, name: str, work: Callable[[], dict[str, Any]]) -> dict[str, Any]:
        """Does a stage unless it is done, and notes what it has found."""
        before = self.done(name)
        if before is not None:
            print(f"{name}: done before", flush=True)
            return before
        print(f"{name}: begins", flush=True)
        started = time.monotonic()
        found = {**work(), "seconds": 0.0, "finished": ""}
        found["seconds"] = round(time.monotonic() - started, 1)
        found["finished"] = time.strftime("%Y-%m-%d %H:%M:%S")
        self._content["stages"][name] = found
        self._content["running"] = None
        write_json(self.path, self._content)
        return found

    def begun(self, process: int) -> None:
        """Notes the program that runs, so that the next start can wait for it."""
        self._content["running"] = [process, children.identity(process)]
        write_json(self.path, self._content)

    def wait_for_the_last(self) -> None:
        """Waits for the program that a start before this one has left behind, if any."""
        if self._content["running"]:
            children.wait_for(*self._content["running"])


@contextlib.contextmanager
def lock(workdir: Path) -> Iterator[None]:
    """Makes sure that no other reproduction runs in a folder while the block lasts.

    Raises:
        UserError: when one does, or the folder can't be written.
    """
    try:
        workdir.mkdir(parents=True, exist_ok=True)
        file = open(workdir / LOCK, "a", encoding="utf-8")  # noqa: SIM115 (closed below)
    except OSError as error:
        raise UserError(f"--workdir: {workdir} can't be written ({error.strerror})") from None
    with file:
        try:
            fcntl.lockf(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except OSError:
            raise UserError(
                f"{workdir} is in use by another tools.reproduce; stop it, or give another "
                "--workdir"
            ) from None
        yield
