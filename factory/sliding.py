"""How far a smile slides skin beneath the mesh, for ``src/mien/warping/folds.npz`` (see `factory.folds`).

MediaPipe's points keep to lips, nose and outline; on a cheek they mark no skin. Between photographs at rest and smiling
that are laid on the mesh, moles and pores of the cheeks move outwards and up, in everybody alike:

    f_i: optical flow from rest to smile in the mesh's texture (DIS), made symmetric; m: its median over people i
    a_i = <f_i, m> / <m, m>;  slide of a smile = SHARE m sum(a_i s_i) / sum(s_i^2), s_i the change of mouthSmile
"""

from __future__ import annotations

import cv2
import numpy as np
from scipy.spatial import cKDTree

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

SHARE = 0.7  # of the slide: all of it gains less, for people differ
LIDS = RIGHT_UPPER_LID + RIGHT_LOWER_LID + LEFT_UPPER_LID + LEFT_LOWER_LID
LIPS = UPPER_LIP + LOWER_LIP + OUTER_UPPER_LIP + OUTER_LOWER_LIP
CHEEKS = (
    (0.39, 0.755),
    (0.155, 0.845),
)  # rows and columns, in shares of the texture, by which smiles are compared


def even(texture):
    """Grey values [n, n] with light and contrast taken out, uint8."""
    log = np.log(texture.astype(np.float32) + 12)
    wide = len(texture) / 32
    detail = log - cv2.GaussianBlur(log, (0, 0), wide)
    spread = np.sqrt(cv2.GaussianBlur(detail**2, (0, 0), 2 * wide)) + 0.02
    return np.clip(128 + 40 * detail / spread, 0, 255).astype(np.uint8)


def mirrored(field):
    return field[:, ::-1] * np.array([-1, 1], np.float32)


def flows(rest, smile):
    """Optical flow [people, n, n, 2], in texels, from textures [people, n, n] at rest to smiling ones."""
    dis = cv2.DISOpticalFlow_create(cv2.DISOPTICAL_FLOW_PRESET_MEDIUM)
    found = []
    for pair in zip(rest, smile, strict=True):
        here, there = (even(texture) for texture in pair)
        other = dis.calc(here[:, ::-1].copy(), there[:, ::-1].copy(), None)
        both = (dis.calc(here, there, None) + mirrored(other)) / 2
        found.append((both + mirrored(both)) / 2)
    return np.stack(found)


def slide(field, smiles, uv):
    """[n, n, 2] in shares of the texture's side for a smile of 1; 0 at lids, lips, outline and above the eyes."""
    middle, n = np.median(field, 0), field.shape[1]
    cheeks = tuple(slice(round(low * n), round(high * n)) for low, high in CHEEKS)
    m = middle[cheeks]
    amount = np.array([(f[cheeks] * m).sum() for f in field]) / (m**2).sum()
    per_smile = cv2.GaussianBlur(middle * (amount * smiles).sum() / (smiles**2).sum(), (0, 0), n / 96)
    return SHARE * per_smile / n * fade(uv, n)


def fade(uv, n):
    """Share [n, n, 1] of the slide, by the distance from what the mesh does mark; `uv` in shares of the side."""
    y, x = np.mgrid[:n, :n]
    at = (np.stack([x, y], 2).reshape(-1, 2) + 0.5) / n

    def away(points, reach):
        t = np.clip(cKDTree(uv[list(points)]).query(at)[0] / reach, 0, 1)
        return t * t * (3 - 2 * t)

    below = np.clip((at[:, 1] - uv[33, 1]) / 0.05, 0, 1)
    share = away(LIDS, 0.047) * away(LIPS, 0.026) * away(OVAL, 0.042) * below
    return share.reshape(n, n, 1).astype(np.float32)
