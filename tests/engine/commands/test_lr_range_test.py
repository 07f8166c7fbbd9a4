"""The range test: its curve, what is read off it, and that training agrees with it."""

from __future__ import annotations

import json
import math

import numpy as np
import pytest
from conftest import ROOT

from common.errors import UserError
from configs import default
from engine.commands import lr_curve, lr_range_test, single_run
from engine.commands.lr_curve import Curve
from engine.results import metrics_reader
from program.config import config_files

_RATES = lr_curve.growing_rates(1e-6, 1.0, 121)  # 20 a decade


def _curve(shape) -> Curve:
    losses = [shape(math.log10(rate)) for rate in _RATES]
    return Curve(_RATES, losses, losses)


def _valley(x: float) -> float:
    """Falls fastest at 10^-3, is lowest at 10^-1, and rises after it."""
    return 2 - math.tanh(2 * (x + 3)) + 30 * max(x + 1, 0) ** 2


def test_rates_grow_by_equal_ratios():
    assert _RATES[0] == 1e-6
    assert _RATES[-1] == pytest.approx(1.0)
    np.testing.assert_allclose(np.diff(np.log10(_RATES)), 0.05, rtol=1e-9)


def test_average_is_corrected_for_its_start():
    losses = iter([3.0, 1.0, 2.0])
    curve = lr_curve.range_test([0.1, 0.2, 0.3], lambda rate: next(losses))
    assert (curve.rates, curve.losses) == ([0.1, 0.2, 0.3], [3.0, 1.0, 2.0])
    expected = [3.0, (0.9 * 3 + 1) / 1.9, (0.81 * 3 + 0.9 * 1 + 2) / 2.71]
    np.testing.assert_allclose(curve.smoothed, expected, rtol=1e-12)


def test_it_stops_where_the_loss_gets_away():
    curve = lr_curve.range_test(_RATES, lambda rate: 1.0 if rate < 0.0095 else 100.0)
    assert len(curve.rates) == 81  # the first at 0.01: an average of 1 + 0.1 x 99
    assert curve.smoothed[-1] > 4 * min(curve.smoothed)
    curve = lr_curve.range_test(_RATES, lambda rate: 1.0 if rate < 0.0095 else float("nan"))
    assert len(curve.rates) == 80
    assert all(map(math.isfinite, curve.losses))
    assert len(lr_curve.range_test(_RATES, lambda rate: 1.0 if rate < 0.0095 else 3.9).rates) == 121


def test_steepest_and_lowest_are_exact():
    found = lr_curve.suggest(_curve(_valley), stopped_early=True)
    assert found.steepest == pytest.approx(1e-3)
    assert found.tenth_of_lowest == pytest.approx(1e-2)
    assert found.lr == found.steepest
    assert found.cautions == []
    for reference, end in (
        (0, "=0.001"),
        (8, "=0.001"),
        (512, "=0.001 --config.train.reference_batch_size=8"),
    ):
        assert lr_curve.describe(_curve(_valley), found, 121, 8, reference)[-1].endswith(
            f"optim.lr{end}"
        )
    nearer = lr_curve.suggest(
        _curve(lambda x: _valley(x - 0.5 if x < -2 else x + 1.2)), stopped_early=True
    )
    assert nearer.lr == nearer.tenth_of_lowest < nearer.steepest


@pytest.mark.parametrize(
    ("shape", "caution", "answers"),
    [
        (lambda x: 2 - 0.2 * x, "never got away", True),
        (lambda x: _valley(x) if x < -1 else _valley(-1) + 0.9, "never got away", True),
        (lambda x: 2 + 0.1 * x, "lowest at the start", False),
        (lambda x: 2 + 0.3 * math.sin(900 * x) + 0.01 * (x + 1) ** 2, "no more than its", False),
        # The next one is too high from its first step.
        (lambda x: 2.0 if x < -5.9 else 3 - 0.1 * x, "lowest at the start", False),
    ],
)
def test_a_curve_without_an_answer(shape, caution, answers):
    found = lr_curve.suggest(_curve(shape), stopped_early=False)
    assert any(caution in text for text in found.cautions)
    assert (found.lr is not None) == answers
    text = "\n".join(lr_curve.describe(_curve(shape), found, 121, 8))
    assert ("--config.optim.lr=" in text) == answers
    assert f"caution: {found.cautions[0]}" in text


