"""`train.micro_batch=auto`: the largest part that fits, the same after a resume and everywhere."""

from __future__ import annotations

import json

import numpy as np
import pytest
from conftest import launch

from common.errors import UserError
from common.safetensors_files import read_safetensors
from configs import default
from engine import distributed
from engine.commands import single_run
from engine.plan import free_memory, memory_estimate, micro_batch_size
from engine.plan.memory_rules import RESERVE_SHARE, Estimate
from engine.results import metrics_reader
from program import exits
from program.config import config_validation

_GB = 2**30


@pytest.fixture
def config(painted):
    config = default.get_config()
    config.data.update(name="folder", root=str(painted), crop_scale=(0.5, 1.0))
    config.model.update(name="vit_n_8", image_size=16, drop_rate=0.1)
    config.optim.update(name="momentum", lr=0.01, clip_norm=1.0)
    config.train.update(
        steps=4, batch_size=6, accumulation_steps=2, log_every_steps=1, checkpoint_every_steps=2
    )
    config.train.micro_batch = "auto"
    return config


@pytest.fixture
def room(monkeypatch):
    """Sets how many images fit."""
    needed = Estimate(_GB * 2 // 3 + 1, _GB)  # an image takes 1 GB in pieces
    monkeypatch.setattr(memory_estimate, "estimate", lambda *_, **__: needed)

    def let(images: int) -> None:
        size = (images + 2.01) * _GB / (1 - RESERVE_SHARE)
        monkeypatch.setattr(free_memory, "available", lambda: size)

    return let


def _run(config, folder, **fields):
    """The split and the accumulation that were written down, the weights, and the losses."""
    config = default.get_config() if config is None else config
    config = config.copy_and_resolve_references()
    config.update_from_flattened_dict(fields)
    config_validation.validate(config)
    assert single_run.train(config, folder) == exits.DONE
    train = json.loads((folder / "config.json").read_text())["train"]
    losses = [
        record["loss"]
        for record in metrics_reader.read_metrics(folder)
        if record["split"] == "train"
    ]
    weights, _ = read_safetensors(folder / "weights.safetensors")
    return (train["batch_size"], train["accumulation_steps"]), weights, losses


@pytest.mark.parametrize(("images", "split"), [(1, (1, 12)), (5, (4, 3)), (50, (12, 1))])
def test_the_largest_that_fits_gives_the_same_run(config, room, tmp_path, capsys, images, split):
    room(images)
    found, weights, losses = _run(config, tmp_path / "auto")
    line = f"train.micro_batch=auto: {split[0]} images x {split[1]} accumulation for the 12 of a "
    assert capsys.readouterr().out.count(f"{line}card and step, ") == 1
    assert found == split
    _, expected, expected_losses = _run(config, tmp_path / "plain", **{"train.micro_batch": ""})
    np.testing.assert_allclose(losses, expected_losses, rtol=1e-4)
    for name, value in expected.items():
        np.testing.assert_allclose(weights[name], value, atol=2e-5, err_msg=name)


def test_it_is_the_same_as_the_split_by_hand(config, room, tmp_path):
    room(4)
    _, weights, _ = _run(config, tmp_path / "auto")
    by_hand = {"train.micro_batch": "", "train.batch_size": 4, "train.accumulation_steps": 3}
    _, expected, _ = _run(config, tmp_path / "by_hand", **by_hand)
    assert all((weights[name] == value).all() for name, value in expected.items())


def test_a_resume_keeps_the_split(config, room, tmp_path, capsys):
    """Where there is more memory, and where there is too little."""
    room(4)
    _, whole, _ = _run(config, tmp_path / "whole")
    for place, images in {"larger": 12, "smaller": 0}.items():
        folder = tmp_path / place
        room(4)
        with pytest.raises(KeyboardInterrupt):
            _stopped(config, folder)
        room(images)
        capsys.readouterr()
        split, weights, _ = _run(config, folder)
        text = capsys.readouterr().out
        assert "4 images x 3 accumulation for the 12 of a card and step, as the run began" in text
        assert "going on from step 2" in text
        assert split == (4, 3)
        assert all((weights[name] == value).all() for name, value in whole.items())


def test_a_run_that_began_by_hand_is_split_by_what_there_is(config, room, tmp_path, capsys):
    config.train.micro_batch = ""
    with pytest.raises(KeyboardInterrupt):
        _stopped(config, tmp_path / "run")
    room(3)
    split, _, _ = _run(config, tmp_path / "run", **{"train.micro_batch": "auto"})
    assert split == (3, 4)
    assert "going on from step 2" in capsys.readouterr().out


def _stopped(config, folder):
    """A run that dies in its third step."""
    from engine.trainer import Trainer

    original, steps = Trainer._record, []

    def record(self, *arguments):
        steps.append(1)
        if len(steps) == 3:
            raise KeyboardInterrupt
        original(self, *arguments)

    Trainer._record = record
    try:
        single_run.train(config, folder)
    finally:
        Trainer._record = original


def test_an_overwritten_run_is_split_anew(config, room, tmp_path):
    room(4)
    _run(config, tmp_path / "run")
    room(6)
    assert single_run.train(config, tmp_path / "run", overwrite=True) == exits.DONE
    assert json.loads((tmp_path / "run" / "config.json").read_text())["train"]["batch_size"] == 6


def test_not_one_fits(config, room, tmp_path):
    room(0)
    with pytest.raises(
        UserError, match="auto: not one image fits: a step needs 1.0 GB [+] 1.0 GB an image"
    ) as error:
        single_run.train(config, tmp_path / "run")
    assert "\n" not in str(error.value)
    assert not (tmp_path / "run").exists()


@pytest.mark.parametrize(
    "fields",
    [
        {"data.mixup_alpha": 0.8},
        {"data.labels_per_class": 4, "rdrop.unlabelled_batch_size": 2},
        {"rdrop.preset": "official_code"},
        {"model.name": "resnet_18", "model.image_size": 32},
    ],
    ids=str,
)
def test_what_depends_on_the_micro_batch_is_refused(config, room, tmp_path, fields):
    room(4)
    config.update_from_flattened_dict(fields)
    with pytest.raises(UserError, match="auto would change the objective"):
        single_run.train(config, tmp_path / "run")


def test_the_process_with_the_least_decides(config, room, monkeypatch):
    room(12)
    other = [5, 7.0 * _GB]
    monkeypatch.setattr(distributed, "rows_of_ranks", lambda own: np.array([own, other]))
    config.model.num_classes = 3
    found = micro_batch_size.resolve(config, single_run.build_model)
    assert (found.train.batch_size, found.train.accumulation_steps) == (4, 3)


@pytest.mark.slow
def test_two_processes(tmp_path):
    """The batch of each is split in the same way, and said once."""
    fields = [
        "--config.train.steps=2",
        "--config.train.batch_size=4",
        "--config.train.accumulation_steps=3",
    ]
    words = [f"--workdir={tmp_path / 'run'}", *fields, "--config.train.micro_batch=auto"]
    done = launch(2, tmp_path / "log", "main.py", *words)
    assert done.returncode == 0, done.stdout[-3000:] + done.stderr[-1000:]
    assert (
        done.stdout.count(
            "train.micro_batch=auto: 12 images x 1 accumulation for the 12 of a card and step"
        )
        == 1
    )
    assert "12 images a card x 2 cards x 1 accumulation = 24 images a step" in done.stdout


def test_empty_is_as_it_was(config):
    config.train.micro_batch = ""
    assert micro_batch_size.resolve(config, make_model=None) is config


def test_any_other_value_is_refused(config):
    config.train.micro_batch = "8"
    with pytest.raises(UserError, match="micro_batch is '8', expected one of '', auto"):
        config_validation.validate(config)


def _group(folder, **files):
    folder.mkdir(parents=True)
    for name, text in files.items():
        (folder / name.replace("__", ".")).write_text(str(text))


def test_the_lowest_limit_of_the_groups_above(tmp_path, monkeypatch):
    """Of both kinds of control groups. Files that memory only caches do not count as used."""
    monkeypatch.setattr(free_memory, "_CGROUPS", tmp_path / "sys")
    monkeypatch.setattr(free_memory, "_OF_GROUP", tmp_path / "of")
    assert free_memory._free_of_groups() == float("inf")
    (tmp_path / "of").write_text("4:cpu,memory:/a\n0::/b/c\n")
    assert free_memory._free_of_groups() == float("inf")
    stat = "anon 5\ninactive_file 300\n"
    _group(tmp_path / "sys/b", memory__max=5000, memory__current=1000, memory__stat=stat)
    _group(tmp_path / "sys/b/c", memory__max="max", memory__current=900, memory__stat=stat)
    assert free_memory._free_of_groups() == 4300
    old = "inactive_file 1\ntotal_inactive_file 100\n"
    _group(
        tmp_path / "sys/memory/a",
        memory__limit_in_bytes=4000,
        memory__usage_in_bytes=1000,
        memory__stat=old,
    )
    assert free_memory._free_of_groups() == 3100
    monkeypatch.setattr(free_memory, "memory_figure", lambda path, name: 5000)
    assert free_memory.available() == 3100
    monkeypatch.setenv("PADDLE_LOCAL_SIZE", "2")
    assert free_memory.available() == 1550


def test_the_machine_says_what_is_free():
    assert 2**20 < free_memory.available() < 2**50
