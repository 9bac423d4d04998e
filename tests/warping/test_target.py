"""Readings and coefficients, on faces that answer by a rule that is known."""

from __future__ import annotations

import numpy as np
import pytest
import torch

from mien.face.blendshapes import INDEX, NAMES
from mien.types import FloatArray
from mien.warping.shapes import head
from mien.warping.target import (
    FARTHEST,
    LIMITS,
    REACH,
    REGIONS,
    Layers,
    Solver,
    at_rest,
    clipped,
    doubted,
    expressed,
    mask,
    reading,
    response,
    shown,
)

ALL = np.ones(57)


def wanting(**shapes: float) -> FloatArray:
    """A reading [57] at rest but for these blendshapes."""
    read = at_rest()
    for name, value in shapes.items():
        read[INDEX[name]] = value
    return read


def test_a_reading_has_no_unit_and_is_of_the_face_alone() -> None:
    landmarks = 40 * head()[0] * [1, -1, -1]
    read = reading(np.full(52, 0.2), landmarks)
    assert read.shape == (57,) and read.min() >= 0 and read[:52].max() <= 1
    for moved in (3 * landmarks, landmarks + [50, 20, 0]):
        np.testing.assert_allclose(reading(np.full(52, 0.2), moved), read)
    wider = landmarks.copy()
    wider[17, 1] += 9  # the lower lip falls
    assert reading(np.full(52, 0.2), wider)[56] > read[56]


def test_layers_are_what_torch_makes_of_the_same_weights() -> None:
    torch.manual_seed(0)
    net = torch.nn.Sequential(torch.nn.Linear(5, 7), torch.nn.SiLU(), torch.nn.Linear(7, 3))
    linear = [(part.weight.detach().numpy(), part.bias.detach().numpy()) for part in (net[0], net[2])]
    x, scale = np.linspace(-2, 2, 5), np.full(5, 0.5)
    ours = Layers(np.ones(5), scale, linear)(x)
    given = torch.from_numpy(np.clip((x - 1) / scale, -FARTHEST, FARTHEST)).float()
    np.testing.assert_allclose(ours, net(given).detach(), atol=1e-6)


def test_what_is_expressed_is_wiener_s_share_of_what_is_read() -> None:
    """d^2 / (d^2 + s^2) of a deviation d: none of rest, half of one spread, nearly all of ten, on both sides alike."""
    known = response()
    for times, share in ((0, 0), (1, 0.5), (3, 0.9), (10, 100 / 101), (-1, 0.5)):
        found = expressed(known.rest + times * known.spread)
        np.testing.assert_allclose(found, share * times * known.spread, atol=1e-6)
    np.testing.assert_allclose(expressed(known.rest + known.spread, doubt=3), 0.1 * known.spread, atol=1e-6)


def test_a_picture_is_believed_the_more_the_more_it_shows() -> None:
    """The same brow counts for little on a still face and for much beside a grin."""
    brow = INDEX["browDownLeft"]
    still = wanting(browDownLeft=at_rest()[brow] + response().spread[brow])
    grin = still.copy()
    grin[[INDEX[name] for name in ("mouthSmileLeft", "mouthSmileRight", "jawOpen")]] = 0.9
    step = response().spread[brow]
    assert expressed(still, doubted(still))[brow] < 0.4 * step
    assert expressed(grin, doubted(grin))[brow] > 0.7 * step


def test_wide_eyes_and_high_brows_of_a_still_face_are_the_person_s() -> None:
    """A word makes no eyes narrower that stand wide open at rest; brows count once the mouth shows surprise too."""
    brow, squint = INDEX["browInnerUp"], INDEX["eyeSquintLeft"]
    still = wanting(browInnerUp=0.7, eyeSquintLeft=0.05)
    asked = np.array([0.5 * name.startswith(("mouthSmile", "eyeSquint")) for name in NAMES])
    assert shown(still, asked)[squint] == 0 and shown(still, asked)[brow] < 0.05
    surprised = wanting(browInnerUp=0.7, jawOpen=0.6, eyeWideLeft=0.4, eyeWideRight=0.4)
    assert shown(surprised, asked)[brow] > 0.3 and shown(surprised, asked)[INDEX["jawOpen"]] > 0.4
    asked[brow] = 0.5
    assert shown(still, asked)[brow] > 0.3


