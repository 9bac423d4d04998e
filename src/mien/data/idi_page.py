"""A run of IDI to look at: one HTML page that needs nothing else, with samples, counts and histograms.

Samples are laid out as in EmojiDiff's supplement, Fig. 5: the expression reference, then what restruct and faceswap
made of it. Rejected ones follow, with their reasons.
"""

from __future__ import annotations

import json
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
from markupsafe import Markup
from PIL import Image

from mien.data import filters
from mien.data.pairs import Triple, read_triples
from mien.data.records import Manifest
from mien.files import write_text
from mien.metrics.document import render, ridges
from mien.types import FloatArray, InputError

PAGE, NUMBERS = "summary.html", "summary.json"
THUMBNAIL = 128
Figure = tuple[Image.Image, str, bool]  # picture, caption, whether it was kept
SCORES = {"exp": "Exp", "lms": "LMS", "id_distance": "identity distance"}


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
    """Write summary.html and summary.json of the run in `root`, atomically. source: the set the pairs were made of.
    samples: targets shown, and as many rejected references. Raises `InputError`: there is no run, or the folder cannot
    be written."""
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
    out = [t for t in triples if t.reason is not None and t.reference is not None][:samples]
    limits = facts["made"].get("limits", {})
    drawn = {}
    for score, title in SCORES.items():
        groups = (("all", "var(--base)", triples), ("kept", "var(--m0)", kept))
        series = [(name, colour, found) for name, colour, of in groups if len(found := values(of, score))]
        drawn[score] = ridges(series, title)
    return render(
        "idi.html.jinja",
        title="mien data idi",
        heading="ID-irrelevant data iteration",
        facts=facts,
        kept=len(kept),
        pairs=len(triples),
        reasons=list(dict.fromkeys(kind for m in facts["methods"].values() for kind in m["reasons"])),
        scores=SCORES,
        shown=[_row(target, [t for t in kept if t.target == target], manifest, source) for target in targets],
        rejected=[_row(t.target, [t], manifest, source) for t in out],
        charts=[(title, limits.get(score), Markup(drawn[score])) for score, title in SCORES.items()],
        made=json.dumps(facts["made"], indent=1),
    )


def _row(target: str, group: Sequence[Triple], manifest: Manifest, source: Manifest) -> list[Figure]:
    figures = [(_thumbnail(source, target), "T", True)]
    for triple in group:
        figures.append((_thumbnail(source, triple.other), "person", True))
        words = [triple.method]
        for score in SCORES:
            if (value := getattr(triple, score)) is not None:
                words.append(f"{SCORES[score].replace('identity distance', 'id')} {value:.3f}")
        if triple.reason is not None:
            words.append(triple.reason)
        reference = _thumbnail(manifest, triple.reference or "")
        figures.append((reference, " · ".join(words), triple.reason is None))
    return figures


def _thumbnail(manifest: Manifest, key: str) -> Image.Image:
    try:
        image = manifest.picture(manifest.index[key])
    except (InputError, KeyError):
        image = Image.new("RGB", (THUMBNAIL, THUMBNAIL), "grey")  # it has gone since
    image.thumbnail((THUMBNAIL, THUMBNAIL), Image.Resampling.LANCZOS)
    return image
