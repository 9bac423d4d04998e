"""A drawn mouth: the teeth of nobody, gums, a tongue and the dark behind them, in a photo's light."""

from __future__ import annotations

from functools import lru_cache

import cv2
import numpy as np

from mien.types import FloatArray
from mien.warping import tone
from mien.warping.teeth import (
    DEPTH,
    HINGE,
    OVERBITE,
    Pose,
    Teeth,
    View,
    lots,
    lower_teeth,
    smooth,
    upper_teeth,
)

BACK = 26.0  # units from the middle of the lower teeth to those that are never seen
STRIP, SLIT = (1.0, 6.5), (1.0, 5.0)  # units between lips, a strip and a row of teeth; a slit and a strip
GAPE = 11.0, 20.0  # units between lips, from which lower teeth come out, and are out
TIPS = 2.3, 3.5  # units of the lower teeth, from which the lip leaves some to be seen, and all of these
BRIGHT = 215.0  # grey level from which enamel grows lighter by half
CORNER = 0.3  # light on the flesh of a mouth's corners ÷ on its lips
_CAVITY = np.array([66.0, 39.0, 36.0], np.float32)  # RGB in a studio's light
_PALATE = np.array([112.0, 68.0, 64.0], np.float32)
_GUM = np.array([176.0, 118.0, 114.0], np.float32)
_CHEEK = np.array([1.0, 0.84, 0.8], np.float32)  # against the lips
_TONGUE = np.array([160.0, 103.0, 101.0], np.float32)


def corner_shade(view: View) -> FloatArray:
    """Light that the cheeks leave, 1 in the middle [h, w]."""
    aside = np.abs(view.along)
    return np.asarray((1 - 0.8 * smooth(aside, 0.46, 1.03)) * (1 - 0.08 * smooth(aside, 0.2, 0.45)))


def lip_shade(view: View) -> FloatArray:
    """Light that lips and cheeks leave on the teeth, 0 to 1 [h, w]."""
    lip = 1 - 0.48 * np.exp(-((view.from_upper / 1.9) ** 2)) - 0.1 * np.exp(-view.from_upper / 3.5)
    return np.asarray(corner_shade(view) * lip * (1 - 0.25 * np.exp(-view.from_lower / 0.8)), np.float32)


def _over(
    below: FloatArray, sampled: tuple[FloatArray, FloatArray], colour: tone.Tone, gain: FloatArray
) -> FloatArray:
    """Enamel and gum of an atlas in the photo's colours over `below` [h, w, 3], in place."""
    atlas, gum = sampled
    rows = np.flatnonzero(atlas[..., 3].any(1))
    if not len(rows):
        return below
    there = slice(rows[0], rows[-1] + 1)
    atlas, gum, gain = atlas[there], gum[there], gain[there]
    alpha = atlas[..., 3]
    bright = np.full(3, colour.enamel, np.float32)
    if gum.any():
        like_lips = colour.mucosa / np.maximum(colour.flesh * colour.apply(_GUM * colour.hue), 1.0)
        flesh = colour.flesh * (0.5 + 0.5 * like_lips.clip(0.6, 1.2)).astype(np.float32)
        share = gum / np.maximum(alpha, 1e-4)
        bright = cv2.merge([a + share * (b - a) for a, b in zip(bright, flesh, strict=True)])
    lit = colour.apply(atlas[..., :3] * colour.hue) * (colour.shade(gain) * bright)
    below[there] *= 1 - alpha[..., None]
    below[there] += np.minimum(lit, 0.5 * lit + 0.5 * BRIGHT * alpha[..., None])
    return below


