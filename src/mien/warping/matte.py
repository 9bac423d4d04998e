"""Where a face shows: skin and features, neither hair nor a hat, nor what lies in front of it.

GrabCut (Rother, Kolmogorov and Blake, "GrabCut", SIGGRAPH 2004) on a small copy, seeded by the landmarks: nose and
cheeks are skin; what is not skin-coloured above the forehead and beside the cheeks is not. Only what hangs together
with the outside lies in front; brows, moles and shadows within the face belong to it. A fast guided filter (He and Sun,
2015) takes the edge to full size, along single hairs.
"""

from __future__ import annotations

import cv2
import numpy as np

from mien.types import ByteImage, FloatArray
from mien.warping.mesh import (
    LEFT_LOWER_LID,
    LEFT_UPPER_LID,
    LOWER_LIP,
    OUTER_LOWER_LIP,
    OUTER_UPPER_LIP,
    OVAL,
    RIGHT_LOWER_LID,
    RIGHT_UPPER_LID,
    UPPER_LIP,
)

SURE = (  # outlines of what is skin in every face
    (168, 193, 49, 98, 2, 327, 279, 417),
    (118, 101, 36, 205, 187, 123, 117),
    (347, 330, 266, 425, 411, 352, 346),
)
LIDS = (RIGHT_UPPER_LID + RIGHT_LOWER_LID[::-1], LEFT_UPPER_LID + LEFT_LOWER_LID[::-1])
LIPS = UPPER_LIP + LOWER_LIP[::-1]
OUTER_LIPS = OUTER_UPPER_LIP + OUTER_LOWER_LIP[::-1]
BROWS = ((70, 63, 105, 66, 107, 55, 65, 52, 53, 46), (300, 293, 334, 296, 336, 285, 295, 282, 283, 276))
# The lower middle of a face may be bearded, and a beard is the face's own.
BEARD = (123, 147, 213, 192, 214, 135, 169, 170, 140, 171, 175, 396, 369, 395, 394, 364, 434, 416, 433, 376, 352, 280,
         425, 327, 2, 98, 205, 50)  # fmt: skip
SIDES = (  # of the cheeks, before the ears
    (143, 127, 234, 93, 132, 58, 213, 147, 123, 116),
    (372, 356, 454, 323, 361, 288, 433, 376, 352, 345),
)
JAWS = (  # below them, as far as the chin
    (58, 172, 136, 150, 149, 176, 148, 208, 32, 211, 210, 214, 192, 213),
    (288, 397, 365, 379, 378, 400, 377, 428, 262, 431, 430, 434, 416, 433),
)
JAWLINE = (58, 172, 136, 150, 149, 176, 148, 152, 377, 400, 378, 379, 365, 397, 288)
FOLDS = (  # of the cheeks, beside the mouth
    (142, 203, 206, 92, 186, 57, 43, 106, 204, 211, 214, 192, 147, 187, 205, 36),
    (371, 423, 426, 322, 410, 287, 273, 335, 424, 431, 434, 416, 376, 411, 425, 266),
)
CHIN = (83, 18, 313, 421, 428, 199, 208, 201)  # clear of its outline
CHIN_BELOW = (201, 421, 396, 175, 171)
# times the texture of the cheeks, from which a chin is bearded, a white one, one that is darker below
ROUGH, ROUGH_WHITE, ROUGH_DARK = 2.5, 1.8, 1.6
ROUGH_TIP, ROUGH_BARE = 2.15, 1.45  # the same of a chin's lower part, and of the bare one above it
# the same where cheeks are rough themselves, as dark ones are; texture from which that is enough
ROUGH_TOO, ROUGHEST = 1.75, 0.034
DARKER = 0.9  # of the light of the cheeks, below which a chin's lower part is dark
PALEST = 0.96  # of the light of the cheeks: what is lighter is no beard but a collar
DARKEST = 0.5  # of the light of the darkest of a chin: no beard is darker elsewhere
COVERED, COVERED_TIP = 0.5, 0.4  # of the chin, and of its lower part, that a beard covers at least
GREY, COLOURFUL = 0.7, 0.08  # of the cheeks' ruddiness, below which a beard is grey; the least that says so
SMOOTH = 0.008  # texture of cheeks at least: the very smoothest of soft pictures tell nothing
ROUNDS = 2  # of GrabCut


