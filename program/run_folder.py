"""A run's folder: what may be in it, and whether a run may begin or go on there."""

from __future__ import annotations

import contextlib
import errno
import fcntl
import os
import shutil
import socket
from collections.abc import Iterator
from pathlib import Path

from ml_collections import ConfigDict

from common.atomic_writing import remove_partial, write_json
from common.errors import UserError
from common.files import is_number, read_json
from program import config_fields

CONFIG, ENVIRONMENT, RESULT = "config.json", "environment.json", "result.json"
WEIGHTS = "weights.safetensors"
METRICS, VISUALDL, CURVE = "metrics.jsonl", "vdlrecords.main.log", "curve.png"
CHECKPOINTS, PRETRAINED, STAGES, LOCK = "checkpoints", "pretrained.json", "stages.json", ".lock"
BESIDE = "weights_{}.safetensors"  # weights that are evaluated beside those of the result
_OURS = (
    *(CONFIG, ENVIRONMENT, PRETRAINED, RESULT, WEIGHTS, CHECKPOINTS, METRICS, CURVE),
    *(BESIDE.format(name) for name in ("raw", "ema", "swa")),
)
_MEASURED = (
    "top1",
    "top5",
    "loss",
    "ece",
    "step",
    "images_seen",
    "images_skipped",
    "seconds",
)  # numbers of a result
# Fields that do not change what is computed: a run may go on with other ones.
_FREE = {
    "data.root",
    "data.cache_dir",
    "data.workers",
    "data.resize_on",
    "train.batch_size",  # with train.accumulation_steps, as long as the global batch is the same
    "train.accumulation_steps",
    "train.micro_batch",
    "train.recompute",
    "train.checkpoint_every_steps",
    "train.keep_checkpoints",
    "train.stop_unless_saved",
    "train.nonfinite",  # decides only about steps at which the run would stop
    "train.nonfinite_limit",
    "train.check_ranks_every_steps",
}


@contextlib.contextmanager
def lock(folder: Path) -> Iterator[None]:
    """A context in which no other process has the folder, made if need be, for its run.

    The system takes the lock back when its process ends in whatever way, so that a stale one does
    not exist; it is a POSIX lock, which loader workers do not inherit. What a killed run has half
    written is removed.

    Raises:
        UserError: when another process has it, with its number and host; or the folder can't be
            written.
    """
    _check_links(folder)
    try:
        folder.mkdir(parents=True, exist_ok=True)
        file = open(folder / LOCK, "a+", encoding="utf-8")  # noqa: SIM115 (closed below)
    except OSError as error:
        raise unwritable(folder, error) from None
    with file:
        _lock(file, folder)
        for place in (folder, folder / CHECKPOINTS):
            remove_partial(place)
        yield


def _check_links(folder: Path) -> None:
    """See that a run will write into its own folder: somebody else's may hold links that lead out
    of it.

    Raises:
        UserError: when one does; the folder itself may be a link.
    """
    for path in (folder / LOCK, folder / CHECKPOINTS, *(folder / CHECKPOINTS).glob("step_*")):
        if path.is_symlink():
            raise UserError(
                f"{path} is a link, and a run writes into its own folder only; give another --workdir"
            )


def _lock(file, folder: Path) -> None:
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
    """Remove what an earlier run wrote there, and nothing else.

    Raises:
        UserError: when there are files of the same names, but no config of a run beside them.
    """
    found = [
        path
        for path in (*(folder / name for name in _OURS), *folder.glob("vdlrecords.*"))
        if path.exists()
    ]
    if not found:
        return
    try:
        read_config(folder)
    except (OSError, UserError):
        raise UserError(
            f"--overwrite: {folder} has {found[0].name}, but is not the folder of a run; clear it by hand"
        ) from None
    try:
        for path in reversed(
            found
        ):  # the config last: what is left after a kill can still be cleared
            if path.is_dir() and not path.is_symlink():
                shutil.rmtree(path)
            else:
                path.unlink()
    except OSError as error:
        raise UserError(f"--overwrite: {folder} can't be cleared ({error})") from None


def unwritable(folder: Path, error: OSError) -> UserError:
    """What to say of a folder that the system refuses."""
    return UserError(
        f"--workdir: {folder} can't be written ({error.strerror}); give another, or make room"
    )


def claim(folder: Path, config: ConfigDict, free: tuple[str, ...] = ()) -> None:
    """Write the config into a new folder, or check that it is the same in an old one.

    Args:
        folder: of the run.
        config: a resolved one.
        free: fields that may differ, beside those that do not change what is computed.

    Raises:
        UserError: when the folder holds a run of another config, or one in stages, or can't be
            written.
    """
    if (folder / STAGES).is_file():
        raise UserError(
            f"{folder} holds a run in stages; give another --workdir, or clear it by hand"
        )
    try:
        folder.mkdir(parents=True, exist_ok=True)
        path = folder / CONFIG
        if not path.is_file() and ((folder / RESULT).exists() or (folder / CHECKPOINTS).exists()):
            raise UserError(
                f"{folder} holds a run that has lost its {CONFIG}; give another --workdir"
            )
        if path.is_file():
            old = config_fields.flattened(read_config(folder))
            new = config_fields.flattened(config)
            for name in sorted(new.keys() - _FREE.union(free)):
                if old[name] != new[name]:
                    raise UserError(
                        f"{folder} holds a run with {name} = {old[name]!r}, not {new[name]!r}; "
                        "give another --workdir, or --overwrite to start anew"
                    )
        write_json(path, config.to_dict())
    except OSError as error:
        raise unwritable(folder, error) from None


def read_config(folder: Path) -> ConfigDict:
    """The config of a run.

    Raises:
        UserError: when the folder has none, or it is not readable.
    """
    path = folder / CONFIG
    if not path.is_file():
        raise UserError(f"{folder} is not the folder of a run: it has no {CONFIG}")
    return config_fields.from_dict(read_json(path), str(path))


def result(folder: Path) -> dict | None:
    """The result of a finished run, or None.

    Raises:
        UserError: when it is none.
    """
    path = folder / RESULT
    if not path.is_file():
        return None
    found = read_json(path)
    numbers = isinstance(found, dict) and all(
        is_number(found.get(name)) or found.get(name) != found.get(name) for name in _MEASURED
    )
    if (
        not numbers
        or not isinstance(found.get("weights"), str)
        or not isinstance(found.get("beside"), dict)
    ):
        raise UserError(f"{path} is not the result of a run; give another --workdir")
    return found


def pretrained(folder: Path) -> dict | None:
    """What became of the pretrained weights of a run that has begun, or None."""
    path = folder / PRETRAINED
    found = read_json(path) if path.is_file() else None
    return found if isinstance(found, dict) else None


def stages(folder: Path) -> list[str] | None:
    """The names of a run's stages, or None."""
    path = folder / STAGES
    return read_json(path) if path.is_file() else None
