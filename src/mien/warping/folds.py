"""Folds and shading of an expression, as a ratio of luminance that a photograph is multiplied by.

A warp moves skin but makes no nasolabial fold and no shade under lowered brows. An expression ratio image (Liu, Shan
and Zhang, "Expressive Expression Mapping with Ratio Images", SIGGRAPH 2001) does: R = I(after) / I(before) at the same
point of skin. Here R is not taken from two pictures but from a model learned on photographs (``factory/folds.py``):
log R = (after - before) W, W [52, texels] the change of log-luminance per blendshape.

Texture space: [SIZE, SIZE], the mean face's 468 points at `uv` px, texel (row, column) centred at (column + 0.5, row +
0.5). log R falls to 0 at the face's oval, at the eyes' openings and at the line between the lips. R multiplies values
of sRGB; since sRGB is close to a power law, that is a ratio of linear light as well (R^2.2). It is smooth (nothing
finer than a hundredth of the face's height), so the photo's detail stays as it is.

Shade on skin is redder: each colour k is multiplied by 1 + (1 + c (t_k - 1)) (R - 1), t `TINT`, c the photo's chroma
(ours), and none is brightened past 250.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path

import cv2
import numpy as np
from numpy.typing import NDArray

from mien.face.blendshapes import INDEX
from mien.types import ByteImage, FloatArray
from mien.warping.mesh import (
    LEFT_LOWER_LID,
    LEFT_UPPER_LID,
    LOWER_LIP,
    OVAL,
    RIGHT_LOWER_LID,
    RIGHT_UPPER_LID,
    UPPER_LIP,
)
from mien.warping.shapes import beheld, head, pose_of

IndexArray = NDArray[np.integer]
SIZE = 192
_LIMIT = 0.5
ACROSS = 3.0  # cm: how gradually one side's smile becomes the other's
# Levels of the darkest colour: where a photo is white, and how far below it begins to be.
WHITE, NEARLY = 250.0, 30.0
# of a change of light, in each colour of skin: less of it in red, which skin lets through
TINT = (0.7, 1.08, 1.3)
_CELLS = 160  # side of the grid that the texture is laid on, over the face's larger side
_NOWHERE = -1e6  # so far that what is interpolated towards it shows nothing of the texture
_OPENINGS = (  # closed outlines of what is never touched
    RIGHT_UPPER_LID + RIGHT_LOWER_LID[::-1],
    LEFT_UPPER_LID + LEFT_LOWER_LID[::-1],
    UPPER_LIP + LOWER_LIP[::-1],
)


@dataclass(frozen=True)
class _Model:
    """uv [468, 2]; texels [p] (row * SIZE + column), their corners [3, p] and shares [3, p]; weights [52, p]; slide
    [478, 3] cm of a full smile."""

    uv: FloatArray
    texels: IndexArray
    corners: IndexArray
    shares: FloatArray
    weights: FloatArray
    slide: FloatArray


@lru_cache(maxsize=1)
def _model() -> _Model:
    with np.load(Path(__file__).with_name("folds.npz"), allow_pickle=False) as file:
        shares = file["shares"].astype(np.float32)
        return _Model(
            file["uv"],
            file["texels"].astype(np.int64),
            np.ascontiguousarray(file["corners"].T.astype(np.int64)),
            np.ascontiguousarray((shares / shares.sum(1, keepdims=True)).T),
            file["weights"] * file["scale"][:, None],
            np.pad(file["slide"].astype(np.float64), ((0, 10), (0, 1))),
        )


def uv() -> FloatArray:
    """Where the mesh's 468 points lie in the texture, [468, 2] px."""
    return _model().uv


def slid(landmarks: FloatArray, before: FloatArray, after: FloatArray) -> FloatArray:
    """How far skin slides beneath the mesh [478, 3] px, where `landmarks` [478, 3] px are those of a face that has gone
    from coefficients `before` to `after` [52].

    Landmarks keep to lips, nose and outline. A smile takes the skin of the cheeks further out and up than they say.
    """
    change = np.asarray(after, np.float64) - before
    neutral, _ = head()
    left = np.clip(0.5 + neutral[:, :1] / ACROSS, 0, 1)
    smile = change[INDEX["mouthSmileRight"]] + left * (
        change[INDEX["mouthSmileLeft"]] - change[INDEX["mouthSmileRight"]]
    )
    pose = pose_of(landmarks)
    return beheld(pose.to_photo(_model().slide * smile), landmarks, pose)


def ratio(before: FloatArray, after: FloatArray, strength: float = 0.7) -> FloatArray:
    """log R [SIZE, SIZE] float32 of a face whose blendshapes [52] go from `before` to `after`; 0: no change.

    Linear while small; never beyond a factor of exp(0.5), where folds would turn into stripes.
    """
    model = _model()
    shapes = strength * (np.asarray(after, np.float32) - np.asarray(before, np.float32))
    # BLAS would wake its threads for less than they cost.
    change = np.einsum("k,kp->p", shapes, model.weights)
    texture = np.zeros(SIZE * SIZE, np.float32)
    texture[model.texels] = _LIMIT * np.tanh(change / _LIMIT)
    return texture.reshape(SIZE, SIZE)


def places(points: FloatArray) -> FloatArray:
    """Where each texel lies [SIZE, SIZE, 2] px on a face with its mesh at `points` [>= 468, 2] px; nan beyond it."""
    model = _model()
    at = np.full((SIZE * SIZE, 2), np.nan, np.float32)
    at[model.texels] = sum(points[model.corners[k]] * model.shares[k][:, None] for k in range(3))
    return at.reshape(SIZE, SIZE, 2)


