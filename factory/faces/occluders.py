"""Things in front of faces, drawn into photographs: glasses, hands, hair, microphones, patches of anything.

Every function takes a picture [h, w, 3] float32 0 to 255 whose face is about 115 px wide, and gives the picture with
the thing and where it is, [h, w] 0 to 1. Glasses stand in centimetres on the morphable head and are projected in the
face's pose. Random shapes serve nearly as well as photographed things (Voo et al., "Delving into High-Quality
Synthetic Face Occlusion Segmentation Datasets", 2022).
"""

from __future__ import annotations

import cv2
import numpy as np

from mien.types import FloatArray
from mien.warping import matte
from mien.warping.mesh import OVAL
from mien.warping.shapes import head, pose_of

FINER = 3  # times the picture's size at which rims are drawn
Drawn = tuple[FloatArray, FloatArray]


def noise(rng: np.random.Generator, shape: tuple[int, ...], cell: float) -> FloatArray:
    """[h, w] float32 of standard deviation about 1, smooth over `cell` px."""
    few = rng.standard_normal((int(shape[0] / cell) + 2, int(shape[1] / cell) + 2)).astype(np.float32)
    return np.asarray(cv2.resize(few, (shape[1], shape[0]), interpolation=cv2.INTER_CUBIC))


def skin_of(image: FloatArray, landmarks: FloatArray) -> FloatArray:
    """Median RGB [3] of the cheeks."""
    cheeks = image[matte.fill(image.shape, landmarks, *matte.SURE[1:]) > 0]
    return np.asarray(np.median(cheeks, 0)) if len(cheeks) else np.array([180.0, 140, 120])


def laid(image: FloatArray, alpha: FloatArray, colour: FloatArray, rng: np.random.Generator) -> FloatArray:
    """`image` with a colour over it, and sometimes the shadow that it throws."""
    if rng.random() < 0.7:
        soft = cv2.GaussianBlur(alpha, (0, 0), rng.uniform(1, 5))
        soft = np.roll(soft, (int(rng.integers(0, 5)), int(rng.integers(-4, 5))), (0, 1))
        image = image * (1 - rng.uniform(0, 0.5) * soft[..., None])
    return np.asarray(image + alpha[..., None] * (np.clip(colour, 0, 255) - image), np.float32)


def _outline(rng: np.random.Generator, x: tuple[float, float], y: tuple[float, float]) -> FloatArray:
    """The left lens [72, 2] cm, from x[0] beside the nose to x[1] and from y[0] at its top down to y[1]."""
    power = 2 / rng.uniform(2, 6)
    angle = np.linspace(0, 2 * np.pi, 72, endpoint=False)
    across, up = (np.sign(side) * np.abs(side) ** power for side in (np.cos(angle), np.sin(angle)))
    across = across * (1 - rng.uniform(0, 0.3) * np.clip(-up, 0, 1) ** 2)
    if rng.random() < 0.5:  # cats' eyes
        up = up + rng.uniform(-0.1, 0.3) * np.clip(up, 0, 1) * across
    if rng.random() < 0.5:  # aviators
        up = up - rng.uniform(-0.1, 0.25) * np.clip(-up, 0, 1) * across
    middle = np.array([sum(x) / 2, sum(y) / 2])
    return np.asarray(middle + np.stack([(x[1] - x[0]) / 2 * across, (y[0] - y[1]) / 2 * up], 1))


def _metal_or_plastic(rng: np.random.Generator) -> FloatArray:
    """RGB [3] of a frame."""
    kind = rng.random()
    if kind < 0.42:
        return np.full(3, rng.uniform(4, 45)) + rng.uniform(-6, 6, 3)
    if kind < 0.6:
        return np.array([rng.uniform(50, 120), rng.uniform(25, 70), rng.uniform(10, 45)])
    if kind < 0.75:
        return np.full(3, rng.uniform(90, 215)) + rng.uniform(-8, 8, 3)
    return rng.uniform(0.6, 1.1) * np.array([190, 150, 90]) if kind < 0.86 else rng.uniform(10, 230, 3)


