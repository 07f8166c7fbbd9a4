"""Results as lines: one JSON object for each run, in a file that is committed (docs/results/).

A line says what was run (config, row, overrides, all fields that are not the default's, seed,
command), what came out, and where: machine, versions, commit. It has no paths of the machine.
"""

from __future__ import annotations

import fcntl
import json
import math
import os
import shlex
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any

from ml_collections import ConfigDict

from common.atomic_writing import named
from common.errors import UserError
from common.reading import is_number, read_text, user_path
from configs import default
from program import run_folder
from program.config.config_fields import flattened
from report.runs import Run

Line = dict[str, Any]

_ROOT = Path(__file__).resolve().parents[2]
_LARGEST = 64 << 20  # bytes of a file
# Fields that name files: of a machine's path the last part is kept.
_PATHS = (
    *("data.root", "data.train_list", "data.val_list", "data.test_list", "data.label_list"),
    *("data.unlabelled_root", "model.pretrained", "distill.weights"),
)
_LEFT_OUT = ("seed", "data.cache_dir")  # a line has the seed, and the cache changes no result
# What must be the same, like the fields, when a setting is run with the same seed again.
_OUTCOME = ("test_top1", "test_loss", "test_ece", "val_top1", "best_step", "steps")
_TEXTS = (
    "experiment",
    "setting",
    "config",
    "row",
    "command",
    "git_commit",
    "weights_of",
    "test_images_sha256",
)
_NUMBERS = ("seed", "test_top1", "steps", "images_seen", "passes", "seconds", "test_images")
_NUMBERS_OR_NONE = ("test_loss", "test_ece", "val_top1", "survival")


def of_run(run: Run, config: str, row: str, overrides: Iterable[str]) -> Line:
    """Returns the line of a finished run, without its experiment.

    Accuracies and ECE are fractions. `passes` is the number of images that went through the model
    in training, each copy counted; those of a teacher, and of evaluation, are not. `survival` is
    the share of pretrained features that survived the noise at the start.

    Args:
        run: with a result.
        config: the config file as it was named.
        row: of the config file; empty: the config as it is.
        overrides: `field=value`, without the seed.

    Raises:
        UserError: when it has no result, or has lost the records of its steps.
    """
    if run.result is None:
        raise UserError(f"{run.folder}: is not finished, so it has no result")
    steps = run.steps_done
    if not steps:
        raise UserError(f"{run.folder}: has no records of its steps (metrics.jsonl)")
    changed = dict(sorted(shortened(one.split("=", 1)) for one in overrides))
    result, seen = run.result, run.environment
    names = [Path(config).stem, row, *(f"{name}={value}" for name, value in changed.items())]
    line = {
        "setting": " ".join(filter(None, names)),
        "config": _config_name(config),
        "row": row,
        "overrides": changed,
        "seed": run.config.seed,
        "command": _command(config, row, changed, run.config.seed),
        "fields": _fields(run.config),
        **{f"test_{name}": _finite(result[name]) for name in ("top1", "loss", "ece")},
        "val_top1": result.get("best_top1"),
        "best_step": result["step"],
        "weights_of": str(result.get("weights_of", "")),
        "steps": steps,
        "images_seen": result["images_seen"],
        "passes": passes(run.config, steps, result["images_seen"]),
        "seconds": result["seconds"],
        "test_images": run.test_images,
        "test_images_sha256": str(run.test_identity.get("sha256", "")),
    }
    for name in ("processor", "machine", "threads", "device", "git_commit"):
        line[name] = str(seen.get(name, ""))
    packages, begun = seen.get("packages"), run_folder.pretrained(run.folder) or {}
    survival = begun.get("survival")
    return {
        **line,
        "versions": {"python": seen.get("python", ""), **(packages if packages else {})},
        "pretrained_sha256": begun.get("sha256", ""),
        "survival": survival if is_number(survival) else None,
        "weights_sha256": str(result.get("weights_sha256", "")),
    }


