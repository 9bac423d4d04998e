import numpy as np
import pytest

from mien.face import align, pose


def _axis(degrees: float, axis: str) -> np.ndarray:
    c, s = np.cos(np.deg2rad(degrees)), np.sin(np.deg2rad(degrees))
    return {
        "x": np.array([[1, 0, 0], [0, c, -s], [0, s, c]]),
        "y": np.array([[c, 0, s], [0, 1, 0], [-s, 0, c]]),
        "z": np.array([[c, -s, 0], [s, c, 0], [0, 0, 1]]),
    }[axis]


def test_signs() -> None:
    nose, crown = np.array([0, 0, 1.0]), np.array([0, 1.0, 0])
    assert (pose.rotation([30, 0, 0]) @ nose)[0] > 0.4  # to the image's right
    assert (pose.rotation([0, 30, 0]) @ nose)[1] > 0.4  # up
    assert (pose.rotation([0, 0, 30]) @ crown)[0] > 0.4  # the crown moves right: clockwise


def test_is_the_documented_product() -> None:
    expected = _axis(-12, "z") @ _axis(25, "y") @ _axis(8, "x")
    np.testing.assert_allclose(pose.rotation([25, -8, 12]), expected, atol=1e-12)


def test_round_trip() -> None:
    rng = np.random.default_rng(0)
    given = rng.uniform([-89, -89, -179], [89, 89, 179], size=(500, 3))
    np.testing.assert_allclose(pose.angles(pose.rotation(given)), given, atol=1e-9)


@pytest.mark.parametrize("yaw", [90.0, -90.0])
def test_pole_keeps_the_rotation(yaw: float) -> None:
    matrix = pose.rotation([yaw, 20, 35])
    found = pose.angles(matrix)
    assert found[2] == 0
    np.testing.assert_allclose(pose.rotation(found), matrix, atol=1e-9)


def test_scale_is_removed_and_reflections_raise() -> None:
    matrix = pose.rotation([10, 5, -20])
    np.testing.assert_allclose(pose.angles(matrix * 7.5), [10, 5, -20], atol=1e-9)
    with pytest.raises(ValueError, match="reflection"):
        pose.angles(np.diag([1.0, 1.0, -1.0]))
    with pytest.raises(ValueError, match="finite"):
        pose.angles(np.full((3, 3), np.nan))


def test_tilt_of_a_crop() -> None:
    # A crop that undoes a 25 degree clockwise tilt turns the photo by -25.
    matrix = align.box_matrix(np.array([10, 20, 110, 120]), angle=25.0)
    assert pose.tilt(matrix) == pytest.approx(-25.0)


def test_turning_the_image_adds_to_roll() -> None:
    turned = _axis(-40, "z") @ pose.rotation([25, -8, 12])
    np.testing.assert_allclose(pose.angles(turned), [25, -8, 52], atol=1e-9)


def test_difference_goes_the_short_way() -> None:
    np.testing.assert_allclose(pose.difference([179.0, 0, 10], [-179.0, 5, -10]), [2, 5, 20])
