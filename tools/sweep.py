"""Run experiments over seeds and values of fields, and print means with their spread.

    python -m tools.sweep --config configs/digits_rdrop.py configs/digits_ce.py --seeds 0 1 2 3 4
    --jobs 2 python -m tools.sweep --config configs/digits_rdrop.py --set optim.lr=1e-3,3e-3 --set
    rdrop.alpha=0.3,1 python -m tools.sweep --config configs/digits_tricks.py --rows --seeds 0 1 2

--rows runs the config as it is and each of its rows (its `get_rows`), or those that are named: an
ablation. What --set gives counts above a row.

Each run is a `main.py` of its own in a folder of its own, so a sweep that is started again goes on
where it was. Choose values by the column of the held-out images; the test images are for the one
that was chosen.
"""

from __future__ import annotations

import argparse
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
from program import command_line, config_files, exits, run_folder, tool_arguments

_ROOT = Path(__file__).resolve().parent.parent


class Setting(NamedTuple):
    """One row of the table: a config file, one of its rows (empty: as it is) and overrides."""

    config: str
    overrides: tuple[str, ...]
    row: str = ""

    @property
    def name(self) -> str:
        return " ".join(filter(None, [Path(self.config).stem, self.row, *self.overrides]))


def _arguments() -> argparse.Namespace:
    parser = tool_arguments.ArgumentParser("tools.sweep", __doc__)
    parser.add_argument("--config", nargs="+", required=True, help="config files")
    parser.add_argument(
        "--rows", nargs="*", metavar="ROW", help="rows of the config files; no name: all"
    )
    parser.add_argument(
        "--set", action="append", default=[], metavar="FIELD=V1,V2", help="values of a field to try"
    )
    parser.add_argument("--seeds", nargs="+", type=int, default=[0], help="seeds of each setting")
    parser.add_argument("--jobs", type=int, default=1, help="runs at a time; they share the cores")
    parser.add_argument(
        "--workdir", type=Path, default=Path("output/sweep"), help="folder of all runs"
    )
    parser.add_argument("--json", type=Path, help="write the table there, too")
    return parser.parse_args()


def settings_of(
    configs: list[str], fields: list[str], rows: list[str] | None = None
) -> list[Setting]:
    """All combinations of config files, their rows, and values of fields (`name=value,value`).

    Args:
        configs: paths.
        fields: as `--set` has them.
        rows: names; none: all that the files have; None: the configs as they are only.

    Raises:
        UserError: for a field without values, or a row that a file does not have.
    """
    choices = []
    for field in fields:
        name, equals, values = field.partition("=")
        if not equals or not values:
            raise UserError(f"--set {field}: expected FIELD=value,value")
        values = re.split(
            r",(?![^(]*\))", values
        )  # at commas outside of brackets: a tuple is one value
        choices.append([f"{name}={value}" for value in values])
    found, fixed = [], {field.partition("=")[0] for field in fields}
    for config in configs:
        known = config_files.load_table(config, "get_rows") if rows is not None else {}
        for row in rows or ():
            if row not in known:
                raise UserError(f"--rows: {config} has no row {row!r}{nearest(row, known)}")
        chosen = rows or known
        for row in chosen:
            if known[row].keys() <= fixed:
                raise UserError(
                    f"--set decides all fields of the row {row}, which would be the config as it is"
                )
        found += [
            Setting(config, own, row)
            for row in ("", *chosen)
            for own in itertools.product(*choices)
        ]
    return found


def check(rows: list[Setting]) -> None:
    """See before the first run that all have their config file, and the fields that are set.

    Raises:
        UserError: when one has not.
    """
    for row in rows:
        config = config_files.load_file(row.config)
        for override in row.overrides:
            command_line.check_override(config, *override.split("=", 1))


def run_one(setting: Setting, seed: int, workdir: Path, threads: int) -> dict:
    """Train one setting with one seed, unless it is done; gives its result."""
    folder = workdir / setting.name.replace("/", "_").replace(" ", "__") / f"seed_{seed}"
    overrides = [f"--config.{override}" for override in (*setting.overrides, f"seed={seed}")]
    flags = [
        f"--config={setting.config}",
        f"--row={setting.row}",
        f"--workdir={folder}",
        *overrides,
    ]
    command = [sys.executable, str(_ROOT / "main.py"), *flags]
    environment = {**os.environ, "OMP_NUM_THREADS": str(threads)}
    done = subprocess.run(command, env=environment, capture_output=True, text=True)
    if done.returncode:
        said = (done.stderr or done.stdout).strip().splitlines() or [f"exit code {done.returncode}"]
        raise UserError(f"{setting.name}, seed {seed}: {said[-1]}")
    found = run_folder.result(folder)
    if found is None:
        raise UserError(f"{setting.name}, seed {seed}: {folder} has no result")
    return found


