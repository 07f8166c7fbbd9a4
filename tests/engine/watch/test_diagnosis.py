"""Each finding on a series made for it, and silence on what is sound."""

from __future__ import annotations

import math
from types import SimpleNamespace

import numpy as np
import pytest

from configs import default
from engine.plan.run_plan import Plan
from engine.watch.diagnosis import Diagnosis

_LN10 = math.log(10)


def _config(**fields):
    """Ten classes, warm-up, clipping, dropout: nothing to remark. `__` in a name is a dot."""
    config = default.get_config()
    config.model.update(num_classes=10, drop_rate=0.1)
    config.optim.update(warmup_steps=100, clip_norm=1.0)
    config.train.update(batch_size=64, log_every_steps=20)
    config.update_from_flattened_dict(
        {name.replace("__", "."): value for name, value in fields.items()}
    )
    return config


def _diagnosis(steps=1000, **fields):
    config = _config(**fields)
    batch = config.train.batch_size * config.train.accumulation_steps
    return Diagnosis(
        config, Plan(train_images=1000, global_batch=batch, steps=steps, eval_every=20)
    )


def _train(diagnosis, ces, kls=None, accuracy=0.5, grad_norm=1.0, first=0):
    """Adds records; returns kind, number of the record and text of what is found."""
    found, every = [], diagnosis.config.train.log_every_steps
    for place, ce in enumerate(ces):
        values = {"loss": ce, "ce": ce, "accuracy": accuracy, "grad_norm": grad_norm}
        if diagnosis.config.rdrop.copies > 1:
            values["kl"] = 0.05 if kls is None else kls[place]
        step = (first + place + 1) * every
        for finding in diagnosis.training(step, values):
            assert finding.text.startswith("warning: ")
            assert "\n" not in finding.text
            found.append((finding.kind, place, finding.text))
    return found


def _kinds(found):
    return [kind for kind, *_ in found]


def _validate(diagnosis, top1s, seen=1000):
    found = []
    for place, top1 in enumerate(top1s):
        found += [
            (one.kind, place, one.text)
            for one in diagnosis.validation(20 * (place + 1), SimpleNamespace(top1=top1, seen=seen))
        ]
    return found


def _healthy(records=50, noise=0.03, floor=0.02):
    """A loss that falls from that of chance to a floor, around which it spreads by its own size."""
    rng = np.random.default_rng(0)
    return [
        (_LN10 * math.exp(-place / 6) + floor) * (1 + noise * rng.normal())
        for place in range(records)
    ]


# ---- at the start


