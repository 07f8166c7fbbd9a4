"""The rule at the start of runs with pretrained weights: what it says; it changes nothing."""

from __future__ import annotations

import json
import re

import numpy as np
import paddle
import pytest

import models
from common.safetensors_files import read_safetensors
from configs import default
from engine.commands import dry_run, single_run
from engine.state.run_weights import arrays_of
from engine.survival import start
from program import run_folder

_SAID = "of the pretrained features survives"


@pytest.fixture
def weights(tmp_path):
    """Weights of a nano ViT whose residual branches are as large as its embedding."""
    paddle.seed(0)
    model = models.create("vit_n_8", image_size=16, num_classes=3)
    for block in model.blocks:
        block.mlp.fc2.weight.set_value(block.mlp.fc2.weight * 20)
    path = tmp_path / "weights.safetensors"
    models.write_arrays(path, arrays_of(model), {"format": 1})
    return path


def _config(root, weights, drop_rate=0.6, **fields):
    config = default.get_config()
    config.data.update(name="folder", root=str(root))
    config.model.update(name="vit_n_8", image_size=16, drop_rate=drop_rate)
    config.model.update(pretrained=str(weights), pretrained_head="new")
    config.train.update(steps=3, batch_size=4, checkpoint_every_steps=1, log_every_steps=1)
    config.update_from_flattened_dict(fields)
    return config


def _lines(text):
    return [line for line in text.splitlines() if _SAID in line]


def test_strong_noise_is_warned_of_with_rates_that_keep_more(painted, weights, tmp_path, capsys):
    single_run.train(_config(painted, weights), tmp_path / "run")
    (line,) = _lines(capsys.readouterr().out)
    assert re.match(r"warning: only -?0\.\d\d of the pretrained features", line)
    assert "the noise of model.drop_rate=0.6 " in line
    assert "python -m tools.noise" in line
    rate = float(line.partition("--config.model.drop_rate=")[2].split()[0])
    assert 0 < rate < 0.6
    told = float(line.partition("it is ")[2].split()[0])
    assert told >= 0.9
    # What it advises is what a run with it says.
    single_run.train(_config(painted, weights, rate), tmp_path / "other")
    (line,) = _lines(capsys.readouterr().out)
    assert line.startswith(f"noise: {told:.2f} of the pretrained features survives it")
    assert run_folder.pretrained(tmp_path / "other")["survival"] == pytest.approx(told, abs=0.005)


def test_a_dry_run_says_the_same(painted, weights, tmp_path, capsys):
    config = _config(painted, weights)
    single_run.train(config, tmp_path / "run")
    of_run = _lines(capsys.readouterr().out)
    dry_run.dry_run({"": config})
    assert _lines(capsys.readouterr().out) == of_run


@pytest.mark.parametrize(
    "fields", [{"model.pretrained": ""}, {"model.drop_rate": 0.0, "rdrop.copies": 1}]
)
def test_it_is_silent_from_scratch_and_without_noise(fields, painted, weights, tmp_path, capsys):
    config = _config(painted, weights, **fields)
    single_run.train(config, tmp_path / "run")
    dry_run.dry_run({"": config})
    assert "survives" not in capsys.readouterr().out
    begun = run_folder.pretrained(tmp_path / "run")
    assert begun is None or begun["survival"] == 1


def test_it_is_silent_when_a_run_goes_on(painted, weights, tmp_path, capsys):
    class Stop(single_run.StopRequest):
        def agreed(self):
            return True

    single_run.train(_config(painted, weights), tmp_path / "run", stop=Stop())
    assert _lines(capsys.readouterr().out)
    begun = run_folder.pretrained(tmp_path / "run")
    assert begun["survival"] < 0.5
    single_run.train(_config(painted, weights), tmp_path / "run")
    assert run_folder.pretrained(tmp_path / "run") == begun
    shown = capsys.readouterr().out
    assert "going on from step 1" in shown
    assert "survives" not in shown


@pytest.mark.parametrize(
    "fields",
    [
        {"data.crop": "random_resized"},
        {"model.name": "resnet_18", "model.image_size": 32, "model.pretrained_head": "auto"},
    ],
)
def test_it_changes_no_bit_of_the_run(fields, painted, weights, tmp_path, monkeypatch):
    """Weights, statistics of batch norms and logged values, also where it warns."""
    if "model.name" in fields:
        weights = tmp_path / "resnet.safetensors"
        model = models.create("resnet_18", image_size=32, num_classes=3)
        models.write_arrays(weights, arrays_of(model), {"format": 1})
        fields = {**fields, "model.drop_rate": 0.9}
    config = _config(painted, weights, **fields)
    single_run.train(config, tmp_path / "with")
    monkeypatch.setattr(start, "measure", lambda *arguments: start.Start([], None))
    single_run.train(config, tmp_path / "without")
    found = []
    for name in ("with", "without"):
        folder = tmp_path / name
        records = (folder / "metrics.jsonl").read_text().splitlines()
        values = [(one.get("loss"), one.get("grad_norm")) for one in map(json.loads, records)]
        found.append((values, read_safetensors(folder / "weights.safetensors")[0]))
    (values, arrays), (other_values, other_arrays) = found
    assert values == other_values
    assert arrays.keys() == other_arrays.keys()
    assert all(np.array_equal(arrays[name], other_arrays[name]) for name in arrays)


def test_what_would_take_long_is_left_out(painted, weights, tmp_path, monkeypatch, capsys):
    monkeypatch.setattr(start, "_MOST_ON_CPU", 1e6)
    single_run.train(_config(painted, weights), tmp_path / "run")
    shown = capsys.readouterr().out
    assert "survives was not measured: it would take long" in shown


def test_a_dry_run_reads_no_data_that_is_not_here(weights, tmp_path, capsys):
    config = _config(tmp_path, weights)
    config.data.update(name="cifar10", root="")
    dry_run.dry_run({"": config})
    assert "not measured: a dry run does not read cifar10" in capsys.readouterr().out
    config.data.root = str(tmp_path / "absent")
    dry_run.dry_run({"": config})
    assert "not measured: " in capsys.readouterr().out


def test_digits_of_the_advice():
    assert start._rounded_down(0.01999) == 0.019
    assert start._rounded_down(0.1) == 0.1
    assert start._rounded_down((0.0, 0.30001)) == (0.0, 0.3)
