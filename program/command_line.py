"""The command line of `main.py`, `val.py` and the tools that take a config.

`ml_collections.config_flags` reads the config file and the overrides. Each `--config.a.b=value` is
checked here before, since `config_flags` accepts a boolean for an integer, `None` for anything, and
answers an unknown field with a traceback.
"""

from __future__ import annotations

import ast
import os
from collections.abc import Sequence
from pathlib import Path

from absl import flags
from ml_collections import ConfigDict, config_flags

from common.errors import UserError, nearest
from common.files import user_path
from common.safetensors_files import own_metadata, read_metadata
from configs import default
from program.config_fields import KINDS, changed, fits, flattened, from_dict
from program.config_files import load_file, load_table

FLAGS = flags.FLAGS
_SHOWN = 80  # characters of a wrong value
# What a stranger's weights may not decide: the reader's processes and memory, and where files are
# written.
_MOST_OF_WEIGHTS = {"data.workers": os.cpu_count() or 1, "eval.batch_size": 512}
_NEVER_OF_WEIGHTS = ("data.cache_dir",)


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
        check_override(config, name, value)
    if path:
        config_flags.DEFINE_config_file(
            "config", path, "The experiment: a file with get_config().", lock_config=True
        )
    else:
        config_flags.DEFINE_config_dict(
            "config", config, "The config that came with the weights.", lock_config=True
        )


def parse(argv: Sequence[str], fallback: str | ConfigDict) -> list[str]:
    """Parse the flags and the config; for `absl.app.run`. `fallback` is as in `define_config`."""
    define_config(argv, fallback)
    try:
        rest = FLAGS(argv)
    except (flags.Error, AttributeError, KeyError, TypeError, ValueError) as error:
        raise UserError(" ".join(str(error).split())) from None
    if len(rest) > 1:
        raise UserError(
            f"{rest[1]!r} is not a flag; flags begin with --, fields of the config with --config."
        )
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
        raise UserError(
            f"{path} does not carry a config; give the one it was trained with by --config=configs/NAME.py"
        )
    config = from_dict(content["config"], path)
    given, usual = flattened(config), flattened(default.get_config())
    bounded = {name: min(given[name], most) for name, most in _MOST_OF_WEIGHTS.items()}
    return changed(config, {**bounded, **{name: usual[name] for name in _NEVER_OF_WEIGHTS}})


def define_row() -> None:
    """Define `--row`, whose value `stages` takes."""
    flags.DEFINE_string(
        "row", "", "A variant of the experiment: a name that get_rows() of its config file gives."
    )


def run_name() -> str:
    """What a run of the flags is called: its config file, and its row."""
    return "_".join(filter(None, [Path(FLAGS["config"].config_filename).stem, FLAGS.row]))


def output_folder(given: str, ending: str = "") -> Path:
    """The folder that a flag names, else one below `output/` that is called after the run."""
    return user_path(given or f"output/{run_name()}{ending}")


def stages(row: str = "") -> dict[str, ConfigDict]:
    """The configs of the run's stages by their names, in order; a single one without a name where
    the file has none.

    What counts, in this order: the command line, the fields of the row, those of the stage, those
    of `get_config`.

    Args:
        row: a variant of the experiment, a name that the file's `get_rows` gives; empty: as it is.

    Raises:
        UserError: for a row that the file does not have.
    """
    flag = FLAGS["config"]
    path, given = config_flags.get_config_filename(flag), config_flags.get_override_values(flag)
    rows = load_table(path, "get_rows") if row else {}
    if row and row not in rows:
        raise UserError(
            f"--row: {path} has no row {row!r}{nearest(row, rows) if rows else '; it has no rows'}"
        )
    found = load_table(path, "get_stages") or {"": {}}
    return {
        name: changed(FLAGS.config, {**own, **rows.get(row, {}), **given})
        for name, own in found.items()
    }


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


def check_override(config: ConfigDict, name: str, text: str) -> None:
    """Check that a field of the command line is there, and that its text is of the field's type.

    Raises:
        UserError: when it is not.
    """
    known = flattened(config)
    if name not in known:
        if any(field.startswith(name + ".") for field in known):
            raise UserError(
                f"--config.{name} is a group of fields; set one of them, as in --config.{name}.NAME=value"
            )
        raise UserError(f"--config.{name}: no such field{nearest(name, known)}")
    default_value = known[name]
    if isinstance(default_value, str):
        if text == "None":
            raise UserError(f"--config.{name} is text and can't be None; leave it empty for none")
        return
    value = _literal(text)
    if not fits(value, default_value):
        kind = KINDS[type(default_value)]
        raise UserError(
            f"--config.{name}={text[:_SHOWN]}: expected {kind}, such as {default_value!r}"
        )


def _literal(text: str):
    """The Python value of an override; text that is none stays text."""
    if text.lower() in ("true", "false"):
        return text.lower() == "true"
    try:
        return ast.literal_eval(text)
    except (
        ValueError,
        SyntaxError,
        MemoryError,
        RecursionError,
    ):  # the last two: brackets or signs by the thousand
        return text
