"""Reads `metrics.jsonl`: the logged events of a run, one JSON object a line."""

from __future__ import annotations

import json
import re
from pathlib import Path

from common.files import read_text
from program.run_folder import METRICS

INCIDENT = "nonfinite"  # the split of their records
_LARGEST_METRICS = 64 << 20  # bytes: more than `plan.make` lets a run have
_NAME = re.compile(r"[\w/.-]{1,100}")  # of a split or a value


def place(record: dict) -> tuple[int, int]:
    """What records are in the order of: an incident is told before its step is, or where the run
    went back to.
    """
    if record["split"] != INCIDENT:
        return record["step"], 1
    return (record["back_to"], 2) if "back_to" in record else (record["step"], 0)


def until(records: list[dict], step: int, validated: bool) -> list[dict]:
    """The records up to a step, or up to its validation, which comes last."""
    kept = [record for record in records if record["step"] <= step]
    repeated = (record["step"] == step and record["split"].startswith("val") for record in kept)
    return (
        kept
        if validated
        else kept[: next((place for place, found in enumerate(repeated) if found), len(kept))]
    )


def read_metrics(folder: Path) -> list[dict]:
    """The logged events; what comes behind a line that is none, as a crash cuts the last one short,
    is left out.
    """
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
    right = (
        isinstance(record, dict)
        and type(record.get("step")) is int
        and isinstance(record.get("split"), str)
    )
    return right and 0 <= record["step"] < 1 << 63 and bool(_NAME.fullmatch(record["split"]))


def numbers(record: dict) -> dict[str, float]:
    """The values of an event that can be drawn."""
    return {
        name: value
        for name, value in record.items()
        if _NAME.fullmatch(name)
        and (isinstance(value, float) or (isinstance(value, int) and abs(value) < 1 << 63))
    }
