"""The page that a run, or a sweep of runs, makes at its end; it never spoils what is finished."""

from __future__ import annotations

from pathlib import Path

from common.errors import UserError, one_line
from program import run_folder
from report import make
from report.page import plotly_script
from report.runs import read_all
from report.texts import Words


def write_page(folder: Path) -> Path | None:
    """Writes `report.html` of the run in a folder, or of the runs below it, and says where it is.

    Whatever goes wrong is one line: the run is finished.

    Returns:
        The page; None where there is none.
    """
    output = folder / run_folder.REPORT
    try:
        plotly_script()
        words = Words()
        make.write(make.content(read_all([folder]), words), output, words)
    except Exception as error:  # a finished run stays finished
        why = str(error) if isinstance(error, UserError) else f"{type(error).__name__}: {error}"
        print(one_line(f"report:  none ({why})"), flush=True)
        return None
    print(f"report:  {output}", flush=True)
    return output


def of_run(folder: Path) -> None:
    """Writes the page of a finished run, unless it is there already."""
    page, finished = folder / run_folder.REPORT, folder / run_folder.RESULT
    if finished.is_file() and not (
        page.is_file() and page.stat().st_mtime >= finished.stat().st_mtime
    ):
        write_page(folder)
