"""Training on generated images: it learns, it goes on with the same bits, and it refuses what can't
work.
"""

from __future__ import annotations

import json

import numpy as np
import pytest

from common.errors import UserError
from common.safetensors_files import read_safetensors
from configs import default
from engine import finish, trainer
from engine.commands import dry_run, single_run
from engine.plan import resolve_config, run_plan, start_lines
from engine.results import metrics_reader
from engine.state import checkpoint
from engine.watch.diagnosis import Diagnosis
from program import exits
from program.config import config_validation
from program.signals import StopRequest


@pytest.fixture
def config(painted):
    """Three classes of coloured noise; dropout, accumulation, validation and a schedule are all in
    play.
    """
    config = default.get_config()
    config.data.update(name="folder", root=str(painted), holdout=0.2, crop_scale=(0.5, 1.0))
    config.model.update(name="vit_n_8", image_size=16, drop_rate=0.1)
    config.optim.update(lr=3e-3, warmup_steps=3, clip_norm=1.0, weight_decay=0.05)
    config.train.update(
        steps=16, batch_size=6, accumulation_steps=2, log_every_steps=1, checkpoint_every_steps=5
    )
    config.eval.every_steps = 4
    return config


def _outcome(folder):
    arrays, metadata = read_safetensors(folder / "weights.safetensors")
    records = [
        {k: v for k, v in r.items() if k not in ("seconds", "images_per_second")}
        for r in metrics_reader.read_metrics(folder)
    ]
    return arrays, records, json.loads(metadata["rdrop"])["classes"]


def test_a_run_and_its_folder(config, tmp_path, capsys):
    config.train.steps = 60
    folder = tmp_path / "run"
    assert single_run.train(config, folder) == exits.DONE
    result = json.loads((folder / "result.json").read_text())
    assert result["top1"] > 0.8  # by chance: 0.33
    assert result["images_seen"] == 60 * 12
    assert {
        "top5",
        "loss",
        "ece",
        "best_top1",
        "step",
        "seconds",
        "weights_sha256",
    } <= result.keys()
    for name in (
        "config.json",
        "environment.json",
        "metrics.jsonl",
        "curve.png",
        "vdlrecords.main.log",
        result["weights"],
    ):
        assert (folder / name).is_file(), name
    assert len(list((folder / "checkpoints").iterdir())) <= 3
    train = [record for record in metrics_reader.read_metrics(folder) if record["split"] == "train"]
    assert train[-1]["ce"] < 0.7 * train[0]["ce"]
    assert all(record["kl"] > 0 for record in train)
    assert single_run.train(config, folder) == exits.DONE
    assert "finished run" in capsys.readouterr().out


@pytest.mark.parametrize("workers", [0, 1])
def test_a_stopped_run_goes_on_with_the_same_bits(config, tmp_path, monkeypatch, workers):
    config.data.workers = workers
    single_run.train(config, tmp_path / "whole")
    steps = iter([False] * 6 + [True] + [False] * 99)
    monkeypatch.setattr(StopRequest, "agreed", lambda self: next(steps))
    assert single_run.train(config, tmp_path / "cut") == exits.STOPPED
    assert metrics_reader.read_metrics(tmp_path / "cut")[-1]["step"] == 7
    assert single_run.train(config, tmp_path / "cut") == exits.DONE
    whole, cut = _outcome(tmp_path / "whole"), _outcome(tmp_path / "cut")
    assert whole[1:] == cut[1:]
    for name, value in whole[0].items():
        assert (cut[0][name] == value).all(), name


