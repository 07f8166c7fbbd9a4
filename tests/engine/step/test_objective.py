"""The loss of a step as the config describes it: each variant is a field, and does what it says."""

from __future__ import annotations

import numpy as np
import paddle
import pytest
from conftest import random_batch, random_logits

import models
from common.errors import UserError
from configs import default
from engine.commands import single_run
from engine.plan import run_plan, start_lines
from engine.results import metrics_reader
from engine.step.noise import is_rdrop_step
from engine.step.objective import Objective
from losses import PRESETS, RDropLoss
from program import exits
from program.config import config_validation


def _config(**fields):
    config = default.get_config()
    config.model.update(
        name="vit_n_2", image_size=8, num_classes=5, mean=(0.5,) * 3, std=(0.5,) * 3, drop_rate=0.2
    )
    config.update_from_flattened_dict(fields)
    config_validation.validate(config)
    return config


@pytest.mark.parametrize(
    "fields",
    [
        {},
        {"rdrop.preset": "official_code"},
        {"rdrop.consistency": "js"},
        {"rdrop.temperature": 3.0},
        {"rdrop.stop_gradient": True, "loss.form": "sigmoid"},
    ],
)
def test_each_field_reaches_the_loss(fields):
    config, batch, logits = _config(**fields), random_batch(), random_logits(2, 6, 5)
    options = {name.split(".")[1]: value for name, value in fields.items()}
    expected = RDropLoss(config.rdrop.alpha, **options)(logits, batch.labels)
    expected.total.backward()
    gradient = logits.grad.numpy()
    logits.clear_gradient()
    found = Objective(config)(logits, batch.labels, step=0)
    found.total.backward()
    assert found.total.item() == expected.total.item()
    assert (logits.grad.numpy() == gradient).all()


def test_rdrop_in_every_third_step():
    config = _config(**{"rdrop.every_steps": 3, "rdrop.alpha": 2.0})
    objective, batch = Objective(config), random_batch()
    assert [objective.copies(step) for step in range(5)] == [2, 1, 1, 2, 1]
    assert [is_rdrop_step(config, step) for step in range(4)] == [True, False, False, True]
    single = objective(random_logits(6, 5), batch.labels, step=1)
    reference = paddle.nn.functional.cross_entropy(random_logits(6, 5), batch.labels)
    assert single.total.item() == pytest.approx(reference.item(), rel=1e-6)
    assert "kl" not in single.parts  # nothing was measured


@pytest.mark.parametrize("preset", sorted(PRESETS))
def test_one_copy_is_plain_cross_entropy_in_every_preset(preset):
    objective = Objective(_config(**{"rdrop.copies": 1, "rdrop.preset": preset}))
    reference = paddle.nn.functional.cross_entropy(random_logits(6, 5), random_batch().labels)
    assert objective(random_logits(6, 5), random_batch().labels, 0).total.item() == pytest.approx(
        reference.item(), rel=1e-6
    )


def test_alpha_grows_linearly_from_nothing():
    objective = Objective(_config(**{"rdrop.alpha_warmup_steps": 4, "rdrop.alpha": 2.0}))
    logits, labels = random_logits(2, 6, 5), random_batch().labels
    weights = []
    for step in (0, 1, 2, 4, 9):
        terms = objective(logits, labels, step)
        weights.append((terms.total.item() - terms.parts["ce"].item()) / terms.parts["kl"].item())
    assert weights == pytest.approx([0, 0.5, 1, 2, 2], abs=1e-5)


def test_images_without_labels_have_consistency_alone():
    config = _config(
        **{
            "data.labels_per_class": 9,
            "rdrop.unlabelled_batch_size": 3,
            "rdrop.unlabelled_alpha": 0.5,
            "rdrop.alpha": 2.0,
        }
    )
    objective, batch, logits = Objective(config), random_batch(6, 3), random_logits(2, 9, 5)
    images, targets = objective.prepare(batch, 0, 0)
    assert images.shape[0] == 9
    assert targets.shape == [6]
    terms = objective(logits, targets, step=0)
    labelled = RDropLoss(2.0)(logits[:, :6], batch.labels)
    unlabelled = RDropLoss().unlabelled(logits[:, 6:])
    assert terms.total.item() == pytest.approx(
        labelled.total.item() + 0.5 * unlabelled.item(), rel=1e-6
    )
    assert terms.parts["kl_unlabelled"].item() == unlabelled.item() > 0
    assert objective.predictions(logits, targets, step=0).shape == [6, 5]


