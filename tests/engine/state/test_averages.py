"""EMA, SWA and its rate against numbers in float64; what is evaluated, saved and resumed."""

from __future__ import annotations

import json

import numpy as np
import paddle
import pytest
from conftest import ROOT, launch, run_program
from paddle import nn

from common.errors import UserError
from configs import default
from engine import trainer
from engine.commands import single_run
from engine.plan import resolve_config, run_plan
from engine.results import metrics_reader
from engine.state import checkpoint
from engine.state.averages import EMA, RAW, SWA, Averages, Swa, ema_share
from models import read_arrays
from program import exits
from program.config import config_validation
from program.signals import StopRequest


def _averages(steps=10, images=4, model=None, **fields):
    config = default.get_config().average
    config.update(**fields)
    return Averages(model or nn.Linear(2, 3), config, run_plan.Plan(images, 2, steps, 1))


def _walk(averages, steps):
    """Sets the weights to new random values after each step; returns all of them."""
    rng, history = np.random.default_rng(0), []
    for step in range(1, steps + 1):
        values = rng.normal(size=averages.model.weight.shape).astype("float32")
        averages.model.weight.set_value(values)
        averages.update(step)
        history.append(values.astype(np.float64))
    return history


def test_ema():
    """The sum over steps of each weight's share, in float64."""
    averages = _averages(ema_decay=0.9, ema_warmup=False)
    first = averages.model.weight.numpy().astype(np.float64)
    history = _walk(averages, 7)
    expected = 0.9**7 * first + sum(
        0.1 * 0.9 ** (6 - t) * values for t, values in enumerate(history)
    )
    np.testing.assert_allclose(averages.state()["ema/weight"], expected, rtol=1e-5, atol=1e-6)


def test_the_decay_grows():
    shares = [ema_share(step, 0.99, True) for step in (1, 2, 90, 10_000)]
    np.testing.assert_allclose(shares, [9 / 11, 9 / 12, 9 / 100, 0.01])


def test_swa_is_the_mean_of_what_it_takes():
    averages = _averages(swa_start=0.4, swa_every_steps=2)
    assert averages.names(5) == [RAW]
    history = _walk(averages, 10)
    expected = np.mean([history[step - 1] for step in (6, 8, 10)], axis=0)
    np.testing.assert_allclose(averages.state()["swa/weight"], expected, rtol=1e-5, atol=1e-6)
    assert averages.names(6) == [RAW, SWA]


def test_rates_of_swa():
    """Equation 1 of arXiv:1803.05407: weights are taken at the lowest rate, the end of a cycle."""
    fields = {"swa_start": 0.4, "swa_every_steps": 3, "swa_lr": 0.5}
    assert [_averages(**fields).rate(step) for step in (3, 4, 9)] == [None, 0.5, 0.5]
    cyclic = [_averages(**fields, swa_lowest_lr=0.2).rate(step) for step in range(4, 10)]
    np.testing.assert_allclose(cyclic, [0.4, 0.3, 0.2] * 2)
    assert _averages(swa_start=0.4).rate(9) is None
    assert _averages().rate(9) is None


def test_an_epoch_is_the_default():
    config = default.get_config().average
    config.swa_start = 0.5
    swa = Swa(config, run_plan.Plan(1000, 100, 40, 1))
    assert [step for step in range(1, 41) if swa.share(step)] == [30, 40]


@pytest.mark.parametrize(
    ("fields", "words"),
    [
        ({"swa_start": 0.9, "swa_every_steps": 2}, "average.swa_start=0.9 is step 9 of 10"),
        ({"swa_start": 0.5, "model": nn.BatchNorm2D(3)}, "set average.precise_bn_batches"),
        ({"precise_bn_batches": 5}, "the model has no batch norms that are trained"),
    ],
)
def test_what_can_not_be_averaged(fields, words):
    with pytest.raises(UserError, match=words):
        _averages(**fields)


