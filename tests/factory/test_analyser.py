"""The analyser's stage on a few made-up faces: its points, its negatives, its mirror, and that it learns."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import torch

from factory.stages.analyser import AnalyserStage, metric_correlations, points_around
from factory.training.augment import warp_points
from factory.training.negatives import cloth, misplaced, pretend
from mien.data.split import is_held_out
from mien.face import align
from mien.face.blendshapes import NAMES
from mien.face.landmarks import lms_ratios
from mien.face.network import CROP, load_analyser
from mien.training.loop import make_rng
from mien.types import InputError

COUNT = 24


def mean_face() -> np.ndarray:
    """[478, 3] px of the crop: a symmetric scatter of points, the anchors and the mouth where they belong."""
    rng = np.random.default_rng(0)
    half = rng.uniform([18, 15, -10], [62, 120, 10], (239, 3))
    face = np.empty((478, 3))
    face[::2], face[1::2] = half, half * [-1, 1, 1] + [CROP, 0, 0]
    places = dict(zip(align.ANCHORS, align.ANCHOR_PLACES * CROP, strict=True))
    places |= {0: (64.0, 84.0), 17: (64.0, 100.0), 61: (48.0, 92.0), 291: (80.0, 92.0)}
    places |= {159: (41.0, 34.0), 145: (41.0, 43.0), 386: (87.0, 34.0), 374: (87.0, 43.0)}
    places |= {468: (38.0, 38.0), 473: (90.0, 38.0)}
    for index, (x, y) in places.items():
        face[index] = [x, y, 0]
    face[469], face[472] = [30, 60, 5], [98, 60, 5]  # whose mirror images the irises were
    return face


@pytest.fixture
def cache(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A prepared set of pictures that show their mean colour, and faces that open an eye with it."""
    rng = np.random.default_rng(1)
    bright = rng.uniform(0, 1, COUNT)
    landmarks = np.repeat(mean_face()[None], COUNT, 0).astype(np.float32)
    landmarks[:, 145, 1] += 6 * bright
    blendshapes = np.zeros((COUNT, 52), np.float32)
    blendshapes[:, NAMES.index("eyeBlinkLeft")] = bright
    crops = np.broadcast_to((40 + 170 * bright)[:, None, None, None], (COUNT, CROP, CROP, 3)).astype(np.uint8)
    np.save(tmp_path / "tiny.crops.npy", crops)
    np.savez(
        tmp_path / "tiny.table.npz",
        name=np.array([f"{i}.jpg" for i in range(COUNT)]),
        landmarks=landmarks,
        blendshapes=blendshapes,
        matrix=np.repeat(np.eye(4)[None], COUNT, 0),
        crop_matrix=np.repeat(np.eye(2, 3)[None], COUNT, 0),
        person=np.arange(COUNT),
        embedding=np.zeros((COUNT, 128)),
    )
    monkeypatch.setenv("MIEN_CACHE", str(tmp_path))
    return tmp_path


def stage(**arguments: object) -> AnalyserStage:
    return AnalyserStage({"tiny": 1.0}, widths=(8, 8, 16, 16), features=32, **arguments)  # type: ignore[arg-type]


def test_points_around_the_eye_and_the_mouth() -> None:
    mean = mean_face()
    eye, mouth = points_around(mean)
    assert {33, 133, 145, 159} <= set(eye) and {0, 17, 61, 291} <= set(mouth)
    assert not set(eye) & set(mouth)
    assert np.abs(mean[eye, 0] - 41).max() < 0.5 * 0.9 * 46 and mean[mouth, 1].min() > 50


def test_mirrored_faces_are_mirrored_whole(cache: Path) -> None:
    made = stage()
    batch = made._rows([(0, 0), (0, 1)])
    before = {key: value.clone() for key, value in batch.items()}
    made._flip(batch, torch.tensor([True, False]))
    left, right = NAMES.index("eyeBlinkLeft"), NAMES.index("eyeBlinkRight")
    assert batch["blendshapes"][0, right] == before["blendshapes"][0, left] > 0
    assert batch["blendshapes"][0, left] == 0
    # The eye that is open is the other one now, and the irises have changed places.
    ratios = [lms_ratios(side["landmarks"][0].numpy()) for side in (before, batch)]
    np.testing.assert_allclose(ratios[1][[2, 0, 4]], ratios[0][[0, 2, 4]], atol=1e-5)
    across = before["landmarks"][0, [473, 468]] * torch.tensor([-1.0, 1, 1]) + torch.tensor([CROP, 0, 0])
    torch.testing.assert_close(batch["landmarks"][0, [468, 473]], across)
    assert all(torch.equal(batch[key][1], before[key][1]) for key in before)


