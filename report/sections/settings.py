"""The config of a run, what differs from its base, and the environment."""

from __future__ import annotations

import json
from typing import Any

from configs import default
from program.config.config_fields import flattened
from report.charts.model import Section
from report.pieces import details, text
from report.runs import Run, base_of
from report.tables import sortable
from report.texts import Words


def section(run: Run, words: Words) -> Section:
    """Returns the fields that differ from the config file or from the default, and all others."""
    origin, base = base_of(run)
    own, usual = flattened(run.config), flattened(default.get_config())
    heads = [words("field"), words("this_run"), origin, "configs/default.py"]
    rows: list[tuple[str, ...]] = [
        (text(name), _mark(value, base.get(name)), _value(base.get(name)), _value(usual.get(name)))
        for name, value in sorted(own.items())
        if value not in (base.get(name), usual.get(name)) or base.get(name) != usual.get(name)
    ]
    if origin == heads[-1]:
        heads, rows = heads[:-1], [row[:-1] for row in rows]
    listing = "\n".join(f"{name} = {json.dumps(value)}" for name, value in sorted(own.items()))
    return Section(
        words("settings"),
        (
            f"<p>{words.html('settings_note')}</p>",
            sortable(heads, rows) if rows else f"<p>{words.html('as_base')}</p>",
            details(words("all_fields", count=len(own)), f"<pre>{text(listing)}</pre>"),
        ),
    )


def environment_section(run: Run, words: Words) -> Section:
    """Returns versions, device, command."""
    rows = [
        (text(name), f'<span class="path">{_value(value)}</span>')
        for name, value in _flat(run.environment)
    ]
    rows.append((words.html("folder"), f'<span class="path">{text(run.folder)}</span>'))
    return Section(words("environment"), (sortable([words("what"), words("value")], rows),))


def _flat(content: dict[str, Any], prefix: str = "") -> list[tuple[str, Any]]:
    found: list[tuple[str, Any]] = []
    for name, value in content.items():
        nested = isinstance(value, dict)
        found += _flat(value, f"{prefix}{name}.") if nested else [(f"{prefix}{name}", value)]
    return found


def _value(value: Any) -> str:
    return text(value if isinstance(value, str) else json.dumps(value))


def _mark(value: Any, base: Any) -> str:
    return f"<b>{_value(value)}</b>" if value != base else _value(value)
