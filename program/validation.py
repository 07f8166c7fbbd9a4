"""Checks the values of a config, alone and together; types are checked by
`program.config_fields`.
"""

from __future__ import annotations

import math

from ml_collections import ConfigDict

from common.errors import UserError
from configs import default
from program.config_fields import KINDS, MOST_VALUES, fits, flattened

CHOICES = {
    "data.auto_augment": (
        "",
        "randaugment",
        "autoaugment_imagenet",
        "autoaugment_cifar10",
        "three_augment",
    ),
    "data.crop": ("random_resized", "simple", "padded", "none", "test"),
    "data.erase_mode": ("const", "rand", "pixel"),
    "data.interpolation": ("", "bicubic", "bilinear"),
    "data.mix_mode": ("batch", "elem", "pair"),
    "data.on_corrupt": ("error", "skip"),
    "data.resize_on": ("host", "device"),
    "distill.head": ("auto", "imagenet"),
    "distill.kind": ("soft", "hard"),
    "loss.form": ("softmax", "sigmoid"),
    "model.operators": ("auto", "plain"),
    "model.head_init": ("normal", "zero"),
    "model.pretrained_head": ("auto", "new", "imagenet"),
    "model.train_head": ("average", "each", "class", "distillation"),
    "model.eval_head": ("", "average", "class", "distillation"),
    "model.trainable": ("all", "head", "head_and_norm", "attention"),
    "optim.decay": ("matrices", "all"),
    "optim.name": ("adamw", "momentum", "sgd", "lamb", "lars"),
    "optim.schedule": ("cosine", "linear", "polynomial", "constant", "multi_step"),
    "rdrop.consistency": ("symmetric_kl", "kl", "js", "mse", "cosine"),
    "train.amp": ("", "O1", "O2"),
    "train.amp_dtype": ("float16", "bfloat16"),
    "train.micro_batch": ("", "auto"),
    "train.nonfinite": ("stop", "skip", "rollback"),
    "rdrop.preset": ("per_sample", "paper", "official_code", "paddle_2021"),
}
_AT_LEAST_ONE = (
    *(
        "rdrop.copies",
        "rdrop.every_steps",
        "train.batch_size",
        "train.accumulation_steps",
        "eval.batch_size",
    ),
    *(
        "train.log_every_steps",
        "train.checkpoint_every_steps",
        "train.keep_checkpoints",
        "train.loss_scale",
    ),
    *("train.nonfinite_limit", "data.randaugment_layers", "data.erase_count", "data.repeats"),
)
_SHARES = (
    *("data.flip", "data.vertical_flip", "data.erase_probability", "data.mix_probability"),
    *("data.mix_switch_probability", "loss.label_smoothing", "data.eval_crop", "distill.alpha"),
    *("optim.layer_decay", "optim.gamma"),
)
_LARGEST = 2**31 - 1  # what Paddle takes for a size; no count of a run is larger
_AT_MOST = {
    "data.workers": 1024,
    "rdrop.copies": 1024,
    "train.epochs": 10**6,
    **dict.fromkeys(("model.image_size", "distill.image_size", "data.crop_padding"), 16_384),
}
_BELOW_ONE = (
    "data.holdout",
    "optim.momentum",
    "optim.beta1",
    "optim.beta2",
    "average.ema_decay",
    "average.swa_start",
    "train.rollback_lr_factor",
)
_MAY_BE_NEGATIVE = ("model.embed_drop_rate", "model.proj_drop_rate", "model.mlp_drop_rate")


def validate(config: ConfigDict) -> None:
    """Check the values that no type can.

    Raises:
        UserError: naming the first field that is out of its range.
    """
    given = flattened(config)
    for name, expected in flattened(default.get_config()).items():
        value = given.get(name)
        if not fits(value, expected):
            raise UserError(
                f"config.{name} is {value!r}, expected {KINDS.get(type(expected), 'text')}"
            )
        if isinstance(value, tuple) and len(value) > MOST_VALUES:
            raise UserError(
                f"config.{name} has {len(value)} values, expected at most {MOST_VALUES}"
            )
        if name in CHOICES and value not in CHOICES[name]:
            choices = ", ".join(choice or "''" for choice in CHOICES[name])
            raise UserError(f"config.{name} is {value!r}, expected one of {choices}")
        largest = _AT_MOST.get(name, _LARGEST if isinstance(value, int) else math.inf)
        if (
            name != "seed"
            and largest < abs(value if isinstance(value, (int, float)) else 0) < math.inf
        ):
            raise UserError(f"config.{name} is out of range, expected at most {largest:,}")
        if (
            isinstance(value, (int, float))
            and name not in _MAY_BE_NEGATIVE
            and not 0 <= value < math.inf
        ):
            raise UserError(f"config.{name} is {value}, expected 0 or more")
        if name in _AT_LEAST_ONE and value < 1:
            raise UserError(f"config.{name} is {value}, expected 1 or more")
        if name in _SHARES and value > 1:
            raise UserError(f"config.{name} is {value}, expected 0 to 1")
        if name in _BELOW_ONE and value >= 1:
            raise UserError(f"config.{name} is {value}, expected 0 to below 1")
    if config.seed >= 2**63:
        raise UserError(f"config.seed is {config.seed}, expected below 2^63")
    _validate_tuples(config)
    _validate_augmentation(config.data, config.train.batch_size)
    _validate_copies(config)
    _validate_optim(config)
    _validate_averages(config.average)
    _validate_distillation(config)
    _validate_nonfinite(config.train)


