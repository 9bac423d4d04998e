"""From one person's colours to another's: skin, lips, brows, eyes and teeth, each as it changes from skin to skin.

Hair is as dark on any skin, and eyes follow the light; lips and the shades of skin are nearer each other on light skin
than on dark, and blood and pigment are seen on light skin alone.
"""

from __future__ import annotations

from dataclasses import dataclass, field

import cv2
import numpy as np

from mien.types import ByteImage, FloatArray
from mien.warping import matte, tone
from mien.warping.light import LUMA, OFFSET, smooth

LEVELS = (0.02, 0.1, 0.3, 0.5, 0.7, 0.9, 0.98)  # quantiles of skin that a tone curve joins
FAR = 0.7  # log gain between two skins, from which contrasts of one tell little of the other's
DEEPENED = 0.6  # share of the contrasts of light skin by which those on much darker skin are greater
DEEPEST = 1.35  # gain of the darkest or lightest skin against that of the median, at most
STEEP = (0.5, 1.8)  # slopes of a tone curve at least and at most
SPOT = 0.02  # sigma of what is broader than spots of skin, of the face's width
LIPS = 0.7  # share of the change from lips to lips in that of lips; the rest is the skin's
ROSY = 0.15  # log ratio by which lips on darker skin are redder than it at least, where those of either person are
DARKER = 0.1  # share of its light that skin loses, from which lips get all of that red
RED = 0.35  # share of that red that is less green, which leaves their luminance
EVENED = 0.4  # share of contrasts and shades within the lips of dark skin that lighter skin has not
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
BROWS = 0.3  # log ratio by which brows are darker than skin at least, where they are hair alone
# grey levels of noise that are left; of the noise, up to which differences are evened out
GRAIN, EVEN = 0.8, 5.0
CALM, CALMEST = 1.25, 2.0  # gains of skin from which noise is taken out, and all of it
SHINE = 0.85  # share of skin's hue that what is as light as skin has at least
TINTS, TINGED = 0.8, 2.0  # how much less shades of colour become for each unit of log gain of light, of hue


