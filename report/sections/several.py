"""Several runs: accuracy by epoch as in arXiv:2205.10660's figures, and a table to paste."""

from __future__ import annotations

import json
from typing import NamedTuple

import numpy as np

from measures.intervals import wilson
from report.charts.model import Chart, Section, Series
from report.pieces import details, text
from report.runs import Group
from report.tables import Cell, latex, markdown, sortable, spread
from report.texts import Words


class Row(NamedTuple):
    """The figures of a group, in percent; `each` by the seed."""

    name: str
    each: dict[int, float]
    mean: float
    deviation: float  # nan with fewer than 2 runs
    val: float
    ece: float
    seconds: float


def rows_of(groups: list[Group]) -> list[Row]:
    """Returns the figures of each group; nan where it has none."""
    rows = []
    for group in groups:
        each = {seed: 100 * value for seed, value in group.results("top1").items()}
        values = list(each.values())
        rows.append(
            Row(
                group.name,
                each,
                float(np.mean(values)) if values else float("nan"),
                float(np.std(values, ddof=1)) if len(values) > 1 else float("nan"),
                100 * _mean(group.results("best_top1")),
                100 * _mean(group.results("ece")),
                _mean(group.results("seconds")),
            )
        )
    return rows


def _mean(values: dict[int, float]) -> float:
    return float(np.mean(list(values.values()))) if values else float("nan")


def _shown(value: float) -> tuple[float, str]:
    return value, "–" if value != value else f"{value:.2f}"


def table_section(groups: list[Group], words: Words, others: list[str]) -> Section:
    """Returns the table of the groups, and what differs between them.

    Args:
        groups: a row for each.
        words: of the page.
        others: names of runs that have other classes than the first.
    """
    rows: list[tuple[Cell, ...]] = []
    for group, row in zip(groups, rows_of(groups)):
        rows.append(
            (
                text(row.name),
                (len(row.each), f"{len(row.each)} / {len(group.runs)}"),
                (row.mean, spread(row.mean, row.deviation)),
                text(_interval(group)),
                _shown(row.val),
                _shown(row.ece),
                (row.seconds, "–" if row.seconds != row.seconds else f"{row.seconds:,.0f}"),
            )
        )
    keys = ["setting", "finished", "test_top1", "interval", "best_val", "test_ece", "seconds"]
    if all(len(group.runs) > 1 for group in groups):  # no interval of a single run
        place = keys.index("interval")
        keys.pop(place)
        rows = [(*row[:place], *row[place + 1 :]) for row in rows]
    parts = []
    if others:
        listed = words("between").join(others)
        warned = words.html("other_classes", name=groups[0].runs[0].name, others=listed)
        parts.append(f'<div class="finding spoils">{warned}</div>')
    parts += _lead(groups, words)
    parts += [f"<p>{words.html('groups_note')}</p>", sortable([words(key) for key in keys], rows)]
    names = list(groups[0].differs)
    if names:
        cells = [
            (
                text(one.name),
                *(text(json.dumps(one.differs[name])) for name in names),
                f'<span class="path">{text(one.runs[0].folder)}</span>',
            )
            for one in groups
        ]
        parts.append(f"<h3>{words.html('what_differs')}</h3>")
        parts.append(sortable([words("setting"), *names, words("folder")], cells))
    count = sum(len(group.runs) for group in groups)
    parts.append(details(words("all_runs", count=count), _runs(groups, words)))
    return Section(words("compared"), tuple(parts))


def _lead(groups: list[Group], words: Words) -> list[str]:
    """Returns which setting has the best figure, and a warning where much differs between them."""
    parts, rows = [], [row for row in rows_of(groups) if row.mean == row.mean]
    if rows:
        best = max(rows, key=lambda row: row.mean)
        figure = spread(best.mean, best.deviation)
        highest = words.html("highest", name=best.name, figure=figure, count=len(best.each))
        parts.append(f'<p class="lead">{highest}</p>')
    fields = list(groups[0].differs)
    if len(fields) > 1:
        listed = words("between").join(fields)
        parts.append(f'<div class="finding">{words.html("several_differ", fields=listed)}</div>')
    return parts


