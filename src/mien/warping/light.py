"""One photo's light, colour and grain on another photo's skin.

Both faces lie in one geometry. The logarithm of their ratio, smoothed over skin alone, is what the light and the
complexion change; detail finer than that stays the new face's. Eyes and mouth follow the light, not the complexion.
"""

from __future__ import annotations

import cv2
import numpy as np

from mien.types import ByteImage, FloatArray
from mien.warping import tone
from mien.warping.matte import SURE, fill
from mien.warping.steady import Steady

OFFSET = 4.0  # grey levels: below, a ratio says nothing
BROAD, FINE, EDGE = 0.4, 0.1, 0.06  # sigma of the smoothing, of the face's width
DOUBT = 0.12  # log ratio away from its surroundings at which skin counts half
LUMA = np.array([0.299, 0.587, 0.114])  # Rec. 601
LOOSE = 2.0  # how much more `DOUBT` and `MOST` allow for each unit of log gain between two skins
SOFT = 0.85  # of the lightest skin of a photo, from which what is lighter bends
OTHER = 0.2  # log ratio from which on what a forehead shows is something else than skin
TOOTH = 0.35  # share of the skin's hue in that of teeth
PORES, DEEP = 0.01, 12.0  # sigma of pores, of the face's width; grey levels at most
MOST = 0.35  # log ratio by which the finer light may differ from the broad


def smooth(values: FloatArray, weight: FloatArray, sigma: float) -> tuple[FloatArray, FloatArray]:
    """`values` [h, w, c] blurred by `sigma` px where `weight` [h, w] has a say; how much say there was [h, w, 1]."""
    shrink = max(1.0, sigma / 3)
    h, w = weight.shape
    size = (max(2, round(w / shrink)), max(2, round(h / shrink)))
    said = np.dstack([values * weight[..., None], weight]).astype(np.float32)
    few = cv2.resize(said, size, interpolation=cv2.INTER_AREA)
    few = cv2.GaussianBlur(few, (0, 0), sigma / shrink, borderType=cv2.BORDER_CONSTANT)
    both = np.asarray(cv2.resize(few, (w, h), interpolation=cv2.INTER_LINEAR), np.float32)
    return both[..., :-1] / np.maximum(both[..., -1:], 1e-6), both[..., -1:]


def filled(picture: ByteImage, holes: ByteImage, known: ByteImage, sigma: float) -> ByteImage:
    """`picture` [H, W, 3] whose `holes` have the colours of what is `known` nearby; both [h, w] 0 or 1, and small."""
    height, width = picture.shape[:2]
    few = cv2.resize(picture, holes.shape[::-1], interpolation=cv2.INTER_AREA).astype(np.float32)
    near, say = smooth(few, known.astype(np.float32), sigma)
    far, _ = smooth(few, known.astype(np.float32), 4 * sigma)
    near = far + np.clip(say / 0.1, 0, 1) * (near - far)
    share = cv2.GaussianBlur(cv2.dilate(holes, np.ones((3, 3))).astype(np.float32), (0, 0), 1.0)[..., None]
    colour, cover = (cv2.resize(part, (width, height)) for part in (near, share))
    return np.asarray(picture + cover[..., None] * (colour - picture) + 0.5, np.uint8)


def ratio(front: FloatArray, back: FloatArray) -> FloatArray:
    """log of `back` ÷ `front`, both [h, w, 3] 0 to 255."""
    return np.log((back + OFFSET) / (np.maximum(front, 0) + OFFSET))


