"""`train.recipe=fine_tune`: the rules, by themselves; no data, no model."""

from __future__ import annotations

import pytest
from conftest import ROOT

from common.errors import UserError
from configs import default
from engine.plan.fine_tuning import Facts, choose
from program.config import config_fields, config_files, config_validation

_FACTS = Facts(
    images=300,
    smallest_class=30,
    classes=10,
    side=64,
    native_size=224,
    patch=16,
    blocks=12,
    attention_dropout=True,
    batch_norms=False,
    on_gpu=False,
    cards=1,
    cores=2,
)


def _config(**fields):
    """The config of configs/folder.py, with a model, and fields in which __ is a dot."""
    config = config_files.load_file(str(ROOT / "configs" / "folder.py"))
    values = {name.replace("__", "."): value for name, value in fields.items()}
    return config_fields.changed(config, {"model.name": "deit_s", **values})


def _chosen(facts=_FACTS, **fields):
    config, choices = choose(_config(**fields), facts)
    config_validation.validate(config)
    config_validation.validate_length(config)
    assert not config_fields.to_choose(config)
    for one in choices:
        assert one.reason
        assert config_fields.flattened(config)[one.field] == one.value
    return config


def _steps(config, facts):
    batch = config.train.batch_size * facts.cards * config.train.accumulation_steps
    left = facts.images - round(facts.images * config.data.holdout)
    assert batch <= left
    return round(config.train.epochs * left / batch)


@pytest.mark.parametrize("on_gpu", [False, True])
@pytest.mark.parametrize(
    ("images", "smallest", "held_out"),
    [(24, 12, 0), (300, 30, 0), (5_000, 400, 500), (1_200_000, 700, 10_000)],
)
def test_any_number_of_images(images, smallest, held_out, on_gpu):
    facts = _FACTS._replace(images=images, smallest_class=smallest, on_gpu=on_gpu)
    config = _chosen(facts)
    assert round(images * config.data.holdout) == held_out
    assert 3 <= config.train.epochs <= 30
    steps = _steps(config, facts)
    assert steps >= 100
    assert 1 <= config.optim.warmup_steps <= steps / 8
    assert 5e-5 <= config.optim.lr <= 2e-3


def test_more_images_larger_batch_fewer_epochs():
    sizes = (24, 300, 5_000, 60_000, 1_200_000)
    found = [_chosen(_FACTS._replace(images=images, on_gpu=True)) for images in sizes]
    batches, epochs, rates = (
        [config[group][name] for config in found]
        for group, name in (("train", "batch_size"), ("train", "epochs"), ("optim", "lr"))
    )
    assert batches == sorted(batches)
    assert (batches[0], batches[-1]) == (4, 512)
    assert epochs == sorted(epochs, reverse=True)
    assert (epochs[0], epochs[-1]) == (30, 5)
    assert rates == sorted(rates)


def test_a_cpu_takes_fewer_epochs_of_many_images():
    assert _chosen(_FACTS).train.epochs == 13
    assert _chosen(_FACTS._replace(on_gpu=True)).train.epochs == 17
    assert _chosen(_FACTS._replace(images=50_000)).train.epochs == 3


def test_two_images_can_be_trained_on():
    facts = _FACTS._replace(images=2, smallest_class=1)
    assert _chosen(facts).train.batch_size == 1


def test_cards_share_the_batch():
    facts = _FACTS._replace(images=60_000, on_gpu=True)
    one, four = _chosen(facts), _chosen(facts._replace(cards=4))
    two = _chosen(facts._replace(cards=2), train__accumulation_steps=2)
    assert one.train.batch_size == 4 * four.train.batch_size == 4 * two.train.batch_size
    assert one.train.reference_batch_size == four.train.reference_batch_size
    assert one.optim.lr == four.optim.lr == two.optim.lr


@pytest.mark.parametrize(
    ("facts", "size"),
    [
        ({"side": 64}, 128),  # 8 patches
        ({"side": 130}, 144),
        ({"side": 144}, 144),
        ({"side": 3000}, 224),
        ({"side": 64, "patch": 14}, 112),
        ({"side": 300, "native_size": 384}, 304),
        ({"side": 64, "on_gpu": True}, 224),
        ({"side": 64, "patch": 0}, 224),  # Swin, CaiT, CNNs
        ({"side": 0}, 224),  # not known
        ({"side": 64, "patch": 32}, 224),  # 8 patches of 32 are more than the model's own
    ],
    ids=str,
)
def test_image_size(facts, size):
    assert _chosen(_FACTS._replace(**facts)).model.image_size == size


def test_holdout_spares_small_classes_and_an_own_validation():
    many = _FACTS._replace(images=5_000)
    assert _chosen(many).data.holdout == pytest.approx(0.1)
    assert _chosen(many._replace(smallest_class=4)).data.holdout == 0
    assert _chosen(many._replace(own_validation=True)).data.holdout == 0
    assert _chosen(many._replace(smallest_class=4), data__holdout=0.2).data.holdout == 0.2