def summarise(setting: Setting, results: list[dict], base: list[dict] | None = None) -> dict:
    """Means and sample standard deviations over the seeds; accuracies in percent.

    Args:
        setting: what was run.
        results: by seed.
        base: results of the config as it is with the same seeds, to compare with.
    """
    row = {"setting": setting.name, "n": len(results)}
    for key, name in (("best_top1", "val_top1"), ("top1", "test_top1"), ("ece", "test_ece")):
        values = [100 * result[key] for result in results if result[key] is not None]
        if values:
            row.update(_spread(name, values))
    if base and base is not results:
        row.update(
            _spread(
                "difference",
                [100 * (own["top1"] - other["top1"]) for own, other in zip(results, base)],
            )
        )
    row["weights_of"] = dict(Counter(result["weights_of"] for result in results))
    row["seconds"] = round(float(np.mean([result["seconds"] for result in results])), 1)
    return row


def _spread(name: str, values: list[float]) -> dict:
    deviation = round(float(np.std(values, ddof=1)), 3) if len(values) > 1 else None
    each = [round(value, 2) for value in values]
    return {name: round(float(np.mean(values)), 3), f"{name}_std": deviation, f"{name}_each": each}


def table(rows: list[dict]) -> str:
    """The rows as Markdown; those of an ablation beside the config as it is, with each seed's
    accuracy.
    """
    compared = any("difference" in row for row in rows)
    names = [
        "setting",
        "n",
        "held-out top-1",
        "test top-1",
        *(["against the config as it is"] if compared else []),
    ]
    names += ["test ECE", "weights", "seconds", *(["each seed's test top-1"] if compared else [])]
    lines = ["| " + " | ".join(names) + " |", "|" + "---|" * len(names)]
    for row in rows:
        cells = [row["setting"], str(row["n"]), _cell(row, "val_top1"), _cell(row, "test_top1")]
        cells += [_cell(row, "difference", "+")] if compared else []
        cells += [
            _cell(row, "test_ece"),
            ", ".join(f"{count} {name}" for name, count in row["weights_of"].items()),
        ]
        cells.append(f"{row['seconds']:.0f}")
        cells += [" ".join(f"{value:.2f}" for value in row["test_top1_each"])] if compared else []
        lines.append("| " + " | ".join(cells) + " |")
    return "\n".join(lines)


def _cell(row: dict, name: str, sign: str = "") -> str:
    if name not in row:
        return "-"
    spread = f" +- {row[name + '_std']:.2f}" if row[f"{name}_std"] is not None else ""
    return f"{row[name]:{sign}.2f}{spread}"


def main() -> int:
    """Run the sweep of the command line; gives the exit code."""
    arguments = _arguments()
    if arguments.jobs < 1:
        raise UserError(f"--jobs is {arguments.jobs}, expected 1 or more")
    if min(arguments.seeds) < 0:
        raise UserError(f"--seeds has {min(arguments.seeds)}, expected 0 or more")
    tool_arguments.check_output("--json", arguments.json)
    tool_arguments.check_folder("--workdir", arguments.workdir)
    settings_to_run = settings_of(arguments.config, arguments.set, arguments.rows)
    check(settings_to_run)
    threads = max(1, (os.cpu_count() or 1) // arguments.jobs)
    tasks = [(setting, seed) for setting in settings_to_run for seed in arguments.seeds]
    failures = []
    with (
        ThreadPoolExecutor(arguments.jobs) as pool,
        tqdm(total=len(tasks), unit="run", disable=None) as bar,
    ):

        def work(task: tuple[Setting, int]) -> dict | None:
            try:
                return run_one(*task, arguments.workdir, threads)
            except UserError as error:
                failures.append(error)
                return None
            finally:
                bar.update()

        results = dict(zip(tasks, pool.map(work, tasks)))
    summary = _summaries(settings_to_run, arguments.seeds, results)
    if summary:
        print(table(summary))
    if arguments.json:
        write_json(arguments.json, {"command": sys.argv, "threads": threads, "rows": summary})
    if failures:
        raise UserError(f"{len(failures)} of {len(tasks)} runs failed; the first: {failures[0]}")
    return exits.DONE


def _summaries(settings_run: list[Setting], seeds: list[int], results: dict) -> list[dict]:
    """Of the settings whose runs all ended well."""
    by_setting = {setting: [results[setting, seed] for seed in seeds] for setting in settings_run}
    whole = {setting: found for setting, found in by_setting.items() if all(found)}
    return [summarise(one, found, whole.get(one._replace(row=""))) for one, found in whole.items()]


if __name__ == "__main__":
    exits.run_tool(main)
