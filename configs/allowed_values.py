"""What a config field may be, and where its value may differ; its default is in `default.py`.

Who reads this table:
    choices, least, most, below, limit: `program/config/config_validation.py` checks values by them.
    may_change: `program/run_folder.py` refuses to go on with a run whose other fields differ.
    may_differ: `engine/watch/rank_comparison.py` refuses processes whose other fields differ.
    weights_most, weights_may_set: `program/command_line.py` reads the config in a weights file.
    to_choose: `program/config/config_fields.py` finds the fields that `train.recipe` is to choose.
"""

from __future__ import annotations

from typing import NamedTuple

INFINITE = float("inf")
LARGEST_COUNT = 2**31 - 1  # what Paddle takes for a size; no count of a run is larger
LARGEST_SIDE = 16_384  # pixels
MOST_VALUES = 1000  # of a field that is a tuple
CORES = "cores"  # as a bound: how many cores this machine has
TO_CHOOSE = -1  # of a number that `train.recipe` is to choose
AUTO = "auto"  # of `model.name`: the model is told by its weights


class Trait(NamedTuple):
    """What is known of one field. A field without a line in `TRAITS` has the defaults below."""

    choices: tuple[str, ...] = ()  # all values of a field that is text; (): any text
    least: float = 0  # the smallest value; a number is never negative unless this is -INFINITE
    most: float = INFINITE  # the largest value that has a meaning
    below: float = INFINITE  # the value must be smaller than this
    # The largest value that is accepted at all. None: LARGEST_COUNT for an integer, any float.
    limit: float | None = None
    # A stopped run may go on with another value, since it does not change what is computed.
    may_change: bool = False
    may_differ: bool = False  # processes of one run may have other values, on other machines
    # What the config in a weights file may set, when that file may come from a stranger.
    weights_most: int | str | None = None  # at most this, or CORES; None: no bound of its own
    weights_may_set: bool = True  # False: the default is taken
    # The value that leaves the field to `train.recipe`; without a recipe it is refused. None: a
    # recipe never chooses the field.
    to_choose: int | tuple[()] | None = None


