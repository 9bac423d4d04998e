"""Where teeth are in a photographed head, and the atlas of drawn ones.

Pixels: a point (x, y) is in pixels, with pixel (row, column) centred at (column + 0.5, row + 0.5). A *unit* is
about a millimetre: the outer eye corners are 90 units apart. Head coordinates: origin at the nose's base
(landmark 2), x to the picture's right, y down, z away from the camera, when the head looks straight ahead.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path

import cv2
import numpy as np

from mien.types import ByteImage, FloatArray
from mien.warping.lips import downward, edges, lip_gap

ANCHORS = (33, 133, 362, 263, 168, 6, 197, 195, 2, 98, 327)
JAW = (152, 148, 377, 176, 400)

PX = 10.0  # atlas pixels a unit
ATLAS_GRID = 10.0  # atlas pixels between the nodes of its displacements
HALF, ABOVE, BELOW = 32.0, 22.0, 3.0  # where the biting edge lies in the atlas, in units
DEPTH, HINGE = 2.5, 85.0  # z of the upper incisors; from the lower ones to the jaw's joints
UNEVEN = 0.5  # units that a tooth stands higher or lower than its like, at most
DIFFER = 1.2  # of mixtures, which differ less than people do
SHADES = 0.05, (-0.13, 0.08)  # log brightness of single teeth by lot, and the limits of all of it
CROWN = 10.3  # height of the upper central incisors
MARGIN = 1.0  # units round an open mouth that its view shows
OVERBITE = 2.5  # the lower edge above the upper one, jaw shut
# Mean place of the central biting edge, of the lips' closing line and of the chin over eleven people, mouth shut,
# in units. The edge follows the chin, and the line a little: 0.8 units remain (left out one by one).
_EDGE_Y, _LINE_Y, _CHIN_Y, _FACE_WIDTH = 26.3, 21.1, 67.4, 140.5
_EDGE_PER_CHIN, _EDGE_PER_LINE, _EDGE_BELOW_LINE = 0.45, 0.2, (3.0, 7.2)
_SMILE_GAP = 6.0  # lips apart by a smile alone


@dataclass(frozen=True)
class Teeth:
    """Where somebody's teeth are: in head coordinates, in units.

    Attributes:
        x, edge: the middle of the upper biting edge. size: of the teeth, 1 for the mean. jaw: y of the chin with
        the teeth shut. shape: how they differ from the mean's, see `shape_of`.
    """

    x: float
    edge: float
    size: float
    jaw: float
    shape: tuple[float, ...] = ()


@dataclass(frozen=True)
class Pose:
    """Head coordinates → pixels: p = scale * turn @ X + shift."""

    scale: float
    turn: FloatArray
    shift: FloatArray

    def project(self, x: FloatArray, y: FloatArray, z: FloatArray) -> tuple[FloatArray, FloatArray]:
        """Pixels (x, y) of head coordinates."""
        (a, b, c), (d, e, f) = (self.scale * self.turn[:2]).tolist()
        shift = self.shift.tolist()
        px, py = np.asarray(a * x + b * y + c * z), np.asarray(d * x + e * y + f * z)
        return np.asarray(px + shift[0], np.float32), np.asarray(py + shift[1], np.float32)

    def head(self, points: FloatArray) -> FloatArray:
        """Head coordinates [n, 3] of landmarks [n, 3] px."""
        return np.asarray((points - self.shift) @ self.turn / self.scale)

    def on_arch(
        self, px: FloatArray, py: FloatArray, middle: float, depth: float, narrow: float = 1.0
    ) -> tuple[FloatArray, FloatArray, FloatArray]:
        """Head coordinates (x, y, z) of pixels, on a dental arch `depth` units behind the nose's base."""
        inverse = np.linalg.inv(self.turn[:2, :2]) / self.scale
        lean = (inverse @ self.turn[:2, 2] * self.scale).tolist()
        (a, b), (c, d) = inverse.tolist()
        ox, oy = (inverse @ self.shift[:2]).tolist()
        xs = np.linspace(-45.0, 45.0, 181) + middle
        along = xs + lean[0] * arch_depth(xs - middle, depth, narrow)
        # the arch's far side hides behind the tooth that reaches farthest, to the left or to the right
        half = len(xs) // 2
        along[: half + 1] = np.minimum.accumulate(along[half::-1])[::-1]
        along[half:] = np.maximum.accumulate(along[half:])
        x = np.interp(a * px + b * py - ox, along, xs).astype(np.float32)
        z = arch_depth(x - np.float32(middle), depth, narrow)
        return x, np.asarray(c * px + d * py - oy - lean[1] * z, np.float32), z


