"""Another person's face in a photograph: the photo engine and the diffusion engine side by side.

    python -m benchmarks.photo_swap [--people N] [--engine photo] [--out FOLDER] [--write PAGE]
    python -m benchmarks.photo_swap --speed [--write PAGE]

Photos and identities are the people of `london-dev`: each photo, at rest and smiling by turns, gets somebody else's
face. Swap ID keeps the photo's expression; swap all takes a third person's smile; reenact takes it without a swap.
MediaPipe (expression, pose) and dlib (identity) judge; retrieval looks for the identity among all people of the set, at
rest. Mean with bootstrap 95% interval. `--out` gets contact sheets (photo | identity | each engine) and is to lie
outside of the repository: they show people.

Edge is the median Lab in a rim of 2% of the face's width within what was changed, against that just outside of it; step
is what is added to the photo's own change of Lab across the outline of the new face, in the median along it. `--speed`:
one swap at 1350 px in a process that has made one, and its ratio to one analysis and one `cv2.remap` of that photo.
"""

from __future__ import annotations

import argparse
import os
import time
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

import cv2
import numpy as np
from PIL import Image

from benchmarks.model_card import fill
from benchmarks.photo_scenes import Eyes, london, make_outside
from benchmarks.photo_speed import SIDE as SIDE_OF_A_PHOTO
from benchmarks.reface import notch
from benchmarks.speed import spread
from benchmarks.table import environment, run, show
from benchmarks.timing import seconds
from mien.face.mask import face_mask
from mien.metrics import photo as measures
from mien.metrics import statistics
from mien.metrics.face import exp, id_distance, pose_error
from mien.metrics.scoring import load_scorer
from mien.provenance import save_image
from mien.sheets import sheet
from mien.types import ByteImage, FloatArray, InputError
from mien.warping.mesh import OVAL

TASKS = ("swap ID", "swap all", "reenact")
ENGINES = ("photo", "diffusion")
NOTCH, NEARBY = 25.0, 0.02  # L; of the face's width: a moved edge of hair is no notch
SIDE, ROWS = 320, 13  # px of a sheet's pictures; scenes a sheet
# label, measure, format, DiffSFSR's Table 1 (its own data, recognisers and scales: a hint, not a comparison)
MEASURES = (
    ("the right one of all people (dlib)", "retrieved", ".0%", "97.6% (swap ID)"),
    ("dlib distance to the identity", "id_distance", ".2f", ""),
    ("the same person (dlib < 0.6)", "same_person", ".0%", ""),
    ("Exp to the expression that was wanted", "exp", ".3f", ""),
    ("pose to the photo, degrees", "pose", ".1f", "2.93 (another scale)"),
    ("colour of skin to the photo's, ΔE", "colour", ".1f", ""),
    ("seam, grey levels", "seam", ".1f", ""),
    ("edge, ΔE from just outside", "edge", ".1f", ""),
    ("step across the face's outline, ΔE", "step", ".1f", ""),
    ("detail in the face", "detail", ".2f", ""),
    ("notch beside the face, L", "notch", ".1f", ""),
    ("no pixel there over 25 L darker than the photo", "no_notch", ".0%", ""),
    ("no pixel there over 25 L darker than the photo nearby", "nothing_dark", ".0%", ""),
)
Scores = list[dict[str, float]]


@dataclass(frozen=True)
class Scene:
    """A photo, whose face shall become `identity`'s, number `person` of the set; None: it stays the photo's person,
    `person`; with the expression of a picture, None: the photo's."""

    photo: Image.Image
    identity: Image.Image | None
    person: int
    expression: Image.Image | None


Engine = Callable[[Scene], Image.Image]


def scenes(task: str, people: int) -> Iterator[Scene]:
    """The wishes of a task, one for each photo."""
    every = list(london().values())
    for k, pictures in enumerate(every[:people]):
        person, third = (k * 11 + 5) % len(every), (k * 5 + 7) % len(every)
        person = person if person != k else (person + 1) % len(every)
        photo = pictures["smiling" if k % 2 else "neutral"]
        expression = None if task == "swap ID" else every[third]["smiling"]
        if task == "reenact":
            yield Scene(photo, None, k, expression)
        else:
            yield Scene(photo, every[person]["neutral"], person, expression)


def engine(name: str) -> Engine:
    """`photo` or `diffusion`."""
    if name == "photo":
        from mien.pipelines.photo_swap import SwapPipeline

        pipe = SwapPipeline()
        return lambda scene: pipe(scene.photo, scene.identity, scene.expression)
    from mien.pipelines.reface import RefacePipeline

    reface = RefacePipeline.from_backbone("mini", device="cpu")
    return lambda scene: reface(scene.photo, identity=scene.identity, expression=scene.expression)[0]


