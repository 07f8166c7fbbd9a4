"""Charts for a page, as the JSON that plotly.js draws."""

from __future__ import annotations

import html
from typing import Any

from report.charts.model import AnyChart, Chart, Heatmap, Series, finite

# Okabe and Ito's palette, which colour-blind people can tell apart.
COLOURS = ("#0072b2", "#d55e00", "#009e73", "#cc79a7", "#e69f00", "#56b4e9", "#222222", "#8a8a8a")
_DASHES = ("solid", "dash", "dot", "dashdot")
_GRID = "#e4e7ec"
_FONT = 'system-ui, "PingFang SC", "Microsoft YaHei", "Noto Sans CJK SC", sans-serif'
_HEIGHT, _SQUARE, _MOST_NAMES, _NUMBERED = 340, 560, 60, 15
_FEW_MISTAKES = 5  # of a pair of classes: less than these are not drawn in the darkest colour


def figure(chart: AnyChart) -> dict[str, Any]:
    """Returns the figure, `{data, layout}`; names are escaped, as plotly reads tags in them."""
    if isinstance(chart, Heatmap):
        return _heatmap(chart)
    data: list[dict[str, Any]] = []
    if chart.diagonal:
        line = {"color": "#98a2b3", "dash": "dash", "width": 1}
        data.append(
            {"x": [0, 1], "y": [0, 1], "mode": "lines", "line": line, "hoverinfo": "skip"}
            | {"showlegend": False, "type": "scatter"}
        )
    for number, series in enumerate(chart.series):
        data += _bars(series, number) if chart.kind == "bar" else _lines(chart, series, number)
    return {"data": data, "layout": _layout(chart)}


def _safe(text: object) -> str:
    """Escapes a text for plotly, which takes some tags and entities as HTML does."""
    plain = str(text).encode("utf-8", "replace").decode("utf-8")
    return html.escape(plain, quote=False)


def _values(values: tuple[Any, ...]) -> list[Any]:
    return [_safe(one) if isinstance(one, str) else finite(one) for one in values]


