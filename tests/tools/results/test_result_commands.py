"""The commands that a table shows give its settings, and no others."""

from __future__ import annotations

import shlex

from made_lines import made_line

from tools import sweep
from tools.results.commands import sweeps


def _line(row: str, seed: int, config: str = "configs/digits_ce.py", **overrides: str) -> dict:
    fields = {name.replace("__", "."): value for name, value in overrides.items()}
    setting = " ".join([config, row, *(f"{name}={value}" for name, value in fields.items())])
    return made_line(row, seed, 0.5, config=config, overrides=fields, setting=setting)


def test_rows_and_seeds_are_one_command():
    lines = [_line(row, seed) for row in ("a", "b") for seed in (1, 0)]
    assert sweeps("x", lines) == [
        "python -m tools.sweep --config configs/digits_ce.py --rows a b --seeds 0 1 "
        "--lines docs/results/x.jsonl"
    ]
    (long,) = sweeps("x" * 20, lines)
    assert long.endswith(" --seeds 0 1 \\\n    --lines docs/results/xxxxxxxxxxxxxxxxxxxx.jsonl")


def test_values_of_fields_are_one_command_where_all_combinations_were_run():
    lines = [_line("", 0, optim__lr=a, rdrop__alpha=b) for a in ("1", "2") for b in ("3", "4")]
    (command,) = sweeps("x", lines)
    words = shlex.split(command.replace("\\\n", ""))
    sets = [value for flag, value in zip(words, words[1:]) if flag == "--set"]
    found = sweep.settings_of(["configs/digits_ce.py"], sets)
    assert {one.overrides for one in found} == {
        (f"optim.lr={a}", f"rdrop.alpha={b}") for a in "12" for b in "34"
    }
    assert len(sweeps("x", lines[:3])) == 3  # one combination was not run
    assert len(sweeps("x", [*lines, _line("", 0), _line("", 0, config="b.py")])) == 3


def test_values_with_brackets_stay_whole():
    (command,) = sweeps("x", [_line("", 0, rdrop__drop_rates="(0.1,0.2)")])
    assert "--set 'rdrop.drop_rates=(0.1,0.2)'" in command