def drawn(
    view: View, where: Pose, teeth: Teeth, jaw: float, colour: tone.Tone, filmed: bool = False
) -> FloatArray:
    """The mouth of nobody in a view, colours [h, w, 3] float32. jaw: how far it has dropped, in units. filmed: it is
    drawn frame after frame, and lower teeth come out by and by; else some of them or none."""
    x, y, _ = where.on_arch(view.px, view.py, teeth.x, DEPTH)
    x2, y2, z2 = where.on_arch(view.px, view.py, teeth.x, DEPTH + 2.5, 0.8)
    upper = upper_teeth(x, y, teeth, view.unit)
    round_lips = 1 - float(
        smooth(view.width, 32.0, 46.0)
    )  # pursed ones hide lower teeth and keep the light out
    # in so narrow a gap teeth lie in the lips' shade, and their light
    thin = max(1 - float(smooth(view.gap, *STRIP)), round_lips * (1 - float(smooth(view.gap, *GAPE))))
    slit = 1 - float(smooth(view.gap, *SLIT))
    if thin > 0:
        rosy = (colour.lip / max(float(colour.lip.mean()), 1.0)) ** (
            (0.36 + 0.2 * slit + 0.3 * round_lips) * colour.chroma
        )
        rosy[2] = min(rosy[1], rosy[2])  # enamel in a lip's shade is no bluer than in the light
        enamel = upper[0][..., :3] * (1 - upper[1] / np.maximum(upper[0][..., 3], 1e-4))[..., None]
        light = enamel.mean(-1, keepdims=True)
        flatter = (light / np.maximum(0.8 * 255 * upper[0][..., 3:4], 1.0)).clip(0.3) ** (-0.25 * thin)
        upper[0][..., :3] += 0.7 * thin * (light * flatter * rosy - enamel)
    lot = lots(teeth.shape, 8)
    # A gape shows some of the lower teeth, and not much of their gum, whatever the chin's landmarks say. The lip hides
    # them in a mouth that is less open, or seen from the side.
    rest = teeth.edge - OVERBITE
    # a jaw that drops takes the lip along
    covered = max(round_lips, 0.6 * float(smooth(view.gap / view.width, 0.5, 0.8)))
    own, gape = 1.3 * float(lot[0]), float(smooth(view.gap, *GAPE))
    gape *= 1 - float(smooth(abs(float(where.turn[0, 2])), 0.25, 0.5))
    heights = (3.2 + own) * (1 - covered), 4.0 - 2.0 * covered + 0.7 * own
    some, most = (gape * (1 + height) - 1 for height in heights)
    shows = min(max(view.lower_y - rest - jaw, some), most)
    if not filmed:
        shows -= (1 + shows) * (1 - float(smooth(shows, *TIPS)))  # single tips look like chips of something
    lowest = view.lower_y - shows
    jaw = max(jaw, lowest - rest)
    # back teeth are nearer to the jaw's joints, and sink less
    tilt = jaw / HINGE + 0.1 * float(smooth(jaw, 3.0, 12.0))
    edge = lowest - tilt * np.clip(z2 - DEPTH - 2.5, 0, 40)
    lower = lower_teeth(x2, y2, edge, teeth, view.unit)

    side = np.exp(float(np.clip(colour.side, -0.5, 0.5)) * 0.5 * np.clip(view.along, -1, 1))
    light = lip_shade(view) * side * (1 - 0.4 * round_lips) * (1 - 0.27 * thin) * (1 - 0.45 * slit)

    picture = _cavity(view, colour, jaw, lot) * side[..., None]
    # upper teeth and lip keep the light from what lies behind and below them
    cast = _shadow(upper[0][..., 3], view.unit)
    deep = side * (0.5 + 0.5 * smooth(view.from_upper, 0.5, 2.0 + 0.5 * jaw))
    picture = _tongue(picture, x2 - teeth.x, y2, edge, jaw, colour, deep * (1 - 0.5 * cast), lot)
    behind = 0.85 - (0.3 + 0.2 * float(np.exp(-jaw / 5))) * cast
    aside = np.abs(x2 - np.float32(teeth.x)) / np.float32(BACK)
    sides = 1 - smooth(aside, 0.6, 0.9)  # the cheeks cover the back ones, and keep the light from them before
    lower = lower[0] * sides[..., None], lower[1] * sides
    picture = _over(picture, lower, colour, light * behind * (1 - 0.6 * smooth(aside, 0.25, 0.8)))
    picture = _lip(picture, x2, view, jaw, colour, side)
    ends = np.abs(view.along) > 0.86  # the last ones are lost in the dark of the cheeks
    left = 1 - smooth(np.abs(view.along[ends]), 0.86, 1.0)
    upper[0][ends] *= left[:, None]
    upper[1][ends] *= left
    return _corners(_over(picture, upper, colour, light), view, colour, side)


