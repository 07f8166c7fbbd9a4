"""Pieces of HTML that need no other file: text, tables, bars, pictures, the style.

A page has no address in it, and opens from a disk. Names of any language are HTML text, so the
reader's fonts show them; pictures are data URIs.
"""

from __future__ import annotations

import base64
import html
from collections.abc import Iterable, Sequence

_PNG = b"\x89PNG"
_STYLE = """
:root { --ink: #1c2330; --soft: #667085; --line: #e4e7ec; --bar: #3b6fb6; --second: #d98a29;
  --third: #5a9a68; --bad: #b42318; --bad-back: #fef3f2; --warn: #93600a; --warn-back: #fffaeb; }
* { box-sizing: border-box; }
body { margin: 0 auto; max-width: 1080px; padding: 28px 24px 80px; color: var(--ink);
  font: 15px/1.5 system-ui, "PingFang SC", "Microsoft YaHei", "Noto Sans CJK SC", sans-serif; }
h1 { font-size: 26px; margin: 0 0 4px; } h2 { font-size: 19px; margin: 40px 0 10px; }
h3 { font-size: 15px; margin: 20px 0 6px; } p { margin: 6px 0; }
.soft, small { color: var(--soft); } .path { overflow-wrap: anywhere; }
table { border-collapse: collapse; margin: 8px 0; }
th, td { text-align: left; padding: 4px 18px 4px 0; border-bottom: 1px solid var(--line);
  vertical-align: top; overflow-wrap: anywhere; }
th { color: var(--soft); font-weight: 500; } td.n, th.n { text-align: right; white-space: nowrap;
  font-variant-numeric: tabular-nums; }
.finding { border-left: 4px solid var(--warn); background: var(--warn-back); padding: 9px 14px;
  margin: 8px 0; border-radius: 0 6px 6px 0; overflow-wrap: anywhere; }
.finding.spoils { border-color: var(--bad); background: var(--bad-back); }
.finding b { color: var(--warn); } .finding.spoils b { color: var(--bad); }
.fine { border-left: 4px solid var(--third); background: #f0f9f2; padding: 9px 14px; }
.bars { display: grid; grid-template-columns: minmax(80px, max-content) 1fr; gap: 3px 12px;
  align-items: center; }
.bars .name { max-width: 260px; overflow: hidden; text-overflow: ellipsis; white-space: nowrap; }
.bar { display: flex; align-items: center; gap: 6px; font-size: 12px; color: var(--soft);
  line-height: 13px; }
.bar i, .key i { display: inline-block; height: 9px; border-radius: 2px; background: var(--bar);
  min-width: 1px; }
.key i { width: 12px; margin: 0 5px 0 14px; } .c1 i, i.c1 { background: var(--second); }
.c2 i, i.c2 { background: var(--third); } .strip { display: flex; align-items: flex-end;
  height: 110px; border-bottom: 1px solid var(--soft); margin: 4px 0; overflow: hidden; }
.strip i { flex: 1 1 0; min-width: 0; background: var(--bar); } .strip.c1 i, .strip.c2 i
  { background: var(--second); } .strip.c2 i { background: var(--third); }
.columns { columns: 3 220px; font-size: 13px; } .columns div { break-inside: avoid;
  display: flex; justify-content: space-between; gap: 8px; }
.columns span:first-child { overflow-wrap: anywhere; }
.classes { display: grid; gap: 14px 20px; }
.pictures { display: flex; flex-wrap: wrap; gap: 4px; }
.caption { font-size: 13px; overflow-wrap: anywhere; }
img { width: auto; height: 64px; min-width: 24px; max-width: 130px; object-fit: contain;
  background: #f2f4f7; border-radius: 3px; } img.small { image-rendering: pixelated; }
.group { display: flex; flex-wrap: wrap; gap: 14px; padding: 8px 0;
  border-bottom: 1px solid var(--line); } .group figure { margin: 0; max-width: 300px; }
figcaption { font-size: 12px; color: var(--soft); overflow-wrap: anywhere; }
.group.spoils figcaption b { color: var(--bad); } summary { cursor: pointer; color: var(--soft); }
"""


def text(value: object) -> str:
    """Escapes text of any kind; what is no valid Unicode, as in names of some files, becomes ?."""
    return html.escape(str(value).encode("utf-8", "replace").decode("utf-8"))


def page(title: str, body: Iterable[str], language: str = "en", style: str = "") -> str:
    """Returns a whole page; `style` is CSS in addition to that of all pages."""
    return (
        f'<!doctype html>\n<html lang="{language}"><head><meta charset="utf-8">\n'
        '<meta name="viewport" content="width=device-width, initial-scale=1">\n'
        f"<title>{text(title)}</title>\n<style>{_STYLE}{style}</style></head><body>\n"
        + "\n".join(body)
        + "\n</body></html>\n"
    )


def table(head: Sequence[str], rows: Iterable[Sequence[object]]) -> str:
    """Returns a table of text; numbers are at the right, with separators."""

    def cell(value: object, tag: str = "td") -> str:
        if isinstance(value, int):
            return f'<{tag} class="n">{value:,}</{tag}>'
        return f"<{tag}>{text(value)}</{tag}>"

    body = [list(row) for row in rows]
    first: Sequence[object] = body[0] if body else head
    numbers = [bool(body) and isinstance(value, int) for value in first]
    heads = [
        f'<th class="n">{text(name)}</th>' if number else f"<th>{text(name)}</th>"
        for name, number in zip(head, numbers)
    ]
    lines = ["".join(map(cell, row)) for row in body]
    return (
        f"<table><tr>{''.join(heads)}</tr>" + "".join(f"<tr>{x}</tr>" for x in lines) + "</table>"
    )


def picture(content: bytes, title: str = "") -> str:
    """Returns a picture; one without loss (PNG) is a small image, whose pixels stay visible."""
    png = content.startswith(_PNG)
    kind, style = ("png", ' class="small"') if png else ("jpeg", "")
    encoded = base64.b64encode(content).decode("ascii")
    name = text(title)
    return f'<img{style} alt="{name}" title="{name}" src="data:image/{kind};base64,{encoded}">'


def details(summary: str, content: str) -> str:
    """Returns content that is folded away."""
    return f"<details><summary>{text(summary)}</summary>{content}</details>"
