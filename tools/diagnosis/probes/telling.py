"""How a probe tells what it finds: into a file, at each step, so that a crash loses nothing."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from common.atomic_writing import write_json


class Teller:
    """Writes facts by name into a file, with the stage that the probe is at.

    Args:
        path: of the file.
    """

    def __init__(self, path: str):
        self._path, self._facts = Path(path), {}

    def stage(self, name: str) -> None:
        """Notes what comes next; `done` at the end."""
        self.tell(stage=name)

    def tell(self, **facts: Any) -> None:
        """Adds facts."""
        self._facts.update(facts)
        write_json(self._path, self._facts)
