"""Shapes against what is known of heads: anatomy, symmetry, units, and that a face turned in its photo moves turned."""

from __future__ import annotations

import numpy as np
import pytest

from mien.face.blendshapes import FLIP, INDEX, NAMES
from mien.face.pose import rotation
from mien.types import FloatArray
from mien.warping import mesh
from mien.warping.shapes import MOST_TURN, head, moved, pose_of

# Rows of landmarks from one side to the other, and the row that each becomes in a mirror.
ROWS = (
    (mesh.RIGHT_UPPER_LID, mesh.LEFT_UPPER_LID[::-1]),
    (mesh.RIGHT_LOWER_LID, mesh.LEFT_LOWER_LID[::-1]),
    (mesh.RIGHT_ABOVE, mesh.LEFT_ABOVE[::-1]),
    (mesh.UPPER_LIP, mesh.UPPER_LIP[::-1]),
    (mesh.LOWER_LIP, mesh.LOWER_LIP[::-1]),
    (mesh.OUTER_UPPER_LIP, mesh.OUTER_UPPER_LIP[::-1]),
    (mesh.OUTER_LOWER_LIP, mesh.OUTER_LOWER_LIP[::-1]),
    (mesh.OVAL, mesh.OVAL[:1] + mesh.OVAL[:0:-1]),
    (mesh.RIGHT_IRIS[:1], mesh.LEFT_IRIS[:1]),
)
CHIN, RIGHT_CORNER, LEFT_CORNER, RIGHT_IRIS, LEFT_IRIS, RIGHT_LID, LEFT_LID = 152, 61, 291, 468, 473, 159, 386
# What the name says: blendshape, landmark, axis (x to the subject's left, y up, z to the viewer), direction.
SAID = (
    ("jawOpen", CHIN, 1, -1), ("jawLeft", CHIN, 0, 1), ("jawRight", CHIN, 0, -1), ("jawForward", CHIN, 2, 1),
    ("mouthSmileLeft", LEFT_CORNER, 1, 1), ("mouthSmileLeft", LEFT_CORNER, 0, 1),
    ("mouthFrownRight", RIGHT_CORNER, 1, -1), ("mouthPucker", RIGHT_CORNER, 0, 1),
    ("mouthUpperUpLeft", 270, 1, 1), ("mouthLowerDownRight", 87, 1, -1), ("mouthLeft", 0, 0, 1),
    ("browInnerUp", 107, 1, 1), ("browDownLeft", 334, 1, -1), ("browOuterUpRight", 63, 1, 1),
    ("eyeBlinkLeft", LEFT_LID, 1, -1), ("eyeWideRight", RIGHT_LID, 1, 1), ("eyeSquintLeft", 374, 1, 1),
    ("eyeLookUpLeft", LEFT_IRIS, 1, 1), ("eyeLookDownRight", RIGHT_IRIS, 1, -1),
    ("eyeLookInLeft", LEFT_IRIS, 0, -1), ("eyeLookOutRight", RIGHT_IRIS, 0, -1), ("cheekPuff", 425, 2, 1),
)  # fmt: skip


def photographed(turn: FloatArray, scale: float = 30.0) -> FloatArray:
    """The resting head's landmarks [478, 3] px in a photo, `scale` px a cm, seen turned by `turn` [3, 3]."""
    return scale * head()[0] * [1, -1, -1] @ turn.T + [300, 320, 0]


def test_the_head_is_measured_in_centimetres() -> None:
    """Adults' pupils are 5.4 to 7.4 cm apart (Dodgson 2004), and jaws open by 4 to 6 at the teeth, less at the chin."""
    neutral, offsets = head()
    assert 5.4 < np.linalg.norm(neutral[LEFT_IRIS] - neutral[RIGHT_IRIS]) < 7.4
    assert 2 < np.linalg.norm(offsets[INDEX["jawOpen"], CHIN]) < 6
    assert np.linalg.norm(offsets, axis=2).max() < 6 and np.abs(offsets[INDEX["_neutral"]]).max() < 1e-4


def test_one_side_moves_as_the_other_does_in_a_mirror() -> None:
    neutral, offsets = head()
    one, other = (np.concatenate([list(row[side]) for row in ROWS]) for side in (0, 1))
    mirror = np.array([-1, 1, 1])
    np.testing.assert_allclose(neutral[other] * mirror, neutral[one], atol=0.15)
    np.testing.assert_allclose(offsets[list(FLIP)][:, other] * mirror, offsets[:, one], atol=0.2)


