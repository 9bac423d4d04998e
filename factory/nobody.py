"""Portraits of nobody, at rest and smiling: averages of people of the Face Research Lab London Set.

MIEN_SHARED=../shared python -m factory.nobody [NAME ...] [--out examples/people]

Beside the folder, the two pictures that the examples begin with are laid as identity.jpg and expression.jpg.

The set's picture archive, `$MIEN_SHARED/data/london-dev.tar`, and MediaPipe's model, dlib and its weights are needed.
One nobody takes about 20 seconds on one core. `examples/people/README.md` says what is done, and why.

Pictures are [h, w, 3] float32; "lab" is CIELAB (L 0 to 100). Landmarks are MediaPipe's [478, 3] px.
"""

from __future__ import annotations

import argparse
import io
import os
import shutil
import tarfile
from collections.abc import Sequence
from dataclasses import dataclass
from functools import cache
from pathlib import Path

import cv2
import numpy as np
from PIL import Image
from scipy.interpolate import RBFInterpolator

from factory.faces.labels import Labeller
from mien.encoders.dlib_recogniser import chip_of_pixels, load
from mien.provenance import COMPOSITE, save_image
from mien.types import ByteImage, FloatArray
from mien.warping.mesh import LOWER_LIP, OVAL, UPPER_LIP
from mien.warping.shapes import similarity_3d

SIDE = 1024
STATES = {"rest": "neutral", "smile": "smiling"}
SOURCE = "Face Research Lab London Set, DeBruine and Jones 2017, https://doi.org/10.6084/m9.figshare.5047666, CC-BY 4.0"
STEP = 8  # px between the points at which a warp is computed
MARGIN = 60  # px around the face in which averages are computed
BANDS = (1.0, 2.0, 4.0, 8.0)  # sigmas in px between which the average's detail is restored
MOST_GAIN = 3.0
PAIR = {"identity": "ana_rest", "expression": "fay_smile"}  # what the examples begin with
HEADER = """| name | people | top weight | rest: nearest | rest: head | smile: nearest | smile: head | rest to smile |
| --- | --- | --- | --- | --- | --- | --- | --- |"""
LEAST_DISTANCE = 0.45  # of dlib's embedding, to everybody in the set
LIPS = UPPER_LIP + LOWER_LIP[::-1]
FOREHEAD = (54, 103, 67, 109, 10, 338, 297, 332, 284)  # of the oval; the hairline is above it
BROWS = (70, 63, 105, 66, 107, 300, 293, 334, 296, 336)


@dataclass(frozen=True)
class Nobody:
    """Whose faces are averaged.

    Attributes:
        head: whose hair, ears, neck and clothes are around the face, mirrored. people: whose faces are averaged, at
            least five. seed: of their weights. teeth: whose teeth are in the smile; "": it shows none.
    """

    head: str
    teeth: str
    people: tuple[str, ...]
    seed: int

    @property
    def weights(self) -> FloatArray:
        """[n] float32 that sum to one; the same at rest and smiling."""
        return np.random.default_rng(self.seed).dirichlet(np.full(len(self.people), 4.0)).astype(np.float32)


def _nobody(head: str, teeth: str, people: str, seed: int) -> Nobody:
    return Nobody(head, teeth, tuple(people.split()), seed)


# Chosen by looking, and by the distances that are printed. No head is among the people averaged on it.
NOBODIES = {
    "ana": _nobody("086", "134", "014 090 124 134 122 066", 14),
    "fay": _nobody("122", "100", "002 118 100 120 010 112", 7),
    "ida": _nobody("064", "094", "006 066 038 094 020 134", 22),
    "cleo": _nobody("126", "064", "062 064 006 082 096 066", 6),
    "may": _nobody("134", "030", "030 034 112 094 066 124", 28),
    "eve": _nobody("144", "002", "016 032 118 090 124 002", 12),
    "ben": _nobody("138", "130", "018 104 130 132 012 128", 6),
    "max": _nobody("104", "036", "004 022 036 092 142 108", 15),
    "raj": _nobody("008", "004", "142 070 004 092 024 006", 1),
    "dan": _nobody("044", "096", "042 114 082 096 126 008", 14),
    "karl": _nobody("172", "022", "140 024 022 070 108 132", 20),
    "jun": _nobody("024", "036", "036 030 034 142 018 008", 7),
}


@cache
def archive() -> dict[str, bytes]:
    """The set's JPEG files by name, such as "014_neutral"."""
    path = Path(os.environ.get("MIEN_SHARED", "../shared")) / "data" / "london-dev.tar"
    with tarfile.open(path) as tar:
        files = [member for member in tar if member.name.endswith(".jpg")]
        return {Path(member.name).stem: tar.extractfile(member).read() for member in files}


