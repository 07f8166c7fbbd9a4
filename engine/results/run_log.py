"""The log of a run: each event goes to `metrics.jsonl`, to VisualDL and to the progress bar.

Where no terminal shows the bar, lines are printed in its place.
"""

from __future__ import annotations

import contextlib
import json
import os
import sys
import time
from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray
from visualdl import LogWriter

import data
from common.atomic_writing import named, write_text
from engine.results.console import progress_bar
from engine.results.metrics_reader import INCIDENT, numbers, place, read_metrics, until
from engine.results.progress_lines import TrainingLines
from engine.results.visualdl.histograms import BINS, finite_values
from engine.results.visualdl.record_file import append, earlier_records
from engine.state.averages import RAW
from engine.state.progress import Progress
from program.run_folder import METRICS, VISUALDL

if TYPE_CHECKING:
    from engine.plan.run_plan import Plan
    from engine.results.evaluation import Result

Arrays = Iterable[tuple[str, NDArray[np.float32]]]
_PICTURES = 32


class Log:
    """The log of the processes that write nothing: all but the main one."""

    records: Sequence[dict[str, Any]] = ()  # of the steps before a resume

    def __init__(self, seconds: float = 0.0):
        self._before, self._started = seconds, time.perf_counter()

    def __enter__(self) -> Log:
        return self

    def __exit__(self, *exception: object) -> None:
        pass

    @property
    def seconds(self) -> float:
        """Training time of the whole run so far, including that before a resume."""
        return self._before + time.perf_counter() - self._started

    def advance(self, images: int) -> None:
        """Moves the progress bar by the images of a step."""

    def step(self, steps_done: int, values: dict[str, float]) -> None:
        """Records training metrics."""

    def validation(self, steps_done: int, result: Result, name: str = RAW) -> None:
        """Records a validation of the weights (`raw`) or of an average of them."""

    def findings(self, steps_done: int, found: Iterable[tuple[str, str]]) -> None:
        """Records and prints what the diagnosis has found: kinds and texts."""

    def incident(self, incident: dict[str, Any]) -> None:
        """Records and prints that a step was left out."""

    def histograms(self, steps_done: int, kind: str, arrays: Arrays) -> None:
        """Shows how the values of arrays are distributed: `weights` or `gradients`, by name."""

    def sync(self) -> None:
        """Flushes the records to the disk, before a checkpoint that goes on after them."""

    def restart_rate(self) -> None:
        """Leaves the time since the last step (validation, writing) out of images per second."""

    def pictures(self, tag: str, dataset: data.ImageDataset) -> None:
        """Shows the first images of a data set in VisualDL, as the model sees them."""