def _corners(picture: FloatArray, view: View, colour: tone.Tone, side: FloatArray) -> FloatArray:
    """The lips' flesh that closes the corners: no light gets behind it, and it is not black."""
    first = 0.68 + 0.12 * float(smooth(view.gap, 4.0, 8.0))
    ends = np.abs(view.along) > first
    deep = np.minimum(view.from_upper[ends], view.from_lower[ends])
    light = side[ends] * (CORNER + 0.25 * np.exp(-deep / 0.7))
    cover = 0.85 * smooth(np.abs(view.along[ends]), first, 1.0)
    picture[ends] += cover[:, None] * (light[:, None] * colour.inner_lip - picture[ends])
    return picture


def _lip(
    picture: FloatArray, x: FloatArray, view: View, jaw: float, colour: tone.Tone, side: FloatArray
) -> FloatArray:
    """The wet inner rim of the lower lip of a mouth that is open, over what lies behind it."""
    open_wide = float(smooth(jaw, 4.0, 10.0))
    if open_wide == 0:
        return picture
    bumps = _bumps(x, 0.3 * view.from_lower, 1.3)
    rim = open_wide * (1 - smooth(view.from_lower + 0.12 * bumps, 0.45, 1.15))
    wet = np.exp(-(((view.from_lower - 0.5) / 0.3) ** 2)) * smooth(bumps, 0.0, 1.8)
    light = (
        side
        * (0.8 - 0.32 * smooth(np.abs(view.along), 0.3, 0.95))
        * (1 - 0.3 * smooth(view.from_lower, 0.3, 1.0))
    )
    flesh = light[..., None] * (colour.lip + wet[..., None] * _wet(colour, 60.0)).astype(np.float32)
    return np.asarray(picture + rim[..., None] * (flesh - picture))


def _wet(colour: tone.Tone, light: float) -> FloatArray:
    """RGB [3] that shines on wet flesh."""
    return np.float32(colour.enamel) * colour.apply(np.full(3, light))


def _cavity(view: View, colour: tone.Tone, jaw: float, lot: FloatArray) -> FloatArray:
    """What lies behind teeth and tongue [h, w, 3]: cheeks, the palate and the dark of the throat."""
    aside = np.abs(view.along)
    wide = float(smooth(jaw, 6.0, 18.0))
    # the light that comes in, from the lips to the throat, which lies below the middle of the upper teeth
    deep = np.minimum(view.from_upper, view.from_lower)
    high = (view.from_upper / max(0.5 * view.gap, 1.0) - 0.75) / 0.7
    throat = np.exp(-((view.along / 0.5) ** 2) - high**2)
    light = 0.62 + 0.5 * smooth(aside, 0.35, 0.95) - (0.28 + 0.1 * float(lot[1])) * wide * throat
    light = light * (1 + 0.1 * _bumps(16 * view.along + 5 * lot[2], view.from_upper, 3.0))
    # the uvula, which hangs before the throat
    hangs = np.exp(-((view.along * view.width / 3.0) ** 2)) * (1 - smooth(high, -0.15, 0.25))
    light = light + 0.22 * wide * hangs * smooth(view.from_upper, 3.0, 7.0)
    palate = wide * np.exp(-view.from_upper / 4.0)[..., None]
    flesh = colour.flesh * colour.ruddy * colour.apply(_CAVITY + 0.4 * palate * (_PALATE - _CAVITY))
    dark = flesh * light[..., None]
    # the cheeks' own flesh, which the light from before grazes, and the lips' where they meet
    fold = 1 + 0.25 * _bumps(0.5 * view.from_upper, 9 * view.along, 2.0) * smooth(aside, 0.7, 0.9)
    cheek = 0.42 * np.exp(-deep / 2.0) * smooth(aside, 0.35, 0.95) + 0.16 * smooth(aside, 0.62, 1.0)
    corner = 0.22 * smooth(aside, 0.84, 1.0) * wide
    gain = (cheek * (0.4 + 0.6 * wide) * fold + corner)[..., None]
    return np.asarray(dark + gain * (_CHEEK**colour.chroma * colour.mucosa) * (1 - dark / 255), np.float32)