@pytest.mark.parametrize(
    ("fields", "text"),
    [
        (
            {"train__reference_batch_size": 512},
            "optim.lr=0.001 was chosen for a global batch of 512, this is 64",
        ),
        ({"train__reference_batch_size": 512}, "--config.optim.lr=0.000125,"),
        ({"model__pretrained": "x", "optim__lr": 2e-4}, "--config.optim.lr=3.5e-05 or lower"),
        (
            {"model__pretrained": "x", "optim__name": "momentum", "optim__lr": 0.04},
            "--config.optim.lr=0.0075 or lower",
        ),
        (
            {"model__pretrained": "x", "optim__name": "sgd", "optim__lr": 0.4},
            "fine-tuning with sgd and 64 images",
        ),
        (
            {
                "model__pretrained": "x",
                "optim__name": "momentum",
                "optim__lr": 0.01,
                "optim__clip_norm": 0.0,
            },
            "--config.optim.clip_norm=1.0",
        ),
        (
            {
                "model__pretrained": "x",
                "optim__lr": 1e-4,
                "optim__scale_lr": True,
                "train__reference_batch_size": 16,
            },
            "the learning rate of 0.0004 is 11 times",
        ),
        (
            {
                "model__pretrained": "x",
                "optim__lr": 1e-4,
                "optim__scale_lr": True,
                "train__reference_batch_size": 16,
            },
            "use --config.optim.lr=8.8e-06 or lower",  # which times 64 / 16 is 3.5e-5
        ),
        (
            {"data__views": 3, "data__crop": "none", "data__flip": 1.0},
            "data.views=3 does nothing: no augmentation is random",
        ),
        ({"data__views": 64}, "in a run that shows every image 64 times"),
        ({"data__views": 16, "data__repeats": 4}, "in a run that shows every image 16 times"),
        ({"train__cache_gb": 2.0}, "train.cache_gb=2 does nothing with model.trainable=all"),
        (
            {
                "train__cache_disk_gb": 2.0,
                "model__trainable": "head",
                "train__cache_features": "off",
            },
            "train.cache_disk_gb=2 does nothing with train.cache_features=off",
        ),
        (
            {"model__name": "resnet_18", "model__embed_drop_rate": 0.1},
            "model.embed_drop_rate=0.1 does nothing: resnet_18 has dropout in front of its "
            "classifier only, set model.drop_rate",
        ),
        (
            {"model__name": "levit_128s", "model__proj_drop_rate": 0.1},
            "model.proj_drop_rate=0.1 does nothing",
        ),
        (
            {"average__precise_bn_batches": 9},
            "average.precise_bn_batches=9 does nothing: vit_b_16_384 has no batch norms",
        ),
        ({"optim__warmup_steps": 0}, "--config.optim.warmup_steps=100"),
        ({"optim__warmup_steps": 0, "optim__beta2": 0.9}, "--config.optim.warmup_steps=20"),
        (
            {"optim__warmup_steps": 1000},
            "optim.warmup_steps=1000 is no shorter than the run of 1000 steps",
        ),
        ({"model__drop_rate": 0.009}, "the highest drop rate is 0.009"),
        (
            {"model__drop_rate": 0.5, "rdrop__drop_rates": (0.0, 0.001)},
            "the highest drop rate is 0.001",
        ),
        (
            {"optim__name": "momentum", "optim__lr": 0.05, "optim__weight_decay": 0.05},
            "takes 2.5 % of the weights away in each step",
        ),
        ({"optim__lr": 0.05, "optim__weight_decay": 0.2}, "use --config.optim.weight_decay=0.01"),
        # The rate is the cause: at a usual one the decay is harmless.
        (
            {"optim__lr": 0.6, "optim__weight_decay": 0.05},
            "the learning rate of 0.6 is 60 times the highest that is usual for training from "
            "scratch with adamw and 64 images a step (published are 0.0005 to 0.003, as in DeiT "
            "and ViT), at which the run will hardly learn; use --config.optim.lr=0.01 or lower",
        ),
        (
            {"model__pretrained": "x", "optim__lr": 0.01, "optim__weight_decay": 1.0},
            "use --config.optim.lr=3.5e-05 or lower",
        ),
        (
            {"optim__name": "momentum", "optim__lr": 0.6, "optim__weight_decay": 5e-3},
            "the learning rate of 0.6 is 6 times the highest",
        ),
        # Of the two rules about the rate one speaks.
        (
            {"model__pretrained": "x", "optim__lr": 2e-3, "train__reference_batch_size": 512},
            "the learning rate of 0.002 is 57 times",
        ),
        (
            {"model__pretrained": "x", "optim__lr": 1e-3, "train__reference_batch_size": 512},
            "by linear scaling use --config.optim.lr=0.000125,",
        ),
        (
            {
                "model__pretrained": "x",
                "optim__lr": 1e-4,
                "train__reference_batch_size": 8,
            },
            "this is 64: use --config.optim.lr=3.5e-05 or lower (linear scaling would give 0.0008, "
            "far above what is usual for fine-tuning)",
        ),
        (
            {
                "model__pretrained": "x",
                "optim__name": "momentum",
                "optim__lr": 0.03,
                "optim__clip_norm": 0.0,
                "train__reference_batch_size": 512,
            },
            "by linear scaling use --config.optim.lr=0.00375,",
        ),
        ({"rdrop__alpha": 51.0}, "--config.rdrop.alpha=5 (5 a sample)"),
        ({"rdrop__alpha": 10_000.0}, "--config.rdrop.alpha=5 (5 a sample)"),
        (
            {"rdrop__alpha": 1.0, "rdrop__preset": "official_code"},
            "--config.rdrop.alpha=0.078 (5 a sample)",
        ),
    ],
)
def test_start(fields, text):
    found = _diagnosis(**fields).start()
    assert len(found) == 1
    assert found[0].startswith("warning: ")
    assert text in found[0]