def arch_depth(x: FloatArray, depth: float, narrow: float = 1.0) -> FloatArray:
    """z of a dental arch's outer face at x units from its middle, in units; `narrow`: its width, 1: the upper one's."""
    x = x * np.float32(1 / narrow)
    beyond = np.maximum(np.abs(x) - 20, 0)
    return np.asarray(depth + (8 / 17**2) * (x * x) + (10 / 8**2) * (beyond * beyond))


@lru_cache(maxsize=1)
def _data() -> dict[str, FloatArray]:
    with np.load(Path(__file__).with_name("teeth.npz"), allow_pickle=False) as file:
        return {name: file[name] for name in file.files}


@lru_cache(maxsize=16)
def _atlas(name: str, halvings: int, shape: tuple[float, ...]) -> tuple[FloatArray, FloatArray]:
    """Premultiplied RGBA [h, w, 4] and gum's share times alpha [h, w], float32, shrunk by 2 ** (halvings / 2); of
    teeth of a `shape`."""
    data = _data()
    atlas = data[name].astype(np.float32)
    size = [round(n / 2 ** (halvings / 2)) for n in (atlas.shape[1], atlas.shape[0])]
    atlas[..., 3:] /= 255
    atlas[..., :3] *= atlas[..., 3:4]
    atlas[..., 4] *= atlas[..., 3]
    parts = [np.ascontiguousarray(atlas[..., :4]), np.ascontiguousarray(atlas[..., 4])]
    parts = [np.asarray(cv2.resize(part, size, interpolation=cv2.INTER_AREA), np.float32) for part in parts]
    if shape:
        factors = np.array(shape, np.float32)
        rows, columns = np.mgrid[: size[1], : size[0]].astype(np.float32)
        zoom = size[0] / atlas.shape[1]
        shift = np.tensordot(DIFFER * factors, data[f"{name}_shifts"].astype(np.float32), 1)
        shift[..., 1] += _uneven(name, shape, shift.shape[1])
        at_x, at_y = (np.asarray((side + 0.5) / zoom / ATLAS_GRID, np.float32) for side in (columns, rows))
        shift = np.asarray(zoom * cv2.remap(shift, at_x, at_y, cv2.INTER_LINEAR), np.float32)
        x, y = columns - shift[..., 0], rows - shift[..., 1]
        parts = [np.asarray(cv2.remap(part, x, y, cv2.INTER_LINEAR), np.float32) for part in parts]
        near = np.exp(-(((columns[0] + 0.5) / zoom - data["teeth"][:, None]) ** 2) / 25**2)
        single = SHADES[0] * lots(shape, 24)[16:]
        shades = np.clip(1.5 * factors @ data["shades"] + single, *SHADES[1])
        parts[0][..., :3] *= np.exp(shades @ near / near.sum(0).clip(0.3))[:, None]
    return parts[0], parts[1]


def _uneven(name: str, shape: tuple[float, ...], nodes: int) -> FloatArray:
    """How far down single teeth of a `shape` stand, in atlas pixels, at each of the atlas's `nodes` [nodes]."""
    at = (_data()["teeth"] - HALF * PX) * (1.0 if name == "upper" else 0.8)
    by = UNEVEN * PX * lots(shape, 16)[:8] if name == "upper" else UNEVEN * PX * lots(shape, 16)[8:]
    by[3:5] *= 0.3  # the middle ones are a pair
    x = (np.arange(nodes) - 0.5) * ATLAS_GRID - HALF * PX
    near = np.exp(-(((x - at[:, None]) / 22) ** 4))
    return np.asarray(by @ (near / near.sum(0).clip(1.0)), np.float32)


def face_ratios(landmarks: FloatArray) -> FloatArray:
    """Six ratios [6] of a face's bones, of landmarks [478, 3] px: what expressions do not change."""
    apart = [
        float(np.linalg.norm(landmarks[a] - landmarks[b]))
        for a, b in ((33, 263), (133, 362), (129, 358), (234, 454), (172, 397), (168, 2), (10, 168))
    ]
    return np.log(np.maximum(apart[1:], 1e-6) / max(apart[0], 1e-6))


