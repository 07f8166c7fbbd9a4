"""Reading runs, and putting those together that differ only in the seed."""

from __future__ import annotations

import json
import shutil

import pytest

from common.errors import UserError
from report import runs
from report.texts import Words


def test_folders_below_a_folder(small_runs):
    above = small_runs.folders["ce_0"].parent.parent
    found = runs.read_all([above, small_runs.folders["ce_0"]])  # named twice, read once
    assert sorted(run.folder for run in found) == sorted(small_runs.folders.values())
    assert found[0].points("train", "ce")[-1][0] == 20
    assert found[0].test_images == 15
    with pytest.raises(UserError, match="not a folder"):
        runs.read_all([above / "absent"])
    with pytest.raises(UserError, match="none below it"):
        runs.read_all([small_runs.data])


def test_groups(small_runs):
    groups = runs.grouped(runs.read_all(small_runs.folders.values()))
    assert [group.name for group in groups] == ["R-Drop", "cross-entropy"]
    assert [[run.config.seed for run in group.runs] for group in groups] == [[0, 1], [0, 1]]
    result = json.loads((small_runs.folders["ce_1"] / "result.json").read_text())
    assert groups[1].results("top1")[1] == result["top1"]
    assert groups[1].differs == {"rdrop.copies": 1}
    chinese = runs.grouped([run for group in groups for run in group.runs], Words("zh"))
    assert [group.name for group in chinese] == ["R-Drop", "交叉熵"]


def test_names_of_groups(small_runs, tmp_path):
    """Up to two fields are the name; of more the folders are."""
    first = small_runs.folders["rdrop_0"]
    for number, fields in enumerate([{}, {"optim.lr": 1.0, "seed": 3, "optim.beta1": 0.5}]):
        shutil.copytree(first, tmp_path / f"run_{number}")
        path = tmp_path / f"run_{number}" / "config.json"
        config = json.loads(path.read_text())
        for name, value in fields.items():
            part, _, field = name.rpartition(".")
            (config[part] if part else config)[field] = value
        path.write_text(json.dumps(config))
    groups = runs.grouped(runs.read_all([tmp_path]))
    assert [one.name for one in groups] == ["beta1=0.9, lr=0.003", "beta1=0.5, lr=1.0"]
    third = json.loads((tmp_path / "run_1" / "config.json").read_text())
    third["optim"]["beta2"] = 0.5
    (tmp_path / "run_1" / "config.json").write_text(json.dumps(third))
    assert [one.name for one in runs.grouped(runs.read_all([tmp_path]))] == ["run_0", "run_1"]


def test_what_does_not_change_a_result_makes_no_group(small_runs, tmp_path):
    shutil.copytree(small_runs.folders["rdrop_0"], tmp_path / "run")
    path = tmp_path / "run" / "config.json"
    config = json.loads(path.read_text())
    config["data"]["workers"] = 3
    path.write_text(json.dumps(config))
    assert len(runs.grouped(runs.read_all([tmp_path, small_runs.folders["rdrop_1"]]))) == 1


def test_stages(small_runs, tmp_path):
    """The page of a run in stages is of the last stage that has begun."""
    staged = tmp_path / "staged"
    staged.mkdir()
    (staged / "stages.json").write_text('["one", "two", "three"]')
    with pytest.raises(UserError, match="none of its stages"):
        runs.read_all([staged])
    for name in ("one", "two"):
        shutil.copytree(small_runs.folders["rdrop_0"], staged / name)
    assert [run.folder for run in runs.read_all([staged])] == [staged / "two"]
    assert [run.folder for run in runs.read_all([tmp_path])] == [staged / "two"]


@pytest.mark.parametrize(
    ("command", "base"),
    [
        ("python main.py", "configs/digits_rdrop.py"),
        ("python main.py --config=configs/digits_ce.py --config.seed=1", "configs/digits_ce.py"),
        ("python main.py --config folder_small", "configs/folder_small.py"),
        ("python main.py --config=/tmp/a_strangers.py", "configs/default.py"),
        ("python main.py 'unclosed", "configs/default.py"),
        ("", "configs/default.py"),
    ],
)
def test_base(small_run, command, base):
    """No file outside of the project is run."""
    name, fields = runs.base_of(small_run._replace(environment={"command": command}))
    assert name == base
    assert fields["train.batch_size"] > 0
