"""A set of warped photographs: UTKFace's faces given the expressions of rendered heads, labelled again by
MediaPipe.

    python -m factory.faces.prepare utkface-adults
    python -m factory.faces.warped OUT.npz --count 6000 --seed 0

Only faces that are near enough to neutral and to frontal are used, and of the training split alone.
"""

from __future__ import annotations

import argparse
import dataclasses
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np

from factory.faces.coefficients import combination, preset, preset_names, to_vector
from factory.faces.dataset import load_faces
from factory.faces.extras import NO_HAIR
from factory.faces.ict import IctHead, load_head
from factory.faces.labels import Labeller
from factory.faces.render import Person, make_person, render
from factory.faces.scene import View, sample_view
from factory.faces.sources import read_pictures, shared_dir
from factory.faces.warp import Example, target_landmarks, warp_expression
from mien.data.split import is_held_out
from mien.face.align import invert, transform_points
from mien.face.blendshapes import INDEX
from mien.face.pose import angles
from mien.files import check_writable, replacing
from mien.types import ByteImage, FloatArray

PHOTOGRAPHS = "utkface-adults"
# A warp cannot turn eyes, and puffed cheeks or a pushed jaw are hardly seen from the front.
UNSUITABLE = (
    "neutral",
    "look_left",
    "look_right",
    "look_up",
    "look_down",
    "cheek_puff",
    "jaw_forward",
    "dimple",
    "press",
)
# Identities from here on give expressions to photographs, and are never drawn as people.
PLAIN_SEED = 20_000_000
SAVE_EVERY = 500  # rows, so that a long run can be used before it ends


@dataclasses.dataclass(frozen=True)
class Source:
    """An `Example` with what it shows: preset's name (or ``"mixed"``), coefficients [52], blendshapes
    before and after.
    """

    example: Example
    preset: str
    coefficients: FloatArray
    before: FloatArray
    after: FloatArray


def _plain(person: Person) -> Person:
    """The same head, without hair, beard or spots that a ratio image would carry over."""
    n = len(person.shape)
    skin = np.array([0.62, 0.40, 0.30], np.float32)
    colours = person.colours.copy()
    face = np.arange(n) < 11248
    colours[face] = (
        skin
        + 0.35
        * (
            np.clip(person.colours[face], 0.3 * person.look.skin, 1.2 * person.look.skin) / person.look.skin
            - 1
        )
        * skin
    )
    return dataclasses.replace(
        person, colours=colours.astype(np.float32), cover=np.zeros(n, np.float32), hair=NO_HAIR
    )


def plain_view(seed: int) -> View:
    """Frontal, evenly lit from above, on grey."""
    view = sample_view(np.random.default_rng(seed))
    ones = np.ones(3, np.float32)
    light = np.array([0.0, 0.55, 0.83])
    return dataclasses.replace(
        view,
        pose=np.zeros(3, np.float32),
        shift=np.zeros(2, np.float32),
        scale=8.2,
        distance=70.0,
        key_direction=light,
        fill_direction=np.array([0.0, 0.0, 1.0]),
        key=0.6 * ones,
        fill=0.3 * ones,
        ambient=0.5 * ones,
        exposure=0.75,
        background=np.full_like(view.background, 0.3),
        noise=0.0,
    )


def expression_sources(
    head: IctHead, labeller: Labeller, heads: int, per_head: int, seed: int
) -> list[Source]:
    """Rendered examples of strong expressions on `heads` plain people; every preset comes about equally
    often.
    """
    rng = np.random.default_rng([seed, 3])
    names = [name for name in preset_names() if name not in UNSUITABLE] + ["mixed"] * 10
    sources = []
    for k in range(heads):
        person = _plain(make_person(head, PLAIN_SEED + seed * 1000 + k))
        view = plain_view(k)
        neutral = render(head, person, to_vector({}), view)
        before = labeller(neutral)
        for name in (
            rng.choice(names, per_head, replace=False)
            if per_head <= len(names)
            else rng.choice(names, per_head)
        ):
            if name == "mixed":
                coefficients = combination(rng)
                coefficients[[i for n, i in INDEX.items() if n.startswith("eyeLook")]] = 0
            else:
                coefficients = np.clip(preset(str(name)) * rng.uniform(0.7, 1.1), 0, 1)
            picture = render(head, person, coefficients, view)
            after = labeller(picture)
            if before.found and after.found:
                example = Example(neutral, picture, before.landmarks, after.landmarks)
                sources.append(
                    Source(example, str(name), coefficients, before.blendshapes, after.blendshapes)
                )
    return sources


def suitable(landmarks: FloatArray, blendshapes: FloatArray, matrix: FloatArray) -> bool:
    """Whether a photo's face is found, near frontal (25 degrees), with shut mouth and open eyes."""
    if not np.isfinite(blendshapes).all():
        return False
    yaw, pitch, _ = np.abs(angles(matrix[:3, :3]))
    gap = np.linalg.norm(landmarks[13, :2] - landmarks[14, :2]) / np.linalg.norm(
        landmarks[33, :2] - landmarks[263, :2]
    )
    strong = {
        "jawOpen": 0.1,
        "mouthSmileLeft": 0.55,
        "mouthSmileRight": 0.55,
        "mouthUpperUpLeft": 0.25,
        "eyeBlinkLeft": 0.5,
        "eyeBlinkRight": 0.5,
        "mouthPucker": 0.8,
    }
    return bool(
        yaw < 25 and pitch < 22 and gap < 0.05 and all(blendshapes[INDEX[n]] < v for n, v in strong.items())
    )


