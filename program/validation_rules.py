"""The rules for fields of a config that depend on each other: what does not go together.

What a field may be by itself is in `configs/traits.py`.
"""

from __future__ import annotations

from ml_collections import ConfigDict

from common.errors import UserError
from configs import default


def check(config: ConfigDict) -> None:
    """Checks that the fields of a config go together.

    Args:
        config: each field of it has passed `validation.validate`.

    Raises:
        UserError: naming the first field that does not go with another.
    """
    if config.seed >= 2**63:
        raise UserError(f"config.seed is {config.seed}, expected below 2^63")
    _check_tuples(config)
    _check_augmentation(config)
    _check_copies(config)
    _check_optim(config.optim)
    _check_milestones(config.optim)
    _check_what_is_trained(config)
    _check_averages(config.average)
    _check_distillation(config)
    _check_nonfinite(config.train)


def _check_tuples(config: ConfigDict) -> None:
    for name in ("crop_scale", "crop_ratio"):
        value = config.data[name]
        if len(value) != 2 or not 0 < value[0] <= value[1]:
            raise UserError(
                f"config.data.{name} is {value}, expected (smallest, largest), both above 0"
            )
    scale = config.data.crop_scale
    if scale[1] > 1:
        raise UserError(
            f"config.data.crop_scale is {scale}, expected at most 1: a share of the area"
        )
    for name, least in (("mean", -1e4), ("std", 1e-4)):
        value = config.model[name]
        if len(value) not in (0, 3) or not all(least <= one <= 1e4 for one in value):
            expected = f"three numbers from {least:g} to 1e4, or () for the weights' own"
            raise UserError(f"config.model.{name} is {value}, expected {expected}")


def _check_augmentation(config: ConfigDict) -> None:
    data = config.data
    if (data.mixup_alpha or data.cutmix_alpha) and config.train.batch_size == 1:
        raise UserError(
            "config.data.mixup_alpha and cutmix_alpha mix images of a micro-batch: "
            "train.batch_size is 1"
        )
    jitter = data.color_jitter or data.hue_jitter
    if jitter and data.auto_augment not in ("", "three_augment"):
        raise UserError(
            f"config.data.auto_augment={data.auto_augment} changes the colours itself: set "
            "color_jitter and hue_jitter to 0"
        )
    if data.resize_on != "device":
        return
    for name in ("auto_augment", "color_jitter", "hue_jitter"):
        if data[name]:
            raise UserError(
                f"config.data.resize_on=device leaves config.data.{name}={data[name]} without "
                "resized images to change: set data.resize_on=host"
            )
    if data.unlabelled_root:
        raise UserError(
            "config.data.resize_on=device needs images that are all of one size, which those of "
            "data.unlabelled_root may not be: set data.resize_on=host"
        )


def _check_copies(config: ConfigDict) -> None:
    data, model, rdrop = config.data, config.model, config.rdrop
    rates = rdrop.drop_rates
    if len(rates) not in (0, rdrop.copies) or not all(0 <= rate < 1 for rate in rates):
        raise UserError(
            f"config.rdrop.drop_rates is {rates}, expected one rate below 1 for each of "
            "rdrop.copies, or ()"
        )
    if rdrop.unlabelled_batch_size and rdrop.copies == 1:
        raise UserError(
            "config.rdrop.unlabelled_batch_size needs rdrop.copies of 2 or more: one copy has no "
            "consistency"
        )
    if rdrop.unlabelled_batch_size and not (data.unlabelled_root or data.labels_per_class):
        raise UserError(
            "config.rdrop.unlabelled_batch_size needs images without labels: set "
            "data.unlabelled_root to a folder of them, or data.labels_per_class, which leaves "
            "some out"
        )
    if data.unlabelled_root and not rdrop.unlabelled_batch_size:
        raise UserError(
            "config.data.unlabelled_root has no use while rdrop.unlabelled_batch_size is 0"
        )
    own = (model.embed_drop_rate, model.proj_drop_rate, model.mlp_drop_rate)
    if rates and all(rate >= 0 for rate in own):
        raise UserError(
            "config.rdrop.drop_rates has no use while model.embed_, proj_ and mlp_drop_rate are "
            "all set"
        )
    if rdrop.consistency == "cosine" and model.head_init == "zero":
        raise UserError(
            "config.rdrop.consistency=cosine has no gradient at model.head_init=zero, where all "
            "logits are 0"
        )