def test_a_loss_that_comes_back_has_got_away():
    """Cross-entropy that returns to that of chance need not reach four times its best."""
    curve = _curve(lambda x: _valley(x) if x < -1 else _valley(-1) + 1.1)
    assert lr_curve.suggest(curve, stopped_early=False).cautions == []


def test_a_fall_after_the_minimum_is_not_the_steepest():
    found = lr_curve.suggest(
        _curve(lambda x: _valley(x) + (30 if -0.6 < x < -0.3 else 0)), stopped_early=True
    )
    assert found.steepest == pytest.approx(1e-3)


def test_too_few_points():
    with pytest.raises(
        UserError, match="got away after 3 steps, at a rate of 3: set --lowest lower"
    ):
        lr_curve.suggest(Curve([1.0, 2.0, 3.0], [1.0] * 3, [1.0] * 3), stopped_early=True)


@pytest.fixture
def config(painted):
    config = default.get_config()
    config.data.update(name="folder", root=str(painted), crop_scale=(0.5, 1.0))
    config.model.update(name="vit_n_8", image_size=16, drop_rate=0.1)
    config.optim.update(clip_norm=1.0, schedule="constant", warmup_steps=500)  # neither is used
    config.train.update(steps=3, batch_size=6, accumulation_steps=2, log_every_steps=5)
    return config


def test_training_agrees(tmp_path):
    """On the digits: at the suggestion it learns; at 30 times that it does not."""
    config = config_files.load_file(str(ROOT / "configs" / "digits_10_labels_rdrop.py"))
    config.data.holdout = 0.0
    config.rdrop.copies = 1  # half the time
    config.optim.update(schedule="constant", warmup_steps=10)
    config.train.update(reference_batch_size=0, log_every_steps=20)
    folder = tmp_path / "found"
    text = "\n".join(lr_range_test.find(config, lr_curve.growing_rates(1e-5, 1.0, 80), folder))
    found = json.loads((folder / lr_range_test.JSON).read_text())
    assert sorted(path.name for path in folder.iterdir()) == ["lr_find.json", "lr_find.png"]
    assert (folder / lr_range_test.PICTURE).read_bytes().startswith(b"\x89PNG")
    assert len(found["rates"]) == len(found["losses"]) == len(found["smoothed"]) <= 80
    assert (found["global_batch"], found["config"]["model"]["num_classes"]) == (50, 10)
    assert 3e-4 < found["suggestion"] < 2e-2  # 8e-3 was chosen by a sweep
    assert found["suggestion"] == min(found["steepest"], found["tenth_of_lowest"])
    assert f"--config.optim.lr={found['suggestion']:.2g}" in text
    losses = {}
    for times, steps in ((1, 80), (30, 40)):
        config.optim.lr, config.train.steps = times * found["suggestion"], steps
        single_run.train(config, tmp_path / f"at_{times}")
        records = metrics_reader.read_metrics(tmp_path / f"at_{times}")
        losses[times] = [record["ce"] for record in records if record["split"] == "train"][-1]
    assert losses[1] < 0.8 * math.log(10)
    assert losses[30] > 0.9 * math.log(10)


def test_the_rate_is_the_tests_and_the_step_the_configs(config, tmp_path, monkeypatch):
    from engine.step.optimizer import Optimizer

    used, step = [], Optimizer.step
    monkeypatch.setattr(
        Optimizer, "step", lambda self, lr=None: used.append((lr, step(self, lr))) or used[-1][1]
    )
    rates = lr_curve.growing_rates(1e-5, 1e-3, 20)
    lr_range_test.find(config, rates, tmp_path)
    assert used == [(rate, rate) for rate in rates]  # not the warm-up's; one for two micro-batches


def test_the_folder_of_a_run_is_left_alone(config, tmp_path):
    (tmp_path / "config.json").write_text("{}")
    with pytest.raises(UserError, match="--output: .* is the folder of a run"):
        lr_range_test.find(config, _RATES, tmp_path)
    (tmp_path / "file").write_text("")
    with pytest.raises(UserError, match="--output: .*can't be written"):
        lr_range_test.find(config, _RATES, tmp_path / "file")
    assert sorted(path.name for path in tmp_path.iterdir()) == ["config.json", "file", "painted"]
