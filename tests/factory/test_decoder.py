"""The decoder's second half: what the terms measure, and what a step trains."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image, ImageFilter
from torch import Tensor
from torch.nn import functional as F

from factory.stages.autoencoder import AutoencoderStage
from factory.training.features import energy_distance, feature_distance, feature_maps, periodic_error
from mien import weights
from mien.diffusion.losses import identity_loss
from mien.encoders.identity import Recogniser, load_recogniser
from mien.face.blendshapes import INDEX
from mien.training.loop import make_rng
from mien.types import InputError
from mien.weights import SHIPPED_FOLDER


def pictures(n: int) -> Tensor:
    return torch.rand(n, 3, 128, 128, generator=torch.Generator().manual_seed(n)) * 2 - 1


def distance(recogniser: Recogniser, x: Tensor, y: Tensor) -> Tensor:
    return feature_distance(feature_maps(recogniser.trunk, torch.cat([x, y])))


def test_blur_is_a_distance_and_sameness_is_none() -> None:
    face = (
        Image.open(SHIPPED_FOLDER.parents[2] / "examples" / "identity.png").convert("RGB").resize((128, 128))
    )
    x, soft, softer = (
        torch.from_numpy(np.array(picture)).permute(2, 0, 1)[None] / 127.5 - 1
        for picture in (face, *(face.filter(ImageFilter.GaussianBlur(radius)) for radius in (1, 2)))
    )
    recogniser = load_recogniser(weights.path("recogniser"))
    assert distance(recogniser, x, x) == 0
    assert 0 < distance(recogniser, x, soft) < distance(recogniser, x, softer)
    y = soft.clone().requires_grad_()
    assert torch.autograd.grad(distance(recogniser, x, y), y)[0].abs().max() > 0


def test_the_distance_is_lpips_first_equation() -> None:
    """Against the sum of squared differences of unit features, written out over hooks on the recogniser."""
    torch.manual_seed(0)
    recogniser = Recogniser().eval()
    kept: dict[int, Tensor] = {}
    for layer in recogniser.trunk.layers:
        layer.register_forward_hook(lambda _, __, out: kept.__setitem__(out.shape[-1], out))
    x, y = pictures(1), pictures(2)[:1]
    total = 0.0
    maps = []
    for picture in (x, y):
        kept.clear()
        recogniser.trunk(picture)
        maps.append(dict(kept))
    for side in (32, 16, 8):
        a, b = (F.normalize(of[side], dim=1) for of in maps)
        total += (a - b).square().sum(1).mean()
    torch.testing.assert_close(distance(recogniser, x, y), total, rtol=1e-4, atol=1e-5)


def energy_by_loops(picture: np.ndarray, bands: int, windows: tuple[int, ...]) -> list[np.ndarray]:
    """Local root mean squares of each band and window, in float64, window by window."""
    found = []
    for band in range(bands):
        channels, height, width = picture.shape
        half = picture.reshape(channels, height // 2, 2, width // 2, 2).mean(axis=(2, 4))
        back = half
        for axis in (1, 2):  # linear interpolation between the halves' middles, the edge repeated
            n = back.shape[axis]
            place = np.clip((np.arange(2 * n) + 0.5) / 2 - 0.5, 0, n - 1)
            low = np.floor(place).astype(int)
            high, share = np.minimum(low + 1, n - 1), place - low
            share = share.reshape([-1 if a == axis else 1 for a in range(3)])
            back = back.take(low, axis) * (1 - share) + back.take(high, axis) * share
        detail = (picture - back) ** 2
        for window in windows:
            side = max(window >> band, 2)
            starts = range(0, height - side + 1, side // 2)
            found.append(
                np.sqrt(
                    1e-5
                    + np.array(
                        [
                            [detail[:, i : i + side, j : j + side].mean(axis=(1, 2)) for j in starts]
                            for i in starts
                        ]
                    )
                )
            )
        picture = half
    return found


def test_energy_by_loops() -> None:
    x, y = pictures(1)[:, :, :32, :32], pictures(2)[:1, :, :32, :32] * 0.3
    of_x, of_y = (energy_by_loops(p[0].double().numpy(), 3, (4, 16)) for p in (x, y))
    wanted = np.mean([np.abs(a - b).mean() for a, b in zip(of_x, of_y, strict=True)])
    assert energy_distance(x, y).item() == pytest.approx(wanted, rel=1e-5)
    assert energy_distance(x, x) == 0


def test_energy_sees_blur_and_not_which_noise_it_is() -> None:
    """Two fields of one noise are nearer by energy than by pixels; a smooth field of pixels' mean is not."""
    a, b = torch.randn(2, 1, 3, 128, 128, generator=torch.Generator().manual_seed(0)) * 0.3
    smooth = F.avg_pool2d(a, 5, 1, 2)
    assert energy_distance(a, b) < 0.3 * energy_distance(a, smooth)
    assert F.mse_loss(a, b) > F.mse_loss(a, smooth)


