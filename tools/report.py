"""Make a page of one run, or of several, to look at in a browser.

    python -m tools.report output/digits_rdrop
    python -m tools.report output/digits_rdrop output/digits_ce --output compared.html
    python -m tools.report output/sweep --lang zh --png charts --json numbers.json

RUN is the folder of a run, finished or not, or a folder with runs below it. Runs that differ only
in the seed are one setting, and differences are to the first setting. The page is one file that
opens from the disk; it loads nothing. --png writes each chart as PNG and SVG, readable in black and
white; --json writes the numbers behind the charts. Needs: pip install -r requirements-extras.txt
"""

from __future__ import annotations

import argparse
import contextlib
import os
from pathlib import Path

from common.errors import UserError
from common.reading import user_path
from program import exits, paddle_setup, run_folder, tool_arguments


def _arguments() -> argparse.Namespace:
    parser = tool_arguments.ArgumentParser("tools.report", __doc__)
    add = parser.add_argument
    add("runs", nargs="+", metavar="RUN", help="folders of runs, or with runs below them")
    add("--output", type=user_path, help="the page; else report.html in the run's folder, or above")
    add("--lang", choices=("en", "zh"), default="en", help="language of the page")
    add("--png", type=user_path, metavar="DIR", help="write each chart as PNG and SVG there, too")
    add("--json", type=user_path, metavar="FILE", help="write the numbers of the charts, too")
    add("--images", type=int, help="most test images that pass through a model (default: 2000)")
    return parser.parse_args()


def _output(runs: list[str], given: Path | None) -> Path:
    """Returns where the page goes: into the folder that holds all the runs."""
    if given:
        return given
    folders = [user_path(run).absolute() for run in runs]
    above = Path(os.path.commonpath(folders))
    inside = above if len(set(folders)) == 1 or above not in folders else above.parent
    with contextlib.suppress(ValueError):
        inside = inside.relative_to(Path.cwd())
    return inside / run_folder.REPORT


def main() -> int:
    """Makes the page of the command line; returns the exit code."""
    arguments = _arguments()
    if arguments.images is not None and arguments.images < 1:
        raise UserError(f"--images is {arguments.images}, expected 1 or more")
    paddle_setup.load_paddle()
    from report import make, page, runs
    from report.texts import Words

    page.plotly_script()
    found = runs.read_all(arguments.runs)
    output = tool_arguments.check_output(
        "--output", _output(arguments.runs, arguments.output), _files(arguments.runs)
    )
    numbers = tool_arguments.check_output("--json", arguments.json, _files(arguments.runs))
    if arguments.png:
        tool_arguments.check_folder("--png", arguments.png)
    words = Words(arguments.lang)
    made = make.content(found, words, arguments.images)
    make.write(made, output, words)
    print(f"page: {output}")
    if numbers:
        make.write_numbers(made, numbers)
        print(f"numbers: {numbers}")
    if arguments.png:
        print(f"charts: {len(make.draw(made, arguments.png))} files in {arguments.png}")
    return exits.DONE


def _files(runs: list[str]) -> list[Path]:
    """Returns the files of the runs, none of which may be overwritten."""
    kept = (
        *(run_folder.CONFIG, run_folder.RESULT, run_folder.METRICS, run_folder.WEIGHTS),
        *(run_folder.ENVIRONMENT, run_folder.STAGES, run_folder.CURVE),
    )
    return [user_path(run) / name for run in runs for name in kept]


if __name__ == "__main__":
    exits.run_tool(main)
