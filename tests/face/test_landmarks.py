from __future__ import annotations

import numpy as np
import pytest
import torch

from mien.face import landmarks as lm
from tests.face.faces import lms_ratios


def test_ratios_follow_the_equations() -> None:
    points = np.random.default_rng(0).uniform(0, 200, (3, 478, 3))
    got = lm.lms_ratios(points)
    assert got.shape == (3, 5)
    np.testing.assert_allclose(got, [lms_ratios(p) for p in points], rtol=1e-12)
    np.testing.assert_allclose(lm.lms_ratios_torch(torch.from_numpy(points)), got, rtol=1e-12)


def test_a_hand_made_face() -> None:
    points = np.zeros((478, 2))
    points[33], points[133], points[159], points[145], points[468] = (0, 0), (10, 0), (5, -2), (5, 2), (4, 0)
    points[362], points[263], points[386], points[374], points[473] = (
        (20, 0),
        (30, 0),
        (25, 0),
        (25, 0),
        (25, 0),
    )
    points[61], points[291], points[0], points[17] = (5, 20), (25, 20), (15, 15), (15, 30)
    np.testing.assert_allclose(lm.lms_ratios(points), [0.4, 0.6, 0.0, 0.5, 0.75])


def test_size_place_and_depth_do_not_matter() -> None:
    points = np.random.default_rng(1).uniform(0, 200, (478, 3))
    moved = points * [3, 3, -7] + [5, -9, 1]
    np.testing.assert_allclose(lm.lms_ratios(moved), lm.lms_ratios(points))


def test_coinciding_points_give_finite_values_and_gradients() -> None:
    points = torch.zeros(1, 478, 2, requires_grad=True)
    ratios = lm.lms_ratios_torch(points)
    ratios.sum().backward()
    assert points.grad is not None
    assert torch.isfinite(points.grad).all()
    assert (ratios == 0).all()
    assert (lm.lms_ratios(np.zeros((478, 3))) == 0).all()


def test_box_and_eye_distance() -> None:
    points = np.full((478, 3), 7.0)
    points[468, :2], points[473, :2] = (1, 2), (4, 6)
    assert lm.eye_distance(points) == pytest.approx(5.0)
    assert lm.bounding_box(points).tolist() == [1, 2, 7, 7]