@cache
def labeller() -> Labeller:
    """MediaPipe, loaded once."""
    return Labeller()


@cache
def photo(person: str, state: str, mirrored: bool = False) -> tuple[FloatArray, FloatArray]:
    """A person's picture in lab, and their landmarks."""
    image = np.array(Image.open(io.BytesIO(archive()[f"{person}_{STATES[state]}"])).convert("RGB"))
    image = np.ascontiguousarray(image[:, ::-1]) if mirrored else image
    lab = cv2.cvtColor(image.astype(np.float32) / 255, cv2.COLOR_RGB2LAB)
    return lab, labeller()(image).landmarks.astype(float)


def embedding(image: ByteImage) -> FloatArray:
    """dlib's [128] of the face in an RGB picture."""
    return load().embed_chip(chip_of_pixels(image, labeller()(image).landmarks))


@cache
def everybody() -> dict[str, FloatArray]:
    """dlib's embeddings [2, 128] of each person of the set."""
    pictures: dict[str, list[FloatArray]] = {}
    for name, data in sorted(archive().items()):
        pictures.setdefault(name[:3], []).append(
            embedding(np.array(Image.open(io.BytesIO(data)).convert("RGB")))
        )
    return {person: np.stack(both) for person, both in pictures.items()}


def place(points: FloatArray, onto: FloatArray) -> FloatArray:
    """Landmarks in another face's size, pose and place."""
    scale, turn, shift = similarity_3d(points[:468], onto[:468])
    return scale * points @ turn.T + shift


Box = tuple[int, int, int, int]  # left, top, right, bottom


def motion(target: FloatArray, source: FloatArray, box: Box, edge: Sequence[float] = ()) -> FloatArray:
    """Where in the source each pixel of the target's `box` comes from, [h, w, 2] px: a thin-plate spline.

    Points of the picture's border at multiples of `edge` stay where they are.
    """
    still = [(x, y) for x in edge for y in edge if {x, y} & {edge[0], edge[-1]}]
    still = np.array(still).reshape(-1, 2)
    a, b = np.concatenate([target[:, :2], still]), np.concatenate([source[:, :2], still])
    left, top, right, bottom = box
    xs, ys = np.arange(left, right + STEP, STEP), np.arange(top, bottom + STEP, STEP)
    grid = np.stack(np.meshgrid(xs, ys), 2).reshape(-1, 2).astype(float)
    spline = RBFInterpolator(a, b - a, smoothing=2.0, kernel="thin_plate_spline")
    coarse = spline(grid).reshape(len(ys), len(xs), 2).astype(np.float32)
    here = _here(bottom - top, right - left)
    fine = cv2.remap(coarse, here[..., 0] / STEP, here[..., 1] / STEP, cv2.INTER_CUBIC)
    return fine + here + np.array([left, top], np.float32)


def _here(height: int, width: int) -> FloatArray:
    rows, columns = np.mgrid[0:height, 0:width].astype(np.float32)
    return np.stack([columns, rows], 2)


def sample(image: FloatArray, where: FloatArray) -> FloatArray:
    """`image` at pixels `where` [h, w, 2]."""
    return cv2.remap(image, where[..., 0], where[..., 1], cv2.INTER_LANCZOS4, borderMode=cv2.BORDER_REPLICATE)


def blur(image: FloatArray, sigma: float) -> FloatArray:
    """Gaussian."""
    return cv2.GaussianBlur(image, (0, 0), sigma)


def region(
    points: FloatArray, outline: Sequence[int], box: Box, grow: float = 1.0, feather: float = 0.5
) -> FloatArray:
    """[h, w] in [0, 1]: the inside of an outline of landmarks, with a soft edge."""
    corners = points[list(outline), :2]
    corners = corners.mean(0) + grow * (corners - corners.mean(0)) - box[:2]
    mask = np.zeros((box[3] - box[1], box[2] - box[0]), np.float32)
    cv2.fillPoly(mask, [np.round(corners * 16).astype(np.int32)], 1.0, cv2.LINE_AA, 4)
    return blur(mask, feather)


def bite(target: FloatArray, source: FloatArray, box: Box) -> FloatArray:
    """`motion` for teeth: they follow the line between the lips, and lips hide them rather than squeeze them."""
    upper, lower = list(UPPER_LIP), list(LOWER_LIP)
    placed = place(source, target)
    (middle, opening), (theirs, their_opening) = (
        ((p[upper] + p[lower]) / 2, np.linalg.norm(p[upper] - p[lower])) for p in (target, placed)
    )
    tall = max(1.0, opening / their_opening)
    lips = [middle + tall * (placed[row] - theirs) for row in (upper, lower)]
    return motion(np.concatenate([lips[0], lips[1][1:-1]]), source[upper + lower[1:-1]], box)