@pytest.mark.parametrize(
    ("facts", "fields", "rates"),
    [
        ({}, {}, (0.1, 0.0)),  # of the attention, elsewhere
        ({"attention_dropout": False}, {}, (0.0, 0.1)),
        ({}, {"rdrop__copies": 1}, (0.0, 0.0)),
        ({}, {"model__drop_rate": 0.05}, (0.0, 0.05)),
        ({}, {"model__drop_rate": 0.0}, (0.1, 0.0)),
        ({}, {"model__attn_drop_rate": 0.2}, (0.2, 0.0)),
        ({}, {"model__attn_drop_rate": 0.0}, (0.0, 0.1)),
        ({}, {"model__mlp_drop_rate": 0.1}, (0.0, 0.0)),
        ({}, {"rdrop__drop_rates": (0.0, 0.1)}, (0.0, 0.0)),
    ],
    ids=str,
)
def test_one_place_of_noise(facts, fields, rates):
    model = _chosen(_FACTS._replace(**facts), **fields).model
    assert (model.attn_drop_rate, model.drop_rate) == rates


@pytest.mark.parametrize(
    ("facts", "fields", "decay"),
    [
        ({}, {}, 0.65),
        ({"blocks": 24}, {}, 0.75),
        ({"blocks": 0}, {}, 1.0),
        ({}, {"model__trainable": "head"}, 1.0),
        ({}, {"optim__name": "momentum"}, 1.0),
    ],
    ids=str,
)
def test_layer_decay(facts, fields, decay):
    assert _chosen(_FACTS._replace(**facts), **fields).optim.layer_decay == decay


def test_the_rate_follows_what_it_is_for():
    usual = _chosen().optim.lr
    assert _chosen(optim__layer_decay=1.0).optim.lr < usual / 5
    assert _chosen(model__trainable="head").optim.lr > usual
    assert _chosen(train__batch_size=64).optim.lr == pytest.approx(2 * usual, rel=0.05)
    momentum = [_chosen(optim__name="momentum", train__batch_size=one).optim for one in (16, 64)]
    assert momentum[1].lr == pytest.approx(4 * momentum[0].lr, rel=0.05)
    assert momentum[0].weight_decay == 0


def test_what_is_given_stays():
    fields = {
        "optim.lr": 1e-5,
        "optim.layer_decay": 0.9,
        "optim.weight_decay": 0.0,
        "optim.warmup_steps": 0,
        "optim.clip_norm": 0.0,
        "train.batch_size": 10,
        "train.reference_batch_size": 0,
        "train.epochs": 2.0,
        "data.holdout": 0.0,
        "data.crop_scale": (0.8, 1.0),
        "data.workers": 3,
        "model.image_size": 96,
        "model.drop_rate": 0.2,
        "model.attn_drop_rate": 0.3,
        "loss.label_smoothing": 0.0,
    }
    config = config_fields.changed(_config(), fields)
    assert choose(config, _FACTS) == (config, [])


def test_steps_instead_of_epochs():
    config = _chosen(train__steps=90)
    assert (config.train.steps, config.train.epochs, config.optim.warmup_steps) == (90, 0, 9)


def test_an_optimiser_without_a_usual_rate():
    fields = {"optim__name": "lars", "optim__weight_decay": 0.1}
    with pytest.raises(UserError, match="no rate for optim.name=lars, .*: set optim.lr"):
        choose(_config(**fields), _FACTS)
    assert _chosen(**fields, optim__lr=0.1).optim.lr == 0.1


@pytest.mark.parametrize(
    ("fields", "message"),
    [
        (
            {"optim.lr": -1.0},
            "config.optim.lr is -1.0, which leaves it to a recipe: set a value, or",
        ),
        ({"train.batch_size": -1}, "batch_size is -1, which leaves it to a recipe"),
        ({"data.crop_scale": ()}, "crop_scale is [(][)], which leaves it to a recipe"),
    ],
    ids=str,
)
def test_only_a_recipe_chooses(fields, message):
    config = config_fields.changed(default.get_config(), {"train.steps": 1, **fields})
    with pytest.raises(UserError, match=message):
        config_validation.validate(config)
    config_validation.validate(config_fields.changed(config, {"train.recipe": "fine_tune"}))


@pytest.mark.parametrize(
    ("fields", "message"),
    [
        ({"train.recipe": "pretrain"}, "train.recipe is 'pretrain', expected one of '', fine_tune"),
        ({"optim.lr": -0.5}, "config.optim.lr is -0.5, expected 0 or more"),
        ({"optim.beta1": -1.0}, "config.optim.beta1 is -1.0, expected 0"),
        ({"optim.scale_lr": True, "train.reference_batch_size": 8}, "scale_lr has no use with"),
        ({"optim.final_lr": -0.1}, "final_lr is -0.1"),
    ],
    ids=str,
)
def test_other_values_are_refused_with_it_too(fields, message):
    config = config_fields.changed(_config(), fields)
    with pytest.raises(UserError, match=message):
        config_validation.validate(config)


def test_the_length_is_set_once():
    """What is left to the recipe counts as set."""
    config_validation.validate_length(_config())
    config_validation.validate_length(_config(train__steps=5))
    with pytest.raises(UserError, match="both set"):
        config_validation.validate_length(_config(train__steps=5, train__epochs=1.0))
    with pytest.raises(UserError, match="both 0"):
        config_validation.validate_length(_config(train__epochs=0.0))