@pytest.mark.parametrize(("batch", "accumulation"), [(6, 2), (3, 4), (4, 3)])
def test_any_accumulation_gives_the_same_weights_to_rounding(config, tmp_path, batch, accumulation):
    """Order, augmentation and dropout are those of the global batch."""
    config.train.update(steps=3, batch_size=12, accumulation_steps=1)
    config.optim.update(name="momentum", warmup_steps=0)
    config.eval.every_steps = 100
    single_run.train(config, tmp_path / "whole")
    config.train.update(batch_size=batch, accumulation_steps=accumulation)
    single_run.train(config, tmp_path / "split")
    whole, split = _outcome(tmp_path / "whole"), _outcome(tmp_path / "split")
    for name, value in whole[0].items():
        np.testing.assert_allclose(split[0][name], value, atol=1e-6, err_msg=name)


def test_another_seed_gives_other_weights(config, tmp_path):
    config.train.steps = 2
    single_run.train(config, tmp_path / "a")
    config.seed = 1
    single_run.train(config, tmp_path / "b")
    a, b = _outcome(tmp_path / "a"), _outcome(tmp_path / "b")
    assert (a[0]["head.weight"] != b[0]["head.weight"]).any()


def test_another_config_needs_another_folder(config, tmp_path):
    config.train.steps = 1
    single_run.train(config, tmp_path / "run")
    config.optim.lr = 1.0
    with pytest.raises(UserError, match=r"optim.lr = 0.003, not 1.0; give another --workdir"):
        single_run.train(config, tmp_path / "run")
    (tmp_path / "run" / "mine.txt").write_text("kept")
    assert single_run.train(config, tmp_path / "run", overwrite=True) == exits.DONE
    assert (tmp_path / "run" / "mine.txt").is_file()


def test_a_loss_that_is_no_number_stops_the_run(config, tmp_path):
    config.optim.update(name="sgd", lr=1e30, warmup_steps=0, clip_norm=0.0)
    with pytest.raises(
        UserError,
        match=r"step 2: \S+ is the first layer whose output is not finite; .*lower optim.lr",
    ):
        single_run.train(config, tmp_path / "run")
    assert all(np.isfinite(r.get("loss", 0)) for r in metrics_reader.read_metrics(tmp_path / "run"))
    for step in checkpoint.all_steps(tmp_path / "run" / "checkpoints"):
        arrays = checkpoint.load(tmp_path / "run" / "checkpoints", step).model
        assert all(np.isfinite(array).all() for array in arrays.values())


def test_another_global_batch_is_refused_and_another_split_is_not(config, tmp_path, monkeypatch):
    steps = iter([False] * 3 + [True] + [False] * 99)
    monkeypatch.setattr(StopRequest, "agreed", lambda self: next(steps))
    assert single_run.train(config, tmp_path / "run") == exits.STOPPED
    config.train.accumulation_steps = 1
    with pytest.raises(
        UserError, match="had a global batch of 12, with this number of cards it is 6"
    ):
        single_run.train(config, tmp_path / "run")
    config.train.batch_size = 12
    assert single_run.train(config, tmp_path / "run") == exits.DONE


def test_overwrite_leaves_other_folders_alone(config, tmp_path):
    (tmp_path / "mine" / "checkpoints").mkdir(parents=True)
    with pytest.raises(UserError, match="is not the folder of a run"):
        single_run.train(config, tmp_path / "mine", overwrite=True)
    assert (tmp_path / "mine" / "checkpoints").is_dir()


def test_damaged_images_are_counted(config, painted, tmp_path):
    config.data.update(on_corrupt="skip", holdout=0.0)
    config.train.steps = 6  # 72 images: two epochs of 36
    (painted / "train" / "class_1" / "003.png").write_bytes(b"broken")
    (painted / "test" / "class_1" / "003.png").write_bytes(b"broken")
    single_run.train(config, tmp_path / "run")
    assert json.loads((tmp_path / "run" / "result.json").read_text())["images_skipped"] == 2 + 1


