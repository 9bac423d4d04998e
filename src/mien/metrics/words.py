"""Scores in everyday words, for somebody who knows no metric, and a warning where a result is poor.

Thresholds are of `python -m benchmarks.photo_engine` on 52 people and six films (27 November 2026), where photographs
got smiles, grimaces and speech. `python -m benchmarks.score_words` holds them against known truths: of results 95% are
below 0.75 as what was asked and above 0.83 as another word; a blur by half a pixel, 110 between the eyes, has detail
0.63, by one 0.38:

- the person: 90% of two real photographs of somebody, at rest and smiling, are nearer than 0.28 by dlib, 0.24 by the
  embedded recogniser; beyond `mien.metrics.scoring.SAME_PERSON` two faces pass for two people; "well" reaches half way.
- the expression, of a photo: the share of the change that was asked for which the analyser reads. Of 64 results that
  were looked at, the 61 that show it have 0.32 to 2.5, the three that hardly do 0.00 to 0.18.
- the expression, drawn anew: Exp ÷ the untouched photo's; 1 is doing nothing.
- detail: 80% of its results lie from 0.99 to 1.09; what a small model draws has 0.31 to 0.48.
- seam: 90% of its results are below 2.1 grey levels; a step of twice the bound is a plain edge on smooth skin.
- colour: 90% of its results are below 0.43; about 2 can be told side by side; what a small model draws is off by 8.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from math import isnan
from pathlib import Path

from mien.metrics.scoring import SAME_PERSON

LIKE_A_PHOTOGRAPH = {"dlib": 0.28, "embedded": 0.24}
Step = tuple[float | None, str, str]
"""Up to this value (None: any), these words ("": not worth a word), and this warning ("": none)."""
_CONTENT = json.loads(Path(__file__).with_suffix(".json").read_text(encoding="utf-8"))
STEPS: dict[str, list[Step]] = _CONTENT["steps"]
ADVICE: dict[str, dict[str, str]] = _CONTENT["advice"]
"""Engine → measure → what may improve it."""


def words(scores: Mapping[str, float | None], recogniser: str = "embedded") -> str:
    """Scores in words: "looks like the person: very; follows the expression: well; sharp".

    Args:
        scores: any of `id_distance`, `exp_share`, `exp_ratio` (Exp ÷ the untouched photo's), `detail`, `seam` and
            `colour`; what is missing, None or nan is left out, seam and colour also where they are good.
        recogniser: whose distance it is, "dlib" or "embedded"; of others no distance is known.
    """
    return "; ".join(said for _, (_, said, _) in _steps(scores, recogniser) if said)


def warning(
    scores: Mapping[str, float | None], recogniser: str = "embedded", engine: str = "photo"
) -> str | None:
    """What is poor about a result, and what to try, in two sentences; None: nothing is. Arguments are those of `words`;
    engine: of `ADVICE`, which made it."""
    poor = [(name, warned) for name, (_, _, warned) in _steps(scores, recogniser) if warned]
    if not poor:
        return None
    faults = [warned for _, warned in poor]
    listed = faults[0] if len(faults) == 1 else ", ".join(faults[:-1]) + " and " + faults[-1]
    return f"This result is poor: {listed}. Try {ADVICE[engine][poor[0][0]]}."


def _steps(scores: Mapping[str, float | None], recogniser: str) -> list[tuple[str, Step]]:
    steps = dict(STEPS)
    if recogniser in LIKE_A_PHOTOGRAPH:
        near, far = LIKE_A_PHOTOGRAPH[recogniser], SAME_PERSON[recogniser]
        person: list[Step] = [
            (near, "looks like the person: very", ""),
            ((near + far) / 2, "looks like the person: well", ""),
            (far, "looks like the person: somewhat", ""),
            (None, "looks like the person: no", "it does not look like the person"),
        ]
        steps = {"id_distance": person, **steps}
    found = []
    for name, bounds in steps.items():
        value = scores.get(name)
        if value is not None and not isnan(value):
            found.append((name, next(step for step in bounds if step[0] is None or value <= step[0])))
    return found
