"""A head's rotation as three angles, in degrees, and back.

Frame (MediaPipe's facial transformation matrix): x to the image's right, y up, z towards the camera. A rotation R [3,
3] takes the head's own axes (crown +y, nose +z, +x to the right in the image of a frontal face) into that frame.

    yaw > 0     the face turns to the image's right
    pitch > 0   the face looks up
    roll > 0    the head tilts clockwise in the image

Order: nod, then turn, then tilt, each about a fixed axis of the camera::

    R = Rz(-roll) · Ry(yaw) · Rx(-pitch)

So roll is the slope of the line between the eyes in the image, and turning the *image* clockwise by d degrees adds d to
it alone. At yaw = ±90° nod and tilt are the same movement; roll is then reported as 0.
"""

from __future__ import annotations

import numpy as np

from mien.types import FloatArray

POLE = 1e-9  # cos(yaw) below this is a pole


def angles(rotation: FloatArray) -> FloatArray:
    """(yaw, pitch, roll) in degrees [..., 3] of rotations [..., 3, 3]: yaw [-90, 90], pitch and roll (-180, 180]. A
    small scale or shear (as in a fitted matrix) is removed first by taking the nearest rotation. ValueError: not [...,
    3, 3], not finite, or a reflection."""
    matrix = np.asarray(rotation, np.float64)
    if matrix.shape[-2:] != (3, 3) or not np.isfinite(matrix).all():
        raise ValueError(f"a rotation is a finite [..., 3, 3] matrix, got shape {matrix.shape}")
    if (np.linalg.det(matrix) <= 0).any():
        raise ValueError("the matrix is a reflection or has no volume: it is not a rotation")
    u, _, vt = np.linalg.svd(matrix)
    r = u @ vt
    cos_yaw = np.hypot(r[..., 0, 0], r[..., 1, 0])
    pole = cos_yaw < POLE
    yaw = np.arctan2(-r[..., 2, 0], cos_yaw)
    # R's first column is Rz(-roll) · (cos yaw, 0, -sin yaw); its last row is (-sin yaw, -cos yaw sin pitch, …).
    roll = np.where(pole, 0.0, np.arctan2(-r[..., 1, 0], r[..., 0, 0]))
    pitch = np.where(pole, np.arctan2(r[..., 1, 2], r[..., 1, 1]), np.arctan2(-r[..., 2, 1], r[..., 2, 2]))
    return np.rad2deg(np.stack([yaw, pitch, roll], axis=-1))


def rotation(pose: FloatArray) -> FloatArray:
    """The rotation matrix [..., 3, 3] float64 of (yaw, pitch, roll) in degrees [..., 3]."""
    yaw, pitch, roll = np.moveaxis(np.deg2rad(np.asarray(pose, np.float64)), -1, 0)
    (cy, sy), (cp, sp), (cr, sr) = ((np.cos(angle), np.sin(angle)) for angle in (yaw, pitch, roll))
    entries = [
        [cr * cy, sr * cp - cr * sy * sp, sr * sp + cr * sy * cp],
        [-sr * cy, cr * cp + sr * sy * sp, cr * sp - sr * sy * cp],
        [-sy, -cy * sp, cy * cp],
    ]
    return np.stack([np.stack(row, axis=-1) for row in entries], axis=-2)


def tilt(matrix: FloatArray) -> float:
    """How far a similarity [2, 3] turns a picture clockwise, in degrees. A face of roll r in a crop of
    ``align.warp(photo, matrix)`` has r - tilt(matrix) in the photo."""
    return float(np.rad2deg(np.arctan2(matrix[1, 0], matrix[0, 0])))


def difference(a: FloatArray, b: FloatArray) -> FloatArray:
    """|a - b| [..., 3] per angle in degrees, the short way round: in [0, 180]."""
    return np.abs((np.asarray(a, np.float64) - np.asarray(b, np.float64) + 180.0) % 360.0 - 180.0)
