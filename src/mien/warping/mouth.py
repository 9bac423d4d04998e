"""The inside of a mouth: what parting lips show and no warp can carry.

Three sources, best first: the photo's own open mouth, another photo of the same person with teeth, and a drawn
mouth. The drawn teeth belong to nobody (``factory/teeth.py`` averages eleven people's). The upper teeth stay
with the skull, the lower teeth and the tongue move with the chin; lips only uncover them.

Pixels: a point (x, y) is in pixels, with pixel (row, column) centred at (column + 0.5, row + 0.5). A *unit* is
about a millimetre: the outer eye corners are 90 units apart. Head coordinates: origin at the nose's base
(landmark 2), x to the picture's right, y down, z away from the camera, when the head looks straight ahead.
"""

from __future__ import annotations

from dataclasses import dataclass, field, replace
from functools import lru_cache
from pathlib import Path

import cv2
import numpy as np

from mien.types import ByteImage, FloatArray
from mien.warping import tone

UPPER_LIP = (78, 191, 80, 81, 82, 13, 312, 311, 310, 415, 308)
LOWER_LIP = (78, 95, 88, 178, 87, 14, 317, 402, 318, 324, 308)
ANCHORS = (33, 133, 362, 263, 168, 6, 197, 195, 2, 98, 327)
JAW = (152, 148, 377, 176, 400)

PX = 10.0  # atlas pixels a unit
_HALF, _ABOVE, _BELOW = 32.0, 22.0, 3.0  # where the biting edge lies in the atlas, in units
# Mean place of the central biting edge and of the chin over eleven people, mouth shut, in units; where the
# edge lies follows the chin (correlation 0.94; 0.7 units remain).
_EDGE_Y, _CHIN_Y, _EDGE_PER_CHIN, _FACE_WIDTH = 26.3, 67.4, 0.5, 140.5
_OVERBITE, _SMILE_GAP = 2.5, 6.0  # lower edge above the upper one, jaw shut; lips apart by a smile alone

_CAVITY = np.array([58.0, 27.0, 24.0], np.float32)  # RGB in a studio's light
_TONGUE = np.array([178.0, 108.0, 104.0], np.float32)


@dataclass(frozen=True)
class Layer:
    """Something to lay over a picture: colour [h, w, 3] float32 0 to 255, alpha [h, w] float32 0 to 1, and the
    pixel (left, top) of its first corner.
    """

    colour: FloatArray
    alpha: FloatArray
    left: int
    top: int

    def over(self, picture: ByteImage) -> ByteImage:
        """`picture` [H, W, 3] uint8 with the layer on it; pixels of alpha 0 stay as they are."""
        result = picture.copy()
        height, width = self.alpha.shape
        here = result[self.top : self.top + height, self.left : self.left + width]
        mixed = here + self.alpha[..., None] * (self.colour - here)
        here[:] = np.clip(mixed + 0.5, 0, 255)
        return result


@dataclass(frozen=True)
class Teeth:
    """Where somebody's teeth are: in head coordinates, in units.

    Attributes:
        x, edge: the middle of the upper biting edge. size: of the teeth, 1 for the mean. jaw: y of the chin with
        the teeth shut. colour: mean enamel RGB, 0 to 255; None: by the photo's light.
    """

    x: float
    edge: float
    size: float
    jaw: float
    colour: FloatArray | None = None


@dataclass(frozen=True)
class Pose:
    """Head coordinates → pixels: p = scale * turn @ X + shift."""

    scale: float
    turn: FloatArray
    shift: FloatArray

    def project(self, x: FloatArray, y: FloatArray, z: FloatArray) -> tuple[FloatArray, FloatArray]:
        """Pixels (x, y) of head coordinates."""
        s, t, r = self.scale, self.shift, self.turn
        return (
            s * (r[0, 0] * x + r[0, 1] * y + r[0, 2] * z) + t[0],
            s * (r[1, 0] * x + r[1, 1] * y + r[1, 2] * z) + t[1],
        )

    def head(self, points: FloatArray) -> FloatArray:
        """Head coordinates [n, 3] of landmarks [n, 3] px."""
        return np.asarray((points - self.shift) @ self.turn / self.scale)

    def on_arch(self, px: FloatArray, py: FloatArray, middle: float, depth: float) -> tuple[FloatArray, ...]:
        """Head coordinates (x, y, z) of pixels, on a dental arch `depth` units behind the nose's base."""
        inverse = np.linalg.inv(self.turn[:2, :2]) / self.scale
        lean = inverse @ self.turn[:2, 2] * self.scale
        qx, qy = px - self.shift[0], py - self.shift[1]
        a = inverse[0, 0] * qx + inverse[0, 1] * qy
        b = inverse[1, 0] * qx + inverse[1, 1] * qy
        xs = np.linspace(-45.0, 45.0, 181) + middle
        along = xs + lean[0] * arch_depth(xs - middle, depth)
        order = np.maximum.accumulate(along)  # beyond a far canine the arch turns out of sight
        x = np.interp(a, order, xs)
        z = arch_depth(x - middle, depth)
        return x, b - lean[1] * z, z


