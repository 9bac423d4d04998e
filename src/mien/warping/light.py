"""One photo's light, colour and grain on another photo's skin.

Both faces lie in one geometry. The logarithm of their ratio, smoothed over skin alone, is what the light and the
complexion change; detail finer than that stays the new face's. Eyes and mouth follow the light, not the complexion.
"""

from __future__ import annotations

from dataclasses import dataclass

import cv2
import numpy as np

from mien.types import ByteImage, FloatArray
from mien.warping import tone
from mien.warping.matte import SURE, fill
from mien.warping.steady import Steady

OFFSET = 4.0  # grey levels: below, a ratio says nothing
BROAD, FINE, EDGE = 0.4, 0.1, 0.06  # sigma of the smoothing, of the face's width
DOUBT = 0.12  # log ratio away from its surroundings at which skin counts half
LEVELS = (0.02, 0.1, 0.3, 0.5, 0.7, 0.9, 0.98)  # quantiles of skin that a tone curve joins
DEEPEST = 1.35  # gain of the darkest or lightest skin against that of the median, at most
STEEP = (0.5, 1.8)  # slopes of a tone curve at least and at most
LIPS = 0.7  # share of the change from lips to lips in that of lips; the rest is the skin's
LUMA = np.array([0.299, 0.587, 0.114])  # Rec. 601
EYES = 0.4  # power of the change of brightness that eyes and teeth take on
WHITES = 0.7  # share in it of how the whites of the eyes change
SHADED = 0.75  # of the skin's light, below which whites lie in the shade of lids
SKINNY = 0.5, 0.9  # of skin's ruddiness, from which whites are less sure, and at which they are skin
UNSURE = 0.4  # share of their hue that is taken all the same
WHITE, IRIS = 1.1, 0.8  # of light of skin: whites of eyes, and irises of the lightest
DIMMED = 0.6  # power of skin's loss of light that irises take on
LESS_RED = 0.1  # log ratio of red to green that skin loses, from which all that is warm loses it
DEEP = 0.3  # of the skin's luminance, below which a dark picture has specks
DIM = 0.35  # of it, below which such a picture has no blue: its sensor's noise has
BROWS = 0.7  # power of skin's gain that brows, where they are darker than it, do not take on
# grey levels of noise that are left; of the noise, up to which differences are evened out
GRAIN, EVEN = 0.8, 5.0
CALM, CALMEST = 1.25, 2.0  # gains of skin from which noise is taken out, and all of it
SHINE = 0.85  # share of skin's hue that what is as light as skin has at least
LOOSE = 2.0  # how much more `DOUBT` and `MOST` allow for each unit of log gain between two skins
TINTS, TINGED = 0.8, 2.0  # how much less shades of colour become for each unit of log gain of light, of hue
SOFT = 0.85  # of the lightest skin of a photo, from which what is lighter bends
OTHER = 0.2  # log ratio from which on what a forehead shows is something else than skin
TOOTH = 0.35  # share of the skin's hue in that of teeth
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