@pytest.mark.parametrize(
    "fields",
    [
        {},
        {"train__reference_batch_size": 64},
        {"data__views": 63},
        {"data__views": 15, "data__repeats": 4},
        {"train__cache_gb": 2.0, "model__trainable": "head_and_norm"},
        {"model__pretrained": "x", "optim__lr": 1.7e-4},  # below five times 1e-4 x (64 / 512)^0.5
        {"model__pretrained": "x", "optim__lr": 5e-4, "train__accumulation_steps": 8},
        {
            "model__pretrained": "x",
            "optim__lr": 5e-5,
            "train__batch_size": 32,
            "optim__warmup_steps": 0,
        },
        {"model__pretrained": "x", "optim__name": "momentum", "optim__lr": 0.037},
        {
            "model__pretrained": "x",
            "optim__name": "momentum",
            "optim__lr": 0.007,
            "optim__clip_norm": 0.0,
        },
        {"optim__lr": 0.05},  # new weights: no usual range
        {"model__pretrained": "x", "model__trainable": "head", "optim__lr": 1e-2},
        {"model__pretrained": "x", "optim__layer_decay": 0.75, "optim__lr": 2e-3},
        {"train__reference_batch_size": 512, "optim__scale_lr": True},
        {
            "model__pretrained": "x",
            "optim__lr": 1e-3,
            "optim__scale_lr": True,
            "train__reference_batch_size": 512,
        },
        {
            "optim__name": "momentum",
            "optim__warmup_steps": 0,
            "optim__lr": 0.1,
            "optim__clip_norm": 0.0,
        },
        {"optim__warmup_steps": 999},
        {"model__name": "resnet_18", "average__precise_bn_batches": 9},
        {"model__name": "resnet_18", "model__embed_drop_rate": 0.0},
        {"model__name": "t2t_vit_7", "model__proj_drop_rate": 0.1},
        {"model__drop_rate": 0.01},
        {"model__drop_rate": 0.0, "model__drop_path_rate": 0.1},
        {"model__drop_rate": 0.001, "model__mlp_drop_rate": 0.1},
        {"model__drop_rate": 0.001, "rdrop__copies": 1},
        {"model__drop_rate": 0.001, "model__pretrained": "weights", "optim__lr": 1e-5},
        {"model__drop_rate": 0.0, "rdrop__alpha": 0.0},  # without noise on purpose
        {"rdrop__alpha": 50.0},
        {"optim__name": "momentum", "optim__lr": 0.1, "optim__weight_decay": 5e-4},
        # Decay takes just below 0.5 % away.
        {"optim__name": "momentum", "optim__lr": 0.0099, "optim__weight_decay": 0.05},
        {"optim__name": "lars", "optim__lr": 5.0, "optim__weight_decay": 0.05},
        {"optim__lr": 1e-3, "optim__weight_decay": 0.3},
        {"rdrop__alpha": 0.7, "rdrop__preset": "official_code"},
        {"rdrop__alpha": 99.0, "rdrop__copies": 1},
    ],
)
def test_start_is_silent(fields):
    assert _diagnosis(**fields).start() == []


@pytest.mark.parametrize("steps", [1, 2, 5, 100])
@pytest.mark.parametrize("warmup", [0, 100])
def test_the_warmup_that_is_advised_is_not_blamed(steps, warmup):
    """Too short, or as long as the run: what the one rule advises the other one takes."""
    found = _diagnosis(steps=steps, optim__warmup_steps=warmup).start()
    for text in found:
        advised = int(text.rpartition("warmup_steps=")[2])
        again = _diagnosis(steps=steps, optim__warmup_steps=advised).start()
        assert again == []
    assert found or (steps, warmup) == (1, 0)


