"""The loss scale, which needs no GPU; and that a CPU says that it has no half precision."""

from __future__ import annotations

import contextlib

import numpy as np
import paddle
import pytest

import models
from common.errors import UserError
from configs import default
from engine.commands import single_run
from engine.results import metrics_reader
from engine.state import checkpoint
from engine.step import mixed_precision
from engine.step.mixed_precision import LossScaler
from engine.step.optimizer import Optimizer
from models.layers import in_bfloat16, plain
from program import exits
from program.signals import StopRequest


def _layer() -> paddle.nn.Layer:
    layer = paddle.nn.Linear(3, 2)
    layer.set_state_dict(
        {"weight": np.arange(6, dtype="float32").reshape(3, 2), "bias": np.ones(2, "float32")}
    )
    return layer


def _optimizer(layer, scaler, accumulation: int = 1, **fields) -> Optimizer:
    config = default.get_config().optim
    config.update(lr=0.1, schedule="constant", **fields)
    return Optimizer(layer, config, 100, accumulation, scaler)


def _steps(optimizer, layer, factors) -> None:
    for number, factor in enumerate(factors, start=1):
        optimizer.accumulate((layer(paddle.ones([4, 3])) * factor).square().mean())
        if number % optimizer.accumulation_steps == 0:
            optimizer.step()


def test_the_scale_halves_and_doubles(monkeypatch):
    monkeypatch.setattr(mixed_precision, "_GOOD_STEPS", 3)
    scaler = LossScaler(8.0)
    taken = [
        scaler.update(finite) for finite in (True, True, False, True, True, True, False, False)
    ]
    assert taken == [True, True, False, True, True, True, False, False]
    # 8, halved to 4, doubled to 8 after three, halved twice
    assert scaler.state().tolist() == [2.0, 0.0, 3.0, 2.0]


def test_the_scale_doubles_after_2000_steps():
    scaler = LossScaler(1.0)
    for _ in range(1999):
        scaler.update(True)
    assert scaler.scale == 1.0
    scaler.update(True)
    assert scaler.scale == 2.0


def test_twenty_skipped_steps_in_a_row_are_too_many():
    scaler = LossScaler(65536.0)
    for _ in range(19):
        assert not scaler.update(False)
    assert scaler.scale == 1.0
    assert scaler.update(True)
    for _ in range(19):
        scaler.update(False)
    with pytest.raises(UserError, match="no number in 20 steps in a row"):
        scaler.update(False)


@pytest.mark.parametrize("name", ["adamw", "momentum", "lamb"])
def test_a_scale_changes_nothing(name):
    """With a power of two the bits are the same: clipping and the norm see unscaled gradients."""
    found = []
    for scaler in (None, LossScaler(65536.0)):
        layer = _layer()
        optimizer = _optimizer(
            layer, scaler, accumulation=2, name=name, clip_norm=0.5, weight_decay=0.1
        )
        _steps(optimizer, layer, [1.0, 0.5, 0.1, 2.0])
        assert optimizer.grad_norm > 0.5
        found.append(
            (
                *(parameter.numpy().tolist() for parameter in layer.parameters()),
                optimizer.grad_norm,
            )
        )
    assert found[0] == found[1]


def test_the_loss_is_scaled_before_the_backward_pass():
    layer = _layer()
    optimizer = _optimizer(layer, LossScaler(1024.0), accumulation=2)
    optimizer.accumulate(layer(paddle.ones([1, 3])).sum())
    assert layer.bias.grad.numpy().tolist() == [512.0, 512.0]


