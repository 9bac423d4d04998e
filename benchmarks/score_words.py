"""What the scores behind a sentence ("looks like the person: very; sharp") are where the truth is known.

    python -m benchmarks.score_words [--people N] [--write PAGE]

People of `london-dev` at rest, through the command line's own judge (the embedded analyser and recogniser). Person: two
photographs of one person against those of two. Expression: results for what was asked, judged as it, and judged as
another expression. Detail: photographs blurred on purpose. From these percentiles `mien.metrics.words` takes its words.
"""

from __future__ import annotations

import argparse
from collections.abc import Sequence
from itertools import combinations
from pathlib import Path
from typing import Any

import cv2
import numpy as np

from benchmarks.model_card import fill
from benchmarks.photo_scenes import london
from benchmarks.table import environment, run
from mien.face.subject import Subject
from mien.making.photographs import Photographs
from mien.making.scoring import Judge
from mien.making.wishes import PhotoWish, Request
from mien.metrics.face import id_distance
from mien.metrics.photo import BETWEEN_EYES, detail
from mien.metrics.words import words

WORDS = ("joy", "surprise", "anger", "disgust")
BLURS = (0.5, 1.0, 2.0, 4.0)  # px (Gaussian sigma) at `BETWEEN_EYES` px between the eyes
SHARES = (5, 25, 50, 75, 95)


def measured(people: int) -> dict[str, list[float]]:
    """Scores of every kind of pair, by its label."""
    judge, maker = Judge(None), Photographs(PhotoWish("reface"))
    found: dict[str, list[float]] = {}
    seen: dict[str, list[Any]] = {"neutral": [], "smiling": []}
    for pictures in list(london().values())[:people]:
        subjects = {name: Subject(image, judge.analyse(image)[0]) for name, image in pictures.items()}
        for name, subject in subjects.items():
            seen[name].append(judge.look(subject).identity)
        rest = subjects["neutral"]
        for number, word in enumerate(WORDS):
            (drawn,) = maker.make([maker.look(Request(None, word, photo=rest.image))])
            found.setdefault("expression: what was asked", []).append(ratio(maker, drawn, word))
            other = WORDS[(number + 1) % len(WORDS)]
            found.setdefault("expression: judged as another", []).append(ratio(maker, drawn, other))
        pixels, face = np.asarray(rest.image), rest.face.landmarks
        apart = float(np.linalg.norm(face[33, :2] - face[263, :2]))
        for blur in BLURS:
            soft = cv2.GaussianBlur(pixels, (0, 0), blur * apart / BETWEEN_EYES).astype(np.uint8)
            found.setdefault(f"detail: blurred by {blur:g} px", []).append(
                detail((soft, face), (pixels, face))
            )
    pairs = zip(seen["neutral"], seen["smiling"], strict=True)
    found["person: two photographs of one"] = [float(id_distance(a, b)) for a, b in pairs]
    found["person: of two"] = [float(id_distance(a, b)) for a, b in combinations(seen["neutral"], 2)]
    return found


def ratio(maker: Photographs, drawn: Any, word: str) -> float:
    """The share of what was asked for that shows in a result, judged as an expression that may not be its own."""
    from dataclasses import replace

    looked = maker.look(replace(drawn.looked.request, expression=word))
    value = maker.score(replace(drawn, looked=looked))["exp_share"]
    return np.nan if value is None else value


def table(found: dict[str, list[float]]) -> str:
    """Percentiles of each kind, and what is said at its median."""
    names = {"expression": "exp_share", "detail": "detail", "person": "id_distance"}
    lines = [
        "| what | n | " + " | ".join(f"{share}%" for share in SHARES) + " | said at the median |",
        "|---|---|" + "---|" * (len(SHARES) + 1),
    ]
    for label, values in sorted(found.items()):
        known = np.array(values)[~np.isnan(values)]
        cells = np.percentile(known, SHARES)
        said = words({names[label.split(":")[0]]: float(np.median(known))})
        lines.append(f"| {label} | {len(known)} | " + " | ".join(f"{c:.2f}" for c in cells) + f" | {said} |")
    return "\n".join(lines) + "\n"


def main(arguments: Sequence[str] | None = None) -> None:
    """Command line of this benchmark."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--people", type=int, default=52, help="of london-dev")
    parser.add_argument("--write", type=Path, help="a page whose table is to be filled in")
    given = parser.parse_args(arguments)
    text = table(measured(given.people))
    made = f"Measured {environment()['date']}, {given.people} people, by `python -m benchmarks.score_words`."
    print(f"{text}\n{made}")
    if given.write is not None:
        fill(given.write, {"words": f"{text}\n{made}\n"})


if __name__ == "__main__":
    run(main)