def glasses(rng: np.random.Generator, image: FloatArray, landmarks: FloatArray) -> Drawn:
    """A pair of glasses; of its lenses only what hides the eyes counts as in front: dark glass and reflections."""
    h, w = image.shape[:2]
    neutral, _ = head()
    pose = pose_of(landmarks)
    eyes, apart = float(neutral[[468, 473], 1].mean()), abs(float(neutral[468, 0] - neutral[473, 0])) / 2
    plane = float(neutral[[168, 105, 334], 2].max()) + rng.uniform(0.2, 1.3)
    inner, outer, lower = (
        rng.uniform(0.55, 1.25),
        rng.uniform(apart + 1.7, apart + 3.7),
        rng.uniform(-0.5, 0.2),
    )
    top = eyes + lower + rng.uniform(0.7, 1.9) + 0.15 * (outer - inner) / 2 * rng.uniform(-1, 1)
    bottom = eyes + lower - rng.uniform(0.9, 2.9)
    wrap, lean, roll = rng.uniform(0, 0.03), rng.uniform(-0.02, 0.15), rng.normal(0, 0.02)

    def project(points: FloatArray, depth: float | None = None) -> FloatArray:
        x, y = points[:, 0], points[:, 1] - eyes
        z = plane - wrap * x**2 + lean * y if depth is None else np.full(len(x), depth)
        turned = [x * np.cos(roll) - y * np.sin(roll), eyes + x * np.sin(roll) + y * np.cos(roll), z]
        return np.asarray((pose.to_photo(np.stack(turned, 1)) + pose.shift)[:, :2])

    rim, lens = (np.zeros((h * FINER, w * FINER), np.uint8) for _ in range(2))

    def line(points: FloatArray, width: float, opacity: float = 1.0) -> None:
        at = np.round((points * FINER - 0.5) * 16).astype(np.int32)
        cv2.polylines(
            rim, [at], False, 255 * opacity, max(1, round(width * pose.scale * FINER)), cv2.LINE_8, 4
        )

    styles = ["full", "half", "rimless", "browline", "thin"]
    style = rng.choice(styles, p=[0.46, 0.12, 0.05, 0.1, 0.27])
    least, most = {
        "full": (0.18, 0.6),
        "half": (0.1, 0.4),
        "browline": (0.06, 0.15),
        "thin": (0.07, 0.2),
    }.get(str(style), (0.05, 0.05))
    thick = rng.uniform(least, most)
    thicker = rng.uniform(3, 6) if style == "browline" else rng.uniform(1, 1.8)
    outline = _outline(rng, (inner, outer), (top, bottom))
    upper = outline[:, 1] > 0.55 * top + 0.45 * bottom
    centre = project(np.array([[0.0, eyes]]))[0]
    for side in (-1, 1):
        points = project(outline * [side, 1])
        cv2.fillPoly(lens, [np.round((points * FINER - 0.5) * 16).astype(np.int32)], 255, cv2.LINE_8, 4)
        ring = np.vstack([points, points[:1]])
        if style in ("full", "thin", "browline"):
            line(ring, thick)
        elif style == "rimless" and rng.random() < 0.8:
            line(ring, 0.06, rng.uniform(0.2, 0.5))
        if style != "rimless" and (thicker > 1.15 or style in ("half", "browline")):
            line(points[upper], thick * thicker)
        hinge = np.array([[outer * side, top - rng.uniform(0.15, 0.5) * (top - bottom)]])
        ear = np.array([[side * rng.uniform(7.2, 8.2), hinge[0, 1] + rng.uniform(-0.6, 0.4)]])
        first, last = project(hinge)[0], project(ear, float(neutral[234, 2]) + rng.uniform(-1, 1))[0]
        if (last - first) @ (first - centre) > 0 and rng.random() < 0.93:
            bend = project(np.array([[side * 7.2, hinge[0, 1]]]), plane - 1.5)[0]
            seen = (bend - first) @ (first - centre) > 0
            line(
                np.stack([first, bend, last] if seen else [first, last]),
                max(thick * rng.uniform(0.6, 1.4), 0.08),
            )
    x = np.linspace(-inner - 0.05, inner + 0.05, 13)
    bridge = eyes + lower + rng.uniform(-0.2, 0.25) * (top - bottom)
    arch = bridge + rng.uniform(0, 0.5) * (1 - (x / (inner + 0.05)) ** 2)
    line(project(np.stack([x, arch], 1)), max(thick * rng.uniform(0.7, 1.3), 0.08))
    if rng.random() < 0.15:
        line(project(np.stack([x, np.full(13, top - 0.1)], 1)), max(thick * 0.6, 0.07))
    if rng.random() < 0.4:  # nose pads
        for side in (-1, 1):
            pad = np.array([[side * inner, bridge - 0.1], [side * 0.75 * inner, bridge - 0.7]])
            line(project(pad), 0.12, 0.6)
    frame, glass = (
        cv2.resize(part, (w, h), interpolation=cv2.INTER_AREA).astype(np.float32) / 255
        for part in (rim, lens)
    )
    ends = project(np.array([[0, top], [0, bottom]]))[:, 1]
    down = np.clip((np.arange(h)[:, None] - ends[0]) / max(ends[1] - ends[0], 1), 0, 1).astype(np.float32)
    out, hides = _through(rng, image, landmarks, frame, glass, down)
    return _framed(rng, out, frame, down), np.maximum(frame, hides)


