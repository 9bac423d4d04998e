"""Creases of skin that folds: a smile's lines beside the nose and below the eyes, crow's feet, lines of a forehead,
of a frown and of a wrinkled nose.

What photographs teach on average (`mien.warping.folds`) is broad, for everybody's lines run elsewhere. Here each line
is a curve in the folds' texture, moved onto this person's own crease where there is one. Two things are drawn on the
photo before it moves, both as log-luminance that it is multiplied by:

    c a (-exp(-d^2 / 2 w^2) + r exp(-(d - 2.4 w)^2 / 2 (1.5 w)^2)): a valley w wide, the skin beside it catching light
    c OWN min(b, 0), b the photo's own detail along the curve: its own creases deepen, or fade (c below 0, b broader;
        times k of each colour, see `_Part.tint`). A smile's own lie all over the cheeks: `mien.warping.valleys`.

d: distance across the line; c: how much the expression's blendshapes fold it; a: its depth, the more the more lines
this skin has.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property, lru_cache

import cv2
import numpy as np

from mien.face.blendshapes import INDEX
from mien.types import ByteImage, FloatArray
from mien.warping import folds, valleys
from mien.warping.eye_frame import blurred
from mien.warping.folds import NEARLY, SIZE, WHITE
from mien.warping.front import Front
from mien.warping.light import LUMA
from mien.warping.mesh import IndexArray

FINE = 2  # texels here for one of the folds' texture
STEP, ACROSS = 1.0, 0.5  # px of the folds' texture between samples along a curve and across it
NEAR = 6.0  # px across a curve that are looked at
ASIDE = np.arange(-NEAR, NEAR + ACROSS / 2, ACROSS)
ALONG = 5.0  # px: what is no longer than this along a curve is a mole or a pore, and no crease
FINEST, BANDS = 0.6, (3.0, 6.0)  # sigmas of detail that creases are, px: that deepen, and that fade
OWN, FADES = 1.2, 1.3  # share of its own creases by which skin folds deeper, and fades
SURELY = 0.45  # of a smile, from which the valleys on cheeks are its and go with it
SMILED = 0.9  # their share that does
TURNED = 0.35, 0.65  # of the other side's area in the photo: a valley's region that shows none, and that does
FAINT = 0.02  # log-luminance of own creases that skin of a middling age has
OLD = 1.5  # times that: more lines make no deeper folds
YOUNG = 0.7  # share of its lines that skin without any folds
DEEPEST = 0.4  # log-luminance of a crease at most
RED = 0.65  # share of a crease's shade that red takes part in: skin lets it through
TINTS = (0.2, 2.0)  # the least and the most of what a colour changes across a crease against its light
ALL = 0.3  # of a smile that goes, from which a sneer keeps none of its folds
FEWEST = 0.05  # of a fold, below which none is drawn
SMALLEST = 40  # px of a face's side, from which it shows creases
LOG = np.log(np.arange(256, dtype=np.float32) + 12)

SIDES = ("Right", "Left")  # the subject's; the picture's left and right
Shapes = tuple[tuple[str, float], ...]
Folds = Shapes | valleys.Region


@dataclass(frozen=True)
class Line:
    """A crease on the picture's left side; the other side's is its mirror image.

    Attributes:
        points: of its curve, px of the folds' texture. shapes: blendshapes that fold it at 1, without their side.
        depth: log-luminance. width: px. ridge: light beside it, against its depth, on the left of the curve's course
        if above 0. reach: px by which it is moved onto an own crease.
    """

    points: tuple[tuple[float, float], ...]
    shapes: Shapes
    depth: float
    width: float
    ridge: float
    reach: float


_SMILE = (("mouthSmile", 0.9), ("noseSneer", 0.9), ("mouthUpperUp", 0.35))
_SQUINT = (("eyeSquint", 0.9), ("cheekSquint", 0.9), ("mouthSmile", 0.35), ("noseSneer", 0.2))
_CORNER = (("eyeSquint", 0.7), ("cheekSquint", 0.9), ("mouthSmile", 0.3))
_RAISED = (("browInnerUp", 0.7), ("browOuterUp", 0.5))
_FROWN = (("browDown", 1.3), ("noseSneer", 0.3))
_SNEER = (("noseSneer", 1.0),)
LINES = (
    Line(
        ((75.8, 95.5), (73, 102.5), (69.3, 109.3), (65.3, 117.8), (62, 125.8), (60, 132.2), (59, 139)),
        _SMILE, 0.17, 1.1, -0.25, 2.5,
    ),
    Line(((48.5, 72), (54, 74.6), (60.5, 75.4), (67.5, 74.2), (74, 71.6)), _SQUINT, 0.15, 0.9, 0.8, 1.0),
    Line(((41, 60.5), (36, 57.5), (31, 55.5)), _CORNER, 0.08, 0.6, 0.5, 1.5),
    Line(((40.5, 64), (35, 64.6), (29, 64.2)), _CORNER, 0.1, 0.6, 0.5, 1.5),
    Line(((41, 67.5), (36.5, 70.2), (32, 73.5)), _CORNER, 0.08, 0.6, 0.5, 1.5),
    Line(((52, 16.5), (65, 13.2), (80, 12.6), (98, 13.8)), _RAISED, 0.07, 0.7, 0.5, 2.0),
    Line(((47, 23), (60, 19.2), (77, 18.6), (98, 20.4)), _RAISED, 0.09, 0.8, 0.5, 2.0),
    Line(((45, 29.5), (58, 25.4), (75, 25.0), (98, 27.5)), _RAISED, 0.08, 0.7, 0.5, 2.0),
    Line(((88.5, 36), (89.6, 43), (91, 51.5)), _FROWN, 0.2, 1.0, 0.5, 2.0),
    Line(((86, 56.5), (91, 57.6), (98, 57.8)), _SNEER, 0.13, 0.9, 0.2, 1.5),
    Line(((92.5, 62), (88.5, 66.5), (84.5, 72)), _SNEER, 0.16, 0.7, 0.5, 1.5),
    Line(((92, 67), (88, 71.5), (83, 78)), _SNEER, 0.14, 0.7, 0.5, 1.5),
)  # fmt: skip


@dataclass(frozen=True)
class _Course:
    """A curve's samples x, y [n, m] px of the folds' texture; and of the fine texture's texels [p] near it: their rows,
    their columns, and which sample along and how many px across they are at."""

    x: FloatArray
    y: FloatArray
    rows: IndexArray
    columns: IndexArray
    along: IndexArray
    across: FloatArray


def _curve(points: FloatArray) -> tuple[FloatArray, FloatArray]:
    """A cubic curve along `points` [k, 2], a sample every `STEP`: places [n, 2] and normals [n, 2] to its left."""
    length = np.r_[0, np.cumsum(np.linalg.norm(np.diff(points, axis=0), axis=1))]
    fit = np.polynomial.polynomial.polyfit(length / length[-1], points, min(len(points) - 1, 3))
    at = np.linspace(0, 1, max(int(length[-1] / STEP), 4))
    place = np.polynomial.polynomial.polyval(at, fit).T
    course = np.gradient(place, axis=0)
    course /= np.linalg.norm(course, axis=1, keepdims=True)
    return place, np.stack([course[:, 1], -course[:, 0]], 1)


@lru_cache(maxsize=1)
def _courses() -> tuple[tuple[_Course, _Course], ...]:
    """Of each line the picture's left side, and its right."""
    found = []
    for line in LINES:
        place, normal = _curve(np.array(line.points))
        low = np.floor((place.min(0) - NEAR) * FINE).astype(int)
        high = np.ceil((place.max(0) + NEAR) * FINE).astype(int)
        rows, columns = np.mgrid[max(low[1], 0) : high[1], low[0] : high[0]].reshape(2, -1)
        texel = (np.stack([columns, rows], 1) + 0.5) / FINE
        nearest = ((place**2).sum(1) - 2 * np.einsum("pk,nk->pn", texel, place)).argmin(1)
        away, normals = texel - place[nearest], normal[nearest]
        across = (away * normals).sum(1)
        beyond = np.abs(away[:, 0] * normals[:, 1] - away[:, 1] * normals[:, 0])
        kept = (np.abs(across) < NEAR) & (beyond < STEP)
        x, y = np.moveaxis(place[:, None] + ASIDE[:, None] * normal[:, None], 2, 0)
        rows, columns, near = rows[kept], columns[kept], (nearest[kept], across[kept])
        found.append(
            (
                _Course(x, y, rows, columns, *near),
                _Course(SIZE - x, y, rows, FINE * SIZE - 1 - columns, *near),
            )
        )
    return tuple(found)


