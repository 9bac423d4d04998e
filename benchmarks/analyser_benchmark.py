"""How well the embedded analyser, detector and recogniser do, beside MediaPipe and dlib, on what none was
trained on.

    python -m benchmarks.analyser_benchmark [--n 400] [--out runs/bench] [--quick] [--backend embedded]

Photographs are held out by the rule of `mien.data.split`. MediaPipe is the reference for landmarks and
blendshapes (it was the teacher, so this measures how much was learned, not who is right). Beside it stands
MediaPipe's own reading of the mirrored picture, mirrored back: how far it agrees with itself. Speed is measured by
`analyser_speed.py`.
"""

from __future__ import annotations

import argparse
from collections.abc import Callable, Sequence
from functools import partial
from pathlib import Path

import numpy as np
from numpy.typing import NDArray
from PIL import Image
from scipy.optimize import linear_sum_assignment
from sklearn.metrics import roc_auc_score

from benchmarks.held_out import Picture, photographs
from benchmarks.scenes import find, overlap, pasted, selfies
from benchmarks.table import Row, exact, publish, run
from factory.faces.sources import read_pictures, shared_dir
from factory.training.verification import verification_accuracy
from mien.data.split import is_held_out
from mien.encoders.identity import EmbeddedIdentity
from mien.face.align import box_matrix, crop_matrix, transform_points, warp
from mien.face.analyze import MIN_CONFIDENCE, analyze, analyze_many, load_reader
from mien.face.blendshapes import FLIP
from mien.face.landmarks import LMS_NAMES, bounding_box, eye_distance, lms_ratios
from mien.metrics import face as metrics
from mien.metrics import statistics
from mien.metrics.statistics import Interval
from mien.types import Face, FloatArray

RANDOM_PAIRS = 5000
PAIRS_A_PERSON = 20
MIRRORED = "MediaPipe, mirrored picture"

Backend = Callable[[Image.Image], list[Face]]


def correlation(a: FloatArray, b: FloatArray) -> Interval:
    """Pearson's, with its interval."""

    def pearson(chosen: FloatArray) -> FloatArray:
        x, y = a[chosen], b[chosen]
        x, y = x - x.mean(axis=1, keepdims=True), y - y.mean(axis=1, keepdims=True)
        return (x * y).mean(axis=1) / np.sqrt((x**2).mean(axis=1) * (y**2).mean(axis=1))

    return statistics.bootstrap(pearson, len(a), resamples=300)


def correlation_of_pairs(
    a: FloatArray, b: FloatArray, first: NDArray[np.int64], second: NDArray[np.int64], faces: int
) -> Interval:
    """Pearson's of a and b [p] of the pairs first[i], second[i] of so many faces. Faces are left out and not pairs,
    which share them: taken as independent, pairs promise too much."""

    def pearson(chosen: NDArray[np.int64]) -> float:
        there = np.isin(np.arange(faces), chosen)
        kept = there[first] & there[second]
        return float(np.corrcoef(a[kept], b[kept])[0, 1])

    return statistics.jackknife(pearson, faces)


def mirrored(pictures: list[Picture], seen: list[Face], teacher: Backend) -> list[Face | None]:
    """The teacher's reading of each picture's mirror image, mirrored back; None where it finds no face there."""
    upright = np.stack([transform_points(face.landmarks, crop_matrix(face.landmarks)) for face in seen]).mean(
        0
    )
    upright -= upright.mean(0)
    cost = ((upright[:, None] - upright[None] * [-1, 1, 1]) ** 2).sum(-1)
    order = linear_sum_assignment(cost)[1]
    found: list[Face | None] = []
    for picture, face in zip(pictures, seen, strict=True):
        width = picture.image.width
        box = (face.box * [-1, 1, -1, 1] + [width, 0, width, 0])[[2, 1, 0, 3]]
        again = find(teacher(picture.image.transpose(Image.Transpose.FLIP_LEFT_RIGHT)), box)
        if again is not None:
            landmarks = again.landmarks[order] * [-1, 1, 1] + [width, 0, 0]
            pose = again.pose * [-1, 1, -1]
            shapes = again.blendshapes[list(FLIP)]
            again = Face(bounding_box(landmarks), landmarks, shapes, pose, again.confidence)
        found.append(again)
    return found