def test_what_is_refused_leaves_the_folder_as_it_is(config, tmp_path):
    """A first mistake does not claim a folder, a later one does not clear it."""
    config.train.steps = 1
    folder = tmp_path / "run"
    config.rdrop.temperature = 0.0
    with pytest.raises(UserError, match="temperature is 0.0"):
        single_run.train(config, folder)
    assert not folder.exists()
    config.rdrop.temperature = 1.0
    assert single_run.train(config, folder) == exits.DONE
    before = sorted(path.name for path in folder.rglob("*"))
    config.model.drop_rate = 0.0
    with pytest.raises(UserError, match="every drop rate of the model is 0"):
        single_run.train(config, folder, overwrite=True)
    assert sorted(path.name for path in folder.rglob("*")) == before


def test_another_micro_batch_is_refused_where_it_is_another_objective(
    config, tmp_path, monkeypatch
):
    config.rdrop.preset = "official_code"
    steps = iter([False, True])
    monkeypatch.setattr(StopRequest, "agreed", lambda self: next(steps))
    assert single_run.train(config, tmp_path / "run") == exits.STOPPED
    config.train.update(batch_size=12, accumulation_steps=1)
    with pytest.raises(UserError, match="had train.batch_size=6, now it is 12"):
        single_run.train(config, tmp_path / "run")


def test_rdrop_without_noise_is_refused(config, tmp_path):
    config.model.drop_rate = 0.0
    with pytest.raises(UserError, match="every drop rate of the model is 0"):
        single_run.train(config, tmp_path / "run")
    config.rdrop.copies = 1
    config.train.steps = 1
    assert single_run.train(config, tmp_path / "plain") == exits.DONE


def test_a_run_killed_before_its_result_only_finishes(config, tmp_path, monkeypatch):
    config.train.steps = 3
    with monkeypatch.context() as patch:
        patch.setattr(single_run, "finish", lambda trainer: 1 / 0)
        with pytest.raises(ZeroDivisionError):
            single_run.train(config, tmp_path / "run")
    assert single_run.train(config, tmp_path / "run") == exits.DONE
    steps = [
        r["step"] for r in metrics_reader.read_metrics(tmp_path / "run") if r["split"] == "train"
    ]
    assert steps == [1, 2, 3]


def test_plan_arithmetic_and_warnings(config):
    config = resolve_config.with_classes(resolve_config.with_input(config), 3)
    config.unlock()
    config.train.update(steps=0, epochs=2.5, reference_batch_size=24)
    arithmetic = run_plan.make(config, 100)
    assert arithmetic[1:3] == (12, 21)  # 2.5 x 100 / 12, rounded
    text = "\n".join(start_lines.describe(config, arithmetic))
    assert "6 images a card x 1 card x 2 accumulation = 12 images a step" in text
    assert "--config.optim.lr=0.0015" in "".join(Diagnosis(config, arithmetic).start())
    config.rdrop.update(preset="official_code", alpha=0.3)
    assert (
        "per-sample alpha 1.8 (the paper's alpha 3.6, the official code's 0.3 at"
        in start_lines.describe(config, arithmetic)[2]
    )
    with pytest.raises(UserError, match="num_classes is 3"):
        resolve_config.with_classes(config, 4)
    config_validation.validate(config)


def test_a_scaled_rate_is_the_optimisers_alone(config, tmp_path, monkeypatch, capsys):
    """Twice the batch, twice the rate; the folder keeps what the user wrote, so the same command
    goes on.
    """
    config.optim.update(scale_lr=True, schedule="linear", warmup_steps=0, final_lr=1e-3, lr=3e-3)
    config.train.update(reference_batch_size=6, steps=4)
    steps = iter([False, True, *[False] * 9])
    monkeypatch.setattr(StopRequest, "agreed", lambda self: next(steps))
    assert single_run.train(config, tmp_path / "run") == exits.STOPPED
    assert single_run.train(config, tmp_path / "run") == exits.DONE
    rates = [
        record["lr"]
        for record in metrics_reader.read_metrics(tmp_path / "run")
        if record["split"] == "train"
    ]
    assert rates == pytest.approx([6e-3, 5e-3, 4e-3, 3e-3])
    assert json.loads((tmp_path / "run" / "config.json").read_text())["optim"]["lr"] == 3e-3
    text = capsys.readouterr().out
    assert "learning rate: 0.003 x 12 / 6 images = 0.006" in text
    assert "warning: optim.lr" not in text