def judge(eyes: Eyes, scene: Scene, result: Image.Image | None) -> dict[str, float]:
    """Measures of a result (None: refused) by their names; without a face in it "found" alone, 0."""
    seen = None if result is None else eyes.scorer.observe(result)
    photo, identity = eyes(scene.photo), eyes(scene.identity or scene.photo)
    shown = photo if scene.expression is None else eyes(scene.expression)
    if photo is None or identity is None or shown is None:
        return {}  # the judges cannot read the inputs
    if seen is None or result is None:
        return {"found": 0.0}
    gallery = [eyes(pictures["neutral"]) for pictures in london().values()]
    distances = [
        np.inf if one is None else float(id_distance(seen.identity, one.identity)) for one in gallery
    ]
    distance = distances[scene.person]
    made, given = ((np.asarray(i), o.face.landmarks) for i, o in ((result, seen), (scene.photo, photo)))
    return {
        "found": 1.0,
        "retrieved": float(int(np.argmin(distances)) == scene.person),
        "id_distance": distance,
        "same_person": float(distance < (eyes.scorer.same_person or 0)),
        "exp": float(exp(shown.face.blendshapes, seen.face.blendshapes)),
        "pose": float(pose_error(seen.face.pose, photo.face.pose)),
        "colour": measures.colour(made, given),
        "seam": measures.seam(made[0], given[0]),
        "edge": edge(made[0], given[0], seen.face.landmarks),
        "step": step(made[0], given[0], seen.face.landmarks),
        "detail": measures.detail(made, given),
        "notch": notch(made[0], given[0], seen.face.landmarks),
        "no_notch": float(darker(made[0], given[0], seen.face.landmarks, 0.0) <= NOTCH),
        "nothing_dark": float(darker(made[0], given[0], seen.face.landmarks, NEARBY) <= NOTCH),
    }


def edge(result: ByteImage, photo: ByteImage, landmarks: FloatArray) -> float:
    """ΔE (CIE 1976) of the median Lab within the border of what was changed from that outside of it; 0 without any."""
    changed = cv2.morphologyEx(
        (result != photo).any(2).astype(np.uint8), cv2.MORPH_CLOSE, np.ones((9, 9), np.uint8)
    )
    reach = max(1, round(0.02 * float(np.linalg.norm(landmarks[234, :2] - landmarks[454, :2]))))
    kernel = np.ones((2 * reach + 1, 2 * reach + 1), np.uint8)
    within, outside = changed > cv2.erode(changed, kernel), cv2.dilate(changed, kernel) > changed
    if not within.any() or not outside.any():
        return 0.0
    lab = _lab(result)
    return float(np.linalg.norm(np.median(lab[within], 0) - np.median(lab[outside], 0)))


def darker(result: ByteImage, photo: ByteImage, landmarks: FloatArray, reach: float) -> float:
    """L by which the worst pixel that was changed outside the new face's oval is darker than the photo is anywhere
    within `reach` of the face's width (0: than the photo is there); 0 or more."""
    own, before = (_lab(picture)[..., 0] for picture in (result, photo))
    size = 2 * round(reach * float(np.linalg.norm(landmarks[234, :2] - landmarks[454, :2]))) + 1
    before = cv2.erode(before, cv2.getStructuringElement(cv2.MORPH_ELLIPSE, (size, size)))
    beside = (result != photo).any(2) & (face_mask(landmarks, photo.shape[1], photo.shape[0]) < 0.5)
    return max(0.0, float((before - own)[beside].max())) if beside.any() else 0.0


def step(result: ByteImage, photo: ByteImage, landmarks: FloatArray) -> float:
    """ΔE by which the change of Lab from 6% within to 6% outside of the face's oval differs from the photo's, median
    along it."""
    oval = landmarks[list(OVAL), :2]
    sides = [(oval.mean(0) + size * (oval - oval.mean(0))).astype(np.float32) for size in (0.94, 1.06)]
    blur = 0.01 * float(np.linalg.norm(landmarks[234, :2] - landmarks[454, :2]))
    steps = []
    for image in (result, photo):
        lab = cv2.GaussianBlur(_lab(image), (0, 0), blur)
        within, outside = (
            cv2.remap(lab, side[:, :1], side[:, 1:], cv2.INTER_LINEAR, borderMode=cv2.BORDER_REPLICATE)[:, 0]
            for side in sides
        )
        steps.append(within - outside)
    return float(np.median(np.linalg.norm(steps[0] - steps[1], axis=1)))


def _lab(image: ByteImage) -> FloatArray:
    return np.asarray(cv2.cvtColor(image.astype(np.float32) / 255, cv2.COLOR_RGB2Lab))


