"""What the photo engine is judged on: people's own and others' smiles, grimaces of nobody, films; and what judges see.

Data: `london-dev` and `mead` beside the project, read from their archives. Heads of grimaces are rendered, of seeds
that no model was trained on.
"""

from __future__ import annotations

import io
import tarfile
import tempfile
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from functools import cache
from pathlib import Path

import cv2
import numpy as np
from PIL import Image

from factory.faces.coefficients import preset, preset_names
from factory.faces.ict import load_head
from factory.faces.render import make_person, render
from factory.faces.sources import shared_dir
from factory.faces.warped import PLAIN_SEED, plain_view
from mien.metrics import photo as measures
from mien.metrics.face import exp, id_distance, lms
from mien.metrics.scoring import Observation, Scorer, load_scorer
from mien.types import FloatArray, InputError

ROOT = Path(__file__).resolve().parents[1]
TASKS = ("own, absolute", "own, relative", "other", "grimaces", "mead")
TOOTHY = 0.03  # lips apart, of the distance between the outer corners of the eyes: the teeth show
GRIMACE_SIDE = 384  # px
FIRST_HEAD = PLAIN_SEED + 500_000  # apart from the heads that shapes and responses were measured on
FRAMES = 6  # of a film, evenly spaced, after its first


@dataclass(frozen=True)
class Scene:
    """One wish: a photo, a reference of an expression, and what the result should look like, where it is known.

    Attributes:
        name: of the person, or the film and its frame. relative: how the reference is meant.
        stranger: whether the reference shows another person, whose looks must not come along.
    """

    task: str
    name: str
    photo: Image.Image
    reference: Image.Image
    relative: bool
    truth: Image.Image | None = None
    stranger: bool = False


@cache
def london() -> dict[str, dict[str, Image.Image]]:
    """Number → "neutral" and "smiling", photographs of one person."""
    people: dict[str, dict[str, Image.Image]] = {}
    for name, data in members("london-dev", ".jpg"):
        number, kind = Path(name).stem.split("_")
        people.setdefault(number, {})[kind] = Image.open(io.BytesIO(data)).convert("RGB")
    return {number: people[number] for number in sorted(people) if len(people[number]) == 2}


def members(archive: str, suffix: str) -> Iterator[tuple[str, bytes]]:
    """Name and bytes of the files of an archive beside the project."""
    path = shared_dir() / "data" / f"{archive}.tar"
    if not path.is_file():
        raise InputError(
            f"{path} does not exist: the benchmark needs it; MIEN_SHARED says where the data lie."
        )
    with tarfile.open(path) as tar:
        for member in tar:
            stream = tar.extractfile(member) if member.name.endswith(suffix) else None
            if stream is not None:
                yield member.name, stream.read()


def grimace(k: int) -> Image.Image:
    """The k-th unseen head in one of the presets, all of them by turns. Frontal, evenly lit."""
    names = [name for name in preset_names() if name != "neutral"]
    seed = FIRST_HEAD + k
    head = load_head()
    coefficients = preset(names[k * 7 % len(names)])
    return Image.fromarray(render(head, make_person(head, seed), coefficients, plain_view(k), GRIMACE_SIDE))


def films() -> Iterator[tuple[str, list[Image.Image]]]:
    """Name and frames (the first, then `FRAMES` evenly spaced) of each film of `mead`."""
    for name, data in members("mead", ".mp4"):
        yield Path(name).stem, list(frames(data).values())


def frames(data: bytes, wanted: Sequence[int] = ()) -> dict[int, Image.Image]:
    """Number → frame of a film, in ascending order; by default the first, then `FRAMES` evenly spaced."""
    with tempfile.NamedTemporaryFile(suffix=".mp4") as file:
        file.write(data)
        file.flush()
        film = cv2.VideoCapture(file.name)
        last = int(film.get(cv2.CAP_PROP_FRAME_COUNT)) - 1
        wanted = wanted or np.linspace(0, last, FRAMES + 1).round().tolist()
        found = {}
        for number in range(int(max(wanted)) + 1):
            there, frame = film.read()
            if there and number in wanted:
                found[number] = Image.fromarray(cv2.cvtColor(frame, cv2.COLOR_BGR2RGB))
    return found


def scenes(task: str, people: int) -> Iterator[Scene]:
    """The wishes of a task: of so many people of `london-dev`; all films of `mead`, or as many as people."""
    if task == "mead":
        for _, (name, frames) in zip(range(people), films(), strict=False):
            for k, frame in enumerate(frames[1:], 1):
                yield Scene(task, f"{name}-{k}", frames[0], frame, True, frame)
        return
    every = list(london().values())
    for k, (number, pictures) in enumerate(list(london().items())[:people]):
        photo, smile = pictures["neutral"], pictures["smiling"]
        if task.startswith("own"):
            yield Scene(task, number, photo, smile, task == "own, relative", smile)
        elif task == "other":
            other = (k * 5 + 7) % len(every)
            theirs = every[other if other != k else (other + 1) % len(every)]["smiling"]
            yield Scene(task, number, photo, theirs, True, stranger=True)
        else:
            yield Scene(task, number, photo, grimace(k), True, stranger=True)


