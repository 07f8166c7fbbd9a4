"""Runs as their folders hold them, and groups of runs that differ only in the seed."""

from __future__ import annotations

import shlex
from collections.abc import Sequence
from pathlib import Path
from typing import Any, NamedTuple

from ml_collections import ConfigDict

from common.errors import UserError
from common.reading import read_json, user_path
from configs import default
from configs.allowed_values import trait
from engine.results.metrics_reader import numbers, read_metrics
from program import command_line, run_folder
from program.config import config_files
from program.config.config_fields import flattened
from report.texts import Words

_MOST_RUNS = 500  # of a folder that is searched
_MATTER = ("data.root", "train.batch_size", "train.accumulation_steps")  # though they may change
_FEW_FIELDS = 2  # of which the name of a setting is made; of more it is that of the folder


class Run(NamedTuple):
    """A run, finished or not.

    Attributes:
        folder: of the run, or of its last stage.
        name: of the folder that was given.
        config: as it is in the folder.
        records: of `metrics.jsonl`.
        result: of a finished run; None: it is not.
        environment: what `environment.json` has; {} where it is missing.
    """

    folder: Path
    name: str
    config: ConfigDict
    records: list[dict[str, Any]]
    result: dict[str, Any] | None
    environment: dict[str, Any]

    def points(self, split: str, value: str) -> list[tuple[int, float, float]]:
        """Returns `(step, epoch, value)` of the records of a split that have it."""
        found = []
        for record in self.records:
            values = numbers(record)
            if record["split"] == split and value in values:
                epoch = float(values.get("epoch", record["step"]))
                found.append((record["step"], epoch, float(values[value])))
        return found

    @property
    def steps_done(self) -> int:
        return max((record["step"] for record in self.records), default=0)

    @property
    def test_identity(self) -> dict[str, Any]:
        """What the result says of its test images; {} where it does not."""
        return run_folder.test_images(self.result)

    @property
    def with_rdrop(self) -> bool:
        """Whether it was trained with R-Drop; else with cross-entropy."""
        return bool(self.config.rdrop.copies > 1 and self.config.rdrop.alpha)

    @property
    def is_mixed(self) -> bool:
        """Whether training images were mixtures, whose accuracy means little."""
        return bool(self.config.data.mixup_alpha or self.config.data.cutmix_alpha)

    @property
    def test_images(self) -> int:
        """How many test images the result is of; 0 where it is not known."""
        images = self.test_identity.get("images")
        return images if type(images) is int and images > 0 else 0

    @property
    def classes(self) -> tuple[str, ...]:
        """The names of the classes of the test images; () where they are not known."""
        found = self.test_identity.get("classes")
        return tuple(map(str, found)) if isinstance(found, list) else ()


class Group(NamedTuple):
    """Runs that differ only in the seed, in the order of the seeds."""

    name: str
    runs: tuple[Run, ...]
    differs: dict[str, Any]  # the fields in which the groups differ, with this group's values

    def results(self, value: str) -> dict[int, float]:
        """Returns a number of the results by the seed, of the runs that have it."""
        found = {run.config.seed: (run.result or {}).get(value) for run in self.runs}
        return {seed: float(one) for seed, one in found.items() if isinstance(one, (int, float))}


def read_all(paths: Sequence[str | Path]) -> list[Run]:
    """Reads runs.

    Args:
        paths: folders of runs, or folders with runs below them, such as that of a sweep.

    Raises:
        UserError: when a path is neither, or a file of a run is damaged.
    """
    folders: dict[Path, None] = {}
    for given in paths:
        path = user_path(given)
        if not path.is_dir():
            raise UserError(f"{path} is not a folder; give the folder of a run")
        own = [path] if _is_run(path) else _below(path)
        if not own:
            raise UserError(
                f"{path} is not the folder of a run, and has none below it: no {run_folder.CONFIG}"
            )
        folders.update(dict.fromkeys(own))
    return [_read(folder) for folder in folders]


def _is_run(path: Path) -> bool:
    return (path / run_folder.CONFIG).is_file() or (path / run_folder.STAGES).is_file()


def _below(path: Path) -> list[Path]:
    """Returns the runs below a folder; stages are part of their run."""
    marks = [*path.glob(f"**/{run_folder.CONFIG}"), *path.glob(f"**/{run_folder.STAGES}")]
    found = sorted({mark.parent for mark in marks})
    staged = {one for one in found if (one / run_folder.STAGES).is_file()}
    runs = [one for one in found if not staged.intersection(one.parents)]
    if len(runs) > _MOST_RUNS:
        raise UserError(f"{path} has {len(runs)} runs below it; name at most {_MOST_RUNS}")
    return runs


