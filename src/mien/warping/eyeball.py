"""An eyeball: where its iris is, the white below it, and the light that it reflects; drawn turned.

See `mien.warping.eyes` for the frame in which it lies.
"""

from __future__ import annotations

from dataclasses import dataclass

import cv2
import numpy as np

from mien.types import ByteImage, FloatArray
from mien.warping.eye_frame import STEPS, Frame, brightness, filled, ramp, sample
from mien.warping.mesh import IndexArray

SURE = 45.0  # px of an eye's width from which its iris is seen well
HANGING = 0.03  # of the eye's width: lashes that hang into it from the upper lid
NOISE = 5.0  # grey levels: what is more is texture of skin
WHITE = 0.95  # of the brightness of the skin below, that the white of an eye has at least
GLINT = 32.0  # px of an iris' radius, at least, in a picture of what a cornea reflects


@dataclass(frozen=True)
class Sheet:
    """A picture [h, w, 3] float32 in an eye's frame: its first pixel begins at (left, top), `cells` px are a unit."""

    picture: FloatArray
    left: float
    top: float
    cells: float

    def at(self, u: FloatArray, v: FloatArray) -> FloatArray:
        """Its colours at (u, v) [h, w, 3]."""
        x, y = (u - self.left) * self.cells, (v - self.top) * self.cells
        return sample(self.picture, x.astype(np.float32), y.astype(np.float32))


@dataclass(frozen=True)
class Ball:
    """An eyeball as a photo shows it, taken apart.

    Attributes:
        centre, radius: of the iris in the eye's frame. white: the eyeball without it. disc: the iris, whole, without
            what its cornea reflects, which is `light`.
    """

    centre: FloatArray
    radius: float
    white: Sheet
    disc: Sheet
    light: Sheet


def eyeball(
    image: ByteImage,
    source: Frame,
    own: Ball,
    aim: FloatArray,
    u: FloatArray,
    v: FloatArray,
    lid: FloatArray,
) -> FloatArray:
    """The eyeball [h, w, 3] float32 at (u, v) of `source`: as it was where it was seen and does not turn, else white
    and iris. `aim`: where its iris is now. `lid`: v of the upper lid above each pixel of the result."""
    index = np.clip(u * STEPS, 0, STEPS).astype(np.int32)
    upper, lower = (curve.astype(np.float32)[index] for curve in source.lids)
    seen = sample(image, *source.to_photo(u, v))
    visible = ramp(np.minimum(v - upper - HANGING, lower - v), 0.02, 0.05)
    # Under a lid no higher than it was, what hangs into the eye belongs there.
    visible = np.maximum(visible, ramp(lid - upper, -0.01, 0.01) * (v > lid) * (v < lower + 0.02))
    shift = aim - own.centre
    turning = float(ramp(np.abs(shift).max(), 0.0, 0.01))
    if not turning and visible.min() >= 1:
        return seen
    shade = 0.2 * np.exp(-np.maximum(v - lid, 0) / 0.08)
    whole = own.white.at(u, v) * (1 - shade)[..., None]
    far = np.hypot(u - np.float32(aim[0]), v - np.float32(aim[1])) / np.float32(own.radius)
    by_u, by_v = (float(by) for by in shift)
    disc = own.disc.at(u - by_u, v - by_v)
    whole += ramp(1.12 - far, 0, 0.16)[..., None] * (disc - whole)
    # The cornea's centre moves half as far as the iris does, and the light in it with that.
    shine = own.light.at(u - 0.5 * by_u, v - 0.5 * by_v)
    whole += ramp(1.05 - far, 0, 0.15)[..., None] * shine
    return np.asarray(whole + ((1 - turning) * visible)[..., None] * (seen - whole))