def without_moles(picture: FloatArray, skin: FloatArray, top: int) -> FloatArray:
    """A lab picture without small round dark spots below the row `top`, in places of about the colour `skin` [3]."""
    light = picture[..., 0]
    around = cv2.morphologyEx(light, cv2.MORPH_CLOSE, cv2.getStructuringElement(cv2.MORPH_ELLIPSE, (17, 17)))
    far = np.linalg.norm((blur(picture, 6) - skin) / np.array([2, 1, 1], np.float32), axis=2)
    edge = cv2.dilate(blur(light, 2), np.ones((33, 33))) - blur(light, 3) > 30  # of clothes, hair or ears
    spots = ((blur(around - light, 1) > 4) & (far < 12) & ~edge).astype(np.uint8)
    spots[:top] = 0
    _, labels, boxes, _ = cv2.connectedComponentsWithStats(spots)
    width, height, area = boxes[:, 2], boxes[:, 3], boxes[:, 4]
    round_ = (np.maximum(width, height) < 16) & (area > 0.5 * width * height) & (area > 8)
    mask = cv2.dilate(round_[labels].astype(np.uint8), np.ones((7, 7)))
    planes = [
        cv2.inpaint(np.ascontiguousarray(plane), mask, 5, cv2.INPAINT_TELEA) for plane in cv2.split(picture)
    ]
    return cv2.merge(planes)


def align(
    pictures: list[FloatArray], weights: FloatArray, maps: list[FloatArray], soft: FloatArray
) -> list[FloatArray]:
    """The maps corrected by the optical flow from each face to the average; twice."""
    flow = cv2.DISOpticalFlow_create(cv2.DISOPTICAL_FLOW_PRESET_MEDIUM)

    def grey(picture: FloatArray) -> ByteImage:
        fine = picture[..., 0] - blur(picture[..., 0], 16)
        return np.clip(128 + 50 * fine / (np.sqrt(blur(fine**2, 24)) + 2), 0, 255).astype(np.uint8)

    for _ in range(2):
        now = [sample(picture, at) for picture, at in zip(pictures, maps, strict=True)]
        mean = grey(np.tensordot(weights, now, 1))
        flows = [blur(flow.calc(mean, grey(one), None), 4).clip(-7, 7) * soft[..., None] for one in now]
        drift = np.tensordot(weights, flows, 1)
        here = _here(*soft.shape)
        maps = [sample(at, here + moved - drift) for at, moved in zip(maps, flows, strict=True)]
    return maps


def sharp_mean(pictures: list[FloatArray], weights: FloatArray) -> FloatArray:
    """The average of aligned faces: strands of hair and moles of one person left out, and as much detail in each
    band as its people have (the mean of six skins has a third of it).
    """
    share = np.broadcast_to(weights[:, None, None, None], (len(weights), *pictures[0].shape[:2], 1))
    for _ in range(2):
        mean = (share * pictures).sum(0)
        votes = []
        for weight, picture in zip(weights, pictures, strict=True):
            off = blur(picture - mean, 2)
            fine = off - blur(off, 12)
            size = (off**2).sum(2) / 18**2 + (fine**2).sum(2) / 5**2
            votes.append(weight * np.exp(-size))
        share = np.stack([blur(vote, 2) for vote in votes])[..., None] + 1e-6
        share = share / share.sum(0)
    out, mean, rest = 0.0, (share * pictures).sum(0), pictures
    for sigma in BANDS:
        lower = [blur(one, sigma) for one in rest]
        energy = sum(s[..., 0] * (a - b)[..., 0] ** 2 for s, a, b in zip(share, rest, lower, strict=True))
        low = blur(mean, sigma)
        band = mean - low
        gain = np.sqrt(blur(energy, 3 * sigma) / (blur(band[..., 0] ** 2, 3 * sigma) + 0.01))
        out = out + band * gain.clip(1, MOST_GAIN)[..., None]
        mean, rest = low, lower
    return out + mean


def blend(front: FloatArray, back: FloatArray, mask: FloatArray, levels: int = 6) -> FloatArray:
    """The front where the mask is 1 (Burt and Adelson, "A Multiresolution Spline", 1983)."""
    pyramid = [(front, back, mask)]
    for _ in range(levels):
        pyramid.append(tuple(cv2.pyrDown(level) for level in pyramid[-1]))
    a, b, m = pyramid[-1]
    out = b + m[..., None] * (a - b)
    for (a, b, m), (below_a, below_b, _) in zip(pyramid[-2::-1], pyramid[:0:-1], strict=True):
        size = (a.shape[1], a.shape[0])
        up_a, up_b, out = (cv2.pyrUp(low, dstsize=size) for low in (below_a, below_b, out))
        detail = b - up_b
        out = out + detail + m[..., None] * (a - up_a - detail)
    return out


