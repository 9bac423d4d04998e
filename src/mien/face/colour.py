"""Giving a generated crop the light of the photo it goes into."""

from __future__ import annotations

import cv2
import numpy as np
from numpy.typing import NDArray
from scipy.ndimage import gaussian_filter

from mien.types import ByteImage, FloatArray

REACH = 0.12  # of the crop's side: how far a difference at the edge is believed to go on inside
LIMIT = 40.0  # grey levels; a larger difference is another object, not another light
SPREAD = (1.1, 1.0, 1.0)  # how many times as far from their means a crop's L, a and b may become
# L: what differs so much from the photo beside the face begins to be left out; is left out.
APART = (10.0, 25.0)


def match_skin(crop: ByteImage, photo: ByteImage, skin: NDArray[np.bool_]) -> ByteImage:
    """`crop` with its skin's mean and spread of L, a and b (CIE 1976) made those of the photo's skin (Reinhard et al.
    2001, "Color Transfer between Images", on skin alone): a face drawn by daylight becomes dark in a dark photo, and
    grey in a grey one.

    Args:
        crop: [h, w, 3] uint8, generated. photo: [h, w, 3] uint8, the same place of the photo.
        skin: [h, w], where both show skin. Nowhere: `crop` is returned.
    """
    if not skin.any():
        return crop
    own, wanted = (cv2.cvtColor(p.astype(np.float32) / 255, cv2.COLOR_RGB2Lab) for p in (crop, photo))
    mean, aim = own[skin].mean(0), wanted[skin].mean(0)
    spread = (wanted[skin].std(0) / np.maximum(own[skin].std(0), 1e-3)).clip(0, SPREAD)
    matched = cv2.cvtColor(((own - mean) * spread + aim).astype(np.float32), cv2.COLOR_Lab2RGB)
    return np.round(matched * 255).clip(0, 255).astype(np.uint8)


def apart(crop: ByteImage, photo: ByteImage) -> FloatArray:
    """How far a crop differs from the photo in L, [h, w] float32: 0 up to `APART`'s first, 1 from its second."""
    own, before = (
        cv2.cvtColor(picture.astype(np.float32) / 255, cv2.COLOR_RGB2Lab)[..., 0] for picture in (crop, photo)
    )
    off = (np.abs(before - own) - APART[0]) / (APART[1] - APART[0])
    return np.asarray(off.clip(0, 1), np.float32)


def match_colour(crop: ByteImage, photo: ByteImage, mask: FloatArray) -> ByteImage:
    """`crop` with its slow differences from `photo` taken out, as they are seen around the mask.

    The difference of blurred views around the mask is taken from the crop, less and less so towards its middle, where
    nothing is known: a soft kin of mean-value cloning (Farbman et al. 2009) that does not drag single edges across the
    face.

    Args:
        crop: [h, w, 3] uint8, generated. photo: [h, w, 3] uint8, the same place of the photo.
        mask: [h, w] in [0, 1], where the crop will be shown; nothing around it: `crop` is returned.
    """
    around = (1.0 - np.asarray(mask, np.float32))[..., None]
    sigma = REACH * crop.shape[0]
    difference = np.clip(crop.astype(np.float32) - photo.astype(np.float32), -LIMIT, LIMIT)
    known = gaussian_filter(around, (sigma, sigma, 0), mode="nearest")
    blurred = gaussian_filter(difference * around, (sigma, sigma, 0), mode="nearest")
    # A place that sees less than a tenth of its neighbourhood is corrected less than in full.
    correction = blurred / np.maximum(known, 0.1)
    return np.round(crop - correction).clip(0, 255).astype(np.uint8)
