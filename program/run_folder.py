"""The folder of a run: the names of its files, its lock, and whether a run may go on there."""

from __future__ import annotations

import contextlib
import errno
import fcntl
import os
import shutil
import socket
from collections.abc import Iterator
from pathlib import Path
from typing import Any, TextIO

from ml_collections import ConfigDict

from common.atomic_writing import remove_partial, write_json
from common.errors import UserError
from common.reading import is_number, read_json
from common.safetensors_files import RUN_STAGES, RUN_WEIGHTS
from configs.allowed_values import trait
from program.config import config_fields

# What is in the folder of a run.
CONFIG = "config.json"  # the config with all fields resolved
ENVIRONMENT = "environment.json"  # versions, device, commit, command
PRETRAINED = "pretrained.json"  # the weights that the run began with, and what was loaded of them
CHECKPOINTS = "checkpoints"  # a folder, with a folder `step_N` for each checkpoint
FEATURES = "features"  # a folder, of a run that is not finished: see engine/features/views.py
METRICS, VISUALDL, CURVE = "metrics.jsonl", "vdlrecords.main.log", "curve.png"
REPORT = "report.html"  # the page of a finished run
RESULT = "result.json"  # only when the run is finished
WEIGHTS = RUN_WEIGHTS  # weights.safetensors: the weights that the result is of
OTHER_WEIGHTS = "weights_{}.safetensors"  # that were evaluated, too: raw, ema, swa
STAGES = RUN_STAGES  # stages.json, of a run in stages only: their names; each has its own folder
LOCK = ".lock"  # names the process that has the folder
SHARED = ".shared"  # only for a moment at the start, to see that all processes have this folder

# What `clear` removes, in addition to VisualDL's files. The config goes last: see there.
_REMOVED = (
    *(CONFIG, ENVIRONMENT, PRETRAINED, RESULT, WEIGHTS, CHECKPOINTS, METRICS, CURVE, REPORT),
    FEATURES,
    *(OTHER_WEIGHTS.format(name) for name in ("raw", "ema", "swa")),
)
# The fields of a result that are numbers.
_MEASURED = ("top1", "loss", "ece", "step", "images_seen", "images_skipped", "seconds")


def test_images(result: object) -> dict[str, Any]:
    """Returns what the content of a `result.json` says of its test images; {} where it does not.

    It is what `data.ImageDataset.identity` returned: classes, number of images, hash.
    """
    try:
        found = result["data"]["test"]  # type: ignore[index]
    except (KeyError, TypeError):
        return {}
    return found if isinstance(found, dict) else {}


@contextlib.contextmanager
def lock(folder: Path) -> Iterator[None]:
    """Makes sure that no other process runs in a folder while the block lasts.

    The folder is created if needed, and what a killed run has half written is removed.

    It is a POSIX lock. The system releases it when its process ends in whatever way, so a stale
    lock does not exist; and loader workers do not inherit it.

    Raises:
        UserError: when another process has the lock (with its number and host), when the folder
            can't be written, or when it holds links that lead out of it.
    """
    _refuse_links(folder)
    try:
        folder.mkdir(parents=True, exist_ok=True)
        file = open(folder / LOCK, "a+", encoding="utf-8")  # noqa: SIM115 (closed below)
    except OSError as error:
        raise unwritable(folder, error) from None
    with file:
        _take(file, folder)
        for place in (folder, folder / CHECKPOINTS, folder / FEATURES):
            remove_partial(place)
        yield


def _refuse_links(folder: Path) -> None:
    """Checks that a run writes into its own folder: a stranger's may hold links that lead out.

    The folder itself may be a link.
    """
    features, checkpoints = folder / FEATURES, folder / CHECKPOINTS
    inside = (*checkpoints.glob("step_*"), *features.glob("*"))
    for path in (folder / LOCK, checkpoints, features, *inside):
        if path.is_symlink():
            raise UserError(
                f"{path} is a link, and a run writes into its own folder only; give another "
                "--workdir"
            )


