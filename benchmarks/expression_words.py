"""The 135 words: does each shipped face do what its word's prototype says, and does a generated one?

    python -m benchmarks.expression_words [--out runs/bench]
    python -m benchmarks.expression_words --generated [--people 4] [--identity PICTURE] [--words joy,anger,…]

MediaPipe reads the blendshapes of each word's picture (the shipped face; with `--generated` portraits of invented
people by the embedded model, which follows words better with some than with others). Pearson's r over the 52 is
against the word's prototype. A word counts as told apart if the prototype nearest (by r) to what is read belongs to its
own cluster of the 25 of Shaver et al. (1987).
"""

from __future__ import annotations

import argparse
from collections.abc import Callable, Sequence
from functools import partial
from pathlib import Path

import numpy as np
from PIL import Image
from tqdm import tqdm

from benchmarks.table import Row, exact, publish, run
from mien.expressions.faces import blendshapes, picture
from mien.expressions.labels import Label, correlations, labels
from mien.expressions.spec import Part
from mien.face.analyze import analyze
from mien.metrics import statistics
from mien.metrics.statistics import Interval
from mien.sheets import sheet
from mien.types import FloatArray

LEAST = 0.7  # r of a shipped face with its prototype
TOLD_APART = 0.9
COLUMNS = 8