def test_a_pattern_is_found_and_noise_is_not() -> None:
    noise = torch.randn(4, 3, 128, 128, generator=torch.Generator().manual_seed(0)) * 0.1
    pattern = torch.randn(3, 4, 4, generator=torch.Generator().manual_seed(1)) * 0.01
    pattern = pattern - pattern.mean((1, 2), keepdim=True)
    x = torch.zeros_like(noise)
    assert periodic_error(x, noise + 0.3).item() == pytest.approx(0.01 * 16 / 128**2, rel=0.2)
    assert periodic_error(x, x + pattern.tile(32, 32)).item() == pytest.approx(
        pattern.square().mean().item(), rel=1e-4
    )


def test_open_mouths_are_drawn_as_often_as_said(prepared: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    table = dict(np.load(prepared / "noise.table.npz"))
    table["blendshapes"][::10, INDEX["jawOpen"]] = 0.6
    np.savez(prepared / "noise.table.npz", **table)
    monkeypatch.setattr("factory.stages.autoencoder.PHOTOGRAPHS", ("noise",))
    stage = AutoencoderStage(
        sources={"noise": 2.0}, emphasis=0.25, start=str(SHIPPED_FOLDER / "mini" / "vae")
    )
    assert stage.shares.tolist() == [1.5, 0.5]
    assert all(int(i) % 10 == 0 for i in stage.groups[1][1])
    assert stage.batch(3, make_rng(0, 0, 0))["x"].shape == (3, 3, 128, 128)


@pytest.fixture
def prepared(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A hundred noise pictures (one in twenty is held out) as a prepared set."""
    monkeypatch.setenv("MIEN_CACHE", str(tmp_path))
    n, rng = 100, np.random.default_rng(0)
    np.save(tmp_path / "noise.crops.npy", rng.integers(0, 256, (n, 128, 128, 3), dtype=np.uint8))
    np.savez(
        tmp_path / "noise.table.npz",
        name=np.array([f"{i}.jpg" for i in range(n)]),
        person=np.arange(n),
        landmarks=np.zeros((n, 478, 3), np.float32),
        blendshapes=np.zeros((n, 52), np.float32),
        matrix=np.zeros((n, 4, 4), np.float32),
        crop_matrix=np.zeros((n, 2, 3), np.float32),
        embedding=np.zeros((n, 128), np.float32),
    )
    return tmp_path


def test_a_step_trains_the_decoder_and_nothing_else(prepared: Path) -> None:
    mini = SHIPPED_FOLDER / "mini"
    stage = AutoencoderStage(
        sources=("noise",),
        start=str(mini / "vae"),
        recogniser=str(mini / "face" / "recogniser.safetensors"),
        energy_weight=1.0,
        periodic_weight=1.0,
        feature_weight=0.05,
        identity_weight=0.1,
    )
    assert stage.recogniser is not None
    frozen = [*stage.model.patch_encoder.parameters(), *stage.recogniser.parameters()]
    optimizer = torch.optim.Adam(list(stage.trainable()), 1e-3)
    named = {f"{m}.{n}": p for m, module in stage.modules().items() for n, p in module.named_parameters()}
    before = {name: p.detach().clone() for name, p in named.items()}
    rng = make_rng(0, 0, 0)
    loss, logs = stage.step(stage.batch(2, rng), rng)
    loss.backward()
    optimizer.step()
    assert {"l1", "gradient", "energy", "periodic", "features", "identity"} <= set(logs)
    assert all(p.grad is None for p in frozen)
    still = {name for name, p in named.items() if torch.equal(p, before[name])}
    assert still == {"vae.patch_encoder.weight", "vae.patch_encoder.bias"}


def test_the_recogniser_looks_once(prepared: Path) -> None:
    """Its maps and its embeddings come from one pass, and are what a pass for each gives."""
    mini = SHIPPED_FOLDER / "mini"
    stage = AutoencoderStage(
        sources=("noise",),
        start=str(mini / "vae"),
        recogniser=str(mini / "face" / "recogniser.safetensors"),
        feature_weight=0.05,
        identity_weight=0.1,
    )
    assert stage.recogniser is not None
    passes: list[Tensor] = []
    hook = stage.recogniser.trunk.layers[0].register_forward_hook(lambda _, __, out: passes.append(out))
    x = stage.batch(2, make_rng(0, 0, 0))["x"]
    _, logs = stage.step({"x": x}, make_rng(0, 0, 1))
    hook.remove()
    assert len(passes) == 1
    with torch.no_grad():
        y = stage.model.decode(stage.latents(x, make_rng(0, 0, 1))).sample
        of_y, of_x = stage.recogniser(torch.cat([y, x])).chunk(2)
        assert logs["features"] == pytest.approx(distance(stage.recogniser, y, x).item(), rel=1e-6)
    assert logs["identity"] == pytest.approx(identity_loss(of_y, of_x).item(), rel=1e-6)


def test_features_need_a_recogniser(prepared: Path) -> None:
    with pytest.raises(InputError, match="need recogniser=FILE"):
        AutoencoderStage(sources=("noise",), start=str(SHIPPED_FOLDER / "mini" / "vae"), feature_weight=0.1)
