"""Stubble of a photo's jaw and throat: how much there is, and the photo without it.

Skin shows between its hairs. A grey-scale closing, the lightest nearby and then the darkest of that, leaves skin alone,
where a blur would mix both.
"""

from __future__ import annotations

import cv2
import numpy as np

from mien.types import ByteImage, FloatArray
from mien.warping import matte
from mien.warping.light import OFFSET, ratio, smooth
from mien.warping.mesh import OVAL

HAIR = 0.025  # of the face's width: what is narrower, and darker than what is around it, is hair
LINES = 0.01  # share of their light that such lines take from cheeks at least
LITTLE, MUCH = 1.5, 1.9  # times as much as on the cheeks, from which on it is stubble, and surely
SHOWN = 0.4  # share of a place that is skin, from which it is looked at
REACH = 0.9  # of the way from nose to chin: how far below the jaw it is sought
WIDER = 1.1  # times the jaw: so much wider may another one be
RIM = 0.03  # width of the passage at its edge, of the face's width
NEARBY = 0.08  # sigma of what is near, of the face's width
LIGHTEST = 4.0  # power of its light with which skin nearby has a say: the lighter, the less hair is in it
LIFT = 0.6  # share of the shade that dense hair leaves, which is taken away
DENSE = 0.15  # log ratio of the light that dense hair takes
LIGHTER = 0.05  # log ratio by which skin may be lighter than the skin nearby: what is lighter lies behind
PALEST = 1.05  # of the light of the cheeks, from which it is no jaw but behind one
PORES = 3.0  # grey levels of fine texture at most that is skin's


def stubbly(image: ByteImage, landmarks: FloatArray, skin: ByteImage | None = None) -> float:
    """How surely there is stubble on chin, jaws and throat of a picture [h, w, 3], 0 to 1. `landmarks` [478, 3] px;
    skin: [h, w] 0 or 1, where it may be: scarves and hands have lines, too."""
    wide = float(np.linalg.norm(landmarks[234, :2] - landmarks[454, :2]))
    reach = landmarks[[168, 172, 397, 152, 454, 234], :2]
    x0, y0 = np.maximum(reach.min(0), 0).astype(int)
    x1, y1 = np.minimum(reach.max(0) + [1, 0.3 * wide], image.shape[1::-1]).astype(int)
    if x1 <= x0 or y1 <= y0:
        return 0.0
    grey = np.asarray(cv2.cvtColor(image[y0:y1, x0:x1], cv2.COLOR_RGB2GRAY), np.uint8)
    lines = (_closed(grey, wide) - grey) / (grey + np.float32(OFFSET))
    points = landmarks - [x0, y0, 0]
    throat = matte.neck(grey.shape, points) & (1 - matte.fill(grey.shape, points, OVAL))
    places = [matte.fill(grey.shape, points, one) for one in (matte.CHIN, matte.CHIN_BELOW, *matte.JAWS)]
    near = cv2.blur(lines, (_side(wide),) * 2)
    bare = np.ones_like(throat)
    if skin is not None:
        bare = np.asarray(cv2.erode(skin[y0:y1, x0:x1], np.ones((_side(wide),) * 2)), np.uint8)
    shown = [place & bare for place in (*places, throat) if place.any() and bare[place > 0].mean() > SHOWN]
    found = [float(np.median(near[place > 0])) for place in shown]
    cheeks = matte.fill(grey.shape, points, *matte.SURE[1:]) > 0
    if not cheeks.any() or not found:
        return 0.0
    usual = max(float(lines[cheeks].mean()), LINES)
    return float(np.clip((np.median(found) / usual - LITTLE) / (MUCH - LITTLE), 0, 1))


def jaw(image: ByteImage, landmarks: FloatArray, hair: FloatArray) -> FloatArray:
    """[h, w] float32 0 to 1: skin and beard of jaw and throat in a small picture [h, w, 3], within its outline.
    `landmarks` [478, 3] px; hair [h, w] 0 to 1, where there is a beard: see `matte.bearded`."""
    wide = float(np.linalg.norm(landmarks[234, :2] - landmarks[454, :2]))
    lower = landmarks + np.r_[REACH * (landmarks[152, :2] - landmarks[1, :2]), 0]
    jawline = matte.JAWLINE
    outline = (jawline[0], *(len(landmarks) + at for at in jawline), jawline[-1])
    near = matte.fill(image.shape, np.vstack([landmarks, lower]), outline, grow=WIDER)
    grey = cv2.cvtColor(image, cv2.COLOR_RGB2GRAY)
    cheeks = grey[matte.fill(image.shape, landmarks, *matte.SURE[1:]) > 0]
    beard = (hair > 0.3).astype(np.uint8)
    dark = (grey < (PALEST * np.median(cheeks) if cheeks.size else 0)).astype(np.uint8)
    beside = np.asarray(cv2.dilate(beard, np.ones((9, 9))), np.uint8) & matte.neck(image.shape, landmarks)
    skin = (matte.flesh(image, landmarks) | beard) & (dark | beside)
    skin = np.asarray(cv2.morphologyEx(near & skin, cv2.MORPH_CLOSE, np.ones((7, 7))), np.uint8)
    opened = np.asarray(cv2.morphologyEx(skin, cv2.MORPH_OPEN, np.ones((3, 3))), np.uint8)
    more = int(RIM * wide) + 1  # a throat goes on beyond the picture's edge
    beyond = matte.within(np.pad(opened, more, mode="edge"), RIM * wide)
    return beyond[more:-more, more:-more]


def shaven(image: ByteImage, where: FloatArray, wide: float) -> ByteImage:
    """`image` [h, w, 3] without stubble, as far as `where` [h, w] 0 to 1 says; wide: of the face, px."""
    x, y, w, h = cv2.boundingRect((where > 0).astype(np.uint8))
    part, result = np.s_[y : y + h, x : x + w], image.copy()
    if w == 0:
        return result
    here, share = image[part], where[part]
    sigma = 0.5 * HAIR * wide
    fine = np.clip(here - cv2.GaussianBlur(here, (0, 0), sigma).astype(np.float32), -PORES, PORES)
    closed = _closed(here, wide)
    even = np.log(cv2.GaussianBlur(closed, (0, 0), sigma) + OFFSET)
    dense = ratio(here.astype(np.float32), closed).mean(2, keepdims=True)
    dense = np.clip(cv2.GaussianBlur(dense, (0, 0), 0.5 * NEARBY * wide)[..., None] / DENSE, 0, 1)
    light = even.mean(2)
    sure = share * np.exp(LIGHTEST * (light - light.max()))
    gains = smooth(even, sure, NEARBY * wide)[0] - even
    up = gains.mean(2, keepdims=True)
    lift = LIFT * dense * np.maximum(up, 0) + np.minimum(up + LIGHTER, 0)
    skin = np.exp(even + gains - up + lift) - OFFSET + fine
    result[part] = np.clip(here + share[..., None] * (skin - here) + 0.5, 0, 255)
    return result


def _side(wide: float) -> int:
    return 2 * max(1, round(HAIR * wide / 2)) + 1


def _closed(image: ByteImage, wide: float) -> FloatArray:
    return cv2.morphologyEx(image, cv2.MORPH_CLOSE, np.ones((_side(wide),) * 2)).astype(np.float32)