def _shadow(alpha: FloatArray, unit: float) -> FloatArray:
    """What the upper teeth shade [h, w], 0 to 1: blurred by 1.6 units and sunk by 1.2."""
    height, width = alpha.shape
    k = max(unit, 1.0)
    small = cv2.resize(alpha, (max(int(width / k), 1), max(int(height / k), 1)), interpolation=cv2.INTER_AREA)
    small = cv2.GaussianBlur(small, (0, 0), 1.6 * unit / k)
    k_x, k_y = width / small.shape[1], height / small.shape[0]
    back = np.array([[k_x, 0, 0.5 * k_x - 0.5], [0, k_y, 0.5 * k_y - 0.5 + 1.2 * unit]])
    return np.asarray(cv2.warpAffine(small, back, (width, height), flags=cv2.INTER_LINEAR))


@lru_cache(maxsize=1)
def _relief() -> FloatArray:
    """Smooth noise [256, 256] of standard deviation 1 that repeats."""
    rough = cv2.GaussianBlur(np.tile(tone.pattern(256, 256), (3, 3)), (0, 0), 4)[256:512, 256:512]
    return np.asarray(rough / rough.std(), np.float32)


def _bumps(x: FloatArray, y: FloatArray, size: float) -> FloatArray:
    """`_relief` at head coordinates, bumps of `size` units."""
    at_x, at_y = (np.asarray(side * (4 / size), np.float32) for side in (x, y))
    return np.asarray(
        cv2.remap(_relief(), at_x, at_y, cv2.INTER_LINEAR, borderMode=cv2.BORDER_WRAP), np.float32
    )


def _tongue(
    picture: FloatArray,
    x: FloatArray,
    y: FloatArray,
    edge: FloatArray,
    jaw: float,
    colour: tone.Tone,
    light: FloatArray,
    lot: FloatArray,
) -> FloatArray:
    """A tongue that lies behind the lower teeth, once the jaw has dropped by more than 1.5 units.

    `lot`: what makes it this person's, see `mien.warping.teeth.lots`.
    """
    strength = float(smooth(jaw, 1.5, 5.0))
    if strength <= 0:
        return picture
    tall, lean, groove, rough = (float(value) for value in lot[3:7])
    height = (3.5 + 0.8 * jaw) * (1 + 0.22 * tall)
    v = (edge + 1.5 - y) / height  # 0 at the teeth's edge, 1 at its top
    rows = np.flatnonzero(((v > -0.6) & (v < 1.1)).any(1))
    if not len(rows):
        return picture
    there = slice(rows[0], rows[-1] + 1)
    x, y, v, light = x[there], y[there], np.asarray(v[there], np.float32), light[there]
    bumps, fine = _bumps(x + 9 * rough, y, 2.4), _bumps(x + 5 * lean, y, 0.55)
    x = x - 1.5 * lean * np.clip(v, 0, 1)
    u = x / (23.0 - 4.0 * np.clip(v, 0, 1) ** 2)
    outline = 1 - np.abs(u) ** 2.3 - np.clip(v, 0, None) ** 2.3 + 0.04 * bumps
    cover = smooth(outline, 0.0, 0.4) * smooth(v, -0.6, -0.1) * strength
    round_off = np.clip(outline, 0, 1)
    valley = (0.07 + 0.06 * groove) * np.exp(-(((x - 0.4 * bumps) / 1.3) ** 2)) + 0.1 * np.exp(
        -((x / 5.5) ** 2)
    )
    shade = (
        (0.35 + 0.65 * smooth(v, -0.12, 0.3))  # its tip turns down behind the teeth
        * (1 - 0.8 * smooth(v, 0.2, 1.0))  # and its back away from the light
        * (0.25 + 0.75 * smooth(round_off, 0.0, 0.9))
        * (1 - valley * smooth(v, 0.08, 0.35))
        * (1 + 0.05 * bumps + 0.06 * fine)
    )
    wet = np.exp(-(((v - 0.3 - 0.05 * bumps) / 0.14) ** 2)) * np.exp(-(((np.abs(x) - 6.0) / 4.5) ** 2))
    wet *= 0.35 + 0.65 * smooth(bumps + 0.8 * fine, 0.2, 2.2)
    flesh = 0.65 * colour.flesh * colour.ruddy * colour.apply(_TONGUE) + 0.35 * colour.mucosa
    flesh = 0.97 * flesh * colour.shade(shade * light) + (wet * light)[..., None] * _wet(colour, 26.0)
    picture[there] += cover[..., None] * (flesh - picture[there])
    return picture
