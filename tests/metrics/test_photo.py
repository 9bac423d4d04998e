"""Against SciPy and plain transcriptions of the equations, on a head at rest and textures of noise."""

from __future__ import annotations

import cv2
import numpy as np
import pytest
from scipy import ndimage
from scipy.spatial import Delaunay

from mien.metrics import photo
from mien.types import ByteImage, FloatArray
from mien.warping.mesh import OVAL
from mien.warping.shapes import head

SIDE = 320


@pytest.fixture(scope="module")
def landmarks() -> FloatArray:
    """[478, 2] px of a frontal head, where `aligned` would lay it."""
    points = head()[0][:, :2] * [1, -1]
    points = (points - points[168]) * (110 / np.linalg.norm(points[33] - points[263]))
    return points + [SIDE / 2, 0.36 * SIDE]


def texture(seed: int, soft: float = 3.0) -> ByteImage:
    """[SIDE, SIDE, 3] of smoothed noise."""
    noise = np.random.default_rng(seed).normal(size=(SIDE, SIDE, 3))
    smooth = ndimage.gaussian_filter(noise, (soft, soft, 0))
    return np.clip(128 + 40 * smooth / smooth.std(), 0, 255).astype(np.uint8)


def oval(landmarks: FloatArray) -> FloatArray:
    """[SIDE, SIDE] bool: well inside of the face."""
    rows, columns = np.mgrid[:SIDE, :SIDE]
    inside = Delaunay(landmarks[list(OVAL)]).find_simplex(np.stack([columns, rows], -1)) >= 0
    return ndimage.binary_erosion(inside, np.ones((9, 9)))


def grey(image: ByteImage, face: FloatArray) -> FloatArray:
    y = np.round(image @ np.array([0.299, 0.587, 0.114]))
    return (y - y[face].mean()) / y[face].std()


def test_the_gain_is_the_equations(landmarks: FloatArray) -> None:
    face = oval(landmarks)
    pictures = [texture(seed) for seed in range(3)]
    r, p, t = (ndimage.gaussian_filter(grey(one, face), 2, mode="mirror") for one in pictures)
    wanted = 1 - np.abs(r - t)[face].mean() / np.abs(p - t)[face].mean()
    assert photo.gain(*((one, landmarks) for one in pictures)) == pytest.approx(wanted, abs=5e-3)


def test_the_gain_of_the_truth_is_one_and_of_the_photo_none(landmarks: FloatArray) -> None:
    before, truth = (texture(1), landmarks), (texture(2), landmarks)
    assert photo.gain(truth, before, truth) == pytest.approx(1)
    assert photo.gain(before, before, truth) == pytest.approx(0)
    assert np.isnan(photo.gain(truth, truth, truth))


def test_the_gain_sees_neither_light_nor_place(landmarks: FloatArray) -> None:
    before, truth, result = texture(1), texture(2), texture(3)
    wanted = photo.gain((result, landmarks), (before, landmarks), (truth, landmarks))
    darker = np.round(0.7 * result.astype(float) + 20).astype(np.uint8)
    shifted = np.roll(darker, (6, -9), (0, 1)), landmarks + [-9, 6]
    assert photo.gain(shifted, (before, landmarks), (truth, landmarks)) == pytest.approx(wanted, abs=0.02)


def test_detail_is_the_equations(landmarks: FloatArray) -> None:
    face = oval(landmarks)
    sharp, soft = texture(1, soft=1), texture(2, soft=2)
    ours = photo.detail((soft, landmarks), (sharp, landmarks))
    fine = [np.abs(ndimage.laplace(grey(one, face), mode="mirror"))[face].mean() for one in (soft, sharp)]
    assert ours == pytest.approx(fine[0] / fine[1], rel=0.01)
    assert photo.detail((sharp, landmarks), (sharp, landmarks)) == pytest.approx(1)


def test_what_cannot_be_aligned_is_said() -> None:
    with pytest.raises(ValueError, match="eyes coincide"):
        photo.aligned((texture(1), np.full((478, 2), 9.0)))


def test_a_patch_that_was_laid_on_has_a_seam() -> None:
    before = np.full((64, 64, 3), 100, np.uint8)
    patch = before.copy()
    patch[20:40, 20:40] += 7
    assert photo.seam(patch, before) == pytest.approx(7)
    feathered = before.astype(float)
    feathered[10:50, 10:50] += np.minimum.outer(*2 * [np.minimum(np.arange(1, 41), np.arange(40, 0, -1))])[
        ..., None
    ]
    assert photo.seam(feathered.astype(np.uint8), before) == pytest.approx(1)


