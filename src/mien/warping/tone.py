"""Light, colour and grain of a photographed face, for things drawn into it."""

from __future__ import annotations

from dataclasses import dataclass, field
from functools import lru_cache

import cv2
import numpy as np

from mien.types import ByteImage, FloatArray

_LIDS = (
    (468, (33, 246, 161, 160, 159, 158, 157, 173, 133, 155, 154, 153, 145, 144, 163, 7)),
    (473, (362, 398, 384, 385, 386, 387, 388, 466, 263, 249, 390, 373, 374, 380, 381, 382)),
)
_CHEEKS = ((50, 205, 36, 101), (280, 425, 266, 330))  # picture's left, right
# Over 29 smiles of one studio: log enamel - log sclera has an sd of 0.135, less skin of 0.23; teeth alone 0.12.
_SCLERA_SHARE, _ENAMEL_GAIN = 0.85, 1.06
_SHRINK, _USUAL = 0.15, 172.0  # grey level of a usual photo's enamel, and how far a guess is drawn to it
# Enamel against the atlas, and how much less blue it is the yellower the light: by 29 smiles, which log blue ÷ green
# leaves with an sd of 0.03, and 33 small portraits, with one of 0.05.
_WARM, _YELLOWER = np.array([0.997, 1.003, 0.985], np.float32), 0.7
_MOST_CAST = 0.09  # of a light: orange teeth are believed in none
_VEINS = 0.045  # log of the green that eyes' whites and skin lack by themselves in small portraits
_MAGENTA = 0.06  # green that a light lacks, at most
_CAST_DOUBT = 0.04  # sd of a cast told from an eye's white
_SCLERA_CAST, _SKIN_CAST = np.array([1.049, 0.978, 0.973]), np.array([1.2, 0.95, 0.85])  # theirs, mean 1


@dataclass(frozen=True)
class Tone:
    """How to draw flesh and enamel into a photo.

    Attributes:
        enamel, flesh: brightness, 1 for a studio's light. chroma: 0 for a grey or toned photo, 1 in colour.
        cast, ruddy: of the light and of the person's flesh, RGB [3], mean 1. side: log of the light on the
        picture's right ÷ left cheek.
        skin, white, lip: RGB [3] of the cheeks, of an eye's white and of the lower lip, 0 to 255.
        hue: RGB [3] of enamel against the atlas's, mean about 1.
        blur: of the photo, px (Gaussian sigma). noise: of the photo, grey levels.
    """

    enamel: float
    flesh: float
    chroma: float
    cast: FloatArray
    ruddy: FloatArray
    side: float
    skin: FloatArray
    white: FloatArray
    lip: FloatArray
    blur: float
    noise: float
    hue: FloatArray = field(default_factory=_WARM.copy)

    def apply(self, colour: FloatArray) -> FloatArray:
        """A colour [..., 3] of the studio's light in this photo's, brightness aside."""
        mix = self.chroma * np.eye(3) + (1 - self.chroma) / 3
        matrix = (self.cast[:, None] * mix).astype(np.float32)
        if colour.ndim == 1:
            return np.asarray(matrix @ colour.astype(np.float32))
        return np.asarray(cv2.transform(np.ascontiguousarray(colour, np.float32), matrix))

    def shade(self, light: FloatArray) -> FloatArray:
        """Gains [..., 3] of a light [...]: in a mouth, what is darker is redder, for flesh throws the light."""
        redder = light * np.clip(1 - light, 0, 1) * np.float32(self.chroma)
        return np.asarray(cv2.merge([light + share * redder for share in (0.2, -0.05, -0.05)]))

    @property
    def inner_lip(self) -> FloatArray:
        """RGB [3] of lips where they light each other: redder."""
        redder = (self.lip / max(float(self.lip.mean()), 1.0)) ** (0.25 * self.chroma)
        return np.asarray(self.mucosa * redder, np.float32)

    @property
    def mucosa(self) -> FloatArray:
        """RGB [3] of the flesh behind the lips: as they are, but in white light no bluer than green, not mauve."""
        flesh = self.lip.astype(np.float32)
        bluer = flesh[2] - flesh[1] * self.cast[2] / self.cast[1]
        flesh[2] -= self.chroma * max(float(bluer), 0.0)
        return flesh

    def gain_from(self, other: Tone) -> FloatArray:
        """Gains [3] that bring colours of another photo of the same person to this one's light."""
        ratio = ((self.skin + 4) / (other.skin + 4)) ** 0.6 * ((self.white + 4) / (other.white + 4)) ** 0.4
        return np.asarray(np.clip(ratio, 0.3, 3), np.float32)


