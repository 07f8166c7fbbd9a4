"""The command line of a tool, and checks of the paths that it is going to write to."""

from __future__ import annotations

import argparse
import os
from collections.abc import Sequence
from pathlib import Path
from typing import NoReturn

from common.errors import UserError
from common.reading import nearest_existing, user_path


class ArgumentParser(argparse.ArgumentParser):
    """Reads a tool's command line: the help is the tool's docstring, a mistake is a `UserError`.

    Args:
        module: the name of the tool's module, such as `tools.predict`.
        text: its docstring.
    """

    def __init__(self, module: str, text: str | None):
        super().__init__(
            prog=module, description=text, formatter_class=argparse.RawTextHelpFormatter
        )

    def error(self, message: str) -> NoReturn:
        raise UserError(f"{message} (python -m {self.prog} --help)")


def check_output(
    flag: str, path: str | Path | None, inputs: Sequence[str | Path] = ()
) -> Path | None:
    """Checks before the work that a file can be written, and is not one of the inputs.

    Args:
        flag: the flag that names the file, for the message.
        path: the file that will be written; empty or None: no file.
        inputs: files that are read, or folders of runs, whose weights are; names of anything else
            are ignored.

    Returns:
        The path with `~` and variables expanded; None for no file.

    Raises:
        UserError: when it can't be written, or is an input.
    """
    if not path:
        return None
    target = user_path(path)
    if target.is_dir():
        raise UserError(f"{flag}: {target} is a folder; give the name of a file")
    if target.exists() and not target.is_file():
        raise UserError(
            f"{flag}: {target} is a device or a pipe, which a file would replace; give the name of "
            "a file"
        )
    if target.exists() and any(one.exists() and target.samefile(one) for one in _files(inputs)):
        raise UserError(f"{flag}: {target} is an input, which would be lost; give another file")
    check_folder(flag, target.absolute().parent)
    return target


def _files(inputs: Sequence[str | Path]) -> list[Path]:
    """Returns the files of inputs; of the folder of a run its weights."""
    if not inputs:
        return []
    from common.safetensors_files import RUN_WEIGHTS  # needs numpy, which tools.doctor does without

    return [path / RUN_WEIGHTS if path.is_dir() else path for path in map(user_path, inputs)]


def check_folder(flag: str, path: Path) -> None:
    """Checks before the work that files can be written in a folder, which need not exist yet.

    Raises:
        UserError: when they can't.
    """
    above = nearest_existing(path)
    if not above.is_dir() or not os.access(above, os.W_OK):
        reason = "not writable" if above.is_dir() else "a file"
        raise UserError(f"{flag}: {path} can't be written: {above} is {reason}")
