"""How well the embedded analyser, detector and recogniser do, beside MediaPipe and dlib, on what none was
trained on.

    python benchmarks/analyser_benchmark.py [--n 400] [--out runs/bench] [--quick] [--backend embedded]

Photographs are held out by the rule of `mien.data.split`. MediaPipe is the reference for landmarks and
blendshapes (it was the teacher, so this measures how much was learned, not who is right). `--backend
mediapipe` measures MediaPipe against itself, and is what a perfect pupil would get.
"""

from __future__ import annotations

import argparse
import io
import tarfile
import time
from collections.abc import Callable
from functools import partial
from pathlib import Path

import numpy as np
from PIL import Image, ImageFilter

from held_out import Picture, photographs
from mien.data.sources import read_pictures, shared_dir
from mien.data.split import is_held_out
from mien.encoders.identity import EmbeddedIdentity
from mien.face.align import similarity, transform_points
from mien.face.analyze import analyze, analyze_many
from mien.face.landmarks import bounding_box, eye_distance
from mien.metrics import face as metrics
from mien.metrics import statistics
from mien.metrics.retrieval import auc, verification_accuracy
from mien.metrics.statistics import Interval
from mien.types import Face, FloatArray
from table import Row, exact, publish, run

RANDOM_PAIRS = 5000
PAIRS_A_PERSON = 20
OVERLAP = 0.4  # of two boxes (intersection over union): they are one face
PASTED_SIZE = (640, 480)
PASTED_SIDES = (60, 320)  # px, of the pasted square crop
PASTED_TILT = 20.0  # degrees, at most
BLUR = 40.0  # px
REPEATS = 3

Backend = Callable[[Image.Image], list[Face]]


def overlap(a: FloatArray, b: FloatArray) -> float:
    """Intersection over union of two boxes, xyxy."""
    sides = np.clip(np.minimum(a[2:], b[2:]) - np.maximum(a[:2], b[:2]), 0, None)
    both = float(sides.prod())
    return both / (float((a[2:] - a[:2]).prod()) + float((b[2:] - b[:2]).prod()) - both)


def find(faces: list[Face], box: FloatArray) -> Face | None:
    """The face that overlaps `box` most, if it does so enough."""
    best = max(faces, key=lambda face: overlap(face.box, box), default=None)
    return best if best is not None and overlap(best.box, box) >= OVERLAP else None


def correlation(a: FloatArray, b: FloatArray) -> Interval:
    """Pearson's, with its interval."""

    def pearson(chosen: FloatArray) -> FloatArray:
        x, y = a[chosen], b[chosen]
        x, y = x - x.mean(axis=1, keepdims=True), y - y.mean(axis=1, keepdims=True)
        return (x * y).mean(axis=1) / np.sqrt((x**2).mean(axis=1) * (y**2).mean(axis=1))

    return statistics.bootstrap(pearson, len(a), resamples=300)


def against_mediapipe(pictures: list[Picture], seen: list[Face], backend: Backend) -> list[Row]:
    """Landmarks, blendshapes and pose of the same faces; Exp and LMS of the same random pairs."""
    both = [
        (teacher, pupil)
        for picture, teacher in zip(pictures, seen, strict=True)
        if (pupil := find(backend(picture.image), teacher.box)) is not None
    ]
    teachers, pupils = [t for t, _ in both], [p for _, p in both]
    note = f"{len(both)} of {len(seen)} faces"
    shapes = [np.stack([face.blendshapes for face in side]) for side in (teachers, pupils)]
    points = [np.stack([face.landmarks for face in side]) for side in (teachers, pupils)]
    apart = np.linalg.norm(points[0][..., :2] - points[1][..., :2], axis=-1).mean(axis=1)
    error = apart / eye_distance(points[0])
    turned = np.abs(np.stack([t.pose for t in teachers]) - np.stack([p.pose for p in pupils]))
    first, second = np.random.default_rng(0).integers(0, len(both), (2, RANDOM_PAIRS))
    kept = first != second
    first, second = first[kept], second[kept]
    exp = [metrics.exp(side[first], side[second]) for side in shapes]
    lms = [metrics.lms(side[first], side[second]) for side in points]
    share = statistics.mean(np.arange(len(seen)) < len(both))
    rows = [
        Row("held-out photographs: the face is found", share, spec=".1%", note=note),
        Row(
            "landmark error, share of the eye distance", statistics.mean(error), 0.04, False, ".2%", note=note
        ),
        Row("blendshapes: mean absolute error", statistics.mean(metrics.exp(*shapes)), 0.05, False, ".4f"),
        Row("Exp of random pairs: correlation", correlation(*exp), 0.85, note=f"{len(first)} pairs"),
        Row("LMS of random pairs: correlation", correlation(*lms), 0.9, note=f"{len(first)} pairs"),
    ]
    for axis, name in enumerate(("yaw", "pitch", "roll")):
        rows.append(
            Row(f"{name}: mean absolute difference, degrees", statistics.mean(turned[:, axis]), spec=".2f")
        )
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


