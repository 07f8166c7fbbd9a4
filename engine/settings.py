"""Configs and flags: strict where the raw flags are lenient, and one line for every mistake.

`ml_collections.config_flags` reads the file and the overrides. Before it does, each `--config.a.b=value` is checked
here, since it accepts a boolean for an integer, `None` for anything, and answers an unknown field with a traceback.
"""

from __future__ import annotations

import ast
import importlib.util
from collections.abc import Sequence
from pathlib import Path

from absl import flags
from ml_collections import ConfigDict, config_flags

from common.errors import UserError, nearest
from common.safe_load import own_metadata, read_metadata
from configs import default

FLAGS = flags.FLAGS
_CHOICES = {
    "data.auto_augment": ("", "randaugment", "autoaugment_imagenet", "autoaugment_cifar10", "three_augment"),
    "data.crop": ("random_resized", "simple", "padded", "none", "test"),
    "data.erase_mode": ("const", "rand", "pixel"),
    "data.interpolation": ("", "bicubic", "bilinear"),
    "data.mix_mode": ("batch", "elem", "pair"),
    "data.on_corrupt": ("error", "skip"),
    "distill.head": ("auto", "imagenet"),
    "distill.kind": ("soft", "hard"),
    "loss.form": ("softmax", "sigmoid"),
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
    "rdrop.preset": ("per_sample", "paper", "official_code", "paddle_2021"),
}
_AT_LEAST_ONE = (
    *("rdrop.copies", "rdrop.every_steps", "train.batch_size", "train.accumulation_steps", "eval.batch_size"),
    *("train.log_every_steps", "train.checkpoint_every_steps", "train.keep_checkpoints", "train.loss_scale"),
    *("data.randaugment_layers", "data.erase_count", "data.repeats"),
)
_SHARES = (
    *("data.flip", "data.vertical_flip", "data.erase_probability", "data.mix_probability"),
    *("data.mix_switch_probability", "loss.label_smoothing", "data.eval_crop", "distill.alpha"),
    *("optim.layer_decay", "optim.gamma"),
)
_BELOW_ONE = ("data.holdout", "optim.momentum", "optim.beta1", "optim.beta2", "average.ema_decay", "average.swa_start")
_MAY_BE_NEGATIVE = ("model.embed_drop_rate", "model.proj_drop_rate", "model.mlp_drop_rate")


def define_config(argv: Sequence[str], fallback: str | ConfigDict) -> None:
    """Define `--config` and its overrides, after checking those in `argv`.

    Args:
        argv: the command line.
        fallback: what `--config` is when it is not given: a file, or a config.

    Raises:
        UserError: for a config file that can't be used, or an override that does not fit it.
    """
    path = _option(argv, "config") or (fallback if isinstance(fallback, str) else "")
    config = load_file(path) if path else fallback
    for name, value in _overrides(argv):
        _check_override(config, name, value)
    if path:
        config_flags.DEFINE_config_file("config", path, "The experiment: a file with get_config().", lock_config=True)
    else:
        config_flags.DEFINE_config_dict("config", config, "The config that came with the weights.", lock_config=True)


def parse(argv: Sequence[str], fallback: str | ConfigDict) -> list[str]:
    """Parse the flags and the config; for `absl.app.run`. `fallback` is as in `define_config`."""
    define_config(argv, fallback)
    try:
        rest = FLAGS(argv)
    except (flags.Error, AttributeError, KeyError, TypeError, ValueError) as error:
        raise UserError(" ".join(str(error).split())) from None
    if len(rest) > 1:
        raise UserError(f"{rest[1]!r} is not a flag; flags begin with --, fields of the config with --config.")
    return rest


def config_of_weights(argv: Sequence[str]) -> ConfigDict:
    """The config inside the file of `--weights`, or the defaults where `--config` gives another.

    Raises:
        UserError: when the file has none and `--config` is not given.
    """
    path = _option(argv, "weights")
    if not path or _option(argv, "config"):
        return default.get_config()
    content = own_metadata(read_metadata(path), path) or {}
    if "config" not in content:
        raise UserError(f"{path} does not carry a config; give the one it was trained with by --config=configs/NAME.py")
    return from_dict(content["config"], path)


def load_file(path: str) -> ConfigDict:
    """Run the `get_config` of a config file."""
    return _call(path, "get_config")


def load_table(path: str, function: str) -> dict[str, dict[str, object]]:
    """Run a function of a config file that gives fields by the name of a stage or a row; {} where there is none.

    Raises:
        UserError: for a field that does not exist, or a value that does not fit it.
    """
    table, known = _call(path, function) or {}, fields(default.get_config())
    for row, values in table.items():
        for name, value in values.items():
            if name not in known:
                raise UserError(f"{path}: {function}: {row}: {name}: no such field{nearest(name, known)}")
            if not _fits(value, known[name]):
                raise UserError(f"{path}: {function}: {row}: {name}={value!r}: expected such as {known[name]!r}")
    return table