def fill(
    shape: tuple[int, ...], landmarks: FloatArray, *outlines: tuple[int, ...], grow: float = 1.0
) -> ByteImage:
    """[h, w] uint8: 1 inside the outlines, each grown by a factor about its middle."""
    mask = np.zeros(shape[:2], np.uint8)
    for outline in outlines:
        points = landmarks[list(outline), :2]
        points = points.mean(0) + grow * (points - points.mean(0))
        cv2.fillPoly(mask, [np.round((points - 0.5) * 16).astype(np.int32)], 1, cv2.LINE_8, 4)
    return mask


def shown(image: ByteImage, landmarks: FloatArray, beard: FloatArray) -> ByteImage:
    """[h, w] uint8: 1 where the face shows within its oval, of a small picture (a face about 140 px wide).

    `landmarks` [478, 3] px. beard: [h, w] 0 to 1, where it is: see `bearded`. What has neither skin's colour nor is one
    may be long hair or a collar before the jaw.
    """
    shape = image.shape
    wide = float(np.linalg.norm(landmarks[234, :2] - landmarks[454, :2]))
    oval = fill(shape, landmarks, OVAL)
    sure = fill(shape, landmarks, *SURE)
    if sure.sum() < 50:
        return oval
    lab = cv2.cvtColor(image, cv2.COLOR_RGB2LAB).astype(np.float32)
    skin = lab[sure > 0]
    centre = np.median(skin, 0)
    spread = np.maximum(1.48 * np.median(np.abs(skin - centre), 0), [16.0, 4.0, 4.0])
    unlike = (((lab - centre) / spread) ** 2).sum(2) > 8.0
    jaw = fill(shape, landmarks, BEARD) & (flesh(image, landmarks) | (beard > 0.3))
    own = (sure | jaw | fill(shape, landmarks, *LIDS, OUTER_LIPS)) > 0
    state = np.where(unlike, cv2.GC_PR_BGD, cv2.GC_PR_FGD).astype(np.uint8)
    near = cv2.dilate(oval, np.ones((3, 3), np.uint8), iterations=max(1, int(0.02 * wide))) > 0
    state[unlike & ~near] = cv2.GC_BGD
    state[own] = cv2.GC_FGD
    x, y, w, h = cv2.boundingRect(fill(shape, landmarks, OVAL, grow=1.25))
    part = np.ascontiguousarray(state[y : y + h, x : x + w])
    if (part == cv2.GC_BGD).sum() < 20:
        return oval
    cv2.setRNGSeed(0)  # GrabCut draws its first clusters
    cv2.grabCut(
        np.ascontiguousarray(image[y : y + h, x : x + w]),
        part,
        [0, 0, 0, 0],
        np.zeros((1, 65)),
        np.zeros((1, 65)),
        ROUNDS,
        cv2.GC_INIT_WITH_MASK,
    )
    other = np.zeros(shape[:2], np.uint8)
    other[y : y + h, x : x + w] = (part == cv2.GC_BGD) | (part == cv2.GC_PR_BGD)
    opened = cv2.morphologyEx(other, cv2.MORPH_OPEN, np.ones((2, 2), np.uint8))
    _, names = cv2.connectedComponents(opened, connectivity=4)
    ring = near & (oval == 0)
    outer = np.isin(names, np.setdiff1d(np.unique(names[ring]), 0))
    up = landmarks[10, :2] - landmarks[168, :2]
    for brow in BROWS:  # it may touch the hair beside it; hair that covers it covers what is above it too
        above = landmarks.copy()
        above[:, :2] += 0.3 * up
        if outer[fill(shape, above, brow) > 0].mean() < 0.5:
            outer &= fill(shape, landmarks, brow, grow=1.25) == 0
    return np.where(outer, 0, oval).astype(np.uint8)


