"""The page: one HTML file that holds its charts, pictures and script, and loads nothing."""

from __future__ import annotations

import json
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from common.errors import UserError
from report import pieces
from report.charts.model import Heatmap, Section
from report.charts.plotly_figures import figure
from report.pictures import Gallery
from report.pieces import text
from report.texts import Words

_STYLE = """
body { max-width: 1160px; } .wide { overflow-x: auto; }
.wide td { overflow-wrap: break-word; max-width: 420px; }
.wide .path { display: inline-block; min-width: 220px; } figure { margin: 0; }
.cards { display: grid; grid-template-columns: repeat(auto-fit, minmax(150px, 1fr)); gap: 12px;
  margin: 14px 0; } .card { border: 1px solid var(--line); border-radius: 8px; padding: 10px 14px; }
.card b { display: block; font-size: 24px; font-variant-numeric: tabular-nums; }
.card small { display: block; min-height: 1.4em; }
.charts { display: grid; gap: 12px; margin: 10px 0;
  grid-template-columns: repeat(auto-fit, minmax(min(480px, 100%), 1fr)); }
.chart { min-width: 0; border: 1px solid var(--line); border-radius: 8px; overflow: hidden; }
.chart.square { max-width: 720px; }
.lead { font-size: 16px; font-weight: 600; }
.sort th { white-space: nowrap; } .sort button { all: unset; cursor: pointer; display: block;
  width: 100%; }
.sort button:focus-visible { outline: 2px solid var(--bar); }
.sort button::after { content: " ↕"; opacity: .35; } .sort .up button::after { content: " ↑";
  opacity: 1; } .sort .down button::after { content: " ↓"; opacity: 1; }
.gallery { display: flex; flex-wrap: wrap; gap: 12px; } .gallery figure { width: 112px; }
.gallery img, #cell img { width: 96px; height: 96px; max-width: none; object-fit: contain;
  image-rendering: auto; } img.small { image-rendering: pixelated !important; }
.gallery .trio { width: auto; } .gallery .trio div { display: flex; gap: 4px; }
#cell { border: 1px dashed var(--line); border-radius: 8px; padding: 10px 14px; min-height: 60px; }
pre { overflow-x: auto; background: #f8fafc; border: 1px solid var(--line); border-radius: 6px;
  padding: 10px; font-size: 12px; } .bad { color: var(--bad); }
nav { display: flex; flex-wrap: wrap; gap: 4px 14px; margin: 12px 0; font-size: 13px; }
nav a { color: var(--bar); }
@media (max-width: 500px) { body { padding: 16px 12px 60px; } h1 { font-size: 21px; }
  .card b { font-size: 20px; } .cards { grid-template-columns: 1fr 1fr; } }
"""
_BUTTONS = ("zoom", "pan", "zoom_in", "zoom_out", "reset_axes", "download_plot", "zoom_back")
_SCRIPT = r"""
const page = JSON.parse(document.getElementById("data").textContent);
const show = (image, number) => { image.src = page.pictures[number];
  if (image.src.startsWith("data:image/png")) image.classList.add("small"); };
for (const image of document.querySelectorAll("img[data-picture]"))
  show(image, image.dataset.picture);
const locale = document.documentElement.lang;
const options = { displaylogo: false, responsive: true, locale,
  locales: { [locale]: { dictionary: page.buttons, format: {} } },
  modeBarButtonsToRemove: ["select2d", "lasso2d", "autoScale2d", "sendChartToCloud"] };
for (const [id, figure] of Object.entries(page.figures)) {
  const place = document.getElementById(id);
  Plotly.newPlot(place, figure.data, figure.layout, options);
  if (id !== "chart-confusion") continue;
  const cell = document.getElementById("cell");
  let kept = "";
  const place_of = (point) => `${point.y},${point.x}`;
  const fill = (point) => {
    const pictures = page.cells[place_of(point)] || [];
    const values = { true: page.names[point.y], predicted: page.names[point.x],
      count: point.text || 0, shown: pictures.length };
    cell.replaceChildren(Object.assign(document.createElement("p"), { textContent:
      page.cell_text.replace(/{(\w+)}/g, (whole, name) => values[name]) }));
    const row = Object.assign(document.createElement("div"), { className: "gallery" });
    for (const [number, name] of pictures) {
      const image = Object.assign(document.createElement("img"), { title: name, alt: name });
      show(image, number); row.append(image);
    }
    cell.append(row);
  };
  place.on("plotly_hover", (event) => { if (!kept) fill(event.points[0]); });
  place.on("plotly_click", (event) => {
    kept = kept === place_of(event.points[0]) ? "" : place_of(event.points[0]);
    fill(event.points[0]);
  });
}
for (const table of document.querySelectorAll("table.sort")) {
  const heads = [...table.tHead.rows[0].cells], body = table.tBodies[0];
  heads.forEach((head, column) => head.querySelector("button").addEventListener("click", () => {
    const down = head.classList.contains("up");
    heads.forEach((other) => other.classList.remove("up", "down"));
    head.classList.add(down ? "down" : "up");
    const rows = [...body.rows].sort((one, other) => {
      const [a, b] = [one, other].map((row) => row.cells[column]);
      const order = a.dataset.key !== undefined ? a.dataset.key - b.dataset.key
        : a.textContent.localeCompare(b.textContent, undefined, { numeric: true });
      return down ? -order : order;
    });
    body.append(...rows);
  }));
}
"""