def stages(row: str = "") -> dict[str, ConfigDict]:
    """The configs of the run's stages by their names, in order; a single one without a name where the file has none.

    What counts, in this order: the command line, the fields of the row, those of the stage, those of `get_config`.

    Args:
        row: a variant of the experiment, a name that the file's `get_rows` gives; empty: as it is.

    Raises:
        UserError: for a row that the file does not have.
    """
    flag = FLAGS["config"]
    path, given = config_flags.get_config_filename(flag), config_flags.get_override_values(flag)
    rows = load_table(path, "get_rows") if row else {}
    if row and row not in rows:
        raise UserError(f"--row: {path} has no row {row!r}{nearest(row, rows)}")
    found = load_table(path, "get_stages") or {"": {}}
    return {name: changed(FLAGS.config, {**own, **rows.get(row, {}), **given}) for name, own in found.items()}


def _call(path: str, function: str):
    """What a function without arguments of a config file gives; None where the file lacks it."""
    if not Path(path).is_file():
        known = [file.stem for file in Path("configs").glob("*.py") if file.stem not in ("__init__", "default")]
        raise UserError(f"--config: {path} is not a file{nearest(Path(path).stem, known)}")
    specification = importlib.util.spec_from_file_location("experiment", path)
    if specification is None:
        raise UserError(f"--config: {path} is not a Python file")
    module = importlib.util.module_from_spec(specification)
    try:
        specification.loader.exec_module(module)
        return getattr(module, function)() if function == "get_config" or hasattr(module, function) else None
    except Exception as error:  # a config is the user's own code: whatever it raises is theirs to mend
        raise UserError(f"--config: {path}: {type(error).__name__}: {' '.join(str(error).split())}") from None


def _option(argv: Sequence[str], name: str) -> str:
    """The value of `--name=value` or `--name value`; the last one counts."""
    found = ""
    for position, word in enumerate(argv):
        key, equals, value = word.lstrip("-").partition("=")
        if word.startswith("-") and key == name:
            found = value if equals else "".join(argv[position + 1 : position + 2])
    return found


def _overrides(argv: Sequence[str]) -> list[tuple[str, str]]:
    """`(field, value)` of each `--config.field=value` and `--config.field value`."""
    found = []
    for position, word in enumerate(argv):
        key, equals, value = word.lstrip("-").partition("=")
        if word.startswith("-") and key.startswith(("config.", "noconfig.")):
            if not equals:
                value = "".join(argv[position + 1 : position + 2])
            found.append((key.partition(".")[2], value))
    return found


def _check_override(config: ConfigDict, name: str, text: str) -> None:
    known = fields(config)
    if name not in known:
        if any(field.startswith(name + ".") for field in known):
            raise UserError(f"--config.{name} is a group of fields; set one of them, as in --config.{name}.NAME=value")
        raise UserError(f"--config.{name}: no such field{nearest(name, known)}")
    default_value = known[name]
    if isinstance(default_value, str):
        if text == "None":
            raise UserError(f"--config.{name} is text and can't be None; leave it empty for none")
        return
    value = _literal(text)
    if not _fits(value, default_value):
        kind = _KINDS[type(default_value)]
        raise UserError(f"--config.{name}={text}: expected {kind}, such as {default_value!r}")


_KINDS = {bool: "true or false", int: "an integer", float: "a number", tuple: "a tuple of numbers"}


def _literal(text: str):
    """The Python value of an override; text that is none stays text."""
    if text.lower() in ("true", "false"):
        return text.lower() == "true"
    try:
        return ast.literal_eval(text)
    except (ValueError, SyntaxError):
        return text


def _fits(value, default_value) -> bool:
    if isinstance(default_value, str):
        return isinstance(value, str)
    if isinstance(default_value, tuple):
        return isinstance(value, tuple) and all(_fits(item, 0.0) for item in value)
    if isinstance(default_value, bool) or isinstance(value, bool):
        return isinstance(value, bool) and isinstance(default_value, bool)
    return isinstance(value, (int, float) if isinstance(default_value, float) else int)


def changed(config: ConfigDict, values: dict[str, object]) -> ConfigDict:
    """A copy of a config with other values for some fields, which are given by their dotted names."""
    copy = ConfigDict(config.to_dict())
    copy.update_from_flattened_dict(values)
    return copy.lock()


def fields(config: ConfigDict, prefix: str = "") -> dict[str, object]:
    """All fields of a config by their dotted names."""
    flat = {}
    for name, value in config.items():
        nested = isinstance(value, ConfigDict)
        flat.update(fields(value, f"{prefix}{name}.") if nested else {prefix + name: value})
    return flat


