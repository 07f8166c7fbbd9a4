"""The runs on record have the same bits again; on another kind of machine the same metrics."""

from __future__ import annotations

import json

import golden_runs
import pytest
from conftest import ROOT

_RECORD = json.loads(golden_runs.RECORD.read_text(encoding="utf-8"))


@pytest.mark.slow
def test_the_runs_on_record(tmp_path):
    """Accumulation, two processes, EMA and mixing, a teacher, a kill, and plain operators."""
    runs = {name: golden_runs.make(name, ROOT, tmp_path) for name in golden_runs.RUNS}
    same_machine = golden_runs.machine() == _RECORD["machine"]
    found = [
        line
        for name, run in runs.items()
        for line in golden_runs.differences(name, run, _RECORD["runs"][name], same_machine)
    ]
    assert not found


@pytest.mark.parametrize("same_machine", [False, True])
def test_a_difference_is_told(same_machine):
    run = _RECORD["runs"]["default"]
    assert not golden_runs.differences("default", run, run, same_machine)
    metrics = [dict(record) for record in run["metrics"]]
    metrics[0]["ce"] *= 1.1
    changed = {**run, "metrics": metrics, "metrics_sha256": "0"}
    assert len(golden_runs.differences("default", changed, run, same_machine)) == 1


def test_a_killed_run_and_an_automatic_split_are_the_default_run():
    default, killed = _RECORD["runs"]["default"], _RECORD["runs"]["killed"]
    assert killed == default
    assert _RECORD["runs"]["micro_batch_auto"]["metrics"] == default["metrics"]