@dataclass(frozen=True)
class Complexion:
    """From one person's colours to another's.

    Attributes:
        tone: log gain [256] of skin of each luminance. hue: log gains [3] of skin on top of it.
        lips: gains [256, 3] of lips of each luminance instead. eyes: gains [3] of eyes and teeth instead.
        ruddy: (R - B) / (R + B), luminance: of the skin that there is. bright: gain of its luminance.
    """

    tone: FloatArray
    hue: FloatArray
    lips: FloatArray
    eyes: FloatArray
    ruddy: float
    luminance: float
    bright: float

    @property
    def apart(self) -> float:
        """How far apart the two skins are in light and hue, 0 or more."""
        return float(TINTS * abs(np.log(self.bright)) + TINGED * np.ptp(self.hue))

    def flesh(self, picture: ByteImage) -> FloatArray:
        """[h, w] 0 to 1: how much of skin's colour there is, of which hair has little; shine is skin's too."""
        soft = cv2.GaussianBlur(picture.astype(np.float32), (0, 0), 1.0)
        shine = (soft @ LUMA.astype(np.float32) / max(self.luminance, 1.0) - 0.7) / 0.3
        return np.clip(np.maximum(self._ruddy(np.asarray(soft, np.float32)), np.minimum(shine, SHINE)), 0, 1)

    def calm(self, picture: ByteImage, sigma: float) -> ByteImage:
        """`picture` [h, w, 3] without the noise of its colours, `sigma` px wide, without grain, and without specks in
        its deepest shade, as far as dark skin becomes light: what hardly showed in the dark would be seen then."""
        share = float(np.clip((self.bright - CALM) / (CALMEST - CALM), 0, 1))
        if share == 0:
            return picture
        luma, *colours = cv2.split(cv2.cvtColor(picture, cv2.COLOR_RGB2YCrCb))
        deep = cv2.dilate((luma < DEEP * self.luminance).astype(np.uint8), np.ones((5, 5), np.uint8))
        cv2.copyTo(cv2.medianBlur(luma, 5), deep, luma)
        fine = np.asarray(luma, np.float32)
        coarse = np.asarray(cv2.resize(fine, None, fx=0.5, fy=0.5), np.float32)
        grain = max(tone.noise_of(fine), tone.noise_of(coarse))
        if grain > GRAIN:
            even = cv2.bilateralFilter(luma, 9, EVEN * grain, max(0.6 * sigma, 1.0))
            luma = cv2.addWeighted(luma, 1 - share, even, share, 0)
        soft = [cv2.GaussianBlur(part, (0, 0), max(sigma * share, 0.3)) for part in colours]
        dark = share * np.clip(2 - fine / (DIM * max(self.luminance, 1.0)), 0, 1)  # black is no blue there
        soft[1] = np.asarray(soft[1] - dark * np.maximum(soft[1].astype(np.float32) - 128, 0), np.uint8)
        return np.asarray(cv2.cvtColor(cv2.merge([luma, *soft]), cv2.COLOR_YCrCb2RGB), np.uint8)

    def apply(
        self, picture: ByteImage, lips: FloatArray, eyes: FloatArray, flesh: FloatArray, brows: FloatArray
    ) -> FloatArray:
        """`picture` [h, w, 3] float32 0 to 255; `lips`, `eyes`, `flesh`, `brows` [h, w] 0 to 1: where these are."""
        grey = cv2.cvtColor(picture, cv2.COLOR_RGB2GRAY)
        even = cv2.GaussianBlur(grey, (0, 0), 0.7 + 0.01 * grey.shape[1] * (self.bright > CALM))
        hair = brows * np.clip((0.82 - even / max(self.luminance, 1.0)) / 0.3, 0, 1)  # black on any skin
        less = BROWS * max(float(np.log(self.bright)), 0.0) * hair
        gains = np.exp((self.tone[grey] - less)[..., None] + flesh[..., None] * self.hue)
        for table, where in ((self.lips, lips), (None, eyes)):
            x, y, w, h = cv2.boundingRect((where > 0).astype(np.uint8))
            part = np.s_[y : y + h, x : x + w]
            own = self._of_eyes(picture[part]) if table is None else table[grey[part]]
            gains[part] += where[part][..., None] * (own - gains[part])
        return _bounded(gains * picture)

    def _of_eyes(self, picture: ByteImage) -> FloatArray:
        """Gains [h, w, 3] of eyes and teeth. What is as warm as skin, as brown irises and the rims of lids are, takes
        skin's change of hue where that makes it less red: a camera that shows skin too red shows them so as well.
        Irises, darker than the whites, take a part of what makes skin darker than the light does: light ones would
        glow in it."""
        red = np.clip((self.hue[1] - self.hue[0]) / LESS_RED, 0, 1)
        warm = red * np.clip(self._ruddy(picture.astype(np.float32)), 0, 1)[..., None]
        light = np.log(self.eyes)
        change = self.hue - (light - light @ LUMA.astype(np.float32))
        iris = np.clip((WHITE - picture @ LUMA / max(self.luminance, 1.0)) / (WHITE - IRIS), 0, 1)[..., None]
        dim = DIMMED * min(float(np.log(self.bright) - light @ LUMA), 0.0) * iris
        return np.asarray(np.exp(light + warm * change + dim), np.float32)

    def _ruddy(self, picture: FloatArray) -> FloatArray:
        """[h, w]: how ruddy a picture 0 to 255 is, skin 1, grey 0."""
        red, blue = picture[..., 0], picture[..., 2]
        return np.asarray((red - blue) / (red + blue + OFFSET) / max(self.ruddy, 0.02), np.float32)


def complexion(
    front: ByteImage,
    back: ByteImage,
    skin: FloatArray,
    lips: FloatArray,
    landmarks: FloatArray | None = None,
) -> Complexion:
    """Of two pictures [h, w, 3] in one geometry: `skin` [h, w] 0 to 1, where both show skin, `lips` where both do;
    `landmarks` [478, 3] px.

    Skin: luminance by the curve that takes quantiles to quantiles, so that shine and shade spread as they do on the
    photo's skin; hue by the median colours. Lips: between the skin's change and a change from lips to lips, for their
    colour is the person's too. Eyes and teeth: by the whites of
    the eyes, which tell the light and not the person. Hair keeps its hue.
    """
    grey = np.arange(256.0)
    middle = len(LEVELS) // 2
    own, goal = _quantiles(front, skin), _quantiles(back, skin)
    whole = (goal[middle] + 2) / (own[middle] + 2)
    bright = float(whole @ LUMA)
    # Shine lies on the skin and is as light on any: above the median a gain may become small.
    least = np.where(grey < own[middle] @ LUMA, bright / DEEPEST, 0.0)
    rise = np.clip((_curve(own @ LUMA, goal @ LUMA) + 1) / (grey + 1), least, bright * DEEPEST)
    mine, theirs = (_quantiles(picture, lips)[middle] + 2 for picture in (front, back))
    lip = np.clip(whole ** (1 - LIPS) * (theirs / mine) ** LIPS, 0.25, 4)
    shine = (np.maximum(grey - mine @ LUMA, 0) / np.maximum(grey, 1))[:, None]  # the part that is laid on
    red, _, blue = own[middle]
    return Complexion(
        np.log(rise).astype(np.float32),
        np.log(whole / bright).astype(np.float32),
        (lip * (1 - shine) + np.minimum(lip, 1) * shine).astype(np.float32),
        _eyes(front, back, landmarks, bright),
        float((red - blue) / (red + blue + OFFSET)),
        float(own[middle] @ LUMA),
        bright,
    )


