"""The detector's targets and loss, and that a few steps on a handful of pictures lower it."""

import numpy as np
import pytest
import torch

from factory.faces.composites import FacePile, compose
from factory.stages.detector import CELLS, DetectorStage, detector_loss, targets
from mien.face.detector import STRIDE, DetectorNet
from mien.pixels import to_pixels


def perfect(wanted: dict[str, torch.Tensor]) -> dict[str, torch.Tensor]:
    """An output that says what is wanted."""
    return {
        "score": torch.where(wanted["heat"] == 1, 12.0, -12.0),
        **{key: wanted[key].clone() for key in ("centre", "size", "angle")},
    }


def test_one_face_marks_its_cell() -> None:
    wanted = targets([[(101.0, 45.0, 40.0, 30.0)]])
    row, column = 45 // STRIDE, 101 // STRIDE
    assert (wanted["heat"] == 1).sum() == 1 and wanted["heat"][0, row, column] == 1
    assert wanted["near"][0, row, column] == 1 and 1 < wanted["near"].sum() < 12
    assert wanted["centre"][0, :, row, column].tolist() == [101, 45]
    assert wanted["size"][0, row, column] == 40
    np.testing.assert_allclose(wanted["angle"][0, :, row, column], [np.cos(np.pi / 6), 0.5], atol=1e-6)
    assert (wanted["weight"] == 1).all()


@pytest.mark.parametrize(("side", "asked", "ignored"), [(17.0, 0, True), (80.0, 0, True), (150.0, 0, False)])
def test_faces_of_other_levels(side: float, asked: int, ignored: bool) -> None:
    wanted = targets([[(96.0, 96.0, side, 0.0)]])
    assert wanted["near"].sum() == asked and (wanted["heat"] < 1).all()
    assert bool((wanted["weight"] == 0).any()) == ignored


def test_loss_of_a_perfect_answer_is_nothing() -> None:
    wanted = targets([[(101.0, 45.0, 40.0, 30.0), (30.0, 150.0, 25.0, -20.0)], []])
    loss, logs = detector_loss(perfect(wanted), wanted)
    assert float(loss) < 1e-3
    wrong = perfect(wanted)
    wrong["size"] = wrong["size"] * 2
    assert float(detector_loss(wrong, wanted)[0]) == pytest.approx(np.log(2), abs=1e-3)
    assert set(logs) == {"loss", "score", "centre", "size", "turn"}


def test_every_cell_knows_its_own_place() -> None:
    out = DetectorNet(width=8, dilations=(1,)).eval()(torch.zeros(1, 3, 64, 96))
    assert out["score"].shape == (1, 64 // STRIDE, 96 // STRIDE)
    grid = out["centre"][0]
    assert (
        abs(grid[0, 0, 5].item() - 5.5 * STRIDE) < STRIDE
        and abs(grid[1, 3, 0].item() - 3.5 * STRIDE) < STRIDE
    )


def test_a_few_steps_help() -> None:
    torch.manual_seed(0)
    rng = np.random.default_rng(0)
    face = rng.integers(0, 256, (12, 12, 3)).repeat(8, 0).repeat(8, 1).astype(np.uint8)
    pile = FacePile(
        face[None],
        np.array([[48.0, 48, 96, 0]]),
        np.zeros((1, 256, 256, 3), np.uint8) + 40,
        np.array([[128.0, 128, 120, 0]]),
        np.full((1, 256, 256, 3), 128, np.uint8),
    )
    canvases, faces = compose(pile, 4, seed=1)
    pixels, wanted = to_pixels(canvases), targets(faces)
    net = DetectorNet(width=8, dilations=(1,))
    optimizer = torch.optim.Adam(net.parameters(), 1e-2)
    losses = []
    for _ in range(12):
        loss, _ = detector_loss(net(pixels), wanted)
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
        losses.append(float(loss))
    assert losses[-1] < 0.6 * losses[0]
    assert pixels.shape[-1] == CELLS * STRIDE


def test_a_stage_begins_with_the_same_network_every_time(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("factory.stages.detector.FacePile.load", lambda *arguments: None)
    first = DetectorStage(width=8).net.state_dict()
    torch.rand(7)
    second = DetectorStage(width=8).net.state_dict()
    assert all(torch.equal(first[name], second[name]) for name in first)