def pasted(
    pictures: list[Picture], seen: list[Face], count: int, seed: int = 0
) -> list[tuple[Image.Image, FloatArray]]:
    """Held-out crops turned, scaled and pasted at random into larger pictures, and the box of each face
    there.

    Backgrounds are by turns coarse coloured noise; a held-out portrait of nobody, blurred beyond recognition; and
    the same with that portrait in it, so that two people are in the picture.
    """
    rng = np.random.default_rng(seed)
    nobody = [picture.image for picture in photographs("portraits-of-nobody")]
    width, height = PASTED_SIZE
    made = []
    for i in range(count):
        picture, face = pictures[i % len(pictures)], seen[i % len(pictures)]
        left, largest = 0, PASTED_SIDES[1]
        if i % 3:
            portrait = nobody[i // 3 % len(nobody)]
            background = portrait.resize(PASTED_SIZE).filter(ImageFilter.GaussianBlur(BLUR))
        else:
            noise = rng.integers(0, 256, (height // 40, width // 40, 3), dtype=np.uint8)
            background = Image.fromarray(noise).resize(PASTED_SIZE, Image.Resampling.BICUBIC)
        if i % 3 == 2:
            left, largest = width // 2, PASTED_SIDES[1] // 2
            background.paste(portrait.resize((left, left)), (0, height - left))
        side = float(np.exp(rng.uniform(*np.log((PASTED_SIDES[0], largest)))))
        tilt = np.deg2rad(rng.uniform(-PASTED_TILT, PASTED_TILT))
        reach = side / 2 * (abs(np.cos(tilt)) + abs(np.sin(tilt)))
        middle = np.array([rng.uniform(left + reach, width - reach), rng.uniform(reach, height - reach)])
        across = side / 2 * np.array([np.cos(tilt), np.sin(tilt)])
        down = np.array([-across[1], across[0]])
        w, h = picture.image.size
        corners = np.array([[0, 0], [w, 0], [0, h]], float)
        square = np.stack([middle - across - down, middle + across - down, middle - across + down])
        matrix = similarity(corners, square)
        inverse = np.linalg.inv(np.vstack([matrix, [0, 0, 1]]))[:2].ravel()
        shape = (PASTED_SIZE, Image.Transform.AFFINE, tuple(inverse), Image.Resampling.BICUBIC)
        mask = Image.new("L", picture.image.size, 255).transform(*shape)
        background.paste(picture.image.transform(*shape), (0, 0), mask)
        made.append((background, bounding_box(transform_points(face.landmarks, matrix))))
    return made


def selfies() -> list[Image.Image]:
    """The eight CC0 selfies."""
    with tarfile.open(shared_dir() / "data" / "selfies-cc0.tar") as tar:
        streams = [tar.extractfile(member) for member in tar if member.name.endswith(".jpg")]
        return [Image.open(io.BytesIO(s.read())).convert("RGB") for s in streams if s is not None]


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
    area = [auc(values, truth) for values in (distance, reference)]
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


def rate(call: Callable[[], object], count: int) -> float:
    """Pictures a second, the best of a few runs."""
    times = []
    for _ in range(REPEATS):
        start = time.perf_counter()
        call()
        times.append(time.perf_counter() - start)
    return count / min(times)


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
    rows = against_mediapipe(pictures, seen, backend)
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

    timed = [picture.image for picture in pictures[:64]]
    speed = {
        "one at a time": rate(lambda: [backend(image) for image in timed], len(timed)),
        "in batches": rate(lambda: list(analyze_many(timed, arguments.backend)), len(timed)),
    }
    theirs = {"MediaPipe / dlib": exact(rate(lambda: [teacher(image) for image in timed], len(timed)))}
    for how, value in speed.items():
        rows.append(
            Row(f"images a second, {how}", exact(value), spec=".1f", baselines=theirs, note="160 px crops")
        )
    title = f"The {arguments.backend} analyser and recogniser on held-out pictures"
    publish(arguments.out, "analyser_benchmark", title, rows, {"settings": {"n": count, "portraits": limit}})


if __name__ == "__main__":
    run(main)
