"""What is said of a figure: the lines before a run, and the page after it."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import Any

from common.atomic_writing import write_text
from program import run_folder
from report import pieces
from report.pieces import table, text
from tools.reproduction import starting_weights
from tools.reproduction.published import costs
from tools.reproduction.published.datasets import DATA_SETS
from tools.reproduction.published.kinds import Figure
from tools.reproduction.set_up import TINY, SetUp

FILE = "reproduction.html"
GIGABYTE = 1e9
ASSUMED = (
    "hours: multiply-adds x 2 x 3 for a training step, over the share of the peak that a step is "
    "assumed to reach: "
    + "; ".join(
        f"{name} {100 * card.share_float32:.0f} % of {card.float32 / 1e12:g} TFLOP/s in float32, "
        f"{100 * card.share_half:.0f} % of {card.half / 1e12:g} in half precision"
        for name, card in costs.CARDS.items()
    )
    + f"; several cards reach {100 * costs.SEVERAL:.0f} %. None of it was measured"
)


def downloads(figure: Figure) -> list[str]:
    """Returns what must be downloaded for a figure, each with its size."""
    data = DATA_SETS[figure.data]
    found = []
    if data.bytes:
        how = "registration" if data.registration else f"licence: {data.licence}"
        found.append(f"{data.title}, {data.bytes / GIGABYTE:.2f} GB ({how})")
    config = next(iter(costs.stages(figure).values()))
    for source in filter(None, (config.model.pretrained, config.distill.weights)):
        size = 4 * starting_weights.values_of(source) / GIGABYTE
        licence = starting_weights.licence_of(source)
        found.append(f"weights {source}, {size:.2f} GB (licence: {licence})")
    return found


def before(set_up: SetUp) -> Iterator[str]:
    """Yields the lines before a run: the figure, what it assumes, what it will cost."""
    figure = set_up.figure
    yield f"figure: {figure.name}: {figure.title}"
    yield f"published: {figure.published.text} ({figure.published.source})"
    yield from (f"  others: {value:.2f} ({who})" for value, who in figure.published.repeats)
    yield f"published set-up: {figure.set_up}"
    yield "what the source leaves open, and is assumed here:"
    yield from _items(figure.open_questions)
    yield "what differs from the published set-up (docs/configs.md compares each field):"
    yield from _items((*figure.differences, *set_up.notes))
    row = f" --row={figure.row}" if figure.row else ""
    train = set_up.fields
    where = "GPU" if set_up.cards else "processes on the CPU"
    yield (
        f"run: configs/{figure.config}.py{row}; seeds: {set_up.options.seeds}; on "
        f"{set_up.processes} {where}: "
        f"{set_up.global_batch:,} images a step = {train['train.batch_size']} at a time x "
        f"{set_up.processes} x {train['train.accumulation_steps']} accumulation"
    )
    if set_up.options.scale != TINY:
        yield from _cost(set_up)


def _cost(set_up: SetUp) -> Iterator[str]:
    known, count = costs.cost(set_up.figure), max(1, len(set_up.cards))
    hours = " or ".join(
        f"{known.hours(card, count):.3g} h on {count} {card} "
        f"({known.hours(card, count, True):.3g} h in half precision)"
        for card in costs.CARDS
    )
    yield f"cost of a seed (estimate): {hours}"
    yield from (f"download: {one}" for one in downloads(set_up.figure))


def _items(lines: Iterable[str]) -> Iterator[str]:
    found = [f"  - {line}" for line in lines]
    yield from found or ["  - nothing that is known"]


def write(
    workdir: Path, set_up: SetUp, verdict: dict[str, Any], stages: dict[str, dict[str, Any]]
) -> Path:
    """Writes the page of a reproduction; returns its path.

    Args:
        workdir: folder of the reproduction.
        set_up: of the run.
        verdict: what `verdict.json` has.
        stages: what is done, by name.
    """
    figure = set_up.figure
    target = workdir / FILE
    title = f"{figure.name}: {figure.title}"
    write_text(target, pieces.page(title, _body(workdir, set_up, verdict, stages)))
    return target


def _body(
    workdir: Path, set_up: SetUp, verdict: dict[str, Any], stages: dict[str, dict[str, Any]]
) -> Iterator[str]:
    figure = set_up.figure
    yield f"<h1>{text(figure.title)}</h1>"
    row = f" --row={figure.row}" if figure.row else ""
    place = f"{figure.name}, configs/{figure.config}.py{row}"
    yield f'<p class="soft path">{text(place)}</p>'
    bad = "finding spoils" if verdict["kind"] == "not" else "fine"
    kind = "finding" if set_up.options.scale == TINY else bad
    yield f'<div class="{kind}"><b>{text(_upper(verdict["line"]))}</b></div>'
    rows = [("published", figure.published.text, figure.published.source)]
    rows += [("others", f"{value:.2f}", who) for value, who in figure.published.repeats]
    top1s = enumerate(verdict["top1s"])
    rows += [(f"ours, seed {seed}", f"{one:.2f}", f"seed_{seed}") for seed, one in top1s]
    yield f"<h2>Values</h2>{table(('', 'top-1 in percent', 'from'), rows)}"
    yield "<h2>What differs from the published set-up</h2>" + _list(verdict["differs"])
    yield "<h2>What the source leaves open, and was assumed</h2>" + _list(verdict["open_questions"])
    yield f"<p>Published set-up: {text(figure.set_up)}.</p>"
    done = [
        (name, f"{found['seconds']:,.0f} s", found["finished"]) for name, found in stages.items()
    ]
    yield f"<h2>Stages</h2>{table(('stage', 'took', 'finished'), done)}"
    if (workdir / run_folder.REPORT).is_file():
        yield f'<p><a href="{run_folder.REPORT}">The report of all runs</a></p>'
    else:
        yield "<p>There is no report of the runs: it needs plotly (requirements-extras.txt).</p>"


def _list(lines: Iterable[str]) -> str:
    items = "".join(f"<li>{text(line)}</li>" for line in lines)
    return f"<ul>{items or '<li>nothing that is known</li>'}</ul>"


def _upper(line: str) -> str:
    return line[:1].upper() + line[1:]
