"""Run experiments over seeds and values of fields, and print means with their spread.

    python -m tools.sweep --config configs/digits_rdrop.py configs/digits_ce.py \\
        --seeds 0 1 2 3 4 --jobs 2
    python -m tools.sweep --config configs/digits_rdrop.py \\
        --set optim.lr=1e-3,3e-3 --set rdrop.alpha=0.3,1
    python -m tools.sweep --config configs/digits_tricks.py --rows --seeds 0 1 2

    python -m tools.sweep --config configs/digits_rdrop.py --lines docs/results/digits.jsonl

--rows is for an ablation: it runs the config as it is and each of its rows (its `get_rows`), or
those that are named. What --set says has priority over a row.

Each run is a `main.py` of its own in a folder of its own, so a sweep that is started again goes on
where it was. Choose values by the column of the held-out images; the test images are for the one
that was chosen. At the end, report.html in the folder of all runs compares them (tools.report).

--lines adds each finished run to a file, a line of JSON for each, unless it is there already. The
tables of docs/results.md are made of such files (tools.results_tables).
"""

from __future__ import annotations

import argparse
import hashlib
import itertools
import os
import re
import subprocess
import sys
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import NamedTuple

from tqdm import tqdm

from common.atomic_writing import write_json
from common.errors import UserError, nearest
from common.reading import user_path
from program import command_line, exits, paddle_setup, run_folder, tool_arguments
from program.config import config_files
from report.runs import read_all
from tools.results.lines import append, of_run, read
from tools.results.summary import summarise, table

_ROOT = Path(__file__).resolve().parent.parent
_LONGEST_NAME = 200  # bytes of a folder's name; file systems allow 255


class Setting(NamedTuple):
    """A config file, one of its rows (empty: as it is), and overrides such as `seed=1`."""

    config: str
    overrides: tuple[str, ...]
    row: str = ""

    @property
    def name(self) -> str:
        return " ".join(filter(None, [Path(self.config).stem, self.row, *self.overrides]))


def _arguments() -> argparse.Namespace:
    parser = tool_arguments.ArgumentParser("tools.sweep", __doc__)
    add = parser.add_argument
    add("--config", nargs="+", required=True, help="config files")
    add("--rows", nargs="*", metavar="ROW", help="rows of the config files; no name: all")
    add(
        "--set", action="append", default=[], metavar="FIELD=V1,V2", help="values of a field to try"
    )
    add("--seeds", nargs="+", type=int, default=[0], help="seeds of each setting")
    add("--jobs", type=int, default=1, help="runs at a time; they share the cores")
    add("--workdir", type=user_path, default=Path("output/sweep"), help="folder of all runs")
    add("--json", type=user_path, help="write the table there, too")
    add(
        "--lines",
        type=user_path,
        metavar="FILE",
        help="add a line for each finished run there (docs/results/NAME.jsonl)",
    )
    return parser.parse_args()


def settings_of(
    configs: list[str], fields: list[str], rows: list[str] | None = None
) -> list[Setting]:
    """Returns all combinations of config files, their rows, and values of fields.

    Args:
        configs: paths.
        fields: `name=value,value`, as `--set` has them.
        rows: names; []: all rows of the files; None: only the configs as they are.

    Raises:
        UserError: for a field without values, or a row that a file does not have.
    """
    choices = [_overrides(field) for field in fields]
    fixed = {field.partition("=")[0] for field in fields}
    found = []
    for config in configs:
        known = config_files.load_table(config, "get_rows") if rows is not None else {}
        for row in rows or known:
            if row not in known:
                raise UserError(f"--rows: {config} has no row {row!r}{nearest(row, known)}")
            if known[row].keys() <= fixed:
                raise UserError(
                    f"--set decides all fields of the row {row}, which would be the config as it is"
                )
        for row, own in itertools.product(("", *(rows or known)), itertools.product(*choices)):
            found.append(Setting(config, own, row))
    return found


def _overrides(field: str) -> list[str]:
    """Returns `name=value` for each value of `name=value,value`; a tuple is one value."""
    name, _, values = field.partition("=")
    if not values:
        raise UserError(f"--set {field}: expected FIELD=value,value")
    outside_of_brackets = r",(?![^(]*\))"
    return [f"{name}={value}" for value in re.split(outside_of_brackets, values)]


def check(settings: list[Setting]) -> None:
    """Checks before the first run that all config files load, and have the fields that are set.

    Raises:
        UserError: when one does not.
    """
    for setting in settings:
        config = config_files.load_file(setting.config)
        for override in setting.overrides:
            command_line.check_override(config, *override.split("=", 1))