# ---- what is sound


@pytest.mark.parametrize("noise", [0.03, 0.08])
@pytest.mark.parametrize("floor", [0.02, 0.8, 1.5])
def test_a_run_that_learns(noise, floor):
    assert _train(_diagnosis(), _healthy(300, noise, floor)) == []


def test_a_converged_run_may_spread():
    """A loss near 0 doubles and halves; a late spike is over at the next records."""
    rng = np.random.default_rng(1)
    ces = [*_healthy(30), *(0.02 * np.exp(rng.normal(size=60)))]
    ces[60:62] = [0.5, 0.3]
    assert _train(_diagnosis(), ces, accuracy=0.99) == []


def test_small_records_and_mixed_images_spread():
    """Single batches of 12 images, and shares of mixup that are alike for a whole batch."""
    rng = np.random.default_rng(2)
    small = {"train__batch_size": 12, "train__log_every_steps": 1}
    assert _train(_diagnosis(**small), 1.5 * rng.gamma(12, 1 / 12, 400), accuracy=0.4) == []
    mixed = {"train__batch_size": 64, "train__log_every_steps": 1, "data__mixup_alpha": 1.0}
    assert _train(_diagnosis(**mixed), 1.5 * np.exp(0.4 * rng.normal(size=400)), accuracy=0.4) == []
    assert _kinds(
        _train(
            _diagnosis(**{**mixed, "data__mixup_alpha": 0.0}), 1.5 * np.exp(rng.normal(size=400))
        )
    )


def test_a_slow_start():
    """At chance until after the warm-up, with logits of 0 from a new head: too early to warn."""
    ces = [_LN10] * 8 + _healthy(20)
    assert _train(_diagnosis(), ces, [0.0] * 8 + [0.05] * 20, accuracy=0.1)[:1] == []


# ---- in the run


def test_rising():
    found = _train(_diagnosis(), [*_healthy(20), *np.linspace(0.2, 2.0, 15)])
    assert _kinds(found)[0] == "rising"
    _, place, text = found[0]
    assert 22 <= place <= 27
    assert "--config.optim.lr=0.0001 (" in text
    assert "clip_norm" not in text
    found = _train(_diagnosis(optim__clip_norm=0.0), [2.4, 3.0, 3.6, 4.0, 4.2, 4.4])
    assert [one[:2] for one in found] == [("rising", 4)]
    assert "is 3.6, above the 2.3 of guessing" in found[0][2]
    assert "--config.optim.clip_norm=1.0" in found[0][2]


def test_the_rate_is_that_of_the_start():
    """Far above the usual rates both advise the usual one; else the run advises a tenth."""
    high = [2.4, 3.0, 3.6, 4.0, 4.2, 4.4]
    scaled = {"optim__scale_lr": True, "train__reference_batch_size": 16}
    for fields, advised in (
        ({"optim__lr": 0.6}, "0.01"),
        ({"optim__lr": 0.02}, "0.002"),
        ({"model__pretrained": "x", "optim__lr": 0.01}, "3.5e-05"),
        ({"model__pretrained": "x", "optim__lr": 0.01, **scaled}, "8.8e-06"),
        ({"optim__lr": 0.02, **scaled}, "0.0025"),  # the optimiser has 0.08, and then 0.01
        ({"optim__lr": 0.01, **scaled}, "0.001"),
    ):
        diagnosis = _diagnosis(**fields)
        start = [text for text in diagnosis.start() if "the learning rate of" in text]
        assert all(f"--config.optim.lr={advised} or" in text for text in start)
        assert f"--config.optim.lr={advised} (" in _train(diagnosis, high)[0][2]


