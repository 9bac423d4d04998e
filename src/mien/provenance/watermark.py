"""An invisible watermark: a keyed pattern of mid frequencies, found again after resizing and JPEG.

Spread spectrum (Cox, Kilian, Leighton & Shamoon 1997, "Secure spread spectrum watermarking for multimedia"),
in coordinates that go with the picture: the frame is stretched onto a grid of 128 x 128, whose cosine
transform (DCT-II, orthonormal) has coefficients Y[u, v]. To those of the band R0 <= |(u, v)| <= R1 a sequence
s of signs is added, s drawn from SHAKE-256 of a key:

    y' = y + a · m · IDCT(s)        a: strength, m: more where the picture is lively, less on smooth skin

The detector flattens the picture's own spectrum into features x[u, v] and correlates,

    z = Σ s·x / sqrt(Σ x²)

For signs that were drawn at random P(z > T) <= exp(-T²/2) whatever the picture (Hoeffding 1963, theorem 2),
so that `THRESHOLD` means a chance below 1 in 100,000, all eight ways of turning and mirroring taken together.

The strength is the smallest of a few that is found again, with room to spare, after a rehearsal of the
damage that is promised to be survived. It is not a signature: whoever has the key can take the mark away.
"""

from __future__ import annotations

import hashlib
import io
import math
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from functools import cache
from typing import Any

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from mien.types import FloatArray

Array = NDArray[np.float64]
Box = tuple[float, float, float, float]

NAME = "mien-1"
KEY = b"mien watermark 1"
GRID = 128
R0, R1 = 24.0, 72.0  # below: faces themselves; above: what halving a picture of 256 pixels and JPEG take away
THRESHOLD = 5.3
SMALLEST = 64  # pixels of a side: below, too few frequencies of the band exist
TARGET = 9.5  # of the rehearsal: above the thresholds, for damage is not always the same
# root mean square, in levels of 255, where m is 1
STRENGTHS = (0.2, 0.25, 0.3, 0.35, 0.42, 0.5, 0.6, 0.7, 0.85, 1.0, 1.2, 1.4, 1.7, 2.0, 2.8)
BAND = 256  # rows of a picture in work at a time


@dataclass(frozen=True)
class Found:
    """What the detector says: the z of the best reading (about N(0, 1) without a mark), whether it passes the
    threshold, an upper bound on its probability without a mark, and the place [x0, y0, x1, y1] px that was read."""

    statistic: float
    found: bool
    chance: float
    box: Box


def embed(image: Image.Image, mask: FloatArray | None = None, target: float = TARGET) -> Image.Image:
    """`image` (PIL RGB, at least `SMALLEST` pixels each way) with the watermark, PIL RGB of the same size. Raises
    `ValueError`: the place for the mark is too small, or the mask has another shape or says nothing.

    Args:
        mask: [H, W] in [0, 1], where a model made the picture; the mark is laid out over `mask_box(mask)` and fades
            with the mask. Pixels where it is 0 stay bit for bit. None: everywhere. target: statistic of the rehearsal.
    """
    box = whole_box(image) if mask is None else mask_box(mask)
    if mask is not None and mask.shape != image.size[::-1]:
        raise ValueError(f"the mask is {mask.shape}, the picture {image.size[::-1]}")
    if not room(box):
        raise ValueError(f"a watermark needs {SMALLEST} pixels each way")
    left, top, right, bottom = (round(edge) for edge in box)
    whole = np.asarray(image if image.mode == "RGB" else image.convert("RGB"))
    pixels = _padded(whole, left, top, right, bottom)
    soft = None if mask is None else _padded(mask, left, top, right, bottom).astype(np.float32)
    y = _grid(Image.fromarray(pixels))
    pattern = Image.fromarray((_liveliness(y) * _pattern()).astype(np.float32))
    delta = np.array(pattern.resize((right - left, bottom - top), Image.Resampling.BICUBIC))
    if soft is not None:
        delta *= soft
    for strength in STRENGTHS:
        marked = _added(pixels, delta, strength)
        if _correlate(_features(_grid(_rehearsal(Image.fromarray(marked))))) >= target:
            break
    if soft is None:
        return Image.fromarray(marked)
    height, width = whole.shape[:2]
    x0, y0, x1, y1 = max(left, 0), max(top, 0), min(right, width), min(bottom, height)
    inner = (slice(y0 - top, y1 - top), slice(x0 - left, x1 - left))
    result = whole.copy()
    np.copyto(result[y0:y1, x0:x1], marked[inner], where=soft[inner][..., None] > 0)
    return Image.fromarray(result)


