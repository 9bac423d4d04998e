"""What the rendered heads look like: skin, brows, lips, eyes, beard and hair, painted on vertices by their
place.

The morphable head has no texture, so everything is painted procedurally on its mean shape: x, y, z there
are "where on a face" a vertex is, whatever its person's shape. Colours are linear RGB in [0, 1] unless a
name says sRGB.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import lru_cache

import numpy as np

from factory.faces.ict import BROWS, EYE_LINES, OUTER_LIPS, PARTS, IctHead
from factory.faces.looks import Look, linear
from mien.types import FloatArray

# Height (cm, mean head) above which hair grows, by z from the back of the head to the forehead.
_HAIRLINE = np.array(
    [[-9, -3.2, -2.4, 1.5, 3.5, 5, 7, 10], [-7, -5, 4.0, 4.2, 5.2, 7.0, 9.4, 10.3]], dtype=np.float32
)

EYE_RINGS, EYE_SECTORS = 17, 28


@dataclass(frozen=True)
class Regions:
    """Where things are on the mean head. Each is [26719] float32 in [0, 1] unless said otherwise.

    Attributes:
        brow_distance: cm from the brow's middle line, and `brow_along` [26719] 0 (inner) to 1 (outer end).
        hair_height: cm above the average hairline (negative: skin).
    """

    place: FloatArray  # [26719, 3] cm
    lips: FloatArray
    brow_distance: FloatArray
    brow_along: FloatArray
    hair_height: FloatArray
    beard: FloatArray
    moustache: FloatArray
    cheeks: FloatArray
    lid_line: FloatArray
    under_eye: FloatArray
    ears: FloatArray


def _smooth(low: float, high: float, value: FloatArray) -> FloatArray:
    share = np.clip((value - low) / (high - low), 0, 1)
    return (share * share * (3 - 2 * share)).astype(np.float32)


def _polyline(points: FloatArray, line: FloatArray) -> tuple[FloatArray, FloatArray]:
    """Distance [n] of 2-D `points` to the open polyline `line` [k, 2], and where along it [n] in [0, 1]."""
    start, step = line[:-1], np.diff(line, axis=0)
    share = ((points[:, None] - start) * step).sum(2) / (step**2).sum(1)
    share = np.clip(share, 0, 1)
    distance = np.linalg.norm(points[:, None] - (start + share[..., None] * step), axis=2)
    best = distance.argmin(1)
    rows = np.arange(len(points))
    return distance[rows, best], (best + share[rows, best]) / len(step)


def _inside(points: FloatArray, polygon: FloatArray) -> FloatArray:
    """Whether 2-D `points` lie in `polygon` (even-odd rule)."""
    inside = np.zeros(len(points), bool)
    for a, b in zip(polygon, np.roll(polygon, -1, 0), strict=True):
        crosses = (a[1] > points[:, 1]) != (b[1] > points[:, 1])
        with np.errstate(divide="ignore", invalid="ignore"):
            at = a[0] + (points[:, 1] - a[1]) / (b[1] - a[1]) * (b[0] - a[0])
        inside ^= crosses & (points[:, 0] < at)
    return inside


@lru_cache(maxsize=1)
def regions(head: IctHead) -> Regions:
    """The regions of the mean head (computed once)."""
    place = head.neutral
    flat = place[:, :2].astype(np.float64)
    face = np.zeros(len(place), bool)
    face[PARTS["face"]] = True
    outer = place[list(OUTER_LIPS), :2].astype(np.float64)
    edge, _ = _polyline(flat, np.concatenate([outer, outer[:1]]))
    lips = np.where(_inside(flat, outer), 1.0, 1 - _smooth(0.0, 0.12, edge)) * face * (place[:, 2] > 9.0)
    distance, along = np.full(len(place), 9.0), np.zeros(len(place))
    for brow in BROWS:
        line = place[list(brow), :2].astype(np.float64) - [0, 0.6]  # Multi-PIE marks the brow's upper edge
        d, s = _polyline(flat, line)
        s = 1 - s
        nearer = (d < distance) & face & (place[:, 2] > 6)
        distance, along = np.where(nearer, d, distance), np.where(nearer, s, along)
    x, y, z = place.T
    ears = _smooth(7.3, 7.7, np.abs(x)) * _smooth(5.2, 4.6, y) * _smooth(-6.5, -6, y) * (z > -3)
    skin_parts = np.zeros(len(place), bool)
    skin_parts[: PARTS["head"].stop] = True
    height = np.where(skin_parts & (ears < 0.3), y - np.interp(z, *_HAIRLINE), -9.0)
    jaw = _smooth(-1.5, -4.0, y + 0.12 * (np.abs(x) - 3)) * _smooth(-10.5, -9.0, y) * (z > 1.0)
    sides = _smooth(4.6, 7.2, np.abs(x)) * _smooth(2.5, 0.0, y) * (z > 2.0) * _smooth(-10.5, -9.0, y)
    around_mouth = 1 - _smooth(2.2, 3.2, np.hypot(x / 1.25, (y + 3.0) / 0.9)) * 1.0
    beard = np.maximum(np.maximum(jaw, sides) * (1 - 0.8 * around_mouth * (y > -4.4)), 0) * face
    goatee = _smooth(2.3, 1.8, np.abs(x)) * _smooth(-4.5, -4.9, y) * (y > -9) * face
    beard = np.maximum(beard, goatee) * (1 - np.clip(lips * 2, 0, 1))
    moustache = (
        _smooth(2.9, 2.2, np.abs(x))
        * _smooth(-1.15, -1.5, y)
        * _smooth(-3.5, -3.0, y + 0.12 * np.abs(x))
        * (z > 9.5)
        * face
        * (1 - np.clip(lips * 2, 0, 1))
    )
    cheeks = np.exp(-(((np.abs(x) - 4.2) / 1.6) ** 2) - ((y - 0.2) / 1.6) ** 2) * (z > 4)
    cheeks = np.maximum(cheeks, np.exp(-((x / 1.3) ** 2) - ((y - 0.3) / 1.0) ** 2) * (z > 11)) * face
    lids = np.full(len(place), 9.0)
    under = np.zeros(len(place))
    for line_of in EYE_LINES:
        line = place[list(line_of), :2].astype(np.float64)
        d, _ = _polyline(flat, np.concatenate([line, line[:1]]))
        lids = np.minimum(lids, d)
        centre = line.mean(0)
        under = np.maximum(
            under, np.exp(-(((x - centre[0]) / 1.5) ** 2) - ((y - centre[1] + 0.9) / 0.5) ** 2)
        )
    lid_line = _smooth(0.16, 0.03, lids) * face * (z > 7)
    return Regions(
        place,
        *(
            part.astype(np.float32)
            for part in (
                lips,
                distance,
                along,
                height,
                beard,
                moustache,
                cheeks,
                lid_line,
                under * face,
                ears,
            )
        ),
    )


def _waves(place: FloatArray, rng: np.random.Generator, wavelength: float, count: int = 12) -> FloatArray:
    """Smooth noise [n] of about unit variance: a sum of plane waves of about `wavelength` cm."""
    directions = rng.normal(size=(count, 3))
    directions *= 2 * np.pi / wavelength / np.linalg.norm(directions, axis=1, keepdims=True)
    directions *= rng.uniform(0.6, 1.6, (count, 1))
    phases = rng.uniform(0, 2 * np.pi, count)
    return np.cos(place @ directions.T.astype(np.float32) + phases.astype(np.float32)).sum(1) * np.sqrt(
        2 / count
    )


def hair_cover(area: Regions, look: Look) -> FloatArray:
    """How much each vertex is hair, [26719] in [0, 1]."""
    if look.bald:
        return np.zeros(len(area.place), np.float32)
    rng = np.random.default_rng(look.noise_seed)
    ragged = 0.12 * _waves(area.place, rng, 1.6)
    recede = look.hairline * (area.place[:, 2] > 4)
    return _smooth(-0.45, 0.5, area.hair_height + ragged - recede)


def albedo(head: IctHead, look: Look) -> tuple[FloatArray, FloatArray]:
    """Linear RGB [26719, 3] float32 of each vertex, and its hair cover [26719]."""
    area = regions(head)
    place = area.place
    rng = np.random.default_rng(look.noise_seed + 1)
    n = len(place)
    colour = np.tile(look.skin, (n, 1))
    tone = look.blotches * (0.6 * _waves(place, rng, 5.0) + 0.4 * _waves(place, rng, 1.5))
    colour *= (1 + tone[:, None] + rng.normal(0, 0.015, (n, 1))).astype(np.float32)
    spots = (rng.random(n) < look.freckles * 2)[:, None] * area.cheeks[:, None]
    colour *= 1 - 0.3 * spots
    red = np.clip(area.cheeks * rng.uniform(0.3, 1) + 0.5 * area.ears, 0, 1)[:, None]
    colour *= 1 - red * np.array([0.02, 0.16, 0.13], np.float32)
    colour *= 1 - area.under_eye[:, None] * float(rng.uniform(0.05, 0.25)) * np.array(
        [0.9, 1.0, 0.8], np.float32
    )

    def paint(amount: FloatArray, new: FloatArray) -> None:
        colour[:] += np.clip(amount, 0, 1)[:, None].astype(np.float32) * (new - colour)

    paint(0.9 * area.lips, look.lips)
    hairs = 0.85 + 0.15 * _waves(place, rng, 0.5)
    paint(look.stubble * area.beard, look.brow_colour)
    paint(look.stubble * area.moustache, look.brow_colour)
    paint(look.beard * area.beard * hairs, look.hair)
    paint(max(look.moustache, look.beard) * area.moustache * hairs, look.hair)
    thickness = (
        look.brow_thickness
        * (1.0 - 0.55 * area.brow_along**1.5)
        * _smooth(-0.02, 0.12, 1.02 - area.brow_along)
    )
    paint(
        look.brow * _smooth(1.25, 0.55, area.brow_distance / np.maximum(thickness, 0.02)) * hairs,
        look.brow_colour,
    )
    paint(0.55 * area.lid_line, 0.15 * look.skin)
    cover = hair_cover(area, look)
    strands = (1 + 0.18 * _waves(place, rng, 0.9) + rng.normal(0, 0.06, n)).astype(np.float32)
    colour += cover[:, None] * (look.hair * strands[:, None] - colour)
    clothes = _smooth(-13.4, -13.8, place[:, 1] + 0.1 * place[:, 2]) * (np.arange(n) < PARTS["head"].stop)
    colour += clothes[:, None] * (look.clothes - colour)
    colour[PARTS["mouth_socket"]] = linear(np.array([0.30, 0.10, 0.10]))
    colour[PARTS["gums"]] = linear(np.array([0.66, 0.33, 0.33]))
    colour[PARTS["teeth"]] = linear(np.array([0.93, 0.89, 0.81]) * rng.uniform(0.9, 1.0))
    colour[PARTS["lashes"]] = 0.02
    return colour.astype(np.float32), cover


def eye_colours(look: Look, pupil: float) -> FloatArray:
    """Linear RGB [EYE_RINGS * EYE_SECTORS, 3] of one eye's grid (`eye_angles`); `pupil` is its share of the
    iris.
    """
    angles = eye_angles(pupil)
    ring = np.tile(linear(np.array([0.88, 0.86, 0.84])), (EYE_RINGS, 1))
    iris_edge, pupil_edge = np.sin(angles[8]), np.sin(angles[3])
    share = (np.sin(angles) - pupil_edge) / (iris_edge - pupil_edge)
    ring[:4] = 0.006
    for k in range(4, 9):
        ring[k] = look.iris * (1.25 - 0.3 * share[k]) if k < 8 else look.iris * 0.3
    rng = np.random.default_rng(look.noise_seed + 2)
    colours = np.repeat(ring, EYE_SECTORS, 0).reshape(EYE_RINGS, EYE_SECTORS, 3)
    colours[4:8] *= 1 + 0.15 * rng.normal(size=(1, EYE_SECTORS, 1))
    return np.clip(colours, 0, 1).reshape(-1, 3).astype(np.float32)


def eye_angles(pupil: float) -> FloatArray:
    """Angles [EYE_RINGS] from the eye's axis: 4 rings of pupil, 5 of iris (radius 0.58 cm of 1.5), the rest
    white.
    """
    iris = np.arcsin(0.58 / 1.5)
    inner = np.linspace(0, iris * pupil, 4)
    return np.concatenate(
        [
            inner,
            np.linspace(iris * pupil + 0.01, iris * 0.93, 4),
            [iris],
            np.linspace(iris + 0.03, 1.5, EYE_RINGS - 9),
        ]
    )
