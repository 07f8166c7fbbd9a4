"""Runs the functions of a config file: `get_config`, `get_rows`, `get_stages`."""

import importlib.util
import re
from pathlib import Path
from typing import Any

from ml_collections import ConfigDict

from common.errors import UserError, nearest
from configs import default
from program.config.config_fields import fits, flattened

_LIBRARY = ("__init__", "default", "allowed_values")  # files of configs/ that are no experiments


def load_file(path: str) -> ConfigDict:
    """Runs the `get_config` of a config file.

    Raises:
        UserError: when the file has none, it fails, or it returns something else than the fields
            of `configs/default.py`.
    """
    config = _call(path, "get_config")
    if not isinstance(config, ConfigDict):
        raise UserError(
            f"--config: {path}: get_config() gives a {type(config).__name__}, expected a ConfigDict"
        )
    found, known = flattened(config), flattened(default.get_config())
    for name in sorted(found.keys() ^ known.keys()):
        wrong = f"sets {name}, which is no field{nearest(name, known)}"
        problem = wrong if name in found else f"lacks {name}"
        raise UserError(f"--config: {path}: {problem} (begin with configs.default.get_config())")
    return config


def load_table(path: str, function: str) -> dict[str, dict[str, object]]:
    """Runs `get_rows` or `get_stages` of a config file.

    Returns:
        Values of fields, by the name of a row or a stage; {} where the file has no such function.

    Raises:
        UserError: when it is not such a table, a field does not exist, or a value does not fit it.
    """
    table, known = _call(path, function) or {}, flattened(default.get_config())
    if not _is_table(table):
        raise UserError(
            f"{path}: {function} gives {table!r}, expected names with fields, "
            "{name: {field: value}}"
        )
    for row, values in table.items():
        for name, value in values.items():
            if name not in known:
                raise UserError(
                    f"{path}: {function}: {row}: {name}: no such field{nearest(str(name), known)}"
                )
            if not fits(value, known[name]):
                raise UserError(
                    f"{path}: {function}: {row}: {name}={value!r}: expected such as {known[name]!r}"
                )
    return table


def _is_table(table: Any) -> bool:
    return isinstance(table, dict) and all(
        isinstance(name, str) and re.fullmatch(r"\w[\w.-]*", name) and isinstance(row, dict)
        for name, row in table.items()
    )


def _call(path: str, function: str) -> Any:
    """Returns what a function of a config file returns; None where the file lacks it."""
    if Path(path).is_dir():
        raise UserError(
            f"--config: {path} is a folder; give a file, such as configs/digits_rdrop.py"
        )
    if not Path(path).is_file():
        known = {file.stem for file in Path("configs").glob("*.py")}.difference(_LIBRARY)
        raise UserError(f"--config: {path} is not a file{nearest(Path(path).stem, known)}")
    specification = importlib.util.spec_from_file_location("experiment", path)
    if specification is None or specification.loader is None:
        raise UserError(f"--config: {path} is not a Python file")
    module = importlib.util.module_from_spec(specification)
    try:
        specification.loader.exec_module(module)
        if function != "get_config" and not hasattr(module, function):
            return None
        return getattr(module, function)()
    # A config file is the user's own code: whatever it raises is theirs to mend.
    except (Exception, SystemExit) as error:
        reason = " ".join(str(error).split())
        raise UserError(f"--config: {path}: {type(error).__name__}: {reason}") from None