def _through(
    rng: np.random.Generator,
    image: FloatArray,
    landmarks: FloatArray,
    frame: FloatArray,
    glass: FloatArray,
    down: FloatArray,
) -> Drawn:
    """What lenses do to the face behind them: the frame's shadow, refraction, tint, haze, reflections."""
    h, w = image.shape[:2]
    out, hides = image.copy(), np.zeros((h, w), np.float32)
    if rng.random() < 0.6:
        shift = np.array([[1, 0, rng.uniform(-2.5, 2.5)], [0, 1, rng.uniform(0, 4)]])
        shadow = cv2.warpAffine(cv2.GaussianBlur(frame, (0, 0), rng.uniform(0.5, 2.5)), shift, (w, h))
        out *= (1 - rng.uniform(0.1, 0.5) * shadow)[..., None]
    if rng.random() < 0.5:
        power = rng.uniform(0.9, 1.06)
        rows, columns = np.mgrid[:h, :w].astype(np.float32)
        for eye, other in ((468, 473), (473, 468)):
            (x, y), away = landmarks[eye, :2], landmarks[other, 0]
            at = [(c + (g - c) * power).astype(np.float32) for c, g in ((x, columns), (y, rows))]
            bent = cv2.remap(out, at[0], at[1], cv2.INTER_LINEAR, borderMode=cv2.BORDER_REFLECT)
            here = (glass * (np.abs(columns - x) < np.abs(columns - away)))[..., None]
            out = out + here * (bent - out)
    sun = rng.random() < 0.16
    if sun:
        dark = glass * rng.uniform(0.55, 0.98) * (1 - rng.uniform(0, 0.5) * down)
        out = out + dark[..., None] * (rng.uniform(0, 40, 3) - out)
        hides = np.clip(1.3 * dark, 0, 1)
    else:
        if rng.random() < 0.5:
            out *= 1 - glass[..., None] * rng.uniform(-0.05, 0.18) * rng.uniform(0.5, 1.2, 3)
        if rng.random() < 0.45:
            haze = glass * rng.uniform(0.02, 0.15) * (1 - down * rng.random())
            out = out + haze[..., None] * (rng.uniform(150, 255, 3) - out)
    if rng.random() < (0.5 if sun else 0.3):
        for _ in range(rng.integers(1, 4)):
            spot = np.zeros((h, w), np.uint8)
            middle = landmarks[(468, 473)[rng.integers(2)], :2] + rng.normal(0, 8, 2)
            corners = middle + rng.normal(0, rng.uniform(2, 14), (rng.integers(3, 7), 2)) * [
                1,
                rng.uniform(0.3, 1.5),
            ]
            cv2.fillConvexPoly(spot, cv2.convexHull(corners.astype(np.int32)), 255)
            glare = cv2.GaussianBlur(spot, (0, 0), rng.uniform(0.6, 4)).astype(np.float32) / 255 * glass
            glare *= rng.uniform(0.3, 1.0)
            out = out + glare[..., None] * (rng.uniform(150, 255) + rng.uniform(-40, 10, 3) - out)
            hides = np.maximum(hides, np.clip((glare - 0.2) * 2, 0, 1))
    return out, hides


