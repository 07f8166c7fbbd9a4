"""The benchmark measures what it names, and takes turns."""

from __future__ import annotations

import json

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
    ],
)
def test_mistakes_are_one_line(words, message):
    done = run_program("-m", "tools.benchmark", *words)
    assert done.returncode == 2
    assert done.stderr.startswith(f"error: {message}")
    assert len(done.stderr.splitlines()) == 1
