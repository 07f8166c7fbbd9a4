"""Runs the functions of a config file: `get_config`, `get_rows`, `get_stages`."""

from __future__ import annotations

import importlib.util
import re
from pathlib import Path

from ml_collections import ConfigDict

from common.errors import UserError, nearest
from configs import default
from program.config_fields import fits, flattened


def load_file(path: str) -> ConfigDict:
    """Run the `get_config` of a config file.

    Raises:
        UserError: when it has none, fails, or gives another thing or other fields than those of
            `configs/default.py`.
    """
    config = _call(path, "get_config")
    if not isinstance(config, ConfigDict):
        raise UserError(
            f"--config: {path}: get_config() gives a {type(config).__name__}, expected a ConfigDict"
        )
    found, known = flattened(config), flattened(default.get_config())
    for name in sorted(found.keys() ^ known.keys()):
        problem = (
            f"sets {name}, which is no field{nearest(name, known)}"
            if name in found
            else f"lacks {name}"
        )
        raise UserError(f"--config: {path}: {problem} (begin with configs.default.get_config())")
    return config


def load_table(path: str, function: str) -> dict[str, dict[str, object]]:
    """Run a function of a config file that gives fields by the name of a stage or a row; {} where
    there is none.

    Raises:
        UserError: for a field that does not exist, a value that does not fit it, or what is no such
            table.
    """
    table, known = _call(path, function) or {}, flattened(default.get_config())
    rows = table.values() if isinstance(table, dict) else [table]
    if not all(isinstance(row, dict) for row in rows) or not all(
        isinstance(name, str) and re.fullmatch(r"\w[\w.-]*", name) for name in table
    ):
        raise UserError(
            f"{path}: {function} gives {table!r}, expected names with fields, {{name: {{field: value}}}}"
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


def _call(path: str, function: str):
    """What a function without arguments of a config file gives; None where the file lacks it."""
    if Path(path).is_dir():
        raise UserError(
            f"--config: {path} is a folder; give a file, such as configs/digits_rdrop.py"
        )
    if not Path(path).is_file():
        known = [
            file.stem
            for file in Path("configs").glob("*.py")
            if file.stem not in ("__init__", "default")
        ]
        raise UserError(f"--config: {path} is not a file{nearest(Path(path).stem, known)}")
    specification = importlib.util.spec_from_file_location("experiment", path)
    if specification is None:
        raise UserError(f"--config: {path} is not a Python file")
    module = importlib.util.module_from_spec(specification)
    try:
        specification.loader.exec_module(module)
        return (
            getattr(module, function)()
            if function == "get_config" or hasattr(module, function)
            else None
        )
    except (
        Exception,
        SystemExit,
    ) as error:  # a config is the user's own code: whatever it raises is theirs to mend
        raise UserError(
            f"--config: {path}: {type(error).__name__}: {' '.join(str(error).split())}"
        ) from None