@pytest.mark.parametrize(("name", "landmark", "axis", "way"), SAID)
def test_a_blendshape_does_what_its_name_says(name: str, landmark: int, axis: int, way: int) -> None:
    assert way * head()[1][INDEX[name], landmark, axis] > 0.1  # cm


def test_a_pose_is_found_again() -> None:
    turn = rotation(np.array([20.0, -10.0, 15.0]))
    pose = pose_of(photographed(turn, 30.0))
    assert pose.scale == pytest.approx(30)
    np.testing.assert_allclose(pose.to_photo(np.array([0.0, 1.0, 0.0])), -30 * turn[:, 1], atol=1e-6)


def test_a_face_that_is_tilted_larger_and_elsewhere_moves_so() -> None:
    rng = np.random.default_rng(0)
    before, after = rng.uniform(0, 0.3, 52), rng.uniform(0, 0.8, 52)
    plain = photographed(np.eye(3))
    tilt = rotation(np.array([0.0, 0.0, 40.0]))
    np.testing.assert_allclose(
        moved(1.5 * plain @ tilt.T + [70, -20, 0], before, after),
        1.5 * moved(plain, before, after) @ tilt.T + [70, -20, 0],
        atol=1e-6,
    )


def test_no_change_moves_nothing_and_gaze_moves_irises_alone() -> None:
    plain, rest = photographed(np.eye(3)), np.zeros(52)
    for already in (0.0, 0.3, 0.9):  # also of a face that squints
        np.testing.assert_allclose(moved(plain, rest + already, rest + already), plain, atol=1e-6)
    aside = np.isin(NAMES, ("eyeLookInLeft", "eyeLookOutRight")) * 1.0
    shift = moved(plain, rest, aside) - plain
    assert shift[[RIGHT_IRIS, LEFT_IRIS], 0].max() < -10 and np.abs(shift[:468]).max() < 10


@pytest.mark.parametrize("asked", [8.0, 60.0])
def test_a_head_turns_by_what_is_asked_and_no_further(asked: float) -> None:
    plain = photographed(np.eye(3))
    turned = moved(plain, np.zeros(52), np.zeros(52), np.array([asked, 0.0, 0.0]))
    axes = np.diag([1.0, -1.0, -1.0])
    expected = axes @ rotation(np.array([min(asked, MOST_TURN), 0.0, 0.0]))
    np.testing.assert_allclose(pose_of(turned).turn, expected, atol=1e-6)
    across = np.linalg.norm(turned[LEFT_IRIS] - turned[RIGHT_IRIS])
    assert across == pytest.approx(np.linalg.norm(plain[LEFT_IRIS] - plain[RIGHT_IRIS]))


def _openings(before: FloatArray, after: FloatArray) -> FloatArray:
    """Of the right and the left eye, after over before."""
    pairs = (RIGHT_LID, 145), (LEFT_LID, 374)
    return np.array(
        [np.linalg.norm(after[a] - after[b]) / np.linalg.norm(before[a] - before[b]) for a, b in pairs]
    )


@pytest.mark.parametrize(("right", "left"), [(0.5, 0.6), (0.2, 0.2), (0.0, 1.0)])
def test_eyes_close_alike_unless_one_winks_and_keep_their_lids_curves(right: float, left: float) -> None:
    landmarks, after = photographed(np.eye(3)), np.zeros(52)
    after[[INDEX["eyeBlinkRight"], INDEX["eyeBlinkLeft"]]] = right, left
    there = moved(landmarks, np.zeros(52), after)
    openings = _openings(landmarks, there)
    if left - right < 0.2:
        assert openings[0] == pytest.approx(openings[1], abs=1e-6)
        assert 0.2 < openings[0] < 1
    else:
        assert openings[0] > 0.95 and openings[1] < 1e-6
    for upper, lower in (
        (mesh.RIGHT_UPPER_LID, mesh.RIGHT_LOWER_LID),
        (mesh.LEFT_UPPER_LID, mesh.LEFT_LOWER_LID),
    ):
        before, now = (p[list(lower)] - p[list(upper)] for p in (landmarks, there))
        ratio = np.linalg.norm(now[1:-1], axis=1) / np.linalg.norm(before[1:-1], axis=1)
        assert np.ptp(ratio) < 1e-6