def _added(pixels: NDArray[np.uint8], delta: Array, strength: float) -> NDArray[np.uint8]:
    """`pixels` [h, w, 3] plus `strength` times `delta` [h, w], rounded; band by band, for photographs are large."""
    import cv2

    marked = np.empty_like(pixels)
    for first in range(0, len(pixels), BAND):
        part = slice(first, first + BAND)
        more = np.rint(strength * delta[part]).astype(np.int16)
        cv2.add(pixels[part], cv2.merge([more, more, more]), marked[part], dtype=cv2.CV_8U)
    return marked


def whole_box(image: Image.Image) -> Box:
    """The whole picture."""
    return (0.0, 0.0, float(image.width), float(image.height))


def mask_box(mask: FloatArray) -> Box:
    """The square around all of `mask` that is above 0, in pixels; it may reach past the picture's edges. Raises
    `ValueError`: the mask is 0 everywhere."""
    rows, columns = np.flatnonzero(mask.max(1) > 0), np.flatnonzero(mask.max(0) > 0)
    if not len(rows):
        raise ValueError("the mask is 0 everywhere")
    (x0, x1), (y0, y1) = (columns[0], columns[-1] + 1), (rows[0], rows[-1] + 1)
    side = max(x1 - x0, y1 - y0)
    left, top = (x0 + x1 - side) // 2, (y0 + y1 - side) // 2
    return (float(left), float(top), float(left + side), float(top + side))


def room(box: Box) -> bool:
    """Whether a mark fits into the place."""
    return min(box[2] - box[0], box[3] - box[1]) >= SMALLEST


def find(image: Image.Image, box: Box | None = None) -> Found:
    """Look for the mark over `box` (None: the whole picture), also mirrored and turned by right angles."""
    place = whole_box(image) if box is None else box
    edges = [round(edge) for edge in place]
    pixels = _padded(np.asarray(image.convert("RGB")), *edges)
    x = _features(_grid(Image.fromarray(pixels)))
    z = max(_correlate(turned) for turned in _turns(x))
    return Found(z, z > THRESHOLD, min(1.0, 8 * math.exp(-z * z / 2)) if z > 0 else 1.0, place)


def search(image: Image.Image, boxes: Sequence[Box]) -> Found | None:
    """Look for the mark of a part of the picture near each of `boxes` (faces, say), whose size is known only roughly:
    `SIZES` times the box, anywhere near its middle. None if there is no box. The correlation at all places and sizes is
    its own null distribution; `SEARCH_THRESHOLD` allows for their number."""
    best: Found | None = None
    for box in boxes:
        for found in _near(image, box):
            if best is None or found.statistic > best.statistic:
                best = found
    return best


SEARCH_THRESHOLD = 6.5  # about 200,000 places and sizes are tried
SIZES = tuple(0.8 * 1.025**k for k in range(48))  # 0.8 to 2.55 times the given box
WINDOW = 192  # grid points: the mark's 128 may lie 32 off


def _near(image: Image.Image, box: Box) -> Iterator[Found]:
    across = (box[0] + box[2]) / 2, (box[1] + box[3]) / 2
    grey = image.convert("L")
    spectrum = np.conj(np.fft.rfft2(_pattern(), (WINDOW, WINDOW)))
    reach = WINDOW - GRID
    for size in SIZES:
        side = size * max(box[2] - box[0], box[3] - box[1])
        if side < SMALLEST / 2:
            continue
        half = side * WINDOW / GRID / 2
        left, top = across[0] - half, across[1] - half
        edges = [round(v) for v in (left, top, left + 2 * half, top + 2 * half)]
        window = Image.fromarray(_padded(np.asarray(grey), *edges)).convert("F")
        y = np.asarray(window.resize((WINDOW, WINDOW), Image.Resampling.BICUBIC), np.float64)
        flat = _dct(_features(y), inverse=True)
        here = np.fft.irfft2(np.fft.rfft2(flat) * spectrum, (WINDOW, WINDOW))[: reach + 1, : reach + 1]
        sums = np.pad(flat * flat, ((1, 0), (1, 0))).cumsum(0).cumsum(1)
        power = sums[GRID:, GRID:] - sums[:-GRID, GRID:] - sums[GRID:, :-GRID] + sums[:-GRID, :-GRID]
        lags = here / np.sqrt(power * GRID**2 / _band().sum() + 1e-9)
        row, column = np.unravel_index(int(lags.argmax()), lags.shape)
        z = float(lags[row, column])
        x0 = edges[0] + column * side / GRID
        y0 = edges[1] + row * side / GRID
        tests = len(SIZES) * lags.size
        chance = min(1.0, tests * math.erfc(z / math.sqrt(2)) / 2) if z > 0 else 1.0
        yield Found(z, z > SEARCH_THRESHOLD, chance, (x0, y0, x0 + side, y0 + side))


@cache
def _band(n: int = GRID) -> NDArray[np.bool_]:
    """[n, n]; without pure rows and columns, where the edges of pictures and of JPEG's blocks are."""
    u = np.arange(n) * (GRID / n)
    radius = np.hypot(u[:, None], u)
    return (radius >= R0) & (radius <= R1) & (u[:, None] > 0) & (u > 0)