def test_negatives_show_no_whole_upright_face() -> None:
    face = torch.from_numpy(mean_face()).float()[None].repeat(64, 1, 1)
    matrices, lying = misplaced(64, CROP, make_rng(0, 0, 0))
    moved = warp_points(face, matrices)
    inside = ((moved[..., :2] > 0) & (moved[..., :2] < CROP)).all(-1).float().mean(1)
    assert 5 < lying.sum() < 35
    assert inside[~lying].max() < 0.8 and inside[lying].min() > 0.8
    turn = torch.rad2deg(torch.atan2(matrices[:, 1, 0], matrices[:, 0, 0])).abs()
    assert turn[lying].min() >= 75 - 1e-3 and turn[~lying].max() < 1e-3


def test_pretended_faces_and_cloth_are_pictures() -> None:
    x = torch.linspace(-1, 1, CROP).expand(32, 3, CROP, CROP)
    made = pretend(x, make_rng(0, 0, 0))
    assert made.shape == x.shape and made.abs().max() <= 1 and torch.isfinite(made).all()
    assert (made - x).abs().mean(dim=(1, 2, 3)).min() > 0.05
    folds = cloth(16, 32, make_rng(0, 0, 1))
    assert folds.shape == (16, 3, 32, 32) and folds.abs().max() <= 1
    assert folds.std(dim=(2, 3)).amax(1).median() > 0.1
    # Two colours: every pixel lies between them.
    assert torch.linalg.matrix_rank((folds - folds[:, :, :1, :1])[0].flatten(1), atol=1e-4) == 1


def test_shares_of_a_batch(cache: Path) -> None:
    made = stage(rough=0.25, exact=0.5, negatives=0.25)
    batch = made.batch(64, make_rng(0, 0, 0))
    assert batch["face"].tolist() == [0.0] * 16 + [1.0] * 48
    assert 0.5 < batch["fine"].mean() < 0.95
    mean = torch.from_numpy(mean_face()).float()
    still = (batch["landmarks"][16:, 33] - mean[33]).norm(dim=1) < 0.2
    mirrored = (batch["landmarks"][16:, 33] - mean[33] * torch.tensor([1.0, 1, 1])).norm(dim=1) < 0.2
    assert 0.2 < (still | mirrored).float().mean() < 0.8


def test_a_few_steps_teach_it(cache: Path) -> None:
    made = stage(rough=0.0, exact=1.0, negatives=0.0)
    optimizer = torch.optim.AdamW(made.trainable(), 3e-3)
    losses = []
    for step in range(25):
        rng = make_rng(0, 0, step)
        loss, logs = made.step(made.batch(16, rng), rng)
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
        losses.append(logs["loss"])
    assert np.mean(losses[-5:]) < 0.7 * np.mean(losses[:5])
    assert {"ratios", "exp", "lms", "coarse"} <= set(logs)


def test_agreement_of_the_metrics_is_pearsons() -> None:
    generator = torch.Generator().manual_seed(0)
    landmarks = torch.from_numpy(mean_face()).float() + torch.rand(40, 478, 3, generator=generator)
    truth = {"landmarks": landmarks, "blendshapes": torch.rand(40, 52, generator=generator)}
    read = {"landmarks": landmarks * 2, "blendshapes": truth["blendshapes"] / 2 + 0.1}
    assert all(value == pytest.approx(1) for value in metric_correlations(read, truth).values())
    noise = {**read, "blendshapes": torch.rand(40, 52, generator=generator)}
    assert abs(metric_correlations(noise, truth)["Exp"]) < 0.3


def test_goes_on_from_a_file(cache: Path, tmp_path: Path) -> None:
    first = stage()
    first.export(tmp_path)
    path = tmp_path / "analyser.safetensors"
    again = stage(init=str(path), emphasis={"lms": 9.0})
    x = torch.rand(2, 3, CROP, CROP)
    expected = load_analyser(path)(x)["blendshapes"]
    torch.testing.assert_close(again.model.eval()(x)["blendshapes"], expected)
    assert again.loss_weights["lms"] == 9.0 and again.loss_weights["pose"] == first.loss_weights["pose"]
    with pytest.raises(InputError, match="analyser.safetensors"):
        AnalyserStage({"tiny": 1.0}, widths=(8, 8, 16, 24), features=32, init=str(path))


def test_weights_keep_the_points_of_their_patches_on_other_data(cache: Path, tmp_path: Path) -> None:
    first = stage()
    first.export(tmp_path)
    table = dict(np.load(cache / "tiny.table.npz"))
    eye = first.model.config["eye_points"][0]
    table["landmarks"][:, [i for i in eye if i not in (33, 133, 145, 159)][:4], 1] += CROP  # out of its patch
    np.savez(cache / "tiny.table.npz", **table)
    assert stage().model.config["eye_points"] != first.model.config["eye_points"]
    again = stage(init=str(tmp_path / "analyser.safetensors"))
    assert again.model.config == first.model.config and torch.equal(again.refined, first.refined)


def test_held_out_pictures_are_never_drawn(cache: Path) -> None:
    made = stage()
    held = {i for i in range(COUNT) if is_held_out(f"{i}.jpg")}
    assert not held & set(made.rows[0].tolist()) and len(made.rows[0]) + len(held) == COUNT
