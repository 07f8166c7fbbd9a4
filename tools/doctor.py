"""Say what this machine is, and whether a run will work on it.

    python -m tools.doctor [--workdir DIR] [--data ROOT] [--json FILE] [--offline]
    python -m tools.doctor --config=configs/NAME.py [--config.group.field=value ...] [--row=NAME]

Each line is `fine`, `look` (it works, or may work, but see) or `bad` (it will not work), with what
to do. It looks at Python, packages, Paddle and its device, cards, processor, memory, disks, clock,
letters, variables and the network. With --config also at data, weights, memory and disk of that
run. The page has no passwords, and can be pasted into a report. It starts without Paddle and
without any other package.

Exit code 0: nothing is bad. 1: something is. 2: wrong flags.
"""

from __future__ import annotations

import argparse
import functools
import os
import tempfile
from collections.abc import Callable, Iterable, Iterator
from pathlib import Path

from common.atomic_writing import write_json
from common.errors import UserError
from common.reading import user_path
from program import environment, exits, paddle_setup, tool_arguments
from tools.diagnosis import (
    cards,
    children,
    lines,
    network,
    processor,
    run,
    software,
    storage,
    system,
)
from tools.diagnosis.lines import Line

_PATIENCE = 300.0  # seconds; the first start of Paddle on a network disk takes a minute
_OF_CONFIG = ("--config.", "--noconfig.")


class Doctor:
    """Prints the lines of checks as they come, and keeps them."""

    def __init__(self) -> None:
        self.lines: list[Line] = []

    def check(self, name: str, function: Callable[..., Iterable[Line]], *facts: object) -> None:
        """Runs a check with its facts; an error becomes a line of that name."""
        for line in lines.outcome(name, functools.partial(function, *facts)):
            self.lines.append(line)
            print(line, flush=True)


def _arguments() -> tuple[argparse.Namespace, list[str]]:
    """Returns the flags, and the words about a config, such as `--config=NAME`."""
    parser = tool_arguments.ArgumentParser("tools.doctor", __doc__)
    parser.allow_abbrev = False
    add = parser.add_argument
    add("--workdir", default="output", help="the folder of runs")
    add("--data", default="", help="the folder or archive of the data")
    add("--json", default="", metavar="FILE", help="write the lines there, too")
    add("--offline", action="store_true", help="do not look for any host")
    add("--config", default="", metavar="NAME", help="a config, of whose run to tell")
    add("--row", default="", metavar="NAME", help="a row of the config")
    add(
        "--patience",
        type=float,
        default=_PATIENCE,
        metavar="SECONDS",
        help="for each part that could hang; 0: no limit",
    )
    arguments, rest = parser.parse_known_args()
    if rest and not any(word.startswith(_OF_CONFIG) for word in rest):
        parser.error(f"unrecognized arguments: {' '.join(rest)}")
    if not 0 <= arguments.patience < float("inf"):
        raise UserError(
            f"--patience is {arguments.patience}, expected 0 (no limit) or more seconds"
        )
    words = [f"--config={arguments.config}"] if arguments.config else []
    words += [f"--row={arguments.row}"] if arguments.row else []
    return arguments, [*words, *rest]


def _plan(words: list[str], patience: float) -> children.Answer | None:
    """Returns the plan of the config's run; None without a config.

    Raises:
        UserError: when the words are wrong.
    """
    if not words:
        return None
    answer = children.ask("plan_probe", words, patience)
    if "refused" in answer.facts:
        raise UserError(answer.facts["refused"])
    return answer


def _several(answer: children.Answer, patience: float) -> Iterator[Line]:
    """Yields the line about several processes: one on each card, or two on a CPU."""
    count = len(answer.facts.get("cards") or [])
    if "device" not in answer.facts or count == 1:
        yield from cards.not_together(count)
        return
    launcher = ["-m", "paddle.distributed.launch"]
    devices = [] if count else ["--nproc_per_node", "2"]
    with tempfile.TemporaryDirectory(prefix="doctor_") as folder:
        words = [*launcher, *devices, "--log_dir", folder]
        told = children.ask("all_reduce_probe", (), patience, words)
    yield from cards.together(told, count)


def _examine(doctor: Doctor, arguments: argparse.Namespace, words: list[str]) -> None:
    """Runs all checks, the most important first."""
    patience, check = arguments.patience, doctor.check
    wanted = [] if arguments.offline else network.hosts()
    tries = network.Tries([url for _, url in wanted])
    plan = _plan(words, patience)
    answer = children.ask("paddle_probe", (), patience)
    versions = software.installed()
    driver = cards.read_driver()
    check("Paddle", software.paddle, versions, answer)
    check("run_check", software.own_check, answer)
    check("device", cards.device, driver, answer.facts)
    check("project", software.project, environment.git_commit)
    check("Python", software.python)
    check("packages", software.packages, versions, software.broken(answer))
    check("extras", software.extras, versions)
    check("cards", cards.each, driver, answer.facts)
    check("host to card", cards.transfer, answer)
    check("several processes", _several, answer, patience)
    allowed, left = processor.affinity(), processor.quota()
    check("cores", processor.cores, allowed, left, os.cpu_count() or 1)
    check("processor", processor.products, answer)
    usable = int(min(allowed, max(1, left or allowed)))
    check("threads", processor.thread_variables, os.environ, usable, paddle_setup.is_amd())
    check("compiled code", processor.compiled_code, answer)
    check("memory", lambda: processor.memory(*processor.read_memory()))
    check("/dev/shm", storage.shared_memory)
    check("open files", storage.open_files)
    needed = run.disk(plan) if plan else 0
    check("disk", storage.run_disk, user_path(arguments.workdir), needed)
    for root in _roots(arguments.data, plan):
        check("data", storage.data_disk, root)
    check("clock", system.clock)
    check("letters", system.letters)
    check("launcher", system.launcher)
    check("host", system.host)
    check("proxies", network.proxies)
    if not arguments.offline:
        check("network", lambda: network.reached(wanted, tries.results()))
    if plan:
        reach = None if arguments.offline else network.reach
        check("run", run.lines, plan, driver, reach)


def _roots(given: str, plan: children.Answer | None) -> list[Path]:
    """Returns the folders and archives of the data: the one that is given, or those of the plan."""
    if given:
        return [user_path(given)]
    stages = plan.facts.get("stages", {}).values() if plan else ()
    return [user_path(root) for root in dict.fromkeys(one["root"] for one in stages) if root]


def main() -> int:
    """Prints the page; returns the exit code."""
    arguments, words = _arguments()
    target = tool_arguments.check_output("--json", arguments.json)
    doctor = Doctor()
    _examine(doctor, arguments, words)
    print(lines.summary(doctor.lines))
    if target:
        write_json(target, {"lines": [line._asdict() for line in doctor.lines]})
    bad = any(line.state == lines.BAD for line in doctor.lines)
    return exits.FAILED_EXPECTATION if bad else exits.DONE


if __name__ == "__main__":
    exits.run_tool(main)
