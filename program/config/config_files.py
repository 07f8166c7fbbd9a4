"""Finds a config file, and runs its functions: `get_config`, `get_rows`, `get_stages`."""

from __future__ import annotations

import importlib.util
import re
from pathlib import Path
from typing import Any

from ml_collections import ConfigDict

from common.errors import UserError, nearest
from common.reading import user_path
from common.similar_names import similar
from configs import default
from program.config import config_mistakes
from program.config.config_fields import fits, flattened, nearest_field

_LIBRARY = ("__init__", "default", "allowed_values")  # files of configs/ that are no experiments
_ROOT = Path(__file__).resolve().parents[2]


def find(given: str) -> str:
    """Returns the path of a config file that the user names: `configs/x.py`, `x.py` or `x`.

    It is looked for in the working folder, then in the project's; in both also below `configs/`.

    Returns:
        The given path where there is no such file.
    """
    path = user_path(given)
    for folder in (Path(), Path("configs"), _ROOT, _ROOT / "configs"):
        for one in (folder / path, folder / f"{path}.py"):
            if one.is_file():
                return str(one)
    return str(path)


def experiments() -> list[Path]:
    """Returns the config files of the project, in the order of their names."""
    paths = sorted((_ROOT / "configs").glob("*.py"))
    return [path for path in paths if path.stem not in _LIBRARY]


def nearest_file(given: str) -> str:
    """Returns the path of the config file that is named like a word, from the project's folder.

    Returns:
        An empty string where none is.
    """
    found = find(given) if given else ""
    if found.endswith(".py") and Path(found).is_file():
        return str(Path(found).relative_to(_ROOT)) if Path(found).is_relative_to(_ROOT) else found
    names = similar(Path(given).name.removesuffix(".py"), [path.stem for path in experiments()])
    return f"configs/{names[0]}.py" if names else ""


def load_file(path: str) -> ConfigDict:
    """Runs the `get_config` of a config file.

    Raises:
        UserError: when the file has none, it fails, or it returns something else than the fields
            of `configs/default.py`.
    """
    path = find(path)
    config = _call(path, "get_config")
    if not isinstance(config, ConfigDict):
        raise UserError(
            f"--config: {path}: get_config() gives a {type(config).__name__}, expected a ConfigDict"
        )
    found, known = flattened(config), flattened(default.get_config())
    for name in sorted(found.keys() ^ known.keys()):
        wrong = f"sets {name}, which is no field{nearest_field(name)}"
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
    path = find(path)
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
                    f"{path}: {function}: {row}: {name}: no such field{nearest_field(str(name))}"
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
        known = [file.stem for file in experiments()]
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
        raise UserError(f"--config: {config_mistakes.describe(error, path)}") from None
