"""Reads the command line of `main.py`, `val.py` and the tools that take a config.

`ml_collections.config_flags` reads the config file and the overrides. Each
`--config.group.field=value` is checked here first: `config_flags` accepts a boolean for an integer
and `None` for anything, and answers an unknown field with a traceback.
"""

from __future__ import annotations

import ast
import re
from collections.abc import Iterator, Sequence
from pathlib import Path

from absl import flags
from ml_collections import ConfigDict, config_flags

from common.errors import UserError, nearest
from common.reading import user_path
from configs import default
from program import command_words, help_page, stored_configs
from program.config import config_use
from program.config.config_fields import (
    KINDS,
    changed,
    fits,
    flattened,
    nearest_field,
)
from program.config.config_files import find, load_file, load_table

FLAGS = flags.FLAGS
_SHOWN = 80  # characters of a wrong value
_OTHER_LENGTH = {"train.steps": "train.epochs", "train.epochs": "train.steps"}
DEFAULT_EXPERIMENT = str(Path(__file__).resolve().parent.parent / "configs" / "digits_rdrop.py")


def parse(
    argv: Sequence[str], fallback: str | ConfigDict = DEFAULT_EXPERIMENT, most_words: int = 0
) -> list[str]:
    """Defines `--config`, and parses all flags, for `absl.app.run`; overrides are checked first.

    Args:
        argv: the command line.
        fallback: the value of `--config` when it is not given: the path of a file, or a config.
        most_words: how many words that are no flags there may be, before or behind the flags.

    Returns:
        The words that are no flags: the name of the program first.

    Raises:
        UserError: for a config file that can't be used, an override that does not fit it, or any
            other mistake.
    """
    if help_page.is_wanted(argv):
        help_page.show(argv[0])
    given, path, config = _option(argv, "config"), "", fallback
    if given is not None or isinstance(fallback, str):
        path = find(fallback if given is None else given)
        config = load_file(path)
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
    rest, own = [], help_page.own_flags(argv[0])
    FLAGS.set_gnu_getopt(most_words > 0)
    try:
        rest = FLAGS(_with_path(argv, path))
    except flags.UnrecognizedFlagError as error:
        raise command_words.unknown_flag(error.flagname, own) from None
    except (flags.Error, AttributeError, KeyError, TypeError, ValueError) as error:
        message = " ".join(str(error).split())
        missing = re.match(r"flag --(\w+)=None: ", message)
        if not missing:
            raise UserError(message) from None
        rest = [word for word in argv[:2] if not word.startswith("-")]
        if len(rest) < 2:
            raise UserError(f"--{missing[1]} is missing; --help says what it is") from None
    if len(rest) > 1 + most_words:
        raise command_words.stray_word(rest[1 + most_words], own, path)
    return rest


def config_of_weights(argv: Sequence[str]) -> ConfigDict:
    """Returns the config in the (first) file of `--weights`; the default with `--config`.

    Raises:
        UserError: when the file has no config, and nothing else says what it is evaluated on.
    """
    given = [value for name, value in _words(argv) if name == "weights" and value]
    if not given or _option(argv, "config") or help_page.is_wanted(argv):
        return default.get_config()
    others = any(_option(argv, name) for name in ("model", "data_root"))
    first = stored_configs.expanded(given)[0]
    return stored_configs.config_for(first, others, _option(argv, "model") or "")


def names_config(argv: Sequence[str]) -> bool:
    """Returns whether the command line has a `--config`."""
    return bool(_option(argv, "config"))


def define_row() -> None:
    """Defines `--row`, whose value `stages` takes."""
    flags.DEFINE_string(
        "row", "", "A variant of the experiment: a name that get_rows() of its config file gives."
    )


def output_folder(given: str, ending: str = "") -> Path:
    """Returns the folder that a flag names.

    By default it is below `output/`, and its name is that of the config file, the row if there is
    one, and `ending`.
    """
    name = "_".join(filter(None, [Path(FLAGS["config"].config_filename).stem, FLAGS.row]))
    return user_path(given or f"output/{name}{ending}")


def stages(row: str = "") -> dict[str, ConfigDict]:
    """Returns the configs of the run's stages by their names, in order.

    The value of a field comes from the first of these that has one: the command line, the row, the
    stage, `get_config`.

    Args:
        row: the name of a variant of the experiment, in the file's `get_rows`; empty: none.

    Returns:
        A single stage without a name where the file has no stages.

    Raises:
        UserError: for a row that the file does not have.
    """
    flag = FLAGS["config"]
    path, given = config_flags.get_config_filename(flag), config_flags.get_override_values(flag)
    rows, given = load_table(path, "get_rows") if row else {}, _with_one_length(given)
    if row and row not in rows:
        hint = nearest(row, rows) if rows else "; it has no rows"
        raise UserError(f"--row: {path} has no row {row!r}{hint}")
    return {
        name: changed(FLAGS.config, {**own, **rows.get(row, {}), **given})
        for name, own in (load_table(path, "get_stages") or {"": {}}).items()
    }