def arch_depth(x: FloatArray, depth: float) -> FloatArray:
    """z of a dental arch's outer face at x units from its middle, in units."""
    return np.asarray(depth + 8 * (x / 17) ** 2 + 10 * np.clip((np.abs(x) - 20) / 8, 0, None) ** 2)


@lru_cache(maxsize=1)
def _data() -> dict[str, FloatArray]:
    with np.load(Path(__file__).with_name("teeth.npz"), allow_pickle=False) as file:
        return {name: file[name] for name in file.files}


@lru_cache(maxsize=8)
def _atlas(name: str, halvings: int) -> tuple[FloatArray, FloatArray]:
    """Premultiplied RGBA [h, w, 4] and gum's share times alpha [h, w], float32, shrunk by 2 ** (halvings / 2)."""
    atlas = _data()[name].astype(np.float32)
    atlas[..., 3:] /= 255
    atlas[..., :3] *= atlas[..., 3:4]
    atlas[..., 4] *= atlas[..., 3]
    size = [round(n / 2 ** (halvings / 2)) for n in (atlas.shape[1], atlas.shape[0])]
    shrink = lambda part: np.asarray(cv2.resize(part, size, interpolation=cv2.INTER_AREA))  # noqa: E731
    return shrink(np.ascontiguousarray(atlas[..., :4])), shrink(np.ascontiguousarray(atlas[..., 4]))


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
    edge = _EDGE_Y + _EDGE_PER_CHIN * float(np.clip(chin - _CHIN_Y, -9, 9))
    width = float(np.linalg.norm(head[234] - head[454])) / _FACE_WIDTH
    middle = 0.5 * float(head[2, 0] + 0.5 * (head[13, 0] + head[0, 0]))
    return Teeth(float(np.clip(middle, -1.5, 1.5)), edge, float(np.clip(width, 0.94, 1.06)), jaw)


def jaw_drop(chin: float) -> float:
    """How far the lower teeth go down when the chin's landmarks do by `chin` units: a smile alone moves those
    by about 5.
    """
    return float(max(0.0, chin - 4.5 * np.exp(-((chin / 9) ** 2))))


@lru_cache(maxsize=1)
def _curve() -> FloatArray:
    """[61, 11]: a Catmull-Rom spline through eleven points, six steps apart."""
    extended = np.zeros((13, 11))
    extended[1:-1] = np.eye(11)
    extended[0, :2], extended[-1, -2:] = (2, -1), (-1, 2)
    t = np.arange(6)[:, None] / 6
    weights = 0.5 * np.concatenate(
        [-t + 2 * t**2 - t**3, 2 - 5 * t**2 + 3 * t**3, t + 4 * t**2 - 3 * t**3, t**3 - t**2], 1
    )
    rows = [weights @ extended[k : k + 4] for k in range(10)]
    return np.concatenate([*rows, np.eye(11)[-1:]])


def lips(landmarks: FloatArray) -> tuple[FloatArray, FloatArray]:
    """The inner edges of the upper and the lower lip as smooth curves [61, 2] px, from corner to corner."""
    flat = np.asarray(landmarks, np.float64)[:, :2]
    upper, lower = _curve() @ flat[list(UPPER_LIP)], _curve() @ flat[list(LOWER_LIP)]
    down = flat[152] - flat[168]
    down /= max(float(np.linalg.norm(down)), 1e-6)
    crossing = np.clip((upper - lower) @ down, 0, None)[:, None] * down
    return upper - 0.5 * crossing, lower + 0.5 * crossing


def _filled(polygon: FloatArray, shape: tuple[int, int], left: int, top: int) -> ByteImage:
    mask = np.zeros(shape, np.uint8)
    corners = np.round((polygon - [left + 0.5, top + 0.5]) * 16).astype(np.int32)
    return np.asarray(cv2.fillPoly(mask, [corners], 255, cv2.LINE_AA, 4))


