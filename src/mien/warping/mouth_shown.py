"""Teeth that a photo shows: taken over into another mouth of the same person."""

from __future__ import annotations

from dataclasses import dataclass, replace
from itertools import product

import cv2
import numpy as np

from mien.types import ByteImage, FloatArray
from mien.warping import tone
from mien.warping.mouth_drawn import lip_shade
from mien.warping.teeth import (
    CROWN,
    DEPTH,
    HINGE,
    JAW,
    Pose,
    Teeth,
    View,
    jaw_drop,
    locate_teeth,
    pose,
    smooth,
    upper_teeth,
    view_of,
)  # fmt: skip

# units by which the edge of teeth is corrected at most; paleness of teeth ÷ of most of them
PAST, PALE = 5.0, 0.7
ROWS = 0.3  # agreement of a row of teeth that the dark below it bounds, at least


@dataclass(frozen=True)
class Shown:
    """What `borrowed` needs of a photo that shows teeth.

    Attributes:
        image, mask, clear, shade: the crop round the mouth, float32: colours [h, w, 3] in the light of the photo to
        draw into; how much of each pixel is inside of the lips; the same well off the lower lip, a part of which
        landmarks hold for the mouth's inside; the lips' shade on it. where: the head's pose, in the
        crop's pixels. teeth: where its teeth are. jaw: how far the jaw has dropped. enamel, hue: brightness
        and RGB [3] of its teeth ÷ of drawn ones. tall, gum: how much of its upper teeth and of the gum above them it
        shows, gap: between its lips, in units. fit: how well drawn teeth agree with these, a correlation.
    """

    image: FloatArray
    mask: FloatArray
    clear: FloatArray
    shade: FloatArray
    where: Pose
    teeth: Teeth
    jaw: float
    enamel: float
    hue: FloatArray
    tall: float
    gap: float
    gum: float
    fit: float


def shown(image: ByteImage, landmarks: FloatArray, colour: tone.Tone) -> Shown | None:
    """The teeth that a photo [H, W, 3] uint8 shows between its lips, or None.

    `colour`: of the photo to draw into. The other's exposure, colour and light are matched by skin and eyes.
    """
    landmarks = np.asarray(landmarks, np.float64)
    where = pose(landmarks)
    view = view_of(landmarks, image.shape, where)
    if view is None or view.gap < 3.0:
        return None
    height, width = view.mask.shape
    crop: FloatArray = image[view.top : view.top + height, view.left : view.left + width].astype(np.float32)
    crop = crop * colour.gain_from(tone.measure(image, landmarks))
    if colour.chroma < 0.5:
        crop = colour.apply(crop)
    soft = cv2.GaussianBlur(view.mask, (0, 0), max(0.3 * view.unit, 0.5)).astype(np.float32) / 255
    mask = smooth(soft, 0.5, 0.9)
    inside = mask > 0.8
    light, pale = (
        crop.mean(-1),
        crop[..., 1:].mean(-1),
    )  # lips and gums are as light as teeth, but not as pale
    teeth, fit = _fitted(pale, mask, view, where, replace(locate_teeth(landmarks), shape=()))
    x, y, _ = where.on_arch(view.px, view.py, teeth.x, DEPTH)
    if (up := _edge_above(light[inside], x[inside] - teeth.x, y[inside] - teeth.edge)) is not None:
        teeth, fit = replace(teeth, edge=teeth.edge + up), max(fit, ROWS)
    teeth = replace(teeth, edge=teeth.edge - _past(pale, mask, x - teeth.x, y - teeth.edge))
    atlas, gum = upper_teeth(x, y, teeth, view.unit)
    crown = inside & (atlas[..., 3] > 0.9) & (gum < 0.1) & (np.abs(x - teeth.x) < 14)
    if crown.sum() < 12:
        return None
    seen = crown.copy()
    crown &= light >= np.median(light[crown])  # lips are darker, and blurred into small teeth
    enamel = float(
        np.median(light[crown]) / max(float(np.percentile(atlas[seen, :3].mean(-1), 75)) * colour.enamel, 1.0)
    )
    reds = [float(_red(one)) for one in (np.median(crop[crown], 0), colour.lip)]
    told = colour.chroma > 0.5 and reds[0] < 0.5 * reds[1]
    if enamel < 0.55 or (np.median(light[crown]) < 0.9 * colour.lip.mean() and not told):
        return None  # dark, or a lip or a tongue
    tall = uncovered(where.head(landmarks), teeth)
    drawn = np.median(colour.apply(atlas[crown, :3][:, None] * colour.hue)[:, 0], 0)
    hue = np.median(crop[crown], 0) / np.maximum(drawn, 1.0)
    hue = np.clip(hue / max(float(hue.mean()), 1e-3), 0.85, 1.15).astype(np.float32)
    jaw = jaw_drop(float(where.head(landmarks)[list(JAW), 1].mean()) - teeth.jaw)
    here = Pose(where.scale, where.turn, where.shift - [view.left, view.top, 0])
    clear = mask * smooth(view.from_lower, 1.0, 3.0) * smooth(view.from_upper, 0.3, 1.2)
    if told:  # what is as red as lips is one of them
        lip = smooth((_red(crop) - reds[0]) / (reds[1] - reds[0]), 0.25, 0.5)
        clear = clear * (1 - lip * (1 - smooth(np.minimum(view.from_lower, view.from_upper), 3.0, 5.0)))
    crop = np.ascontiguousarray(crop)
    bare = gum_shown(where.head(landmarks), teeth)
    return Shown(
        crop, mask, clear, lip_shade(view), here, teeth, jaw, min(enamel, 1.6), hue, tall, view.gap, bare, fit
    )