def relight(
    front: FloatArray,
    back: FloatArray,
    skin: FloatArray,
    edge: FloatArray,
    beard: FloatArray,
    wide: float,
    bright: float = 1.0,
) -> FloatArray:
    """log gains [h, w, 3] that give `front`, of the right complexion, the light of `back` (small, [h, w, 3], 0 to 255).

    Args:
        skin: [h, w] 0 to 1, where both show skin. edge: [h, w] 0 to 1, where the one will pass into the other.
        beard: [h, w] 0 to 1, where a beard may grow. wide: of the face, px. bright: gain of the skin's luminance that
            there was before: the more, the less alike is how the two shine, which is not for the tone curve to know.
    """
    loose = 1 + LOOSE * abs(float(np.log(bright))) * (1 - beard)
    most = (MOST * loose)[..., None]
    soft = [np.asarray(cv2.GaussianBlur(part, (0, 0), 1.0), np.float32) for part in (front, back)]
    change = ratio(soft[0], soft[1])
    trust = skin.astype(np.float32)
    broad, _ = smooth(change, trust, BROAD * wide)
    for _ in range(3):  # beards and what else is not one's skin but the other's
        off = (change - broad).mean(2)
        trust = skin / (1 + (off / (DOUBT * loose)) ** 2)
        broad, _ = smooth(change, trust, BROAD * wide)
    finer, say = smooth(np.clip(change - broad, -most, most), trust, FINE * wide)
    gains = broad + finer * (say / (say + 0.1))
    left, say = smooth(np.clip(change - gains, -most, most), edge * skin, EDGE * wide)
    return np.asarray(gains + left * np.clip(say / 0.3, 0, 1))


def agreement(front: FloatArray, back: ByteImage) -> FloatArray:
    """[h, w] 0 to 1: how far `front`, lit as `back` is, shows what `back` shows, both small [h, w, 3] 0 to 255."""
    own, other = (
        np.asarray(cv2.GaussianBlur(p.astype(np.float32), (0, 0), 1.0), np.float32) for p in (front, back)
    )
    away = np.abs(ratio(own, other)).mean(2)
    return np.asarray(1 / (1 + (away / OTHER) ** 4), np.float32)


def settle(
    face: FloatArray,
    back: ByteImage,
    skin: FloatArray,
    flesh: FloatArray,
    lips: FloatArray,
    apart: float,
) -> FloatArray:
    """`face` [h, w, 3] 0 to 255 with what the change of its skin has blown up taken back.

    Shades of colour that were small on one skin (a blush, a bluish shine, noise) get a part of their distance to the
    hue of the photo's skin; nothing is lighter than the lightest skin of the photo.

    Args:
        back: the photo, [h, w, 3].
        skin: where both show skin, flesh: where the result is skin or lips, lips: where it is lips, [h, w] 0 to 1.
        apart: how far apart the two skins were, see `Complexion`.
    """
    chosen = back[skin > 0.5].astype(np.float32)
    if len(chosen) < 50:
        return face
    light = chosen @ LUMA.astype(np.float32)
    most = 1.03 * float(np.quantile(light, 0.99))
    whole = np.median(chosen / (light[:, None] + OFFSET), 0)
    near = cv2.GaussianBlur(back, (0, 0), 1.0).astype(np.float32)
    hue, say = smooth(near / (near @ LUMA.astype(np.float32) + OFFSET)[..., None], skin, FINE * back.shape[1])
    hue = whole + np.clip(say / 0.1, 0, 1) * (hue - whole)
    luma = face @ LUMA.astype(np.float32)
    over = np.maximum(luma - SOFT * most, 0)
    room = (1 - SOFT) * most
    dimmed = (luma - over + room * np.tanh(over / room) + 1) / (luma + 1)
    share = flesh * (1 - lips) * (1 - np.exp(-apart))
    even = (luma + OFFSET)[..., None] * hue
    face = face + share[..., None] * (even - face)
    return np.asarray(face * (1 + flesh * (dimmed - 1))[..., None], np.float32)