@dataclass
class _View:
    """The crop that a target's mouth fills, and where each of its pixels lies."""

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


def _view(target: FloatArray, shape: tuple[int, ...], unit: float) -> _View | None:
    upper, lower = lips(target)
    outline = np.concatenate([upper, lower[::-1]])
    down = target[152, :2] - target[168, :2]
    down = down / max(float(np.linalg.norm(down)), 1e-6)
    gap = float(((lower - upper) @ down).max()) / unit
    low = np.floor(outline.min(0) - 2).astype(int).clip(0)
    high = np.minimum(np.ceil(outline.max(0) + 2).astype(int), [shape[1], shape[0]])
    if gap < 0.4 or (high - low).min() < 3:
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
            [[curve[0] + aside + away], [curve[0] + aside], curve, [curve[-1] - aside], [curve[-1] - aside + away]]
        )
        inside = (_filled(half, (height, width), left, top) > 127).astype(np.uint8)
        distances.append(cv2.distanceTransform(inside, cv2.DIST_L2, 5) / unit)
    axis = upper[-1] - upper[0]
    middle = 0.5 * (upper[-1] + upper[0])
    along = ((px - middle[0]) * axis[0] + (py - middle[1]) * axis[1]) * (2 / max(float(axis @ axis), 1e-6))
    mask = _filled(outline, (height, width), left, top)
    return _View(left, top, px, py, mask, unit, gap, distances[0], distances[1], along)


def _smooth(x: FloatArray | float, low: float, high: float) -> FloatArray:
    t = np.clip((np.asarray(x, np.float32) - low) / (high - low), 0, 1)
    return np.asarray(t * t * (3 - 2 * t))


def _sample(name: str, u: FloatArray, v: FloatArray, pixels_a_unit: float) -> FloatArray:
    """The atlas at (u, v) units right of its middle and below its first row. [h, w, 5]."""
    halvings = int(np.clip(np.floor(2 * np.log2(PX / max(pixels_a_unit, 0.5))), 0, 6))
    teeth, gum = _atlas(name, halvings)
    k = gum.shape[1] / (2 * _HALF)
    x, y = ((u + _HALF) * k - 0.5).astype(np.float32), (v * k - 0.5).astype(np.float32)
    return np.dstack([cv2.remap(part, x, y, cv2.INTER_LINEAR) for part in (teeth, gum)])


def _over(below: FloatArray, sampled: FloatArray, colour: tone.Tone, gain: FloatArray) -> FloatArray:
    """Enamel and gum of an atlas in the photo's colours over `below` [h, w, 3]."""
    alpha, gum = sampled[..., 3], sampled[..., 4]
    bright = gain * (colour.enamel + (colour.flesh - colour.enamel) * gum / np.maximum(alpha, 1e-4))
    return np.asarray(below * (1 - alpha[..., None]) + colour.apply(sampled[..., :3]) * bright[..., None])


def drawn(view: _View, where: Pose, teeth: Teeth, jaw: float, colour: tone.Tone) -> FloatArray:
    """The mouth of nobody in a view, colours [h, w, 3] float32. `jaw`: how far it has dropped, in units."""
    depth = 2.5
    x, y, _ = where.on_arch(view.px, view.py, teeth.x, depth)
    x2, y2, _ = where.on_arch(view.px, view.py, teeth.x, depth + 2.5)
    upper = _sample("upper", (x - teeth.x) / teeth.size, (y - teeth.edge) / teeth.size + _ABOVE, view.unit)
    lower_edge = teeth.edge - _OVERBITE + jaw
    lower = _sample("lower", (x2 - teeth.x) / teeth.size, (y2 - lower_edge) / teeth.size + _BELOW, view.unit)

    corner = 1 - 0.8 * _smooth(np.abs(view.along), 0.55, 0.97)
    lip = 1 - 0.42 * np.exp(-view.from_upper / 0.9) - 0.12 * np.exp(-view.from_upper / 3.5)
    lip = lip * (1 - 0.25 * np.exp(-view.from_lower / 0.8))
    side = np.exp(np.clip(colour.side, -0.5, 0.5) * 0.5 * np.clip(view.along, -1, 1))
    light = (corner * lip * side).astype(np.float32)

    inward = 0.55 + 0.45 * np.exp(-np.minimum(view.from_upper, view.from_lower) / 4)
    picture = colour.flesh * colour.apply(_CAVITY) * (inward * corner)[..., None]
    picture = _tongue(picture, x2 - teeth.x, y2, lower_edge, jaw, colour, light)
    # the upper teeth and lip keep light from what lies behind them
    sigma = max(1.6 * view.unit, 0.3)
    cast = cv2.GaussianBlur(upper[..., 3], (0, 0), sigma)
    cast = cv2.warpAffine(cast, np.array([[1, 0, 0], [0, 1, 1.2 * view.unit]]), cast.shape[::-1])
    behind = 0.82 - (0.4 + 0.2 * float(np.exp(-jaw / 5))) * cast
    picture = picture * (1 - 0.4 * cast)[..., None]
    picture = _over(picture, lower, colour, light * behind)
    picture = _over(picture, upper, colour, light)
    # the lips' wet inner side rolls in
    roll = 0.95 * (1 - _smooth(view.from_lower, 0.5, 1.5)) * _smooth(view.from_upper, 0.5, 2.0)
    inner = colour.lip * (0.62 + 0.38 * np.exp(-view.from_lower / 0.7))[..., None]
    return np.asarray(picture + roll[..., None] * (inner - picture), np.float32)