def _red(colour: FloatArray) -> FloatArray:
    """How red colours [..., 3] are [...]."""
    red, green, blue = np.moveaxis(np.asarray(colour, np.float32), -1, 0)
    return np.asarray((red - 0.5 * (green + blue)) / (red + green + blue + 24))


def uncovered(head: FloatArray, teeth: Teeth) -> float:
    """How much of the upper teeth lips leave to be seen, in units; `head`: landmarks [478, 3] in head coordinates."""
    top = max(float(head[13, 1]), teeth.edge - CROWN * teeth.size)
    return max(min(float(head[14, 1]), teeth.edge) - top, 0.0)


def gum_shown(head: FloatArray, teeth: Teeth) -> float:
    """How much gum above the upper teeth the lip leaves to be seen, in units, less than 0 where it covers teeth;
    `head`: landmarks [478, 3] in head coordinates."""
    return float(teeth.edge - CROWN * teeth.size - head[13, 1])


def _fitted(
    light: FloatArray, mask: FloatArray, view: View, where: Pose, teeth: Teeth
) -> tuple[Teeth, float]:
    """The place and size at which drawn teeth agree best with those a photo shows, and how well: a correlation.

    Sought by whole units first, then round the best.
    """
    step = max(1, int(view.unit / 2))
    part = np.s_[::step, ::step]
    x, y, _ = where.on_arch(view.px[part], view.py[part], teeth.x, DEPTH)
    weight = mask[part] * np.exp(-(((x - teeth.x) / 14) ** 2))
    weight /= max(float(weight.sum()), 1e-3)

    def centred(values: FloatArray) -> FloatArray:
        values = values - (weight * values).sum()
        return np.asarray(values / np.sqrt((weight * values * values).sum() + 1e-3))

    seen = weight * centred(light[part])

    def agrees(by: tuple[float, float, float]) -> float:
        here = replace(teeth, x=teeth.x + by[0], edge=teeth.edge + by[1], size=by[2] * teeth.size)
        model = upper_teeth(x, y, here, min(view.unit / step, 4.0))[0][..., 1:3].mean(-1)
        fit = float((seen * centred(model)).sum())
        return fit - 0.01 * (abs(by[0]) + abs(by[1])) - 0.4 * abs(by[2] - 1)

    across, down = np.arange(-2.0, 2.1).tolist(), np.arange(-4.0, 8.1).tolist()
    at = max(product(across, down, [1.0]), key=agrees)
    near = [[value + by for by in (-0.5, 0.0, 0.5)] for value in at[:2]]
    at = max(product(*near, [0.95, 1.0, 1.05]), key=agrees)
    place = replace(teeth, x=teeth.x + at[0], edge=teeth.edge + at[1], size=at[2] * teeth.size)
    return place, agrees(at)


