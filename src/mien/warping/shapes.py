"""How expressions move a face: 52 blendshapes as displacements of 478 landmarks in three dimensions.

The displacements are ICT-FaceKit's (Li et al., "Learning Formation of Physically-Based Face Attributes", CVPR 2020;
MIT), read off its mesh by `factory/shapes.py`. A face in a photo gets them scaled and turned to its own pose.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path

import numpy as np

from mien.face.blendshapes import INDEX, NAMES
from mien.face.pose import rotation
from mien.types import FloatArray
from mien.warping.lips import LIFTS, meet
from mien.warping.mesh import (
    LEFT_IRIS,
    LEFT_LOWER_LID,
    LEFT_UPPER_LID,
    RIGHT_IRIS,
    RIGHT_LOWER_LID,
    RIGHT_UPPER_LID,
    STEADY,
    IndexArray,
    triangles,
)

LOWER = np.array(
    [not name.startswith(("eye", "brow")) for name in NAMES]
)  # what moves the face below the eyes
LIDS = ((RIGHT_UPPER_LID, RIGHT_LOWER_LID, RIGHT_IRIS), (LEFT_UPPER_LID, LEFT_LOWER_LID, LEFT_IRIS))
SHUT = 0.25  # share of the model's opening below which an eye counts as shut
MOST_TURN = 15.0  # degrees
PIVOT = np.array([0.0, 0.6, 3.0])  # what a head turns about, cm
CORNERS = 0.3  # share of the model's motion that the corners of the eyes take part in: bone holds them
HELD = 0.25  # of an eye's width: so far from its corners bone holds the skin with them
ALIKE = 0.25  # eyes whose openings would differ by less open alike: nobody means to wink by half
WIDEST = 1.2  # times its own opening: an eye opens no further
# Shares of its opening that the model leaves, and that are left: half an eye or none, for a slit of it is black.
SLIT = (0.15, 0.3, 0.5, WIDEST), (0.0, 0.48, 0.5, WIDEST)
STIRS = 0.02  # of a coefficient, or of lips that shut: below, a mouth's curves are as much the photo's
FROWNS = [INDEX["browDownLeft"], INDEX["browDownRight"]]
FROWN = 0.55  # share by which the inner ends of frowning brows go lower than the model's
SLIGHT = 0.25  # of a frown, beyond which they do
BROWS = ((52, 159, "Right"), (282, 386, "Left"))  # landmarks of a brow and of the lid below it
# Of each side, by x: the lower edge of a brow, the skin below it, and the fold of the lid; and shares of the brow's
# motion in these two: a brow's hair reaches below the mesh's edge, and would be smeared.
UNDER_BROWS = (
    ([46, 53, 52, 65, 55], [225, 224, 223, 222, 221], [30, 29, 27, 28, 56]),
    ([285, 295, 282, 283, 276], [441, 442, 443, 444, 445], [286, 258, 257, 259, 260]),
)
FOLLOWS = 0.6, 0.2
# Sines of the angle from which a head hides part of its far cheek, and where that is all of it.
TURNED = (0.2, 0.45)
FACING = (0.1, 0.6)  # cosines to the viewer of skin that is an outline, and of skin that is seen
HIGHEST = 1.8  # times its own distance from the lid: a brow goes no higher, for the skin between is stretched


@lru_cache(maxsize=1)
def head() -> tuple[FloatArray, FloatArray]:
    """Landmarks [478, 3] cm of a head at rest (x to the subject's left, y up, z to the viewer), and offsets
    [52, 478, 3] of each blendshape at 1, in the order of ``mien.face.blendshapes.NAMES``.

    Below the nose's tip those of eyes and brows die away: they leave the mouth as it is.
    """
    with np.load(Path(__file__).with_name("shapes.npz"), allow_pickle=False) as file:
        neutral, offsets = file["neutral"].astype(np.float64), file["offsets"].astype(np.float64)
    share = np.clip((neutral[:, 1] - neutral[2, 1]) / (neutral[4, 1] - neutral[2, 1]), 0, 1)
    offsets[~LOWER] *= share[:, None]
    brows = [name.startswith("brow") for name in NAMES]
    for brow, *rows in UNDER_BROWS:
        for row, follows in zip(rows, FOLLOWS, strict=True):
            along = [np.interp(neutral[row, 0], neutral[brow, 0], one) for one in np.eye(len(brow))]
            with_brow = np.einsum("bn,cbx->cnx", along, offsets[:, brow])[brows]
            offsets[np.ix_(brows, row)] += follows * (with_brow - offsets[np.ix_(brows, row)])
    return neutral, offsets


def similarity_3d(source: FloatArray, target: FloatArray) -> tuple[float, FloatArray, FloatArray]:
    """Scale, rotation [3, 3] and shift [3] of the least-squares similarity source [n, 3] → target [n, 3]
    (Umeyama 1991)."""
    mean_source, mean_target = source.mean(0), target.mean(0)
    a, b = source - mean_source, target - mean_target
    u, singular, vt = np.linalg.svd(b.T @ a)
    signs = np.array([1.0, 1.0, np.sign(np.linalg.det(u @ vt))])
    turn = u @ np.diag(signs) @ vt
    scale = float((singular * signs).sum() / (a**2).sum())
    return scale, turn, mean_target - scale * turn @ mean_source


@dataclass(frozen=True)
class Pose:
    """Where the model's head lies in a photo: photo px = scale * turn @ cm + shift."""

    scale: float
    turn: FloatArray
    shift: FloatArray

    def to_photo(self, offsets: FloatArray) -> FloatArray:
        """Displacements [..., 3] in cm → px."""
        return self.scale * offsets @ self.turn.T


def pose_of(landmarks: FloatArray) -> Pose:
    """The pose of a photo's `landmarks` [478, 3] px (y down, z negative towards the camera), from its steady points."""
    return _pose_of(np.asarray(landmarks, np.float64)[list(STEADY)].tobytes())


@lru_cache(maxsize=16)
def _pose_of(steady: bytes) -> Pose:
    neutral, _ = head()
    flipped = neutral * [1, -1, -1]
    scale, turn, shift = similarity_3d(flipped[list(STEADY)], np.frombuffer(steady).reshape(-1, 3))
    return Pose(scale, turn * [1, -1, -1], shift)


def facing(landmarks: FloatArray) -> FloatArray:
    """Cosine [468], -1 to 1, of the angle between the viewer and the skin at each landmark of [478, 3] px."""
    corners = triangles()
    first, second, third = (landmarks[corners[:, k]] for k in range(3))
    normals = np.cross(second - first, third - first)
    sums = np.stack([np.bincount(corners.ravel(), np.repeat(part, 3), 468) for part in normals.T], 1)
    return np.asarray(-sums[:, 2] / np.maximum(np.linalg.norm(sums, axis=1), 1e-9))


def beheld(change: FloatArray, landmarks: FloatArray, pose: Pose) -> FloatArray:
    """`change` [478, 3] px of `landmarks` [478, 3] px without what would push out or up a turned head's far outline:
    of what lies there a photo shows hardly anything that could be moved, but for the nose before it."""
    share = float(np.clip((abs(pose.turn[2, 0]) - TURNED[0]) / (TURNED[1] - TURNED[0]), 0, 1))
    if not share:
        return change
    side = 1 if pose.turn[2, 0] > 0 else -1
    neutral, _ = head()
    far = np.clip(side * neutral[:468, 0] - 0.5, 0, 1)
    hidden = share * far * (1 - np.clip((facing(landmarks) - FACING[0]) / (FACING[1] - FACING[0]), 0, 1))
    result = change.copy()
    for way in (side * pose.turn[:2, 0], pose.turn[:2, 1]):
        way = way / max(float(np.linalg.norm(way)), 1e-6)
        result[:468, :2] -= (hidden * np.maximum(change[:468, :2] @ way, 0))[:, None] * way
    return result


def moved(
    landmarks: FloatArray,
    before: FloatArray,
    after: FloatArray,
    turn: FloatArray | None = None,
    shut: float = 0.0,
) -> FloatArray:
    """Where a photo's landmarks [478, 3] px go when its face changes from coefficients `before` to `after` [52].

    `turn` (yaw, pitch, roll, degrees; signs as in `mien.face.pose`) turns the head on, by no more than `MOST_TURN`.

    Lids close by the share of their own opening that the model's would, and never cross; lips meet by the share
    `shut` (see `mien.warping.lips.meet`); irises turn by gaze alone; brows rise as far as the skin below them
    reaches, and slant when they frown, as in films of faces that do.
    """
    landmarks = np.asarray(landmarks, np.float64)
    neutral, offsets = head()
    pose = pose_of(landmarks)
    after = _with_room(landmarks, pose, before, after)
    change = np.tensordot(after - before, offsets, 1)
    frown = np.maximum((after - before)[FROWNS] - SLIGHT, 0) @ offsets[FROWNS, :, 1]
    change[:, 1] += FROWN * np.exp(-(((np.abs(neutral[:, 0]) - 1.4) / 1.4) ** 2)) * frown
    target = landmarks + beheld(pose.to_photo(change), landmarks, pose)
    at_first = neutral + np.tensordot(before, offsets, 1)
    at_last = neutral + np.tensordot(after, offsets, 1)
    shares = _openings(at_first, at_last)
    beside = _beside()
    for (upper, lower, _), share in zip(LIDS, shares, strict=True):
        up, low, corners = list(upper[1:-1]), list(lower[1:-1]), [upper[0], upper[-1]]
        too_far = (1 - CORNERS) * (target[corners] - landmarks[corners])
        wide = np.linalg.norm(np.diff(landmarks[corners, :2], axis=0))
        for corner, less in zip(corners, too_far, strict=True):
            away = np.linalg.norm(landmarks[beside, :2] - landmarks[corner, :2], axis=1)
            target[beside] -= np.exp(-((away / (HELD * wide)) ** 2))[:, None] * less
        target[corners] -= too_far
        target[low] -= too_far.mean(0)
        # The lower lid goes where the model says, but no more than a third of the way; the upper lid closes the rest.
        # Each lid keeps its own curve: what single landmarks say would bend a shut eye's line.
        opening = landmarks[low] - landmarks[up]
        length = np.maximum(np.linalg.norm(opening[:, :2], axis=1), 1e-6)
        rise = -((target[low] - landmarks[low])[:, :2] * opening[:, :2]).sum(1) / length**2
        rise = float(np.clip((rise * length).sum() / length.sum(), -0.2, 0.33))
        target[low] = landmarks[low] - rise * opening
        target[up] = target[low] - share * opening
    stirs = min(max(shut, float(np.abs((after - before)[LOWER]).max())) / STIRS, 1.0)
    if stirs > 0:
        met = target.copy()
        meet(landmarks, met, before, after, pose.to_photo(offsets[list(LIFTS)].sum(0)), shut)
        target += stirs * (met - target)
    if turn is not None:
        centre = pose.shift + pose.to_photo(PIVOT)
        target = centre + (target - centre) @ _turning(np.clip(turn, -MOST_TURN, MOST_TURN)).T
    return target


@lru_cache(maxsize=1)
def _beside() -> IndexArray:
    """The landmarks of the mesh that are no lid's."""
    return np.setdiff1d(np.arange(468), [k for upper, lower, _ in LIDS for k in (*upper, *lower)])


def _openings(first: FloatArray, last: FloatArray) -> FloatArray:
    """What share of its opening each eye keeps [2], when a head's points [478, 3] cm go from `first` to `last`."""
    neutral, _ = head()
    shares = np.empty(2)
    for side, (upper, lower, _) in enumerate(LIDS):
        up, low = list(upper[1:-1]), list(lower[1:-1])
        rest, before, after = (
            float(np.maximum(m[up, 1] - m[low, 1], 0).mean()) for m in (neutral, first, last)
        )
        before, after = (max(opening - SHUT * rest, 0) for opening in (before, after))
        wider = 1 + (after - before) / max(before, 0.25 * rest)  # hardly open eyes open bit by bit
        shares[side] = min(after / max(before, 1e-6) if after < before else wider, WIDEST)
    shares = np.interp(shares, *SLIT)
    apart = np.clip((np.ptp(shares) - ALIKE) / ALIKE, 0, 1)
    return np.asarray(shares.mean() + apart * (shares - shares.mean()))


def _with_room(landmarks: FloatArray, pose: Pose, before: FloatArray, after: FloatArray) -> FloatArray:
    """`after` [52] with no brow higher than `HIGHEST` allows."""
    _, offsets = head()
    change, up = after - before, pose.turn[:, 1]
    for brow, lid, side in BROWS:
        gap = max(float((landmarks[brow] - landmarks[lid]) @ up) / pose.scale, 0.0)
        mine = [INDEX[name] for name in ("browInnerUp", f"browOuterUp{side}", f"browDown{side}")]
        rise = float(change[mine] @ offsets[mine, brow, 1])
        if rise > (HIGHEST - 1) * gap:
            change[mine] *= (HIGHEST - 1) * gap / rise
    return np.asarray(before + change)


def _turning(turn: FloatArray) -> FloatArray:
    """[3, 3] of px (y down, z away from the camera), from angles of a head seen with y up and z to the viewer."""
    axes = np.diag([1.0, -1.0, -1.0])
    return np.asarray(axes @ rotation(turn) @ axes)
