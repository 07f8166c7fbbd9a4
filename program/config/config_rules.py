"""The rules for fields of a config that depend on each other: which values do not go together.

What a field may be by itself is in `configs/allowed_values.py`.
"""

from ml_collections import ConfigDict

from common.errors import UserError
from configs import default

_STRONGEST_OF_TIMM = 10  # magnitude of timm's RandAugment


def check(config: ConfigDict) -> None:
    """Checks that the fields of a config go together.

    Args:
        config: each of its fields is right by itself.

    Raises:
        UserError: for the first rule that is broken.
    """
    for rules in _RULES:
        rules(config)


def _refuse(broken: object, message: str) -> None:
    """Raises the error of a rule that is broken; the message begins with the name of a field."""
    if broken:
        raise UserError(f"config.{message}")


def _tuples(config: ConfigDict) -> None:
    for name in ("crop_scale", "crop_ratio"):
        value = config.data[name]
        right = len(value) == 2 and 0 < value[0] <= value[1]
        _refuse(not right, f"data.{name} is {value}, expected (smallest, largest), both above 0")
    scale = config.data.crop_scale
    _refuse(scale[1] > 1, f"data.crop_scale is {scale}, expected at most 1: a share of the area")
    for name, least in (("mean", -1e4), ("std", 1e-4)):
        value = config.model[name]
        right = len(value) in (0, 3) and all(least <= one <= 1e4 for one in value)
        expected = f"three numbers from {least:g} to 1e4, or () for the weights' own"
        _refuse(not right, f"model.{name} is {value}, expected {expected}")


def _augment(config: ConfigDict) -> None:
    data = config.data
    _refuse(
        (data.mixup_alpha or data.cutmix_alpha) and config.train.batch_size == 1,
        "data.mixup_alpha and cutmix_alpha mix images of a micro-batch: train.batch_size is 1",
    )
    _randaugment(config)
    jitter = data.color_jitter or data.hue_jitter
    _refuse(
        jitter and data.auto_augment not in ("", "three_augment"),
        f"data.auto_augment={data.auto_augment} changes the colours itself: set color_jitter and "
        "hue_jitter to 0",
    )
    on_device = data.resize_on == "device"
    for name in ("auto_augment", "color_jitter", "hue_jitter"):
        _refuse(
            on_device and data[name],
            f"data.resize_on=device leaves config.data.{name}={data[name]} without resized images "
            "to change: set data.resize_on=host",
        )
    _refuse(
        on_device and data.unlabelled_root,
        "data.resize_on=device needs images that are all of one size, which those of "
        "data.unlabelled_root may not be: set data.resize_on=host",
    )


def _randaugment(config: ConfigDict) -> None:
    kind, magnitude = config.data.auto_augment, config.data.randaugment_magnitude
    _refuse(
        kind != "randaugment_torchvision" and magnitude > _STRONGEST_OF_TIMM,
        f"data.randaugment_magnitude is {magnitude:g}, expected 0 to {_STRONGEST_OF_TIMM} (to 30 "
        "with data.auto_augment=randaugment_torchvision)",
    )
    _refuse(
        kind == "randaugment_torchvision" and magnitude % 1,
        f"data.randaugment_magnitude is {magnitude:g}, expected a whole number from 0 to 30 with "
        "data.auto_augment=randaugment_torchvision",
    )


def _copies(config: ConfigDict) -> None:
    data, model, rdrop = config.data, config.model, config.rdrop
    rates, unlabelled = rdrop.drop_rates, rdrop.unlabelled_batch_size
    right = len(rates) in (0, rdrop.copies) and all(0 <= rate < 1 for rate in rates)
    _refuse(
        not right,
        f"rdrop.drop_rates is {rates}, expected one rate below 1 for each of rdrop.copies, or ()",
    )
    _refuse(
        unlabelled and rdrop.copies == 1,
        "rdrop.unlabelled_batch_size needs rdrop.copies of 2 or more: one copy has no consistency",
    )
    _refuse(
        unlabelled and not (data.unlabelled_root or data.labels_per_class),
        "rdrop.unlabelled_batch_size needs images without labels: set data.unlabelled_root to a "
        "folder of them, or data.labels_per_class, which leaves some out",
    )
    _refuse(
        data.unlabelled_root and not unlabelled,
        "data.unlabelled_root has no use while rdrop.unlabelled_batch_size is 0",
    )
    own = (model.embed_drop_rate, model.proj_drop_rate, model.mlp_drop_rate)
    _refuse(
        rates and all(rate >= 0 for rate in own),
        "rdrop.drop_rates has no use while model.embed_, proj_ and mlp_drop_rate are all set",
    )
    _refuse(
        rdrop.consistency == "cosine" and model.head_init == "zero",
        "rdrop.consistency=cosine has no gradient at model.head_init=zero, where all logits are 0",
    )


def _begin(config: ConfigDict) -> None:
    model = config.model
    _refuse(
        model.zero_gamma and model.pretrained,
        f"model.zero_gamma has no use with model.pretrained={model.pretrained}, whose weights have "
        "their own scales: leave one of them out",
    )