def _lines(chart: Chart, series: Series, number: int) -> list[dict[str, Any]]:
    if not series.x:
        return []
    colour = COLOURS[number % len(COLOURS)]
    few = len(series.x) < 30 and chart.kind == "line"
    line = {"color": colour, "width": 2, "dash": _DASHES[number // len(COLOURS) % len(_DASHES)]}
    if chart.kind == "steps":
        line["shape"] = "hv"
    traces = []
    if series.low:
        x = _values(series.x)
        traces.append(
            {"type": "scatter", "x": x + x[::-1], "fill": "toself", "fillcolor": colour + "26"}
            | {"y": _values(series.high) + _values(series.low)[::-1], "mode": "lines"}
            | {"line": {"width": 0}, "hoverinfo": "skip", "showlegend": False}
            | {"legendgroup": str(number)}
        )
    trace = {"type": "scatter", "x": _values(series.x), "y": _values(series.y), "line": line}
    trace.update(name=_safe(series.name), mode="lines+markers" if few else "lines")
    trace.update(_hover(series), legendgroup=str(number), marker={"size": _sizes(series)})
    return [*traces, trace]


def _sizes(series: Series) -> int | list[float]:
    """Returns the sizes of markers in pixels; their areas go with the weights."""
    most = max(series.weights, default=0)
    return [4 + 14 * (one / most) ** 0.5 for one in series.weights] if most else 6


def _hover(series: Series) -> dict[str, Any]:
    if not series.hover:
        return {}
    return {"hovertext": _values(series.hover), "hovertemplate": "%{hovertext}<extra></extra>"}


def _bars(series: Series, number: int) -> list[dict[str, Any]]:
    trace: dict[str, Any] = {"type": "bar", "x": _values(series.x), "y": _values(series.y)}
    trace.update(name=_safe(series.name), marker={"color": COLOURS[number % len(COLOURS)]})
    if series.low:
        error = {"type": "data", "symmetric": False, "thickness": 1, "width": 3, "color": "#475467"}
        above = [finite(high - y) for y, high in zip(series.y, series.high)]
        below = [finite(y - low) for y, low in zip(series.y, series.low)]
        trace["marker"]["opacity"] = 0.55  # the lower halves of the lines are on the bars
        trace["error_y"] = {**error, "array": above, "arrayminus": below}
    return [{**trace, **_hover(series)}]


def _axis(title: str, **more: Any) -> dict[str, Any]:
    text = {"text": _safe(title), "standoff": 10}  # from the labels; else it may be cut off
    return {"title": text, "gridcolor": _GRID, "automargin": True, **more}


def _base(chart: AnyChart, height: int) -> dict[str, Any]:
    return {
        "title": {"text": _safe(chart.title), "font": {"size": 14}, "x": 0.01, "xanchor": "left"},
        "height": height,
        "margin": {"l": 64, "r": 12, "t": 40, "b": 56},
        "font": {"family": _FONT, "size": 12, "color": "#1c2330"},
        "paper_bgcolor": "#ffffff",
        "plot_bgcolor": "#ffffff",
    }


def _layout(chart: Chart) -> dict[str, Any]:
    names = any(isinstance(one, str) for series in chart.series for one in series.x)
    x_axis = _axis(chart.x_title, zeroline=False)
    if names:  # a name that looks like a number or a date is still a name
        many = len(chart.series[0].x) > _MOST_NAMES
        x_axis.update(type="category", showticklabels=not many)
    y_axis = _axis(chart.y_title, zeroline=False, type="log" if chart.is_log else "linear")
    if chart.is_log:  # labels at 1, 2 and 5 of each decade; without a format, of one digit alone
        y_axis.update(dtick="D2", tickformat="~g")
    if chart.percent:
        y_axis["tickformat"] = ".1~%" if not chart.is_log else ".2~%"
    if chart.diagonal:
        x_axis.update(range=[0, 1], tickformat=".0%")
        y_axis.update(range=[0, 1.02])
    return {
        **_base(chart, _HEIGHT),
        "xaxis": x_axis,
        "yaxis": y_axis,
        "hovermode": "closest" if chart.kind == "bar" or chart.diagonal else "x unified",
        "legend": {"orientation": "h", "yref": "container", "y": 0, "yanchor": "bottom", "x": 0},
        "showlegend": len(chart.series) > 1,
    }


def _heatmap(chart: Heatmap) -> dict[str, Any]:
    names = _values(chart.names)
    size = len(names)
    off = [
        [0 if i == j else count for j, count in enumerate(r)] for i, r in enumerate(chart.counts)
    ]
    most = max([_FEW_MISTAKES, *(max(row, default=0) for row in off)])
    # Mistakes are coloured; hits, of which there are many more, would hide them.
    trace = {
        "type": "heatmap",
        "z": off,
        "x": list(range(size)),
        "y": list(range(size)),
        "zmin": 0,
        "zmax": most,
        "colorscale": [[0, "#f8fafc"], [0.001, "#fde4cf"], [1, "#b42318"]],
        "customdata": [[[names[i], names[j]] for j in range(size)] for i in range(size)],
        "text": [[str(count) if count else "" for count in row] for row in chart.counts],
        "hovertemplate": "%{customdata[0]} → %{customdata[1]}: %{text}<extra></extra>",
        "xgap": 1,
        "ygap": 1,
        "showscale": False,
    }
    if size <= _NUMBERED:
        trace["texttemplate"] = "%{text}"
    ticks = {"tickmode": "array", "tickvals": list(range(size)), "ticktext": names}
    x_axis = _axis(chart.x_title, showgrid=False, zeroline=False, **ticks)
    y_axis = _axis(chart.y_title, showgrid=False, zeroline=False, **ticks, autorange="reversed")
    base = _base(chart, max(_SQUARE, 80 + 22 * size))
    return {"data": [trace], "layout": {**base, "xaxis": x_axis, "yaxis": y_axis}}