def shape_of(landmarks: FloatArray) -> tuple[float, ...]:
    """How the teeth of a person differ from the mean's, [6] of about -1.5 to 1.5: drawn by lot, if one will, but always
    the same for the same face; nothing in a face says how its teeth are."""
    mean, spread = _data()["ratios"].astype(np.float64)
    away = np.tanh((face_ratios(np.asarray(landmarks, np.float64)) - mean) / spread / 1.7) * 1.7
    return tuple(float(value) for value in np.round(away, 1))


def lots(shape: tuple[float, ...], count: int) -> FloatArray:
    """Numbers [count] of -1 to 1 that go with a `shape` of teeth, alike where shapes are; 0 of none."""
    if not shape:
        return np.zeros(count)
    ways = np.random.default_rng(11).standard_normal((count, len(shape)))
    return np.asarray(np.sin(1.3 * ways @ np.array(shape)))


def pose(landmarks: FloatArray) -> Pose:
    """Where the head of `landmarks` [478, 3] px is and looks (least squares over eyes and nose, Umeyama 1991)."""
    there = np.asarray(landmarks, np.float64)[list(ANCHORS)]
    here = _data()["anchors"].astype(np.float64)
    a, b = here - here.mean(0), there - there.mean(0)
    u, singular, vt = np.linalg.svd(b.T @ a)
    signs = np.array([1.0, 1.0, np.sign(np.linalg.det(u @ vt))])
    turn = u @ np.diag(signs) @ vt
    scale = float((singular * signs).sum() / (a**2).sum())
    return Pose(scale, turn, there.mean(0) - scale * turn @ here.mean(0))


def locate_teeth(landmarks: FloatArray) -> Teeth:
    """Where the teeth of a photographed person must be, by the face's measures: `landmarks` [478, 3] px."""
    head = pose(landmarks).head(np.asarray(landmarks, np.float64))
    gap = max(0.0, float(head[14, 1] - head[13, 1]))
    jaw = float(head[list(JAW), 1].mean()) - max(0.0, gap - _SMILE_GAP)
    chin = float(head[152, 1]) - max(0.0, gap - _SMILE_GAP)
    line = float(head[13, 1]) + min(0.6 * gap, 4.0)
    edge = _EDGE_Y + _EDGE_PER_CHIN * (chin - _CHIN_Y) + _EDGE_PER_LINE * (line - _LINE_Y)
    edge = float(np.clip(edge, line + _EDGE_BELOW_LINE[0], line + _EDGE_BELOW_LINE[1]))
    width = float(np.linalg.norm(head[234] - head[454])) / _FACE_WIDTH
    middle = 0.5 * float(head[2, 0] + 0.5 * (head[13, 0] + head[0, 0]))
    size = float(np.clip(width, 0.94, 1.06))
    return Teeth(float(np.clip(middle, -1.5, 1.5)), edge, size, jaw, shape_of(landmarks))


def jaw_drop(chin: float) -> float:
    """How far the lower teeth go down when the chin's landmarks do by `chin` units: a smile alone moves those
    by about 5.
    """
    return float(max(0.0, chin - 4.5 * np.exp(-((chin / 9) ** 2))))


def _filled(polygon: FloatArray, shape: tuple[int, int], left: int, top: int) -> ByteImage:
    mask = np.zeros(shape, np.uint8)
    corners = np.round((polygon - [left + 0.5, top + 0.5]) * 16).astype(np.int32)
    return np.asarray(cv2.fillPoly(mask, [corners], 255, cv2.LINE_AA, 4))


@dataclass
class View:
    """The crop that an open mouth fills, and where each of its pixels lies.

    Attributes:
        left, top: the crop's first pixel. px, py: pixels' centres [h, w]. mask: inside of the lips, 0 to 255.
        unit: px a unit. gap: between the lips, in units. from_upper, from_lower: distance from each lip, in units.
        along: -1 at the mouth's corner on the picture's left to 1 at the other. lower_y: of the lower lip's inner
        edge, in head coordinates. width: from corner to corner, in units.
    """

    left: int
    top: int
    px: FloatArray
    py: FloatArray
    mask: ByteImage
    unit: float
    gap: float
    from_upper: FloatArray
    from_lower: FloatArray
    along: FloatArray
    lower_y: float
    width: float


