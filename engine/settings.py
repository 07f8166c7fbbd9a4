"""Configs and flags: strict where the raw flags are lenient, and one line for every mistake.

`ml_collections.config_flags` reads the file and the overrides. Before it does, each `--config.a.b=value` is checked
here, since it accepts a boolean for an integer, `None` for anything, and answers an unknown field with a traceback.
"""

from __future__ import annotations

import ast
import importlib.util
import os
import re
from collections.abc import Iterator, Sequence
from pathlib import Path

from absl import flags
from ml_collections import ConfigDict, config_flags

from common.errors import UserError, nearest
from common.files import is_number, own_metadata, read_metadata, user_path
from configs import default

FLAGS = flags.FLAGS
_SHOWN = 80  # characters of a wrong value
_LARGEST = 2**1023  # no larger integer fits into a float
MOST_VALUES = 1000  # of a tuple
# What a stranger's weights may not decide: the reader's processes and memory, and where files are written.
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
    config = from_dict(content["config"], path)
    given, usual = fields(config), fields(default.get_config())
    bounded = {name: min(given[name], most) for name, most in _MOST_OF_WEIGHTS.items()}
    return changed(config, {**bounded, **{name: usual[name] for name in _NEVER_OF_WEIGHTS}})


def load_file(path: str) -> ConfigDict:
    """Run the `get_config` of a config file.

    Raises:
        UserError: when it has none, fails, or gives another thing or other fields than those of `configs/default.py`.
    """
    config = _call(path, "get_config")
    if not isinstance(config, ConfigDict):
        raise UserError(f"--config: {path}: get_config() gives a {type(config).__name__}, expected a ConfigDict")
    found, known = fields(config), fields(default.get_config())
    for name in sorted(found.keys() ^ known.keys()):
        problem = f"sets {name}, which is no field{nearest(name, known)}" if name in found else f"lacks {name}"
        raise UserError(f"--config: {path}: {problem} (begin with configs.default.get_config())")
    return config


def load_table(path: str, function: str) -> dict[str, dict[str, object]]:
    """Run a function of a config file that gives fields by the name of a stage or a row; {} where there is none.

    Raises:
        UserError: for a field that does not exist, a value that does not fit it, or what is no such table.
    """
    table, known = _call(path, function) or {}, fields(default.get_config())
    rows = table.values() if isinstance(table, dict) else [table]
    if not all(isinstance(row, dict) for row in rows) or not all(
        isinstance(name, str) and re.fullmatch(r"\w[\w.-]*", name) for name in table
    ):
        raise UserError(f"{path}: {function} gives {table!r}, expected names with fields, {{name: {{field: value}}}}")
    for row, values in table.items():
        for name, value in values.items():
            if name not in known:
                raise UserError(f"{path}: {function}: {row}: {name}: no such field{nearest(str(name), known)}")
            if not fits(value, known[name]):
                raise UserError(f"{path}: {function}: {row}: {name}={value!r}: expected such as {known[name]!r}")
    return table


def define_row() -> None:
    """Define `--row`, whose value `stages` takes."""
    flags.DEFINE_string("row", "", "A variant of the experiment: a name that get_rows() of its config file gives.")


def run_name() -> str:
    """What a run of the flags is called: its config file, and its row."""
    return "_".join(filter(None, [Path(FLAGS["config"].config_filename).stem, FLAGS.row]))


def output_folder(given: str, ending: str = "") -> Path:
    """The folder that a flag names, else one below `output/` that is called after the run."""
    return user_path(given or f"output/{run_name()}{ending}")


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
        raise UserError(f"--row: {path} has no row {row!r}{nearest(row, rows) if rows else '; it has no rows'}")
    found = load_table(path, "get_stages") or {"": {}}
    return {name: changed(FLAGS.config, {**own, **rows.get(row, {}), **given}) for name, own in found.items()}


def _call(path: str, function: str):
    """What a function without arguments of a config file gives; None where the file lacks it."""
    if Path(path).is_dir():
        raise UserError(f"--config: {path} is a folder; give a file, such as configs/digits_rdrop.py")
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
    except (Exception, SystemExit) as error:  # a config is the user's own code: whatever it raises is theirs to mend
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


def check_override(config: ConfigDict, name: str, text: str) -> None:
    """Check that a field of the command line is there, and that its text is of the field's type.

    Raises:
        UserError: when it is not.
    """
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
    if not fits(value, default_value):
        kind = KINDS[type(default_value)]
        raise UserError(f"--config.{name}={text[:_SHOWN]}: expected {kind}, such as {default_value!r}")


KINDS = {bool: "true or false", int: "an integer", float: "a number", tuple: "a tuple of numbers"}


def _literal(text: str):
    """The Python value of an override; text that is none stays text."""
    if text.lower() in ("true", "false"):
        return text.lower() == "true"
    try:
        return ast.literal_eval(text)
    except (ValueError, SyntaxError, MemoryError, RecursionError):  # the last two: brackets or signs by the thousand
        return text


def fits(value, default_value) -> bool:
    """Whether a value is of the type of a field's default: integers are numbers, booleans are not."""
    if isinstance(default_value, str):
        return isinstance(value, str)
    if isinstance(default_value, tuple):
        return isinstance(value, tuple) and all(fits(item, 0.0) for item in value)
    if isinstance(default_value, bool) or isinstance(value, bool):
        return isinstance(value, bool) and isinstance(default_value, bool)
    if isinstance(default_value, float):
        return isinstance(value, float) or (isinstance(value, int) and abs(value) < _LARGEST)
    return isinstance(value, int)


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


def from_dict(stored: object, origin: str) -> ConfigDict:
    """A config from what JSON made of it; nothing in it is executed. Fields that it lacks keep their defaults.

    Raises:
        UserError: when it is not a config of this version; `origin` names its file.
    """
    if not isinstance(stored, dict):
        raise UserError(f"{origin}: its config is not readable (not an object)")
    config = default.get_config()
    known = fields(config)
    groups = {name.partition(".")[0] for name in known if "." in name}
    for name, value in _flat(stored, groups, origin):
        if name in groups:
            raise UserError(f"{origin}: in its config {name} is no group of fields")
        if name not in known:
            raise UserError(f"{origin}: its config has the field {name}, which this version does not know")
        value = tuple(value[:MOST_VALUES]) if isinstance(value, (list, tuple)) else value
        if not fits(value, known[name]) or not _is_finite(value):
            raise UserError(f"{origin}: its config has {name} = {value!r}, expected such as {known[name]!r}")
        config.update_from_flattened_dict({name: value})
    return config


def _flat(stored: dict, groups: set[str], origin: str) -> Iterator[tuple[str, object]]:
    """Fields by their dotted names; only what is a group of fields is entered, however deep the rest goes."""
    for name, value in stored.items():
        if name in groups and isinstance(value, dict):
            yield from ((f"{name}.{field}", one) for field, one in value.items())
        elif "." in name:
            raise UserError(f"{origin}: its config is not readable (a field is called {name})")
        else:
            yield name, value


def _is_finite(value: object) -> bool:
    """Whether numbers are such that arithmetic can go on with them: JSON allows any."""
    if isinstance(value, tuple):
        return all(map(_is_finite, value))
    return type(value) not in (int, float) or is_number(value)