def test_images_without_labels_stay_out_of_a_single_pass():
    config = _config(
        **{"data.labels_per_class": 9, "rdrop.unlabelled_batch_size": 3, "rdrop.every_steps": 2}
    )
    assert Objective(config).prepare(random_batch(6, 3), step=1, micro_batch=0)[0].shape[0] == 6


def test_the_copies_share_the_mix():
    """Images are mixed before they are copied: without noise every copy has the same logits, and
    one soft label.
    """
    fields = {"data.mixup_alpha": 1.0, "data.cutmix_alpha": 1.0, "loss.label_smoothing": 0.1}
    objective, batch = Objective(_config(**fields)), random_batch(6, 2)
    images, targets = objective.prepare(batch, 3, 0)
    plain = Objective(_config()).prepare(batch, 3, 0)[0]
    assert not np.allclose(images[:6].numpy(), plain[:6].numpy())
    assert (images[6:] == plain[6:]).all()  # of those without labels there is nothing to mix
    assert targets.shape == [6, 5]
    np.testing.assert_allclose(targets.sum(axis=1).numpy(), 1, rtol=1e-6)
    assert targets.min().item() >= 0.1 / 5 - 1e-6
    again = objective.prepare(batch, 3, 0)
    assert (again[0] == images).all()
    assert (again[1] == targets).all()
    assert not np.allclose(objective.prepare(batch, 4, 0)[0].numpy(), images.numpy())
    logits = models.create("vit_n_2", num_classes=5)(images, copies=2)
    assert (logits[0] == logits[1]).all()
    kl = objective(logits[:, :6], targets, 3).parts["kl"]
    assert kl.item() == 0


def test_boxes_are_erased_before_the_mix_or_after_it():
    """After it, a box hides both images; before it, the other image shows through."""
    fields = {"data.mixup_alpha": 1.0, "data.erase_probability": 1.0, "data.erase_mode": "const"}
    fields["train.batch_size"] = 6
    batch = random_batch(6)
    outputs = {}
    for order in ("before_mixing", "after_mixing"):
        objective = Objective(_config(**fields, **{"data.erase_order": order}))
        outputs[order] = objective.prepare(batch, 3, 0)[0].numpy()[:6]
    mixed = Objective(_config(**{"data.mixup_alpha": 1.0})).prepare(batch, 3, 0)[0].numpy()[:6]
    erased = outputs["after_mixing"] == 0
    assert erased.any(axis=(1, 2, 3)).all()
    assert (outputs["after_mixing"][~erased] == mixed[~erased]).all()
    assert not (outputs["before_mixing"][erased] == 0).all()
    assert not np.allclose(outputs["before_mixing"], outputs["after_mixing"])


@pytest.mark.parametrize("copies", [1, 2])
def test_two_heads_are_two_losses_and_one_prediction(copies):
    config = _config(**{"model.name": "vit_n_2_distilled", "rdrop.copies": copies})
    objective, batch = Objective(config), random_batch()
    model = models.build(config.model)
    logits = model(objective.prepare(batch, 0, 0)[0], copies=copies)
    several = logits if copies > 1 else logits.unsqueeze(0)
    assert several.shape == [copies, 6, 2, 5]
    loss = RDropLoss(config.rdrop.alpha)
    each = [loss(several[:, :, head], batch.labels).total.item() for head in (0, 1)]
    assert objective(logits, batch.labels, 0).total.item() == pytest.approx(sum(each) / 2, rel=1e-6)
    assert objective.predictions(logits, batch.labels, 0).shape == [6, 5]


def test_options_that_do_not_go_together_are_one_line():
    with pytest.raises(
        UserError, match="config.rdrop: temperature is 2.0, but consistency=mse has none"
    ):
        Objective(_config(**{"rdrop.temperature": 2.0, "rdrop.consistency": "mse"}))
    with pytest.raises(UserError, match="one rate below 1 for each of rdrop.copies"):
        _config(**{"rdrop.drop_rates": (0.1, 0.2, 0.3)})
    with pytest.raises(UserError, match="unlabelled_batch_size needs rdrop.copies of 2 or more"):
        _config(**{"rdrop.copies": 1, "rdrop.unlabelled_batch_size": 2})
    for fields, message in (
        ({"rdrop.unlabelled_batch_size": 2}, "needs images without labels"),
        ({"data.unlabelled_root": "x"}, "unlabelled_root has no use"),
        (
            {"rdrop.consistency": "cosine", "model.head_init": "zero"},
            "no gradient at model.head_init=zero",
        ),
    ):
        with pytest.raises(UserError, match=message):
            _config(**fields)
    own = {f"model.{name}_drop_rate": 0.1 for name in ("embed", "proj", "mlp")}
    with pytest.raises(UserError, match="drop_rates has no use"):
        _config(**{"rdrop.drop_rates": (0.1, 0.2), **own})
    with pytest.raises(UserError, match="train_head is 'class', expected one of average"):
        models.build(_config(**{"model.train_head": "class"}).model)