def test_a_step_without_a_finite_gradient_is_skipped_and_counted():
    layer = _layer()
    optimizer = _optimizer(layer, LossScaler(4.0), name="adamw")
    _steps(optimizer, layer, [1.0])
    before, state = layer.weight.numpy(), optimizer.state()
    _steps(optimizer, layer, [float("inf")])
    assert (layer.weight.numpy() == before).all()
    after = optimizer.state()
    assert all(
        (after[key] == value).all() for key, value in state.items() if key != "loss_scale/state"
    )
    assert optimizer.steps_done == 2
    assert optimizer.skipped
    assert optimizer.metrics() == {"loss_scale": 2.0, "skipped_steps": 1}
    _steps(optimizer, layer, [1.0])
    assert not optimizer.skipped
    assert (layer.weight.numpy() != before).all()
    assert optimizer.metrics().keys() == {"grad_norm", "loss_scale", "skipped_steps"}


def test_the_state_goes_through_a_resume():
    layer, other = _layer(), _layer()
    first = _optimizer(layer, LossScaler(4.0))
    _steps(first, layer, [1.0, float("nan"), 1.0, 1.0])
    resumed = _optimizer(other, LossScaler(65536.0))
    other.set_state_dict({key: value.numpy() for key, value in layer.state_dict().items()})
    resumed.load_state(first.state(), first.steps_done)
    assert resumed.scaler.state().tolist() == [2.0, 2.0, 1.0, 0.0]
    for optimizer, target in ((first, layer), (resumed, other)):
        _steps(optimizer, target, [float("inf"), 1.0])
    assert all(
        (a.numpy() == b.numpy()).all() for a, b in zip(layer.parameters(), other.parameters())
    )


def _gpu(monkeypatch) -> list[dict]:
    """As if there were a GPU; returns the list of what autocast is asked for."""
    asked = []

    @contextlib.contextmanager
    def auto_cast(**fields):
        asked.append(fields)
        yield

    monkeypatch.setattr(mixed_precision, "active", lambda train: bool(train.amp))
    monkeypatch.setattr(paddle.amp, "auto_cast", auto_cast)
    return asked


def test_autocast_is_of_the_forward_pass(monkeypatch):
    asked, train = _gpu(monkeypatch), default.get_config().train
    train.update(amp="O2", amp_dtype="bfloat16")
    model = models.create("vit_n_2", num_classes=3, drop_rate=0.1)
    mixed_precision.apply(model, train)
    logits = model(paddle.zeros([2, 3, 8, 8]))
    assert asked == [{"level": "O2", "dtype": "bfloat16", "use_promote": False}]
    assert logits.dtype == paddle.float32
    model.eval()
    model(paddle.zeros([2, 3, 8, 8]))
    assert len(asked) == 2
    assert mixed_precision.loss_scaler(train) is None
    train.amp_dtype = "float16"
    assert mixed_precision.loss_scaler(train).scale == 65536.0


def test_blocks_are_recomputed_in_the_same_precision(monkeypatch):
    """Paddle restores level and type by itself, but not the rule for operands of two types."""
    asked, train = _gpu(monkeypatch), default.get_config().train
    train.amp = "O2"
    model = models.create("vit_n_2", num_classes=3, drop_rate=0.1)
    mixed_precision.apply(model, train)
    model.recompute()
    model(paddle.zeros([2, 3, 8, 8])).sum().backward()
    again = [fields for fields in asked if fields.get("use_promote") is False]
    # The pass, and twice its embedding's dropout and its blocks.
    assert len(again) == 1 + 2 * len(model.block_groups())


def test_a_cpu_says_that_it_runs_in_float32():
    train, model = default.get_config().train, models.create("vit_n_2")
    assert mixed_precision.describe(model, train) == []
    train.amp = "O1"
    assert mixed_precision.describe(model, train) == [
        "precision: float32, since train.amp=O1 has no effect on a CPU; bf16 has"
    ]
    assert mixed_precision.loss_scaler(train) is None
    mixed_precision.apply(model, train)
    assert model._precision is contextlib.nullcontext


