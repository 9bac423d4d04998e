"""What was done to a photograph's face: toward a known truth, in detail, at the border, in colour. Pure functions.

Pictures are [H, W, 3] uint8 RGB, landmarks [478, 2 or 3] px of them (MediaPipe's, by an analyser that made none of the
pictures). Directions, ranges, units and sources are in `mien.metrics.registry`.

Glossary: R the result, P the photo, T the truth; Y luminance (Rec. 601); ⟨·⟩ the mean over the face's oval.
"""

from __future__ import annotations

from collections.abc import Callable
from contextlib import suppress
from dataclasses import dataclass
from typing import Any

import cv2
import numpy as np
from numpy.typing import NDArray

from mien.images import changed_pixels
from mien.types import ByteImage, FloatArray
from mien.warping import mesh

Mask = NDArray[np.bool_]

SIDE, BETWEEN_EYES = 320, 110.0  # px of an aligned picture, and between the outer corners of the eyes in it
LARGEST = 700.0  # px: larger pictures are reduced before they are aligned, which spares them aliasing
ANCHORS = (33, 133, 362, 263, 168, 6, 197, 2)  # eyes and nose
BRIDGE = 168  # lies at (0.5, 0.36) of an aligned picture
SOFT = 2.0  # px (Gaussian sigma) of an aligned picture: what a small error of alignment may hide
ALONG = 9  # px of the border over which a step is a seam and not noise
REACH = 0.01  # of the side of what was changed: how far an edge of the photo may have been moved, which is no seam
BAND = 256  # rows in work at a time
NEIGHBOURS = ((np.s_[:, :-1], np.s_[:, 1:]), (np.s_[:-1], np.s_[1:]))
# sRGB (IEC 61966-2-1): values of a byte as linear light; that as XYZ over that of white, D65
_BYTES = np.arange(256) / 255
_LINEAR = np.where(_BYTES <= 0.04045, _BYTES / 12.92, ((_BYTES + 0.055) / 1.055) ** 2.4).astype(np.float32)
_TO_XYZ = np.array([[0.4124, 0.3576, 0.1805], [0.2126, 0.7152, 0.0722], [0.0193, 0.1192, 0.9505]], np.float32)
_TO_XYZ /= _TO_XYZ.sum(1, keepdims=True)
BROWS = ((46, 53, 52, 65, 55, 107, 66, 105, 63, 70), (276, 283, 282, 295, 285, 336, 296, 334, 293, 300))


@dataclass(frozen=True)
class Aligned:
    """Pictures whose eyes and noses lie where those of the first do. pictures: [n, SIDE, SIDE, 3] uint8. face: [SIDE,
    SIDE], the oval of the first picture's face."""

    pictures: ByteImage
    face: Mask

    def normalised(self) -> FloatArray:
        """Y with mean 0 and deviation 1 over the face, [n, SIDE, SIDE] float32."""
        grey = np.stack([cv2.cvtColor(p, cv2.COLOR_RGB2GRAY) for p in self.pictures]).astype(np.float32)
        inside = grey[:, self.face]
        mean, deviation = inside.mean(1), np.maximum(inside.std(1), 1e-6)
        return np.asarray((grey - mean[:, None, None]) / deviation[:, None, None])


def aligned(*faces: tuple[ByteImage, FloatArray]) -> Aligned:
    """Pictures with their landmarks → the same, aligned to the first by a robust similarity of eyes and nose. Raises
    `ValueError`: a face's eyes and nose lie in one point, so nothing can be aligned to them."""
    first = np.asarray(faces[0][1], np.float64)[:, :2]
    wide = float(np.linalg.norm(first[33] - first[263]))
    if wide < 1e-6:
        raise ValueError("cannot align: the eyes coincide")
    goal = (first - first[BRIDGE]) * (BETWEEN_EYES / wide) + [SIDE / 2, 0.36 * SIDE]
    pictures = []
    for number, (image, landmarks) in enumerate(faces):
        zoom = min(1.0, LARGEST / max(image.shape[:2]))
        small = cv2.resize(image, None, fx=zoom, fy=zoom, interpolation=cv2.INTER_AREA) if zoom < 1 else image
        points = np.asarray(landmarks, np.float64)[:, :2] * zoom
        chosen = list(ANCHORS)
        matrix, _ = cv2.estimateAffinePartial2D(
            points[chosen].astype(np.float32), goal[chosen].astype(np.float32), method=cv2.LMEDS
        )
        if matrix is None:
            raise ValueError("cannot align: eyes and nose lie in one point")
        pictures.append(cv2.warpAffine(small, matrix, (SIDE, SIDE), flags=cv2.INTER_AREA))
        if number == 0:
            oval = points[list(mesh.OVAL)] @ matrix[:, :2].T + matrix[:, 2]
            face = cv2.erode(_polygon(oval, (SIDE, SIDE)), np.ones((9, 9), np.uint8)) > 0
    return Aligned(np.stack(pictures), face)


