"""A run of IDI to look at: one HTML page that needs nothing else, with samples, counts and histograms.

The samples are laid out as in EmojiDiff's supplement, Fig. 5: the expression reference, then what became of it by
restruct and by faceswap. Rejected ones follow, with their reasons.
"""

from __future__ import annotations

import base64
import json
from collections.abc import Sequence
from html import escape
from pathlib import Path
from typing import Any

import numpy as np
from PIL import Image

from mien.data import filters
from mien.data.pairs import Triple, read_triples
from mien.data.records import Manifest
from mien.data.shards import encode
from mien.files import write_text
from mien.types import FloatArray, InputError

PAGE, NUMBERS = "summary.html", "summary.json"
THUMBNAIL = 128
BINS = 40
SCORES = {"exp": "Exp", "lms": "LMS", "id_distance": "identity distance"}

STYLE = """
body{font:15px/1.5 system-ui,sans-serif;margin:2rem auto;max-width:1100px;padding:0 1rem;color:#1c1c1c}
h1{font-size:1.5rem}h2{font-size:1.15rem;margin-top:2rem}small{color:#666}
table{border-collapse:collapse;font-variant-numeric:tabular-nums}
th,td{padding:.25rem .7rem;border-bottom:1px solid #ddd;text-align:right}th:first-child,td:first-child{text-align:left}
figure{display:inline-block;margin:.2rem .4rem .6rem 0;width:128px;vertical-align:top;font-size:.75rem;line-height:1.25}
figure img{display:block;width:128px;height:128px;object-fit:contain;background:#eee}
figure.no img{outline:3px solid #c23b3b;outline-offset:-3px}.row{white-space:nowrap;overflow-x:auto}
figcaption{white-space:normal}svg{max-width:100%}
"""


def summary(triples: Sequence[Triple], facts: dict[str, Any]) -> dict[str, Any]:
    """Counts and quantiles of a run, as JSON values: of all, and of each method."""
    methods = sorted({triple.method for triple in triples})
    groups = {"all": list(triples)} | {m: [t for t in triples if t.method == m] for m in methods}
    return {
        "made": facts,
        "methods": {
            name: {
                "pairs": len(group),
                "kept": sum(t.reason is None for t in group),
                "reasons": filters.reasons([t.reason for t in group]),
                **{score: _quantiles(values(group, score)) for score in SCORES},
            }
            for name, group in groups.items()
        },
    }


def values(triples: Sequence[Triple], score: str) -> FloatArray:
    """A score of the triples that have it, [n]."""
    return np.array([v for t in triples if (v := getattr(t, score)) is not None], np.float64)


def _quantiles(found: FloatArray) -> dict[str, float] | None:
    if not len(found):
        return None
    shares = (5, 25, 50, 75, 95)
    return {f"{s}%": round(float(v), 4) for s, v in zip(shares, np.percentile(found, shares), strict=True)}


def write(root: str | Path, source: Manifest, samples: int = 24) -> list[Path]:
    """Write summary.html and summary.json of the run in `root`, atomically.

    Args:
        source: the set the pairs were made of; it holds the pictures of the people that were laid on.
        samples: targets shown, and as many rejected references.

    Raises:
        InputError: there is no run, or the folder cannot be written.
    """
    root = Path(root)
    manifest, triples = Manifest.read(root), read_triples(root, rejected=True)
    facts = summary(triples, manifest.facts)
    write_text(root / NUMBERS, json.dumps(facts, indent=1, ensure_ascii=False) + "\n")
    write_text(root / PAGE, _page(facts, triples, manifest, source, samples))
    return [root / NUMBERS, root / PAGE]


def _page(
    facts: dict[str, Any], triples: Sequence[Triple], manifest: Manifest, source: Manifest, samples: int
) -> str:
    kept = [t for t in triples if t.reason is None]
    targets = list(dict.fromkeys(t.target for t in kept))[:samples]
    shown = [_row(target, [t for t in kept if t.target == target], manifest, source) for target in targets]
    out = [t for t in triples if t.reason is not None and t.reference is not None][:samples]
    limits = facts["made"].get("limits", {})
    parts = [
        f"<p>{len(kept)} of {len(triples)} pairs were kept.</p>",
        _table(facts),
        "<h2>Kept pairs</h2><p>The expression reference T, and for each way of making a reference: the person whose "
        "face was asked for, and the result. It should have the expression of T and the person beside it.</p>",
        *shown,
        "<h2>Rejected</h2>",
        *[_row(t.target, [t], manifest, source) for t in out],
        "<h2>Scores of all pairs</h2><p>The line is the limit.</p>",
        *[_histogram(triples, score, title, limits.get(score)) for score, title in SCORES.items()],
        f"<h2>Made with</h2><pre>{escape(json.dumps(facts['made'], indent=1))}</pre>",
    ]
    return (
        '<!doctype html><html lang="en"><head><meta charset="utf-8"><title>mien data idi</title>'
        f"<style>{STYLE}</style></head><body><h1>ID-irrelevant data iteration</h1>{''.join(parts)}</body></html>\n"
    )


