"""`configs/folder.py`: whole small runs, and what is the same after a stop on any machine."""

from __future__ import annotations

import json

import pytest
from conftest import ROOT, launch, paint
from in_process import run_here

import models
from common.errors import UserError
from common.safetensors_files import read_safetensors
from engine import distributed
from engine.commands import single_run
from engine.plan import recipe
from engine.trainer import Trainer
from models.weights.sources import locations
from program import exits, run_folder
from program.config import config_fields, config_files, config_validation

_CONFIG = ROOT / "configs" / "folder.py"


@pytest.fixture(scope="module")
def weights(tmp_path_factory):
    """Made-up weights of vit_n_8, whose shapes fit no other model."""
    path = tmp_path_factory.mktemp("weights") / "nano.safetensors"
    arrays = models.create("vit_n_8").state_dict()
    models.write_arrays(path, {name: one.numpy() for name, one in arrays.items()}, None)
    return str(path)


def _config(root, weights, **fields):
    config = config_files.load_file(str(_CONFIG))
    values = {name.replace("__", "."): value for name, value in fields.items()}
    own = {"data.root": str(root), "model.pretrained": weights}
    return config_fields.changed(config, {**own, **values})


def _words(root, weights=""):
    words = [f"--config={_CONFIG}", f"--config.data.root={root}"]
    return [*words, f"--config.model.pretrained={weights}"] if weights else words


def test_a_whole_run(painted, weights, tmp_path):
    """It says what it chose, keeps it, and its weights need no config."""
    words = [*_words(painted, weights), f"--workdir={tmp_path / 'run'}"]
    done = run_here("main.py", *words, "--config.train.epochs=3", "--config.optim.lr=0.01")
    assert done.returncode == 0, done.stderr
    lines = done.stdout.splitlines()
    assert lines[0].startswith("train.recipe=fine_tune, for 36 training images of 3 classes (")
    table = {line.split()[0]: line.split()[1] for line in lines[1:] if line.startswith("  ")}
    assert (table["model.name"], table["model.image_size"]) == ("vit_n_8", "64")
    assert (table["train.batch_size"], table["data.holdout"]) == ("8", "0")
    assert not {"train.epochs", "optim.lr"} & set(table), "what is given is not listed"
    assert "usual for vit_n_8: the weights do not say" in done.stdout
    config = run_folder.read_config(tmp_path / "run")
    assert not config_fields.to_choose(config)
    assert config.model.mean == (0.5, 0.5, 0.5)
    flat = config_fields.flattened(config)
    assert all(
        recipe._text(flat[name]) == value for name, value in table.items() if value[0] != "("
    )
    result = json.loads((tmp_path / "run" / "result.json").read_text())
    again = run_here("val.py", f"--weights={tmp_path / 'run' / 'weights.safetensors'}")
    assert again.returncode == 0, again.stderr
    assert f"{100 * result['top1']:.2f}%" in again.stdout
    finished = run_here("main.py", *words, "--config.train.epochs=3", "--config.optim.lr=0.01")
    assert "holds a finished run" in finished.stdout
    assert "as the run began" in finished.stdout


def test_a_dry_run_says_the_same(painted, weights):
    words = [*_words(painted, weights), "--dry_run"]
    done = run_here("main.py", *words, "--config.rdrop.alpha=3.0")
    assert done.returncode == 0, done.stderr
    assert "train.recipe=fine_tune, for 36 training images of 3 classes" in done.stdout
    assert "one step on 2 made-up images" in done.stdout
    assert "warning" not in done.stdout


def test_the_default_model_in_a_dry_run(painted, tmp_path, monkeypatch):
    """Published weights are not downloaded there."""
    monkeypatch.setenv("HOME", str(tmp_path))
    done = run_here("main.py", *_words(painted), "--dry_run")
    assert done.returncode == 0, done.stderr
    assert "deit_ti  " in done.stdout
    assert "'deit_ti' are not here yet" in done.stdout


def test_a_convolutional_network(painted, tmp_path, monkeypatch):
    """Its batch norms count by micro-batch, and its noise is in front of the classifier."""
    monkeypatch.setenv("HOME", str(tmp_path))
    words = [*_words(painted), "--config.model.name=resnet_18", "--config.model.image_size=32"]
    done = run_here("main.py", *words, "--dry_run")
    assert done.returncode == 0, done.stderr
    table = {line.split()[0]: line.split()[1] for line in done.stdout.splitlines()[1:19]}
    assert (table["train.micro_batch"], table["model.drop_rate"]) == ("''", "0.1")
    assert table["optim.layer_decay"] == "1"


def test_a_known_data_set_is_not_read(weights):
    """The registry has its numbers."""
    config = _config("", weights, data__name="cifar10")
    found = recipe.resolve(config, download=False)
    assert found.model.image_size == 64
    assert round(50_000 * found.data.holdout) == 5_000


class _Killed(BaseException):
    """The process ends."""


def _stopped(config, folder, monkeypatch):
    """A run that dies in its third step."""
    original, steps = Trainer._record, []

    def record(self, *arguments):
        steps.append(1)
        if len(steps) == 3:
            raise _Killed
        original(self, *arguments)

    with monkeypatch.context() as patch:
        patch.setattr(Trainer, "_record", record)
        with pytest.raises(_Killed):
            single_run.train(config, folder)


