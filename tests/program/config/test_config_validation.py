"""Values of a config that make no sense, alone or together: one line that names the field."""

from __future__ import annotations

import pytest

from common.errors import UserError
from configs import default
from program.config import config_validation


@pytest.mark.parametrize(
    ("field", "value", "message"),
    [
        ("optim.name", "adam", "expected one of adamw"),
        ("train.batch_size", 0, "expected 1 or more"),
        ("train.batch_size", -4, "expected 0 or more"),
        ("optim.lr", float("nan"), "expected 0 or more"),
        ("optim.lr", float("inf"), "expected 0 or more"),
        ("data.holdout", 1.0, "expected 0 to below 1"),
        ("data.flip", 1.5, "expected 0 to 1"),
        ("data.vertical_flip", 1.1, "expected 0 to 1"),
        ("data.crop", "center", "expected one of random_resized, simple, padded, none, test"),
        (
            "data.auto_augment",
            "randaug",
            "expected one of '', randaugment, randaugment_torchvision",
        ),
        ("data.randaugment_layers", 0, "expected 1 or more"),
        ("data.randaugment_magnitude", 10.5, r"expected 0 to 10 \(to 30 with"),
        ("data.randaugment_magnitude", 30.5, "expected 0 to 30"),
        ("data.erase_order", "after", "expected one of before_mixing, after_mixing"),
        ("data.randaugment_std", -0.5, "expected 0 or more"),
        ("data.color_jitter", -0.1, "expected 0 or more"),
        ("data.hue_jitter", 0.6, "expected 0 to 0.5"),
        ("data.erase_probability", 1.5, "expected 0 to 1"),
        ("data.erase_mode", "noise", "expected one of const, rand, pixel"),
        ("data.erase_count", 0, "expected 1 or more"),
        ("data.mix_mode", "half", "expected one of batch, elem, pair"),
        ("data.mix_probability", 2.0, "expected 0 to 1"),
        ("data.mix_switch_probability", 2.0, "expected 0 to 1"),
        ("data.repeats", 0, "expected 1 or more"),
        ("train.nonfinite", "ignore", "expected one of stop, skip, rollback"),
        ("train.nonfinite_limit", 0, "expected 1 or more"),
        ("train.rollback_lr_factor", 1.0, "expected 0 to below 1"),
        ("train.rollback_lr_factor", 0.0, "expected above 0"),
        ("train.check_ranks_every_steps", -1, "expected 0 or more"),
        ("optim.beta1", 1.0, "expected 0 to below 1"),
        ("seed", 10**20, "below 2"),
        ("data.crop_scale", (0.5, 7.0), "at most 1"),
        ("data.crop_scale", (0.5,), "smallest, largest"),
        ("data.crop_scale", (0.9, 0.1), "smallest, largest"),
        ("model.mean", (0.5,), "three numbers"),
        ("model.std", (0.5, 0.0, 0.5), "three numbers"),
    ],
)
def test_values_out_of_range(field, value, message):
    config = default.get_config()
    config.train.steps = 1
    config.update_from_flattened_dict({field: value})
    with pytest.raises(UserError, match=message):
        config_validation.validate(config)


@pytest.mark.parametrize(
    ("fields", "message"),
    [
        ({"optim.nesterov": True}, "nesterov is for optim.name=momentum"),
        (
            {"train.nonfinite_limit": 3},
            "nonfinite_limit has no use with train.nonfinite=stop; set skip or rollback",
        ),
        (
            {"train.nonfinite": "skip", "train.rollback_lr_factor": 0.1},
            "rollback_lr_factor has no use with train.nonfinite=skip; set rollback",
        ),
        (
            {"optim.nesterov": True, "optim.name": "momentum", "optim.momentum": 0.0},
            "momentum above 0",
        ),
        ({"optim.name": "lamb"}, "set optim.weight_decay above 0"),
        ({"optim.name": "lars"}, "set optim.weight_decay above 0"),
        ({"optim.layer_decay": 0.0}, "layer_decay is 0"),
        ({"optim.layer_decay": 1.1}, "expected 0 to 1"),
        ({"optim.gamma": 2.0}, "expected 0 to 1"),
        ({"optim.schedule": "constant", "optim.final_lr": 0.1}, "final_lr has no use"),
        ({"optim.schedule": "multi_step"}, "go together"),
        ({"optim.milestones": (10, 20)}, "go together"),
        ({"optim.schedule": "multi_step", "optim.milestones": (20, 10)}, "expected rising steps"),
        ({"optim.schedule": "multi_step", "optim.milestones": (10, 10)}, "expected rising steps"),
        ({"optim.schedule": "multi_step", "optim.milestones": (0, 10)}, "expected rising steps"),
        ({"optim.schedule": "multi_step", "optim.milestones": (10.5, 20)}, "expected rising steps"),
        (
            {"optim.schedule": "multi_step", "optim.milestones": (5,), "optim.warmup_steps": 5},
            "after the warm-up",
        ),
        (
            {"model.trainable": "head", "optim.layer_decay": 0.7},
            "layer_decay has no use with model.trainable=head",
        ),
        (
            {"model.trainable": "head", "train.recompute": True},
            "recompute has no use with model.trainable=head",
        ),
        ({"data.cutmix_alpha": 1.0, "train.batch_size": 1}, "mix images of a micro-batch"),
        (
            {"data.auto_augment": "randaugment_torchvision", "data.randaugment_magnitude": 9.5},
            "is 9.5, expected a whole number from 0 to 30",
        ),
        (
            {"data.auto_augment": "randaugment", "data.randaugment_magnitude": 11.0},
            "is 11, expected 0 to 10",
        ),
        (
            {"distill.temperature": 2.0},
            "distill.temperature has no use while distill.teacher is empty",
        ),
        ({"optim.scale_lr": True}, "needs train.reference_batch_size"),
        (
            {"model.zero_gamma": True, "model.pretrained": "resnet_18"},
            "zero_gamma has no use with model.pretrained=resnet_18, whose weights have their own",
        ),
        ({"model.head_init": "normal_0.1"}, "expected one of normal, zero, normal_0.01"),
        ({"optim.decay": "some"}, "expected one of matrices, all"),
        ({"model.trainable": "body"}, "expected one of all, head"),
        ({"train.amp": "O3"}, "expected one of '', O1, O2"),
        ({"train.loss_scale": 0.5}, "expected 1 or more"),
    ],
)
def test_options_of_the_optimisation_that_do_not_go_together(fields, message):
    config = default.get_config()
    config.update_from_flattened_dict(fields)
    with pytest.raises(UserError, match=message):
        config_validation.validate(config)


def test_colours_are_not_changed_twice():
    for name in ("randaugment", "autoaugment_imagenet", "autoaugment_cifar10"):
        for field in ("color_jitter", "hue_jitter"):
            config = default.get_config()
            config.data.update({"auto_augment": name, field: 0.1})
            with pytest.raises(UserError, match=f"auto_augment={name} changes the colours itself"):
                config_validation.validate(config)
    config = default.get_config()
    config.data.update(auto_augment="three_augment", color_jitter=0.3)  # as DeiT III
    config_validation.validate(config)


def test_a_length_is_needed():
    config = default.get_config()
    with pytest.raises(UserError, match="both 0"):
        config_validation.validate_length(config)
    config.train.update(steps=10, epochs=1.0)
    with pytest.raises(UserError, match="both set; set the other to 0"):
        config_validation.validate_length(config)