def test_eyes_that_smile_narrow_from_below() -> None:
    landmarks = photographed(np.eye(3))
    strengths = {"eyeSquint": 0.3, "mouthSmile": 0.9}
    smile = np.array([strengths.get(n.removesuffix("Left").removesuffix("Right"), 0.0) for n in NAMES])
    moves = moved(landmarks, np.zeros(52), smile)[:, 1] - landmarks[:, 1]
    corner = moves[[mesh.LEFT_UPPER_LID[0], mesh.LEFT_UPPER_LID[-1]]].mean()
    falls, rises = moves[LEFT_LID] - corner, corner - moves[374]
    opening = landmarks[374, 1] - landmarks[LEFT_LID, 1]
    assert 0.05 * opening < rises < 0.3 * opening and falls < rises / 2


@pytest.mark.parametrize("yaw", (-32.0, 32.0))
def test_a_smile_leaves_the_far_outline_of_a_turned_head(yaw: float) -> None:
    """Behind it lies what the photo does not show; the near cheek and the far corner of the mouth move on."""
    landmarks = photographed(rotation(np.array([yaw, 0, 0])))
    far, near = (411, 187) if landmarks[411, 2] > landmarks[187, 2] else (187, 411)
    corner = {411: LEFT_CORNER, 187: RIGHT_CORNER}[far]
    after = np.zeros(52)
    after[[INDEX["mouthSmileLeft"], INDEX["mouthSmileRight"]]] = 1
    gone = np.linalg.norm((moved(landmarks, np.zeros(52), after) - landmarks)[:, :2], axis=1)
    straight = photographed(np.eye(3))
    usual = np.linalg.norm((moved(straight, np.zeros(52), after) - straight)[:, :2], axis=1)
    assert gone[far] < 0.3 * usual[far]
    assert gone[near] > 0.7 * usual[near] and gone[corner] > 0.4 * usual[corner]


def test_the_skin_beside_the_corner_of_an_eye_stays_with_it() -> None:
    landmarks = photographed(np.eye(3))
    after = np.zeros(52)
    after[INDEX["eyeBlinkRight"]] = 1
    width = np.linalg.norm(landmarks[33, :2] - landmarks[133, :2])
    gone = (moved(landmarks, np.zeros(52), after) - landmarks)[:, :2] / width
    assert np.linalg.norm(gone[130] - gone[33]) < 0.03


def test_an_eye_closes_to_its_half_and_then_at_once() -> None:
    """Slits of dark irises are black bars: of a lid that falls evenly, few steps leave less than half and more than a
    line of the eye."""
    landmarks = head()[0] * [20, -20, -20] + [400, 400, 0]
    openings = []
    for much in np.linspace(0, 1, 41):
        after = np.where([name.startswith("eyeBlink") for name in NAMES], much, 0.0)
        went = moved(landmarks, np.zeros(52), after)
        openings.append(float(np.linalg.norm(went[386, :2] - went[374, :2])))
    kept = np.array(openings) / openings[0]
    assert (np.diff(kept) <= 1e-9).all()
    assert kept[-1] < 0.02
    assert ((kept > 0.05) & (kept < 0.45)).sum() <= 5
    assert 0.4 < kept[20] < 0.55


def test_a_mouth_that_hardly_stirs_hardly_moves() -> None:
    """However little is asked, lips are not rounded off at once."""
    landmarks = head()[0] * [20, -20, -20] + [400, 400, 0]
    landmarks[[81, 82, 13, 312, 311], 1] -= 40
    after = np.zeros(52)
    after[INDEX["jawOpen"]] = 1e-4
    assert np.abs(moved(landmarks, np.zeros(52), after) - landmarks).max() < 0.5


def test_brows_that_frown_slant() -> None:
    """Their inner ends go down about as far as their middles, as in films; the model's go by 0.6 of that."""
    landmarks = head()[0] * [20, -20, -20] + [400, 400, 0]
    after = np.where([name.startswith("browDown") for name in NAMES], 0.9, 0.0)
    fell = (moved(landmarks, np.zeros(52), after) - landmarks)[:, 1]
    assert fell[[55, 285]].mean() > 0.75 * fell[[52, 282]].mean() > 0


@pytest.mark.parametrize("way", ["Up", "Down"])
def test_skin_just_below_brows_goes_with_them_for_their_hair_may_reach_there(way: str) -> None:
    landmarks = head()[0] * [20, -20, -20] + [400, 400, 0]
    after = np.where([name.startswith("brow") and way in name for name in NAMES], 0.8, 0.0)
    target = moved(landmarks, np.zeros(52), after)
    gaps = [points[[223, 222, 443, 442], 1] - points[[52, 65, 282, 295], 1] for points in (landmarks, target)]
    assert np.abs(target - landmarks)[[52, 65, 282, 295], 1].min() > 8
    assert np.abs(gaps[1] / gaps[0] - 1).max() < 0.3