def _framed(rng: np.random.Generator, image: FloatArray, frame: FloatArray, down: FloatArray) -> FloatArray:
    """`image` with the frame on it: its colour, pattern and lights."""
    texture = np.ones(frame.shape, np.float32) + rng.uniform(-0.3, 0.3) * (down - 0.5)
    if rng.random() < 0.4:
        texture += rng.uniform(0.1, 0.6) * noise(rng, frame.shape, rng.uniform(1.5, 6))
    colour = np.clip(texture, 0.2, 2)[..., None] * _metal_or_plastic(rng)
    if rng.random() < 0.6:
        shift = np.array([[1, 0, rng.uniform(-1, 1)], [0, 1, rng.uniform(0.4, 1.5)]])
        edge = np.clip(frame - cv2.warpAffine(frame, shift, frame.shape[::-1]), 0, 1)
        edge *= noise(rng, frame.shape, rng.uniform(5, 25)) > rng.uniform(-0.5, 1.2)
        colour = colour + edge[..., None] * rng.uniform(30, 200)
    opaque = rng.uniform(0.85, 1.0) if rng.random() < 0.85 else rng.uniform(0.45, 0.85)
    return np.asarray(image + (frame * opaque)[..., None] * (np.clip(colour, 0, 255) - image), np.float32)


def fringe(
    rng: np.random.Generator, image: FloatArray, landmarks: FloatArray, donor: FloatArray, face: FloatArray
) -> Drawn:
    """The hair or hat of a `donor` [h, w, 3] where its `face` [h, w] is 0, pulled down over this one's forehead."""
    h, w = image.shape[:2]
    above = (face == 0).astype(np.uint8)
    above[int(np.clip(landmarks[168, 1], 10, h - 1)) + 30 :] = 0
    if above.sum() < 500:
        return image, np.zeros((h, w), np.float32)
    place = cv2.getRotationMatrix2D((w / 2, h / 2), rng.uniform(-25, 25), rng.uniform(0.9, 1.25))
    place[:, 2] += np.array([rng.uniform(-30, 30), rng.uniform(10, 75)])
    alpha = cv2.warpAffine(above * 255, place, (w, h)).astype(np.float32) / 255
    colour = cv2.warpAffine(donor, place, (w, h), borderMode=cv2.BORDER_REFLECT) * rng.uniform(0.7, 1.15)
    if rng.random() < 0.6:
        ragged = cv2.GaussianBlur(alpha, (0, 0), rng.uniform(1, 4)) + 0.25 * noise(
            rng, (h, w), rng.uniform(2, 8)
        )
        alpha = np.clip((ragged - 0.5) * rng.uniform(2, 6) + 0.5, 0, 1).astype(np.float32)
    else:
        alpha = np.asarray(cv2.GaussianBlur(alpha, (0, 0), 0.7))
    return laid(image, alpha, colour, rng), alpha


def strands(rng: np.random.Generator, image: FloatArray, landmarks: FloatArray) -> Drawn:
    """Single hairs, or a lock of them, from above."""
    h, w = image.shape[:2]
    drawn = np.zeros((2 * h, 2 * w), np.uint8)
    lock = rng.random() < 0.5
    root, lean = np.array([rng.uniform(0.1, 0.9) * w, rng.uniform(-5, 25)]), rng.uniform(-0.7, 0.7)
    for _ in range(rng.integers(3, 40 if lock else 16)):
        if not lock:
            root, lean = np.array([rng.uniform(0, w), rng.uniform(-5, 25)]), rng.uniform(-0.8, 0.8)
        angle = lean + rng.normal(0, 0.15 if lock else 0.6) * np.linspace(0, 1, 12)
        steps = np.stack([np.sin(angle), np.cos(angle)], 1) * rng.uniform(60 if lock else 30, 130) / 12
        points = root + rng.normal(0, 3, 2) * lock + np.cumsum(steps, 0)
        at = [np.round(points * 32).astype(np.int32)]
        cv2.polylines(drawn, at, False, 255 * rng.uniform(0.4, 1), int(rng.integers(1, 4)), cv2.LINE_AA, 4)
    alpha = cv2.resize(drawn, (w, h), interpolation=cv2.INTER_AREA).astype(np.float32) / 255
    fair = rng.random() > 0.75
    colour = rng.uniform(120, 220) * np.array([1, 0.85, 0.62])
    if not fair:
        colour = rng.uniform(5, 90) * np.array([1, rng.uniform(0.75, 0.95), rng.uniform(0.5, 0.9)])
    mixed = image + alpha[..., None] * (colour * (1 + 0.25 * noise(rng, (h, w), 2))[..., None] - image)
    return np.asarray(mixed, np.float32), np.clip(1.6 * cv2.GaussianBlur(alpha, (0, 0), 0.6), 0, 1)


