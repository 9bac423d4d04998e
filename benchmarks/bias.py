"""Is it as good for everybody? The card's scores by the age, gender and ethnicity that a held-out file name gives.

The labels are UTKFace's: ages are guesses of a model checked by people, two genders and five ethnicities are all it
knows. Judges are not fair either: where dlib takes more strangers for one person, "same person" is easier.
"""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np

from benchmarks.table import show
from factory.faces.sources import read_label
from mien.metrics import statistics
from mien.metrics.statistics import Interval
from mien.types import FloatArray

BANDS = ((18, 29), (30, 44), (45, 59), (60, 200))
SAME = 0.6
SMALLEST = 10  # pictures a group must have to be compared


@dataclass(frozen=True)
class Scores:
    """One value a pair; nan where there is none (no face: no Exp).

    Attributes:
        found, same: 0 or 1. exp, untouched: [n], of the result and of the identity picture. psnr, drift: of the
            autoencoder, in dB and dlib distance. identities: [n, 128] dlib's numbers of the identity pictures.
    """

    found: FloatArray
    same: FloatArray
    exp: FloatArray
    untouched: FloatArray
    psnr: FloatArray
    drift: FloatArray
    identities: FloatArray


def groups(source: str, names: list[str]) -> dict[str, list[int]]:
    """{group: places of its pictures}, in the order of the table; a picture without a label is in none."""
    labels = [read_label(source, name) for name in names]
    found: dict[str, list[int]] = {}
    for low, high in BANDS:
        name = f"{low} to {high}" if high < 200 else f"{low} and older"
        found[name] = [i for i, one in enumerate(labels) if one.age is not None and low <= one.age <= high]
    for field in ("gender", "ethnicity"):
        values = [getattr(one, field) for one in labels]
        for value in sorted({v for v in values if v is not None}, key=lambda v: -values.count(v)):
            found[value] = [i for i, one in enumerate(values) if one == value]
    return {name[:1].upper() + name[1:]: places for name, places in found.items() if places}


def strangers(identities: FloatArray) -> float:
    """Share of pairs of different people whose dlib distance is below 0.6; nan of fewer than two."""
    n = len(identities)
    if n < 2:
        return math.nan
    table = np.linalg.norm(identities[:, None] - identities[None], axis=2)
    return float((table[np.triu_indices(n, 1)] < SAME).mean())


def measures(scores: Scores, part: list[int]) -> dict[str, tuple[Interval, str]]:
    """{column: (value, how to print it)} of a group."""
    seen = [i for i in part if not np.isnan(scores.exp[i])]
    rebuilt = [i for i in part if not np.isnan(scores.drift[i])]
    return {
        "face found": (statistics.mean(scores.found[part]), ".0%"),
        "same person": (statistics.mean(scores.same[part]), ".0%"),
        "Exp ÷ no control": (statistics.ratio_of_means(scores.exp[seen], scores.untouched[seen]), ".2f"),
        "autoencoder, dB": (statistics.mean(scores.psnr[part]), ".1f"),
        "autoencoder, dlib distance": (statistics.mean(scores.drift[rebuilt]), ".2f"),
    }


def markdown(scores: Scores, of: dict[str, list[int]]) -> str:
    """The table, and under it the groups that differ from everybody else."""
    everybody = list(range(len(scores.found)))
    lines = []
    for name, part in {"Everybody": everybody, **of}.items():
        values = measures(scores, part)
        if not lines:
            lines = [["identity", "pictures", *values, "strangers taken for one person"]]
        chance = strangers(scores.identities[part])
        shown = [show(value, spec) for value, spec in values.values()]
        lines.append([name, str(len(part)), *shown, "n/a" if math.isnan(chance) else f"{chance:.1%}"])
    rule = ["---"] * len(lines[0])
    table = "\n".join("| " + " | ".join(line) + " |" for line in (lines[0], rule, *lines[1:]))
    return f"{table}\n\n{differing(scores, of)}\n"


def differing(scores: Scores, of: dict[str, list[int]]) -> str:
    """In words: which groups' shares differ from everybody else's by more than chance."""
    said, compared = [], 0
    for name, part in of.items():
        rest = sorted(set(range(len(scores.found))) - set(part))
        if min(len(part), len(rest)) < SMALLEST:
            continue
        compared += 2
        for what, values in (("same person", scores.same), ("face found", scores.found)):
            gap = _gap(values, part, rest)
            if gap.low > 0 or gap.high < 0:
                word = "more" if gap.value > 0 else "less"
                points = f"{abs(gap.value) * 100:.0f} points [{min(abs(gap.low), abs(gap.high)) * 100:.0f}, "
                said.append(
                    f"{name}: {what} {word} often by {points}{max(abs(gap.low), abs(gap.high)) * 100:.0f}]"
                )
    by_chance = f"Of {compared} comparisons about {round(0.05 * compared)} would differ by chance alone."
    if not said:
        return f"No group's shares differ from the others' by more than chance (95%). {by_chance}"
    return f"Differing from the others by more than chance (95%): {'; '.join(said)}. {by_chance}"


def _gap(values: FloatArray, part: list[int], rest: list[int]) -> Interval:
    """share(part) - share(rest) with the interval of Agresti and Caffo 2000: it does not vanish where all succeed."""
    raw = [float(np.mean(values[side])) for side in (part, rest)]
    moved = [(float(np.sum(values[side])) + 1, len(side) + 2) for side in (part, rest)]
    shares = [hits / n for hits, n in moved]
    deviation = math.sqrt(sum(p * (1 - p) / n for p, (_, n) in zip(shares, moved, strict=True)))
    middle = shares[0] - shares[1]
    return Interval(raw[0] - raw[1], middle - 1.96 * deviation, middle + 1.96 * deviation)
