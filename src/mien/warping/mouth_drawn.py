"""A drawn mouth: the teeth of nobody, gums, a tongue and the dark behind them, in a photo's light."""

from __future__ import annotations

from functools import lru_cache

import cv2
import numpy as np

from mien.types import FloatArray
from mien.warping import tone
from mien.warping.teeth import DEPTH, HINGE, OVERBITE, Pose, Teeth, View, lower_teeth, smooth, upper_teeth

BACK = 26.0  # units from the middle of the lower teeth to those that are never seen
_CAVITY = np.array([52.0, 21.0, 20.0], np.float32)  # RGB in a studio's light
_PALATE = np.array([84.0, 40.0, 38.0], np.float32)
_CHEEK = np.array([1.0, 0.84, 0.8], np.float32)  # against the lips
_TONGUE = np.array([172.0, 100.0, 98.0], np.float32)


def corner_shade(view: View) -> FloatArray:
    """Light that the cheeks leave, 1 in the middle [h, w]."""
    return 1 - 0.8 * smooth(np.abs(view.along), 0.55, 0.97)


def lip_shade(view: View) -> FloatArray:
    """Light that lips and cheeks leave on the teeth, 0 to 1 [h, w]."""
    lip = 1 - 0.42 * np.exp(-view.from_upper / 0.9) - 0.12 * np.exp(-view.from_upper / 3.5)
    return np.asarray(corner_shade(view) * lip * (1 - 0.25 * np.exp(-view.from_lower / 0.8)), np.float32)


def _over(
    below: FloatArray, sampled: tuple[FloatArray, FloatArray], colour: tone.Tone, gain: FloatArray
) -> FloatArray:
    """Enamel and gum of an atlas in the photo's colours over `below` [h, w, 3]."""
    atlas, gum = sampled
    alpha = atlas[..., 3]
    bright = colour.enamel + (colour.flesh - colour.enamel) * gum / np.maximum(alpha, 1e-4)
    return np.asarray(
        below * (1 - alpha[..., None])
        + colour.apply(atlas[..., :3] * colour.hue) * (colour.shade(gain) * bright[..., None])
    )


def drawn(view: View, where: Pose, teeth: Teeth, jaw: float, colour: tone.Tone) -> FloatArray:
    """The mouth of nobody in a view, colours [h, w, 3] float32. `jaw`: how far it has dropped, in units."""
    x, y, _ = where.on_arch(view.px, view.py, teeth.x, DEPTH)
    x2, y2, z2 = where.on_arch(view.px, view.py, teeth.x, DEPTH + 2.5, 0.8)
    upper = upper_teeth(x, y, teeth, view.unit)
    # An open mouth shows some of the lower teeth, and not much of their gum, whatever the chin's landmarks say.
    rest = teeth.edge - OVERBITE
    round_lips = 1 - float(smooth(view.width, 32.0, 46.0))  # pursed lips hide them and keep the light out
    covered = max(
        round_lips, 0.6 * float(smooth(view.gap / view.width, 0.5, 0.8))
    )  # a jaw that drops takes the lip along
    some, most = 2.6 * float(smooth(jaw, 4.0, 14.0)) * (1 - covered), 4.8 - 3.3 * covered
    lowest = max(min(rest + jaw, view.lower_y - some), view.lower_y - most)
    jaw = max(jaw, lowest - rest)
    # back teeth are nearer to the jaw's joints, and sink less
    tilt = jaw / HINGE + 0.1 * float(smooth(jaw, 3.0, 12.0))
    edge = lowest - tilt * np.clip(z2 - DEPTH - 2.5, 0, 40)
    lower = lower_teeth(x2, y2, edge, teeth, view.unit)

    side = np.exp(float(np.clip(colour.side, -0.5, 0.5)) * 0.5 * np.clip(view.along, -1, 1))
    light = lip_shade(view) * side * (1 - 0.4 * round_lips)

    picture = _cavity(view, colour, jaw) * side[..., None]
    # upper teeth and lip keep the light from what lies behind and below them
    cast = _shadow(upper[0][..., 3], view.unit)
    deep = side * (0.56 + 0.44 * smooth(view.from_upper, 1.0, 3.0 + 0.6 * jaw))
    picture = _tongue(picture, x2 - teeth.x, y2, edge, jaw, colour, deep * (1 - 0.5 * cast), teeth.shape)
    behind = 0.88 - (0.3 + 0.2 * float(np.exp(-jaw / 5))) * cast
    aside = np.abs(x2 - np.float32(teeth.x)) / np.float32(BACK)
    sides = 1 - smooth(
        aside, 0.5, 0.85
    )  # the cheeks cover the back ones, and keep the light from them before
    lower = lower[0] * sides[..., None], lower[1] * sides
    picture = _over(picture, lower, colour, light * behind * (1 - 0.7 * smooth(aside, 0.2, 0.7)))
    picture = _lip(picture, x2, view, jaw, colour, side)
    return _over(picture, upper, colour, light)