def hand(rng: np.random.Generator, image: FloatArray, landmarks: FloatArray, other_skin: FloatArray) -> Drawn:
    """Fingers, and often the back of a hand, in this face's colour or in `other_skin` RGB [3]."""
    h, w = image.shape[:2]
    skin = skin_of(image, landmarks) if rng.random() < 0.75 else other_skin
    skin = skin * rng.uniform(0.7, 1.15) * rng.uniform(0.95, 1.05, 3)
    tip = landmarks[list(OVAL), :2].mean(0) + rng.normal(0, 35, 2) + [0, 15]
    angle = rng.uniform(0, 2 * np.pi) if rng.random() < 0.35 else rng.normal(np.pi / 2, 0.7)
    along, beside = np.array([np.cos(angle), np.sin(angle)]), np.array([-np.sin(angle), np.cos(angle)])
    rows, columns = np.mgrid[:h, :w].astype(np.float32)
    width, count, spread = rng.uniform(9, 16), int(rng.integers(1, 6)), rng.uniform(-0.12, 0.12)
    out, where = image, np.zeros((h, w), np.float32)
    if rng.random() < 0.7:
        middle, radius = tip + along * rng.uniform(30, 65), rng.uniform(22, 42, 2)
        u, v = ((columns - middle[0]) * d[0] + (rows - middle[1]) * d[1] for d in (along, beside))
        away = (u / radius[0]) ** 2 + (v / radius[1]) ** 2 + 0.15 * noise(rng, (h, w), 25)
        alpha = np.clip((1 - away) * 8, 0, 1).astype(np.float32)
        shade = 0.78 + 0.25 * np.sqrt(np.clip(1 - away, 0, 1)) + 0.06 * noise(rng, (h, w), 8)
        out, where = laid(out, alpha, skin * shade[..., None], rng), np.maximum(where, alpha)
    light = rng.uniform(-0.3, 0.3)
    for k in range(count):
        turn = angle + spread * (k - (count - 1) / 2) + rng.normal(0, 0.03)
        start = (
            tip + beside * (k - (count - 1) / 2) * width * rng.uniform(0.95, 1.15) + along * rng.normal(0, 6)
        )
        u = (columns - start[0]) * np.cos(turn) + (rows - start[1]) * np.sin(turn)
        v = (
            (rows - start[1]) * np.cos(turn)
            - (columns - start[0]) * np.sin(turn)
            - rng.normal(0, 0.0012) * u**2
        )
        length = rng.uniform(50, 150)
        half = (
            width
            / 2
            * (1 + 0.08 * np.sin(9 * u / length + rng.uniform(0, 6)) + 0.15 * np.clip(u / length, 0, 1))
        )
        away = (
            np.where(u < half, np.hypot(u - half, v), np.abs(v)) / half + np.clip(u - length, 0, None) / half
        )
        alpha = np.clip((1 - away) * half, 0, 1).astype(np.float32)
        shade = 0.72 + 0.3 * np.sqrt(1 - 0.95 * np.clip(away, 0, 1) ** 2) + light * np.clip(v / half, -1, 1)
        colour = skin * (shade + 0.03 * noise(rng, (h, w), 2) + 0.05 * noise(rng, (h, w), 10))[..., None]
        if rng.random() < 0.4:
            nail = ((u - 1.1 * half) / (0.8 * half)) ** 2 + (v / (0.65 * half)) ** 2 < 1
            varnish = rng.uniform(20, 220, 3) if rng.random() < 0.3 else 0.9 * skin + [25, 15, 15]
            colour = np.where(nail[..., None], varnish, colour)
        for at in rng.uniform(0.2, 0.9, rng.integers(0, 3)) * length:  # knuckles
            colour = colour * (1 - 0.2 * np.exp(-((u - at) ** 2)) * (away < 0.8))[..., None]
        out, where = laid(out, alpha, colour, rng), np.maximum(where, alpha)
    return out, where