def taken_apart(image: ByteImage, source: Frame, ring: FloatArray) -> Ball:
    """The eyeball whose iris lies near the landmarks of it, centre first [5, 2] px."""
    about = float(np.linalg.norm(ring[1:] - ring[0], axis=1).mean()) / source.width
    centre, radius = _circle(image, source, source.to_eye(ring[0]), about)
    cells = max(96.0, 1.5 * source.width)
    light = _light(image, source, centre, radius)
    left, top = -0.05, float(source.upper.min()) - 0.15
    whole = _grid(left, top, 1.1, float(source.lower.max()) + 0.1 - top, cells)
    white = Sheet(_white(image, source, centre, radius, *whole), left, top, cells)
    left, top = (float(at) for at in centre - 1.2 * radius)
    part = _grid(left, top, 2.4 * radius, 2.4 * radius, cells)
    disc = Sheet(_disc(image, source, centre, radius, light, *part), left, top, cells)
    return Ball(centre, radius, white, disc, light)


def _grid(left: float, top: float, wide: float, tall: float, cells: float) -> tuple[FloatArray, FloatArray]:
    """u and v [h, w] of the pixels of a sheet."""
    across, down = (np.arange(0.5 / cells, size, 1 / cells) for size in (wide, tall))
    u, v = np.meshgrid(left + across, top + down)
    return u.astype(np.float32), v.astype(np.float32)


def _inside(source: Frame, u: FloatArray, v: FloatArray) -> FloatArray:
    """How far within the opening (u, v) lie, of the eye's width, less what lashes hang into it."""
    index = np.clip(u * STEPS, 0, STEPS).astype(np.int32)
    upper, lower = (curve.astype(np.float32)[index] for curve in source.lids)
    return np.asarray(np.minimum(v - upper - HANGING, lower - v))


def _away(u: FloatArray, v: FloatArray, centre: FloatArray) -> FloatArray:
    """How far (u, v) lie from an iris' centre."""
    return np.asarray(np.hypot(u - float(centre[0]), v - float(centre[1])))


def _disc(
    image: ByteImage,
    source: Frame,
    centre: FloatArray,
    radius: float,
    light: Sheet,
    u: FloatArray,
    v: FloatArray,
) -> FloatArray:
    """The iris [h, w, 3] without its `light`; what lids hide is as it is beside the pupil, as far from it."""
    far = _away(u, v, centre) / radius
    disc = sample(image, *source.to_photo(u, v)) - light.at(u, v)
    sides = [
        sample(image, *source.to_photo(centre[0] + side * radius * far, np.full_like(v, centre[1])))
        for side in (-1, 1)
    ]
    right = np.clip(0.5 + 0.5 * (u - float(centre[0])) / radius, 0, 1)[..., None]
    round_ = sides[0] + right * (sides[1] - sides[0])
    skin = ramp(brightness(disc) / (brightness(round_) + 24), 1.3, 1.6) * ramp(far, 0.45, 0.6)
    hidden = np.maximum(ramp(0.05 - _inside(source, u, v), 0, 0.03), skin)
    return np.asarray(disc + hidden[..., None] * (round_ - disc), np.float32)


def _white(
    image: ByteImage, source: Frame, centre: FloatArray, radius: float, u: FloatArray, v: FloatArray
) -> FloatArray:
    """The eyeball without its iris [h, w, 3]: what was seen of it, continued; lashes and skin are not taken for it."""
    seen, depth = sample(image, *source.to_photo(u, v)), _inside(source, u, v)
    away = _away(u, v, centre) / radius
    away -= 1.6 / (radius * source.width)  # blur, and doubt where it is
    within = (u > 0.02) & (u < 0.98)
    bright = brightness(seen)
    known = ramp(away, 1.18, 1.3) * ramp(depth, 0.03, 0.06) * within
    sure = known > 0.5
    if not sure.any():  # an eye that shows none
        return _fair(np.zeros_like(seen), np.zeros_like(known), image, source)
    pale = (seen[..., 1] + seen[..., 2]) / (seen[..., 0] + 1)
    known *= 0.02 + ramp(bright / max(float(np.percentile(bright[sure], 80)), 1.0), 0.6, 0.8) * (
        0.1 + ramp(pale, *np.percentile(pale[sure], (35, 75)) + np.array([0, 1e-3]))
    )
    smooth = filled(seen, known)
    smooth = _fair(smooth, known, image, source)
    smooth *= (1 - 0.12 * (2 * np.clip(u, 0, 1) - 1) ** 2)[..., None]
    index = np.clip(u * STEPS, 0, STEPS).astype(np.int32)
    skin = sample(image, *source.to_photo(u, source.lower[index] + 0.15 + np.abs(source.upper[index] - v)))
    noise = skin - cv2.GaussianBlur(skin, (0, 0), max(0.02 * len(u), 1.0))
    smooth += np.clip(noise, -NOISE, NOISE)
    ratio = bright / np.maximum(brightness(smooth), 1)
    strict = 0.15 * ramp(1.7 - away, 0, 0.4)  # the iris' soft edge
    alike = ramp(ratio - strict, 0.6, 0.8) * ramp(1.3 - ratio, 0, 0.12)
    corner = np.maximum(ramp(0.2 - u, 0, 0.08), ramp(u - 0.8, 0, 0.08))
    share = ramp(away, 1.08, 1.25) * ramp(depth, 0.0, 0.05) * within * np.maximum(alike, corner)
    return np.asarray(smooth + share[..., None] * (seen - smooth), np.float32)