def view_of(target: FloatArray, shape: tuple[int, ...], where: Pose, fine: int = 1) -> View | None:
    """The view of the mouth of landmarks [478, 3] px in a picture of `shape`; None: shut, or seen from the side.

    All are of a picture enlarged `fine` times; the crop then is of whole pixels of that picture.
    """
    upper, lower = edges(target)
    unit = where.scale
    outline = np.concatenate([upper, lower[::-1]])
    down, gap = downward(target), lip_gap(target, unit)
    beyond = 2 + MARGIN * unit / fine
    low = fine * np.floor(outline.min(0) / fine - beyond).astype(int).clip(0)
    high = np.minimum(fine * np.ceil(outline.max(0) / fine + beyond).astype(int), [shape[1], shape[0]])
    if gap < 0.4 or abs(where.turn[2, 2]) < 0.3 or (high - low).min() < 3:
        return None
    left, top = (int(v) for v in low)
    width, height = (int(v) for v in high - low)
    py, px = np.mgrid[top : top + height, left : left + width].astype(np.float32) + 0.5
    far = 3 * down * max(width, height)
    aside = np.array([down[1], -down[0]]) * max(width, height)
    if aside @ (upper[-1] - upper[0]) > 0:
        aside = -aside
    distances = []
    for curve, away in ((upper, far), (lower, -far)):
        half = np.concatenate(
            [
                [curve[0] + aside + away, curve[0] + aside],
                curve,
                [curve[-1] - aside, curve[-1] - aside + away],
            ]
        )
        inside = (_filled(half, (height, width), left, top) > 127).astype(np.uint8)
        far = np.minimum(cv2.distanceTransform(inside, cv2.DIST_L2, 5), 1e4)  # where all is inside: endless
        distances.append(far.astype(np.float32) / unit)
    axis = upper[-1] - upper[0]
    middle = 0.5 * (upper[-1] + upper[0])
    mouth_width = float(np.linalg.norm(axis)) / unit
    axis = axis * (2 / max(float(axis @ axis), 1e-6))
    along = px * float(axis[0]) + py * float(axis[1]) - float(middle @ axis)
    mask = _filled(outline, (height, width), left, top)
    lower_y = float(where.head(target)[14, 1])
    return View(left, top, px, py, mask, unit, gap, distances[0], distances[1], along, lower_y, mouth_width)


def smooth(x: FloatArray | float, low: float, high: float) -> FloatArray:
    """0 up to `low`, 1 from `high` on, smooth between."""
    t = np.clip((np.asarray(x, np.float32) - low) / (high - low), 0, 1)
    return np.asarray(t * t * (3 - 2 * t))


def sample(
    name: str, u: FloatArray, v: FloatArray, pixels_a_unit: float, shape: tuple[float, ...] = ()
) -> tuple[FloatArray, FloatArray]:
    """The atlas of teeth of a `shape` at (u, v) units right of its middle and below its first row: premultiplied RGBA
    [h, w, 4] and gum's share of it [h, w].
    """
    halvings = int(np.clip(np.floor(2 * np.log2(PX / max(pixels_a_unit, 0.5))) - 1, 0, 6))
    teeth, gum = _atlas(name, halvings, shape)
    k = gum.shape[1] / (2 * HALF)
    x, y = ((u + HALF) * k - 0.5).astype(np.float32), (v * k - 0.5).astype(np.float32)
    parts = [np.asarray(cv2.remap(part, x, y, cv2.INTER_LINEAR), np.float32) for part in (teeth, gum)]
    return parts[0], parts[1]


def upper_teeth(
    x: FloatArray, y: FloatArray, teeth: Teeth, pixels_a_unit: float
) -> tuple[FloatArray, FloatArray]:
    """The upper atlas at head coordinates: see `sample`."""
    return sample(
        "upper", (x - teeth.x) / teeth.size, (y - teeth.edge) / teeth.size + ABOVE, pixels_a_unit, teeth.shape
    )


def lower_teeth(
    x: FloatArray, y: FloatArray, edge: FloatArray, teeth: Teeth, pixels_a_unit: float
) -> tuple[FloatArray, FloatArray]:
    """The lower atlas, its biting edge at y = `edge`: see `sample`."""
    return sample(
        "lower", (x - teeth.x) / teeth.size, (y - edge) / teeth.size + BELOW, pixels_a_unit, teeth.shape
    )