def test_a_rise_that_is_over_or_small_is_none():
    assert _train(_diagnosis(), [5.0, 4.0, 3.8, 3.6, 3.55, 3.5, 3.45, 3.3]) == []
    assert _train(_diagnosis(), [*_healthy(30), *([0.04] * 20)]) == []  # twice as high, and nothing
    assert _train(_diagnosis(), [*([1.0] * 10), *([1.4] * 10)]) == []
    assert _kinds(_train(_diagnosis(), [*([1.0] * 10), *([1.6] * 10)])) == ["rising"]


def test_bouncing():
    swings = [2.0, 1.6, 2.1, 1.5, 2.2, 1.6, 2.0, 1.7, 2.1, 1.6] * 2
    found = _train(_diagnosis(), swings)
    assert [one[:2] for one in found] == [("bouncing", 14)]  # ten records after the warm-up
    assert "swings by 22 %" in found[0][2]
    assert "too high for 64 images a step; use --config.optim.lr=0.0001 (" in found[0][2]
    calm = [1.8 + 0.3 * (value - 1.8) for value in swings]
    falling = [value * 0.95**place for place, value in enumerate(swings)]
    low = [0.5 * value for value in swings]
    for ces in (calm, falling, low):
        assert _train(_diagnosis(), ces) == []


def test_at_chance():
    ces = [_LN10 * 1.05] * 20
    found = _train(_diagnosis(), ces, accuracy=0.101)
    # Five records 100 steps after the warm-up.
    assert [one[:2] for one in found] == [("chance", 14)]
    assert "training accuracy is 10.10 % after 300 steps, by chance it is 10.00 %" in found[0][2]
    # Beyond three standard deviations for 6,400 images.
    assert _train(_diagnosis(), ces, accuracy=0.115) == []
    # One class more frequent: it learns.
    assert _train(_diagnosis(), [2.1] * 20, accuracy=0.1) == []
    # 12,800 images are too few for 1000 classes.
    assert _train(_diagnosis(model__num_classes=1000), [7.2] * 20, accuracy=0.001) == []
    found = _train(_diagnosis(model__num_classes=500), [6.5] * 20, accuracy=0.002)
    assert _kinds(found) == ["chance"]


def test_at_chance_with_a_rate_that_is_too_low():
    ces = [_LN10 * 1.05] * 20
    found = _train(_diagnosis(optim__lr=1e-6), ces, accuracy=0.101)
    assert "Either the rate is far too low, use --config.optim.lr=0.001; or" in found[0][2]
    found = _train(_diagnosis(optim__lr=2e-5), ces, accuracy=0.101)
    assert "Either the rate is far off, use --config.optim.lr=2e-06" in found[0][2]


def test_collapse():
    found = _train(_diagnosis(rdrop__alpha=20.0), [_LN10] * 20, [1e-6] * 20, accuracy=0.1)
    assert [one[:2] for one in found] == [("collapse", 14)]  # and not also chance
    assert "KL outweighs the labels; use --config.rdrop.alpha=2 " in found[0][2]
    for alpha in (51.0, 10_000.0):  # as at the start
        found = _train(_diagnosis(rdrop__alpha=alpha), [_LN10] * 20, [1e-6] * 20, accuracy=0.1)
        assert "KL outweighs the labels; use --config.rdrop.alpha=5 or" in found[0][2]
    found = _train(_diagnosis(), [_LN10] * 20, [1e-6] * 20, accuracy=0.1)
    assert "the rate is too high; use --config.optim.lr=0.0001 (" in found[0][2]
    assert _kinds(_train(_diagnosis(), [_LN10] * 20, [0.01] * 20, accuracy=0.1)) == ["chance"]
    assert _kinds(_train(_diagnosis(rdrop__copies=1), [_LN10] * 20, accuracy=0.1)) == ["chance"]
    # After chance was told, a later collapse is no news.
    found = _train(_diagnosis(), [_LN10] * 40, [0.01] * 20 + [1e-6] * 20, accuracy=0.1)
    assert _kinds(found) == ["chance"]