def _patch(image: ByteImage, points: FloatArray, radius: float) -> FloatArray:
    """Mean RGB [n, 3] of squares round `points` [n, 2] px."""
    r = max(1, int(radius))
    height, width = image.shape[:2]
    found = []
    for x, y in np.clip(points, 0, [width - 1, height - 1]).astype(int):
        found.append(image[max(0, y - r) : y + r + 1, max(0, x - r) : x + r + 1].reshape(-1, 3).mean(0))
    return np.array(found, np.float64)


def sclera(image: ByteImage, landmarks: FloatArray) -> FloatArray | None:
    """RGB [3] of the brighter eye's white, 0 to 255; None when lids hide them."""
    found = []
    for iris, lids in _LIDS:
        eye = landmarks[list(lids), :2]
        low, high = np.floor(eye.min(0)).astype(int).clip(0), np.ceil(eye.max(0)).astype(int)
        crop = image[low[1] : high[1] + 1, low[0] : high[0] + 1]
        if min(crop.shape[:2]) < 3:
            continue
        mask = np.zeros(crop.shape[:2], np.uint8)
        cv2.fillPoly(mask, [np.round(eye - low - 0.5).astype(np.int32)], 1)
        radius = float(
            np.linalg.norm(landmarks[iris + 1 : iris + 5, :2] - landmarks[iris, :2], axis=1).mean()
        )
        centre = np.round(landmarks[iris, :2] - low - 0.5).astype(int)
        cv2.circle(mask, (int(centre[0]), int(centre[1])), int(round(1.15 * radius)), 0, -1)
        pixels = crop[mask > 0].astype(np.float64)
        if len(pixels) >= 8:
            light = pixels.mean(1)
            low_light, high_light = np.percentile(light, (85, 98))
            found.append(pixels[(light >= low_light) & (light <= high_light)].mean(0))
    return max(found, key=lambda colour: float(colour.mean())) if found else None


def measure(image: ByteImage, landmarks: FloatArray) -> Tone:
    """The tone of the face with `landmarks` [478, 3] px in `image` [H, W, 3] uint8."""
    flat = np.asarray(landmarks, np.float64)[:, :2]
    unit = float(np.linalg.norm(flat[33] - flat[263])) / 90
    cheeks = [_patch(image, flat[list(side)], 2 * unit) for side in _CHEEKS]
    skin = np.median(np.concatenate(cheeks), 0)
    light = max(float(skin.mean()), 1.0)
    side = float(np.log((cheeks[1].mean() + 4) / (cheeks[0].mean() + 4)))
    white = sclera(image, np.asarray(landmarks, np.float64))
    if white is None:
        white = skin.mean() * _SCLERA_CAST * 1.12
    white = np.maximum(white, 1.0)  # crushed blacks
    lip = np.median(_patch(image, 0.5 * (flat[[87, 14, 317, 178]] + flat[[86, 15, 316, 179]]), 0.6 * unit), 0)

    bright = max(float(white.mean()), 1.0)
    enamel = _ENAMEL_GAIN * bright**_SCLERA_SHARE * light ** (1 - _SCLERA_SHARE)
    enamel = enamel ** (1 - _SHRINK) * _USUAL**_SHRINK
    # as the median of 258 portraits of 256 px has it, where lids darken the few white pixels
    enamel = max(enamel, light)
    enamel = min(enamel, 0.4 * enamel + 110, 216)
    cast = white / bright
    spread = np.ptp(skin / light - cast), np.ptp(lip / max(lip.mean(), 1.0) - skin / light)
    colourful = float(np.clip((max(spread) - 0.025) / 0.05, 0, 1))  # a grey or a toned picture has one hue
    red, hue = 1.0, _WARM
    if colourful > 0.3:  # the light's own, by the eye's white and, as whites can be bluish or red, the skin
        share = 0.6 * min(unit / 2.4, 1.0)  # few pixels are white in a small eye, and lids redden those
        cast = (cast / _SCLERA_CAST) ** share * (skin / light / _SKIN_CAST) ** (1 - share)
        off = cast / cast.mean() - 1
        off *= (off @ off) / (off @ off + _CAST_DOUBT**2)  # Wiener's estimate: a faint cast is the eye's own
        off[1] *= 0.5  # lights differ in warmth: what looks magenta is lids and veins as often
        cast = 1 + _MOST_CAST * np.tanh(0.7 * off / _MOST_CAST)
        less = min(_less_green(white / _SCLERA_CAST), _less_green(skin / _SKIN_CAST))
        cast[1] *= 1 - share * min(2 * max(less - _VEINS, 0.0), _MAGENTA)  # unless both are
        yellow = float(np.sqrt(cast[0] * cast[1]) / cast[2])
        hue = _WARM * np.array([1, 1, max(yellow, 1.0) ** -_YELLOWER], np.float32)
        red = float(np.clip(skin[0] / light / cast[0] / _SKIN_CAST[0], 0.8, 1.25)) ** 0.7

    exposure = enamel / 176
    dark = float(np.clip(1 - light / max(enamel, 1.0), 0, 0.6))  # dark skin has darker gums
    blur, noise = _softness(image, flat, unit)
    return Tone(
        enamel=exposure,
        flesh=exposure * (1 - 0.45 * dark),
        chroma=colourful,
        cast=(cast / cast.mean()).astype(np.float32),
        ruddy=np.array([red, 1.5 - 0.5 * red, 1.5 - 0.5 * red], np.float32),
        side=side,
        skin=skin,
        white=white,
        lip=lip.astype(np.float32),
        blur=blur,
        noise=noise,
        hue=hue,
    )


