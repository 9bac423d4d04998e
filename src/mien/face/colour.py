"""Giving a generated crop the light of the photo it goes into."""

from __future__ import annotations

import numpy as np
from scipy.ndimage import gaussian_filter

from mien.types import ByteImage, FloatArray

REACH = 0.12  # of the crop's side: how far a difference at the edge is believed to go on inside
LIMIT = 40.0  # grey levels; a larger difference is another object, not another light


def match_colour(crop: ByteImage, photo: ByteImage, mask: FloatArray) -> ByteImage:
    """`crop` with its slow differences from `photo` taken out, as they are seen around the mask.

    Around the face both show the same things. Where they differ in a blurred view, the difference is taken from the
    crop, and less and less so towards the middle of the mask, where nothing is known: a soft kin of mean-value
    cloning (Farbman et al. 2009) that does not drag single edges (hair, collars) across the face.

    Args:
        crop: [h, w, 3] uint8, generated. photo: [h, w, 3] uint8, the same place of the photo.
        mask: [h, w] in [0, 1], where the crop will be shown.

    Returns:
        [h, w, 3] uint8. Without anything around the mask it is `crop`.
    """
    around = (1.0 - np.asarray(mask, np.float32))[..., None]
    sigma = REACH * crop.shape[0]
    difference = np.clip(crop.astype(np.float32) - photo.astype(np.float32), -LIMIT, LIMIT)
    known = gaussian_filter(around, (sigma, sigma, 0), mode="nearest")
    blurred = gaussian_filter(difference * around, (sigma, sigma, 0), mode="nearest")
    # A place that sees less than a tenth of its neighbourhood is corrected less than in full.
    correction = blurred / np.maximum(known, 0.1)
    return np.round(crop - correction).clip(0, 255).astype(np.uint8)