def _fair(white: FloatArray, known: FloatArray, image: ByteImage, source: Frame) -> FloatArray:
    """`white` [h, w, 3], as far as it is `known` [h, w], no darker than eyes are beside skin, nor browner where it was:
    small eyes show lids and lashes where larger ones show white."""
    u, v = np.meshgrid(np.linspace(0.2, 0.8, 24), np.linspace(0.12, 0.25, 5))
    index = (u * STEPS).astype(np.int32)
    skin = np.median(sample(image, *source.to_photo(u, source.lower[index] + v)).reshape(-1, 3), axis=0)
    least = WHITE * float(skin.mean())
    if not known.any():
        return white + np.asarray(least * (0.65 + 0.35 * skin / max(float(skin.mean()), 1.0)), np.float32)
    mean = np.einsum("hw,hwc->c", known, white) / float(known.sum())
    bright = max(float(mean.mean()), 1.0)
    gain = float(np.clip(least / bright, 1, 3))
    grey = (brightness(white) / 3)[..., None] * np.asarray(0.65 + 0.35 * mean / bright, np.float32)
    return np.asarray(gain * (white + float(ramp(gain, 1.0, 1.2)) * (grey - white)), np.float32)


def _light(image: ByteImage, source: Frame, centre: FloatArray, radius: float) -> Sheet:
    """The light that a cornea reflects, as it lies over the iris."""
    left, top = (float(at) for at in centre - radius)
    cells = max(GLINT / radius, 1.5 * source.width)
    u, v = _grid(left, top, 2 * radius, 2 * radius, cells)
    seen = sample(image, *source.to_photo(u, v))
    wide = 2 * round(0.4 * cells * radius) + 1
    kernel = cv2.getStructuringElement(cv2.MORPH_ELLIPSE, (wide, wide))
    light = np.asarray(cv2.morphologyEx(seen, cv2.MORPH_TOPHAT, kernel), np.float32)
    far = _away(u, v, centre) / radius
    dark = float(np.median(brightness(seen)[far < 0.8])) / 3
    share = ramp(brightness(light) / 3, 0.25 * (255 - dark), 0.4 * (255 - dark)) * ramp(0.95 - far, 0, 0.2)
    near = 2 * round(0.06 * cells * radius) + 1
    share = np.asarray(cv2.blur(cv2.dilate(share, np.ones((near, near), np.uint8)), (near, near)))
    share[[0, -1]], share[:, [0, -1]] = 0, 0
    return Sheet(light * share[..., None], left, top, cells)