def test_collapse_of_the_sigmoid_form():
    """Its floor without knowledge is the entropy of each class's share, not ln(classes)."""
    entropy = -0.1 * math.log(0.1) - 0.9 * math.log(0.9)
    fields = {"loss__form": "sigmoid"}
    found = _train(
        _diagnosis(**fields), [0.69, 0.6, 0.5, *([entropy] * 20)], [1e-6] * 23, accuracy=0.1
    )
    assert _kinds(found) == ["collapse"]
    assert _train(_diagnosis(**fields), [0.69] * 8) == []  # ln(2), where it starts
    assert _kinds(_train(_diagnosis(**fields), [0.69, 0.8, 1.1, 1.2, 1.3, 1.4, 1.5])) == ["rising"]


def test_no_kl():
    ces = _healthy(20)
    found = _train(_diagnosis(), ces, [1e-9] * 20)
    # The first record is as at the start of a new head.
    assert [one[:2] for one in found] == [("no_kl", 3)]
    assert "--config.model.drop_rate=0.1" in found[0][2]
    assert _train(_diagnosis(), ces, [1e-9, 1e-9, 1e-3] * 7) == []
    assert _train(_diagnosis(), ces, [1e-6] * 20) == []
    assert _train(_diagnosis(), [_LN10] * 8, [0.0] * 8, accuracy=0.1) == []
    found = _train(_diagnosis(), [1e4] * 8, [0.0] * 8, accuracy=0.1)
    assert _kinds(found) == ["rising"]  # and KL is not to blame


def test_records_without_a_step_of_rdrop():
    diagnosis = _diagnosis(rdrop__every_steps=40)
    for step in range(20, 400, 20):
        assert diagnosis.training(step, {"ce": 1.0, "accuracy": 0.5, "grad_norm": 1.0}) == []


def test_clipping_all_the_time():
    ces = _healthy(20)
    found = _train(_diagnosis(), ces, grad_norm=21.0)
    assert [one[:2] for one in found] == [("clipped", 9)]
    assert "21 times optim.clip_norm=1 " in found[0][2]
    assert _train(_diagnosis(), ces, grad_norm=20.0) == []
    assert _train(_diagnosis(optim__clip_norm=0.0), ces, grad_norm=99.0) == []


def test_overfitting():
    diagnosis = _diagnosis()
    _train(diagnosis, [0.1], accuracy=0.95)
    found = _validate(diagnosis, [0.5, 0.69, 0.68, 0.69, 0.67])
    assert [one[:2] for one in found] == [("overfitting", 4)]
    assert "no better than the 69.0 % of step 40" in found[0][2]
    assert "--config.rdrop.alpha=2," in found[0][2]
    for top1s, seen in (
        ([0.5, 0.69, 0.68, 0.69, 0.70], 1000),  # better
        ([0.5, 0.71, 0.71, 0.71, 0.70], 1000),  # not far apart
        ([0.5, 0.69, 0.68, 0.69, 0.67], 20),  # few images
    ):
        diagnosis = _diagnosis()
        _train(diagnosis, [0.1], accuracy=0.95)
        assert _validate(diagnosis, top1s, seen) == []


@pytest.mark.parametrize(
    ("fields", "advised"),
    [
        ({"rdrop__alpha": 5.0}, "(--config.rdrop.alpha=10, model.drop_rate, data.*)"),
        ({"rdrop__alpha": 0.0}, "(--config.rdrop.alpha=1, model.drop_rate, data.*)"),
        # Twice as much would be more than was published, and later too much for the start's rule.
        ({"rdrop__alpha": 30.0}, "Regularise more (model.drop_rate, data.*)"),
        ({"rdrop__copies": 1}, "(--config.rdrop.copies=2, model.drop_rate, data.*)"),
        # Without noise R-Drop would be refused.
        (
            {"rdrop__copies": 1, "model__drop_rate": 0.0},
            "(--config.rdrop.copies=2 with --config.model.drop_rate=0.1, model.drop_rate, data.*)",
        ),
    ],
)
def test_what_helps_against_overfitting(fields, advised):
    diagnosis = _diagnosis(**fields)
    _train(diagnosis, [0.1], accuracy=0.95)
    assert advised in _validate(diagnosis, [0.5, 0.69, 0.68, 0.69, 0.67])[0][2]


