"""The head of the page of one run: its figures with intervals, and what is missing."""

from __future__ import annotations

from measures.intervals import wilson
from report.charts.model import Section
from report.looks import Look
from report.pieces import text
from report.runs import Run
from report.texts import Words


def section(run: Run, seen: Look | None, reason: str, words: Words) -> Section:
    """Returns the figures of a run.

    Args:
        run: finished or not.
        seen: what its model says to test images; None: nothing.
        reason: why there is nothing.
        words: of the page.
    """
    parts = []
    if run.result is None:
        parts.append(_box(words.html("unfinished", done=run.steps_done)))
    if reason:
        parts.append(_box(words.joined(words.html("missing"), text(reason))))
    parts.append(f'<p class="lead">{_lead(run, words)}</p>')
    cards = [*_measured(run, words), *_validated(run, words)]
    parts.append(f'<div class="cards">{"".join(cards)}</div>')
    if run.result is not None:
        parts.append(f"<p>{words.html('interval_note')}</p>")
    if seen is not None and len(seen.test.labels) < seen.total:
        parts.append(
            f"<p>{words.html('some_images', used=len(seen.test.labels), total=seen.total)}</p>"
        )
    return Section(words("result"), tuple(parts))


def _lead(run: Run, words: Words) -> str:
    """Returns what was trained, and how many test images are right."""
    config, rdrop = run.config, run.config.rdrop
    place = f" ({config.data.root})" if config.data.root else ""
    method = words("cross_entropy")
    if run.with_rdrop:
        method = words("method_rdrop", alpha=rdrop.alpha, copies=rdrop.copies)
    task = words("task", model=config.model.name, data=config.data.name + place, method=method)
    if run.result is None or not run.test_images:
        return text(task)
    top1, count = run.result["top1"], run.test_images
    shown = words.percent(top1, 2)
    right = words("right_of", hits=round(top1 * count), count=count, top1=shown)
    return text(words.joined(task + words("stop"), right))


def _box(content: str) -> str:
    return f'<div class="finding">{content}</div>'


def _card(title: str, figure: str, below: str = "") -> str:
    return f'<div class="card"><small>{title}</small><b>{figure}</b><small>{below}</small></div>'


def _measured(run: Run, words: Words) -> list[str]:
    result = run.result
    if result is None:
        return []
    below = ""
    if run.test_images:
        low, high = wilson(round(result["top1"] * run.test_images), run.test_images)
        below = words.html("of_images", low=100 * low, high=100 * high, count=run.test_images)
    cards = [_card(words.html("test_top1"), words.percent(result["top1"], 2), below)]
    if result.get("top5") is not None:
        cards.append(_card(words.html("test_top5"), words.percent(result["top5"], 2)))
    return [
        *cards,
        _card(words.html("test_loss"), f"{result['loss']:.4f}", words.html("nats")),
        _card("ECE", words.percent(result["ece"], 2), words.html("ece_is")),
        _card(words.html("time"), f"{result['seconds']:,.0f} s"),
    ]


def _validated(run: Run, words: Words) -> list[str]:
    points = run.points("val", "top1")
    if not points:
        return []
    step, _, best = max(points, key=lambda point: (point[2], point[0]))
    below = words.html("of_step", step=step)
    return [_card(words.html("best_val"), words.percent(best, 2), below)]
