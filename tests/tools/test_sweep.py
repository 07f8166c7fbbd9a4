"""The arithmetic of the sweep's table, and a small sweep that is started twice."""

from __future__ import annotations

import json

import pytest
from conftest import ROOT, run_program

from common.errors import UserError
from tools import sweep
from tools.results import lines, summary


def test_combinations():
    rows = sweep.settings_of(["configs/a.py", "b.py"], ["x.y=1,2", "z=3"])
    assert [row.name for row in rows] == [
        "a x.y=1 z=3",
        "a x.y=2 z=3",
        "b x.y=1 z=3",
        "b x.y=2 z=3",
    ]
    assert [row.overrides for row in sweep.settings_of(["a.py"], ["x=(0.1,1),(0.2,1)"])] == [
        ("x=(0.1,1)",),
        ("x=(0.2,1)",),
    ]
    with pytest.raises(UserError, match="FIELD=value"):
        sweep.settings_of(["a.py"], ["x.y"])


def test_rows(tmp_path):
    path = tmp_path / "c.py"
    path.write_text(
        "def get_rows():\n    return {'slow': {'optim.lr': 1e-4}, 'sgd': {'optim.name': 'sgd'}}\n"
    )
    assert [row.row for row in sweep.settings_of([str(path)], [], [])] == ["", "slow", "sgd"]
    assert [row.name for row in sweep.settings_of([str(path)], ["seed=1"], ["sgd"])] == [
        "c seed=1",
        "c sgd seed=1",
    ]
    with pytest.raises(UserError, match="--set decides all fields of the row slow"):
        sweep.settings_of([str(path)], ["optim.lr=1"], ["slow"])
    with pytest.raises(UserError, match="no row 'sgs'; did you mean 'sgd'"):
        sweep.settings_of([str(path)], [], ["sgs"])


@pytest.mark.slow
def test_the_rows_are_run(tmp_path):
    path = tmp_path / "rows.py"
    path.write_text(
        "from configs import digits_ce\n\n\n"
        "def get_config():\n    config = digits_ce.get_config()\n"
        "    config.train.steps = 2\n    return config\n\n\n"
        "def get_rows():\n    return {'sgd': {'optim.name': 'sgd'}}\n"
    )
    done = run_program(
        "-m", "tools.sweep", "--config", path, "--rows", "--workdir", tmp_path / "runs"
    )
    assert done.returncode == 0, done.stderr
    names = {
        path.parts[-3]: json.loads(path.read_text())["optim"]["name"]
        for path in (tmp_path / "runs").glob("*/seed_0/config.json")
    }
    assert names == {"rows": "adamw", "rows__sgd": "sgd"}
    page = tmp_path / "runs" / "report.html"
    assert page.is_file() or "pip install -r requirements-extras.txt" in done.stdout
    assert not list((tmp_path / "runs").glob("*/seed_0/report.html"))  # one page of all runs


def test_names_of_folders_fit_into_file_systems():
    short = sweep.Setting("configs/a.py", ("data.root=x/y", "seed=1"))
    assert sweep.folder_name(short) == "a__data.root=x_y__seed=1"
    names = [
        sweep.folder_name(sweep.Setting("configs/a.py", (f"data.root={'图' * 100}", value)))
        for value in ("optim.lr=1", "optim.lr=2")
    ]
    assert all(len(name.encode()) <= 200 and name.startswith("a__data.root=图") for name in names)
    assert names[0] != names[1]


def test_mean_and_sample_deviation():
    result = {"best_top1": None, "ece": 0.1, "seconds": 2.0, "weights_of": "raw"}
    results = [{**result, "top1": top1} for top1 in (0.90, 0.94)]
    row = summary.summarise("a", results)
    assert (row["test_top1"], row["n"]) == (92.0, 2)
    assert row["test_top1_std"] == pytest.approx(2.828, abs=1e-3)
    assert "| a | 2 | - | 92.00 +- 2.83 | 10.00 +- 0.00 | 2 raw | 2 |" in summary.table([row])
    better = [{**one, "top1": one["top1"] + gain} for one, gain in zip(results, (0.01, 0.03))]
    better[0]["weights_of"] = "ema"
    compared = summary.table([row, summary.summarise("a ema", better, results)])
    assert "| a | 2 | - | 92.00 +- 2.83 | - | 10.00 +- 0.00 | 2 raw | 2 | 90.00 94.00 |" in compared
    beside = "| 94.00 +- 4.24 | +2.00 +- 1.41 | 10.00 +- 0.00 | 1 ema, 1 raw | 2 | 91.00 97.00 |"
    assert f"| a ema | 2 | - {beside}" in compared


def test_a_file_of_lines_is_looked_at_before_the_first_run(tmp_path):
    words = [
        "-m",
        "tools.sweep",
        "--config",
        "configs/digits_ce.py",
        "--workdir",
        tmp_path / "runs",
    ]
    (tmp_path / "a.jsonl").write_text("no line\n")
    for name, said in (("a.jsonl", "a.jsonl:1: is not the line of a run"), ("a.md", ".jsonl")):
        done = run_program(*words, "--lines", tmp_path / name)
        assert done.returncode == 2
        assert said in done.stderr
    assert not (tmp_path / "runs").exists()


def test_a_small_sweep(tmp_path):
    words = ["-m", "tools.sweep", "--config", "configs/digits_ce.py"]
    words += ["--workdir", tmp_path / "runs"]
    words += ["--lines", tmp_path / "lines" / "digits.jsonl"]
    more = ["--seeds", "0", "1", "--jobs", "2", "--json", tmp_path / "table.json"]
    done = run_program(*words, "--set", "train.steps=2", *more)
    assert done.returncode == 0, done.stderr
    assert "| digits_ce train.steps=2 | 2 |" in done.stdout
    assert (tmp_path / "table.json").is_file()
    found = lines.read(tmp_path / "lines" / "digits.jsonl")
    assert sorted(one["seed"] for one in found) == [0, 1]
    for one in found:
        result = tmp_path / "runs" / "digits_ce__train.steps=2" / f"seed_{one['seed']}"
        result = json.loads((result / "result.json").read_text())
        assert (one["test_top1"], one["seconds"]) == (result["top1"], result["seconds"])
        assert (one["experiment"], one["setting"]) == ("digits", "digits_ce train.steps=2")
        assert (one["steps"], one["passes"]) == (2, result["images_seen"])
        assert str(tmp_path) not in json.dumps(one)
        assert str(ROOT) not in json.dumps(one)
    done = run_program(*words, "--set", "train.steps=2,-2")  # the first run is done
    assert len(lines.read(tmp_path / "lines" / "digits.jsonl")) == 2
    assert done.returncode == 2
    assert "| digits_ce train.steps=2 | 1 |" in done.stdout
    assert (
        "1 of 2 runs failed; the first: digits_ce train.steps=-2, seed 0: error: config.train.steps"
        in done.stderr
    )
