"""Do recognisers tell people apart, and do they all say that the photo engine's results show the same person?

    python -m benchmarks.recognisers ARCFACE.onnx MODELS [--people 52] [--quick] [--out runs/bench]

Beside dlib, which the tables of this project are judged by, and the embedded recogniser, its pupil: a file of ArcFace's
contract (`mien.encoders.arcface`) and the networks of `benchmarks.graph_models`; none of these shares weights or
training with ours. Pairs of LFW (one of each person with two pictures, and as many of strangers): the share told right
with the threshold that is best for the other half of the pairs, and the area under the curve. London: is a person's
photo at rest the nearest of all to their smile? MediaPipe finds the faces.

Then the photo engine's results, each recogniser with its best threshold of all LFW pairs (dlib: its own 0.6): the
person's own smile, somebody else's smile, a grimace, each the same person as the photo; a swap, the same as the
identity; and beside them the person's two real photographs, and strangers' (every two people, both at rest).
"""

from __future__ import annotations

import argparse
import io
import re
import tarfile
from collections.abc import Callable, Iterator
from pathlib import Path

import numpy as np
from PIL import Image
from sklearn.metrics import roc_auc_score

from benchmarks import photo_scenes, photo_swap
from benchmarks.graph_models import KINDS, GraphRecogniser
from benchmarks.photo_scenes import london
from benchmarks.table import Row, exact, publish, run
from factory.faces.sources import shared_dir
from mien.encoders.arcface import ArcFaceIdentity
from mien.encoders.dlib_recogniser import load as load_dlib
from mien.encoders.identity import EmbeddedRecogniser
from mien.metrics import statistics
from mien.metrics.retrieval import distances
from mien.metrics.scoring import SAME_PERSON, Analyse, load_scorer
from mien.types import Face, FaceEncoder, FloatArray, InputError

RESULTS = ("two photographs", "own smile", "another's smile", "grimace", "swap")
Recognise = Callable[[Image.Image, Face], FloatArray]


def recognisers(arcface: Path, models: Path) -> dict[str, Recognise]:
    """Name → what it says of a face, [d]: dlib's as they are, the others' of length 1."""
    dlib = load_dlib()
    encoders: list[FaceEncoder] = [EmbeddedRecogniser(), ArcFaceIdentity(arcface)]
    encoders += [GraphRecogniser(name, models) for name in KINDS]

    def direction(encoder: FaceEncoder) -> Recognise:
        def say(image: Image.Image, face: Face) -> FloatArray:
            said = encoder(image, face).double().numpy()
            return said / np.linalg.norm(said)

        return say

    found: dict[str, Recognise] = {"dlib": lambda image, face: dlib(image, face).double().numpy()}
    names = ("embedded", "arcface", *KINDS)
    return found | {name: direction(one) for name, one in zip(names, encoders, strict=True)}


def lfw(count: int) -> Iterator[tuple[Image.Image, Image.Image]]:
    """The first two pictures of so many people, drawn at random once and for all."""
    with tarfile.open(shared_dir() / "data" / "lfw-gray-000.tar") as tar:
        people: dict[str, list[str]] = {}
        for name in sorted(n for n in tar.getnames() if n.endswith(".jpg")):
            people.setdefault(re.sub(r"_\d+\.jpg$", "", name), []).append(name)
        several = sorted(person for person, names in people.items() if len(names) > 1)
        for k in np.random.default_rng(0).permutation(len(several))[:count]:
            first, second = (tar.extractfile(name) for name in people[several[k]][:2])
            assert first is not None and second is not None
            yield tuple(Image.open(io.BytesIO(f.read())).convert("RGB") for f in (first, second))  # type: ignore[misc]


def results(people: int) -> Iterator[tuple[str, Image.Image, Image.Image]]:
    """(what, the person's photo, the result), of those of `RESULTS`."""
    engine, swap = photo_scenes.engine("photo"), photo_swap.engine("photo")
    for pictures in list(london().values())[:people]:
        yield "two photographs", pictures["neutral"], pictures["smiling"]
    for what, task in (("own smile", "own, relative"), ("another's smile", "other"), ("grimace", "grimaces")):
        for scene in photo_scenes.scenes(task, people):
            yield what, scene.photo, engine(scene)
    for one in photo_swap.scenes("swap ID", people):
        assert one.identity is not None
        try:
            yield "swap", one.identity, swap(one)
        except InputError as error:
            print(error, flush=True)