def _tongue(
    picture: FloatArray, x: FloatArray, y: FloatArray, edge: float, jaw: float, colour: tone.Tone, light: FloatArray
) -> FloatArray:
    """A tongue that lies behind the lower teeth, once the jaw has dropped by more than 7 units."""
    strength = float(_smooth(jaw, 7.0, 13.0))
    if strength <= 0:
        return picture
    top = 2.0 + 0.34 * jaw
    u, v = x / 19.0, (edge + 5 - y) / (top + 5)
    inside = 1 - u**2 - np.sign(v) * v**2
    cover = _smooth(inside, 0.0, 0.25) * strength
    height = np.sqrt(np.clip(inside, 0, 1))
    groove = 1 - 0.16 * np.exp(-((x / 1.6) ** 2)) * _smooth(v, 0.0, 0.6)
    shade = (0.40 + 0.5 * height) * groove * (1 - 0.45 * np.clip(v, 0, 1))
    return np.asarray(picture + cover[..., None] * (colour.flesh * colour.apply(_TONGUE) * (shade * light)[..., None] - picture))


@dataclass
class Mouth:
    """A photo's mouth, ready to be opened: everything that depends on the photo alone is computed once.

    Args:
        image: [H, W, 3] uint8. landmarks: [478, 3] px, MediaPipe's, in the photo.
        teeth: another photo of the same person and its landmarks, whose open mouth shows the teeth.
    """

    image: ByteImage
    landmarks: FloatArray
    teeth: tuple[ByteImage, FloatArray] | None = None
    colour: tone.Tone = field(init=False)
    place: Teeth = field(init=False)

    def __post_init__(self) -> None:
        self.landmarks = np.asarray(self.landmarks, np.float64)
        self.colour = tone.measure(self.image, self.landmarks)
        self.place = locate_teeth(self.landmarks)

    def interior(self, target: FloatArray) -> Layer:
        """What lies between the lips when the landmarks are at `target` [478, 3] px.

        Alpha is 0 everywhere for shut lips (the layer is then empty), and grows with the gap up to 1.5 units.
        """
        target = np.asarray(target, np.float64)
        where = pose(target)
        view = _view(target, self.image.shape, where.scale)
        if view is None:
            return Layer(np.zeros((0, 0, 3), np.float32), np.zeros((0, 0), np.float32), 0, 0)
        jaw = jaw_drop(float(where.head(target)[list(JAW), 1].mean()) - self.place.jaw)
        picture = drawn(view, where, self.place, jaw, self.colour)
        picture = tone.grain(picture, self.colour, where.scale, (view.left, view.top))
        mask = cv2.GaussianBlur(view.mask, (0, 0), max(0.22 * view.unit, 0.4)).astype(np.float32) / 255
        alpha = _smooth(mask, 0.3, 0.95) * _smooth(view.gap, 0.4, 1.5) * (view.mask > 0)
        return Layer(picture, alpha.astype(np.float32), view.left, view.top)


def interior(
    image: ByteImage,
    landmarks: FloatArray,
    target: FloatArray,
    teeth: tuple[ByteImage, FloatArray] | None = None,
) -> Layer:
    """The inside of the mouth for one target: see `Mouth`, which is faster for several."""
    return Mouth(image, landmarks, teeth).interior(target)