TRAITS = {
    "seed": Trait(limit=INFINITE),
    "data.root": Trait(may_change=True, may_differ=True),
    "data.cache_dir": Trait(may_change=True, may_differ=True, weights_may_set=False),
    "data.exif_orientation": Trait(("auto", "apply", "ignore")),
    "data.train_list": Trait(may_change=True, may_differ=True),
    "data.val_list": Trait(may_change=True, may_differ=True),
    "data.test_list": Trait(may_change=True, may_differ=True),
    "data.label_list": Trait(may_change=True, may_differ=True),
    "data.holdout": Trait(below=1, to_choose=TO_CHOOSE),
    "data.label_noise": Trait(below=1),
    "data.unlabelled_root": Trait(may_differ=True),
    "data.crop": Trait(("random_resized", "simple", "padded", "none", "test")),
    "data.crop_scale": Trait(to_choose=()),
    "data.crop_padding": Trait(limit=LARGEST_SIDE),
    "data.flip": Trait(most=1),
    "data.vertical_flip": Trait(most=1),
    "data.auto_augment": Trait(
        (
            *("", "randaugment", "randaugment_torchvision", "autoaugment_imagenet"),
            *("autoaugment_cifar10", "three_augment"),
        )
    ),
    "data.randaugment_layers": Trait(least=1),
    "data.randaugment_magnitude": Trait(most=30),
    "data.hue_jitter": Trait(most=0.5),
    "data.erase_probability": Trait(most=1),
    "data.erase_order": Trait(("before_mixing", "after_mixing")),
    "data.erase_mode": Trait(("const", "rand", "pixel")),
    "data.erase_count": Trait(least=1),
    "data.mix_mode": Trait(("batch", "elem", "pair")),
    "data.mix_probability": Trait(most=1),
    "data.mix_switch_probability": Trait(most=1),
    "data.repeats": Trait(least=1),
    "data.interpolation": Trait(("", "bicubic", "bilinear")),
    "data.resize_on": Trait(("host", "device"), may_change=True),
    "data.eval_crop": Trait(most=1),
    "data.on_corrupt": Trait(("error", "skip"), may_change=True),
    "data.workers": Trait(
        limit=1024, may_change=True, may_differ=True, weights_most=CORES, to_choose=TO_CHOOSE
    ),
    "model.image_size": Trait(limit=LARGEST_SIDE, to_choose=TO_CHOOSE),
    "model.drop_rate": Trait(to_choose=TO_CHOOSE),
    "model.attn_drop_rate": Trait(to_choose=TO_CHOOSE),
    "model.embed_drop_rate": Trait(least=-INFINITE),
    "model.proj_drop_rate": Trait(least=-INFINITE),
    "model.mlp_drop_rate": Trait(least=-INFINITE),
    "model.operators": Trait(("auto", "plain")),
    "model.head_init": Trait(("normal", "zero", "normal_0.01")),
    "model.train_head": Trait(("average", "each", "class", "distillation")),
    "model.eval_head": Trait(("", "average", "class", "distillation")),
    "model.trainable": Trait(("all", "head", "head_and_norm", "attention")),
    "model.pretrained_head": Trait(("auto", "new", "imagenet")),
    "rdrop.copies": Trait(least=1, limit=1024),
    "rdrop.preset": Trait(("per_sample", "paper", "official_code", "paddle_2021")),
    "rdrop.every_steps": Trait(least=1),
    "rdrop.consistency": Trait(("symmetric_kl", "kl", "js", "mse", "cosine")),
    "loss.form": Trait(("softmax", "sigmoid")),
    "loss.label_smoothing": Trait(most=1, to_choose=TO_CHOOSE),
    "distill.kind": Trait(("soft", "hard")),
    "distill.alpha": Trait(most=1),
    "distill.image_size": Trait(limit=LARGEST_SIDE),
    "distill.head": Trait(("auto", "imagenet")),
    "optim.name": Trait(("adamw", "momentum", "sgd", "lamb", "lars")),
    "optim.lr": Trait(to_choose=TO_CHOOSE),
    "optim.layer_decay": Trait(most=1, to_choose=TO_CHOOSE),
    "optim.weight_decay": Trait(to_choose=TO_CHOOSE),
    "optim.clip_norm": Trait(to_choose=TO_CHOOSE),
    "optim.warmup_steps": Trait(to_choose=TO_CHOOSE),
    "optim.momentum": Trait(below=1),
    "optim.beta1": Trait(below=1),
    "optim.beta2": Trait(below=1),
    "optim.decay": Trait(("matrices", "all")),
    "optim.schedule": Trait(("cosine", "linear", "polynomial", "constant", "multi_step")),
    "optim.gamma": Trait(most=1),
    "average.ema_decay": Trait(below=1),
    "average.swa_start": Trait(below=1),
    "train.recipe": Trait(("", "fine_tune")),
    "train.epochs": Trait(limit=10**6, to_choose=TO_CHOOSE),
    # These two may change as long as the global batch stays the same: see `engine/resume.py`.
    "train.batch_size": Trait(least=1, may_change=True, to_choose=TO_CHOOSE),
    "train.accumulation_steps": Trait(least=1, may_change=True),
    "train.micro_batch": Trait(("", "auto"), may_change=True),
    "train.reference_batch_size": Trait(to_choose=TO_CHOOSE),
    "train.recompute": Trait(may_change=True),
    "train.amp": Trait(("", "O1", "O2", "bf16")),
    "train.cache_features": Trait(("auto", "off")),
    "train.cache_gb": Trait(may_change=True, may_differ=True),
    "train.cache_disk_gb": Trait(may_change=True),
    "train.amp_dtype": Trait(("float16", "bfloat16")),
    "train.loss_scale": Trait(least=1),
    # `nonfinite` decides only about steps at which the run would stop.
    "train.nonfinite": Trait(("stop", "skip", "rollback"), may_change=True),
    "train.nonfinite_limit": Trait(least=1, may_change=True),
    "train.rollback_lr_factor": Trait(below=1),
    "train.check_ranks_every_steps": Trait(may_change=True),
    "train.log_every_steps": Trait(least=1),
    "train.histogram_every_steps": Trait(may_change=True),
    "train.checkpoint_every_steps": Trait(least=1, may_change=True),
    "train.keep_checkpoints": Trait(least=1, may_change=True),
    "train.stop_unless_saved": Trait(may_change=True),
    "eval.batch_size": Trait(least=1, weights_most=512),
}


def trait(name: str) -> Trait:
    """Returns the trait of a field, by its dotted name."""
    return TRAITS.get(name, Trait())