def _check_optim(optim: ConfigDict) -> None:
    if optim.nesterov and not (optim.name == "momentum" and optim.momentum):
        raise UserError("config.optim.nesterov is for optim.name=momentum, with a momentum above 0")
    if optim.name in ("lamb", "lars") and not optim.weight_decay:
        raise UserError(
            f"config.optim.name={optim.name} adapts the rates of parameters that decay: set "
            "optim.weight_decay above 0"
        )
    if not optim.layer_decay:
        raise UserError(
            "config.optim.layer_decay is 0, expected above 0, to 1 for the same rate in all layers"
        )
    if optim.final_lr and optim.schedule in ("constant", "multi_step"):
        raise UserError(f"config.optim.final_lr has no use with optim.schedule={optim.schedule}")
    if optim.final_lr > optim.lr:
        raise UserError(
            f"config.optim.final_lr is {optim.final_lr:g}, expected no more than "
            f"optim.lr={optim.lr:g}"
        )


def _check_milestones(optim: ConfigDict) -> None:
    milestones = optim.milestones
    if (optim.schedule == "multi_step") != bool(milestones):
        raise UserError(
            "config.optim.milestones and optim.schedule=multi_step go together: set both, or neither"
        )
    steps = (optim.warmup_steps, *milestones)
    rising = all(earlier < later for earlier, later in zip(steps, milestones))
    if not rising or not all(isinstance(step, int) for step in milestones):
        raise UserError(
            f"config.optim.milestones is {milestones}, expected rising steps, such as "
            "(1000, 2000), after the warm-up"
        )


def _check_what_is_trained(config: ConfigDict) -> None:
    train = config.train
    below_the_head = {
        "optim.layer_decay": config.optim.layer_decay != 1,
        "train.recompute": train.recompute,
    }
    for name, used in below_the_head.items():
        if used and config.model.trainable == "head":
            raise UserError(
                f"config.{name} has no use with model.trainable=head, below which nothing is "
                "trained"
            )
    if config.optim.scale_lr and not train.reference_batch_size:
        raise UserError(
            "config.optim.scale_lr needs train.reference_batch_size, the global batch that "
            "optim.lr was chosen for"
        )


def _check_averages(average: ConfigDict) -> None:
    for name in ("swa_every_steps", "swa_lr", "swa_lowest_lr"):
        if average[name] and not average.swa_start:
            raise UserError(f"config.average.{name} has no use while average.swa_start is 0")
    if average.swa_lowest_lr and not average.swa_lr > average.swa_lowest_lr:
        raise UserError(
            f"config.average.swa_lowest_lr is {average.swa_lowest_lr:g}, "
            f"expected below average.swa_lr={average.swa_lr:g}"
        )


def _check_distillation(config: ConfigDict) -> None:
    distill = config.distill
    if not distill.teacher:
        for name, unused in default.get_config().distill.items():
            if distill[name] != unused:
                raise UserError(
                    f"config.distill.{name} has no use while distill.teacher is empty: name its "
                    "model"
                )
        return
    if not distill.weights:
        raise UserError(
            f"config.distill.teacher={distill.teacher} needs distill.weights: a teacher that was "
            "not trained teaches nothing"
        )
    if config.loss.form != "softmax":
        raise UserError(f"config.distill.teacher needs loss.form=softmax, not {config.loss.form}")
    if distill.alpha == 0:
        raise UserError(
            "config.distill.alpha is 0, so the teacher would teach nothing; leave distill.teacher "
            "empty"
        )
    if distill.alpha == 1 and config.rdrop.copies > 1:
        raise UserError(
            "config.distill.alpha is 1, which leaves nothing of R-Drop; set rdrop.copies=1"
        )


def _check_nonfinite(train: ConfigDict) -> None:
    if not train.rollback_lr_factor:
        raise UserError(
            "config.train.rollback_lr_factor is 0, expected above 0: nothing would be learned any "
            "more"
        )
    defaults = default.get_config().train
    users = {"nonfinite_limit": ("skip", "rollback"), "rollback_lr_factor": ("rollback",)}
    for name, values in users.items():
        if train[name] != defaults[name] and train.nonfinite not in values:
            raise UserError(
                f"config.train.{name} has no use with train.nonfinite={train.nonfinite}; set "
                f"{' or '.join(values)}"
            )