@pytest.mark.parametrize(
    ("fields", "words"),
    [
        ({"swa_lr": 0.1}, "average.swa_lr has no use"),
        (
            {"swa_start": 0.5, "swa_lr": 0.1, "swa_lowest_lr": 0.1},
            "expected below average.swa_lr=0.1",
        ),
        ({"ema_decay": 1.0}, "average.ema_decay is 1.0, expected 0 to below 1"),
    ],
)
def test_fields(fields, words):
    config = default.get_config()
    config.average.update(**fields)
    with pytest.raises(UserError, match=words):
        config_validation.validate(config)


def test_installed_and_back():
    averages = _averages(ema_decay=0.5, swa_start=0.2, swa_every_steps=1)
    last = _walk(averages, 4)[-1]
    state = averages.state()
    for name, expected in ((RAW, last), (EMA, state["ema/weight"]), (SWA, state["swa/weight"])):
        with averages.installed(name):
            assert (averages.model.weight.numpy() == expected).all()
        assert (averages.model.weight.numpy() == last).all()
    assert averages.names(4) == [RAW, EMA, SWA]


def test_frozen_weights_are_not_kept_twice():
    model = nn.Sequential(nn.Linear(2, 2), nn.Linear(2, 2), nn.BatchNorm1D(2))
    model[0].weight.stop_gradient = True
    names = {key.partition("/")[2] for key in _averages(model=model, ema_decay=0.5).state()}
    assert names == set(model.state_dict()) - {"0.weight"}
    assert {"2._mean", "2._variance"} < names


def test_a_state_of_others_is_refused():
    state = _averages(ema_decay=0.5).state()
    with pytest.raises(UserError, match="bias differs"):
        _averages(model=nn.Linear(2, 4), ema_decay=0.5).load_state(state)
    with pytest.raises(UserError, match="differs"):
        _averages().load_state(state)


@pytest.fixture
def config(painted):
    config = default.get_config()
    config.data.update(name="folder", root=str(painted), holdout=0.2, crop_scale=(0.5, 1.0))
    config.model.update(name="vit_n_8", image_size=16, drop_rate=0.1)
    config.optim.update(lr=3e-3, warmup_steps=3)
    config.average.update(
        ema_decay=0.9, swa_start=0.5, swa_every_steps=2, swa_lr=1e-3, swa_lowest_lr=1e-4
    )
    config.train.update(steps=16, batch_size=12, log_every_steps=1)
    config.eval.every_steps = 4
    return config


def test_a_stopped_run_has_the_same_averages(config, tmp_path, monkeypatch):
    single_run.train(config, tmp_path / "whole")
    steps = iter([False] * 10 + [True] + [False] * 99)
    monkeypatch.setattr(StopRequest, "agreed", lambda self: next(steps))
    assert single_run.train(config, tmp_path / "cut") == exits.STOPPED
    assert single_run.train(config, tmp_path / "cut") == exits.DONE
    results = [
        json.loads((tmp_path / name / "result.json").read_text()) for name in ("whole", "cut")
    ]
    for name in ("weights_of", "beside", "top1", "weights_sha256"):
        assert results[0][name] == results[1][name], name
    records = [r for r in metrics_reader.read_metrics(tmp_path / "cut") if r["split"] == "train"]
    np.testing.assert_allclose([record["lr"] for record in records[8:]], [5.5e-4, 1e-4] * 4)


def test_the_result_says_what_it_is_of(config, tmp_path, capsys):
    """Without held-out images it is the last average. Each accuracy is that of its file."""
    config.data.holdout = 0.0
    single_run.train(config, tmp_path)
    outcome = json.loads((tmp_path / "result.json").read_text())
    assert outcome["weights_of"] == SWA
    assert list(outcome["beside"]) == [RAW, EMA]
    assert "EMA" in capsys.readouterr().out.upper()
    files = [outcome["weights"], *(other["weights"] for other in outcome["beside"].values())]
    heads = [read_arrays(tmp_path / name)[0]["head.weight"] for name in files]
    assert all((heads[i] != heads[j]).any() for i in range(3) for j in range(i))