def test_joy_makes_no_laugh_smaller_but_contentment_and_sadness_do() -> None:
    smiles, lips, jaw, frown = (
        [INDEX[name] for name in names]
        for names in (
            ("mouthSmileLeft", "mouthSmileRight"),
            ("mouthUpperUpLeft", "mouthUpperUpRight"),
            ("jawOpen",),
            ("mouthFrownLeft", "mouthFrownRight"),
        )
    )
    laugh = wanting()
    laugh[smiles], laugh[lips], laugh[jaw] = 0.95, 0.6, 0.2
    joy, contentment, sadness = np.zeros(52), np.zeros(52), np.zeros(52)
    joy[smiles], joy[lips] = 0.9, 0.15
    contentment[smiles] = 0.3
    sadness[frown] = 0.5
    goes = shown(laugh, joy)
    assert (
        (goes[lips] <= joy[lips] + 1e-6).all()
        and (goes[smiles] <= joy[smiles] + 1e-6).all()
        and goes[jaw] < 0.02
    )
    for other in (contentment, sadness, np.zeros(52)):
        assert shown(laugh, other)[lips + smiles].min() > 0.4
    smile = wanting()
    smile[smiles] = 0.8
    contentment[INDEX["eyeLookUpLeft"]] = joy[INDEX["eyeLookUpLeft"]] = -0.1
    assert shown(smile, contentment)[smiles].min() > 0.6, "half of a smile is asked for"
    assert shown(smile, joy)[INDEX["eyeLookUpLeft"]] == 0, "and what is asked for less of goes"


def test_regions_share_no_reading_and_together_are_all() -> None:
    parts = np.stack([mask(region) for region in REGIONS if region != "all"])
    assert parts.sum(0).max() == 1
    left_out = np.flatnonzero(mask("all") - parts.sum(0))
    assert [NAMES[k] for k in left_out] == ["_neutral"]
    for region, name in (("eyes", "eyeBlinkLeft"), ("brows", "browInnerUp"), ("mouth", "jawOpen")):
        assert mask(region)[INDEX[name]] == 1
    assert mask("mouth")[52:].tolist() == [0, 0, 0, 0, 1] and mask("brows")[52:].sum() == 0


def test_a_face_that_already_reads_so_does_not_change() -> None:
    own = wanting(mouthSmileLeft=0.6, jawOpen=0.2)
    solver = Solver(own, own, ALL)
    np.testing.assert_array_equal(solver.after, solver.before)
    assert solver.error(own) == 0
    solver.correct(own)
    np.testing.assert_array_equal(solver.after, solver.before)


def test_a_face_that_answers_by_other_slopes_is_brought_to_read_as_wanted() -> None:
    own, wanted = at_rest(), wanting(mouthSmileLeft=0.6, mouthSmileRight=0.6, browInnerUp=0.5, jawOpen=0.3)
    weight = np.r_[np.ones(52), np.zeros(5)]
    slopes = np.random.default_rng(0).uniform(0.85, 1.2, 52)
    solver = Solver(own, wanted, weight)

    def face() -> FloatArray:
        return np.r_[own[:52] + slopes * (solver.after - solver.before), own[52:]]

    errors = [solver.error(own), solver.error(face())]
    for _ in range(2):
        solver.correct(face())
        errors.append(solver.error(face()))
    assert errors[1] < 0.25 * errors[0] and errors[2] < 0.3 * errors[1] and errors[3] < 0.3 * errors[2]


def test_a_deaf_face_is_not_driven_beyond_reach() -> None:
    solver = Solver(at_rest(), wanting(mouthSmileLeft=0.4), ALL)
    first = solver.after.copy()
    for _ in range(20):
        solver.correct(at_rest())
    assert np.abs(solver.after - first).max() <= REACH + 1e-12
    assert solver.after[INDEX["mouthSmileLeft"]] == pytest.approx(first[INDEX["mouthSmileLeft"]] + REACH)


@pytest.mark.parametrize("region", ["eyes", "brows", "mouth"])
def test_a_region_leaves_the_rest_of_the_face_where_it_is(region: str) -> None:
    wanted = wanting(eyeBlinkLeft=0.9, browInnerUp=0.7, jawOpen=0.5)
    solver = Solver(at_rest(), wanted, mask(region))
    apart = mask(region)[:52] == 0
    np.testing.assert_array_equal(solver.after[apart], solver.before[apart])
    assert np.abs(solver.after - solver.before).max() > 0.3


def test_coefficients_stay_where_faces_look_like_faces() -> None:
    assert clipped(np.full(52, 9.0))[[INDEX[name] for name in LIMITS]].tolist() == list(LIMITS.values())
    others = [index for index, name in enumerate(NAMES) if name not in LIMITS]
    assert clipped(np.full(52, 9.0))[others].max() == 1 and clipped(np.full(52, -9.0)).min() >= -0.2
    solver = Solver(at_rest(), wanting(jawOpen=1.0, mouthRollLower=1.0), ALL)
    solver.correct(at_rest())
    np.testing.assert_array_equal(clipped(solver.after), solver.after)