@dataclass(frozen=True)
class Complexion:
    """From one person's colours to another's.

    Attributes:
        tone: log gain [256] of skin of each luminance. hue: log gains [3] of skin on top of it.
        lips: gains [256, 3] of lips of each luminance instead. eyes: gains [3] of eyes and teeth instead.
        ruddy: (R - B) / (R + B), red: R ÷ luminance, luminance: of the skin that there is. bright: gain of its
        luminance. pink: RGB [3] of the lips that there are.
    """

    tone: FloatArray
    hue: FloatArray
    lips: FloatArray
    eyes: FloatArray
    ruddy: float
    luminance: float
    bright: float
    red: float = 1.0
    pink: FloatArray = field(default_factory=lambda: np.ones(3, np.float32))

    @property
    def far(self) -> float:
        """How little the contrasts of one skin tell of the other's, 0 to 1."""
        return _farness(self.bright)

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

    def beside(self, grey: FloatArray, skin: FloatArray, sigma: float) -> FloatArray:
        """Log luminance [h, w] of the `skin` [h, w] 0 to 1 near each pixel of `grey` [h, w] 0 to 255, within some
        `sigma` px; of the whole face's farther off, as in the middle of a beard."""
        near, say = smooth(np.log(grey + OFFSET)[..., None], skin, sigma)
        whole = float(np.log(self.luminance + OFFSET))
        return np.asarray((whole + np.clip(say / 0.1, 0, 1) * (near - whole))[..., 0], np.float32)

    def apply(
        self,
        picture: ByteImage,
        lips: FloatArray,
        eyes: FloatArray,
        flesh: FloatArray,
        hair: FloatArray,
        beside: FloatArray | None = None,
    ) -> FloatArray:
        """`picture` [h, w, 3] uint8; `lips`, `eyes`, `flesh`, `hair` [h, w] 0 to 1: where these are, brows
        or a beard; beside: log luminance [h, w] of the skin near hair."""
        grey = cv2.cvtColor(picture, cv2.COLOR_RGB2GRAY)
        even = cv2.GaussianBlur(grey, (0, 0), 0.7 + 0.006 * grey.shape[1])
        skin = np.log(self.luminance + OFFSET) if beside is None else beside
        dark = hair * np.maximum(skin - np.log(even + OFFSET), 0)
        some = dark[dark > 0.5 * BROWS]
        black = np.minimum(dark / max(float(np.quantile(some, 0.6)) if len(some) else 1.0, BROWS), 1)
        # hair is as dark on any skin, and follows the light, as whites do
        less = max(float(np.log(self.bright) - np.log(self.eyes) @ LUMA), 0.0) * black
        # Blood and pigment of light skin, which dark skin hides, are seen least in red light.
        even = np.log((picture[..., 0] + OFFSET) / (self.red * grey + OFFSET))
        even = self.far * flesh * (1 - black) * np.clip(even, -0.3, 0.3)
        if self.bright < 1:  # shades and shine are deeper on dark skin
            shade = np.log((grey + OFFSET) / (self.luminance + OFFSET)) + even
            even += DEEPENED * self.far * np.clip(shade, -1.0, 0.4)
        # a tone curve is for shade and shine: spots of skin keep their contrast
        broad = cv2.GaussianBlur(grey, (0, 0), 0.7 + SPOT * grey.shape[1])
        curve = self.tone[grey] + flesh * (1 - black) * (self.tone[broad] - self.tone[grey])
        gains = np.exp((curve - less + even)[..., None] + flesh[..., None] * self.hue)
        for of, where in ((self._of_lips, lips), (self._of_eyes, eyes)):
            x, y, w, h = cv2.boundingRect((where > 0).astype(np.uint8))
            part = np.s_[y : y + h, x : x + w]
            if where.any():
                gains[part] += where[part][..., None] * (of(picture[part]) - gains[part])
        return _bounded(gains * picture)

    def _of_lips(self, picture: ByteImage) -> FloatArray:
        """Gains [h, w, 3] of lips. Those of dark skin differ in colour, the lower one from the upper, as no others."""
        share = EVENED * self.far * (self.bright > 1)
        soft = cv2.GaussianBlur(picture.astype(np.float32), (0, 0), 0.7 + 0.05 * picture.shape[1])
        even = ((self.pink + OFFSET) / (soft + OFFSET)) ** share
        return np.asarray(self.lips[cv2.cvtColor(picture, cv2.COLOR_RGB2GRAY)] * even, np.float32)

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
    far = _farness(bright) * ((grey < own[middle] @ LUMA) | (bright < 1))
    rise = rise ** (1 - far) * bright**far
    mine, theirs = (_quantiles(picture, lips) for picture in (front, back))
    lip = (theirs[middle] + 2) / (mine[middle] + 2)
    lip = np.clip(whole ** (1 - LIPS) * lip**LIPS, 0.25, 4)
    reds = [_redder(of, than) for of, than in ((mine, own), (theirs, goal))]
    pale = min(max(reds), ROSY) - _redder(mine * lip, goal)
    darker = np.clip((1 - bright) / DARKER, 0, 1)
    lip *= np.exp(darker * max(pale, 0.0) * np.array([1 - RED, -RED, 0.0]))
    at, skin_at = float(mine[middle] @ LUMA) + 2, float(own[middle] @ LUMA)
    rim = np.clip((grey - at) / max(skin_at - at, 10.0), 0, 1)[:, None]  # no lighter than the skin that it is
    lip = lip + rim * (np.minimum(lip, whole) - lip)
    shine = (np.maximum(grey + 2 - at, 0) / np.maximum(grey, 1))[:, None]  # the part that is laid on
    red, _, blue = own[middle]
    return Complexion(
        np.log(rise).astype(np.float32),
        np.log(whole / bright).astype(np.float32),
        (lip * (1 - shine) + np.minimum(lip, 1) * shine).astype(np.float32),
        _eyes(front, back, landmarks, bright),
        float((red - blue) / (red + blue + OFFSET)),
        float(own[middle] @ LUMA),
        bright,
        float((red + OFFSET) / (own[middle] @ LUMA + OFFSET)),
        mine[middle].astype(np.float32),
    )


def _redder(lips: FloatArray, skin: FloatArray) -> float:
    """Log ratio by which lips [n, 3] are redder than skin [n, 3], each in the middle of its quantiles."""
    of, than = (np.log(colours[len(LEVELS) // 2, :2] + OFFSET) for colours in (lips, skin))
    return float(of[0] - than[0] - (of[1] - than[1]))


def _farness(bright: float) -> float:
    """How little the contrasts of one skin tell of those of another, `bright` times as light, 0 to 1."""
    return float(1 - np.exp(-((np.log(bright) / FAR) ** 2)))


def _eyes(front: ByteImage, back: ByteImage, landmarks: FloatArray | None, bright: float) -> FloatArray:
    """Gains [3] of eyes whose skin gets `bright` times as light."""
    guess = EYES * np.log(bright)
    whites = [(None, 0.0) if landmarks is None else white(picture, landmarks) for picture in (front, back)]
    (own, sure), (goal, sure_too) = whites
    if own is None or goal is None:
        return np.full(3, np.exp(guess), np.float32)
    change = np.log((goal + OFFSET) / (own + OFFSET))
    exposure = float(change @ LUMA)
    seen = WHITES * exposure + (1 - WHITES) * guess
    hue = max(min(sure, sure_too), UNSURE) * np.clip(change - exposure, -0.25, 0.25)
    return np.exp(np.clip(seen, -1, 1) + hue).astype(np.float32)


def white(picture: ByteImage, landmarks: FloatArray) -> tuple[FloatArray | None, float]:
    """RGB [3] 0 to 255 of the whites of the eyes of a face with `landmarks` [478, 3] px in `picture` [h, w, 3], None
    behind lids; how far their hue is the light's, 0 to 1. Narrow eyes show lids and lashes in their place: what is
    darker than the cheeks lies in their shade, and what is as ruddy is skin."""
    found = tone.sclera(picture, landmarks)
    cheeks = picture[matte.fill(picture.shape, landmarks, *matte.SURE[1:]) > 0]
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