def test_bfloat16_on_a_cpu(monkeypatch):
    """Only where it has an effect, and it says where it has none."""
    blas = pytest.importorskip("models.fast.loops.blas")
    train = default.get_config().train
    train.amp = "bf16"

    def applied(name):
        model = models.create(name)
        mixed_precision.apply(model, train)
        (line,) = mixed_precision.describe(model, train)
        return model._precision is in_bfloat16, line

    monkeypatch.setattr(blas, "HAS_BFLOAT16", True)
    assert applied("vit_n_2") == (
        True,
        "precision: bfloat16 in the matrix products of blocks, float32 in everything else",
    )
    assert applied("resnet_18") == (
        False,
        "precision: float32, since a CPU has bfloat16 for the blocks of ViT, DeiT, CaiT and Swin "
        "only",
    )
    with plain():
        assert applied("vit_n_2") == (
            False,
            "precision: float32, since bfloat16 needs compiled operators on a CPU, and these are "
            "Paddle's operators, as model.operators asks for",
        )
    monkeypatch.setattr(blas, "HAS_BFLOAT16", False)
    missing = "precision: float32, since this processor has neither AVX512-BF16 nor AMX"
    assert applied("vit_n_2") == (False, missing)
    assert mixed_precision.loss_scaler(train) is None


def test_bf16_on_a_gpu_is_o1(monkeypatch):
    asked, train = _gpu(monkeypatch), default.get_config().train
    train.amp = "bf16"
    model = models.create("vit_n_2", num_classes=3)
    mixed_precision.apply(model, train)
    model(paddle.zeros([2, 3, 8, 8]))
    assert asked == [{"level": "O1", "dtype": "bfloat16", "use_promote": False}]
    assert mixed_precision.loss_scaler(train) is None
    assert mixed_precision.describe(model, train) == ["precision: bfloat16 (O1) on float32 weights"]


@pytest.fixture
def config(painted):
    """A short run with a loss scale, of which the gradient of the third step overflows."""
    config = default.get_config()
    config.data.update(name="folder", root=str(painted), holdout=0.2)
    config.model.update(name="vit_n_8", image_size=16, drop_rate=0.1)
    config.train.update(
        steps=6, batch_size=6, accumulation_steps=2, log_every_steps=1, checkpoint_every_steps=1
    )
    config.train.amp = "O1"
    return config


@pytest.fixture
def overflow(monkeypatch):
    """Half precision without a GPU. Returns the set of the steps whose gradient is infinite."""
    _gpu(monkeypatch)
    bad, accumulate = {2}, Optimizer.accumulate

    def overflowing(self, loss):
        accumulate(self, loss * float("inf") if self.steps_done in bad else loss)

    monkeypatch.setattr(Optimizer, "accumulate", overflowing)
    return bad


def test_a_run_goes_on_over_a_skipped_step_and_resumes_with_the_same_bits(
    config, overflow, tmp_path, monkeypatch
):
    assert single_run.train(config, tmp_path / "whole") == exits.DONE
    # Stopped right after the step that was skipped.
    steps = iter([False, False, True, *[False] * 9])
    monkeypatch.setattr(StopRequest, "agreed", lambda self: next(steps))
    assert single_run.train(config, tmp_path / "cut") == exits.STOPPED
    assert single_run.train(config, tmp_path / "cut") == exits.DONE
    records = [
        record
        for record in metrics_reader.read_metrics(tmp_path / "whole")
        if record["split"] == "train"
    ]
    assert [record["loss_scale"] for record in records] == [65536.0, 65536.0] + [32768.0] * 4
    assert [record["skipped_steps"] for record in records] == [0, 0, 1, 1, 1, 1]
    assert ["grad_norm" in record for record in records] == [True, True, False, True, True, True]
    whole, cut = (checkpoint.load(tmp_path / name / "checkpoints", 6) for name in ("whole", "cut"))
    for ours, theirs in ((whole.model, cut.model), (whole.optimizer, cut.optimizer)):
        assert all((theirs[name] == value).all() for name, value in ours.items())


def test_a_run_stops_when_every_step_is_skipped(config, overflow, tmp_path):
    overflow.update(range(100))
    config.train.steps = 30
    with pytest.raises(
        UserError, match="no number in 20 steps in a row, down to a loss scale of 1"
    ):
        single_run.train(config, tmp_path / "run")