def folder_name(setting: Setting) -> str:
    """Returns the name of a setting's folder; a hash takes the place of the end of a long one."""
    name = setting.name.replace("/", "_").replace(" ", "__")
    if len(name.encode()) <= _LONGEST_NAME:
        return name
    kept = name.encode()[: _LONGEST_NAME - 10].decode(errors="ignore")
    return f"{kept}__{hashlib.sha256(name.encode()).hexdigest()[:8]}"


def _folder(setting: Setting, seed: int, workdir: Path) -> Path:
    return workdir / folder_name(setting) / f"seed_{seed}"


def run_one(setting: Setting, seed: int, workdir: Path, threads: int) -> dict:
    """Trains one setting with one seed, unless it is done; returns its result.

    Raises:
        UserError: when the run fails.
    """
    folder = _folder(setting, seed, workdir)
    command = [
        *(sys.executable, str(_ROOT / "main.py")),
        *(f"--config={setting.config}", f"--row={setting.row}", f"--workdir={folder}"),
        "--noreport",  # one page of all runs at the end
        *(f"--config.{override}" for override in (*setting.overrides, f"seed={seed}")),
    ]
    environment = {**os.environ, "OMP_NUM_THREADS": str(threads)}
    done = subprocess.run(
        command,
        env=environment,
        capture_output=True,
        encoding="utf-8",
        errors="backslashreplace",
    )
    if done.returncode:
        said = (done.stderr or done.stdout).strip().splitlines() or [f"exit code {done.returncode}"]
        raise UserError(f"{setting.name}, seed {seed}: {said[-1]}")
    found = run_folder.result(folder)
    if found is None:
        raise UserError(f"{setting.name}, seed {seed}: {folder} has no result")
    return found


def main() -> int:
    """Runs the sweep of the command line; returns the exit code."""
    arguments = _arguments()
    if arguments.jobs < 1:
        raise UserError(f"--jobs is {arguments.jobs}, expected 1 or more")
    if min(arguments.seeds) < 0:
        raise UserError(f"--seeds has {min(arguments.seeds)}, expected 0 or more")
    tool_arguments.check_output("--json", arguments.json)
    tool_arguments.check_folder("--workdir", arguments.workdir)
    settings = settings_of(arguments.config, arguments.set, arguments.rows)
    check(settings)
    _check_lines(arguments.lines)
    threads = max(1, (os.cpu_count() or 1) // arguments.jobs)
    tasks = list(itertools.product(settings, arguments.seeds))
    results, failures = _run_all(tasks, arguments.jobs, arguments.workdir, threads, arguments.lines)
    by_setting = {one: [results.get((one, seed)) for seed in arguments.seeds] for one in settings}
    whole = {one: found for one, found in by_setting.items() if all(found)}
    summary = [summarise(one.name, whole[one], whole.get(one._replace(row=""))) for one in whole]
    if summary:
        print(table(summary))
    if arguments.json:
        write_json(arguments.json, {"command": sys.argv, "threads": threads, "rows": summary})
    if results:
        _write_page(arguments.workdir)
    if failures:
        raise UserError(f"{len(failures)} of {len(tasks)} runs failed; the first: {failures[0]}")
    return exits.DONE


def _check_lines(path: Path | None) -> None:
    """Checks before the first run that lines can be added to a file."""
    tool_arguments.check_output("--lines", path)
    if path is not None:
        if path.suffix != ".jsonl":
            raise UserError(f"--lines: {path}: expected a name that ends in .jsonl")
        read(path)


def _add_line(path: Path, setting: Setting, seed: int, workdir: Path) -> None:
    """Adds the line of a finished run to a file, unless it is there."""
    (run,) = read_all([_folder(setting, seed, workdir)])
    append(path, of_run(run, setting.config, setting.row, setting.overrides))


def _write_page(workdir: Path) -> None:
    """Writes the page of all runs of the folder, those of earlier sweeps included."""
    paddle_setup.load_paddle()
    from report import after_run

    after_run.write_page(workdir)


def _run_all(
    tasks: list[tuple[Setting, int]],
    jobs: int,
    workdir: Path,
    threads: int,
    lines: Path | None = None,
) -> tuple[dict, list[UserError]]:
    """Runs settings with their seeds, several at a time.

    Returns:
        The results by setting and seed, and the errors of the runs that failed.
    """
    results, failures = {}, []

    def work(task: tuple[Setting, int]) -> None:
        try:
            results[task] = run_one(*task, workdir, threads)
            if lines:
                _add_line(lines, *task, workdir)
        except UserError as error:
            failures.append(error)

    with ThreadPoolExecutor(jobs) as pool:
        for _ in tqdm(pool.map(work, tasks), total=len(tasks), unit="run", disable=None):
            pass
    return results, failures


if __name__ == "__main__":
    exits.run_tool(main)