def validate_length(config: ConfigDict) -> None:
    """Check that the length of the run is given, and once.

    Raises:
        UserError: when both steps and epochs are 0, or both are set.
    """
    steps, epochs = config.train.steps, config.train.epochs
    if not steps and not epochs:
        raise UserError("config.train.steps and config.train.epochs are both 0; set one of them")
    if steps and epochs:
        raise UserError(
            f"config.train.steps={steps} and config.train.epochs={epochs:g} are both set; set the other to 0"
        )


def _validate_augmentation(options: ConfigDict, batch_size: int) -> None:
    if (options.mixup_alpha or options.cutmix_alpha) and batch_size == 1:
        raise UserError(
            "config.data.mixup_alpha and cutmix_alpha mix images of a micro-batch: train.batch_size is 1"
        )
    for name, largest in (("randaugment_magnitude", 10), ("hue_jitter", 0.5)):
        if options[name] > largest:
            raise UserError(f"config.data.{name} is {options[name]}, expected 0 to {largest}")
    if (options.color_jitter or options.hue_jitter) and options.auto_augment not in (
        "",
        "three_augment",
    ):
        raise UserError(
            f"config.data.auto_augment={options.auto_augment} changes the colours itself: set color_jitter and "
            "hue_jitter to 0"
        )
    if options.resize_on == "device":
        _validate_resize(options)


def _validate_resize(options: ConfigDict) -> None:
    """See that nothing comes between the resize and the device."""
    for name in ("auto_augment", "color_jitter", "hue_jitter"):
        if options[name]:
            raise UserError(
                f"config.data.resize_on=device leaves config.data.{name}={options[name]} without resized images to "
                "change: set data.resize_on=host"
            )
    if options.unlabelled_root:
        raise UserError(
            "config.data.resize_on=device needs images that are all of one size, which those of data.unlabelled_root "
            "may not be: set data.resize_on=host"
        )


def _validate_copies(config: ConfigDict) -> None:
    copies, rates = config.rdrop.copies, config.rdrop.drop_rates
    if len(rates) not in (0, copies) or not all(0 <= rate < 1 for rate in rates):
        raise UserError(
            f"config.rdrop.drop_rates is {rates}, expected one rate below 1 for each of rdrop.copies, or ()"
        )
    if config.rdrop.unlabelled_batch_size and copies == 1:
        raise UserError(
            "config.rdrop.unlabelled_batch_size needs rdrop.copies of 2 or more: one copy has no consistency"
        )
    sources = config.data.unlabelled_root or config.data.labels_per_class
    if config.rdrop.unlabelled_batch_size and not sources:
        raise UserError(
            "config.rdrop.unlabelled_batch_size needs images without labels: set data.unlabelled_root to a folder of "
            "them, or data.labels_per_class, which leaves some out"
        )
    if config.data.unlabelled_root and not config.rdrop.unlabelled_batch_size:
        raise UserError(
            "config.data.unlabelled_root has no use while rdrop.unlabelled_batch_size is 0"
        )
    own = (config.model[name] for name in ("embed_drop_rate", "proj_drop_rate", "mlp_drop_rate"))
    if rates and all(rate >= 0 for rate in own):
        raise UserError(
            "config.rdrop.drop_rates has no use while model.embed_, proj_ and mlp_drop_rate are all set"
        )
    if config.rdrop.consistency == "cosine" and config.model.head_init == "zero":
        raise UserError(
            "config.rdrop.consistency=cosine has no gradient at model.head_init=zero, where all logits are 0"
        )