Engine = Callable[[Scene], Image.Image]


def engine(name: str) -> Engine:
    """`photo` or `diffusion`: a scene → the photo with that expression.

    The diffusion engine knows no absolute and relative: its expression is embedded as the reference shows it.
    """
    if name == "photo":
        from mien.pipelines.photo import PhotoPipeline

        pipe = PhotoPipeline()
        return lambda scene: pipe(scene.photo, scene.reference, relative=scene.relative)
    from mien.pipelines.reface import RefacePipeline

    reface = RefacePipeline.from_backbone("mini", device="cpu")
    return lambda scene: reface(scene.photo, expression=scene.reference)[0]


class Eyes:
    """A scorer that looks at each input once."""

    def __init__(self, scorer: Scorer) -> None:
        self.scorer = scorer
        self._known: dict[int, tuple[Image.Image, Observation | None]] = {}

    def __call__(self, image: Image.Image) -> Observation | None:
        """What is seen of an input; None: no face."""
        if id(image) not in self._known:
            self._known[id(image)] = image, self.scorer.observe(image)
        return self._known[id(image)][1]


def judge(eyes: Eyes, scene: Scene, result: Image.Image | None) -> dict[str, float]:
    """Measures of a result (None: refused) by their names; what cannot be told is left out.

    `…_before` is the untouched photo's. Without a face in the result there is "found" alone, 0.
    """
    seen = None if result is None else eyes.scorer.observe(result)
    photo, reference = eyes(scene.photo), eyes(scene.reference)
    if photo is None or reference is None:
        return {}  # the judges cannot read the inputs
    if seen is None or result is None:
        return {"found": 0.0}
    distance = float(id_distance(seen.identity, photo.identity))
    told = {
        "found": 1.0,
        "exp": float(exp(reference.face.blendshapes, seen.face.blendshapes)),
        "exp_before": float(exp(reference.face.blendshapes, photo.face.blendshapes)),
        "lms": float(lms(reference.face.landmarks, seen.face.landmarks)),
        "lms_before": float(lms(reference.face.landmarks, photo.face.landmarks)),
        "id_distance": distance,
        "same_person": float(distance < (eyes.scorer.same_person or 0)),
    }
    if scene.stranger:
        told["nearer_reference"] = float(float(id_distance(seen.identity, reference.identity)) < distance)
    made = np.asarray(result), seen.face.landmarks
    before = np.asarray(scene.photo), photo.face.landmarks
    told["detail"] = measures.detail(made, before)
    told["seam"] = measures.seam(made[0], before[0])
    told["colour"] = measures.colour(made, before)
    if scene.truth is not None and (true := eyes(scene.truth)) is not None:
        truth = np.asarray(scene.truth), true.face.landmarks
        told["gain"] = measures.gain(made, before, truth)
        told["toothy"] = float(apart(true.face.landmarks) > TOOTHY)
        told["psnr"], told["psnr_before"] = (psnr(one, truth) for one in (made, before))
    return told


def real_pairs(people: int) -> dict[str, list[float]]:
    """Recogniser → distances between each person's two photographs, at rest and smiling."""
    found: dict[str, list[float]] = {}
    for recogniser in ("dlib", "embedded"):
        eyes = Eyes(load_scorer("embedded", recogniser))
        for pictures in list(london().values())[:people]:
            rest, smile = eyes(pictures["neutral"]), eyes(pictures["smiling"])
            if rest is not None and smile is not None:
                distance = float(id_distance(rest.identity, smile.identity))
                found.setdefault(recogniser, []).append(distance)
    return found


def make_outside(folder: Path) -> None:
    """Make a folder for contact sheets. Raises `InputError` if it lies in the repository."""
    if folder.resolve().is_relative_to(ROOT):
        raise InputError(f"{folder} lies in the repository: contact sheets show people, put them elsewhere.")
    folder.mkdir(parents=True, exist_ok=True)


def apart(landmarks: FloatArray) -> float:
    """How far the inner lips are apart, of the distance between the outer corners of the eyes."""
    flat = landmarks[:, :2]
    return float(np.linalg.norm(flat[14] - flat[13]) / np.linalg.norm(flat[33] - flat[263]))


def psnr(one: tuple[FloatArray, FloatArray], truth: tuple[FloatArray, FloatArray]) -> float:
    """10 log10(255^2 / MSE) dB of the colours inside the truth's face, aligned by eyes and nose."""
    both = measures.aligned(truth, one)
    a, b = both.pictures[:, both.face].astype(np.float64)
    return float(10 * np.log10(255**2 / max(float(((a - b) ** 2).mean()), 1e-9)))