def test_the_best_of_all_is_chosen(config, tmp_path):
    single_run.train(config, tmp_path)
    outcome = json.loads((tmp_path / "result.json").read_text())
    found = {}
    for record in metrics_reader.read_metrics(tmp_path):
        if record["split"].startswith("val"):
            found[record["step"], record["split"].partition("_")[2] or RAW] = record["top1"]
    assert {name for _, name in found} == {RAW, EMA, SWA}
    best = max(found.values())
    assert outcome["best_top1"] == best
    assert found[outcome["step"], outcome["weights_of"]] == best


def test_an_average_of_an_earlier_step_may_be_the_best(config, tmp_path, monkeypatch):
    """EMA was best at the second of four validations: the result is that average as it was then."""
    evaluate, calls = trainer.evaluate, []

    def told(model, dataset, config, **named):
        calls.append(1)
        result = evaluate(model, dataset, config, **named)
        best = len(calls) == 4  # raw and EMA at step 4, raw and EMA at step 8
        return result._replace(top1=0.99 if best else 0.1)

    monkeypatch.setattr(trainer, "evaluate", told)
    single_run.train(config, tmp_path)
    outcome = json.loads((tmp_path / "result.json").read_text())
    assert (outcome["weights_of"], outcome["step"], outcome["best_top1"]) == (EMA, 8, 0.99)
    then = checkpoint.load(tmp_path / "checkpoints", 8)
    found = read_arrays(tmp_path / "weights.safetensors")[0]
    assert all(
        (found[key.partition("/")[2]] == value).all()
        for key, value in then.averages.items()
        if key[0] == "e"
    )
    raw = read_arrays(tmp_path / "weights_raw.safetensors")[0]
    assert all((raw[name] == value).all() for name, value in then.model.items())


@pytest.mark.slow
def test_two_processes(painted, tmp_path):
    """The averages are those of one process with accumulation."""
    words = [
        "main.py",
        f"--config={ROOT / 'configs' / 'folder_small.py'}",
        f"--config.data.root={painted}",
    ]
    fields = (
        "model.name=vit_n_8",
        "model.image_size=16",
        "train.steps=6",
        "train.epochs=0.0",
        "train.batch_size=6",
    )
    fields += (
        "average.ema_decay=0.9",
        "average.swa_start=0.4",
        "average.swa_every_steps=2",
        "data.holdout=0.0",
    )
    words += [f"--config.{field}" for field in fields]
    one = run_program(
        *words, "--config.train.accumulation_steps=2", f"--workdir={tmp_path / 'one'}"
    )
    assert one.returncode == 0, one.stderr
    two = launch(2, tmp_path / "log", *words, f"--workdir={tmp_path / 'two'}")
    assert two.returncode == 0, two.stderr
    for name in ("weights", "weights_ema", "weights_raw"):
        mine, theirs = (
            read_arrays(tmp_path / run / f"{name}.safetensors")[0] for run in ("one", "two")
        )
        for key, value in mine.items():
            np.testing.assert_allclose(theirs[key], value, rtol=1e-4, atol=1e-5)


def test_linear_scaling_is_for_the_rates_of_swa_too(config):
    config.optim.update(scale_lr=True, final_lr=1e-5)
    config.train.reference_batch_size = 48
    scaled = resolve_config.with_rate(config, 12)
    rates = (
        scaled.optim.lr,
        scaled.optim.final_lr,
        scaled.average.swa_lr,
        scaled.average.swa_lowest_lr,
    )
    np.testing.assert_allclose(rates, (7.5e-4, 2.5e-6, 2.5e-4, 2.5e-5))


def test_nothing_is_averaged_by_default():
    averages = _averages()
    averages.update(1)
    assert averages.state() == {}
    assert averages.names(9) == [RAW]
    assert paddle.is_tensor(averages.model.weight)
