"""What expression costs identity: both, as guidance or the expression's scale is turned up.

    python -m benchmarks.tradeoff [--n 32] [--steps 12] [--out runs/tradeoff] [--quick]

The same held-out pairs (`portrait_benchmark`) with the same seeds under every setting; what is not turned stays as the
model comes (lambda_exp = 1, EmojiDiff's own). MediaPipe and dlib judge: ID is the cosine to the identity,
Exp and LMS the distance to the reference, leak the cosine to the *reference's* person.
"""

from __future__ import annotations

import argparse
from pathlib import Path

import numpy as np

from benchmarks.controllers import MEASURES, portraits, scores_of
from benchmarks.held_out import pairs
from benchmarks.table import Row, publish, run
from mien.metrics import statistics
from mien.metrics.scoring import load_scorer
from mien.pipelines.portrait import PortraitPipeline

KNOBS = {"guidance": (1.0, 1.5, 2.5, 4.0), "expression_scale": (0.0, 0.5, 1.0, 1.5)}


def label(knob: str, value: float) -> str:
    """A setting's name, as in the rows and the samples."""
    return f"{knob} = {value:g}"


def rows_of(samples: dict[str, dict[str, list[float | None]]]) -> list[Row]:
    """One row a setting and measure; over the pairs in which every setting shows a face."""
    count = len(next(iter(samples.values()))["id"])
    every = [i for i in range(count) if all(of["id"][i] is not None for of in samples.values())]
    return [
        Row(
            f"{measure}, {setting}",
            statistics.mean(np.array([of[measure][i] for i in every], float)),
            at_least=measure == "id",
            note=f"{len(every)} of {count}",
        )
        for measure in MEASURES
        for setting, of in samples.items()
    ]


def main() -> None:
    """Command line of this benchmark."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--backbone", default="mini")
    parser.add_argument("--n", type=int, default=32, help="pairs; half of them photographs")
    parser.add_argument("--steps", type=int, default=12, help="of sampling")
    parser.add_argument("--quick", action="store_true", help="4 pairs, 3 steps: to see that it runs")
    parser.add_argument("--out", type=Path, default=Path("runs/tradeoff"))
    given = parser.parse_args()
    if given.quick:
        given.n, given.steps = 4, 3
    scorer = load_scorer("mediapipe", "dlib")
    chosen, _ = pairs(given.n, lambda image: bool(scorer.analyse(image)))
    looks = [(scorer.observe(p.identity.image), scorer.observe(p.reference.image)) for p in chosen]
    inputs = [(a, b) for a, b in looks if a is not None and b is not None]  # all: see `pairs`
    pipe = PortraitPipeline.from_backbone(given.backbone, "cpu", "float32")
    samples = {}
    for knob, values in KNOBS.items():
        for value in values:
            name = label(knob, value)
            images = portraits(pipe, chosen, name, steps=given.steps, **{knob: value})
            samples[name] = scores_of(scorer, inputs, images)
    settings = {key: str(value) for key, value in vars(given).items()}
    title = f"Guidance and the expression's scale: {given.n} held-out pairs, {given.steps} steps"
    publish(given.out, "tradeoff", title, rows_of(samples), {"settings": settings, "samples": samples})


if __name__ == "__main__":
    run(main)