def first_run(group: Group, words: Words) -> str:
    """Returns the name of a group's first run, for what is shown of this run alone."""
    if len(group.runs) == 1:
        return group.name
    return words("of_seed", name=group.name, seed=group.runs[0].config.seed)


def _interval(group: Group) -> str:
    """Returns Wilson's interval of a single run."""
    run = group.runs[0]
    if len(group.runs) > 1 or run.result is None or not run.test_images:
        return ""
    low, high = wilson(round(run.result["top1"] * run.test_images), run.test_images)
    return f"{100 * low:.2f} – {100 * high:.2f}"


def _runs(groups: list[Group], words: Words) -> str:
    rows = [
        (
            text(group.name),
            (run.config.seed, str(run.config.seed)),
            _shown(100 * run.result["top1"] if run.result else float("nan")),
            (run.steps_done, f"{run.steps_done:,}"),
            f'<span class="path">{text(run.folder)}</span>',
        )
        for group in groups
        for run in group.runs
    ]
    return sortable(
        [words(key) for key in ("setting", "seed", "test_top1", "steps", "folder")], rows
    )


def overlay_section(groups: list[Group], words: Words) -> Section:
    """Returns accuracy, CE and KL by epoch; a mean and a band where there are several seeds."""
    plans = (
        ("overlay_val", "val", "top1", "accuracy_axis", False),
        ("overlay_accuracy", "train", "accuracy", "accuracy_axis", False),
        ("overlay_ce", "train", "ce", "loss_nats", True),
        ("overlay_kl", "train", "kl", "nats", True),
    )
    charts = []
    for key, split, value, axis, log_y in plans:
        # A series without values stays: its number decides the colour in all charts.
        series = tuple(_band(group, split, value) for group in groups)
        if any(one.x for one in series):
            charts.append(
                Chart(
                    key,
                    words(key),
                    words("epoch"),
                    words(axis),
                    series,
                    log_y=log_y,
                    percent=not log_y,
                )
            )
    if not charts:
        return Section(words("overlay"), (f"<p>{words.html('no_records')}</p>",))
    note = words.html("band_note")
    if any(run.is_mixed for group in groups for run in group.runs):
        note = words.joined(note, words.html("mixed_note"))
    return Section(words("overlay"), (f"<p>{note}</p>", *charts))


def _band(group: Group, split: str, value: str) -> Series:
    """Returns the mean over the runs at each epoch that all of them have reached."""
    lines = [run.points(split, value) for run in group.runs]
    lines = [line for line in lines if line]
    if not lines:
        return Series(group.name, (), ())
    by_step = [{step: y for step, _, y in line} for line in lines]
    epochs = {step: epoch for step, epoch, _ in lines[0]}
    steps = sorted(set(epochs).intersection(*by_step))
    values = np.asarray([[one[step] for step in steps] for one in by_step])  # (runs, steps)
    if not values.any():  # the KL of cross-entropy is 0
        return Series(group.name, (), ())
    mean = values.mean(axis=0) if steps else np.zeros(0)
    x = tuple(epochs[step] for step in steps)
    if len(lines) < 2 or not steps:
        return Series(group.name, x, tuple(mean.tolist()))
    half = values.std(axis=0, ddof=1)
    name = f"{group.name} (n={len(lines)})"
    low, high = tuple((mean - half).tolist()), tuple((mean + half).tolist())
    return Series(name, x, tuple(mean.tolist()), low, high)


def paste_section(groups: list[Group], differences: list[str], words: Words) -> Section:
    """Returns the table as Markdown and LaTeX.

    Args:
        groups: a row for each.
        differences: for each group a text, its difference to the first.
        words: of the page.
    """
    heads = [words("setting"), "n", words("test_top1"), words("difference"), words("test_ece")]
    rows = [
        [one.name, str(len(one.each)), spread(one.mean, one.deviation), text_, _shown(one.ece)[1]]
        for one, text_ in zip(rows_of(groups), differences)
    ]
    parts = [
        f"<h3>{name}</h3><pre class=paste>{text(content)}</pre>"
        for name, content in (("Markdown", markdown(heads, rows)), ("LaTeX", latex(heads, rows)))
    ]
    return Section(words("paste"), (f"<p>{words.html('paste_note')}</p>", *parts))
