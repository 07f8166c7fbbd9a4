"""Numbers gone wrong: the run stops at that step and says where it comes from, leaves the step out,
or goes back.
"""

from __future__ import annotations

import json
import os
import signal

import numpy as np
import paddle
import pytest

import data
from common.errors import UserError
from configs import default
from engine.commands import single_run
from engine.plan.run_plan import Plan
from engine.results import metrics_reader, training_curve
from engine.results.training_meter import Meter
from engine.state import checkpoint
from engine.state.averages import EMA, SWA, Averages
from engine.step.objective import LossTerms, Objective
from engine.step.optimizer import Optimizer
from engine.trainer import Trainer
from models.families.vit_layers import Mlp
from program import exits
from program.signals import StopRequest

_NAN = float("nan")


@pytest.fixture
def config(painted, monkeypatch):
    """Dropout, mixup, accumulation, an average and a schedule are all in play."""
    monkeypatch.setattr(training_curve, "draw_curve", lambda folder: None)
    config = default.get_config()
    config.data.update(name="folder", root=str(painted), crop_scale=(0.5, 1.0), mixup_alpha=0.2)
    config.model.update(name="vit_n_8", image_size=16, drop_rate=0.1)
    config.optim.update(lr=3e-3, warmup_steps=2)
    config.average.ema_decay = 0.9
    config.train.update(
        steps=8, batch_size=6, accumulation_steps=2, checkpoint_every_steps=3, log_every_steps=1
    )
    return config


class _Fault:
    """What goes wrong where: `when(step, micro, lr_factor)`, steps counted from 0, in `kind`;
    `seen` are all steps.
    """

    def __init__(self):
        self.when, self.kind, self.active, self.factor, self.seen = (
            lambda *place: False,
            "",
            False,
            1.0,
            [],
        )
        self.logits = []  # of the passes that go wrong


@pytest.fixture
def fault(monkeypatch):
    """Puts numbers that are not finite into the layers, the loss or the gradient of chosen
    micro-batches.
    """
    fault = _Fault()
    prepare, call, forward, train = (
        Objective.prepare,
        Objective.__call__,
        Mlp.forward,
        Trainer.train,
    )

    def prepared(self, batch, step, micro):
        fault.seen.append(step)
        fault.active = bool(fault.when(step, micro, fault.factor))
        return prepare(self, batch, step, micro)

    def called(self, logits, targets, step):
        if fault.active:
            fault.logits.append(logits.numpy())
        if fault.active and fault.kind == "gradient":
            logits.register_hook(lambda gradient: gradient * _NAN)
        terms = call(self, logits, targets, step)
        constant = float("inf") if fault.active and fault.kind == "loss" else 0.0
        return terms._replace(total=terms.total + constant)

    def forwarded(self, x):
        return forward(self, x) * (_NAN if fault.active and fault.kind == "layer" else 1.0)

    def trained(self):
        fault.factor = self.optimizer.lr_factor
        return train(self)

    monkeypatch.setattr(Objective, "prepare", prepared)
    monkeypatch.setattr(Objective, "__call__", called)
    monkeypatch.setattr(Mlp, "forward", forwarded)
    monkeypatch.setattr(Trainer, "train", trained)
    return fault


def _state(folder, step):
    return checkpoint.load(folder / "checkpoints", step)


def _same(one, other) -> bool:
    """Whether two states have the same bits."""
    pairs = [
        (one.model, other.model),
        (one.optimizer, other.optimizer),
        (one.averages, other.averages),
    ]
    return all(
        a.keys() == b.keys() and all((a[key] == b[key]).all() for key in a) for a, b in pairs
    )


def _records(folder):
    timed = ("seconds", "images_per_second")
    text = (folder / "metrics.jsonl").read_text()
    assert "NaN" not in text
    assert "Infinity" not in text
    return [
        {key: value for key, value in record.items() if key not in timed}
        for record in metrics_reader.read_metrics(folder)
    ]


