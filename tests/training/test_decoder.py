"""The decoder's second half: whose gradient goes where, what the terms measure, that a step trains both sides."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image, ImageFilter
from torch import Tensor
from torch.nn import functional as F

from mien import weights
from mien.encoders.identity import Recogniser, load_recogniser
from mien.training.adversary import Discriminator, contest
from mien.training.features import FeatureDistance
from mien.training.loop import make_rng
from mien.training.stages.autoencoder import AutoencoderStage
from mien.types import InputError
from mien.weights.registry import SHIPPED_FOLDER


def pictures(n: int) -> Tensor:
    return torch.rand(n, 3, 128, 128, generator=torch.Generator().manual_seed(n)) * 2 - 1


def test_each_side_has_its_own_gradient() -> None:
    torch.manual_seed(0)
    discriminator = Discriminator()
    real, fake = pictures(2), pictures(3)[:2].requires_grad_()
    parameters = list(discriminator.parameters())
    found = contest(discriminator, real, fake)
    assert all(
        g is None
        for g in torch.autograd.grad(found.generator, parameters, retain_graph=True, allow_unused=True)
    )
    assert torch.autograd.grad(found.adversary, [fake], retain_graph=True, allow_unused=True) == (None,)
    assert torch.autograd.grad(found.generator, fake, retain_graph=True)[0].abs().max() > 0
    kernels = [p for p in parameters if p.ndim == 4]  # the last bias moves both sides alike
    assert all(g.abs().max() > 0 for g in torch.autograd.grad(found.adversary, kernels))


def test_the_hinge_by_hand() -> None:
    torch.manual_seed(0)
    discriminator = Discriminator()
    real, fake = pictures(2), pictures(3)
    found = contest(discriminator, real[:2], fake[:2])
    on_real, on_fake = discriminator(real[:2]), discriminator(fake[:2])
    assert on_real.shape == (2, 1, 16, 16)
    wanted = 0.5 * ((1 - on_real).clamp(min=0).mean() + (1 + on_fake).clamp(min=0).mean())
    torch.testing.assert_close(found.adversary, wanted)
    torch.testing.assert_close(found.generator, -on_fake.mean())


def test_blur_is_a_distance_and_sameness_is_none() -> None:
    face = (
        Image.open(SHIPPED_FOLDER.parents[2] / "examples" / "identity.png").convert("RGB").resize((128, 128))
    )
    x, soft, softer = (
        torch.from_numpy(np.array(picture)).permute(2, 0, 1)[None] / 127.5 - 1
        for picture in (face, *(face.filter(ImageFilter.GaussianBlur(radius)) for radius in (1, 2)))
    )
    distance = FeatureDistance(load_recogniser(weights.path("recogniser")))
    assert distance(x, x) == 0
    assert 0 < distance(x, soft) < distance(x, softer)
    y = soft.clone().requires_grad_()
    assert torch.autograd.grad(distance(x, y), y)[0].abs().max() > 0


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
    torch.testing.assert_close(FeatureDistance(recogniser)(x, y), total, rtol=1e-4, atol=1e-5)


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


def test_a_step_trains_decoder_and_adversary_and_nothing_else(prepared: Path) -> None:
    mini = SHIPPED_FOLDER / "mini"
    stage = AutoencoderStage(
        sources=("noise",),
        start=str(mini / "vae"),
        base=str(mini),
        recogniser=str(mini / "face" / "recogniser.safetensors"),
        feature_weight=0.05,
        adversarial_weight=0.03,
    )
    assert set(stage.modules()) == {"vae", "discriminator"}
    assert stage.base is not None and stage.features is not None
    frozen = [
        *stage.model.patch_encoder.parameters(),
        *stage.base.unet.parameters(),
        *stage.features.parameters(),
    ]
    optimizer = torch.optim.Adam(list(stage.trainable()), 1e-3)
    named = {f"{m}.{n}": p for m, module in stage.modules().items() for n, p in module.named_parameters()}
    before = {name: p.detach().clone() for name, p in named.items()}
    rng = make_rng(0, 0, 0)
    loss, logs = stage.step(stage.batch(2, rng), rng)
    loss.backward()
    optimizer.step()
    assert {"l1", "gradient", "features", "generator", "adversary"} <= set(logs)
    assert all(p.grad is None for p in frozen)
    still = {name for name, p in named.items() if torch.equal(p, before[name])}
    assert still == {"vae.patch_encoder.weight", "vae.patch_encoder.bias"}


def test_estimates_stand_where_their_pictures_do(prepared: Path) -> None:
    """The first half of the latents is the base's, of the first half of the pictures: nearest to those."""
    mini = SHIPPED_FOLDER / "mini"
    stage = AutoencoderStage(
        sources=("noise",), start=str(mini / "vae"), base=str(mini), noise=0.0, estimate_until=20
    )
    x = pictures(4)
    z = stage.model.encode(x).latents
    found = stage.latents(x, make_rng(0, 0, 0))
    assert torch.equal(found[2:], z[2:])
    assert not torch.equal(found[:2], z[:2])
    assert torch.cdist(found.flatten(1), z.flatten(1)).argmin(1).tolist() == [0, 1, 2, 3]


def test_features_need_a_recogniser(prepared: Path) -> None:
    with pytest.raises(InputError, match="feature_weight needs recogniser"):
        AutoencoderStage(sources=("noise",), start=str(SHIPPED_FOLDER / "mini" / "vae"), feature_weight=0.1)
