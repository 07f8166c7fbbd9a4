"""What a run tells: metrics.jsonl, VisualDL, a progress bar for terminals, and a curve as a picture."""

from __future__ import annotations

import json
import os
import re
import sys
import time
from collections.abc import Sequence
from pathlib import Path

import numpy as np
from tqdm import tqdm
from visualdl import LogWriter

import data
from common.files import atomic_path, named, read_text, write_text

METRICS, VISUALDL, CURVE = "metrics.jsonl", "vdlrecords.main.log", "curve.png"
INCIDENT = "nonfinite"  # the split of their records
_PICTURES = 32
_LARGEST_METRICS = 64 << 20  # bytes: more than `plan.make` lets a run have
_NAME = re.compile(r"[\w/.-]{1,100}")  # of a split or a value


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
        step: where the run goes on; events after it are of steps that will be repeated, and are removed.
        seconds: time of the run so far.
        validated: whether the validation of that step, if any, is part of what was before; else it will be repeated.
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
        kept = [record for record in _until(read_metrics(folder), step, validated) if record["split"] != INCIDENT]
        self.records = sorted([*kept, *map(self._incident, incidents)], key=_place)
        write_text(folder / METRICS, "".join(json.dumps(record) + "\n" for record in self.records))
        self._metrics = open(folder / METRICS, "a", encoding="utf-8")  # noqa: SIM115 (open as long as the run)
        # VisualDL's server shows the newest file of a folder only: there is one, written again after a resume.
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
            self._visualdl.add_text(f"diagnosis/{record.get('kind')}", str(record.get("text")), record["step"])
            return
        if record["split"] == INCIDENT:
            self._visualdl.add_text(f"{INCIDENT}/{record['action']}", record["text"], record["step"])
            return
        for name, value in _numbers(record).items():
            if name not in ("step", "split", "epoch", "seconds"):
                self._visualdl.add_scalar(f"{record['split']}/{name}", value, record["step"])


def _place(record: dict) -> tuple[int, int]:
    """What records are in the order of: an incident is told before its step is, or where the run went back to."""
    if record["split"] != INCIDENT:
        return record["step"], 1
    return (record["back_to"], 2) if "back_to" in record else (record["step"], 0)


def _until(records: list[dict], step: int, validated: bool) -> list[dict]:
    """The records up to a step, or up to its validation, which comes last."""
    kept = [record for record in records if record["step"] <= step]
    repeated = (record["step"] == step and record["split"].startswith("val") for record in kept)
    return kept if validated else kept[: next((place for place, found in enumerate(repeated) if found), len(kept))]


def read_metrics(folder: Path) -> list[dict]:
    """The logged events; what comes behind a line that is none, as a crash cuts the last one short, is left out."""
    path = folder / METRICS
    records = []
    for line in read_text(path, _LARGEST_METRICS).splitlines() if path.is_file() else ():
        try:
            record = json.loads(line)
        except (ValueError, RecursionError):
            break
        if not _is_record(record):
            break
        records.append(record)
    return records


def _is_record(record: object) -> bool:
    """Whether it has what all events have; a stranger's file may hold anything."""
    right = isinstance(record, dict) and type(record.get("step")) is int and isinstance(record.get("split"), str)
    return right and 0 <= record["step"] < 1 << 63 and bool(_NAME.fullmatch(record["split"]))


def _numbers(record: dict) -> dict[str, float]:
    """The values of an event that can be drawn."""
    return {
        name: value
        for name, value in record.items()
        if _NAME.fullmatch(name) and (isinstance(value, float) or (isinstance(value, int) and abs(value) < 1 << 63))
    }


def progress_bar(total_images: int, done: int = 0):
    """A bar on standard error that counts images; silent where that is not a terminal."""
    quiet = not sys.stderr.isatty()
    return tqdm(total=total_images, initial=done, unit="img", disable=quiet, dynamic_ncols=True, smoothing=0.1)


def image_grid(images: np.ndarray, columns: int = 8) -> np.ndarray:
    """Lay out images, uint8 `(B, 3, S, S)`, in rows: uint8 `(rows * S, columns * S, 3)`, the rest black."""
    batch, _, side, _ = images.shape
    rows = -(-batch // columns)
    cells = np.zeros((rows * columns, side, side, 3), np.uint8)
    cells[:batch] = images.transpose(0, 2, 3, 1)
    grid = cells.reshape(rows, columns, side, side, 3).transpose(0, 2, 1, 3, 4)
    return grid.reshape(rows * side, columns * side, 3)


def draw_curve(folder: Path) -> Path:
    """Draw loss terms and accuracy over the steps of a run into `curve.png`."""
    from matplotlib.figure import Figure  # half a second to import, and only needed at the end

    records = read_metrics(folder)
    figure = Figure(figsize=(10, 4), layout="constrained")
    losses, accuracy = figure.subplots(1, 2)
    for axes, split, name, label in (
        (losses, "train", "ce", "cross-entropy, training"),
        (losses, "train", "kl", "KL between the copies"),
        (losses, "val", "loss", "cross-entropy, validation"),
        (accuracy, "train", "accuracy", "training"),
        (accuracy, "val", "top1", "validation"),
        (accuracy, "val_ema", "top1", "validation, EMA weights"),
        (accuracy, "val_swa", "top1", "validation, SWA weights"),
    ):
        values = [(record["step"], _numbers(record).get(name)) for record in records if record["split"] == split]
        points = [(step, value) for step, value in values if value is not None]
        if points:
            axes.plot(*zip(*points), label=label)
    name = folder.name.encode(errors="replace").decode()  # fonts take no bytes that are not Unicode text
    losses.set(title=f"{name}: loss in nats", xlabel="optimiser step", yscale="log")
    accuracy.set(title="accuracy", xlabel="optimiser step")
    for axes in (losses, accuracy):
        axes.grid(alpha=0.3)
        if axes.lines:
            axes.legend()
    with atomic_path(folder / CURVE) as temporary:
        figure.savefig(temporary, dpi=120)
    return folder / CURVE