def _start(**fields) -> str:
    config = _config(**fields)
    return "\n".join(start_lines.describe(config, run_plan.make(config, 1000)))


def test_the_start_says_which_variant_it_is():
    names = (
        "per-sample alpha 9.6 (the paper's alpha 19.2, the official code's 0.3 at a micro-batch of "
        "32)"
    )
    assert names in _start(
        **{"rdrop.preset": "official_code", "rdrop.alpha": 0.3, "train.batch_size": 32}
    )
    text = _start(**{"rdrop.consistency": "js", "rdrop.every_steps": 2, "rdrop.shared_blocks": 2})
    assert "per-sample alpha 1, consistency js, every 2 steps, 2 blocks shared" in text
    assert "the paper's" not in _start(**{"rdrop.copies": 3}) + _start(
        **{"rdrop.stop_gradient": True}
    )
    assert "cross-entropy, no noise in the first 2 blocks" in _start(
        **{"rdrop.copies": 1, "rdrop.shared_blocks": 2}
    )
    assert "drop rates 0.1, 0.3" in _start(**{"rdrop.drop_rates": (0.1, 0.3)})


def test_a_head_that_was_not_trained_is_warned_about():
    distilled = {"model.name": "vit_n_2_distilled"}
    for heads in (
        {},
        {"model.train_head": "class"},
        {"model.train_head": "class", "model.eval_head": "class"},
    ):
        assert "warning" not in _start(**distilled, **heads)
    assert "what is evaluated is not what was trained" in _start(
        **distilled, **{"model.train_head": "class", "model.eval_head": "average"}
    )


@pytest.mark.parametrize(
    "fields",
    [
        {"rdrop.copies": 3},
        {"rdrop.copies": 4, "rdrop.shared_blocks": 2},
        {"rdrop.every_steps": 2, "rdrop.alpha_warmup_steps": 2},
        {"rdrop.drop_rates": (0.1, 0.4), "rdrop.consistency": "kl", "rdrop.stop_gradient": True},
        {"model.drop_rate": 0.0, "model.drop_path_rate": 0.3, "rdrop.consistency": "mse"},
        {"rdrop.stop_gradient": True, "loss.form": "sigmoid", "model.drop_path_rate": 0.2},
        {"rdrop.consistency": "js", "rdrop.temperature": 2.0, "loss.label_smoothing": 0.1},
        {"rdrop.consistency": "cosine", "data.mixup_alpha": 0.8, "data.cutmix_alpha": 1.0},
        {
            "data.labels_per_class": 3,
            "rdrop.unlabelled_batch_size": 2,
            "train.accumulation_steps": 2,
        },
        {"model.name": "vit_n_8_distilled", "model.train_head": "distillation"},
        {"rdrop.copies": 1, "model.name": "vit_n_8_distilled", "model.train_head": "average"},
    ],
    ids=str,
)
def test_each_variant_trains_from_start_to_end(painted, tmp_path, fields):
    config = default.get_config()
    config.data.update(name="folder", root=str(painted), crop="none")
    config.model.update(name="vit_n_8", image_size=16, drop_rate=0.2)
    config.train.update(steps=4, batch_size=4, log_every_steps=1)
    config.update_from_flattened_dict(fields)
    config_validation.validate(config)
    assert single_run.train(config, tmp_path / "run") == exits.DONE
    records = [
        record
        for record in metrics_reader.read_metrics(tmp_path / "run")
        if record["split"] == "train"
    ]
    assert all(np.isfinite(record["loss"]) for record in records)
    passes = [config.rdrop.copies > 1 and step % config.rdrop.every_steps == 0 for step in range(4)]
    assert [record.get("kl", 0) > 0 for record in records] == passes
    assert all(
        ("kl_unlabelled" in record) == (config.rdrop.unlabelled_batch_size > 0)
        for record in records
    )
