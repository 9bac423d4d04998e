"""A photo whose face changes from one set of coefficients to another: motion, folds, eyes and mouth, in that order."""

from __future__ import annotations

from dataclasses import dataclass, replace

import cv2
import numpy as np

from mien.types import ByteImage, FloatArray
from mien.warping import folds
from mien.warping.eyes import draw_eyes, kept_open
from mien.warping.front import Front
from mien.warping.lips import held, opened
from mien.warping.motion import CELLS, Motion, carry, motion
from mien.warping.mouth import Mouth
from mien.warping.shapes import LOWER, moved

FOLDS = 0.8  # strength of the folds
# Of a coefficient, or of lips that shut: over it, and over a degree of turn, a drawn mouth fades in.
STILL = 0.05


@dataclass(frozen=True)
class Drawn:
    """A result: the photo with the change [H, W, 3] uint8, the box x0, y0, x1, y1 px outside of which it kept every
    bit, and whether drawn teeth stand where the photo shows its own."""

    image: ByteImage
    box: tuple[int, int, int, int]
    replaced: bool = False


def draw(
    image: ByteImage,
    landmarks: FloatArray,
    before: FloatArray,
    after: FloatArray,
    mouth: Mouth,
    turn: FloatArray | None = None,
    cells: int = CELLS,
    shut: float = 0.0,
    front: Front | None = None,
) -> Drawn:
    """`image` [H, W, 3] uint8 whose face changes from coefficients `before` to `after` [52].

    Args:
        landmarks: [478, 3] px of the face. mouth: the photo's. turn, shut: see `mien.warping.shapes.moved`.
        cells: of the motion map, see `mien.warping.motion`. front: what lies in front of the face; it keeps its shape,
            and hands and hair move only as the head turns.
    """
    if turn is None and np.array_equal(before, after):
        return Drawn(image.copy(), (0, 0, 0, 0))
    after = after if front is None else front.rested(before, after)
    target, skin = _aimed(landmarks, before, after, mouth, turn, shut)
    moving = _moving(image, mouth, target, skin, turn, front, cells)
    source = mouth.without_line(image, target)
    if cells >= CELLS:
        source = mouth.creases.over(source, before, after, front, mouth.colour.chroma)
    region = carry(source, moving)
    x0, y0, x1, y1 = moving.box
    local = skin - [x0, y0, 0]
    carried = region
    region = folds.apply(region, local, folds.ratio(before, after, FOLDS), mouth.colour.chroma)
    draw_eyes(
        region, image, landmarks, target, (x0, y0), mouth.eyes, cells >= CELLS, chroma=mouth.colour.chroma
    )
    rests, replaced = _rests(before, after, turn, shut), False
    if rests < 1 and (inside := mouth.interior(target, detailed=cells >= CELLS)).alpha.size:
        region = replace(inside, left=inside.left - x0, top=inside.top - y0).over(region)
        replaced = inside.replaced
    result = np.array(image)
    result[y0:y1, x0:x1] = region
    if rests > 0:
        mouth.over(image, result, rests)
    if front is not None:
        front.before(carried, result[y0:y1, x0:x1], moving)
    return Drawn(result, moving.box, replaced)


def _rests(before: FloatArray, after: FloatArray, turn: FloatArray | None, shut: float) -> float:
    """How much of a mouth stays the photo's, 0 to 1: all of it while eyes and brows alone move."""
    moves = max(float(np.abs((after - before)[LOWER]).max()), shut) / STILL
    return max(0.0, 1 - moves - (0 if turn is None else float(np.abs(turn).max())))


def _aimed(
    landmarks: FloatArray,
    before: FloatArray,
    after: FloatArray,
    mouth: Mouth,
    turn: FloatArray | None,
    shut: float,
) -> tuple[FloatArray, FloatArray]:
    """Where the landmarks [478, 3] go, and where the skin beneath them does."""
    line = mouth.on_line
    target = opened(mouth.landmarks, line, moved(line, before, after, turn, shut))
    target = kept_open(landmarks, target, half_shut=mouth.filmed)
    return target, target + folds.slid(target, before, after)


def _moving(
    image: ByteImage,
    mouth: Mouth,
    target: FloatArray,
    skin: FloatArray,
    turn: FloatArray | None,
    front: Front | None,
    cells: int = CELLS,
) -> Motion:
    moving = motion(held(mouth.on_line, target), skin, image.shape, cells)
    if front is None:
        return moving

    def turning() -> Motion:
        still = np.zeros(52)
        return motion(mouth.landmarks, moved(mouth.landmarks, still, still, turn), image.shape, cells)

    return front.eased(moving, None if turn is None or not turn.any() else turning)


def invented(
    drawn: Drawn,
    image: ByteImage,
    landmarks: FloatArray,
    before: FloatArray,
    after: FloatArray,
    mouth: Mouth,
    turn: FloatArray | None = None,
    shut: float = 0.0,
    front: Front | None = None,
) -> ByteImage:
    """[h, w] uint8 of the box of `drawn`: by how many levels it differs, in the colour that differs most, from the
    photo's own pixels moved: what was drawn there, and was not in the photo.

    The arguments are those that `draw` was given.
    """
    x0, y0, x1, y1 = drawn.box
    if x0 == x1 or y0 == y1:
        return np.zeros((y1 - y0, x1 - x0), np.uint8)
    after = after if front is None else front.rested(before, after)
    target, skin = _aimed(landmarks, before, after, mouth, turn, shut)
    carried = carry(image, _moving(image, mouth, target, skin, turn, front))
    return np.asarray(cv2.absdiff(drawn.image[y0:y1, x0:x1], carried).max(axis=2))