def speed(repeats: int = 7) -> str:
    """Seconds of one swap, and its ratio to the floor, as a line of Markdown."""
    from mien.face.analyze import analyze
    from mien.pipelines.photo_swap import SwapPipeline

    first, second = (one["neutral"].resize((SIDE_OF_A_PHOTO,) * 2) for one in list(london().values())[:2])
    pixels = np.asarray(first)
    rows, columns = np.mgrid[: pixels.shape[0], : pixels.shape[1]].astype(np.float32)

    def floor() -> None:
        analyze(first)
        cv2.remap(pixels, columns + 0.3, rows + 0.3, cv2.INTER_CUBIC)

    pipe = SwapPipeline()
    (change,) = pipe.changes(first, second)
    calls = (lambda: pipe(first, second), lambda: pipe.apply([change]), floor)
    walls, busy = [], []
    for _ in range(repeats + 1):  # in turn: what else runs on the machine makes all of them slower alike
        starts = []
        for call in calls:
            start = time.perf_counter()
            processor = seconds(call)
            starts.append((time.perf_counter() - start, processor))
        walls.append([wall for wall, _ in starts])
        busy.append([processor for _, processor in starts])
    whole, known, least = (spread(list(times)) for times in zip(*walls[1:], strict=True))
    ratios = [spread([row[k] / row[2] for row in busy[1:]]) for k in (0, 1)]
    return (
        f"One swap at {SIDE_OF_A_PHOTO} x {SIDE_OF_A_PHOTO} px takes {show(whole, '.2f')} s with the analysis of both "
        f"pictures, {show(known, '.2f')} s without, where one analysis and one remap take {show(least, '.2f')} s; in "
        f"processor seconds {show(ratios[0], '.1f')} and {show(ratios[1], '.1f')} times as much, {busy[-1][0]:.2f} s "
        f"in all (medians of {repeats}, shortest and longest; load {os.getloadavg()[0]:.1f})."
    )


def markdown(results: dict[str, dict[str, Scores]]) -> str:
    """Task → engine → scores, as one table; a result without a face fails every share."""
    engines = list(dict.fromkeys(name for arms in results.values() for name in arms))
    lines = [
        "| task | measure | " + " | ".join(engines) + " | DiffSFSR |",
        "|---|---|" + "---|" * (len(engines) + 1),
    ]
    for task, arms in results.items():
        label = f"{task} ({max(len(scores) for scores in arms.values())})"
        for measure, name, form, paper in MEASURES:
            cells = []
            for scores in arms.values():
                whole = form == ".0%"
                column = [
                    row[name] if row.get("found") else 0.0 for row in scores if whole or row.get("found")
                ]
                cells.append(show(statistics.mean(np.array(column)), form))
            lines.append(
                f"| {label} | {measure} | " + " | ".join(cells) + f" | {paper if task == TASKS[0] else ''} |"
            )
            label = ""
    return "\n".join(lines) + "\n"


def main(arguments: Sequence[str] | None = None) -> None:
    """Command line of this benchmark."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--people", type=int, default=52)
    parser.add_argument("--engine", choices=ENGINES, nargs="+", default=list(ENGINES))
    parser.add_argument("--out", type=Path, help="a folder for contact sheets, outside of the repository")
    parser.add_argument("--write", type=Path, help="a page whose table is to be filled in")
    parser.add_argument("--speed", action="store_true", help="what one swap takes, instead")
    given = parser.parse_args(arguments)
    if given.speed:
        line = f"{speed()} Two cores, measured {environment()['date']} by `python -m benchmarks.photo_swap --speed`."
        print(line)
        if given.write is not None:
            fill(given.write, {"swap_speed": line})
        return
    if given.out is not None:
        make_outside(given.out)
    eyes = Eyes(load_scorer("mediapipe", "dlib"))
    engines = {name: engine(name) for name in given.engine}
    results: dict[str, dict[str, Scores]] = {}
    for task in TASKS:
        results[task], rows, spent = {name: [] for name in engines}, [], dict.fromkeys(engines, 0.0)
        for scene in scenes(task, given.people):
            row = [("photo", scene.photo), ("identity", scene.identity or scene.photo)]
            for name, make in engines.items():
                start = time.perf_counter()
                try:
                    result = make(scene)
                except InputError as error:
                    print(f"{task}: {error}", flush=True)
                    result = None
                spent[name] += time.perf_counter() - start
                scores = judge(eyes, scene, result)
                if scores:
                    results[task][name].append(scores)
                row.append((name, result or Image.new("RGB", (8, 8), "white")))
            rows.append([(text, picture.resize((SIDE, SIDE))) for text, picture in row])
        print(
            f"{task}: " + ", ".join(f"{n} {s / len(rows):.2f} s a result" for n, s in spent.items()),
            flush=True,
        )
        for first in range(0, len(rows) if given.out else 0, ROWS):
            name = f"{task.replace(' ', '_')}_{first // ROWS}.png"
            save_image(sheet(rows[first : first + ROWS], SIDE), given.out / name, {"benchmark": "photo_swap"})
    facts = environment()
    made = f"Measured {facts['date']}, {given.people} people, by `python -m benchmarks.photo_swap`."
    print(f"\n{markdown(results)}\n{made}")
    if given.write is not None:
        fill(given.write, {"swaps": markdown(results), "swaps_made": made})


if __name__ == "__main__":
    run(main)
