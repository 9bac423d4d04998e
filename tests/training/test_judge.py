"""The crop that a judge sees is the one that every encoder sees, and gradients pass."""

from __future__ import annotations

import numpy as np
import pytest
import torch

from mien.face.align import warp
from mien.pixels import to_pixels
from mien.training.judge import FaceJudge, canonical


def smooth_picture(height: int, width: int) -> np.ndarray:
    y, x = np.mgrid[:height, :width]
    waves = [np.sin(x / 37) * np.cos(y / 23), np.cos(x / 51 + 1), np.sin((x + y) / 43)]
    return (127.5 + 110 * np.stack(waves, -1)).astype(np.uint8)


@pytest.mark.parametrize(("scale", "degrees"), [(1.0, 0.0), (0.31, 12.0), (0.5, -30.0), (1.4, 5.0)])
def test_canonical_is_the_warp_of_pictures(scale: float, degrees: float) -> None:
    picture = smooth_picture(420, 360)
    angle = np.deg2rad(degrees)
    linear = scale * np.array([[np.cos(angle), -np.sin(angle)], [np.sin(angle), np.cos(angle)]])
    matrix = np.concatenate([linear, (np.array([64.0, 64]) - linear @ np.array([180.0, 210]))[:, None]], 1)
    found = canonical(to_pixels(picture[None]), torch.from_numpy(matrix)[None].float())
    expected = to_pixels(warp(picture, matrix)[None])
    assert (found - expected).abs().mean() < 0.01
    assert (found - expected).abs().max() < 0.12


def test_places_are_exact_in_a_step_of_mixed_precision() -> None:
    x, matrix = (
        to_pixels(smooth_picture(512, 512)[None]),
        torch.tensor([[[0.31, 0.02, -17.3], [-0.02, 0.31, -9.1]]]),
    )
    with torch.autocast("cpu", torch.bfloat16):
        found = canonical(x, matrix)
    torch.testing.assert_close(found, canonical(x, matrix))


def test_crops_of_another_size_are_resized() -> None:
    x = to_pixels(smooth_picture(256, 256)[None])
    assert canonical(x, None).shape == (1, 3, 128, 128)
    crop = to_pixels(smooth_picture(128, 128)[None])
    assert canonical(crop, None) is crop


def test_gradients_reach_the_picture_through_both_judges() -> None:
    judge = FaceJudge()
    x = to_pixels(smooth_picture(300, 300)[None]).requires_grad_(True)
    crops = canonical(x, torch.tensor([[[0.5, 0, -10], [0, 0.5, -10]]]))
    who, what = judge.identity(crops), judge.expression(crops)
    assert who.shape == (1, 128) and what.shape == (1, 57)
    assert float(what[:, :52].min()) >= 0 and float(what[:, :52].max()) <= 1
    for number in (who.square().sum(), what.sum()):
        (gradient,) = torch.autograd.grad(number, x, retain_graph=True)
        assert torch.isfinite(gradient).all() and gradient.abs().max() > 0
    assert not any(p.requires_grad for net in (judge.analyser, judge.recogniser) for p in net.parameters())