def _own_images(config: ConfigDict) -> None:
    """What only the user's own images have."""
    data = config.data
    for name in ("train_list", "val_list", "test_list", "label_list"):
        _refuse(
            data[name] and data.name != "folder",
            f"data.{name} is for data.name=folder, not {data.name}",
        )
    _refuse(
        not data.train_list and (data.val_list or data.test_list),
        "data.train_list is empty, but another list is set: set it, too",
    )


def _optim(config: ConfigDict) -> None:
    optim, milestones = config.optim, config.optim.milestones
    _refuse(
        optim.nesterov and not (optim.name == "momentum" and optim.momentum),
        "optim.nesterov is for optim.name=momentum, with a momentum above 0",
    )
    _refuse(
        optim.name in ("lamb", "lars") and not optim.weight_decay,
        f"optim.name={optim.name} adapts the rates of parameters that decay: set "
        "optim.weight_decay above 0",
    )
    _refuse(
        not optim.layer_decay,
        "optim.layer_decay is 0, expected above 0, to 1 for the same rate in all layers",
    )
    _refuse(
        optim.final_lr and optim.schedule in ("constant", "multi_step"),
        f"optim.final_lr has no use with optim.schedule={optim.schedule}",
    )
    _refuse(
        optim.final_lr > optim.lr,
        f"optim.final_lr is {optim.final_lr:g}, expected no more than optim.lr={optim.lr:g}",
    )
    _refuse(
        (optim.schedule == "multi_step") != bool(milestones),
        "optim.milestones and optim.schedule=multi_step go together: set both, or neither",
    )
    pairs = zip((optim.warmup_steps, *milestones), milestones)
    rising = all(isinstance(later, int) and earlier < later for earlier, later in pairs)
    _refuse(
        not rising,
        f"optim.milestones is {milestones}, expected rising steps, such as (1000, 2000), after the "
        "warm-up",
    )


def _trained(config: ConfigDict) -> None:
    optim, train = config.optim, config.train
    used = {"optim.layer_decay": optim.layer_decay != 1, "train.recompute": train.recompute}
    for name in used:
        _refuse(
            used[name] and config.model.trainable == "head",
            f"{name} has no use with model.trainable=head, below which nothing is trained",
        )
    _refuse(
        optim.scale_lr and not train.reference_batch_size,
        "optim.scale_lr needs train.reference_batch_size, the global batch that optim.lr was "
        "chosen for",
    )


def _averages(config: ConfigDict) -> None:
    average = config.average
    for name in ("swa_every_steps", "swa_lr", "swa_lowest_lr"):
        _refuse(
            average[name] and not average.swa_start,
            f"average.{name} has no use while average.swa_start is 0",
        )
    _refuse(
        average.swa_lowest_lr and not average.swa_lr > average.swa_lowest_lr,
        f"average.swa_lowest_lr is {average.swa_lowest_lr:g}, "
        f"expected below average.swa_lr={average.swa_lr:g}",
    )


def _distill(config: ConfigDict) -> None:
    distill, usual = config.distill, default.get_config().distill
    if not distill.teacher:
        for name in usual:
            _refuse(
                distill[name] != usual[name],
                f"distill.{name} has no use while distill.teacher is empty: name its model",
            )
        return
    _refuse(
        not distill.weights,
        f"distill.teacher={distill.teacher} needs distill.weights: a teacher that was not trained "
        "teaches nothing",
    )
    _refuse(
        config.loss.form != "softmax",
        f"distill.teacher needs loss.form=softmax, not {config.loss.form}",
    )
    _refuse(
        distill.alpha == 0,
        "distill.alpha is 0, so the teacher would teach nothing; leave distill.teacher empty",
    )
    _refuse(
        distill.alpha == 1 and config.rdrop.copies > 1,
        "distill.alpha is 1, which leaves nothing of R-Drop; set rdrop.copies=1",
    )


def _nonfinite(config: ConfigDict) -> None:
    """What a run does at a loss or a gradient that is not finite."""
    train, usual = config.train, default.get_config().train
    _refuse(
        not train.rollback_lr_factor,
        "train.rollback_lr_factor is 0, expected above 0: nothing would be learned any more",
    )
    users = {"nonfinite_limit": ("skip", "rollback"), "rollback_lr_factor": ("rollback",)}
    for name, values in users.items():
        _refuse(
            train[name] != usual[name] and train.nonfinite not in values,
            f"train.{name} has no use with train.nonfinite={train.nonfinite}; set "
            f"{' or '.join(values)}",
        )


def _recipe(config: ConfigDict) -> None:
    """What a recipe has no answer for."""
    recipe, optim = config.train.recipe, config.optim
    _refuse(
        recipe and optim.scale_lr,
        f"optim.scale_lr has no use with train.recipe={recipe}, which chooses a rate for the batch",
    )


_RULES = (
    _recipe,
    _begin,
    _own_images,
    _tuples,
    _augment,
    _copies,
    _optim,
    _trained,
    _averages,
    _distill,
    _nonfinite,
)