class Creases:
    """The creases of one photo's face, which an expression deepens; each is looked for when it is first folded.

    Args:
        image: [H, W, 3] uint8. landmarks: [478, 3] px of the face.
        known: of a frame of a film, the creases of another frame, which are laid on all of them.
    """

    def __init__(self, image: ByteImage, landmarks: FloatArray, known: Creases | None = None) -> None:
        points = np.asarray(landmarks, np.float32)[:468, :2]
        self._low = np.maximum(np.floor(points.min(0)).astype(int) - 2, 0)
        high = np.minimum(np.ceil(points.max(0)).astype(int) + 2, image.shape[1::-1])
        self._size = high - self._low
        self._points = points - self._low.astype(np.float32)
        self._core = 2 * round(1.5 * float(self._size.max()) / SIZE) + 1  # px
        self._face = image[self._low[1] : high[1], self._low[0] : high[0]]
        self._found: dict[tuple[Folds, str], _Part | None] = {}
        self._textures: dict[tuple[Folds, str], _Texture] = {}
        self._known = known if known is not None and known._size.min() >= SMALLEST else None

    def over(
        self,
        image: ByteImage,
        before: FloatArray,
        after: FloatArray,
        front: Front | None = None,
        chroma: float = 1.0,
    ) -> ByteImage:
        """The photo [H, W, 3] uint8, its pixels where they were, with the creases of a face that goes from coefficients
        `before` to `after` [52]. `front`: what lies in front of the face, and has none. chroma: see
        `mien.warping.tone.Tone`."""
        result = image
        if self._size.min() < SMALLEST:
            return result
        change = np.asarray(after, np.float64) - before
        for shapes in dict.fromkeys(line.shapes for line in LINES):
            for side in SIDES:
                names = [stem if stem in INDEX else stem + side for stem, _ in shapes]
                folds_by = np.zeros(52)
                folds_by[[INDEX[name] for name in names]] = [share for _, share in shapes]
                much = float(folds_by @ change)
                if abs(much) < FEWEST:
                    continue
                goes = much < 0 and shapes == _SMILE
                if goes:  # whatever sneers in its place
                    gone = float(np.minimum(folds_by * change, 0).sum())
                    much += min(-much / ALL, 1.0) * (gone - much)
                fades = 1 / max(float(folds_by @ before), SURELY) if goes else FADES
                for which in valleys.REGIONS if goes else (shapes,):
                    if (part := self._part(which, side)) is None:
                        continue
                    if result is image:
                        result = image.copy()
                    log = much * part.folded if much > 0 else max(fades * much, -1.0) * part.own
                    log = np.maximum(log, -DEEPEST)
                    if front is not None:
                        log *= 1 - front.covers(part.box)
                    if much > 0:
                        shade = cv2.exp(log)
                        red = shade + (1 - RED) * chroma * (1 - shade)  # light beside a crease has no tint
                        shades = cv2.merge([cv2.max(shade, red), shade, shade])
                    else:  # its tint goes with it
                        shades = cv2.merge([cv2.exp(log * k) for k in part.tint])
                    here = result[part.box]
                    there = np.asarray(
                        cv2.multiply(part.pixels if goes else here, shades, dtype=cv2.CV_8U), np.uint8
                    )
                    if goes:  # but once where the pits of corners have gone already
                        there = valleys.without_core(np.maximum(there, here), log, self._core)
                    result[part.box] = there
        return result

    def prepare(self) -> None:
        """Look at the skin, which `over` need not then."""
        if self._size.min() >= SMALLEST and self._known is None:
            _ = self._texels, self._detail

    def _part(self, which: Folds, side: str) -> _Part | None:
        if (which, side) not in self._found:
            self._found[which, side] = self._laid(which, side)
        return self._found[which, side]

    def _texture(self, which: Folds, side: str) -> _Texture:
        """The lines of a side that these blendshapes fold, or the valleys of a region."""
        if self._known is not None:
            return self._known._texture(which, side)
        if (which, side) not in self._textures:
            k = SIDES.index(side)
            if isinstance(which, valleys.Region):
                *at, deep = valleys.of_smile(self._detail[..., 2], which, side == "Left", FINE)
                parts = [(*at, np.stack([0 * deep, -SMILED * deep], 1))]
            else:
                parts = [
                    (both[k].rows, both[k].columns, _crease(line, both[k], self._detail))
                    for line, both in zip(LINES, _courses(), strict=True)
                    if line.shapes == which
                ]
            rows, columns = (np.concatenate([part[axis] for part in parts]) for axis in (0, 1))
            top, left = int(rows.min()), int(columns.min())
            texels = np.zeros((int(rows.max()) - top + 1, int(columns.max()) - left + 1, 2), np.float32)
            for part_rows, part_columns, values in parts:
                texels[part_rows - top, part_columns - left] += values
            self._textures[which, side] = _Texture(texels, rows, columns, top, left)
        return self._textures[which, side]

    def _laid(self, which: Folds, side: str) -> _Part | None:
        """The same on the photo; None: it does not show them."""
        texture = self._texture(which, side)
        there = self._places[texture.rows // FINE, texture.columns // FINE]
        first = np.clip(np.nanmin(there, 0) - 1, 0, self._size).astype(int)
        last = np.clip(np.nanmax(there, 0) + 2, 0, self._size).astype(int)
        if (last <= first).any():
            return None
        (x0, y0), (x1, y1) = first, last
        x, y = (FINE * at[y0:y1, x0:x1] - 0.5 for at in self._texels)
        drawn = cv2.remap(texture.texels, x - texture.left, y - texture.top, cv2.INTER_LINEAR)
        face = self._face[y0:y1, x0:x1]
        room = _room(face)
        if isinstance(which, valleys.Region):  # what a head turns away lies at its outline
            across = self._places[texture.rows // FINE, SIZE - 1 - texture.columns // FINE]
            here, beyond = (
                float(np.ptp(at[np.isfinite(at).all(1)], axis=0).prod()) for at in (there, across)
            )
            room *= np.clip((here / max(beyond, 1.0) - TURNED[0]) / (TURNED[1] - TURNED[0]), 0, 1)
        folded, own = (part * room for part in cv2.split(drawn))
        (x0, y0), (x1, y1) = self._low + first, self._low + last
        return _Part((slice(y0, y1), slice(x0, x1)), folded, own, face)

    @cached_property
    def _places(self) -> FloatArray:
        return folds.places(self._points)

    @cached_property
    def _texels(self) -> tuple[FloatArray, FloatArray]:
        return folds.texels(self._points, *self._size.tolist())

    @cached_property
    def _detail(self) -> FloatArray:
        return _detail(self._face, self._points, self._places)


@dataclass(frozen=True)
class _Texture:
    """Log-luminance `texels` [h, w, 2] of creases folded by 1, and of own ones, from row `top` and column `left` of the
    fine texture on; `rows`, `columns` [p] of it that lines go through."""

    texels: FloatArray
    rows: IndexArray
    columns: IndexArray
    top: int
    left: int


@dataclass(frozen=True)
class _Part:
    """Log-luminance [h, w] of the photo's `box` where its creases are folded by 1, and that of its `own`; `pixels`
    there [h, w, 3]."""

    box: tuple[slice, slice]
    folded: FloatArray
    own: FloatArray
    pixels: ByteImage

    @cached_property
    def tint(self) -> list[float]:
        """k [3], within `TINTS`: by how much more than its light each colour changes across its own creases."""
        inside = np.maximum(-self.own, 0)
        near = blurred(inside, max(0.06 * max(inside.shape), 1.0))
        beside = np.maximum(near - inside, 0)
        if not inside.any() or not beside.any():
            return [1.0, 1.0, 1.0]
        dark, light = (
            np.log(np.einsum("hw,hwc->c", part, self.pixels) / part.sum() + 12) for part in (inside, beside)
        )
        step = light - dark
        grey = float(step @ LUMA)
        return [float(np.clip(part / grey, *TINTS)) if grey > FAINT else 1.0 for part in step]


def _room(face: ByteImage) -> FloatArray:
    """Share [h, w] of a crease that skin shows: none where the photo is white."""
    red, green, blue = cv2.split(face)
    darkest = np.minimum(np.minimum(red, green), blue).astype(np.float32)
    return np.clip((WHITE - darkest) / NEARLY, 0, 1)


def _detail(face: ByteImage, points: FloatArray, places: FloatArray) -> FloatArray:
    """A photo's log-luminance on the fine texture [FINE * SIZE, FINE * SIZE, 3]: its detail of both `BANDS`, and all.

    points: [468, 2] px of the mesh. places: see `mien.warping.folds.places`.
    """
    grey = cv2.cvtColor(np.ascontiguousarray(face), cv2.COLOR_RGB2GRAY)
    known = np.where(np.isfinite(places), places, points.mean(0)).astype(np.float32)
    zoom = FINE * SIZE / max(grey.shape)
    if zoom < 0.7:
        grey = cv2.resize(grey, None, fx=zoom, fy=zoom, interpolation=cv2.INTER_AREA)
        known *= np.float32(zoom)
    x, y = (cv2.resize(part, (FINE * SIZE, FINE * SIZE)) - 0.5 for part in cv2.split(known))
    log = LOG[cv2.remap(grey, x, y, cv2.INTER_LINEAR, borderMode=cv2.BORDER_REPLICATE)]
    fine, *broad = (blurred(log, FINE * sigma) for sigma in (FINEST, *BANDS))
    return np.stack([*(fine - part for part in broad), fine], 2)


def _crease(line: Line, course: _Course, detail: FloatArray) -> FloatArray:
    """Of a line's texels [p, 2]: log-luminance where it is folded by 1, and that of the photo's own crease there."""
    x, y = (np.asarray(FINE * part - 0.5, np.float32) for part in (course.x, course.y))
    strip = np.asarray(cv2.remap(detail, x, y, cv2.INTER_LINEAR))
    own, broad = (_along(np.ascontiguousarray(strip[..., k]), ALONG) for k in (0, 1))
    likely = np.exp(-own / (0.5 * FAINT) - (ASIDE / line.reach) ** 2 / 2)
    likely /= likely.sum(1, keepdims=True)
    moved = _along((likely * ASIDE).sum(1)[:, None], ALONG)[:, 0]
    lined = float(np.clip(-(likely * own).sum(1).mean() / FAINT, 0, OLD))
    n = len(moved)
    s = np.arange(n)
    moved = moved + 0.25 * np.sin(0.31 * s + line.points[0][0]) * np.sin(0.13 * s + line.points[0][1])
    strong = np.sin(np.pi * (s + 0.5) / n)  # fading to its ends, and not evenly
    uneven = strong * (0.85 + 0.15 * np.sin(0.23 * s + line.points[0][0]))
    over = np.sign(line.ridge) * (course.across - moved[course.along]) / line.width
    valley = -np.exp(-(np.where(over > 0, over, over / 1.7) ** 2) / 2)
    valley += abs(line.ridge) * np.exp(-(((over - 2.6) / 1.4) ** 2) / 2)
    column = np.clip((course.across + NEAR) / ACROSS, 0, own.shape[1] - 1).astype(int)
    near = np.exp(-((course.across / (2 * line.reach)) ** 2) / 2)
    had, gone = (
        strong[course.along] * near * np.minimum(part[course.along, column], 0) for part in (own, broad)
    )
    deep = line.depth * (YOUNG + (1.2 - YOUNG) * lined) * uneven[course.along] * valley
    return np.stack([deep + OWN * had, gone], 1).astype(np.float32)


def _along(strip: FloatArray, sigma: float) -> FloatArray:
    """`strip` [n, m] smoothed along its first axis by `sigma` px."""
    size = 2 * int(2 * sigma / STEP) + 1
    return np.asarray(cv2.GaussianBlur(strip, (1, size), 1, sigmaY=sigma / STEP), np.float32)