@pytest.mark.parametrize(
    ("kind", "text"),
    [
        ("layer", "blocks.0.mlp is the first layer whose output is not finite"),
        ("loss", "the loss is inf, while the outputs of all layers are finite"),
        (
            "gradient",
            "the gradient of head.bias is not finite, while the loss and the outputs of all layers "
            "are",
        ),
    ],
)
def test_the_run_stops_at_that_step_and_names_the_cause(config, fault, tmp_path, kind, text):
    """No record is due at the step. The images are those of its second micro-batch, in their
    order.
    """
    config.train.update(log_every_steps=100)
    fault.kind, fault.when = kind, lambda step, micro, factor: (step, micro) == (4, 1)
    with pytest.raises(UserError) as error:
        single_run.train(config, tmp_path / "run")
    train_set = data.build(config, "train")
    sampler = data.TrainSampler(train_set, 6, 2, 8, config.seed, start=4)
    keys = list(sampler)[1]
    paths = [train_set.source.name(index) for _, index in keys]
    assert str(error.value).startswith(
        f"step 5: {text}; images: {', '.join(paths[:5])} and 1 more; lower optim.lr"
    )
    assert max(fault.seen) == 4
    first, again = fault.logits
    np.testing.assert_allclose(
        first, again, atol=1e-5
    )  # the same images, with the same noise, by Paddle's operators
    assert checkpoint.all_steps(tmp_path / "run" / "checkpoints") == [3]
    assert all(np.isfinite(array).all() for array in _state(tmp_path / "run", 3).model.values())


def test_a_run_that_stopped_may_go_on_without_the_step(config, fault, tmp_path):
    """As if it had been so from the beginning."""
    fault.kind, fault.when = "layer", lambda step, micro, factor: (step, micro) == (4, 0)
    with pytest.raises(UserError, match="step 5: "):
        single_run.train(config, tmp_path / "run")
    config.train.nonfinite = "skip"
    for name in ("run", "whole"):
        assert single_run.train(config, tmp_path / name) == exits.DONE
    assert _same(_state(tmp_path / "run", 8), _state(tmp_path / "whole", 8))
    assert _records(tmp_path / "run") == _records(tmp_path / "whole")


@pytest.mark.parametrize("kind", ["layer", "loss"])
def test_a_step_is_left_out(config, fault, tmp_path, capsys, kind):
    """Nothing changes but the position in the data; it is told, recorded and counted."""
    config.train.update(nonfinite="skip", checkpoint_every_steps=1, keep_checkpoints=9)
    fault.kind, fault.when = kind, lambda step, micro, factor: (step, micro) == (4, 1)
    folder = tmp_path / "run"
    assert single_run.train(config, folder) == exits.DONE
    assert _same(_state(folder, 4), _state(folder, 5))
    assert not _same(_state(folder, 5), _state(folder, 6))
    records = _records(folder)
    (incident,) = (record for record in records if record["split"] == "nonfinite")
    assert (incident["step"], incident["action"]) == (5, "skip")
    assert f"left out: {incident['text']}" in capsys.readouterr().out
    steps = {record["step"]: record for record in records if record["split"] == "train"}
    assert list(steps) == list(range(1, 9))
    assert [step for step, record in steps.items() if "loss" not in record] == [5]
    result = json.loads((folder / "result.json").read_text())
    assert (result["steps_skipped"], result["rollbacks"], result["images_seen"]) == (1, 0, 8 * 12)


def test_a_step_that_is_left_out_is_not_in_the_mean_of_its_record(config, fault, tmp_path):
    config.train.update(nonfinite="skip", log_every_steps=4, steps=4)
    fault.kind, fault.when = "loss", lambda step, micro, factor: (step, micro) == (1, 0)
    single_run.train(config, tmp_path / "run")
    (record,) = (record for record in _records(tmp_path / "run") if record["split"] == "train")
    assert 0 < record["loss"] < 10


def test_statistics_of_batch_norms_are_as_before_the_step(config, fault, tmp_path, monkeypatch):
    """A forward pass changes them before anybody knows of the step."""
    config.model.update(name="resnet_18", image_size=16)
    config.train.update(nonfinite="skip", steps=2, batch_size=4, checkpoint_every_steps=1)
    config.rdrop.copies, config.optim.name, config.average.ema_decay = 1, "sgd", 0.0
    prepare = Objective.prepare

    def poisoned(self, batch, step, micro):
        images, targets = prepare(self, batch, step, micro)
        return (images * _NAN if (step, micro) == (1, 1) else images), targets

    monkeypatch.setattr(Objective, "prepare", poisoned)
    single_run.train(config, tmp_path / "run")
    assert _same(_state(tmp_path / "run", 1), _state(tmp_path / "run", 2))
    assert "conv1 is the first layer" in _state(tmp_path / "run", 2).progress.incidents[0]["text"]


