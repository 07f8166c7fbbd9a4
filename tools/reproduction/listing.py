"""The list of all figures, for people and for programs."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

from tools.reproduction import page
from tools.reproduction.published import costs
from tools.reproduction.published.datasets import DATA_SETS
from tools.reproduction.published.figures import FIGURES
from tools.reproduction.published.kinds import Figure

_NAME = 46  # columns
_MACHINES = (("V100", 1), ("V100", 4), ("H100", 1))


def rows() -> list[dict[str, Any]]:
    """Returns a row for each figure, for JSON; hours are of one seed."""
    return [_row(figure) for figure in FIGURES.values()]


def _row(figure: Figure) -> dict[str, Any]:
    cost, data, published = costs.cost(figure), DATA_SETS[figure.data], figure.published
    hours = {
        f"{count} {card}": {
            "float32": round(cost.hours(card, count, False), 3),
            "half": round(cost.hours(card, count, True), 3),
        }
        for card, count in _MACHINES
    }
    return {
        "name": figure.name,
        "title": figure.title,
        "published": published.value,
        "deviation": published.deviation or None,
        "runs": published.runs or None,
        "repeats": [{"top1": value, "source": who} for value, who in published.repeats],
        "source": published.source,
        "set_up": figure.set_up,
        "config": f"configs/{figure.config}.py",
        "row": figure.row,
        "fields": dict(figure.fields),
        "cards": figure.cards,
        "images_a_step": costs.global_batch(figure),
        "steps": cost.steps,
        "flops": cost.flops,
        "hours": hours,
        "data": data.title,
        "data_bytes": data.bytes,
        "registration": data.registration,
        "data_licence": data.licence,
        "downloads": page.downloads(figure),
        "kept_bytes": cost.kept,
        "open_questions": list(figure.open_questions),
        "differences": list(figure.differences),
    }


def lines() -> Iterator[str]:
    """Yields the list as text: two lines for each figure, then what the hours assume."""
    heads = "".join(f"{f'{count} {card}':>15}" for card, count in _MACHINES)
    yield f"{'figure':{_NAME}}{'published, %':>16}{heads}"
    for row in rows():
        published = FIGURES[row["name"]].published.text
        hours = "".join(f"{_hours(one):>15}" for one in row["hours"].values())
        yield f"{row['name']:{_NAME}}{published:>16}{hours}"
        with_row = f" --row={row['row']}" if row["row"] else ""
        downloads = "; ".join(row["downloads"]) or "nothing to download"
        yield f"    {row['title']}; {row['source']}; {row['config']}{with_row}; {downloads}"
    yield ""
    yield "hours of one seed in float32, behind it in half precision (--set train.amp=O1)"
    yield page.ASSUMED


def _hours(hours: dict[str, float]) -> str:
    return f"{_short(hours['float32'])} / {_short(hours['half'])}"


def _short(hours: float) -> str:
    return "0" if hours < 0.005 else f"{hours:.0f}" if hours >= 10 else f"{hours:.2g}"
