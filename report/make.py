"""Makes the page of runs, and what may come with it: pictures of the charts, their numbers."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import Any, NamedTuple

from common.atomic_writing import write_json, write_text
from common.errors import one_line
from program import run_folder
from report import page, tables
from report.charts import static
from report.charts.model import Section
from report.looks import Look, look_at_all
from report.pictures import Gallery
from report.runs import Run, grouped
from report.sections import (
    attention,
    calibration,
    classes,
    comparisons,
    curves,
    examples,
    noise,
    result,
    settings,
    several,
)
from report.texts import Words

_MOST_MODELS = 6  # whose dropout masks are compared


class Content(NamedTuple):
    """A page before it is written."""

    title: str
    path: str
    sections: list[Section]
    gallery: Gallery

    def numbers(self) -> dict[str, Any]:
        """Returns the numbers of all charts by their keys, for JSON."""
        charts = [chart for section in self.sections for chart in section.charts()]
        return {"title": self.title, "charts": {one.key: one.numbers() for one in charts}}


def content(runs: list[Run], words: Words, images: int | None = None) -> Content:
    """Returns the page of one run, or of several.

    Args:
        runs: at least one.
        words: whose language it has.
        images: how many test images are used at most; None: see `report/looks.py`.
    """
    return _of_one(runs[0], words, images) if len(runs) == 1 else _of_several(runs, words, images)


def write(made: Content, output: Path, words: Words) -> None:
    """Writes a page."""
    html = page.render(made.title, made.path, made.sections, made.gallery, words)
    write_text(output, html)


def write_numbers(made: Content, path: Path) -> None:
    """Writes the numbers of the charts as JSON."""
    write_json(path, made.numbers())


def draw(made: Content, folder: Path) -> list[Path]:
    """Draws all charts as PNG and SVG; returns the files."""
    return static.write([one for part in made.sections for one in part.charts()], folder)


def _say(line: str) -> None:
    print(one_line(line), file=sys.stderr, flush=True)


def _of_one(run: Run, words: Words, images: int | None) -> Content:
    gallery = Gallery()
    seen, reasons = _looks([run], images)
    look = seen.get(str(run.folder))
    sections: list[Section | None] = [
        result.section(run, look, reasons.get(str(run.folder), ""), words),
        curves.section(run, words),
    ]
    if look is not None:
        names = look.classifier.classes
        sections += [
            classes.section(look.test, names, words),
            classes.matrix_section(look.test, names, words, gallery),
            examples.section(look.test, names, words, gallery),
            calibration.section(look, words),
            noise.section([_named(run.name, run, look)], words),
            attention.section(look, words, gallery),
        ]
    sections += [settings.section(run, words), settings.environment_section(run, words)]
    title = words("title_one", name=run.name)
    return Content(title, str(run.folder), [one for one in sections if one is not None], gallery)


def _looks(runs: list[Run], images: int | None) -> tuple[dict[str, Look], dict[str, str]]:
    """Looks at the models that there are; a run that goes on has none yet, which is no fault."""
    ready = [run for run in runs if run.result is not None or _has_weights(run)]
    return look_at_all(ready, images, _say)


def _has_weights(run: Run) -> bool:
    return (run.folder / run_folder.WEIGHTS).is_file()


def _named(name: str, run: Run, look: Look) -> noise.Named:
    return noise.Named(name, "rdrop" if run.with_rdrop else "cross_entropy", look)


def _of_several(runs: list[Run], words: Words, images: int | None) -> Content:
    groups = grouped(runs, words)
    looked_at = groups[:_MOST_MODELS]
    seen, _ = _looks([group.runs[0] for group in looked_at], images)
    found = comparisons.differences(groups, seen)
    sections = [several.table_section(groups, words, _other_classes(runs))]
    if len(groups) > 1:
        sections.append(comparisons.section(groups, found, words))
    sections.append(several.overlay_section(groups, words))
    models = [
        _named(several.first_run(group, words), group.runs[0], seen[str(group.runs[0].folder)])
        for group in looked_at
        if str(group.runs[0].folder) in seen
    ]
    if models:
        sections.append(noise.section(models, words))
    described = [tables.described(one) for one in found]
    sections.append(several.paste_section(groups, described, words))
    title = words("title_several", count=len(runs), groups=len(groups))
    return Content(title, "", sections, Gallery())


def _other_classes(runs: list[Run]) -> list[str]:
    """Returns the names of runs whose classes are not those of the first run that knows them."""
    known = [(run.name, run.classes) for run in runs if run.classes]
    return [name for name, own in known if own != known[0][1]]