def compared(result: tuple[ByteImage, FloatArray], photo: tuple[ByteImage, FloatArray]) -> dict[str, float]:
    """`detail`, `seam` and `colour` by name; nan where one cannot be told: a seam between pictures of two sizes, a face
    that is cut off."""
    measures: dict[str, Callable[[], float]] = {
        "detail": lambda: detail(result, photo),
        "seam": lambda: seam(result[0], photo[0]),
        "colour": lambda: colour(result, photo),
    }
    scores = dict.fromkeys(measures, float("nan"))
    for name, measure in measures.items():
        with suppress(ValueError):
            scores[name] = float(measure())
    return scores


def gain(
    result: tuple[ByteImage, FloatArray],
    photo: tuple[ByteImage, FloatArray],
    truth: tuple[ByteImage, FloatArray],
) -> float:
    """1 - d(R, T) / d(P, T), d(A, B) = ⟨|G(A) - G(B)|⟩: how far a result went from the photo to the truth.

    A, B are normalised Y, aligned to the truth; G blurs by 2 px; the oval is the truth's. 1: the truth itself; 0: as
    far as doing nothing; nan: the photo is its own truth. A blur comes a little nearer to any truth: read `detail`
    beside it.
    """
    pictures = aligned(truth, photo, result)
    face = pictures.face
    t, p, r = (cv2.GaussianBlur(y, (0, 0), SOFT) for y in pictures.normalised())
    before = float(np.abs(p - t)[face].mean())
    return 1 - float(np.abs(r - t)[face].mean()) / before if before > 1e-6 else float("nan")


def detail(result: tuple[ByteImage, FloatArray], photo: tuple[ByteImage, FloatArray]) -> float:
    """⟨|∇²R|⟩ / ⟨|∇²P|⟩ of normalised Y, aligned to the photo: 1 is as sharp as it was, below is blurred. ∇² is the
    four-neighbour Laplacian at 110 px between the eyes; above 1, edges or noise were added."""
    pictures = aligned(photo, result)
    p, r = (float(np.abs(cv2.Laplacian(y, cv2.CV_32F))[pictures.face].mean()) for y in pictures.normalised())
    return r / max(p, 1e-9)


def seam(result: ByteImage, photo: ByteImage) -> float:
    """max over the border of C of the mean along it of (|R_p - R_q| - S), grey levels, 0 or more.

    C is what was changed, its holes filled; p in C and q outside of it are neighbours, R and P are Y. S is |P_p - P_q|,
    or the largest step of the median of P (5 x 5) nearby, within `REACH` of the root of C's area, if that is more.
    Steps are averaged along the border in windows of 9 px. Pictures of one size; 0 where nothing was changed, or
    everything.
    """
    if result.shape != photo.shape:
        raise ValueError(f"pictures of one size needed, got {result.shape} and {photo.shape}")
    outlines, _ = cv2.findContours(
        changed_pixels(result, photo).astype(np.uint8), cv2.RETR_EXTERNAL, cv2.CHAIN_APPROX_NONE
    )
    if not outlines:
        return 0.0
    changed = np.zeros(photo.shape[:2], np.uint8)
    cv2.drawContours(changed, outlines, -1, 1, cv2.FILLED)
    r, p = (np.asarray(cv2.cvtColor(one, cv2.COLOR_RGB2GRAY), np.uint8) for one in (result, photo))
    reach = 2 * max(round(REACH * float(np.sqrt(changed.sum()))), 1) + 1
    border = sum(int((changed[here] != changed[there]).sum()) for here, there in NEIGHBOURS)
    highest = 0.0
    for first in range(0, len(r), BAND):  # large photographs would otherwise fill the memory
        margin = ALONG + reach
        low = max(first - margin, 0)
        part = np.s_[low : first + BAND + margin]
        step, inside = _steps(r[part], p[part], changed[part], min(ALONG, border), reach)
        rows = np.s_[first - low : first - low + BAND]
        highest = max(highest, float(step[rows][inside[rows]].max(initial=0.0)))
    return highest