def test_a_resume_elsewhere_keeps_what_was_chosen(painted, weights, tmp_path, monkeypatch, capsys):
    """Other cores, other images (a part of them is gone) and a new rule change nothing."""
    fields = {"train__steps": 4, "train__log_every_steps": 1, "train__checkpoint_every_steps": 2}
    config = _config(painted, weights, **fields)
    assert single_run.train(config, tmp_path / "whole") == exits.DONE
    _stopped(config, tmp_path / "run", monkeypatch)
    facts = recipe._facts
    monkeypatch.setattr(
        recipe, "_facts", lambda config: facts(config)._replace(images=9_000, side=8, on_gpu=True)
    )
    capsys.readouterr()
    assert single_run.train(config, tmp_path / "run") == exits.DONE
    text = capsys.readouterr().out
    assert "train.recipe=fine_tune: as the run began" in text
    assert "going on from step 2" in text
    whole, again = (run_folder.read_config(tmp_path / name) for name in ("whole", "run"))
    assert whole == again
    expected, found = (
        read_safetensors(tmp_path / name / "weights.safetensors")[0] for name in ("whole", "run")
    )
    assert all((found[name] == value).all() for name, value in expected.items())


def test_an_overwritten_run_chooses_anew(painted, weights, tmp_path, monkeypatch):
    config = _config(painted, weights, train__steps=1)
    single_run.train(config, tmp_path / "run")
    facts = recipe._facts
    monkeypatch.setattr(recipe, "_facts", lambda config: facts(config)._replace(blocks=24))
    assert run_folder.read_config(tmp_path / "run").optim.layer_decay == 0.65
    single_run.train(config, tmp_path / "run", overwrite=True)
    assert run_folder.read_config(tmp_path / "run").optim.layer_decay == 0.75


def test_another_number_of_cards_has_the_same_batch(painted, weights, tmp_path, monkeypatch):
    config = _config(painted, weights, train__steps=1)
    single_run.train(config, tmp_path / "run")
    before = run_folder.read_config(tmp_path / "run")
    assert (before.train.batch_size, before.train.reference_batch_size) == (8, 8)
    monkeypatch.setattr(distributed, "world_size", lambda: 4)
    found = recipe.resolve(config, tmp_path / "run")
    assert found.train.batch_size == 2
    assert found.train.reference_batch_size == 8
    assert found.optim == before.optim


def test_a_run_of_another_recipe_is_refused(painted, weights, tmp_path):
    config = _config(painted, weights, train__steps=1)
    plain = {"train.recipe": "", "train.micro_batch": ""}
    single_run.train(config_fields.changed(recipe.resolve(config), plain), tmp_path / "run")
    with pytest.raises(UserError, match="holds a run with train.recipe = '', not 'fine_tune'"):
        single_run.train(config, tmp_path / "run")


def test_what_is_given_must_go_with_what_is_chosen(painted, weights):
    config = _config(painted, weights, optim__final_lr=0.1)
    config_validation.validate(config)
    with pytest.raises(UserError, match="final_lr is 0.1, expected no more than optim.lr=0.00"):
        recipe.resolve(config)


def test_the_size_of_a_typical_image(tmp_path, weights):
    """Damaged images do not count."""
    root = paint(tmp_path / "images", 2, 5, size=90)
    (root / "class_0" / "000_damaged.png").write_bytes(b"no image")
    config = _config(root, weights, model__name="vit_ti_8", data__on_corrupt="skip")
    assert recipe._facts(config).side == 90
    size = {"model.image_size": 64}
    assert recipe._facts(config_fields.changed(config, size)).side == 0, "not looked at"


def test_no_published_weights(painted):
    done = run_here("main.py", *_words(painted), "--config.model.name=vit_n_8")
    assert done.returncode == 2
    assert done.stderr.splitlines() == [
        "error: model.pretrained is empty, and vit_n_8 has no published weights: give a file by "
        "--config.model.pretrained=FILE, or train from scratch with "
        "--config=configs/folder_small.py"
    ]


def test_weights_that_can_not_be_downloaded(painted, tmp_path, monkeypatch):
    monkeypatch.setenv("HOME", str(tmp_path))

    def fetch(url, *_, **__):
        raise UserError(f"{url}: download failed (no network); get the file by hand and give it")

    monkeypatch.setattr(locations, "fetch", fetch)
    done = run_here("main.py", *_words(painted), f"--workdir={tmp_path / 'run'}")
    assert done.returncode == 2
    (line,) = done.stderr.splitlines()
    assert line.startswith("error: https://")
    assert line.endswith(
        "by hand and give it by --config.model.pretrained=FILE, or train from scratch with "
        "--config=configs/folder_small.py"
    )
    assert not (tmp_path / "run").exists()


def test_only_training_chooses(painted, weights):
    done = run_here("val.py", *_words(painted), f"--weights={weights}")
    assert done.returncode == 2
    (line,) = done.stderr.splitlines()
    assert line.startswith("error: the config leaves data.")
    assert "to train.recipe, which chooses only for training" in line


@pytest.mark.parametrize("tool", ["tools.lr_find", "tools.show_batch"])
def test_tools_choose_too(painted, weights, tmp_path, tool):
    place = tmp_path / ("grid.png" if tool.endswith("batch") else "find")
    done = run_here(tool, *_words(painted, weights), f"--output={place}")
    assert done.returncode == 0, done.stderr
    assert "train.recipe=fine_tune, for 36 training images" in done.stdout


@pytest.mark.slow
def test_two_processes(painted, weights, tmp_path):
    """Both choose the same, and it is said once."""
    words = [*_words(painted, weights), f"--workdir={tmp_path / 'run'}", "--config.train.steps=2"]
    done = launch(2, tmp_path / "log", "main.py", *words)
    assert done.returncode == 0, done.stdout[-3000:] + done.stderr[-1000:]
    assert done.stdout.count("train.recipe=fine_tune, for 36 training images") == 1
    assert "4 images a card x 2 cards x 1 accumulation = 8 images a step" in done.stdout
