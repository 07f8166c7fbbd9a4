"""Writes predictions row by row as JSON and CSV; a file appears when all rows are in it."""

from __future__ import annotations

import contextlib
import csv
import json
from collections.abc import Callable, Iterator
from pathlib import Path
from types import TracebackType
from typing import IO, Any

from common.atomic_writing import atomic_path
from inference.prediction import Prediction


class ResultFiles:
    """A context in which rows are added; without a row no file is written.

    Args:
        json_path: for a list of objects with every class's probability; None: no such file.
        csv_path: for a table with the most probable classes; None: no such file.
        top: how many classes the table has.
    """

    def __init__(self, json_path: Path | None, csv_path: Path | None, top: int):
        self._json_path, self._csv_path, self._top = json_path, csv_path, top
        self._held, self._open = contextlib.ExitStack(), False
        self._json: Callable[[dict[str, Any]], None] | None = None
        self._csv: Any = None  # a writer of rows

    def __enter__(self) -> ResultFiles:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        self._held.__exit__(kind, error, traceback)

    def add(self, file: str, prediction: Prediction) -> None:
        """Writes one row."""
        if not self._open:
            self._begin()
        if self._json is not None:
            self._json(row_of(file, prediction))
        if self._csv is not None:
            pairs = prediction.top(self._top)
            self._csv.writerow([_text(file), *(_cell(value) for pair in pairs for value in pair)])

    def _begin(self) -> None:
        self._open = True
        if self._json_path:
            self._json = self._held.enter_context(_json_rows(self._json_path))
        if self._csv_path:
            stream = self._held.enter_context(_text_file(self._csv_path))
            self._csv = csv.writer(stream, lineterminator="\n")
            self._csv.writerow(["file", *_columns(self._top)])


def row_of(file: str, prediction: Prediction) -> dict[str, Any]:
    """Returns a prediction as it is written: `file`, `class`, `probability`, `probabilities`."""
    return {
        "file": file,
        "class": prediction.name,
        "probability": prediction.probability,
        "probabilities": prediction.probabilities,
    }


def _columns(top: int) -> Iterator[str]:
    for place in range(1, top + 1):
        ending = "" if place == 1 else f"_{place}"
        yield from (f"class{ending}", f"probability{ending}")


def _cell(value: str | float) -> str:
    return _text(value) if isinstance(value, str) else f"{value:.6f}"


def _text(text: str) -> str:
    """Returns a text that can be written as UTF-8: names of files need not be text."""
    return text.encode("utf-8", "backslashreplace").decode("utf-8")


@contextlib.contextmanager
def _text_file(path: Path) -> Iterator[IO[str]]:
    with atomic_path(path) as temporary, open(temporary, "w", encoding="utf-8", newline="") as file:
        yield file


@contextlib.contextmanager
def _json_rows(path: Path) -> Iterator[Callable[[dict[str, Any]], None]]:
    """Yields what writes an object into a list; as `write_json` would write the whole list."""
    with _text_file(path) as file:
        before = "["

        def add(row: dict[str, Any]) -> None:
            nonlocal before
            text = json.dumps(row, indent=2, ensure_ascii=False)
            if any("\ud800" <= letter <= "\udfff" for letter in text):  # a name that is no text
                text = json.dumps(row, indent=2)
            lines = text.replace("\n", "\n  ")
            file.write(f"{before}\n  {lines}")
            before = ","

        yield add
        file.write("\n]\n")