@cache
def _signs() -> Array:
    """[GRID, GRID] of -1 and 1 in the band, 0 elsewhere."""
    count = int(_band().sum())
    drawn = np.frombuffer(hashlib.shake_256(KEY).digest(count // 8 + 1), np.uint8)
    signs = np.zeros((GRID, GRID))
    signs[_band()] = np.unpackbits(drawn)[:count] * 2.0 - 1
    return signs


@cache
def _pattern() -> Array:
    """[GRID, GRID], mean 0, root mean square 1."""
    pattern = _dct(_signs(), inverse=True)
    return pattern / pattern.std()


def _grid(image: Image.Image) -> Array:
    """Lightness of a whole picture on the grid, [GRID, GRID] in [0, 255]."""
    grey = image.convert("L").convert("F")
    return np.asarray(grey.resize((GRID, GRID), Image.Resampling.BICUBIC), np.float64)


def _dct(y: Array, inverse: bool = False) -> Array:
    """The orthonormal DCT-II of `y` [n, n], n even, or its inverse."""
    import cv2  # which the photo engine has loaded already; scipy.fft costs a tenth of a cold command

    return np.asarray(cv2.dct(y, flags=cv2.DCT_INVERSE if inverse else 0))


def _blurred(y: Array, sigma: int) -> Array:
    """`y` [n, n] blurred by a Gaussian that is cut off at four `sigma`, mirrored at its edges."""
    import cv2  # which the photo engine has loaded already; scipy.ndimage costs a fifth of a cold command

    size = (8 * sigma + 1, 8 * sigma + 1)
    return np.asarray(cv2.GaussianBlur(y, size, sigma, borderType=cv2.BORDER_REFLECT), np.float64)


def _liveliness(y: Array) -> Array:
    """m: 0.6 where the picture is smooth to 1.5 in hair and cloth; more shows beside an outline, on what is smooth."""
    detail = y - _blurred(y, 2)
    return (0.6 + np.sqrt(_blurred(detail * detail, 2)) / 6).clip(0.6, 1.5)


def _features(y: Array) -> Array:
    """x: the picture's coefficients in the band, what is smooth counting most, scaled to about 1 at every frequency.

    The picture is what disturbs the mark. Its outlines go with a median, which, unlike the band's own filter, does
    not spread them over the skin beside them; what remains is weighted by its variance, as a matched filter does.

    Args:
        y: [n, n] lightness on a grid with the spacing of the mark's own; n may differ from `GRID`.

    Returns:
        [n, n], 0 outside the band.
    """
    import cv2

    band = _band(len(y))
    fine = y - cv2.medianBlur(y.astype(np.float32), 5)
    local = np.sqrt(_blurred(fine * fine, 1)) + 3
    f = np.where(band, _dct(fine / local**2), 0)
    power = _blurred(f * f, 3) / np.maximum(_blurred(band.astype(float), 3), 1e-3)
    return np.where(band, (f / (np.sqrt(power) + 1e-9)).clip(-2.5, 2.5), 0)


def _correlate(x: Array) -> float:
    return float((x * _signs()).sum() / (math.sqrt((x * x).sum()) + 1e-9))


def _turns(x: Array) -> Iterator[Array]:
    """The features of the picture turned and mirrored: a mirrored axis negates its odd coefficients."""
    alternating = 1.0 - 2.0 * (np.arange(GRID) % 2)
    for one in (x, x.T):
        for rows in (1.0, alternating[:, None]):
            for columns in (1.0, alternating):
                yield one * rows * columns


def _rehearsal(image: Image.Image) -> Image.Image:
    """`image` after what the mark must survive: half its size and JPEG 75 from 256 pixels on, else JPEG 90."""
    large = min(image.size) >= 2 * GRID
    if large:
        image = image.resize((image.width // 2, image.height // 2), Image.Resampling.BICUBIC)
    buffer = io.BytesIO()
    image.save(buffer, "JPEG", quality=75 if large else 90)
    return Image.open(buffer)


def _padded(pixels: NDArray[Any], left: int, top: int, right: int, bottom: int) -> NDArray[Any]:
    """pixels[top:bottom, left:right], the picture's edges drawn out where that reaches past them."""
    height, width = pixels.shape[:2]
    part = pixels[max(top, 0) : min(bottom, height), max(left, 0) : min(right, width)]
    before, after = (max(-top, 0), max(-left, 0)), (max(bottom - height, 0), max(right - width, 0))
    if not any((*before, *after)):
        return part
    pads = [(before[0], after[0]), (before[1], after[1])] + [(0, 0)] * (pixels.ndim - 2)
    return np.pad(part, pads, mode="edge")
