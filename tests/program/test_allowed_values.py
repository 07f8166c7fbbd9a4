"""The table of allowed values is about fields that exist, and offers what the code implements."""

from __future__ import annotations

import paddle
import pytest

import losses
import models
from configs import default
from configs.allowed_values import CORES, INFINITE, TRAITS, Trait, trait
from data.augment import auto_augment, mixing, transforms
from data.augment.auto_augment_operations import Edges
from engine.step import optimizer
from engine.step.learning_rate import learning_rate
from models.freezing import TRAINABLE
from program.config import config_fields

_FIELDS = config_fields.flattened(default.get_config())


@pytest.mark.parametrize("name", TRAITS)
def test_each_line_is_about_a_field_and_suits_its_type(name):
    known, value = trait(name), _FIELDS[name]
    assert known != Trait(), "a line that says nothing"
    assert value in known.choices or not known.choices
    numeric = isinstance(value, (int, float)) and not isinstance(value, bool)
    bounds = (known.least, known.most, known.below, known.limit, known.weights_most)
    assert numeric or bounds == (0, INFINITE, INFINITE, None, None)
    assert known.weights_most in (None, CORES) or value <= known.weights_most


@pytest.mark.parametrize(
    ("name", "implemented"),
    [
        ("data.interpolation", transforms.INTERPOLATIONS),
        ("data.mix_mode", mixing.MODES),
        ("distill.kind", losses.KINDS),
        ("loss.form", losses.FORMS),
        ("model.eval_head", models.EVAL_HEADS),
        ("model.train_head", models.TRAIN_HEADS),
        ("model.trainable", TRAINABLE),
        ("rdrop.consistency", losses.CONSISTENCY),
        ("rdrop.preset", losses.PRESETS),
    ],
)
def test_the_choices_are_what_is_implemented(name, implemented):
    assert sorted(trait(name).choices) == sorted(implemented)


def test_every_optimiser_can_be_built():
    for name in trait("optim.name").choices:
        optim = default.get_config().optim
        optim.name = name
        optimizer.Optimizer(paddle.nn.Linear(2, 2), optim, total_steps=1)


def test_every_schedule_has_a_rate():
    for name in trait("optim.schedule").choices:
        optim = default.get_config().optim
        optim.schedule = name
        assert learning_rate(0, optim, 10) == optim.lr


def test_a_name_without_an_implementation_is_no_other_one():
    optim = default.get_config().optim
    optim.name = optim.schedule = "another"
    with pytest.raises(ValueError, match="no optimiser is named 'another'"):
        optimizer.Optimizer(paddle.nn.Linear(2, 2), optim, total_steps=1)
    with pytest.raises(ValueError, match="no schedule is named 'another'"):
        learning_rate(0, optim, 10)


def test_every_auto_augmentation_can_be_built():
    edges = Edges((128, 128, 128), transforms.INTERPOLATIONS["bicubic"])
    for name in trait("data.auto_augment").choices:
        data = default.get_config().data
        data.auto_augment = name
        assert (auto_augment.build(data, edges) is None) == (name == "")