def passes(config: ConfigDict, steps: int, images_seen: int) -> int:
    """Returns how many images went through the model in training, each copy counted."""
    rdrop = config.rdrop
    with_copies = -(-steps // rdrop.every_steps) if rdrop.copies > 1 else 0  # every k-th, from 0
    unlabelled = (
        rdrop.unlabelled_batch_size / config.train.batch_size
    )  # for each image with a label
    again = (rdrop.copies - 1 + rdrop.copies * unlabelled) * with_copies / steps
    return round(images_seen * (1 + again))


def shortened(field: Iterable[str]) -> tuple[str, str]:
    """Returns a field with its value, of which a path of the machine is reduced to its last part.

    What the value may be in place of a path stays: an address, or a name such as `hf/OWNER/NAME`.
    """
    name, value = field
    if "://" in value or not value:
        return name, value
    marked = value.startswith(("/", "~", "$", "./", "../"))
    if marked or (name in _PATHS and user_path(value).exists()):
        return name, user_path(value).name or Path(os.path.abspath(value)).name
    return name, value


def _fields(config: ConfigDict) -> dict[str, Any]:
    """Returns the fields that are not the default's."""
    usual, found = flattened(default.get_config()), {}
    for name, value in sorted(flattened(config).items()):
        if name not in _LEFT_OUT and value != usual[name]:
            plain = list(value) if isinstance(value, tuple) else value
            found[name] = shortened((name, plain))[1] if isinstance(plain, str) else plain
    return found


def _config_name(config: str) -> str:
    """Returns the path of a config of the project, or the name of another file."""
    path = Path(config).resolve()
    return str(path.relative_to(_ROOT)) if path.is_relative_to(_ROOT) else path.name


def _command(config: str, row: str, overrides: Mapping[str, str], seed: int) -> str:
    fields = (f"--config.{name}={value}" for name, value in overrides.items())
    flags = [f"--config={_config_name(config)}", *([f"--row={row}"] if row else []), *fields]
    return shlex.join(["python", "main.py", *flags, f"--config.seed={seed}"])


def _finite(value: Any) -> Any:
    """Returns None for a number that JSON does not have: a loss may be NaN."""
    return value if value is not None and math.isfinite(value) else None


def read(path: Path) -> list[Line]:
    """Reads the lines of a file; an experiment that has none yet has no file.

    Raises:
        UserError: when a line is not that of a run, or two are of the same setting and seed.
    """
    found: dict[tuple[Any, ...], Line] = {}
    if not path.exists():
        return []
    for number, text in enumerate(read_text(path, _LARGEST).splitlines(), 1):
        try:
            line = json.loads(text)
        except (ValueError, RecursionError):
            line = None
        if not _is_line(line):
            raise UserError(
                f"{path}:{number}: is not the line of a run; remove it, and let tools.sweep write "
                "it again"
            )
        if _key(line) in found:
            raise UserError(
                f"{path}:{number}: is the second line of {line['setting']}, seed {line['seed']}; "
                "remove one"
            )
        found[_key(line)] = line
    return list(found.values())


def _is_line(line: object) -> bool:
    """Returns whether a value from JSON has what the tables read."""
    return (
        isinstance(line, dict)
        and all(isinstance(line.get(name), str) for name in _TEXTS)
        and all(is_number(line.get(name)) for name in _NUMBERS)
        and all(line.get(name) is None or is_number(line[name]) for name in _NUMBERS_OR_NONE)
        and all(isinstance(line.get(name), dict) for name in ("overrides", "fields", "versions"))
    )


def _key(line: Line) -> tuple[Any, ...]:
    """Returns what a file has one line of."""
    overrides = tuple(sorted(line["overrides"].items()))
    return line["config"], line["row"], overrides, line["seed"]


def append(path: Path, line: Line) -> bool:
    """Adds the line of a run to a file, unless it is there; the name of the file is the experiment.

    Several processes may do so at a time.

    Returns:
        Whether it was added.

    Raises:
        UserError: when the file has another result of the same setting and seed.
    """
    line = {"experiment": "", **line} | {"experiment": path.stem}
    path.parent.mkdir(parents=True, exist_ok=True)
    with named(path), open(path, "a", encoding="utf-8") as file:
        fcntl.flock(file, fcntl.LOCK_EX)  # until it is closed
        old = next((one for one in read(path) if _key(one) == _key(line)), None)
        if old is None:
            file.write(json.dumps(line) + "\n")
            return True
    differing = _differing(old, line)
    if differing:
        raise UserError(
            f"{path}: has another result of {line['setting']}, seed {line['seed']} ({differing}); "
            "remove that line, or write to another file"
        )
    return False


def _differing(old: Line, line: Line) -> str:
    """Returns what differs first in the fields or the outcome of two lines; empty: nothing."""
    before, now = (
        {**one["fields"], **{name: one.get(name) for name in _OUTCOME}} for one in (old, line)
    )
    for name in sorted(before.keys() | now.keys()):
        if before.get(name) != now.get(name):
            values = (json.dumps(one.get(name)) for one in (before, now))
            return f"{name}: {', now '.join(values)}"
    return ""