def agreement(teachers: Sequence[Face], pupils: Sequence[Face | None]) -> dict[str, Interval]:
    """Landmarks, blendshapes and pose of the same faces; Exp and LMS of the same random pairs."""
    both = [(t, p) for t, p in zip(teachers, pupils, strict=True) if p is not None]
    sides = [[t for t, _ in both], [p for _, p in both]]
    shapes = [np.stack([face.blendshapes for face in side]) for side in sides]
    points = [np.stack([face.landmarks for face in side]) for side in sides]
    apart = np.linalg.norm(points[0][..., :2] - points[1][..., :2], axis=-1).mean(axis=1)
    turned = np.abs(np.stack([t.pose - p.pose for t, p in both]))
    first, second = np.random.default_rng(0).integers(0, len(both), (2, RANDOM_PAIRS))
    first, second = first[first != second], second[first != second]
    exp = [metrics.exp(side[first], side[second]) for side in shapes]
    lms = [metrics.lms(side[first], side[second]) for side in points]
    ratios = [lms_ratios(side) for side in points]
    numbers = {
        "landmark error, share of the eye distance": statistics.mean(apart / eye_distance(points[0])),
        "blendshapes: mean absolute error": statistics.mean(metrics.exp(*shapes)),
        "Exp of random pairs: correlation": correlation_of_pairs(*exp, first, second, len(both)),
        "LMS of random pairs: correlation": correlation_of_pairs(*lms, first, second, len(both)),
    }
    for i, name in enumerate(LMS_NAMES):
        numbers[f"LMS ratio {name}: correlation"] = correlation(ratios[0][:, i], ratios[1][:, i])
    for i, name in enumerate(("yaw", "pitch", "roll")):
        numbers[f"{name}: mean absolute difference, degrees"] = statistics.mean(turned[:, i])
    return numbers


def against_mediapipe(
    pictures: list[Picture], seen: list[Face], backend: str, again: list[Face | None]
) -> list[Row]:
    """How well the pupil agrees with its teacher, and the teacher with itself."""
    read = analyze_many([picture.image for picture in pictures], backend)
    pupils = [find(faces, face.box) for faces, face in zip(read, seen, strict=True)]
    found = np.array([pupil is not None for pupil in pupils])
    ours, itself = agreement(seen, pupils), agreement(seen, again)
    note = f"{found.sum()} of {len(seen)} faces"
    share = statistics.mean(found.astype(float))
    rows = [Row("held-out photographs: the face is found", share, spec=".1%", note=note)]
    targets: dict[str, tuple[float, bool]] = {
        "landmark error, share of the eye distance": (0.0274, False),
        "blendshapes: mean absolute error": (0.038, False),
        "Exp of random pairs: correlation": (0.85, True),
        "LMS of random pairs: correlation": (0.9, True),
    }
    for what, value in ours.items():
        spec = (
            ".2%" if "share" in what else ".4f" if "error" in what else ".2f" if "degrees" in what else ".3f"
        )
        target, floor = targets.get(what, (None, True))
        rows.append(Row(what, value, target, floor, spec, {MIRRORED: itself[what]}))
    return rows


def beliefs(pictures: list[Picture], seen: list[Face], count: int) -> list[Row]:
    """The embedded network's confidence in crops: faces, the same upside down, and crops of portraits beside the
    face (hair, clothes, background).
    """
    reader, rng = load_reader(), np.random.default_rng(0)
    crops: dict[str, list[np.ndarray]] = {"faces": [], "faces upside down": [], "faces on their side": []}
    for picture, face in list(zip(pictures, seen, strict=True))[:count]:
        matrix, pixels = crop_matrix(face.landmarks), np.asarray(picture.image)
        crops["faces"].append(warp(pixels, matrix))
        crops["faces upside down"].append(crops["faces"][-1][::-1, ::-1])
        crops["faces on their side"].append(np.rot90(crops["faces"][-1]))
    beside: list[np.ndarray] = []
    for name, pixels in read_pictures("portraits-of-nobody", shared_dir()):
        if len(beside) == count or not is_held_out(name):
            continue
        height, width = pixels.shape[:2]
        faces = analyze(Image.fromarray(pixels))
        for _ in range(50):
            side = rng.uniform(0.15, 0.6) * width
            x, y = rng.uniform(0, width - side), rng.uniform(0, height - side)
            box = np.array([x, y, x + side, y + side])
            if faces and all(overlap(face.box, box) < 0.05 for face in faces) and len(beside) < count:
                beside.append(warp(pixels, box_matrix(box)))
    crops["hair, clothes, background"] = beside
    rows = []
    for what, group in crops.items():
        read = [reader(np.stack(group[i : i + 32])).confidence for i in range(0, len(group), 32)]
        share = statistics.mean((np.concatenate(read) >= MIN_CONFIDENCE).astype(float))
        rows.append(Row(f"crops believed in: {what}", share, spec=".1%", note=f"{len(group)} crops"))
    return rows