class RunLog(Log):
    """Writes each event once to `metrics.jsonl` and to VisualDL, and moves the progress bar.

    Args:
        folder: of the run.
        plan: of the run.
        progress: where the run goes on. Later events are of steps that will be repeated: they are
            removed, and so is a validation that is due again. Each incident is a record, too.
    """

    def __init__(self, folder: Path, plan: Plan, progress: Progress):
        super().__init__(progress.seconds)
        self._plan, done = plan, progress.steps_done
        kept = until(read_metrics(folder), done, validated=not progress.validation_due)
        kept = [record for record in kept if record["split"] != INCIDENT]
        self._histograms = False  # whether there are any
        self.records = sorted([*kept, *map(self._incident, progress.incidents)], key=place)
        path = folder / METRICS
        write_text(path, "".join(json.dumps(record) + "\n" for record in self.records))
        self._metrics = open(path, "a", encoding="utf-8")  # noqa: SIM115 (open as long as the run)
        # VisualDL's server shows the newest file of a folder only. So there is one file, which is
        # written again after a resume.
        distributions = earlier_records(folder / VISUALDL, "histogram", done)
        (folder / VISUALDL).unlink(missing_ok=True)
        if distributions:
            append(folder / VISUALDL, distributions)
        with contextlib.redirect_stdout(None):  # it says that the file exists
            self._visualdl = LogWriter(logdir=str(folder), file_name=VISUALDL)
        for record in self.records:
            self._show(record)
        self._bar = progress_bar(plan.steps * plan.global_batch, done * plan.global_batch)
        trained = [record for record in self.records if record["split"] == "train"]
        newest = numbers(trained[-1]) if trained else {}
        self._lines = TrainingLines(plan.steps, done, newest) if self._bar.disable else None
        self.restart_rate()

    def __exit__(self, *exception: object) -> None:
        self._bar.close()
        self._visualdl.close()
        with named(self._metrics.name):  # what a full disk has refused is tried again
            self._metrics.close()

    def advance(self, images: int) -> None:
        self._bar.update(images)
        self._rate_images += images
        if self._lines:
            self._lines.advance(images)

    def step(self, steps_done: int, values: dict[str, float]) -> None:
        rate = self._rate_images / (self.seconds - self._rate_since)
        self.restart_rate()
        self._record(steps_done, "train", {**values, "images_per_second": round(rate, 1)})
        if self._lines:
            self._lines.record(values)
        shown = ("loss", "ce", "kl", "accuracy", "lr")
        text = " ".join(f"{name} {values[name]:.3g}" for name in shown if name in values)
        self._bar.set_postfix_str(text, refresh=False)

    def validation(self, steps_done: int, result: Result, name: str = RAW) -> None:
        values = {value: getattr(result, value) for value in ("top1", "top5", "loss", "ece")}
        values = {value: number for value, number in values.items() if number is not None}
        self._record(steps_done, "val" if name == RAW else f"val_{name}", values)
        self._bar.set_description_str(f"val {100 * result.top1:.1f} %", refresh=False)
        if self._bar.disable:
            when = f"epoch {self._plan.epoch(steps_done):.1f}, step {steps_done}"
            average = "" if name == RAW else f" of the {name.upper()} weights"
            print(f"{when}: validation top-1{average} {100 * result.top1:.2f} %", flush=True)

    def findings(self, steps_done: int, found: Iterable[tuple[str, str]]) -> None:
        for kind, text in found:
            self._record(steps_done, "diagnosis", {"kind": kind, "text": text})
            self._print(text)

    def incident(self, incident: dict[str, Any]) -> None:
        self._write(self._incident(incident))
        self._print(f"left out: {incident['text']}")

    def histograms(self, steps_done: int, kind: str, arrays: Arrays) -> None:
        for name, values in arrays:
            finite = finite_values(values)
            if finite.size:
                self._visualdl.add_histogram(f"{kind}/{name}", finite, steps_done, buckets=BINS)
                self._histograms = True

    def sync(self) -> None:
        os.fsync(self._metrics.fileno())
        if self._histograms:  # these are not in the metrics
            self._visualdl.flush()

    def restart_rate(self) -> None:
        self._rate_images, self._rate_since = 0, self.seconds
        if self._lines:
            self._lines.restart_rate()

    def pictures(self, tag: str, dataset: data.ImageDataset) -> None:
        first = data.EvalSampler(dataset, _PICTURES, rank=0, ranks=1)
        batch = next(data.load(dataset, first, workers=0))
        self._visualdl.add_image(tag, image_grid(batch.pixels().numpy()), 0)

    def _print(self, text: str) -> None:
        """Prints a line above the progress bar."""
        self._bar.write(text)
        sys.stdout.flush()

    def _record(self, steps_done: int, split: str, values: dict[str, Any]) -> None:
        seconds = round(self.seconds, 3)
        self._write({**self._head(steps_done, split), **values, "seconds": seconds})

    def _incident(self, incident: dict[str, Any]) -> dict[str, Any]:
        return {**self._head(incident["step"], INCIDENT), **incident}

    def _head(self, steps_done: int, split: str) -> dict[str, Any]:
        epoch = round(self._plan.epoch(steps_done), 4)
        return {"step": steps_done, "epoch": epoch, "split": split}

    def _write(self, record: dict[str, Any]) -> None:
        with named(self._metrics.name):
            self._metrics.write(json.dumps(record) + "\n")
            self._metrics.flush()
        self._show(record)

    def _show(self, record: dict[str, Any]) -> None:
        """Adds a record to VisualDL: texts as texts, numbers as curves."""
        split, step = record["split"], record["step"]
        if split in ("diagnosis", INCIDENT):
            kind = record.get("kind" if split == "diagnosis" else "action")
            self._visualdl.add_text(f"{split}/{kind}", str(record.get("text")), step)
            return
        for name, value in numbers(record).items():
            if name not in ("step", "epoch", "seconds"):
                self._visualdl.add_scalar(f"{split}/{name}", value, step)


def image_grid(images: NDArray[np.uint8], columns: int = 8) -> NDArray[np.uint8]:
    """Lays out images in rows, as one picture; cells without an image are black.

    Args:
        images: uint8 `(B, 3, S, S)`.
        columns: images of a row.

    Returns:
        uint8 `(rows * S, columns * S, 3)`.
    """
    batch, _, side, _ = images.shape
    rows = -(-batch // columns)
    cells = np.zeros((rows * columns, side, side, 3), np.uint8)
    cells[:batch] = images.transpose(0, 2, 3, 1)
    grid = cells.reshape(rows, columns, side, side, 3).transpose(0, 2, 1, 3, 4)
    return grid.reshape(rows * side, columns * side, 3)