def _read(folder: Path) -> Run:
    place = folder
    stages = run_folder.stages(folder)
    if stages:
        begun = [
            folder / name
            for name in stages
            if isinstance(name, str) and (folder / name / run_folder.CONFIG).is_file()
        ]
        if not begun:
            raise UserError(f"{folder}: none of its stages has begun; there is nothing to show")
        place = begun[-1]
    path = place / run_folder.ENVIRONMENT
    environment = read_json(path) if path.is_file() else {}
    return Run(
        place,
        folder.resolve().name or str(folder),
        run_folder.read_config(place),
        read_metrics(place),
        run_folder.result(place),
        environment if isinstance(environment, dict) else {},
    )


def grouped(runs: Sequence[Run], words: Words | None = None) -> list[Group]:
    """Puts runs that differ only in the seed together, in the order of the first of each.

    Args:
        runs: in order.
        words: of the names of the groups; None: English.
    """
    members: dict[str, list[Run]] = {}
    fields: dict[str, dict[str, Any]] = {}
    for run in runs:
        values = {name: one for name, one in flattened(run.config).items() if _matters(name)}
        key = repr(sorted(values.items()))
        members.setdefault(key, []).append(run)
        fields[key] = values
    first = next(iter(fields.values()), {})
    differ = [
        name for name in first if any(one.get(name) != first[name] for one in fields.values())
    ]
    groups = [
        Group("", tuple(sorted(own, key=lambda run: run.config.seed)), _of(fields[key], differ))
        for key, own in members.items()
    ]
    names = _names(groups, words or Words())
    return [group._replace(name=name) for group, name in zip(groups, names)]


def _matters(name: str) -> bool:
    return name != "seed" and (name in _MATTER or not trait(name).may_change)


def _of(values: dict[str, Any], names: Sequence[str]) -> dict[str, Any]:
    return {name: values.get(name) for name in names}


def _names(groups: Sequence[Group], words: Words) -> list[str]:
    """Names groups by what differs; where that is much, by their folders."""
    differing = len(groups[0].differs) if groups else 0
    folders = [_folder_name(group) for group in groups]
    if differing > _FEW_FIELDS and len(set(folders)) == len(folders):
        return folders
    if not differing:
        return folders
    fields = sorted(groups[0].differs, key=lambda field: field != "rdrop.copies")  # the loss first
    short = [field.rpartition(".")[2] for field in fields]
    shown = short if len(set(short)) == len(short) else fields
    named = [
        words("comma").join(
            _value(name, one.differs.get(field), words) for name, field in zip(shown, fields)
        )
        for one in groups
    ]
    return named if differing <= _FEW_FIELDS else [f"{n + 1}: {one}" for n, one in enumerate(named)]


def _value(field: str, value: Any, words: Words) -> str:
    """Returns a field with its value; the number of copies says which loss it is."""
    if field in ("copies", "rdrop.copies"):
        if value == 1:
            return words("cross_entropy")
        return words("rdrop") if value == 2 else words("rdrop_copies", count=value)
    return str(value) if field == "name" else f"{field}={value}"  # an optimiser, a model


def _folder_name(group: Group) -> str:
    """Returns the name of the run's folder; of several, of the folder that they are in."""
    name = group.runs[0].name
    seeded = len(group.runs) > 1 or name.startswith("seed_")
    return (group.runs[0].folder.resolve().parent.name if seeded else name) or name


def base_of(run: Run) -> tuple[str, dict[str, Any]]:
    """Returns the config file that a run began with, and its fields; else those of the default.

    Only files of this project's `configs/` are read: they run as code.
    """
    known = {path.stem: path for path in config_files.experiments()}
    path = known.get(Path(_config_word(str(run.environment.get("command", "")))).stem)
    if path is None:
        return "configs/default.py", flattened(default.get_config())
    return f"configs/{path.name}", flattened(config_files.load_file(str(path)))


def _config_word(command: str) -> str:
    """Returns what a command line names with --config; without it, what `main.py` takes then."""
    try:
        words = shlex.split(command)
    except ValueError:
        return ""
    for word, following in zip(words, [*words[1:], ""]):
        flag, equals, value = word.partition("=")
        if flag in ("--config", "-config"):
            return value if equals else following
    ours = any(Path(word).name == "main.py" for word in words)
    return command_line.DEFAULT_EXPERIMENT if ours else ""