def plotly_script() -> str:
    """Returns the source of plotly.js, which the package carries.

    Raises:
        UserError: when plotly is not installed.
    """
    try:
        from plotly.offline import get_plotlyjs
    except ImportError:
        raise UserError("a page needs plotly: pip install -r requirements-extras.txt") from None
    return str(get_plotlyjs())


def render(
    title: str, path: Path | str, sections: Sequence[Section], gallery: Gallery, words: Words
) -> str:
    """Returns the HTML of a page.

    Args:
        title: its head.
        path: of the run, below the head.
        sections: in order.
        gallery: the pictures that the sections name.
        words: whose language it has.
    """
    charts = [chart for section in sections for chart in section.charts()]
    names = next((chart.names for chart in charts if isinstance(chart, Heatmap)), ())
    content = {
        "figures": {f"chart-{chart.key}": figure(chart) for chart in charts},
        "pictures": gallery.pictures,
        "cells": gallery.cells,
        "names": [_whole(name) for name in names],
        "cell_text": words.pattern("cell_text"),
        "buttons": {Words()(key): words(key) for key in _BUTTONS},
    }
    links = "".join(
        f'<a href="#part-{number}">{text(one.title)}</a>' for number, one in enumerate(sections)
    )
    body = [
        f'<h1>{text(title)}</h1><p class="soft path">{text(path)}</p><nav>{links}</nav>',
        *(_section(number, one) for number, one in enumerate(sections)),
        f'<script type="application/json" id="data">{_json(content)}</script>',
        f"<script>{plotly_script()}</script><script>{_SCRIPT}</script>",
    ]
    return pieces.page(title, body, words.html_lang, _STYLE)


def _section(number: int, section: Section) -> str:
    pieces_, charts = [f'<h2 id="part-{number}">{text(section.title)}</h2>'], []
    for part in (*section.parts, ""):
        if not isinstance(part, str):
            square = isinstance(part, Heatmap) or part.diagonal
            kind = "chart square" if square else "chart"
            charts.append(f'<div class="{kind}" id="chart-{part.key}"></div>')
            continue
        if charts:  # neighbours share rows
            pieces_.append(f'<div class="charts">{"".join(charts)}</div>')
            charts = []
        pieces_.append(part)
    return "\n".join(pieces_)


def _whole(name: str) -> str:
    return name.encode("utf-8", "replace").decode("utf-8")


def _json(content: Any) -> str:
    """Returns JSON that ends no script element and has no comment, whatever names it holds."""
    written = json.dumps(content, ensure_ascii=True, allow_nan=False, separators=(",", ":"))
    return written.replace("<", "\\u003c").replace(">", "\\u003e").replace("&", "\\u0026")