def _table(facts: dict[str, Any]) -> str:
    kinds = list(dict.fromkeys(kind for m in facts["methods"].values() for kind in m["reasons"]))
    head = "".join(f"<th>{escape(name)}</th>" for name in ("method", "pairs", *kinds, *SCORES.values()))
    lines = []
    for name, of in facts["methods"].items():
        cells = [str(of["pairs"]), *(str(of["reasons"].get(kind, 0)) for kind in kinds)]
        cells += [f"{of[score]['50%']:.3f}" if of[score] else "–" for score in SCORES]
        lines.append(f"<tr><td>{escape(name)}</td>{''.join(f'<td>{cell}</td>' for cell in cells)}</tr>")
    return f"<table><tr>{head}</tr>{''.join(lines)}</table><small>scores: medians of all pairs with a face</small>"


def _row(target: str, group: Sequence[Triple], manifest: Manifest, source: Manifest) -> str:
    figures = [_figure(source, target, "T")]
    for triple in group:
        figures.append(_figure(source, triple.other, "person"))
        words = [triple.method]
        for score in SCORES:
            if (value := getattr(triple, score)) is not None:
                words.append(f"{SCORES[score].replace('identity distance', 'id')} {value:.3f}")
        if triple.reason is not None:
            words.append(triple.reason)
        figures.append(_figure(manifest, triple.reference or "", " · ".join(words), triple.reason is None))
    return f'<div class="row">{"".join(figures)}</div>'


def _figure(manifest: Manifest, key: str, caption: str, good: bool = True) -> str:
    try:
        image = manifest.picture(manifest.index[key])
    except (InputError, KeyError):
        image = Image.new("RGB", (THUMBNAIL, THUMBNAIL), "grey")  # it has gone since
    image.thumbnail((THUMBNAIL, THUMBNAIL), Image.Resampling.LANCZOS)
    data = base64.b64encode(encode(image)).decode("ascii")
    kind = "" if good else ' class="no"'
    return (
        f'<figure{kind}><img src="data:image/jpeg;base64,{data}" alt="{escape(caption)}">'
        f"<figcaption>{escape(caption)}</figcaption></figure>"
    )


def _histogram(triples: Sequence[Triple], score: str, title: str, limit: float | None) -> str:
    kept = values([t for t in triples if t.reason is None], score)
    every = values(triples, score)
    if not len(every):
        return ""
    top = float(max(np.percentile(every, 99), limit or 0)) or 1.0
    edges = np.linspace(0, top, BINS + 1)
    counts = {"all": np.histogram(every, edges)[0], "kept": np.histogram(kept, edges)[0]}
    highest = max(int(counts["all"].max()), 1)
    width, height = 520, 130
    step = width / BINS
    bars = [
        f'<rect x="{i * step:.1f}" y="{height - n / highest * height:.1f}" width="{step - 1:.1f}" '
        f'height="{n / highest * height:.1f}" fill="{colour}"/>'
        for name, colour in (("all", "#c9d3e6"), ("kept", "#3366cc"))
        for i, n in enumerate(counts[name])
    ]
    if limit:
        x = limit / top * width
        bars.append(
            f'<line x1="{x:.1f}" x2="{x:.1f}" y1="0" y2="{height}" stroke="#c23b3b" stroke-width="2"/>'
        )
    ticks = [
        f'<text x="{share * width:.0f}" y="{height + 16}" font-size="11" text-anchor="middle">{share * top:.2f}</text>'
        for share in (0.25, 0.5, 0.75)
    ]
    return (
        f"<h3>{escape(title)} <small>all {len(every)} (pale), kept {len(kept)} (blue)</small></h3>"
        f'<svg viewBox="0 0 {width} {height + 20}" width="{width}" role="img" aria-label="{escape(title)}">'
        f"{''.join(bars)}{''.join(ticks)}</svg>"
    )