def _take(file: TextIO, folder: Path) -> None:
    """Takes the lock of an open file, and writes this process's number and host into it."""
    try:
        fcntl.lockf(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except OSError as error:
        if error.errno not in (errno.EACCES, errno.EAGAIN):
            print(
                f"{folder}: its file system has no locks; see to it that no other run uses it",
                flush=True,
            )
            return
        file.seek(0)
        owner = file.read(200).strip() or "another process"
        raise UserError(
            f"{folder} is in use by {owner}; stop that run, or give another --workdir"
        ) from None
    file.truncate(0)
    file.write(f"process {os.getpid()} on {socket.gethostname()}\n")
    file.flush()


def clear(folder: Path) -> None:
    """Removes what an earlier run wrote into a folder, and nothing else.

    The config is removed last, so that what is left after a kill can still be cleared.

    Raises:
        UserError: when there are files of the same names, but no config of a run with them.
    """
    paths = [*(folder / name for name in _REMOVED), *folder.glob("vdlrecords.*")]
    found = [path for path in paths if path.exists()]
    if not found:
        return
    try:
        read_config(folder)
    except (OSError, UserError):
        raise UserError(
            f"--overwrite: {folder} has {found[0].name}, but is not the folder of a run; clear it "
            "by hand"
        ) from None
    try:
        for path in reversed(found):
            if path.is_dir() and not path.is_symlink():
                shutil.rmtree(path)
            else:
                path.unlink()
    except OSError as error:
        raise UserError(f"--overwrite: {folder} can't be cleared ({error})") from None


def unwritable(folder: Path, error: OSError) -> UserError:
    """Returns the error for a folder that the system does not let us write."""
    return UserError(
        f"--workdir: {folder} can't be written ({error.strerror}); give another, or make room"
    )


def is_begun(folder: Path) -> bool:
    """Returns whether a folder holds a run, or the stages of one."""
    return (folder / CONFIG).is_file() or (folder / STAGES).is_file()


def check(folder: Path, config: ConfigDict, free: tuple[str, ...] = ()) -> None:
    """Checks that a folder has no run, or one of the same config.

    Args:
        folder: of the run.
        config: with all fields resolved.
        free: fields that may differ, in addition to those that `configs/allowed_values.py` lets
            change.

    Raises:
        UserError: when the folder holds a run of another config, a run in stages, or one that has
            lost its config.
    """
    if (folder / STAGES).is_file():
        raise UserError(
            f"{folder} holds a run in stages; give another --workdir, or clear it by hand"
        )
    if (folder / CONFIG).is_file():
        _refuse_another_config(folder, config, free)
    elif (folder / RESULT).exists() or (folder / CHECKPOINTS).exists():
        raise UserError(f"{folder} holds a run that has lost its {CONFIG}; give another --workdir")


def claim(folder: Path, config: ConfigDict, free: tuple[str, ...] = ()) -> None:
    """Writes the config into a new folder; in an old one, checks first that it is the same.

    Raises:
        UserError: see `check`; or when the folder can't be written.
    """
    try:
        folder.mkdir(parents=True, exist_ok=True)
        check(folder, config, free)
        write_json(folder / CONFIG, config.to_dict())
    except OSError as error:
        raise unwritable(folder, error) from None


def _refuse_another_config(folder: Path, config: ConfigDict, free: tuple[str, ...]) -> None:
    """Refuses to go on with a run whose config has another value in a field that must not change.

    `train.batch_size` and `train.accumulation_steps` may change here: whether the batch is still
    the same depends on the number of cards, and is checked by `engine/resume.py`.
    """
    old, new = config_fields.flattened(read_config(folder)), config_fields.flattened(config)
    for name in sorted(new):
        if old[name] != new[name] and name not in free and not trait(name).may_change:
            raise UserError(
                f"{folder} holds a run with {name} = {old[name]!r}, not {new[name]!r}; "
                "give another --workdir, or --overwrite to start anew"
            )


def read_config(folder: Path) -> ConfigDict:
    """Reads the config of a run.

    Raises:
        UserError: when the folder has none, or it is not readable.
    """
    path = folder / CONFIG
    if not path.is_file():
        raise UserError(f"{folder} is not the folder of a run: it has no {CONFIG}")
    return config_fields.from_dict(read_json(path), str(path))


def result(folder: Path) -> dict[str, Any] | None:
    """Reads the result of a finished run; None where there is none.

    Raises:
        UserError: when the file is not the result of a run.
    """
    path = folder / RESULT
    if not path.is_file():
        return None
    found = read_json(path)
    if not _is_result(found):
        raise UserError(f"{path} is not the result of a run; give another --workdir")
    return found


def _is_result(found: object) -> bool:
    return (
        isinstance(found, dict)
        # NaN is a possible loss.
        and all(is_number(value) or value != value for value in map(found.get, _MEASURED))
        and is_number(found.get("top5") or 0)  # None: fewer than 5 classes
        and isinstance(found.get("weights"), str)
        and isinstance(found.get("beside"), dict)
    )


def pretrained(folder: Path) -> dict[str, Any] | None:
    """Reads which pretrained weights a run began with; None where it has not begun, or has none."""
    path = folder / PRETRAINED
    found = read_json(path) if path.is_file() else None
    return found if isinstance(found, dict) else None


def stages(folder: Path) -> list[str] | None:
    """Reads the names of a run's stages; None where it has none."""
    path = folder / STAGES
    return read_json(path) if path.is_file() else None