def _less_green(colour: FloatArray) -> float:
    """log of how much less green than red and blue an RGB [3] is."""
    return float(np.log((colour[0] + colour[2] + 8) / (2 * colour[1] + 8)))


def _softness(image: ByteImage, landmarks: FloatArray, unit: float) -> tuple[float, float]:
    """The photo's blur in px (Gaussian sigma of its sharpest edges, 0.3 to 6: Zhuo and Sim, "Defocus map
    estimation from a single image", 2011) and its noise in grey levels, both round eyes, nose and mouth.
    """
    points = landmarks[[33, 263, 70, 300, 61, 291, 17], :2]
    low = np.floor(points.min(0) - 4 * unit).astype(int).clip(0)
    high = np.ceil(points.max(0) + 4 * unit).astype(int)
    crop = image[low[1] : high[1], low[0] : high[0]]
    if min(crop.shape[:2]) < 16:
        return 0.8, 0.0
    grey = cv2.cvtColor(crop, cv2.COLOR_RGB2GRAY).astype(np.float32)
    noise = noise_of(grey)
    again = 1.5
    before, after = (
        np.hypot(cv2.Sobel(g, -1, 1, 0), cv2.Sobel(g, -1, 0, 1))
        for g in (
            cv2.GaussianBlur(grey, (0, 0), 0.7),
            cv2.GaussianBlur(grey, (0, 0), (0.7**2 + again**2) ** 0.5),
        )
    )
    edges = before > np.percentile(before, 99)
    ratio = float(np.median(before[edges] / np.maximum(after[edges], 1e-3)))
    blur = 0.75 * again / np.sqrt(max(ratio**2 - 1, 0.05))  # no edge of a face is a step
    return float(np.clip(np.sqrt(max(blur**2 - 0.5**2, 0.09)), 0.3, 6)), noise


def noise_of(grey: FloatArray) -> float:
    """Noise of a picture [h, w] in its own units (Immerkaer, "Fast noise variance estimation", 1996), without the
    largest fifth of what it finds: edges."""
    fine = np.abs(cv2.filter2D(grey, -1, _LAPLACE))
    return float(fine[fine <= np.percentile(fine, 80)].mean()) / 0.56 / 6


_LAPLACE = np.array([[1, -2, 1], [-2, 4, -2], [1, -2, 1]], np.float32)


@lru_cache(maxsize=1)
def _noise() -> FloatArray:
    return np.asarray(np.random.default_rng(3).standard_normal((512, 512)).astype(np.float32))


def pattern(height: int, width: int) -> FloatArray:
    """Noise [height, width] float32 of standard deviation 1, always the same."""
    return np.tile(_noise(), (-(-height // 512), -(-width // 512)))[:height, :width]


def grain(picture: FloatArray, tone: Tone, own_blur: float, fine: int = 1) -> FloatArray:
    """`picture` [h, w, 3], drawn with a blur of `own_blur` px of the photo, `fine` times as large as it will be laid
    there, as soft and as noisy as the photo."""
    more = fine * np.sqrt(max(tone.blur**2 - own_blur**2, 0.0))
    if more > 0.3:
        picture = np.asarray(cv2.GaussianBlur(picture, (0, 0), more))
    if tone.noise > 0.3:  # of photons, so less in the dark
        noise = fine * min(tone.noise, 5.0) * pattern(*picture.shape[:2])
        picture = picture + (noise * np.sqrt(np.clip(picture[..., 1], 8, 255) / 128))[..., None]
    return picture