def enamel(face: FloatArray, back: ByteImage, landmarks: FloatArray, inside: FloatArray) -> FloatArray:
    """`face` [h, w, 3] 0 to 255 whose teeth are hardly lighter than the whites of the photo's eyes, or its lightest
    skin, and hardly more colourful: what brings another photo's skin to this one's would let them glow.

    Args:
        back: the photo [h, w, 3], landmarks: [478, 3] px of its face. inside: [h, w] 0 to 1, between the lips.
    """
    white = tone.sclera(back, landmarks)
    cheeks = back[fill(back.shape, landmarks, *SURE[1:]) > 0]
    skin = float(np.quantile(cheeks @ LUMA, 0.95)) if len(cheeks) else 255.0
    x, y, w, h = cv2.boundingRect((inside > 0).astype(np.uint8))
    part = np.s_[y : y + h, x : x + w]
    here, share = face[part], inside[part][..., None]
    if not here.size:
        return face
    most = max(skin, float(white @ LUMA) if white is not None else 0.0)
    luma = np.maximum(here, 0) @ LUMA.astype(np.float32) + 1
    shown = luma[inside[part] > 0.5]
    bright = float(np.quantile(shown, 0.95)) if len(shown) else 0.0
    luma, own = luma * min(1.0, most / max(bright, 1.0)), luma
    hue = np.median(cheeks, 0) / max(float(np.median(cheeks, 0) @ LUMA), 1.0) if len(cheeks) else np.ones(3)
    warm = 1 + TOOTH * (hue - 1)  # enamel has a little of the skin's hue, and never one against it
    colour = here / own[..., None]
    cold = (colour[..., 2] - colour[..., 0] - (warm[2] - warm[0])) / 0.1
    green = (
        colour[..., 1] - colour[..., 0] - max(warm[1] - warm[0], 0)
    ) / 0.04  # of a red light that was taken out
    cold = np.clip(np.maximum(cold, green), 0, 1)
    cold = (cold * np.clip(luma / most / 0.3 - 0.5, 0, 1))[..., None]
    even = (colour + cold * (warm - colour)) * luma[..., None]
    result = face.copy()
    result[part] = here + share * (even - here)
    return result


def textured(face: FloatArray, back: ByteImage, skin: FloatArray, wide: float, share: float) -> FloatArray:
    """`face` [h, w, 3] 0 to 255 with a share of the pores of the photo's `skin` [h, w], where both show it: those of
    its own, brought from another skin, are too faint or were taken out as noise."""
    photo = back.astype(np.float32)
    fine = photo - cv2.GaussianBlur(photo, (0, 0), PORES * wide)
    rough = cv2.GaussianBlur(np.abs(fine).mean(2), (0, 0), 2 * PORES * wide)  # hair is no pores
    usual = float(np.median(rough[skin > 0.5])) if (skin > 0.5).any() else 1.0
    cover = share * skin * np.clip(2.5 - rough / max(usual, 0.1), 0, 1)
    return np.asarray(face + cover[..., None] * np.clip(fine, -DEEP, DEEP), np.float32)


def resemble(front: FloatArray, back: ByteImage, landmarks: FloatArray, steady: Steady) -> FloatArray:
    """`front` [h, w, 3] 0 to 255 as sharp and as grainy as `back`; `landmarks` [478, 3] px are both faces'. steady: of
    a film's frames."""
    goal = steady.numbers("goal", lambda: tone.measure(back, landmarks))
    own = steady.numbers(
        "own", lambda: tone.measure(np.clip(front + 0.5, 0, 255).astype(np.uint8), landmarks)
    )
    more = np.sqrt(max(goal.blur**2 - own.blur**2, 0.0))
    if more > 0.3:
        front = np.asarray(cv2.GaussianBlur(front, (0, 0), more))
        noise = goal.noise
    else:
        noise = np.sqrt(max(goal.noise**2 - own.noise**2, 0.0))
        if own.blur > goal.blur + 0.1:
            sigma = own.blur
            fine = front - cv2.GaussianBlur(front, (0, 0), sigma)
            beside = np.ones((2 * int(np.ceil(sigma)) + 1,) * 2, np.uint8)  # no lighter or darker rims
            low, high = cv2.erode(front, beside), cv2.dilate(front, beside)
            front = np.clip(front + min(own.blur / goal.blur - 1, 1.0) * fine, low, high)
    if noise > 0.5:
        height, width = front.shape[:2]
        front = front + (min(noise, 6.0) * tone.pattern(height, width))[..., None]
    return np.asarray(front, np.float32)