def see(analyse: Analyse, say: dict[str, Recognise], image: Image.Image) -> dict[str, FloatArray] | None:
    """What each recogniser says of a picture's largest face; None: there is none."""
    faces = analyse(image)
    return {name: one(image, faces[0]) for name, one in say.items()} if faces else None


def threshold(same: FloatArray, different: FloatArray) -> float:
    """The distance that tells most pairs right, each kind weighed alike."""
    values = np.sort(np.concatenate([same, different]))
    middle = (values[1:] + values[:-1]) / 2
    right = [(same < t).mean() + (different >= t).mean() for t in middle]
    return float(middle[int(np.argmax(right))])


def verification(same: FloatArray, different: FloatArray) -> FloatArray:
    """[2n] 1 where a pair is told right by the threshold of the other half."""
    told = []
    for k in (0, 1):
        limit = threshold(same[1 - k :: 2], different[1 - k :: 2])
        told += [same[k::2] < limit, different[k::2] >= limit]
    return np.concatenate(told).astype(float)


def main() -> None:
    """Command line of this benchmark."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("arcface", type=Path)
    parser.add_argument("models", type=Path)
    parser.add_argument("--pairs", type=int, default=300, help="people of LFW")
    parser.add_argument("--people", type=int, default=52, help="of london-dev, whose photos are changed")
    parser.add_argument("--quick", action="store_true", help="12 pairs, 2 people")
    parser.add_argument("--out", type=Path, default=Path("runs/bench"))
    given = parser.parse_args()
    pairs, people = (12, 2) if given.quick else (given.pairs, given.people)
    analyse, say = load_scorer("mediapipe", "dlib").analyse, recognisers(given.arcface, given.models)

    seen = [(see(analyse, say, a), see(analyse, say, b)) for a, b in lfw(pairs)]
    both = [(a, b) for a, b in seen if a is not None and b is not None]
    photos = [(see(analyse, say, p["neutral"]), see(analyse, say, p["smiling"])) for p in london().values()]
    known = [(a, b) for a, b in photos if a is not None and b is not None]
    made = [(what, see(analyse, say, a), see(analyse, say, b)) for what, a, b in results(people)]
    rows = []
    for name in say:
        first, second = (np.stack([pair[k][name] for pair in both]) for k in (0, 1))
        same = np.linalg.norm(first - second, axis=1)
        different = np.linalg.norm(first - np.roll(second, 1, axis=0), axis=1)
        limit = SAME_PERSON["dlib"] if name == "dlib" else threshold(same, different)
        area = roc_auc_score(np.repeat([1, 0], len(same)), -np.concatenate([same, different]))
        rest, smile = (np.stack([pair[k][name] for pair in known]) for k in (0, 1))
        nearest = distances(smile, rest, "euclidean").argmin(1) == np.arange(len(rest))
        columns = {"area under the curve": exact(area)}
        columns["London, own photo nearest"] = statistics.mean(nearest.astype(float))
        apart = distances(rest, rest, "euclidean")[~np.eye(len(rest), dtype=bool)]
        columns["called the same: strangers"] = statistics.mean((apart < limit).astype(float))
        for kind in RESULTS:
            near = [
                b is not None and np.linalg.norm(a[name] - b[name]) < limit
                for what, a, b in made
                if what == kind and a is not None
            ]
            columns[f"called the same: {kind}"] = statistics.mean(np.array(near, float))
        told = statistics.mean(verification(same, different))
        note = f"{len(same)} + {len(same)} pairs, {people} people; same below {limit:.3f}"
        rows.append(Row(f"{name}: LFW pairs told right", told, spec=".1%", baselines=columns, note=note))
    settings = {"settings": {key: str(value) for key, value in vars(given).items()}}
    publish(given.out, "recognisers", "Recognisers, and the photo engine by each of them", rows, settings)


if __name__ == "__main__":
    run(main)