def portrait(nobody: Nobody, state: str) -> ByteImage:
    """[1024, 1024, 3] uint8 RGB."""
    weights = nobody.weights
    head, face = photo(nobody.head, state, mirrored=True)
    photos = [photo(person, state) for person in nobody.people]
    target = np.tensordot(weights, [place(landmarks, face) for _, landmarks in photos], 1)
    target = place(target, face)
    low, high = target[:, :2].min(0), target[:, :2].max(0)
    box: Box = (*(low - MARGIN).astype(int), *(high + MARGIN).astype(int))
    whole: Box = (0, 0, SIDE, SIDE)
    back = sample(head, motion(target, face, whole, np.linspace(0, SIDE, 9)))
    here = np.s_[box[1] : box[3], box[0] : box[2]]

    oval = region(target, OVAL, box, 0.97)
    skin = oval * (1 - region(target, LIPS, box, 1.6)) > 0.9
    maps = [motion(target, landmarks, box) for _, landmarks in photos]
    aim = back[here][skin].mean(0)
    pictures = [lab - sample(lab, at)[skin].mean(0) + aim for (lab, _), at in zip(photos, maps, strict=True)]
    back = without_moles(back, aim, int(target[LOWER_LIP[5], 1]))
    maps = align(pictures, weights, maps, blur(oval, 8))
    front = sharp_mean([sample(picture, at) for picture, at in zip(pictures, maps, strict=True)], weights)
    if state == "smile" and nobody.teeth:
        k = nobody.people.index(nobody.teeth)
        teeth = sample(photos[k][0], bite(target, photos[k][1], box))
        opening = region(target, LIPS, box, feather=1.5)
        teeth[..., 0] *= 0.65 + 0.35 * np.minimum(blur(opening, 4) / 0.7, 1)  # the lips' shade
        front = front + opening[..., None] * (teeth - front)

    # The head keeps its hair where that falls over the forehead.
    above = np.arange(box[1], box[3])[:, None] < target[list(BROWS), 1].min() - 25
    shade = np.minimum(*(blur(one[..., 0], 4) for one in (front, back[here])))
    dark = shade < np.median(back[here][..., 0][skin]) - 22
    hair = cv2.dilate((dark & above).astype(np.float32), np.ones((9, 9)))
    outline = target.copy()
    outline[list(FOREHEAD), 1] -= 0.07 * (high[1] - low[1])
    mask = np.zeros((SIDE, SIDE), np.float32)
    mask[here] = region(outline, OVAL, box, 0.9, 6) * (1 - blur(hair, 5))
    canvas = back.copy()
    canvas[here] = front
    out = cv2.cvtColor(blend(canvas, back, mask), cv2.COLOR_LAB2RGB)
    return np.clip(255 * out + 0.5, 0, 255).astype(np.uint8)


def make(name: str, folder: Path) -> None:
    """Writes a nobody's two pictures and prints their nearest people."""
    nobody = NOBODIES[name]
    words, own = [], []
    for state in STATES:
        image = portrait(nobody, state)
        mine = embedding(image)
        own.append(mine)
        distances = {person: np.linalg.norm(of - mine, axis=1).min() for person, of in everybody().items()}
        nearest = min(distances, key=distances.__getitem__)
        if distances[nearest] < LEAST_DISTANCE:
            raise SystemExit(f"{name} looks like {nearest} ({distances[nearest]:.3f}): choose another seed.")
        words.append(f"{distances[nearest]:.3f} | {distances[nobody.head]:.3f}")
        settings = {
            "made": f"factory/nobody.py {name}",
            "picture": f"average face of {len(nobody.people)} people on the head of another, {state}: nobody",
            "source": SOURCE,
        }
        save_image(Image.fromarray(image), folder / f"{name}_{state}.jpg", settings, COMPOSITE)
    words.append(f"{np.linalg.norm(own[0] - own[1]):.3f}")
    print(f"| {name} | {len(nobody.people)} | {nobody.weights.max():.2f} | {' | '.join(words)} |", flush=True)


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("names", nargs="*", metavar="NAME", help=f"of {', '.join(NOBODIES)}; none: all")
    parser.add_argument("--out", type=Path, default=Path("examples/people"))
    given = parser.parse_args()
    if unknown := set(given.names) - set(NOBODIES):
        parser.error(f"{', '.join(sorted(unknown))} is none of {', '.join(NOBODIES)}")
    given.out.mkdir(parents=True, exist_ok=True)
    cv2.setNumThreads(1)
    print(HEADER)
    for name in given.names or NOBODIES:
        make(name, given.out)
    for role, picture in PAIR.items():
        if (given.out / f"{picture}.jpg").is_file():
            shutil.copy(given.out / f"{picture}.jpg", given.out.parent / f"{role}.jpg")


if __name__ == "__main__":
    main()
