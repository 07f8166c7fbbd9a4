"""Run experiments over seeds and values of fields, and print means with their spread.

    python -m tools.sweep --config configs/digits_rdrop.py configs/digits_ce.py \\
        --seeds 0 1 2 3 4 --jobs 2
    python -m tools.sweep --config configs/digits_rdrop.py \\
        --set optim.lr=1e-3,3e-3 --set rdrop.alpha=0.3,1
    python -m tools.sweep --config configs/digits_tricks.py --rows --seeds 0 1 2

--rows is for an ablation: it runs the config as it is and each of its rows (its `get_rows`), or
those that are named. What --set says has priority over a row.

Each run is a `main.py` of its own in a folder of its own, so a sweep that is started again goes on
where it was. Choose values by the column of the held-out images; the test images are for the one
that was chosen. At the end, report.html in the folder of all runs compares them (tools.report).
"""

from __future__ import annotations

import argparse
import hashlib
import itertools
import os
import re
import subprocess
import sys
from collections import Counter
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import NamedTuple

import numpy as np
from tqdm import tqdm

from common.atomic_writing import write_json
from common.errors import UserError, nearest
from common.reading import user_path
from program import command_line, exits, paddle_setup, run_folder, tool_arguments
from program.config import config_files

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


def run_one(setting: Setting, seed: int, workdir: Path, threads: int) -> dict:
    """Trains one setting with one seed, unless it is done; returns its result.

    Raises:
        UserError: when the run fails.
    """
    folder = workdir / folder_name(setting) / f"seed_{seed}"
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


def summarise(setting: Setting, results: list[dict], base: list[dict] | None = None) -> dict:
    """Returns means and sample standard deviations over the seeds; accuracies in percent.

    Args:
        setting: what was run.
        results: one for each seed.
        base: results of the config as it is with the same seeds, to compare with.
    """
    row = {"setting": setting.name, "n": len(results)}
    for key, name in (("best_top1", "val_top1"), ("top1", "test_top1"), ("ece", "test_ece")):
        values = [100 * result[key] for result in results if result[key] is not None]
        row.update(_spread(name, values) if values else {})
    if base and base is not results:
        gains = [100 * (own["top1"] - other["top1"]) for own, other in zip(results, base)]
        row.update(_spread("difference", gains))
    row["weights_of"] = dict(Counter(result["weights_of"] for result in results))
    row["seconds"] = round(float(np.mean([result["seconds"] for result in results])), 1)
    return row


def _spread(name: str, values: list[float]) -> dict:
    deviation = round(float(np.std(values, ddof=1)), 3) if len(values) > 1 else None
    each = [round(value, 2) for value in values]
    return {name: round(float(np.mean(values)), 3), f"{name}_std": deviation, f"{name}_each": each}


def table(rows: list[dict]) -> str:
    """Returns the rows as Markdown.

    An ablation has two more columns: the difference to the config as it is, and the accuracy of
    each seed.
    """
    lines = []
    for row in rows:
        weights = row["weights_of"].items()
        cells = {
            "setting": row["setting"],
            "n": str(row["n"]),
            "held-out top-1": _cell(row, "val_top1"),
            "test top-1": _cell(row, "test_top1"),
            "against the config as it is": _cell(row, "difference", "+"),
            "test ECE": _cell(row, "test_ece"),
            "weights": ", ".join(f"{count} {name}" for name, count in weights),
            "seconds": f"{row['seconds']:.0f}",
            "each seed's test top-1": " ".join(f"{value:.2f}" for value in row["test_top1_each"]),
        }
        if not any("difference" in other for other in rows):
            del cells["against the config as it is"], cells["each seed's test top-1"]
        lines.append("| " + " | ".join(cells.values()) + " |")
    return "\n".join(["| " + " | ".join(cells) + " |", "|" + "---|" * len(cells), *lines])


def _cell(row: dict, name: str, sign: str = "") -> str:
    if name not in row:
        return "-"
    deviation = row[f"{name}_std"]
    return f"{row[name]:{sign}.2f}" + (f" +- {deviation:.2f}" if deviation is not None else "")


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
    threads = max(1, (os.cpu_count() or 1) // arguments.jobs)
    tasks = list(itertools.product(settings, arguments.seeds))
    results, failures = _run_all(tasks, arguments.jobs, arguments.workdir, threads)
    by_setting = {one: [results.get((one, seed)) for seed in arguments.seeds] for one in settings}
    whole = {one: found for one, found in by_setting.items() if all(found)}
    summary = [summarise(one, whole[one], whole.get(one._replace(row=""))) for one in whole]
    if summary:
        print(table(summary))
    if arguments.json:
        write_json(arguments.json, {"command": sys.argv, "threads": threads, "rows": summary})
    if results:
        _write_page(arguments.workdir)
    if failures:
        raise UserError(f"{len(failures)} of {len(tasks)} runs failed; the first: {failures[0]}")
    return exits.DONE


def _write_page(workdir: Path) -> None:
    """Writes the page of all runs of the folder, those of earlier sweeps included."""
    paddle_setup.load_paddle()
    from report import after_run

    after_run.write_page(workdir)


def _run_all(
    tasks: list[tuple[Setting, int]], jobs: int, workdir: Path, threads: int
) -> tuple[dict, list[UserError]]:
    """Runs settings with their seeds, several at a time.

    Returns:
        The results by setting and seed, and the errors of the runs that failed.
    """
    results, failures = {}, []

    def work(task: tuple[Setting, int]) -> None:
        try:
            results[task] = run_one(*task, workdir, threads)
        except UserError as error:
            failures.append(error)

    with ThreadPoolExecutor(jobs) as pool:
        for _ in tqdm(pool.map(work, tasks), total=len(tasks), unit="run", disable=None):
            pass
    return results, failures


if __name__ == "__main__":
    exits.run_tool(main)