def refuse_without_use(row: str = "") -> None:
    """Refuses fields that change nothing, if they are set on the command line, in a stage or a row.

    A field of `get_config` is refused if it has no use in any stage or row either. What a row or
    the command line switches off, such as the options of an augmentation, is no mistake.

    Args:
        row: as for `stages`.

    Raises:
        UserError: for the first such field.
    """
    flag = FLAGS["config"]
    path, given = config_flags.get_config_filename(flag), config_flags.get_override_values(flag)
    rows, parts = load_table(path, "get_rows"), load_table(path, "get_stages") or {"": {}}
    own = load_file(path)
    variants = [config_use.without_use(changed(own, one)) for one in ({}, *rows.values())]
    variants += [config_use.without_use(changed(own, one)) for one in parts.values()]
    always = {*given, *rows.get(row, {}), *set.intersection(*map(set, variants))}
    for name, config in stages(row).items():
        for field, text in config_use.without_use(config).items():
            if field in always or field in parts[name]:
                raise UserError(f"config.{text}")


def length_note() -> list[str]:
    """Returns a line where the length on the command line replaces that of the config file."""
    flag = FLAGS["config"]
    given = config_flags.get_override_values(flag)
    return [
        f"length: --config.{_OTHER_LENGTH[name]}={given[_OTHER_LENGTH[name]]} counts, not the "
        f"{name}={FLAGS.config[name]} of {config_flags.get_config_filename(flag)}"
        for name in _with_one_length(given).keys() - given.keys()
        if FLAGS.config[name]
    ]


def _with_one_length(given: dict[str, object]) -> dict[str, object]:
    """Returns overrides in which a length in steps or epochs takes the place of the other one."""
    others = {
        other: type(FLAGS.config[other])(0)
        for name, other in _OTHER_LENGTH.items()
        if given.get(name) and other not in given
    }
    return {**given, **others}


def overrides() -> dict[str, object]:
    """Returns the fields that the command line sets, by `group.field`."""
    return dict(config_flags.get_override_values(FLAGS["config"]))


def _words(argv: Sequence[str]) -> Iterator[tuple[str, str]]:
    """Yields `(name, value)` of each `--name=value` and `--name value`, whatever the flag."""
    for position, word in enumerate(argv):
        if word.startswith("-"):
            name, equals, value = word.lstrip("-").partition("=")
            yield name, value if equals else "".join(argv[position + 1 : position + 2])


def _option(argv: Sequence[str], name: str) -> str | None:
    """Returns the value of the flag `--name`, of which the last one counts; None without it."""
    return dict(_words(argv)).get(name)


def _with_path(argv: Sequence[str], path: str) -> list[str]:
    """Returns the command line with another value of `--config`."""
    words, before = [], ""
    for word in argv:
        name, equals, _ = word.lstrip("-").partition("=")
        is_flag = word.startswith("-") and name == "config"
        is_value = before.startswith("-") and before.lstrip("-") == "config"
        words.append(f"--config={path}" if is_flag and equals else path if is_value else word)
        before = word
    return words


def _overrides(argv: Sequence[str]) -> list[tuple[str, str]]:
    """Returns `(field, value)` of each `--config.field` and `--noconfig.field`."""
    return [
        (name.partition(".")[2], value)
        for name, value in _words(argv)
        if name.startswith(("config.", "noconfig."))
    ]


def check_override(config: ConfigDict, name: str, text: str) -> None:
    """Checks that a field of the command line exists, and that its text is of the field's type.

    Raises:
        UserError: when it does not, or is not.
    """
    known = flattened(config)
    if name not in known:
        if any(field.startswith(name + ".") for field in known):
            raise UserError(
                f"--config.{name} is a group of fields; set one of them, as in "
                f"--config.{name}.NAME=value"
            )
        raise UserError(f"--config.{name}: no such field{nearest_field(name)}")
    default_value = known[name]
    if isinstance(default_value, str):
        if text == "None":
            raise UserError(f"--config.{name} is text and can't be None; leave it empty for none")
        return
    if not fits(_literal(text), default_value):
        raise UserError(
            f"--config.{name}={text[:_SHOWN]}: expected {KINDS[type(default_value)]}, such as "
            f"{default_value!r}"
        )


def _literal(text: str) -> object:
    """Returns the Python value of an override; text that is not one stays text."""
    if text.lower() in ("true", "false"):
        return text.lower() == "true"
    try:
        return ast.literal_eval(text)
    # The last two: thousands of brackets or signs.
    except (ValueError, SyntaxError, MemoryError, RecursionError):
        return text
