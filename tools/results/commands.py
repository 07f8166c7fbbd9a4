"""The commands of `tools.sweep` that make the runs of a table, worked out from their lines."""

from __future__ import annotations

import math
import shlex
from collections.abc import Sequence

from tools.results.lines import Line

_LONGEST = 118  # of a line on a page


def sweeps(experiment: str, lines: Sequence[Line]) -> list[str]:
    """Returns as few commands as there can be without a setting that has no line.

    Except that `--rows` runs the config as it is, too.

    Args:
        experiment: the name of the file of the lines.
        lines: of the table.
    """
    groups: dict[tuple[str, ...], list[Line]] = {}
    for line in lines:
        groups.setdefault((line["config"], *sorted(line["overrides"])), []).append(line)
    found = []
    for own in groups.values():
        settings: dict[str, list[Line]] = {}
        for line in own:
            settings.setdefault(line["setting"], []).append(line)
        together = len(settings) == math.prod(map(len, _choices(own)))
        found += [_command(experiment, one) for one in ([own] if together else settings.values())]
    return found


def _choices(lines: Sequence[Line]) -> list[list[str]]:
    """Returns the rows, then the values of each field that is set, in the order of the lines."""
    fields = sorted(lines[0]["overrides"])
    values = ([line["overrides"][name] for line in lines] for name in fields)
    return [list(dict.fromkeys(one)) for one in ([line["row"] for line in lines], *values)]


def _command(experiment: str, lines: Sequence[Line]) -> str:
    rows, *values = _choices(lines)
    named = [row for row in rows if row]
    fields = zip(sorted(lines[0]["overrides"]), values)
    words = [f"python -m tools.sweep --config {shlex.quote(lines[0]['config'])}"]
    words += [f"--rows {shlex.join(named)}"] if named else []
    words += [f"--set {shlex.quote(name + '=' + ','.join(each))}" for name, each in fields]
    words += [f"--seeds {' '.join(str(one) for one in sorted({line['seed'] for line in lines}))}"]
    return _broken([*words, f"--lines docs/results/{experiment}.jsonl"])


def _broken(words: Sequence[str]) -> str:
    """Returns words as a command, in lines of a page."""
    lines = [words[0]]
    for word in words[1:]:
        if len(lines[-1]) + len(word) > _LONGEST:
            lines.append(f"   {word}")
        else:
            lines[-1] += f" {word}"
    return " \\\n ".join(lines)