def test_validation_above_training_is_no_problem():
    """Augmentation makes training harder than validation."""
    diagnosis = _diagnosis()
    _train(diagnosis, [1.5], accuracy=0.4)
    assert _validate(diagnosis, [0.8] * 6) == []


def test_labels_in_another_order():
    diagnosis = _diagnosis()
    _train(diagnosis, [0.3], accuracy=0.9)
    found = _validate(diagnosis, [0.11, 0.09, 0.1, 0.1, 0.1, 0.1])
    # At the second time, and without a warning of overfitting.
    assert [one[:2] for one in found] == [("labels", 1)]
    text = "training accuracy is 90.0 %, but validation is at chance (9.0 %, by chance 10.0 %)"
    assert text in found[0][2]
    for accuracy, top1s, seen in (
        (0.9, [0.1, 0.3], 1000),
        (0.2, [0.1, 0.1], 1000),
        (0.9, [0.6, 0.6], 7),
        # By chance 33 % of 15 images may be right, and training has at most twice this.
        (0.5, [0.3, 0.3], 15),
    ):
        diagnosis = _diagnosis()
        _train(diagnosis, [0.3], accuracy=accuracy)
        assert _validate(diagnosis, top1s, seen) == []


def test_labels_of_the_test_images():
    diagnosis = _diagnosis()
    # Nothing was trained since a resume.
    assert diagnosis.test(SimpleNamespace(top1=0.1, seen=1000)) == []
    _train(diagnosis, [0.3], accuracy=0.9)
    assert diagnosis.test(SimpleNamespace(top1=0.6, seen=1000)) == []
    (text,) = diagnosis.test(SimpleNamespace(top1=0.1, seen=1000))
    assert text.startswith("warning: training accuracy is 90.0 %, but the test is at chance")


def _warned(rng, accuracy, test, records, **fields):
    """Returns whether a run ends with a warning; its records have few images, and so much noise."""
    diagnosis = _diagnosis(train__batch_size=8, train__log_every_steps=1, **fields)
    for _ in range(records):
        _train(diagnosis, [2.0], accuracy=rng.binomial(8, accuracy) / 8)
    top1 = rng.binomial(1000, test) / 1000
    return bool(diagnosis.test(SimpleNamespace(top1=top1, seen=1000)))


@pytest.mark.parametrize("records", [1, 2, 10])
@pytest.mark.parametrize("accuracy", [0.1, 0.15, 0.2])
def test_records_of_few_images_are_compared_with_chance(records, accuracy):
    """Of runs without a fault that have learned next to nothing, hardly any is warned.

    Without regard for chance it was every fifth of those with an accuracy of 10 %, in which two of
    8 images are right.
    """
    rng = np.random.default_rng(0)
    warned = sum(_warned(rng, accuracy, accuracy, records) for _ in range(400))
    assert warned <= 4
    # Labels that do not belong to the images are found all the same.
    assert sum(_warned(rng, 0.9, 0.1, 10) for _ in range(20)) == 20


def test_an_overfitting_of_few_images():
    """Ten images of which nine are right, and validation at 50 %: it may be chance."""
    for images, kinds in ((10, []), (100, ["overfitting"])):
        diagnosis = _diagnosis(train__batch_size=images, train__log_every_steps=1)
        _train(diagnosis, [0.5], accuracy=0.9)
        assert _kinds(_validate(diagnosis, [0.5, 0.5, 0.49, 0.48, 0.5])) == kinds


def test_once_a_kind():
    swings = [2.0, 1.6, 2.1, 1.5, 2.2, 1.6, 2.0, 1.7, 2.1, 1.6] * 10
    assert len(_train(_diagnosis(), swings, grad_norm=30.0)) == 2


def test_a_single_class_has_no_chance():
    assert _train(_diagnosis(model__num_classes=1), [0.0] * 20, [0.0] * 20, accuracy=1.0) == []