def _splat(
    x: FloatArray, y: FloatArray, values: FloatArray, width: int, height: int, beyond: float = 0.0
) -> FloatArray:
    """Values [n] at cells (x, y) spread over a grid [height, width] and averaged (normalised convolution)."""
    column, row = x.astype(np.int64), y.astype(np.int64)
    fx, fy = x - np.floor(x), y - np.floor(y)
    total, share = np.zeros(width * height), np.full(width * height, 1e-6)
    for step, part in (
        (0, (1 - fx) * (1 - fy)),
        (1, fx * (1 - fy)),
        (width, (1 - fx) * fy),
        (width + 1, fx * fy),
    ):
        cell = row * width + column + step
        total += np.bincount(cell, part * values, len(total))
        share += np.bincount(cell, part, len(total))
    both = np.stack([total, share], 1).reshape(height, width, 2).astype(np.float32)
    both = np.asarray(cv2.GaussianBlur(both, (0, 0), 1.0), np.float32)
    return np.where(both[..., 1] > 1e-4, both[..., 0] / both[..., 1], np.float32(beyond))


def texels(points: FloatArray, width: int, height: int) -> tuple[FloatArray, FloatArray]:
    """Which place of the texture each pixel shows, x and y px [height, width] float32, of a picture with the mesh at
    `points` [>= 468, 2] px; far outside of it beyond the mesh."""
    model = _model()
    zoom = np.float32(_CELLS / max(width, height))
    columns, rows = (max(int(np.ceil(side * zoom)), 4) for side in (width, height))
    scale = np.array([columns / width, rows / height], np.float32)
    x, y = (
        sum(side[model.corners[k]] * model.shares[k] for k in range(3)) - np.float32(0.5)
        for side in np.ascontiguousarray((points * scale).T.astype(np.float32))
    )
    kept = (x >= 0) & (x < columns - 1) & (y >= 0) & (y < rows - 1)
    at = model.texels[kept]
    few = (_splat(x[kept], y[kept], part + 0.5, columns, rows, _NOWHERE) for part in (at % SIZE, at // SIZE))
    across, down = (np.asarray(cv2.resize(part, (width, height)), np.float32) for part in few)
    return across, down


def apply(image: ByteImage, landmarks: FloatArray, log_ratio: FloatArray, chroma: float = 0.0) -> ByteImage:
    """`image` [H, W, 3] uint8 times the exponential of `log_ratio` [SIZE, SIZE], laid on the face at `landmarks`.

    `landmarks` [>= 468, >= 2] px are where the face's points are in `image`, that is after the warp. Outside the
    face's oval, inside the eyes and inside the mouth's opening every value stays as it is. Nothing is brightened
    into white, and white that lost its skin to the exposure gets no shade. `chroma`: of the photo's colours, see
    `mien.warping.tone.Tone`; shade on skin is the redder for it.
    """
    result = image.copy()
    points = np.asarray(landmarks, np.float32)[:468, :2]
    low = np.maximum(np.floor(points.min(0)).astype(int) - 2, 0)
    high = np.minimum(np.ceil(points.max(0)).astype(int) + 2, (image.shape[1], image.shape[0]))
    if not log_ratio.any() or (high <= low).any():
        return result
    model = _model()
    crop = result[low[1] : high[1], low[0] : high[0]]
    size = high - low
    cells = np.maximum(np.round(size * (_CELLS / size.max())), 4).astype(int)
    local = points - low.astype(np.float32)
    grid = local * (cells / size).astype(np.float32)
    x, y = (
        sum(side[model.corners[k]] * model.shares[k] for k in range(3)) - np.float32(0.5)
        for side in np.ascontiguousarray(grid.T)
    )
    kept = (x >= 0) & (x < cells[0] - 1) & (y >= 0) & (y < cells[1] - 1)
    gain = np.exp(_splat(x[kept], y[kept], log_ratio.ravel()[model.texels[kept]], *cells))
    red, green, blue = cv2.split(cv2.resize(crop, cells.tolist(), interpolation=cv2.INTER_AREA))
    brightest = np.maximum(np.maximum(red, green), blue)
    most = np.maximum(250 / np.maximum(brightest, 1), 1).astype(np.float32)
    gain = np.minimum(gain, most)
    darkest = np.minimum(np.minimum(red, green), blue).astype(np.float32)
    gain = 1 + (gain - 1) * np.clip((WHITE - darkest) / NEARLY, 0, 1)
    gain = np.asarray(gain, np.float32)
    closed = np.zeros(gain.shape, np.float32)
    for opening in _OPENINGS:
        cv2.fillPoly(closed, [np.round(grid[list(opening)] - 0.5).astype(np.int32)], 1)
    # 1 up to an opening's edge: no seam there
    closed = np.minimum(2 * cv2.GaussianBlur(closed, (0, 0), 1.5), 1)
    gain += closed * (1 - gain)
    mask = np.zeros(crop.shape[:2], np.uint8)
    cv2.fillPoly(mask, [np.round(local[list(OVAL)] - 0.5).astype(np.int32)], 1)
    for opening in _OPENINGS:
        cv2.fillPoly(mask, [np.round(local[list(opening)] - 0.5).astype(np.int32)], 0)
    tints = (np.float32(1 + chroma * (share - 1)) for share in TINT)
    gains = cv2.merge([np.minimum(1 + tint * (gain - 1), most) for tint in tints])
    full = cv2.resize(gains, size.tolist(), interpolation=cv2.INTER_LINEAR)
    lit = cv2.multiply(crop, full, dtype=cv2.CV_8U)
    cv2.copyTo(lit, mask, crop)
    return result
