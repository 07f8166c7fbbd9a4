"""Reads `metrics.jsonl`: the logged events of a run, one JSON object a line."""

import json
import re
from pathlib import Path
from typing import Any

from common.reading import read_text
from program.run_folder import METRICS

INCIDENT = "nonfinite"  # the split of records of incidents
_LARGEST_METRICS = 64 << 20  # bytes: more than `run_plan.make` lets a run have
_NAME = re.compile(r"[\w/.-]{1,100}")  # of a split or a value


def place(record: dict[str, Any]) -> tuple[int, int]:
    """Returns the sort key of a record.

    An incident comes before the records of its step, or after those of the step that the run went
    back to.
    """
    if record["split"] != INCIDENT:
        return record["step"], 1
    return (record["back_to"], 2) if "back_to" in record else (record["step"], 0)


def until(records: list[dict[str, Any]], steps_done: int, validated: bool) -> list[dict[str, Any]]:
    """Returns the records of the first steps.

    Args:
        records: in order.
        steps_done: number of these steps.
        validated: whether the validation of the last one, which comes last, is included.
    """
    kept = [record for record in records if record["step"] <= steps_done]
    for index, record in enumerate(kept):
        if record["step"] == steps_done and record["split"].startswith("val") and not validated:
            return kept[:index]
    return kept


def read_metrics(folder: Path) -> list[dict[str, Any]]:
    """Reads the logged events of a run.

    A crash may cut the last line short: the first line that is not an event, and what follows it,
    are left out.
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
    """Returns whether it has what all events have; a stranger's file may hold anything."""
    if not isinstance(record, dict):
        return False
    step, split = record.get("step"), record.get("split")
    named = isinstance(split, str) and bool(_NAME.fullmatch(split))
    return named and type(step) is int and 0 <= step < 1 << 63


def numbers(record: dict[str, Any]) -> dict[str, float]:
    """Returns the values of an event that can be drawn."""
    return {
        name: value
        for name, value in record.items()
        if _NAME.fullmatch(name)
        and (isinstance(value, float) or (isinstance(value, int) and abs(value) < 1 << 63))
    }
