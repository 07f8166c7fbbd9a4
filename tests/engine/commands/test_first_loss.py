"""The first loss of a dry run: near ln(classes), or the dry run says so."""

from __future__ import annotations

import re

import paddle
import pytest
import small_weights

import models
from configs import default
from engine.commands import dry_run, first_loss
from engine.model_setup import build_model, keeps_head
from engine.plan import resolve_config


def _config(**fields):
    config = default.get_config()
    config.model.update(name="resnet_50", image_size=64, num_classes=0, trainable="head_and_norm")
    config.rdrop.copies = 1
    config.train.update(steps=10, batch_size=16)
    config.update_from_flattened_dict(fields)
    return config


def _dry_run(capsys, **fields):
    assert dry_run.dry_run({"": _config(**fields)}) == 0
    text = capsys.readouterr().out
    return float(re.search(r" ce ([0-9.]+)", text)[1]), text


def test_frozen_batch_norms_of_weights_that_are_not_here(capsys):
    """With statistics of 0 and 1 the blocks of a ResNet add up, and the loss is in the hundreds."""
    loss, text = _dry_run(capsys, **{"model.pretrained": "resnet_50"})
    assert "frozen batch norms have the statistics of made-up images, until then" in text
    assert loss == pytest.approx(2.3, abs=2)
    assert "first cross-entropy" not in text
    loss, text = _dry_run(capsys)
    assert loss > 20
    assert "frozen batch norms" not in text.splitlines()[0]
    expected = f"warning: the first cross-entropy is {loss:.5g}, by guessing it is ln(10) = 2.3: "
    assert expected in text


def test_only_frozen_batch_norms_get_statistics():
    config = resolve_config.with_classes(resolve_config.with_input(_config()), 10)
    images = paddle.randn([2, 3, 64, 64])
    model = build_model(config)
    assert first_loss.give_statistics(model, images)
    assert (model.net.bn1._variance != 1).all()
    assert model.net.bn1._use_global_stats
    config.model.trainable = "all"
    model = build_model(config)
    assert not first_loss.give_statistics(model, images)
    assert (model.net.bn1._variance == 1).all()


@pytest.mark.parametrize(
    ("ce", "classes", "form", "own_head", "said"),
    [
        (6.9, 1000, "softmax", False, ""),
        (9.5, 1000, "softmax", False, ""),
        (10.5, 1000, "softmax", False, "10.5, by guessing it is ln(1000) = 6.91"),
        (3.2, 1000, "softmax", False, "3.2, by guessing"),
        (56.0, 1000, "softmax", True, ""),
        (4.2, 10, "softmax", False, ""),
        (4.4, 10, "softmax", False, "ln(10) = 2.3"),
        (0.0, 1, "softmax", False, ""),
        (2.6, 1000, "sigmoid", False, ""),
        (2.8, 1000, "sigmoid", False, "ln(2) = 0.693"),
    ],
)
def test_what_is_far(ce, classes, form, own_head, said):
    found = first_loss.note(
        ce, _config(**{"model.num_classes": classes, "loss.form": form}), own_head
    )
    assert len(found) == bool(said)
    assert all(said in text for text in found)


@pytest.mark.parametrize(("rows", "kept"), [(None, True), ((), False)])
def test_a_head_that_is_kept(tmp_path, rows, kept):
    folder = small_weights.write_timm(tmp_path / "weights", 7)
    target = models.create("vit_n_8", 7, image_size=32)
    report = models.load_weights(target, str(folder), rows)
    assert keeps_head(target, report._asdict()) == kept
    assert not keeps_head(target, {})