def test_a_step_that_the_photo_has_is_no_seam() -> None:
    before = np.full((64, 64, 3), 60, np.uint8)
    before[:, 32:] = 160
    lower, higher = before.copy(), before.copy()
    lower[:, 32:] -= 30
    higher[:, 32:] += 30
    assert photo.seam(lower, before) == 0
    higher[:, 32:] += 20
    assert photo.seam(higher, before) == pytest.approx(50)


def test_an_edge_of_the_photo_that_moved_is_no_seam() -> None:
    """As a cut-out on white has one, or a turned picture's corner."""
    before = np.full((64, 64, 3), 255, np.uint8)
    before[:, :32] = 90
    y, x = np.mgrid[0:64, 0:64].astype(np.float32)
    moved = x - 3 * np.clip(1 - np.hypot(x - 32, y - 32) / 20, 0, None)
    result = cv2.remap(before, moved.astype(np.float32), y, cv2.INTER_LINEAR)
    assert (result != before).any()
    assert photo.seam(result, before) < 2


def test_nothing_changed_or_everything_has_no_border() -> None:
    before = texture(1)
    assert photo.seam(before, before) == 0
    assert photo.seam(255 - before // 2, before) == 0
    with pytest.raises(ValueError, match="one size"):
        photo.seam(before[:9], before)


def test_the_seam_is_the_equations() -> None:
    """On noise, window by window; a hole in the changed region is none of its border."""
    before = np.random.default_rng(0).integers(40, 60, (40, 40, 1), np.uint8).repeat(3, 2)
    result = before.copy()
    result[8:30, 10:28] += np.random.default_rng(1).integers(30, 90, (22, 18, 1), np.uint8)
    result[15, 15] = before[15, 15]
    changed = np.zeros((40, 40), bool)
    changed[8:30, 10:28] = True
    r, p = result[..., 0].astype(float), before[..., 0].astype(float)
    smooth = ndimage.median_filter(p, 5, mode="nearest")
    down, right = (np.abs(np.diff(smooth, axis=axis, append=0)) for axis in (0, 1))
    down[-1], right[:, -1] = 0, 0
    nearby = ndimage.maximum_filter(np.maximum(down, right), 3)
    found: dict[tuple[int, int], list[float]] = {}
    for y in range(39):
        for x in range(39):
            for y2, x2 in ((y, x + 1), (y + 1, x)):
                if changed[y, x] != changed[y2, x2]:
                    given = max(abs(p[y, x] - p[y2, x2]), nearby[y, x])
                    step = abs(r[y, x] - r[y2, x2]) - given
                    found.setdefault((y, x), []).append(step)
    means = []
    for y, x in found:
        near = [s for (b, a), steps in found.items() if abs(b - y) <= 4 and abs(a - x) <= 4 for s in steps]
        if len(near) >= 9:
            means.append(np.mean(near))
    assert photo.seam(result, before) == pytest.approx(max(means), rel=1e-4)


def lab(colour: tuple[int, int, int]) -> FloatArray:
    """CIE 1976 L*a*b* of an sRGB colour, D65 (IEC 61966-2-1)."""
    c = np.array(colour) / 255
    linear = np.where(c <= 0.04045, c / 12.92, ((c + 0.055) / 1.055) ** 2.4)
    matrix = np.array([[0.4124, 0.3576, 0.1805], [0.2126, 0.7152, 0.0722], [0.0193, 0.1192, 0.9505]])
    t = matrix @ linear / [0.9505, 1.0, 1.089]
    f = np.where(t > (6 / 29) ** 3, np.cbrt(t), t / 3 / (6 / 29) ** 2 + 4 / 29)
    return np.array([116 * f[1] - 16, 500 * (f[0] - f[1]), 200 * (f[1] - f[2])])


def test_colour_is_the_equations(landmarks: FloatArray) -> None:
    one, other = (200, 150, 130), (190, 140, 140)
    flat = [np.full((SIDE, SIDE, 3), value, np.uint8) for value in (one, other)]
    wanted = np.linalg.norm(lab(one) - lab(other))
    assert photo.colour((flat[0], landmarks), (flat[1], landmarks)) == pytest.approx(wanted, abs=0.001)


def test_lips_and_surroundings_have_no_colour_of_skin(landmarks: FloatArray) -> None:
    face = np.full((SIDE, SIDE, 3), (200, 150, 130), np.uint8)
    painted = face.copy()
    x, y = landmarks[14].astype(int)
    painted[y - 3 : y + 3, x - 10 : x + 10] = (200, 0, 0)
    painted[:20] = 0
    assert photo.colour((painted, landmarks), (face, landmarks)) == pytest.approx(0, abs=1e-4)
    with pytest.raises(ValueError, match="no skin"):
        photo.colour((face, landmarks - 1000), (face, landmarks))
