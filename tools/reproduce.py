"""Reproduce a published figure: from the download to the verdict, in one command.

    python -m tools.reproduce --list
    python -m tools.reproduce cifar100_vit_b_384 --seeds 3
    python -m tools.reproduce imagenet_vit_b_384 --data /path/to/imagenet --gpus 2 --batch 8
    python -m tools.reproduce cifar100_vit_b_384 --scale tiny

It says first what the source leaves open and what is assumed in its place. Then: the doctor, room
on the disk, data and weights with their checksums, a dry run at full size, the training of each
seed under Paddle's launcher (started again when it dies), val.py, a page, and the verdict:
reproduced, within the spread, or not, by how much, and what differs from the published set-up.

The same command goes on after any stop. With fewer cards than published, the images of a step
stay, by accumulation. --scale tiny rehearses all of it with a nano model and made-up data.
Exit code 1: the figure was not reproduced.
"""

from __future__ import annotations

import argparse
import sys
from pathlib import Path

from common.atomic_writing import write_json
from common.errors import UserError
from common.reading import user_path
from program import exits, tool_arguments


def _arguments() -> argparse.Namespace:
    parser = tool_arguments.ArgumentParser("tools.reproduce", __doc__)
    add = parser.add_argument
    add("figure", nargs="?", metavar="FIGURE", help="a name of --list")
    add("--list", action="store_true", help="all figures: value, source, config, cost, downloads")
    add("--json", type=user_path, metavar="FILE", help="with --list: write the list there, too")
    add("--plan", action="store_true", help="say what would be done, and end")
    add("--gpus", type=int, help="cards; 0: the CPU (default: as published, or what there is)")
    add("--seeds", type=int, default=1, help="how many, from 0 on (default 1)")
    add("--workdir", type=user_path, help="folder (default: output/reproduce_FIGURE)")
    add("--data", default="", metavar="ROOT", help="folder or archive of the data, if it is here")
    add("--weights", default="", metavar="FILE", help="weights to begin with, if they are here")
    add("--batch", type=int, default=0, help="most images of a card at a time")
    add("--scale", choices=("full", "tiny"), default="full", help="tiny: a rehearsal in a minute")
    add(
        "--set",
        action="append",
        default=[],
        metavar="FIELD=VALUE",
        help="another value of a config's field, such as train.amp=O1; it is named as a difference",
    )
    add("--no_doctor", action="store_true", help="do not ask tools.doctor about this machine first")
    return parser.parse_args()


def _options(arguments: argparse.Namespace):
    from tools.reproduction.set_up import Options

    for name, least in (("seeds", 1), ("batch", 0), ("gpus", 0)):
        value = getattr(arguments, name)
        if value is not None and value < least:
            raise UserError(f"--{name} is {value}, expected {least} or more")
    given = {}
    for field in arguments.set:
        name, equals, value = field.partition("=")
        if not equals:
            raise UserError(f"--set {field}: expected FIELD=VALUE")
        given[name] = value
    return Options(arguments.gpus, arguments.seeds, arguments.batch, arguments.scale, given)


def _list(output: Path | None) -> int:
    from tools.reproduction import listing

    target = tool_arguments.check_output("--json", output)
    print(*listing.lines(), sep="\n")
    if target:
        write_json(target, listing.rows())
    return exits.DONE


def _reproduce(arguments: argparse.Namespace) -> int:
    from tools.reproduction import page, set_up
    from tools.reproduction.published import figures
    from tools.reproduction.stages import Paths, Reproduction
    from tools.reproduction.work import children, state

    figure = figures.find(arguments.figure)
    chosen = set_up.make(figure, _options(arguments))
    print(*page.before(chosen), sep="\n", flush=True)
    if arguments.plan:
        return exits.DONE
    ending = "_tiny" if arguments.scale == set_up.TINY else ""
    workdir = arguments.workdir or Path("output") / f"reproduce_{figure.name}{ending}"
    tool_arguments.check_folder("--workdir", workdir)
    paths = Paths(
        workdir.absolute(), arguments.data, arguments.weights, doctor=not arguments.no_doctor
    )
    with state.lock(paths.workdir):
        try:
            return Reproduction(chosen, paths).run()
        except children.Asked as asked:
            print(f"{asked}; the same command goes on", file=sys.stderr, flush=True)
            return exits.STOPPED


def main() -> int:
    """Lists the figures, or reproduces the one of the command line; returns the exit code."""
    arguments = _arguments()
    if arguments.list:
        return _list(arguments.json)
    if arguments.json:
        raise UserError("--json has no meaning without --list; a run writes verdict.json")
    if not arguments.figure:
        raise UserError("name a figure (python -m tools.reproduce --list)")
    return _reproduce(arguments)


if __name__ == "__main__":
    exits.run_tool(main)