def validate(config: ConfigDict) -> None:
    """Check the values that no type can.

    Raises:
        UserError: naming the first field that is out of its range.
    """
    for name, expected in fields(default.get_config()).items():
        value = fields(config).get(name)
        if not _fits(value, expected):
            raise UserError(f"config.{name} is {value!r}, expected {_KINDS.get(type(expected), 'text')}")
        if name in _CHOICES and value not in _CHOICES[name]:
            choices = ", ".join(choice or "''" for choice in _CHOICES[name])
            raise UserError(f"config.{name} is {value!r}, expected one of {choices}")
        if isinstance(value, (int, float)) and name not in _MAY_BE_NEGATIVE and not 0 <= value < float("inf"):
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
    _validate_augmentation(config.data)
    _validate_copies(config)
    _validate_optim(config)
    _validate_averages(config.average)
    _validate_distillation(config)


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


def _validate_augmentation(options: ConfigDict) -> None:
    for name, largest in (("randaugment_magnitude", 10), ("hue_jitter", 0.5)):
        if options[name] > largest:
            raise UserError(f"config.data.{name} is {options[name]}, expected 0 to {largest}")
    if (options.color_jitter or options.hue_jitter) and options.auto_augment not in ("", "three_augment"):
        raise UserError(
            f"config.data.auto_augment={options.auto_augment} changes the colours itself: set color_jitter and "
            "hue_jitter to 0"
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
        raise UserError("config.data.unlabelled_root has no use while rdrop.unlabelled_batch_size is 0")
    own = (config.model[name] for name in ("embed_drop_rate", "proj_drop_rate", "mlp_drop_rate"))
    if rates and all(rate >= 0 for rate in own):
        raise UserError("config.rdrop.drop_rates has no use while model.embed_, proj_ and mlp_drop_rate are all set")
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
        raise UserError("config.optim.layer_decay is 0, expected above 0, to 1 for the same rate in all layers")
    if optim.final_lr and optim.schedule in ("constant", "multi_step"):
        raise UserError(f"config.optim.final_lr has no use with optim.schedule={optim.schedule}")
    if (optim.schedule == "multi_step") != bool(milestones):
        raise UserError("config.optim.milestones and optim.schedule=multi_step go together: set both, or neither")
    rising = all(earlier < later for earlier, later in zip((optim.warmup_steps, *milestones), milestones))
    if not rising or not all(isinstance(step, int) for step in milestones):
        raise UserError(
            f"config.optim.milestones is {milestones}, expected rising steps, such as (1000, 2000), after the warm-up"
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
        if distill.weights:
            raise UserError("config.distill.weights has no use while distill.teacher is empty: name its model")
        return
    if not distill.weights:
        raise UserError(
            f"config.distill.teacher={distill.teacher} needs distill.weights: a teacher that was not trained teaches "
            "nothing"
        )
    if config.loss.form != "softmax":
        raise UserError(f"config.distill.teacher needs loss.form=softmax, not {config.loss.form}")
    if distill.alpha == 0:
        raise UserError("config.distill.alpha is 0, so the teacher would teach nothing; leave distill.teacher empty")
    if distill.alpha == 1 and config.rdrop.copies > 1:
        raise UserError("config.distill.alpha is 1, which leaves nothing of R-Drop; set rdrop.copies=1")


def _validate_tuples(config: ConfigDict) -> None:
    for name in ("crop_scale", "crop_ratio"):
        value = config.data[name]
        if len(value) != 2 or not 0 < value[0] <= value[1]:
            raise UserError(f"config.data.{name} is {value}, expected (smallest, largest), both above 0")
    if config.data.crop_scale[1] > 1:
        raise UserError(f"config.data.crop_scale is {config.data.crop_scale}, expected at most 1: a share of the area")
    for name in ("mean", "std"):
        value = config.model[name]
        if len(value) not in (0, 3) or (name == "std" and min(value, default=1) <= 0):
            raise UserError(f"config.model.{name} is {value}, expected three numbers, or () for the weights' own")


def from_dict(stored: object, origin: str) -> ConfigDict:
    """A config from what JSON made of it; nothing in it is executed. Fields that it lacks keep their defaults.

    Raises:
        UserError: when it is not a config of this version; `origin` names its file.
    """
    if not isinstance(stored, dict):
        raise UserError(f"{origin}: its config is not readable (not an object)")
    config = default.get_config()
    known = fields(config)
    try:
        content = fields(ConfigDict(stored))
    except (ValueError, TypeError, KeyError, AttributeError) as error:
        raise UserError(f"{origin}: its config is not readable ({error})") from None
    for name, value in content.items():
        if name not in known:
            raise UserError(f"{origin}: its config has the field {name}, which this version does not know")
        value = tuple(value) if isinstance(value, (list, tuple)) else value
        if not _fits(value, known[name]):
            raise UserError(f"{origin}: its config has {name} = {value!r}, expected such as {known[name]!r}")
        config.update_from_flattened_dict({name: value})
    return config
