"""The mean dental arch of several people: hand-set marks on photographs, brought to one size, in atlas pixels."""

from __future__ import annotations

from pathlib import Path

import cv2
import numpy as np
from scipy.interpolate import RBFInterpolator

from mien.warping.shapes import similarity_3d

ANCHORS = [33, 133, 362, 263, 168, 6, 197, 195, 2, 98, 327]
MIRROR = [3, 2, 1, 0, 4, 5, 6, 7, 8, 10, 9]
PX = 10.0  # atlas pixels a unit; about a millimetre: the outer eye corners are 90 units apart
HALF, ABOVE, BELOW = 32.0, 22.0, 3.0  # the atlas reaches so far sideways, above and below the biting edge
WIDTH, HEIGHT = int(2 * HALF * PX), int((ABOVE + BELOW) * PX)


def landmarks(folder: Path, model: str, names: list[str]) -> dict[str, np.ndarray]:
    """[478, 3] px for each photograph."""
    import mediapipe as mp
    from mediapipe.tasks.python import BaseOptions, vision

    options = vision.FaceLandmarkerOptions(base_options=BaseOptions(model_asset_path=model))
    found = {}
    with vision.FaceLandmarker.create_from_options(options) as detector:
        for name in names:
            image = cv2.cvtColor(cv2.imread(str(folder / f"{name}.jpg")), cv2.COLOR_BGR2RGB)
            face = detector.detect(mp.Image(image_format=mp.ImageFormat.SRGB, data=image)).face_landmarks[0]
            size = np.array([image.shape[1], image.shape[0], image.shape[1]])
            found[name] = np.array([[p.x, p.y, p.z] for p in face]) * size
    return found


def mean_anchors(faces: list[np.ndarray]) -> np.ndarray:
    """Symmetric mean [11, 3] of the anchor landmarks; the nose's base (2) at the origin, x from eye to eye."""
    mean = faces[0][ANCHORS]
    for _ in range(6):
        moved = []
        for face in faces:
            scale, turn, shift = similarity_3d(face[ANCHORS], mean)
            moved.append(scale * face[ANCHORS] @ turn.T + shift)
        mean = np.mean(moved, 0)
        mean = 0.5 * (mean + mean[MIRROR] * [-1, 1, 1] + [mean[4, 0] * 2, 0, 0])
        mean = (mean - mean[8]) * 90 / np.linalg.norm(mean[0] - mean[3])
    return mean


def crop_map(face: np.ndarray) -> np.ndarray:
    """The affine map [2, 3] from a photograph to the frame that the marks are set in."""
    along = face[308, :2] - face[78, :2]
    scale, angle = 1100 / np.linalg.norm(along), np.arctan2(along[1], along[0])
    turn = scale * np.array([[np.cos(angle), np.sin(angle)], [-np.sin(angle), np.cos(angle)]])
    shift = np.array([600, 230]) - turn @ (face[13, :2] + face[14, :2]) / 2
    return np.c_[turn, shift]


def points(mark: dict) -> np.ndarray:
    """The marks of one mouth as points [18 + 16 + 8, 2]: gaps (gum, edge), edges, gums, crowns' middles."""
    gaps = np.array(mark["gaps"], float)
    top, bottom = gaps[:, :2], gaps[:, 2:]
    xe, xg = (bottom[1:, 0] + bottom[:-1, 0]) / 2, (top[1:, 0] + top[:-1, 0]) / 2
    edge, gum = np.c_[xe, mark["edges"]], np.c_[xg, mark["gums"]]
    return np.concatenate([top, bottom, edge, gum, 0.5 * (edge + gum)])


FLATTER = 0.75  # of how far the edges rise towards the sides: what is left is the cameras'
RUNS = ((0, 9), (9, 9), (18, 8), (26, 8), (34, 8))  # of `points`: first, count
ORDER = np.concatenate([first + np.arange(count)[::-1] for first, count in RUNS])


def mirrored(p: np.ndarray, middle: float = 0.0) -> np.ndarray:
    return p[ORDER] * [-1, 1] + [2 * middle, 0]


def mean_arch(marks: list[np.ndarray], gum_seen: list[bool]) -> np.ndarray:
    """The mean of all mouths' points, symmetric, in atlas pixels."""
    unit = []
    for p in marks:
        width = (p[14, 0] - p[12, 0]) / 2  # of a central incisor
        unit.append((p - [p[13, 0], p[21:23, 1].mean()]) / width * 8.8)
    mean = np.mean(unit, 0)
    seen = np.mean([p for p, s in zip(unit, gum_seen, strict=True) if s], 0)
    mean[26:34], mean[34:42] = seen[26:34], 0.5 * (mean[18:26] + seen[26:34])
    mean = 0.5 * (mean + mirrored(mean))
    edges = np.r_[9:18, 18:26]
    mean[edges, 1] *= FLATTER
    return mean * PX + [WIDTH / 2, ABOVE * PX]


def frame(arch: np.ndarray, scale: float = 1.0) -> np.ndarray:
    """The arch with far points that keep the warp steady outside of it."""
    up, aside = np.array([0, 65 * scale]), np.array([90 * scale, 0])
    far = arch[18:26] + up, arch[26:34] - up, arch[[8, 17]] + aside, arch[[0, 9]] - aside
    return np.concatenate([arch, *far])


def warp_to(arch: np.ndarray, mark: np.ndarray, image: np.ndarray, to_photo: np.ndarray) -> np.ndarray:
    """The photograph [H, W, c] on the atlas [HEIGHT, WIDTH, c]."""
    scale = (mark[14, 0] - mark[12, 0]) / (arch[14, 0] - arch[12, 0])
    warp = RBFInterpolator(frame(arch), frame(mark, scale), smoothing=2.0)
    rows, columns = np.mgrid[0:HEIGHT:5, 0:WIDTH:5]
    there = warp(np.c_[columns.ravel(), rows.ravel()]) @ to_photo[:, :2].T + to_photo[:, 2]
    there = cv2.resize(there.reshape(*rows.shape, 2).astype(np.float32), None, fx=5, fy=5)
    return cv2.remap(image, there, None, cv2.INTER_CUBIC, borderMode=cv2.BORDER_REPLICATE)