def microphone(rng: np.random.Generator, image: FloatArray, landmarks: FloatArray) -> Drawn:
    """A ball on a stick below the mouth."""
    h, w = image.shape[:2]
    rows, columns = np.mgrid[:h, :w].astype(np.float32)
    x, y = landmarks[(13, 152)[rng.integers(2)], :2] + rng.normal(0, 12, 2) + [0, 8]
    radius, tall = rng.uniform(7, 24), rng.uniform(0.7, 1.4)
    away = np.hypot((columns - x) / radius, (rows - y) / (radius * tall))
    ball = np.clip((1 - away) * radius, 0, 1).astype(np.float32)
    base = np.full(3, rng.uniform(5, 140)) if rng.random() < 0.8 else rng.uniform(0, 255, 3)
    shade = (
        0.6 + 0.5 * np.sqrt(np.clip(1 - away**2, 0, 1)) + rng.uniform(0, 0.25) * rng.standard_normal((h, w))
    )
    out = laid(image, ball, base * shade[..., None], rng)
    angle, half = rng.normal(np.pi / 2, 0.6), rng.uniform(2, 0.8 * radius)
    u = (columns - x) * np.cos(angle) + (rows - y) * np.sin(angle)
    v = (rows - y) * np.cos(angle) - (columns - x) * np.sin(angle)
    stick = (np.clip(half - np.abs(v), 0, 1) * (u > 0.6 * radius)).astype(np.float32)
    shade = 0.8 + 0.4 * np.cos(1.5 * np.clip(v / half, -1, 1))
    out = laid(out, stick, rng.uniform(5, 160) * np.repeat(shade[..., None], 3, 2), rng)
    return out, np.maximum(ball, stick)


def thing(rng: np.random.Generator, image: FloatArray, landmarks: FloatArray, texture: FloatArray) -> Drawn:
    """A blob, polygon, board or mask over mouth and nose: of one colour, of skin, or a piece of `texture` [h, w, 3]."""
    h, w = image.shape[:2]
    middle = landmarks[list(OVAL), :2].mean(0) + rng.normal(0, 1, 2) * [40, 45] + [0, 20]
    kind = rng.choice(["blob", "polygon", "board", "mask", "skin"], p=[0.27, 0.2, 0.27, 0.13, 0.13])
    if kind in ("blob", "skin"):
        rows, columns = np.mgrid[:h, :w].astype(np.float32)
        away = np.hypot(columns - middle[0], rows - middle[1]) / rng.uniform(14, 45)
        away += 0.4 * noise(rng, (h, w), rng.uniform(12, 40))
        alpha = np.clip((1 - away) * rng.uniform(4, 16), 0, 1).astype(np.float32)
    else:
        points = middle + rng.normal(0, 28, (rng.integers(3, 8), 2))
        if kind == "board":
            x, y = (float(v) for v in middle)
            points = cv2.boxPoints(((x, y), (rng.uniform(8, 80), rng.uniform(8, 110)), rng.uniform(0, 180)))
        elif kind == "mask":
            around = [123, 50, 195, 280, 352, 361, 288, 397, 378, 152, 149, 172, 58, 132]
            points = landmarks[around, :2] + rng.normal(0, 3, (14, 2)) + [0, rng.uniform(-8, 20)]
        drawn = cv2.fillPoly(np.zeros((h, w), np.uint8), [points.astype(np.int32)], 255)
        alpha = cv2.GaussianBlur(drawn, (0, 0), rng.uniform(0.4, 1.2)).astype(np.float32) / 255
    grain = 1 + rng.uniform(0, 0.3) * noise(rng, (h, w), rng.uniform(4, 40)) + 0.04 * noise(rng, (h, w), 2)
    if kind == "skin":
        colour = skin_of(image, landmarks) * rng.uniform(0.6, 1.2) * grain[..., None]
    elif kind == "mask" or rng.random() < 0.4:
        colour = rng.uniform(0, 255, 3) * grain[..., None]
    else:
        colour = np.roll(texture, (int(rng.integers(h)), int(rng.integers(w))), (0, 1)) * rng.uniform(
            0.6, 1.2
        )
    return laid(image, alpha, colour, rng), alpha
