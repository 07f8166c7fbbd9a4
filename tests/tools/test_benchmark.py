"""The benchmark measures what it names, and takes turns."""

from __future__ import annotations

import json

import pytest
from conftest import run_program

from tools import benchmark
from tools.measure import growth


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
        (["cost", "--peer", "timm"], "--peer has no meaning for cost"),
        (["eval", "--peak"], "--peak has a meaning for train alone"),
        (["train", "--precision", "bfloat16"], "--precision has no meaning for train"),
    ],
)
def test_mistakes_are_one_line(words, message):
    done = run_program("-m", "tools.benchmark", *words)
    assert done.returncode == 2
    assert done.stderr.startswith(f"error: {message}")
    assert len(done.stderr.splitlines()) == 1


def test_the_share_of_the_peak():
    words = ["--model", "vit_n_2", "--batch", "4", "--rounds", "1", "--peak"]
    done = run_program("-m", "tools.benchmark", "train", *words)
    assert done.returncode == 0, done.stderr
    assert done.stdout.splitlines()[-1].startswith("the step reaches ")


def test_growth(tmp_path):
    path = tmp_path / "growth.json"
    words = ["--model", "vit_n_2", "--batch", "2", "--image_size", "32", "--rounds", "1", "--json", path]
    done = run_program("-m", "tools.benchmark", "growth", *words)
    assert done.returncode == 0, done.stderr
    rows = {row["name"]: row for row in json.loads(path.read_text())["rows"]}
    assert rows.keys() == {"batch", "image_size", "depth", "copies"}
    assert rows["batch"]["values"] == [2, 4, 8, 16]
    assert rows["copies"]["values"] == [1, 2, 3, 4]
    assert rows["depth"]["values"] == [1, 2, 3, 4]


def test_exponents_and_settings():
    assert growth.fit([1, 2, 4], [3.0, 12.0, 48.0]) == pytest.approx(2)
    base = growth.Setting(batch=2, image_size=224, depth=12, copies=2)
    found = growth.settings(base)
    assert [point.image_size for point in found["image_size"]] == [128, 160, 224, 320]
    assert all(point == base._replace(depth=point.depth) for point in found["depth"])


def test_a_smaller_depth_keeps_the_last_blocks():
    given = benchmark._arguments(["train", "--model", "vit_n_2", "--batch", "2"])
    training = benchmark.Training(benchmark._config(given, 2, 0), depth=2)
    assert len(training.model.blocks) == 2
    assert training.model.blocks[-1].queries == 1
    assert training.step() > 0