def _eyes(front: ByteImage, back: ByteImage, landmarks: FloatArray | None, bright: float) -> FloatArray:
    """Gains [3] of eyes whose skin gets `bright` times as light."""
    guess = EYES * np.log(bright)
    whites = [(None, 0.0) if landmarks is None else white(picture, landmarks) for picture in (front, back)]
    (own, sure), (goal, sure_too) = whites
    if own is None or goal is None:
        return np.full(3, np.exp(guess), np.float32)
    change = np.log((goal + OFFSET) / (own + OFFSET))
    light = float(change @ LUMA)
    seen = WHITES * light + (1 - WHITES) * guess
    hue = max(min(sure, sure_too), UNSURE) * np.clip(change - light, -0.25, 0.25)
    return np.exp(np.clip(seen, -1, 1) + hue).astype(np.float32)


def white(picture: ByteImage, landmarks: FloatArray) -> tuple[FloatArray | None, float]:
    """RGB [3] 0 to 255 of the whites of the eyes of a face with `landmarks` [478, 3] px in `picture` [h, w, 3], None
    behind lids; how far their hue is the light's, 0 to 1. Narrow eyes show lids and lashes in their place: what is
    darker than the cheeks lies in their shade, and what is as ruddy is skin."""
    found = tone.sclera(picture, landmarks)
    cheeks = picture[fill(picture.shape, landmarks, *SURE[1:]) > 0]
    if found is None or not len(cheeks):
        return found, 1.0
    skin = np.median(cheeks, 0)
    own, usual = ((c[0] - c[2]) / (c[0] + c[2] + OFFSET) for c in (found, skin))
    sure = float(np.clip((SKINNY[1] - own / max(usual, 0.02)) / (SKINNY[1] - SKINNY[0]), 0, 1))
    found = np.maximum(found, 1.0)  # crushed blacks
    least = SHADED * float(skin @ LUMA) / float(found @ LUMA)
    return np.minimum(found * max(least, 1.0), 255.0), sure


def _quantiles(picture: ByteImage, where: FloatArray) -> FloatArray:
    """RGB [n, 3] of pixels that are as light as `LEVELS` of those where a mask is above a half; of all where too few
    are."""
    chosen = picture[where > 0.5]
    chosen = (chosen if len(chosen) > 20 else picture.reshape(-1, 3)).astype(np.float64)
    luminance = chosen @ LUMA
    edges = np.quantile(luminance, LEVELS)
    reach = max(float(np.ptp(edges)) * 0.05, 2.0)
    aways = [np.abs(luminance - edge) for edge in edges]
    return np.stack([chosen[away <= max(reach, float(away.min()))].mean(0) for away in aways])


def _curve(own: FloatArray, goal: FloatArray) -> FloatArray:
    """Luminance [256] of each luminance: quantiles [n] go to quantiles [n]; in proportion below the first, as steep
    as between the last two above them."""
    grey = np.arange(256, dtype=np.float64)
    rises = np.diff(own)
    slopes = np.clip(np.diff(goal) / np.maximum(rises, 1e-3), *STEEP)
    middle = len(own) // 2
    at = np.concatenate([[0.0], np.cumsum(slopes * np.maximum(rises, 1e-3))])
    at += goal[middle] - at[middle]
    below = max(at[0], 1.0) / max(own[0], 1.0)
    inside = np.interp(grey, own + 1e-6 * np.arange(len(own)), at)
    above = at[-1] + slopes[-1] * (grey - own[-1])
    curve = np.where(grey < own[0], below * grey, np.where(grey > own[-1], above, inside))
    return np.asarray(
        cv2.GaussianBlur(curve[:, None], (1, 0), 0, sigmaY=4.0, borderType=cv2.BORDER_REPLICATE)[:, 0]
    )


def _bounded(values: FloatArray) -> FloatArray:
    """Values that bend towards 255 from 225 on."""
    return np.asarray(np.where(values < 225, values, 225 + 30 * np.tanh((values - 225) / 30)), np.float32)


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
    hue = np.median(chosen / (light[:, None] + OFFSET), 0)
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
    cold = (cold * np.clip(luma / most / 0.6 - 0.5, 0, 1))[..., None]
    even = (colour + cold * (warm - colour)) * luma[..., None]
    result = face.copy()
    result[part] = here + share * (even - here)
    return result


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
