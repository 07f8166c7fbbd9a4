"""The benchmark measures what it names, and takes turns."""

from __future__ import annotations

import json
import sys

import pytest
from conftest import run_program

from tools import benchmark


@pytest.mark.parametrize(("what", "rows"), [("train", 1), ("eval", 1), ("cost", 3), ("checkpoint", 3)])
def test_the_table_and_its_json(tmp_path, what, rows):
    path = tmp_path / "speed.json"
    words = ["--model", "vit_n_2", "--batch", "4", "--shared_blocks", "2", "--rounds", "3", "--json", path]
    done = run_program("-m", "tools.benchmark", what, *words)
    assert done.returncode == 0, done.stderr
    assert len(done.stdout.splitlines()) == rows
    found = json.loads(path.read_text())
    assert {"images_per_second", "seconds", "model", "settings"} <= found.keys()
    assert len(found["seconds"]) == 3
    assert len(found["rows"]) == rows
    assert found["images_per_second"] == pytest.approx(4 / sorted(found["seconds"])[1])


def test_it_takes_turns():
    order = []
    steps = {name: lambda name=name: order.append(name) or 1.0 for name in "ab"}
    assert benchmark.measure(steps, 2) == {"a": [1.0, 1.0], "b": [1.0, 1.0]}
    assert "".join(order) == "abababab"


@pytest.mark.parametrize(
    ("words", "message"),
    [
        (["train", "--model", "vit_n_3"], "model 'vit_n_3' is not known"),
        (["train", "--model", "vit_n_2", "--drop_rate", "0"], "R-Drop needs noise"),
        (["cost", "--copies", "1"], "--copies is 1, expected 2 or more"),
        (["train", "--rounds", "0"], "--rounds is 0, expected 1 or more"),
        (["memory", "--batch", "0"], "--batch is 0, expected 1 or more"),
        (["memory", "--model", "vit_n_3"], "model 'vit_n_3' is not known"),
    ],
)
def test_mistakes_are_one_line(words, message):
    done = run_program("-m", "tools.benchmark", *words)
    assert done.returncode == 2
    assert done.stderr.startswith(f"error: {message}")
    assert len(done.stderr.splitlines()) == 1


def test_memory_of_a_step(tmp_path):
    """Each batch in a process of its own; the line goes through what was measured."""
    path = tmp_path / "memory.json"
    words = ["--model", "vit_n_2", "--batch", "2", "--recompute", "--json", path]
    done = run_program("-m", "tools.benchmark", "memory", *words)
    assert done.returncode == 0, done.stderr
    assert [line.split()[0] for line in done.stdout.splitlines()] == ["2", "4", "6", "an", "beside"]
    found = json.loads(path.read_text())
    assert found["settings"]["recompute"]
    assert [(row["batch"], len(row["peaks"])) for row in found["rows"]] == [(2, 1), (4, 1), (6, 1)]
    assert all(peak > found["estimate"]["constant"] > 4 * 70_000 * 4 for row in found["rows"] for peak in row["peaks"])
    first, middle, last = (row["peaks"][0] for row in found["rows"])
    assert found["image"] == pytest.approx((last - first) / 4, abs=1)
    assert found["constant"] + 4 * found["image"] == pytest.approx((first + middle + last) / 3, rel=1e-6)


@pytest.mark.slow
@pytest.mark.parametrize("operators", ["plain", "auto"])
def test_the_estimate_of_memory_is_what_is_measured(tmp_path, operators):
    path = tmp_path / "memory.json"
    words = ["--model", "vit_ti_16", "--batch", "4", "--operators", operators, "--json", path]
    assert run_program("-m", "tools.benchmark", "memory", *words).returncode == 0
    found = json.loads(path.read_text())
    assert found["image"] == pytest.approx(found["estimate"]["image"], rel=0.1)


def test_the_flags_reach_the_config(monkeypatch):
    words = ["--model", "vit_n_2", "--batch", "3", "--operators", "plain", "--recompute"]
    monkeypatch.setattr(sys, "argv", ["benchmark", "memory", *words])
    config = benchmark._config(benchmark._arguments(), 2, 1)
    assert (config.train.batch_size, config.train.recompute, config.model.operators) == (3, True, "plain")
    assert (config.rdrop.copies, config.rdrop.shared_blocks) == (2, 1)


def test_memory_is_given_back_and_measured():
    """Half a GB that is freed counts while it is there, and no more after it."""
    code = "import numpy as np; from tools import benchmark_memory as m; m._give_back_freed(); before = m._peak();"
    code += "a = np.ones(2**26); m._reset_peak(); high = m._peak(); del a; m._reset_peak();"
    code += "print(high - before, m._peak() - before)"
    done = run_program("-c", code)
    assert done.returncode == 0, done.stderr
    high, low = map(int, done.stdout.split())
    assert high > 0.95 * 2**29
    assert low < 0.2 * 2**29