def test_the_limit_holds_over_a_resume(config, fault, tmp_path, monkeypatch):
    config.train.update(nonfinite="skip", nonfinite_limit=2)
    fault.kind, fault.when = "layer", lambda step, micro, factor: step in (1, 2, 6)
    steps = iter([False] * 4 + [True] + [False] * 9)
    monkeypatch.setattr(StopRequest, "agreed", lambda self: next(steps))
    assert single_run.train(config, tmp_path / "run") == exits.STOPPED
    with pytest.raises(
        UserError, match=r"step 7: .* one more than train.nonfinite_limit=2: lower optim.lr"
    ):
        single_run.train(config, tmp_path / "run")
    config.train.nonfinite_limit = 3
    assert single_run.train(config, tmp_path / "run") == exits.DONE
    assert json.loads((tmp_path / "run" / "result.json").read_text())["steps_skipped"] == 3


class _Killed(Exception):
    """Stands for a kill: nothing is written any more."""


def test_a_rollback_and_a_kill_in_the_middle_of_it(config, fault, tmp_path, capsys):
    """Step 5 fails at the full rate, step 6 at half of it: twice back to step 3. Killed before and
    after step 6.
    """
    config.train.update(nonfinite="rollback")

    def wrong(step, micro, factor):
        return (step, factor) in ((4, 1.0), (5, 0.5)) and micro == 1

    fault.kind, fault.when = "layer", wrong
    assert single_run.train(config, tmp_path / "whole") == exits.DONE
    assert "back to step 3, from there at 0.25 of the rate" in capsys.readouterr().out
    kills = [(4, 0.5), (5, 0.25), (7, 0.25)]

    def killed(step, micro, factor):
        if (step, factor) in kills:
            kills.remove((step, factor))
            raise _Killed
        return wrong(step, micro, factor)

    fault.when = killed
    for _ in range(3):
        with pytest.raises(_Killed):
            single_run.train(config, tmp_path / "cut")
    assert single_run.train(config, tmp_path / "cut") == exits.DONE
    assert _same(_state(tmp_path / "cut", 8), _state(tmp_path / "whole", 8))
    records = _records(tmp_path / "whole")
    assert records == _records(tmp_path / "cut")
    incidents = [record for record in records if record["split"] == "nonfinite"]
    assert [(one["step"], one["action"], one["back_to"]) for one in incidents] == [
        (5, "rollback", 3),
        (6, "rollback", 3),
    ]
    rates = {record["step"]: record["lr"] for record in records if record["split"] == "train"}
    assert list(rates) == list(range(1, 9))
    assert rates[3] == pytest.approx(3e-3)
    assert rates[4] == pytest.approx(
        rates[3] / 4, rel=0.1
    )  # of a schedule that falls slowly at first
    assert json.loads((tmp_path / "cut" / "result.json").read_text())["rollbacks"] == 2


def test_a_signal_in_a_step_that_goes_back(config, fault, tmp_path):
    """It is not forgotten: the run stops behind the first step that follows, and goes on from
    there.
    """
    config.train.update(nonfinite="rollback", steps=6)

    def wrong(step, micro, factor):
        if (step, factor, len(fault.seen)) == (4, 1.0, 9):
            os.kill(os.getpid(), signal.SIGTERM)
        return step == 4 and factor == 1

    fault.kind, fault.when = "layer", wrong
    with StopRequest() as stop:
        assert single_run.train(config, tmp_path / "run", stop=stop) == exits.STOPPED
    assert checkpoint.all_steps(tmp_path / "run" / "checkpoints") == [4, 3]
    assert single_run.train(config, tmp_path / "run") == exits.DONE
    assert fault.factor == 0.5


