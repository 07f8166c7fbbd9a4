"""The log of a run: each event goes to `metrics.jsonl`, to VisualDL and to the progress bar."""

from __future__ import annotations

import json
import os
import sys
import time
from collections.abc import Sequence
from pathlib import Path

import numpy as np
from visualdl import LogWriter

import data
from common.atomic_writing import named, write_text
from engine.results.console import progress_bar
from engine.results.metrics_file import INCIDENT, numbers, place, read_metrics, until
from program.run_folder import METRICS, VISUALDL

_PICTURES = 32


class Silent:
    """The log of the processes that write nothing."""

    records: Sequence[dict] = ()  # of the steps before a resume

    def __init__(self, seconds: float = 0.0):
        self._before, self._started = seconds, time.perf_counter()

    def __enter__(self) -> Silent:
        return self

    def __exit__(self, *exception) -> None:
        pass

    @property
    def seconds(self) -> float:
        """Time of the whole run so far, that before a resume included."""
        return self._before + time.perf_counter() - self._started

    def advance(self, images: int) -> None:
        """Note a step."""

    def step(self, step: int, values: dict[str, float]) -> None:
        """Record training metrics."""

    def validation(self, step: int, result, name: str = "raw") -> None:
        """Record a validation, of the weights (`raw`) or an average of them."""

    def findings(self, step: int, found) -> None:
        """Tell what the diagnosis has found."""

    def incident(self, incident: dict) -> None:
        """Tell of a step that was left out."""

    def sync(self) -> None:
        """Have the records so far on the disk, before a checkpoint that goes on after them."""

    def restart_rate(self) -> None:
        """Leave what came since the last step (validation, writing) out of images per second."""

    def pictures(self, tag: str, dataset) -> None:
        """Show the first images of a data set, as the model sees them."""


class RunLog(Silent):
    """Writes each event once to metrics.jsonl and to VisualDL, and moves the progress bar.

    Args:
        folder: of the run.
        plan: its arithmetic.
        step: where the run goes on; events after it are of steps that will be repeated, and are
            removed.
        seconds: time of the run so far.
        validated: whether the validation of that step, if any, is part of what was before; else it
            will be repeated.
        incidents: of the run so far, each of which is a record, too.
    """

    def __init__(
        self,
        folder: Path,
        plan,
        step: int,
        seconds: float,
        validated: bool = True,
        incidents: Sequence[dict] = (),
    ):
        super().__init__(seconds)
        self._plan = plan
        kept = [
            record
            for record in until(read_metrics(folder), step, validated)
            if record["split"] != INCIDENT
        ]
        self.records = sorted([*kept, *map(self._incident, incidents)], key=place)
        write_text(folder / METRICS, "".join(json.dumps(record) + "\n" for record in self.records))
        self._metrics = open(folder / METRICS, "a", encoding="utf-8")  # noqa: SIM115 (open as long as the run)
        # VisualDL's server shows the newest file of a folder only: there is one, written again
        # after a resume.
        (folder / VISUALDL).unlink(missing_ok=True)
        self._visualdl = LogWriter(logdir=str(folder), file_name=VISUALDL)
        for record in self.records:
            self._show(record)
        self._bar = progress_bar(plan.steps * plan.global_batch, step * plan.global_batch)
        self.restart_rate()

    def __exit__(self, *exception) -> None:
        self._bar.close()
        self._visualdl.close()
        with named(self._metrics.name):  # what a full disk has refused is tried again
            self._metrics.close()

    def advance(self, images: int) -> None:
        self._bar.update(images)
        self._rate_images += images

    def step(self, step: int, values: dict[str, float]) -> None:
        rate = self._rate_images / (self.seconds - self._rate_since)
        self.restart_rate()
        self._record(step, "train", {**values, "images_per_second": round(rate, 1)})
        shown = ("loss", "ce", "kl", "accuracy", "lr")
        text = " ".join(f"{name} {values[name]:.3g}" for name in shown if name in values)
        self._bar.set_postfix_str(text, refresh=False)

    def validation(self, step: int, result, name: str = "raw") -> None:
        values = {value: getattr(result, value) for value in ("top1", "top5", "loss", "ece")}
        self._record(step, "val" if name == "raw" else f"val_{name}", values)
        average = "" if name == "raw" else f" of the {name.upper()} weights"
        text = f"epoch {self._plan.epoch(step):.1f}, step {step}: validation top-1{average} {100 * result.top1:.2f} %"
        self._bar.set_description_str(f"val {100 * result.top1:.1f} %", refresh=False)
        if self._bar.disable:
            print(text, flush=True)

    def findings(self, step: int, found) -> None:
        for finding in found:
            self._record(step, "diagnosis", finding._asdict())
            self._bar.write(finding.text)
            sys.stdout.flush()

    def incident(self, incident: dict) -> None:
        self._write(self._incident(incident))
        self._bar.write(f"left out: {incident['text']}")
        sys.stdout.flush()

    def sync(self) -> None:
        os.fsync(self._metrics.fileno())

    def restart_rate(self) -> None:
        self._rate_images, self._rate_since = 0, self.seconds

    def pictures(self, tag: str, dataset) -> None:
        keys = [(0, index) for index in range(min(len(dataset), _PICTURES))]  # of epoch 0
        batch = next(data.load(dataset, [keys], workers=0))
        self._visualdl.add_image(tag, image_grid(batch.pixels().numpy()), 0)

    def _record(self, step: int, split: str, values: dict[str, float]) -> None:
        self._write({**self._head(step, split), **values, "seconds": round(self.seconds, 3)})

    def _incident(self, incident: dict) -> dict:
        return {**self._head(incident["step"], INCIDENT), **incident}

    def _head(self, step: int, split: str) -> dict:
        return {"step": step, "epoch": round(self._plan.epoch(step), 4), "split": split}

    def _write(self, record: dict) -> None:
        with named(self._metrics.name):
            self._metrics.write(json.dumps(record) + "\n")
            self._metrics.flush()
        self._show(record)

    def _show(self, record: dict) -> None:
        if record["split"] == "diagnosis":
            self._visualdl.add_text(
                f"diagnosis/{record.get('kind')}", str(record.get("text")), record["step"]
            )
            return
        if record["split"] == INCIDENT:
            self._visualdl.add_text(
                f"{INCIDENT}/{record['action']}", record["text"], record["step"]
            )
            return
        for name, value in numbers(record).items():
            if name not in ("step", "split", "epoch", "seconds"):
                self._visualdl.add_scalar(f"{record['split']}/{name}", value, record["step"])


def image_grid(images: np.ndarray, columns: int = 8) -> np.ndarray:
    """Lay out images, uint8 `(B, 3, S, S)`, in rows: uint8 `(rows * S, columns * S, 3)`, the rest
    black.
    """
    batch, _, side, _ = images.shape
    rows = -(-batch // columns)
    cells = np.zeros((rows * columns, side, side, 3), np.uint8)
    cells[:batch] = images.transpose(0, 2, 3, 1)
    grid = cells.reshape(rows, columns, side, side, 3).transpose(0, 2, 1, 3, 4)
    return grid.reshape(rows * side, columns * side, 3)