def clear(image: ByteImage) -> bool:
    """Whether a photo is sharp and in colour: rendered teeth look pasted into any other."""
    grey = image.astype(np.float32).mean(2)
    edges = np.abs(4 * grey[1:-1, 1:-1] - grey[:-2, 1:-1] - grey[2:, 1:-1] - grey[1:-1, :-2] - grey[1:-1, 2:])
    chroma = np.ptp(image.astype(np.float32), axis=2)
    return bool(np.median(edges) > 2.5 and chroma.mean() > 12)


def apply(image: ByteImage, landmarks: FloatArray, source: Source, strength: float = 1.0) -> ByteImage:
    """`image` [H, W, 3] uint8 with the source's expression."""
    pucker, frown = (float(source.coefficients[INDEX[name]]) for name in ("mouthPucker", "mouthFrownLeft"))
    strength *= max(1 + 1.3 * pucker, 1 + 0.5 * frown)  # a detector's landmarks follow these by half
    blink = tuple(float(source.coefficients[INDEX[f"eyeBlink{side}"]]) for side in ("Left", "Right"))
    target = target_landmarks(landmarks, source.example, strength, (blink[0], blink[1]))
    return warp_expression(image, landmarks, target, source.example)


def agreement(change: FloatArray, wanted: FloatArray) -> float:
    """Cosine in [-1, 1] between the blendshapes' change [52] and the change that was wanted [52]."""
    return float(change @ wanted / max(float(np.linalg.norm(change) * np.linalg.norm(wanted)), 1e-9))


def known_faces() -> dict[str, tuple[FloatArray, FloatArray, FloatArray]]:
    """Of the prepared photographs (`factory.faces.prepare`): name → landmarks [478, 3] px of the photo, blendshapes
    [52], matrix [4, 4].

    Raises:
        InputError: they have not been prepared.
    """
    faces = load_faces(PHOTOGRAPHS)
    return {
        str(name): (transform_points(points, invert(matrix)), shapes, pose)
        for name, points, matrix, shapes, pose in zip(
            faces.names, faces.landmarks, faces.crop_matrix, faces.blendshapes, faces.matrix, strict=True
        )
    }


def warped_rows(
    count: int, seed: int, heads: int = 50, least_agreement: float = 0.3, tries: int = 4
) -> Iterator[dict[str, Any]]:
    """Rows of the set, about `count`; a warp that MediaPipe doesn't see as (partly) the wanted expression
    is tried again.

    A row: image uint8 [160, 160, 3], name, preset, and MediaPipe's landmarks, blendshapes and matrix of the
    warp.
    """
    rng = np.random.default_rng([seed, 4])
    known = known_faces()
    labeller = Labeller()
    sources = expression_sources(load_head(), labeller, heads, 36, seed)
    fit = {name for name, row in known.items() if not is_held_out(name) and suitable(*row)}
    usable = [
        name for name, image in read_pictures(PHOTOGRAPHS, shared_dir()) if name in fit and clear(image)
    ]
    order = rng.permutation(len(usable))
    wanted_times = {
        usable[k]: count // len(usable) + int(n < count % len(usable)) for n, k in enumerate(order)
    }
    for name, image in read_pictures(PHOTOGRAPHS, shared_dir()):
        if wanted_times.get(name, 0) == 0:
            continue
        landmarks, blendshapes, _ = known[name]
        for _ in range(wanted_times[name]):
            for _ in range(tries):
                source = sources[int(rng.integers(len(sources)))]
                picture = apply(image, landmarks, source, float(rng.uniform(0.9, 1.25)))
                seen = labeller(picture)
                change = seen.blendshapes - blendshapes
                if seen.found and agreement(change, source.after - source.before) >= least_agreement:
                    yield {
                        "image": picture,
                        "name": np.str_(name),
                        "landmarks": seen.landmarks,
                        "blendshapes": seen.blendshapes,
                        "matrix": seen.matrix,
                        "preset": np.str_(source.preset),
                    }
                    break


def _write(path: Path, rows: list[dict[str, Any]]) -> None:
    arrays = {key: np.stack([row[key] for row in rows]) for key in rows[0]}
    with replacing(path) as temporary:
        np.savez(temporary, allow_pickle=False, **arrays)


def main() -> None:
    """Command line of this module."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("out", type=Path)
    parser.add_argument("--count", type=int, default=6000)
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--heads", type=int, default=50, help="rendered heads that lend 36 expressions each")
    given = parser.parse_args()
    out = check_writable(given.out)
    rows = []
    for row in warped_rows(given.count, given.seed, given.heads):
        rows.append(row)
        if len(rows) % SAVE_EVERY == 0:
            _write(out, rows)
    _write(out, rows)
    print(f"{out}: {len(rows)} pictures")


if __name__ == "__main__":
    main()