def _lip(
    picture: FloatArray, x: FloatArray, view: View, jaw: float, colour: tone.Tone, side: FloatArray
) -> FloatArray:
    """The wet inner rim of the lower lip of a mouth that is open, over what lies behind it."""
    open_wide = float(smooth(jaw, 4.0, 10.0))
    if open_wide == 0:
        return picture
    rim = 0.75 * open_wide * np.exp(-((view.from_lower / 1.1) ** 2))
    wet = np.exp(-(((view.from_lower - 0.7) / 0.35) ** 2)) * smooth(
        _bumps(x, 0.3 * view.from_lower, 1.3), 0.2, 1.6
    )
    light = side * (0.8 - 0.45 * smooth(np.abs(view.along), 0.3, 0.9))
    flesh = light[..., None] * (colour.lip + wet[..., None] * _wet(colour, 70.0)).astype(np.float32)
    return np.asarray(picture + rim[..., None] * (flesh - picture))


def _wet(colour: tone.Tone, light: float) -> FloatArray:
    """RGB [3] that shines on wet flesh."""
    return np.float32(colour.enamel) * colour.apply(np.full(3, light))


def _cavity(view: View, colour: tone.Tone, jaw: float) -> FloatArray:
    """What lies behind teeth and tongue [h, w, 3]: cheeks, the palate and the dark of the throat."""
    aside = np.abs(view.along)
    palate = float(smooth(jaw, 8.0, 24.0)) * np.exp(-view.from_upper / 6)[..., None]
    flesh = colour.flesh * colour.ruddy * colour.apply(_CAVITY + palate * (_PALATE - _CAVITY))
    dark = flesh * (0.6 + 0.4 * corner_shade(view))[..., None]
    deep = np.minimum(view.from_upper, view.from_lower)
    near = np.exp(-deep / 2.4) * (0.3 + 0.7 * smooth(aside, 0.4, 0.9))
    rim = np.exp(-((deep / 1.3) ** 2)) * smooth(aside, 0.5, 0.9) * smooth(jaw, 6.0, 14.0)  # the lips' own
    cheek = 0.34 * near + 0.3 * rim + 0.2 * smooth(aside, 0.6, 1.0)  # where the cheeks begin, light comes in
    return np.asarray(
        dark + cheek[..., None] * (_CHEEK**colour.chroma * colour.lip) * (1 - dark / 255), np.float32
    )


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
    shape: tuple[float, ...],
) -> FloatArray:
    """A tongue that lies behind the lower teeth, once the jaw has dropped by more than 1.5 units."""
    strength = float(smooth(jaw, 1.5, 5.0))
    if strength <= 0:
        return picture
    one, two, three = (*shape, 0.0, 0.0, 0.0)[:3]  # no two tongues are alike either
    height = (4.0 + 0.76 * jaw + 0.1 * max(jaw - 12.0, 0.0)) * (1 + 0.1 * one)
    v = (edge + 1.5 - y) / height  # 0 at the teeth's edge, 1 at its top
    u = (x - 0.8 * two - 1.2 * three * np.clip(v, 0, 1)) / (
        (20.5 - 3.0 * np.clip(v, 0, 1)) * (1 + 0.06 * two)
    )
    bumps, drops = _bumps(x + 9 * one, y, 1.6), _bumps(x + 9 * two, 0.6 * y, 0.6)
    round_off = 1 - np.abs(u) ** 2.4 - np.clip(v, 0, None) ** 3.0 + 0.04 * bumps
    cover = smooth(round_off, 0.0, 0.8) * smooth(v, -0.6, -0.1) * strength
    middle = (
        1 - (0.09 + 0.03 * three) * np.exp(-((x / (2.0 + 0.5 * one)) ** 2)) - 0.1 * np.exp(-((x / 5) ** 2))
    )
    groove = 1 + (middle - 1) * smooth(v, 0.1, 0.4)
    shade = (
        (0.45 + 0.55 * smooth(v, -0.15, 0.25))
        * (1 - 0.7 * smooth(v, 0.25, 1.0))
        * groove
        * (1 - 0.55 * np.abs(u) ** 1.7).clip(0.2)
        * (1 + 0.05 * bumps)
    )
    wet = (
        smooth(drops, 0.4, 2.0)
        * np.exp(-(((v - 0.28) / 0.16) ** 2))
        * np.exp(-(((np.abs(x) - 5.5) / 4.5) ** 2))
    )
    flesh = 0.65 * colour.flesh * colour.ruddy * colour.apply(_TONGUE) + 0.35 * colour.lip
    flesh = 1.08 * flesh * colour.shade(shade * light) + (wet * light)[..., None] * _wet(colour, 40.0)
    return np.asarray(picture + cover[..., None] * (flesh - picture))