def _validate_optim(config: ConfigDict) -> None:
    optim, milestones = config.optim, config.optim.milestones
    if optim.nesterov and not (optim.name == "momentum" and optim.momentum):
        raise UserError("config.optim.nesterov is for optim.name=momentum, with a momentum above 0")
    if optim.name in ("lamb", "lars") and not optim.weight_decay:
        raise UserError(
            f"config.optim.name={optim.name} adapts the rates of parameters that decay: set optim.weight_decay above 0"
        )
    if not optim.layer_decay:
        raise UserError(
            "config.optim.layer_decay is 0, expected above 0, to 1 for the same rate in all layers"
        )
    if optim.final_lr and optim.schedule in ("constant", "multi_step"):
        raise UserError(f"config.optim.final_lr has no use with optim.schedule={optim.schedule}")
    if optim.final_lr > optim.lr:
        raise UserError(
            f"config.optim.final_lr is {optim.final_lr:g}, expected no more than optim.lr={optim.lr:g}"
        )
    if (optim.schedule == "multi_step") != bool(milestones):
        raise UserError(
            "config.optim.milestones and optim.schedule=multi_step go together: set both, or neither"
        )
    rising = all(
        earlier < later for earlier, later in zip((optim.warmup_steps, *milestones), milestones)
    )
    if not rising or not all(isinstance(step, int) for step in milestones):
        raise UserError(
            f"config.optim.milestones is {milestones}, expected rising steps, such as (1000, 2000), after the warm-up"
        )
    for name, used in (
        ("optim.layer_decay", optim.layer_decay != 1),
        ("train.recompute", config.train.recompute),
    ):
        if used and config.model.trainable == "head":
            raise UserError(
                f"config.{name} has no use with model.trainable=head, below which nothing is trained"
            )
    if optim.scale_lr and not config.train.reference_batch_size:
        raise UserError(
            "config.optim.scale_lr needs train.reference_batch_size, the global batch that optim.lr was chosen for"
        )


def _validate_averages(average: ConfigDict) -> None:
    for name in ("swa_every_steps", "swa_lr", "swa_lowest_lr"):
        if average[name] and not average.swa_start:
            raise UserError(f"config.average.{name} has no use while average.swa_start is 0")
    if average.swa_lowest_lr and not average.swa_lr > average.swa_lowest_lr:
        raise UserError(
            f"config.average.swa_lowest_lr is {average.swa_lowest_lr:g}, "
            f"expected below average.swa_lr={average.swa_lr:g}"
        )


def _validate_distillation(config: ConfigDict) -> None:
    distill = config.distill
    if not distill.teacher:
        for name, unused in default.get_config().distill.items():
            if distill[name] != unused:
                raise UserError(
                    f"config.distill.{name} has no use while distill.teacher is empty: name its model"
                )
        return
    if not distill.weights:
        raise UserError(
            f"config.distill.teacher={distill.teacher} needs distill.weights: a teacher that was not trained teaches "
            "nothing"
        )
    if config.loss.form != "softmax":
        raise UserError(f"config.distill.teacher needs loss.form=softmax, not {config.loss.form}")
    if distill.alpha == 0:
        raise UserError(
            "config.distill.alpha is 0, so the teacher would teach nothing; leave distill.teacher empty"
        )
    if distill.alpha == 1 and config.rdrop.copies > 1:
        raise UserError(
            "config.distill.alpha is 1, which leaves nothing of R-Drop; set rdrop.copies=1"
        )


def _validate_nonfinite(train: ConfigDict) -> None:
    if not train.rollback_lr_factor:
        raise UserError(
            "config.train.rollback_lr_factor is 0, expected above 0: nothing would be learned any more"
        )
    defaults, chosen = default.get_config().train, train.nonfinite
    for name, users in (
        ("nonfinite_limit", ("skip", "rollback")),
        ("rollback_lr_factor", ("rollback",)),
    ):
        if train[name] != defaults[name] and chosen not in users:
            raise UserError(
                f"config.train.{name} has no use with train.nonfinite={chosen}; set {' or '.join(users)}"
            )


def _validate_tuples(config: ConfigDict) -> None:
    for name in ("crop_scale", "crop_ratio"):
        value = config.data[name]
        if len(value) != 2 or not 0 < value[0] <= value[1]:
            raise UserError(
                f"config.data.{name} is {value}, expected (smallest, largest), both above 0"
            )
    if config.data.crop_scale[1] > 1:
        raise UserError(
            f"config.data.crop_scale is {config.data.crop_scale}, expected at most 1: a share of the area"
        )
    for name in ("mean", "std"):
        value = config.model[name]
        least = 1e-4 if name == "std" else -1e4
        if len(value) not in (0, 3) or not all(least <= one <= 1e4 for one in value):
            expected = f"three numbers from {least:g} to 1e4, or () for the weights' own"
            raise UserError(f"config.model.{name} is {value}, expected {expected}")