def main() -> None:
    """Command line of this benchmark."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--generated", action="store_true", help="judge generated portraits")
    parser.add_argument("--people", type=int, default=4, help="with --generated: how many are invented")
    parser.add_argument("--identity", type=Path, help="with --generated: this person instead")
    parser.add_argument("--words", help="with --generated: comma-separated; default all")
    parser.add_argument("--seeds", type=int, default=1, help="with --generated: portraits a word")
    parser.add_argument("--steps", type=int, help="with --generated; default the model's")
    parser.add_argument("--guidance", type=float, help="with --generated; default the model's")
    parser.add_argument("--backbone", default="mini", help="with --generated")
    parser.add_argument("--backend", choices=["mediapipe", "embedded"], default="mediapipe")
    parser.add_argument("--out", type=Path, default=Path("runs/bench"))
    given = parser.parse_args()
    known = labels()
    words = given.words.split(",") if given.words else list(known)
    look = partial(analyze, backend=given.backend)
    if given.generated:
        generated(look, [known[word] for word in words], given)
    else:
        shipped(look, given.backend, given.out)


def shipped(look: Callable[..., list], backend: str, out: Path) -> None:
    """The shipped faces against their prototypes."""
    known = list(labels().values())
    read = [_read(look, picture(label.word)) for label in tqdm(known, desc="faces")]
    table = judge(known, read)
    r = np.array([row["r"] for row in table])
    for row in sorted(table, key=lambda row: row["r"]):
        mark = "" if row["r"] >= LEAST else "   below 0.7"
        nearest = f"{row['nearest']} ({row['nearest_cluster']})"
        print(f"{row['word']:<16} r {row['r']:.3f}  cluster {row['cluster']:<14} nearest {nearest}{mark}")
    rows = [
        Row(f"words whose face has r ≥ {LEAST} by {backend}", exact((r >= LEAST).mean()), 1.0, spec=".1%"),
        Row("lowest r", exact(r.min()), LEAST),
        Row("mean r", statistics.mean(r)),
        *_told_apart(table),
    ]
    publish(
        out, "expression_words", "The 135 words: shipped faces", rows, {"words": table, "backend": backend}
    )


def generated(look: Callable[..., list], known: list[Label], given: argparse.Namespace) -> None:
    """Portraits against the prototypes; beside them the same people told to be neutral."""
    import mien
    from mien.pipelines.invent import invent
    from mien.provenance import save_image

    out: Path = given.out / "generated"
    pipe = mien.load(given.backbone)
    people = [given.identity] if given.identity else [one.image for one in invent(pipe, given.people)]
    wishes = [*(label.word for label in known), "neutral"]
    settings = {"num_images": given.seeds, "steps": given.steps, "guidance": given.guidance}
    table, exp, untouched, before = [], [], [], []
    for number, person in enumerate(people):
        images = pipe(person, wishes, **settings)
        seen = np.stack([_read(look, image) for image in tqdm(images, desc=f"person {number + 1}")])
        *read, still = seen.reshape(len(wishes), given.seeds, 52).mean(axis=1)
        table += judge(known, read)
        wanted = np.stack([blendshapes(Part(1.0, word=label.word)) for label in known])
        exp += np.abs(np.stack(read) - wanted).mean(1).tolist()
        untouched += np.abs(still - wanted).mean(1).tolist()
        before += [correlations(still, label.prototype[None])[0] for label in known]
        cells = [(word, images[i * given.seeds]) for i, word in enumerate(wishes[:-1])]
        page = sheet([cells[i : i + COLUMNS] for i in range(0, len(cells), COLUMNS)], 128)
        out.mkdir(parents=True, exist_ok=True)
        save_image(page, out / f"expression_words_{number + 1}.png", {"words": [one.word for one in known]})
    found = np.isfinite([row["r"] for row in table])

    def of_words(column: Sequence[float]) -> FloatArray:
        """Means over the people in whose portrait there is a face; the interval is over words."""
        values = np.where(found, column, np.nan).reshape(len(people), -1)
        return np.nanmean(values[:, np.isfinite(values).any(0)], axis=0)

    for row in sorted(table, key=lambda row: -row["r"]):
        print(f"{row['word']:<16} r {row['r']:.3f}  nearest {row['nearest']} ({row['nearest_cluster']})")
    still_r, still_exp = statistics.mean(of_words(before)), statistics.mean(of_words(untouched))
    rows = [
        Row(
            "MediaPipe finds a face",
            statistics.mean(found.astype(float)),
            spec=".1%",
            note=f"{len(known)} words, {len(people)} people",
        ),
        Row(
            "r with the prototype",
            statistics.mean(of_words([row["r"] for row in table])),
            baselines={"neutral": still_r},
        ),
        Row(
            "Exp to the prototype on a resting face",
            statistics.mean(of_words(exp)),
            baselines={"neutral": still_exp},
        ),
        *_told_apart([row for row, there in zip(table, found, strict=True) if there]),
    ]
    publish(out, "expression_words", "The 135 words: generated portraits", rows, {"words": table})


def judge(known: list[Label], read: list[FloatArray]) -> list[dict]:
    """For each word r with its prototype, and the word whose prototype is nearest to what was read (NaN: no face)."""
    everything = list(labels().values())
    prototypes = np.stack([label.prototype for label in everything])
    table = []
    for label, seen in zip(known, read, strict=True):
        if not np.isfinite(seen).all():
            table.append(
                {"word": label.word, "r": float("nan"), "nearest": "", "nearest_cluster": "", **_kind(label)}
            )
            continue
        r = correlations(seen, prototypes)
        best = everything[int(np.argmax(r))]
        own = float(correlations(seen, label.prototype[None])[0])
        near = {"nearest": best.word, "nearest_cluster": best.cluster, "nearest_emotion": best.basic}
        table.append({"word": label.word, "r": own, **near, **_kind(label)})
    return table


def _told_apart(table: list[dict]) -> list[Row]:
    words = list(dict.fromkeys(row["word"] for row in table))

    def share(a: str, b: str) -> Interval:
        """Of all rows; the interval is over words, whose rows are alike."""
        found = [[row[a] == row[b] for row in table if row["word"] == word] for word in words]
        return statistics.ratio_of_means(np.array([sum(one) for one in found]), np.array([*map(len, found)]))

    return [
        Row(
            "nearest prototype is of the same cluster (25)",
            share("nearest_cluster", "cluster"),
            TOLD_APART,
            spec=".1%",
        ),
        Row("… of the same emotion (6)", share("nearest_emotion", "emotion"), spec=".1%"),
        Row("… is the word itself (135)", share("nearest", "word"), spec=".1%"),
    ]


def _kind(label: Label) -> dict:
    return {"cluster": label.cluster, "emotion": label.basic}


def _read(look: Callable[..., list], image: Image.Image) -> FloatArray:
    faces = look(image)
    return faces[0].blendshapes if faces else np.full(52, np.nan)


if __name__ == "__main__":
    run(main)