def bearded(image: ByteImage, landmarks: FloatArray) -> FloatArray:
    """[h, w] float32 0 to 1: where there is beard on cheeks, chin and throat of a small picture: it has a texture that
    the cheeks below the eyes have not, and is darker or greyer, nowhere much darker than on the chin. All 0 where
    neither the chin nor its lower part, below a bare one, has any: what hangs beside it is long hair."""
    wide = float(np.linalg.norm(landmarks[234, :2] - landmarks[454, :2]))
    grey = cv2.cvtColor(image, cv2.COLOR_RGB2GRAY).astype(np.float32)
    rough = np.abs(grey - cv2.GaussianBlur(grey, (0, 0), 0.01 * wide)) / (grey + 4)
    cheeks = fill(image.shape, landmarks, *SURE[1:]) > 0
    chin = fill(image.shape, landmarks, CHIN) > 0
    none = np.zeros(image.shape[:2], np.float32)
    if not cheeks.any() or not chin.any():
        return none
    smooth = max(float(rough[cheeks].mean()), SMOOTH)
    like = hairlike(image, landmarks)
    light = np.median(grey[chin]) > PALEST * np.median(grey[cheeks])
    least = ROUGH_WHITE if light and np.median(greyer(image, landmarks)[chin]) else ROUGH
    tip = fill(image.shape, landmarks, CHIN_BELOW) > 0
    if tip.any() and np.median(grey[tip]) < DARKER * np.median(grey[cheeks]):
        least = min(least, ROUGH_DARK)
    enough = max(ROUGH_TOO * smooth, min(ROUGH_TIP * smooth, ROUGHEST))
    sought = []
    if rough[chin].mean() >= least * smooth and np.median(like[chin]) == 1:
        sought.append((chin, COVERED))
    if tip.any() and rough[tip].mean() >= enough and rough[chin].mean() >= ROUGH_BARE * smooth:
        sought.append((tip, COVERED_TIP))  # a beard round a bare chin
    lips = fill(image.shape, landmarks, OUTER_LIPS)
    even = cv2.cvtColor(_softened(image, landmarks), cv2.COLOR_RGB2GRAY)
    for where, covered in sought:
        darker = even < DARKEST * np.quantile(even[where], 0.1)  # a collar, or long hair
        hair = rough * like * ~darker * throat(image.shape, landmarks) * (1 - lips)
        hair = cv2.GaussianBlur(hair, (0, 0), 0.03 * wide) / smooth
        hair = np.clip((hair - 0.55 * ROUGH) / (0.28 * ROUGH), 0, 1)
        if hair[where].mean() >= covered:
            _, names = cv2.connectedComponents((hair > 0).astype(np.uint8))
            return np.where(np.isin(names, np.setdiff1d(names[where], 0)), hair, 0).astype(np.float32)
    return none


def flesh(image: ByteImage, landmarks: FloatArray) -> ByteImage:
    """[h, w] uint8: 1 where a picture has the colour of the cheeks, in any shade that a throat may lie in."""
    soft = cv2.GaussianBlur(image.astype(np.float32), (0, 0), 1.0) + 4
    light = soft.sum(2, keepdims=True)
    cheeks = fill(image.shape, landmarks, *SURE[1:]) > 0
    if not cheeks.any():
        return np.zeros(image.shape[:2], np.uint8)
    away = np.abs(soft / light - np.median((soft / light)[cheeks], 0)).max(2)
    shade = light[..., 0] / np.median(light[cheeks])
    return ((away < 0.08) & (shade > 0.25) & (shade < 1.2)).astype(np.uint8)


def hairlike(image: ByteImage, landmarks: FloatArray) -> ByteImage:
    """[h, w] uint8: 1 where a picture is darker than the cheeks, or has little of their colour, as grey beards do."""
    grey = cv2.cvtColor(_softened(image, landmarks), cv2.COLOR_RGB2GRAY)
    dark = grey < PALEST * np.median(grey[fill(image.shape, landmarks, *SURE[1:]) > 0])
    return dark.astype(np.uint8) | greyer(image, landmarks)


