"""Scenes for judging detectors: held-out faces pasted into larger pictures, selfies; when two boxes are one."""

from __future__ import annotations

import io
import tarfile

import numpy as np
from PIL import Image, ImageFilter

from benchmarks.held_out import Picture, photographs
from factory.faces.sources import shared_dir
from mien.face.align import similarity, transform_points
from mien.face.landmarks import bounding_box
from mien.types import Face, FloatArray

OVERLAP = 0.4  # of two boxes (intersection over union): they are one face
PASTED_SIZE = (640, 480)
PASTED_SIDES = (60, 320)  # px, of the pasted square crop
PASTED_TILT = 20.0  # degrees, at most
BLUR = 40.0  # px


def overlap(a: FloatArray, b: FloatArray) -> float:
    """Intersection over union of two boxes, xyxy."""
    sides = np.clip(np.minimum(a[2:], b[2:]) - np.maximum(a[:2], b[:2]), 0, None)
    both = float(sides.prod())
    return both / (float((a[2:] - a[:2]).prod()) + float((b[2:] - b[:2]).prod()) - both)


def find(faces: list[Face], box: FloatArray) -> Face | None:
    """The face that overlaps `box` most, if it does so enough."""
    best = max(faces, key=lambda face: overlap(face.box, box), default=None)
    return best if best is not None and overlap(best.box, box) >= OVERLAP else None


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