def _circle(image: ByteImage, source: Frame, centre: FloatArray, radius: float) -> tuple[FloatArray, float]:
    """Centre and radius of the iris near those given: where brightness rises most across a circle (Daugman 1993)."""
    fine = 96 / max(96.0, source.width)
    cells = source.width * fine
    part = np.array([centre - 2.2 * radius, centre + 2.2 * radius])
    u, v = (np.arange(part[0, k], part[1, k], 1 / cells) for k in (0, 1))
    if len(u) < 8 or len(v) < 8:
        return centre, radius
    grid_u, grid_v = np.meshgrid(u, v)
    grey = cv2.cvtColor(sample(image, *source.to_photo(grid_u, grid_v)), cv2.COLOR_RGB2GRAY)
    grey = np.sqrt(np.maximum(cv2.GaussianBlur(grey, (0, 0), max(0.06 * radius * cells, 0.5)), 0))
    index = np.clip(grid_u * STEPS, 0, STEPS).astype(np.int32)
    open_ = ramp(np.minimum(grid_v - source.upper[index], source.lower[index] - grid_v), -0.02, 0.03)
    angles = np.radians(np.concatenate([np.arange(-30, 61, 9), np.arange(120, 211, 9)]))
    ways = np.stack([np.cos(angles), np.sin(angles)], 1)
    steps = np.linspace(-0.33, 0.33, 9)
    tries = np.stack(np.meshgrid(steps, steps, np.linspace(0.82, 1.3, 7), indexing="ij"), -1).reshape(-1, 3)
    middles = centre + radius * tries[:, :2]

    def at(size: float) -> IndexArray:
        place = middles[:, None] + (size * radius * tries[:, 2])[:, None, None] * ways  # [n, angles, 2]
        cell = np.round((place - part[0]) * cells).astype(np.int32)
        return np.clip(cell[..., 1], 0, len(v) - 1) * len(u) + np.clip(cell[..., 0], 0, len(u) - 1)

    outer, inner = at(1.13), at(0.87)
    rise = (grey.ravel()[outer] - grey.ravel()[inner]) * open_.ravel()[outer]
    sides = rise.reshape(len(rise), 2, -1).mean(2)  # of right and left
    score = sides.mean(1) + 2 * sides.min(1)
    doubt = 2.5 * max(1.0, SURE / source.width) ** 2
    score -= doubt * ((tries**2)[:, :2].sum(1) + 3 * (tries[:, 2] - 1) ** 2) * np.abs(score).max()
    best = int(score.argmax())
    return middles[best], radius * float(tries[best, 2])


def found_lower_lid(image: ByteImage, source: Frame) -> FloatArray:
    """By how much the photo's lower lid lies below that of the landmarks [STEPS + 1]: where the eye's white and iris
    give way to skin, which is darker and redder."""
    u = np.linspace(0.12, 0.88, 25)
    reach, step = 0.09, 0.005
    v = np.interp(u, np.linspace(0, 1, STEPS + 1), source.lower)[:, None] + np.arange(
        -reach, reach + step / 2, step
    )
    colours = cv2.GaussianBlur(
        sample(image, *source.to_photo(np.broadcast_to(u[:, None], v.shape), v)), (0, 0), 0.8
    )
    red, green, blue = np.moveaxis(np.log(np.maximum(colours, 0) + 8), 2, 0)
    like_eye = (red + green + blue) / 3 - 2 * (red - (green + blue) / 2)
    drop = np.zeros_like(like_eye)
    drop[:, 3:-3] = np.clip(like_eye[:, :-6] - like_eye[:, 6:], 0, 0.8)
    bend = 4 * u * (1 - u)
    tries = np.stack(np.meshgrid(np.linspace(-0.045, 0.045, 19), np.linspace(-0.03, 0.03, 5)), -1).reshape(
        -1, 2
    )
    away = tries[:, :1] * bend + tries[:, 1:] * bend * (2 * u - 1)  # [n, 25]
    at = np.round((away + reach) / step).astype(np.int32)
    score = drop[np.arange(len(u)), at].mean(1) * (1 - (tries[:, 0] / 0.08) ** 2 - (tries[:, 1] / 0.1) ** 2)
    deep, tilt = tries[score.argmax()]
    whole = np.linspace(0, 1, STEPS + 1)
    return np.asarray(4 * whole * (1 - whole) * (deep + tilt * (2 * whole - 1)))