def greyer(image: ByteImage, landmarks: FloatArray) -> ByteImage:
    """[h, w] uint8: 1 where a picture has much less of the cheeks' colour than they; nowhere in a grey picture."""
    red, _, blue = cv2.split(_softened(image, landmarks).astype(np.float32))
    ruddy = (red - blue) / (red + blue + 8)
    own = float(np.median(ruddy[fill(image.shape, landmarks, *SURE[1:]) > 0]))
    return (ruddy < GREY * own).astype(np.uint8) * np.uint8(own > COLOURFUL)


def _softened(image: ByteImage, landmarks: FloatArray) -> ByteImage:
    wide = float(np.linalg.norm(landmarks[234, :2] - landmarks[454, :2]))
    return np.asarray(cv2.GaussianBlur(image, (0, 0), 0.02 * wide), np.uint8)


def throat(shape: tuple[int, ...], landmarks: FloatArray) -> ByteImage:
    """[h, w] uint8: 1 on the lower face and below the jaw, as far as beards grow."""
    return _hanging(shape, landmarks, JAWLINE, 1.5)


def neck(shape: tuple[int, ...], landmarks: FloatArray) -> ByteImage:
    """[h, w] uint8: 1 on the lower face and on all of the throat below it, but for what is just below the ears, where
    a picture may show what is behind."""
    return _hanging(shape, landmarks, JAWLINE[1:-1], 0.8)


def _hanging(shape: tuple[int, ...], landmarks: FloatArray, jaw: tuple[int, ...], slim: float) -> ByteImage:
    down = landmarks[152, :2] - landmarks[1, :2]
    below = landmarks.copy()
    below[list(jaw), :2] += np.sin(np.linspace(0, np.pi, len(jaw)))[:, None] ** slim * (0.45 * down)
    return fill(shape, below, (*jaw, 425, 2, 205))


def rim(shape: tuple[int, ...], landmarks: FloatArray) -> ByteImage:
    """[h, w] uint8: 1 on forehead, temples, the sides of the cheeks and jaws, without the brows: where hair falls."""
    top = OVAL.index(127)  # from there over the top to 356
    forehead = (*OVAL[top:], *OVAL[:8], 372, 383, 300, 293, 334, 296, 336, 9, 107, 66, 105, 63, 70, 156, 143)
    return fill(shape, landmarks, forehead, *SIDES, *JAWS) & (1 - fill(shape, landmarks, *BROWS, grow=1.15))


def within(mask: ByteImage, radius: float) -> FloatArray:
    """[h, w] float32: from 0 at the edge of a `mask` of 0 and 1 to 1 `radius` px inside."""
    depth = cv2.distanceTransform(np.pad(mask, 1), cv2.DIST_L2, 3)[1:-1, 1:-1]
    share = np.clip((depth - 0.5) / max(radius, 1.0), 0, 1)
    return np.asarray(share * share * (3 - 2 * share), np.float32)


def refine(
    mask: FloatArray, image: ByteImage, small: ByteImage, radius: int, epsilon: float = 25.0
) -> FloatArray:
    """A small `mask` [h, w] 0 to 1 at the size of `image` [H, W, 3], its edges along the picture's.

    `small` [h, w, 3]: the picture at the mask's size. radius: px of `small`. epsilon: squared grey levels.
    """
    guide = cv2.cvtColor(small, cv2.COLOR_RGB2GRAY).astype(np.float32)
    size = (2 * radius + 1, 2 * radius + 1)
    mean, value = cv2.blur(guide, size), cv2.blur(mask, size)
    slope = (cv2.blur(guide * mask, size) - mean * value) / (
        cv2.blur(guide * guide, size) - mean**2 + epsilon
    )
    both = cv2.blur(cv2.merge([slope, value - slope * mean]), size)
    both = cv2.resize(both, image.shape[1::-1], interpolation=cv2.INTER_LINEAR)
    grey = cv2.cvtColor(image, cv2.COLOR_RGB2GRAY)
    return np.clip(both[..., 0] * grey + both[..., 1], 0, 1)
