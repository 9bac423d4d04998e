"""Are invented people people, do they rest, is each of them somebody else, and are they nobody we know?

    python -m benchmarks.invented [--count 200] [--out runs/bench]

The people are those of seeds 0, 1, 2 … as `mien invent` makes them. MediaPipe looks at them, and dlib's recogniser (in
which two pictures of one person are below 0.6) tells how far each is from the nearest of the photographs that the
model was trained with. Held-out photographs, which it was not, say how near a stranger is to them, and neutral
portraits of those strangers how near a portrait of one is, since it is a little more usual than its photograph.
Both sets have to be prepared: ``python -m factory.faces.prepare utkface-adults lfw-gray``.
"""

from __future__ import annotations

import argparse
from collections.abc import Sequence
from pathlib import Path

import numpy as np
from PIL import Image
from tqdm import tqdm

import mien
from benchmarks.table import Row, publish, run
from factory.faces.dataset import load_faces, split_rows
from mien.face.blendshapes import INDEX
from mien.metrics import statistics
from mien.metrics.scoring import Observation, load_scorer
from mien.pipelines.invent import EXPRESSION, invent
from mien.provenance import save_image
from mien.sheets import sheet
from mien.types import FloatArray

RESTING = {"jawOpen": 0.2, "mouthSmileLeft": 0.4, "mouthSmileRight": 0.4, "eyeBlinkLeft": 0.6}  # at most
COLUMNS = 20


def main() -> None:
    """Command line of this benchmark."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--count", type=int, default=200, help="people")
    parser.add_argument("--out", type=Path, default=Path("runs/bench"))
    given = parser.parse_args()
    faces = load_faces("utkface-adults")
    known = np.concatenate([trained_with(name) for name in ("utkface-adults", "lfw-gray")])
    held = np.random.default_rng(0).permutation(split_rows(faces, held_out=True))  # the set is sorted by age
    strangers = [Image.fromarray(faces.crops[row]) for row in held[: given.count]]
    scorer = load_scorer("mediapipe", "dlib")
    pipe = mien.load("mini", device="cpu")
    people, last = [], -1
    for _ in tqdm(range(given.count), desc="invented"):
        (one,) = invent(pipe, seed=last + 1)
        people.append(one.image)
        last = one.seed
    made = [scorer.observe(image) for image in people]
    photographs = [scorer.observe(image) for image in tqdm(strangers, desc="strangers")]
    there = [image for image, seen in zip(strangers, photographs, strict=True) if seen is not None]
    portraits = [scorer.observe(image) for image in pipe(identity=there, expression=EXPRESSION)]
    drawn = np.array([True] * len(people) + [False] * (last + 1 - len(people)))
    shown = Row(
        "seeds of which our analyser sees a face", statistics.mean(drawn), spec=".1%", note=f"{last + 1}"
    )
    rows = [shown, *table(made, photographs, portraits, known)]
    publish(given.out, "invented", "Invented people", rows, {"training photographs": len(known)})
    lines = [people[i : i + COLUMNS] for i in range(0, len(people), COLUMNS)]
    path = given.out / "invented.webp"
    save_image(sheet([[("", image) for image in line] for line in lines], 96), path, {"kind": "invented"})
    print(f"everybody: {path}")


def trained_with(name: str) -> FloatArray:
    """[n, 128] dlib's numbers of the training part of a prepared set."""
    faces = load_faces(name)
    found = faces.embedding[split_rows(faces, held_out=False)].astype(np.float32)
    return found[~np.isnan(found[:, 0])]


def table(
    made: Sequence[Observation | None],
    photographs: Sequence[Observation | None],
    portraits: Sequence[Observation | None],
    known: FloatArray,
) -> list[Row]:
    """What was seen of the invented people, of held-out photographs and of portraits of those; known [n, 128]."""
    arms = {
        name: np.stack([look.identity for look in seen if look is not None])
        for name, seen in (("invented", made), ("photographs", photographs), ("portraits", portraits))
    }
    resting = [rests(look) for look in made if look is not None]
    rows = [
        Row(
            "MediaPipe finds a face",
            statistics.mean(np.array([look is not None for look in made])),
            0.99,
            spec=".1%",
            note=f"{len(made)}",
        ),
        Row("of them at rest", statistics.mean(np.array(resting)), spec=".1%", note=f"{len(resting)}"),
    ]
    for what, others in (("photograph of the training", known), ("other one of the same kind", None)):
        far = {name: statistics.mean(nearest(who, others)) for name, who in arms.items()}
        found = far.pop("invented")
        rows.append(
            Row(
                f"distance to the nearest {what} (dlib), mean",
                found,
                baselines=far,
                note=f"{len(arms['invented'])}",
            )
        )
    return rows


def rests(look: Observation) -> bool:
    """Neither open mouth nor smile, and open eyes."""
    return all(look.face.blendshapes[INDEX[name]] <= most for name, most in RESTING.items())


def nearest(who: FloatArray, others: FloatArray | None) -> FloatArray:
    """[m] Euclidean distance of each of [m, 128] to the nearest of [n, 128]; None: of each other."""
    there = who if others is None else others
    squared = np.square(who).sum(1)[:, None] + np.square(there).sum(1)[None] - 2 * who @ there.T
    if others is None:
        np.fill_diagonal(squared, np.inf)
    return np.sqrt(np.clip(squared.min(1), 0, None))


if __name__ == "__main__":
    run(main)