def portraits(backend: Backend, teacher: Backend, limit: int) -> list[Row]:
    """Detection in whole portraits in which MediaPipe finds a face; all of them, and the held-out ones."""
    hits: list[bool] = []
    held: list[bool] = []
    for name, pixels in list(read_pictures("portraits-of-nobody", shared_dir()))[:limit]:
        image = Image.fromarray(pixels)
        expected = teacher(image)
        if expected:
            hits.append(find(backend(image), expected[0].box) is not None)
            held.append(is_held_out(name))
    found, chosen = np.array(hits, float), np.array(held)
    rows = [
        Row(
            "portraits of nobody: found", statistics.mean(found), 0.98, spec=".1%", note=f"{len(found)} faces"
        )
    ]
    if chosen.any():
        held_out = statistics.mean(found[chosen])
        rows.append(
            Row("portraits of nobody, held out: found", held_out, spec=".1%", note=f"{chosen.sum()} faces")
        )
    return rows


def verification(pictures: list[Picture], backend: Backend) -> list[Row]:
    """Same or different person, on held-out LFW names: as many pairs of each; ours beside dlib itself."""
    given = np.load(shared_dir() / "data" / "lfw-gray.dlib.npz")
    dlib = dict(zip(given["name"], given["dlib_embedding"].astype(np.float64), strict=True))
    encoder = EmbeddedIdentity()
    people: list[str] = []
    ours: list[FloatArray] = []
    theirs: list[FloatArray] = []
    lost = 0
    for picture in pictures:
        faces = backend(picture.image)
        if not faces:
            lost += 1
            continue
        people.append(picture.person)
        ours.append(encoder.recognise(picture.image, faces[0]).double().numpy())
        theirs.append(dlib[picture.name])
    rng = np.random.default_rng(0)
    same: list[tuple[int, int]] = []
    for person in sorted(set(people)):
        rows = [i for i, name in enumerate(people) if name == person]
        couples = [(a, b) for n, a in enumerate(rows) for b in rows[n + 1 :]]
        same += [couples[i] for i in rng.permutation(len(couples))[:PAIRS_A_PERSON]]
    other: list[tuple[int, int]] = []
    while len(other) < len(same):
        a, b = (int(i) for i in rng.integers(0, len(people), 2))
        if people[a] != people[b]:
            other.append((a, b))
    first, second = np.array(same + other).T
    truth = np.arange(len(first)) < len(same)
    vectors, judges = np.stack(ours), np.stack(theirs)
    distance = 1 - metrics.id_similarity(vectors[first], vectors[second])
    reference = metrics.id_distance(judges[first], judges[second])
    note = f"{len(same)} + {len(other)} pairs, {len(set(people))} people, {lost} pictures without a face"
    accuracy = [verification_accuracy(values, truth)[0] for values in (distance, reference)]
    area = [roc_auc_score(truth, -values) for values in (distance, reference)]
    return [
        Row(
            "recogniser: verification accuracy, held-out LFW names",
            exact(accuracy[0]),
            0.92,
            spec=".1%",
            baselines={"MediaPipe / dlib": exact(accuracy[1])},
            note=note,
        ),
        Row("recogniser: AUC", exact(area[0]), spec=".4f", baselines={"MediaPipe / dlib": exact(area[1])}),
    ]


def main() -> None:
    """Command line of this benchmark."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--n", type=int, default=400, help="photographs of each set, and pasted pictures")
    parser.add_argument("--quick", action="store_true", help="40 photographs, 40 portraits")
    parser.add_argument("--out", type=Path, default=Path("runs/bench"))
    parser.add_argument("--backend", default="embedded")
    arguments = parser.parse_args()
    count, limit = (40, 40) if arguments.quick else (arguments.n, 901)
    backend: Backend = partial(analyze, backend=arguments.backend)
    teacher: Backend = partial(analyze, backend="mediapipe")

    utkface, lfw = photographs("utkface-adults")[:count], photographs("lfw-gray")
    looked = [(p, faces[0]) for p in [*utkface, *lfw[:count]] if (faces := teacher(p.image))]
    pictures, seen = [p for p, _ in looked], [f for _, f in looked]
    rows = against_mediapipe(pictures, seen, arguments.backend, mirrored(pictures, seen, teacher))
    rows += beliefs(pictures, seen, count)
    rows += portraits(backend, teacher, limit)
    scenes = pasted(pictures, seen, count)
    found = {
        name: statistics.mean(np.array([find(look(image), box) is not None for image, box in scenes], float))
        for name, look in (("ours", backend), ("MediaPipe / dlib", teacher))
    }
    ours = found.pop("ours")
    rows.append(
        Row("held-out faces pasted into larger pictures: found", ours, 0.98, True, ".1%", found, f"{count}")
    )
    shots = selfies()
    hits = [bool(backend(image)) for image in shots]
    rows.append(Row("CC0 selfies: found", exact(sum(hits)), len(shots), spec=".0f", note=f"of {len(shots)}"))
    rows += verification(lfw, backend)

    title = f"The {arguments.backend} analyser and recogniser on held-out pictures"
    publish(arguments.out, "analyser_benchmark", title, rows, {"settings": {"n": count, "portraits": limit}})


if __name__ == "__main__":
    run(main)