@pytest.mark.parametrize("damage", ["flip", "gone"])
def test_the_last_weights_stand_in_for_the_best_that_are_lost(
    config, tmp_path, monkeypatch, capsys, damage
):
    """The first of two validations was the better one; its state is damaged when the result is made
    of it.
    """
    config.train.update(steps=8, checkpoint_every_steps=8)
    evaluate, finished, scores = trainer.evaluate, finish.finish, iter([0.9, 0.1])

    def told(*arguments, **named):
        result = evaluate(*arguments, **named)
        return result._replace(top1=next(scores, result.top1))

    def damaged(trainer):
        path = trainer.folder / "checkpoints" / "step_00000004" / "model.safetensors"
        content = path.read_bytes()
        path.unlink()
        if damage == "flip":
            path.write_bytes(content[:-1] + bytes([content[-1] ^ 1]))
        return finished(trainer)

    monkeypatch.setattr(trainer, "evaluate", told)
    monkeypatch.setattr(single_run, "finish", damaged)
    folder = tmp_path / "run"
    assert single_run.train(config, folder) == exits.DONE
    reason = "differs from its checksum" if damage == "flip" else "model.safetensors is missing"
    (line,) = (
        line
        for line in capsys.readouterr().out.splitlines()
        if line.startswith("warning: the best weights")
    )
    assert line.startswith("warning: the best weights, of step 4, are lost, the last are used: ")
    assert reason in line
    result = json.loads((folder / "result.json").read_text())
    assert (result["step"], result["best_top1"]) == (8, None)
    last, written = checkpoint.load(folder / "checkpoints", 8).model, _outcome(folder)[0]
    assert all((written[name] == value).all() for name, value in last.items())


def test_a_run_of_a_frozen_part(config, tmp_path, capsys):
    """Stopped and gone on with; only the head and the norm in front of it change, only they have
    moments.
    """
    config.model.trainable = "head_and_norm"
    config.train.update(
        steps=4, checkpoint_every_steps=1, keep_checkpoints=4, recompute=True, amp="O1"
    )
    config.optim.update(name="lamb", schedule="multi_step", milestones=(3,), warmup_steps=0)
    single_run.train(config, tmp_path / "run")
    text = capsys.readouterr().out
    assert "trained: 243 of them (head and norm)" in text
    assert "precision: float32, since train.amp=O1 has no effect on a CPU; bf16 has" in text
    first, last = (checkpoint.load(tmp_path / "run" / "checkpoints", step) for step in (1, 4))
    changed = {name for name, value in first.model.items() if (last.model[name] != value).any()}
    assert changed == {"head.weight", "head.bias", "norm.weight", "norm.bias"}
    assert {key.partition("/")[0] for key in last.optimizer} == changed


def test_milestones_behind_the_end(config, tmp_path):
    config.optim.update(schedule="multi_step", milestones=(10, 16))
    with pytest.raises(UserError, match=r"milestones is \(10, 16\), but the run has 16 steps"):
        single_run.train(config, tmp_path / "run")


def test_recompute_needs_blocks(config, tmp_path):
    config.model.update(name="resnet_18", image_size=32)
    config.train.recompute = True
    with pytest.raises(UserError, match="recompute needs a model that is made of blocks"):
        single_run.train(config, tmp_path / "run")


def test_dry_run_takes_one_step(config, capsys):
    assert dry_run.dry_run({"": config}) == exits.DONE
    text = capsys.readouterr().out
    for part in (
        "parameters:",
        "multiply-adds:",
        "memory a process",
        "a GPU of",
        "one step on 2 made-up images",
    ):
        assert part in text
    assert np.isfinite(float(text.rsplit("kl ", 1)[1]))
