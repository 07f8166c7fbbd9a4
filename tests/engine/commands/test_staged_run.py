"""Several stages as one command: each goes on from the weights of the one before, the whole where
it was stopped.
"""

from __future__ import annotations

import json

import pytest
from conftest import run_program

import data
from common.errors import UserError
from common.reading import sha256
from configs import default
from engine.commands import single_run, staged_run
from engine.plan import resolve_config
from engine.results import metrics_reader
from models import read_arrays
from program import exits
from program.config import config_fields, config_files
from program.signals import StopRequest

_FILE = """
from configs import default

def get_config():
    config = default.get_config()
    config.data.update(name="folder", root={root!r}, crop_scale=(0.5, 1.0))
    config.model.update(name="vit_n_8", image_size=16, drop_rate=0.1, mean=(0.4, 0.4, 0.4))
    config.train.update(steps=3, batch_size=6, log_every_steps=1)
    return config

def get_stages():
    few = {{"data.max_images": 9, "optim.lr": 1e-4}}
    return {{"1_few": few, "2_all": {{"optim.name": "sgd", "optim.lr": {lr}}}}}

def get_rows():
    return {{"momentum": {{"optim.name": "momentum", "optim.lr": 0.5, "train.steps": 4}}}}
"""


@pytest.fixture
def path(painted, tmp_path):
    path = tmp_path / "staged.py"
    path.write_text(_FILE.format(root=str(painted), lr=0.0))
    return path


def _stages(path, **given):
    found = {}
    for name, values in config_files.load_table(str(path), "get_stages").items():
        found[name] = config_files.load_file(str(path)).unlock()
        found[name].update_from_flattened_dict({**values, **given})
    return found


def test_one_command(path, tmp_path):
    """The second stage has a rate of 0: it ends with the weights of the first. The command line is
    above both.
    """
    words = [f"--config={path}", f"--workdir={tmp_path / 'run'}", "--config.train.steps=2"]
    done = run_program("main.py", *words)
    assert done.returncode == 0, done.stderr
    assert "stage 2 of 2: 2_all" in done.stdout
    first, last = (tmp_path / "run" / name for name in ("1_few", "2_all"))
    result = json.loads((tmp_path / "run" / "result.json").read_text())
    assert list(result["stages"]) == ["1_few", "2_all"]
    assert sha256(tmp_path / "run" / result["weights"]) == result["weights_sha256"]
    before, after = (read_arrays(folder / "weights.safetensors")[0] for folder in (first, last))
    assert all((before[name] == after[name]).all() for name in before)
    for folder, images in ((first, 9), (last, 36)):
        records = [
            record for record in metrics_reader.read_metrics(folder) if record["split"] == "train"
        ]
        assert [record["step"] for record in records] == [1, 2]
        assert records[0]["epoch"] == round(6 / images, 4)
    again = run_program("main.py", *words)
    assert (again.returncode, again.stdout.count("holds a finished run")) == (0, 2)


def test_fixres(painted, tmp_path):
    """Classifier and last norm are tuned at another size, on images as in the test; the rest stays
    as it was.
    """
    config = default.get_config()
    config.data.update(name="folder", root=str(painted))
    config.model.update(name="vit_n_8", image_size=16, drop_rate=0.1)
    config.train.update(steps=3, batch_size=6)
    tune = {
        "model.image_size": 32,
        "model.trainable": "head_and_norm",
        "data.crop": "test",
        "data.flip": 0.0,
    }
    assert (
        staged_run.train({"1": config, "2": config_fields.changed(config, tune)}, tmp_path)
        == exits.DONE
    )
    before, after = (read_arrays(tmp_path / name / "weights.safetensors")[0] for name in "12")
    assert (
        after["pos_embed"].shape[1] == before["pos_embed"].shape[1] + 12
    )  # a grid of 2 x 2, then one of 4 x 4
    changed = {
        name for name in before if name != "pos_embed" and (before[name] != after[name]).any()
    }
    assert changed == {"head.weight", "head.bias", "norm.weight", "norm.bias"}
    final = resolve_config.with_input(config_fields.changed(config, tune))
    train, test = (data.build(final, "train"), data.build(final, "train", augment=False))
    assert all((train[0, index][0] == test[0, index][0]).all() for index in range(len(train)))


def test_goes_on_after_a_stop(path, tmp_path, monkeypatch):
    path.write_text(path.read_text().replace('"optim.lr": 0.0', '"optim.lr": 0.01'))
    assert staged_run.train(_stages(path), tmp_path / "whole") == exits.DONE
    steps = iter([False] * 3 + [True] + [False] * 9)
    monkeypatch.setattr(StopRequest, "agreed", lambda self: next(steps))
    assert staged_run.train(_stages(path), tmp_path / "cut") == exits.STOPPED
    assert not (tmp_path / "cut" / "result.json").exists()
    assert staged_run.train(_stages(path), tmp_path / "cut") == exits.DONE
    whole, cut = (
        json.loads((tmp_path / name / "result.json").read_text()) for name in ("whole", "cut")
    )
    # Not the checksum of the file: its metadata holds the path of the stage before.
    whole, cut = (
        read_arrays(tmp_path / name / "2_all" / "weights.safetensors")[0]
        for name in ("whole", "cut")
    )
    assert all((whole[name] == cut[name]).all() for name in whole)


def test_a_stage_that_began_with_other_weights(path, tmp_path):
    staged_run.train(_stages(path), tmp_path)
    single_run.train(_stages(path, seed=1)["1_few"], tmp_path / "1_few", overwrite=True)
    with pytest.raises(UserError, match="2_all began with other weights"):
        staged_run.train(_stages(path, seed=1), tmp_path)
    (tmp_path / "1_few" / "weights.safetensors").unlink()
    with pytest.raises(UserError, match="is not there any more, and 2_all begins with it"):
        staged_run.train(_stages(path, seed=1), tmp_path)