def test_a_rollback_is_a_run_from_there_at_a_lower_rate(config, fault, tmp_path):
    """Nothing of the steps that went wrong is left: before the first checkpoint it is a run at that
    rate.
    """
    config.train.update(nonfinite="rollback", steps=3, rollback_lr_factor=0.25)
    fault.kind, fault.when = "gradient", lambda step, micro, factor: step == 2 and factor == 1
    single_run.train(config, tmp_path / "back")
    assert metrics_reader.read_metrics(tmp_path / "back")[0]["back_to"] == 0
    fault.when = lambda *place: False
    config.optim.lr = config.optim.lr / 4
    single_run.train(config, tmp_path / "low")
    assert _same(_state(tmp_path / "back", 3), _state(tmp_path / "low", 3))


def test_the_limit_of_rollbacks(config, fault, tmp_path):
    config.train.update(nonfinite="rollback", nonfinite_limit=2)
    fault.kind, fault.when = "layer", lambda step, micro, factor: step == 4
    with pytest.raises(UserError, match=r"step 5: .* one more than train.nonfinite_limit=2"):
        single_run.train(config, tmp_path / "run")
    assert fault.factor == 0.25
    assert checkpoint.all_steps(tmp_path / "run" / "checkpoints") == [3]


@pytest.mark.parametrize("policy", ["stop", "skip", "rollback"])
def test_weights_that_an_update_destroys_are_never_saved(config, tmp_path, monkeypatch, policy):
    """A gradient of finite numbers can do that; with a lower rate it goes well here."""
    update = Optimizer._update

    def destroying(self, lr):
        update(self, lr)
        if self.steps_done == 5 and self.lr_factor == 1:
            self._parameters["norm.weight"].set_value(self._parameters["norm.weight"] / 0)

    monkeypatch.setattr(Optimizer, "_update", destroying)
    config.train.update(nonfinite=policy, steps=6)
    text = "step 6: norm.weight is not finite after the update, though the gradient was"
    if policy == "rollback":
        assert single_run.train(config, tmp_path / "run") == exits.DONE
        assert _state(tmp_path / "run", 6).progress.incidents[0]["text"] == text
        return
    with pytest.raises(UserError, match=f"{text}; lower optim.lr"):
        single_run.train(config, tmp_path / "run")
    assert checkpoint.all_steps(tmp_path / "run" / "checkpoints") == [3]


def test_a_gradient_whose_norm_alone_overflows(config, monkeypatch, tmp_path):
    """Its numbers are finite, the sum of their squares is not."""
    accumulate = Optimizer.accumulate
    monkeypatch.setattr(Optimizer, "accumulate", lambda self, loss: accumulate(self, loss * 1e25))
    with pytest.raises(
        UserError, match="step 1: the gradient's norm is inf, though the loss, all layers and"
    ):
        single_run.train(config, tmp_path / "run")


def test_averages_of_a_step_that_is_left_out():
    """The moving average stays. SWA's first weights come in this step: they are good, and its mean
    needs them.
    """
    layer = paddle.nn.Linear(1, 1)
    average = default.get_config().average
    average.update(ema_decay=0.5, ema_warmup=False, swa_start=0.5, swa_every_steps=1)
    averages = Averages(layer, average, Plan(train_images=8, global_batch=1, steps=8, eval_every=1))
    before = averages.state()
    layer.weight.set_value(layer.weight + 1)
    averages.update(5, stepped=False)
    after = averages.state()
    assert after[f"{EMA}/weight"] == before[f"{EMA}/weight"]
    assert after[f"{SWA}/weight"] == layer.weight.numpy()


def test_positions_name_images_without_files(config):
    """They are those in the data set, whatever is held out of it."""
    config.data.update(name="digits", root="", holdout=0.5)
    train_set = data.build(config, "train")
    positions = [int(train_set.source.name(index)) for index in range(len(train_set))]
    config.data.holdout = 0.0
    whole = data.build(config, "train").source
    for index in (0, 100, len(train_set) - 1):
        assert (train_set.source.images[index] == whole.images[positions[index]]).all()


def test_a_meter_without_micro_batches():
    meter = Meter()
    meter.add(
        LossTerms(paddle.to_tensor(_NAN), {"ce": paddle.to_tensor(_NAN)}),
        paddle.zeros([2, 3]),
        paddle.zeros([2], "int64"),
        skipped=1,
    )
    meter.drop(1)
    assert meter.read() == {"skipped": 1}