def _edge_above(light: FloatArray, x: FloatArray, y: FloatArray) -> float | None:
    """How far above the edge of what passes for upper teeth these end, in units, if dark lies between them and what is
    light below it, lower teeth or a lip. `light` [n] at x, y [n] units from the middle of that edge."""
    middle = np.abs(x) < 8
    at = np.arange(-7.0, 2.1, 0.5)
    rows = [middle & (np.abs(y - row) < 0.4) for row in at]
    if min(int(row.sum()) for row in rows[:12]) < 3:
        return None
    means = np.array([light[row].mean() if row.sum() > 2 else 0.0 for row in rows])
    low = int(means[:12].argmin())  # no lower than one and a half units above the edge
    dark = means[low] < min(0.82 * means[: low + 1].max(), 0.88 * means[low:].max())
    return float(at[low]) if dark else None


def _past(pale: FloatArray, mask: FloatArray, x: FloatArray, y: FloatArray) -> float:
    """How far the edge of what passes for upper teeth lies below the end of what is pale, in units, 0 to `PAST`: on a
    lip or a tongue. `pale` [h, w] at x, y [h, w] units from the middle of that edge; `mask` [h, w]: inside the lips."""
    middle = (np.abs(x) < 7) & (mask > 0.5)
    if not middle.any():
        return 0.0
    tooth = pale > PALE * np.percentile(pale[middle], 85)
    rows = [middle & (np.abs(y - row) < 0.4) for row in np.arange(0.0, -PAST - 0.1, -0.5)]
    for up, row in enumerate(rows):
        if row.sum() > 2 and tooth[row].mean() > 0.4:
            return 0.5 * up
    return 0.0


def farther(view: View, jaw: float, source: Shown) -> float:
    """Units by which a mouth is farther open than the one that shows teeth: its jaw, or its lips by half."""
    return max(abs(jaw - source.jaw), 0.5 * (view.gap - source.gap))


def borrowed(
    view: View, where: Pose, jaw: float, lifted: float, source: Shown, under: FloatArray
) -> FloatArray:
    """A photo's own teeth over the drawn mouth `under` [h, w, 3]: the upper ones with the skull, the rest with
    the jaw. What its lips hid stays as drawn. `lifted`: by how much the upper lip is, in units.
    """
    teeth = source.teeth
    x, y, z = where.on_arch(view.px, view.py, teeth.x, DEPTH)
    further = (jaw - source.jaw) * (1 - np.clip(z - DEPTH, 0, 40) / HINGE)
    # as in its own photo: the jaw where it was, and the lips no farther from the teeth
    away = farther(view, jaw, source)
    moved = float(np.exp(-max(away, lifted) / 1.5))
    inside = source.clear + moved * (source.mask - source.clear)
    shade_here = lip_shade(view)
    rim = 0.2 + 0.6 * moved  # where the upper teeth end and the rest begins, in units below their edge

    def of_skull(y: FloatArray) -> FloatArray:
        return upper_teeth(x, y - rim, teeth, 4.0)[0][..., 3]

    def fetch(y: FloatArray) -> tuple[FloatArray, FloatArray]:
        px, py = (np.asarray(p - 0.5, np.float32) for p in source.where.project(x, y, z))
        colours = cv2.remap(source.image, px, py, cv2.INTER_CUBIC, borderMode=cv2.BORDER_REPLICATE)
        shade = cv2.remap(source.shade, px, py, cv2.INTER_LINEAR, borderMode=cv2.BORDER_REPLICATE)
        relit = np.clip(shade_here / np.maximum(shade, 0.1), 0.3, 1.3)
        return colours * relit[..., None], np.asarray(cv2.remap(inside, px, py, cv2.INTER_LINEAR))

    colours, mask = fetch(y - further)
    # what a smile shows below its upper teeth is seldom more than their own rim and a lip
    stays = 1 - (1 - smooth(source.gap, 22.0, 30.0)) * smooth(away, 0.3, 1.5)
    alpha = stays * mask * smooth(1 - of_skull(y - further), 0.0, 0.5)
    picture = under + alpha[..., None] * (colours - under)
    colours, mask = fetch(y)
    # the dark beside its back teeth belongs to its own corners
    middle = colours[np.abs(x - np.float32(teeth.x)) < 8]
    light = colours.mean(-1) / max(float(np.percentile(middle, 75)) if middle.size else 0.0, 1.0)
    dark = smooth(np.abs(x - np.float32(teeth.x)), 16.0, 22.0) * (1 - smooth(light, 0.35, 0.6))
    mask = mask * (1 - (1 - moved) * dark)
    return np.asarray(picture + (mask * of_skull(y))[..., None] * (colours - picture), np.float32)
