"""IDI's three ways side by side: restruct, faceswap by warping, and carry, on the same targets.

    python -m benchmarks.idi_ways SET [--adapter FOLDER] [--count 200] [--out runs/idi_ways]

SET is a set of `mien data ingest --analyser mediapipe --recogniser dlib`, who then judge the pairs. --adapter: the Base
E-Adapter of restruct (default: what ships, which hears 57 numbers). Rows: the share of pairs that the paper's limits
keep (Exp 0.05, LMS 0.18, quality, and the recogniser's threshold of one person), then means over all pairs with a face:
Exp and LMS to the target, distance of the recogniser's embeddings to the target's (the identity's change), quality; and
the same Exp by the embedded analyser, since carry is corrected by what the pairs' own judge reads. 95% bootstraps.
"""

from __future__ import annotations

import argparse
from pathlib import Path

import numpy as np

from benchmarks.emojidiff_story import mien
from benchmarks.table import Row, publish, run
from mien.data.pairs import Triple, read_triples
from mien.data.records import Manifest
from mien.face.analyze import analyze
from mien.metrics import statistics
from mien.metrics.face import exp
from mien.types import FloatArray

WAYS = {"carry": "carry", "restruct": "restruct", "faceswap": "faceswap:photo"}
SCORES = {"exp": ".4f", "lms": ".3f", "id_distance": ".3f", "quality": ".3f"}
TITLES = {
    "exp": "Exp",
    "lms": "LMS",
    "id_distance": "identity's change (distance of embeddings)",
    "quality": "quality",
}


def rows(made: dict[str, list[Triple]], apart: dict[str, FloatArray]) -> list[Row]:
    """The table: carry first, the other ways beside it. apart: Exp by the embedded analyser."""
    kept = {way: np.array([t.reason is None for t in triples], float) for way, triples in made.items()}
    ours, *others = made

    def row(what: str, columns: dict[str, FloatArray], spec: str) -> Row:
        means = {way: statistics.mean(column) for way, column in columns.items()}
        return Row(what, means.pop(ours), spec=spec, baselines=means, note=f"{len(columns[ours])} pairs")

    found = [row("kept", kept, ".1%")]
    for score, spec in SCORES.items():
        columns = {
            way: np.array([v for t in triples if (v := getattr(t, score)) is not None])
            for way, triples in made.items()
        }
        found.append(row(TITLES[score], columns, spec))
    found.append(row("Exp by the embedded analyser", apart, ".4f"))
    for way in others:
        ratio = statistics.ratio_of_means(kept[ours], kept[way])
        found.append(Row(f"kept, {ours} ÷ {way}", ratio, 2.0 if way == "restruct" else None, spec=".2f"))
    return found


def exp_apart(root: Path, source: Manifest, triples: list[Triple]) -> FloatArray:
    """Exp between targets and references by the embedded analyser, [those in which it finds both faces]."""
    manifest, found = Manifest.read(root), []
    for triple in triples:
        if triple.reference is not None:
            target = analyze(source.picture(source.index[triple.target]))
            reference = analyze(manifest.picture(manifest.index[triple.reference]))
            if target and reference:
                found.append(float(exp(target[0].blendshapes, reference[0].blendshapes)))
    return np.array(found)


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("set", type=Path, metavar="SET", help="of `mien data ingest`")
    parser.add_argument("--adapter", type=Path, help="the Base E-Adapter of restruct")
    parser.add_argument("--count", type=int, default=200, help="targets")
    parser.add_argument("--out", type=Path, default=Path("runs/idi_ways"))
    given = parser.parse_args()
    source = Manifest.read(given.set)
    made = {}
    for way, method in WAYS.items():
        root = given.out / way
        words = ["--method", method, "--split", "all", "--count", str(given.count)]
        if given.adapter and way == "restruct":
            words += ["--adapter", str(given.adapter)]
        mien("data", "idi", str(given.set), str(root), *words)
        made[way] = {triple.target: triple for triple in read_triples(root, rejected=True)}
    common = sorted(set.intersection(*(set(triples) for triples in made.values())))
    paired = {way: [triples[target] for target in common] for way, triples in made.items()}
    apart = {way: exp_apart(given.out / way, source, triples) for way, triples in paired.items()}
    judges = f"judged by {source.facts['analyser']} and {source.facts['recogniser']}"
    who = "an adapter given" if given.adapter else "the shipped adapter"
    title = f"IDI's three ways, {len(common)} targets, restruct by {who}, {judges}"
    publish(given.out, "idi_ways", title, rows(paired, apart), {})


if __name__ == "__main__":
    run(main)
