"""A page of HTML that needs nothing else: its style, its pictures and its charts are inside it."""

from __future__ import annotations

import base64
import io
from html import escape

from PIL import Image

from mien.metrics import chart

STYLE = """
:root{color-scheme:light dark;--ink:#1b1f24;--faint:#626a73;--paper:#fff;--line:#dfe3e7;--card:#f5f7f9;
--note:#fff5da;--edge:#c98f00;--base:#9aa1a9;--same:#1b1f24;LIGHT}
@media (prefers-color-scheme:dark){:root{--ink:#e6e8ea;--faint:#9aa3ad;--paper:#14171a;--line:#31373d;--card:#1d2125;
--note:#352c14;--edge:#e0ad2e;--base:#7d858e;--same:#e6e8ea;DARK}}
*{box-sizing:border-box}
body{font:15px/1.55 system-ui,sans-serif;margin:0 auto;max-width:1120px;padding:1.5rem 1rem 4rem;color:var(--ink);
background:var(--paper)}
h1{font-size:1.6rem;margin:.2rem 0 .4rem}h2{font-size:1.2rem;margin:2.6rem 0 .4rem}
h3{font-size:1rem;margin:1.6rem 0 .3rem}
p{margin:.4rem 0;max-width:76ch}small,.faint{color:var(--faint);font-size:.82rem}
.wide{overflow-x:auto;margin:.5rem 0}
table{border-collapse:collapse;font-variant-numeric:tabular-nums;line-height:1.3}
th,td{padding:.4rem .8rem;border-bottom:1px solid var(--line);text-align:right;vertical-align:top;white-space:nowrap}
th{font-size:.82rem;font-weight:600;vertical-align:bottom;white-space:normal}th.text{text-align:left}
th:first-child,td:first-child{text-align:left;position:sticky;left:0;background:var(--paper);padding-left:0;
white-space:normal;overflow-wrap:anywhere;min-width:7.5rem;max-width:14rem}
tr.baseline td{color:var(--faint)}td.best{font-weight:700}td small{font-weight:400}
td.text{text-align:left;white-space:normal;min-width:16rem}
.warning{background:var(--note);border-left:4px solid var(--edge);padding:.5rem .8rem;margin:.5rem 0;
overflow-wrap:anywhere}
.strips{display:grid;grid-template-columns:repeat(auto-fill,minmax(min(100%,300px),1fr));gap:.8rem;margin:.5rem 0}
figure{margin:0;background:var(--card);border-radius:6px;overflow:hidden}
figure img{display:block;width:100%;height:auto}figcaption{padding:.35rem .6rem;font-size:.82rem}
summary{cursor:pointer;padding:.3rem 0}
@media print{:root{font-size:11px}body{font-size:1rem;max-width:none;padding:0}h2,h3{break-after:avoid}
figure,table,.block{break-inside:avoid}.wide{overflow:visible}th:first-child,td:first-child{position:static}}
"""


def document(title: str, heading: str, body: str, style: str = "") -> str:
    """The whole page. `title` and `heading` are text; `body` is HTML; `style` is CSS beside the pages' own."""
    common = STYLE.replace("LIGHT", _palette(chart.COLOURS)).replace("DARK", _palette(chart.DARK))
    return (
        f'<!doctype html><html lang="en"><head><meta charset="utf-8"><title>{escape(title)}</title>'
        '<meta name="viewport" content="width=device-width,initial-scale=1">'
        f"<style>{common}{chart.STYLE}{style}</style></head><body><h1>{escape(heading)}</h1>{body}</body></html>\n"
    )


def figure(picture: Image.Image, caption: str) -> str:
    """A picture with its caption, as JPEG inside the page."""
    data = io.BytesIO()
    picture.convert("RGB").save(data, "JPEG", quality=88)
    source = base64.b64encode(data.getvalue()).decode("ascii")
    return (
        f'<figure><img src="data:image/jpeg;base64,{source}" alt="{escape(caption)}">'
        f"<figcaption>{escape(caption)}</figcaption></figure>"
    )


def _palette(colours: tuple[str, ...]) -> str:
    return ";".join(f"--m{i}:{colour}" for i, colour in enumerate(colours))
