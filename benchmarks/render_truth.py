"""Ground truth that no photograph has: how well each analyser recovers the coefficients and poses of renders.

    python -m benchmarks.render_truth [--n 300] [--out runs/bench]

Heads of held-out shapes make random expressions in random poses (`factory.faces.render`). For every blendshape that the
renderer moves: Pearson's correlation of what was rendered with what MediaPipe and the embedded analyser read. Where a
number is low for both, the renderer's muscle and MediaPipe's name do not mean the same movement, or it hardly shows.
"""

from __future__ import annotations

import argparse
from functools import partial
from pathlib import Path

import numpy as np
from PIL import Image
from tqdm import tqdm

from benchmarks.table import Row, exact, publish, run
from factory.faces.coefficients import sample
from factory.faces.ict import load_head
from factory.faces.render import HOLDOUT_SEEDS, make_person, render, sample_view
from mien.face.analyze import analyze
from mien.face.blendshapes import NAMES
from mien.face.pose import difference
from mien.metrics import statistics
from mien.types import Face

FIRST_HEAD = HOLDOUT_SEEDS + 700_000
PICTURES_A_HEAD = 5
LEAST_MOVED = 10  # renders in which a blendshape must be above 0.1 to be judged
POSE_LIMIT = 30.0  # degrees on every axis
POSE_TARGET = 3.0  # degrees
BACKENDS = ("embedded", "mediapipe")


def main() -> None:
    """Command line of this benchmark."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--n", type=int, default=300, help="renders")
    parser.add_argument("--out", type=Path, default=Path("runs/bench"))
    arguments = parser.parse_args()
    looks = {name: partial(analyze, backend=name) for name in BACKENDS}
    head = load_head()
    coefficients, poses = [], []
    seen: dict[str, list[Face | None]] = {name: [] for name in BACKENDS}
    for i in tqdm(range(arguments.n), desc="renders", unit="picture"):
        if i % PICTURES_A_HEAD == 0:
            seed = FIRST_HEAD + i // PICTURES_A_HEAD
            person, rng = make_person(head, seed), np.random.default_rng([seed, 3])
        _, weights = sample(rng)
        view = sample_view(rng)
        image = Image.fromarray(render(head, person, weights, view))
        coefficients.append(weights)
        poses.append(view.pose)
        for name, look in looks.items():
            seen[name].append(next(iter(look(image)), None))
    truth, turned = np.stack(coefficients).astype(np.float64), np.stack(poses).astype(np.float64)

    def row(
        what: str,
        values: dict[str, statistics.Interval],
        spec: str = ".2f",
        note: str = "",
        most: float | None = None,
    ) -> Row:
        theirs = {"MediaPipe": values["mediapipe"]}
        return Row(what, values["embedded"], most, most is None, spec, theirs, note)

    found = {name: np.array([face is not None for face in faces]) for name, faces in seen.items()}
    rows = [row("face found", {name: statistics.mean(f.astype(float)) for name, f in found.items()}, ".1%")]
    for axis, angle in enumerate(("yaw", "pitch", "roll")):
        errors = {}
        for name, faces in seen.items():
            kept = [i for i in np.flatnonzero(found[name]) if np.abs(turned[i]).max() <= POSE_LIMIT]
            read = np.stack([face.pose for i in kept if (face := faces[i]) is not None])
            errors[name] = statistics.mean(difference(read, turned[kept])[:, axis])
        note = f"within ±{POSE_LIMIT:.0f}°"
        rows.append(row(f"{angle}: mean absolute error, degrees", errors, note=note, most=POSE_TARGET))
    everyone = found["embedded"] & found["mediapipe"]
    read = {
        name: np.stack(
            [face.blendshapes for face, both in zip(faces, everyone, strict=True) if both and face]
        )
        for name, faces in seen.items()
    }
    means: dict[str, list[float]] = {name: [] for name in BACKENDS}
    judged = []
    for column, blendshape in enumerate(NAMES):
        moved = truth[everyone, column]
        if (moved > 0.1).sum() < LEAST_MOVED:
            continue
        agreement = {name: float(np.corrcoef(moved, read[name][:, column])[0, 1]) for name in BACKENDS}
        for name, value in agreement.items():
            means[name].append(value)
        exactly = {name: exact(value) for name, value in agreement.items()}
        judged.append(row(blendshape, exactly, note=f"{(moved > 0.1).sum()} renders"))
    averages = {name: exact(float(np.mean(values))) for name, values in means.items()}
    rows.append(row("correlation with the coefficients, mean", averages, note=f"{len(judged)} blendshapes"))
    publish(
        arguments.out, "render_truth", f"{arguments.n} renders with known coefficients", rows + judged, {}
    )


if __name__ == "__main__":
    run(main)