def test_two_kinds_of_runs_do_not_share_a_folder(path, tmp_path):
    config = _stages(path)["1_few"]
    staged_run.train(_stages(path), tmp_path / "staged")
    for overwrite in (False, True):
        with pytest.raises(UserError, match=r"holds a run in stages|is not the folder of a run"):
            single_run.train(config, tmp_path / "staged", overwrite)
    with pytest.raises(UserError, match="holds a run with the stages"):
        staged_run.train({"1_few": config}, tmp_path / "staged")
    single_run.train(config, tmp_path / "plain")
    with pytest.raises(UserError, match="holds a run without stages"):
        staged_run.train(_stages(path), tmp_path / "plain", overwrite=True)


def test_blocks_begin_as_the_identity_once(path, tmp_path):
    """In the first stage: the next ones go on with its weights."""
    fields = {"model.name": "resnet_18", "model.image_size": 32, "model.zero_gamma": True}
    staged_run.train(_stages(path, **fields), tmp_path / "run")
    folders = tmp_path / "run" / "1_few", tmp_path / "run" / "2_all"
    configs = [json.loads((folder / "config.json").read_text()) for folder in folders]
    assert [config["model"]["zero_gamma"] for config in configs] == [True, False]
    name = "layer4.1.bn2.weight"
    before, after = (read_arrays(folder / "weights.safetensors")[0][name] for folder in folders)
    assert (before != 0).all()
    assert (before == after).all()  # at a rate of 0
    assert staged_run.train(_stages(path, **fields), tmp_path / "run") == exits.DONE


def test_overwriting_takes_all_stages_at_once(path, tmp_path, monkeypatch):
    """What was is gone before the first stage begins; moved elsewhere, a run goes on."""
    staged_run.train(_stages(path), tmp_path / "run")
    (tmp_path / "run").rename(tmp_path / "moved")
    (tmp_path / "moved" / "result.json").unlink()
    (tmp_path / "moved" / "2_all" / "result.json").unlink()
    assert staged_run.train(_stages(path), tmp_path / "moved") == exits.DONE
    monkeypatch.setattr(StopRequest, "agreed", lambda self: True)
    assert staged_run.train(_stages(path), tmp_path / "moved", overwrite=True) == exits.STOPPED
    assert not (tmp_path / "moved" / "result.json").exists()
    assert not (tmp_path / "moved" / "2_all" / "config.json").exists()


def test_the_result_of_all_stages(path, tmp_path):
    """Paths from the folder of the run; images and time of all of them. A single stage is a run in
    stages, too.
    """
    few = _stages(path, **{"average.ema_decay": 0.5})
    staged_run.train(few, tmp_path / "two")
    result = json.loads((tmp_path / "two" / "result.json").read_text())
    assert result["images_seen"] == 2 * 3 * 6
    for one in (result, *result["beside"].values()):
        assert (tmp_path / "two" / one["weights"]).is_file()
    assert result["beside"]
    staged_run.train({"only": few["1_few"]}, tmp_path / "one")
    assert (
        json.loads((tmp_path / "one" / "result.json").read_text())["weights"]
        == "only/weights.safetensors"
    )


@pytest.mark.parametrize(
    "table", ["['a']", "{'a': 3}", "{1: {}}", "{'': {}}", "{'../a': {}}", "7", "{'a': {2: 3}}"]
)
def test_tables_that_are_none(tmp_path, table):
    path = tmp_path / "table.py"
    path.write_text(f"def get_rows():\n    return {table}\n")
    with pytest.raises(UserError, match="table.py: get_rows"):
        config_files.load_table(str(path), "get_rows")


def test_dry_run(path):
    done = run_program("main.py", f"--config={path}", "--dry_run")
    assert done.returncode == 0, done.stderr
    assert done.stdout.count("one step on 2 made-up images") == 2


def test_a_row(path, tmp_path):
    """Its fields are above those of the stages, and below the command line."""
    words = [
        f"--config={path}",
        "--row=momentum",
        f"--workdir={tmp_path}",
        "--config.train.steps=2",
    ]
    done = run_program("main.py", *words)
    assert done.returncode == 0, done.stderr
    for name in ("1_few", "2_all"):
        config = json.loads((tmp_path / name / "config.json").read_text())
        assert (config["optim"]["name"], config["optim"]["lr"], config["train"]["steps"]) == (
            "momentum",
            0.5,
            2,
        )
    done = run_program("main.py", f"--config={path}", "--row=momentun")
    assert (done.returncode, "Traceback" in done.stderr) == (2, False)
    assert "no row 'momentun'; did you mean 'momentum'?" in done.stderr


@pytest.mark.parametrize(
    ("old", "new", "words"),
    [
        (
            '"optim.name"',
            '"optim.nam"',
            "get_stages: 2_all: optim.nam: no such field; did you mean 'optim.name'?",
        ),
        ('"sgd"', "3", "get_stages: 2_all: optim.name=3: expected such as 'adamw'"),
        ('"sgd"', '"sdg"', "config.optim.name is 'sdg'"),
        ("9,", "99,", "data.max_images is 99, but there are only 36 training images"),
    ],
)
def test_mistakes(path, tmp_path, old, new, words):
    path.write_text(path.read_text().replace(old, new))
    done = run_program("main.py", f"--config={path}", f"--workdir={tmp_path / 'run'}")
    assert (done.returncode, "Traceback" in done.stderr) == (2, False)
    assert words in done.stderr