def _steps(
    r: NDArray[Any], p: NDArray[Any], changed: ByteImage, least: int, reach: int
) -> tuple[FloatArray, Mask]:
    """How much larger steps across the border of `changed` are in `r` than in `p`, mean over a window, [h, w]; and
    where there is a border, with at least so many of its pairs in the window."""
    smooth = np.asarray(cv2.medianBlur(p, 5), np.float32)
    r, p = r.astype(np.float32), p.astype(np.float32)
    nearby = np.zeros_like(r)
    for here, there in NEIGHBOURS:
        nearby[here] = np.maximum(nearby[here], np.abs(smooth[here] - smooth[there]))
    nearby = np.asarray(cv2.dilate(nearby, np.ones((reach, reach), np.uint8)))
    more, count = np.zeros_like(r), np.zeros_like(r)
    for here, there in NEIGHBOURS:
        border = changed[here] != changed[there]
        given = np.maximum(np.abs(p[here] - p[there]), nearby[here])
        more[here] += border * (np.abs(r[here] - r[there]) - given)
        count[here] += border
    total, pairs = (
        cv2.boxFilter(one, -1, (ALONG, ALONG), normalize=False, borderType=cv2.BORDER_CONSTANT)
        for one in (more, count)
    )
    return total / np.maximum(pairs, 1), (count > 0) & (pairs >= least)


def colour(result: tuple[ByteImage, FloatArray], photo: tuple[ByteImage, FloatArray]) -> float:
    """ΔE = ‖Lab(R) - Lab(P)‖ (CIE 1976) of the skin's mean colours; about 2 can be told side by side. Skin is the
    face's oval without eyes, brows and lips, of each picture by its own landmarks. Lab is of sRGB, white D65."""
    return float(np.linalg.norm(_skin(*result) - _skin(*photo)))


def _skin(image: ByteImage, landmarks: FloatArray) -> FloatArray:
    """Mean Lab [3] of a face's skin."""
    flat = np.asarray(landmarks, np.float64)[:, :2]
    low, high = np.floor(flat.min(0)).astype(int).clip(0), np.ceil(flat.max(0)).astype(int) + 1
    part = image[low[1] : high[1], low[0] : high[0]]
    mask = _polygon(flat[list(mesh.OVAL)] - low, part.shape[:2])
    for outline in (
        *BROWS,
        mesh.RIGHT_UPPER_LID + mesh.RIGHT_LOWER_LID[::-1],
        mesh.LEFT_UPPER_LID + mesh.LEFT_LOWER_LID[::-1],
        mesh.OUTER_UPPER_LIP + mesh.OUTER_LOWER_LIP[::-1],
    ):
        mask[_polygon(flat[list(outline)] - low, part.shape[:2]) > 0] = 0
    if not mask.any():
        raise ValueError("the face has no skin inside the picture")
    # OpenCV's conversion first fills a table, which takes longer than all of this.
    t = cv2.transform(_LINEAR[part[mask > 0]][None], _TO_XYZ)[0]
    x, y, z = np.where(t > (6 / 29) ** 3, np.cbrt(t), t / 3 / (6 / 29) ** 2 + 4 / 29).mean(0, np.float64)
    return np.array([116 * y - 16, 500 * (x - y), 200 * (y - z)])


def _polygon(corners: FloatArray, shape: tuple[int, ...]) -> ByteImage:
    """1 inside the convex hull of `corners` [n, 2] px, [H, W] uint8."""
    mask = np.zeros(shape[:2], np.uint8)
    return np.asarray(cv2.fillConvexPoly(mask, cv2.convexHull(corners.astype(np.int32)), 1))
