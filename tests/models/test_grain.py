"""Grain: as strong as what is missing, the same for the same generator, and only where somebody asks for it."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from scipy.ndimage import gaussian_filter

from mien.models import latents
from mien.models.autoencoder import PatchAutoencoder
from mien.models.grain import DETAIL, SOFTNESS, WINDOW, add_grain, blur, local_detail, soft_noise
from mien.training.grain import likeness, missing_share


def generators(*seeds: int) -> list[torch.Generator]:
    return [torch.Generator().manual_seed(seed) for seed in seeds]


def pictures(n: int, seed: int = 0) -> torch.Tensor:
    """Smooth colours with detail that grows from left to right."""
    rng = np.random.default_rng(seed)
    smooth = gaussian_filter(rng.normal(size=(n, 3, 64, 64)), (0, 0, 8, 8)) * 4
    fine = gaussian_filter(rng.normal(size=(n, 1, 64, 64)), (0, 0, 0.7, 0.7)) * np.linspace(0, 0.3, 64)
    return torch.from_numpy(smooth + fine).float()


@pytest.mark.parametrize("sigma", [SOFTNESS, DETAIL, WINDOW])
def test_the_blur_is_scipy_s(sigma: float) -> None:
    x = torch.randn(2, 1, 40, 48, generator=torch.Generator().manual_seed(0))
    reach = int(np.ceil(3 * sigma))
    wanted = gaussian_filter(
        x.double().numpy(), (0, 0, sigma, sigma), mode="nearest", radius=(0, 0, reach, reach)
    )
    np.testing.assert_allclose(blur(x, sigma).numpy(), wanted, atol=1e-5)


def test_soft_noise_has_deviation_one() -> None:
    white = torch.randn(4, 1, 256, 256, generator=torch.Generator().manual_seed(0))
    assert soft_noise(white)[..., 8:-8, 8:-8].std() == pytest.approx(1, abs=0.02)


def test_grain_is_a_share_of_the_detail_that_is_there() -> None:
    x = pictures(1).expand(300, -1, -1, -1)
    added = add_grain(x, 0.7, generators(*range(300))) - x
    assert torch.allclose(added[:, 0], added[:, 1], atol=1e-6)  # grey
    inner = (slice(8, -8), slice(8, -8))
    measured, wanted = added[:, 0].std(0)[inner], 0.7 * local_detail(x[:1])[0, 0][inner]
    assert ((measured / wanted) - 1).abs().mean() < 0.06
    assert wanted[:, -8:].mean() > 4 * wanted[:, :8].mean()


def test_what_was_left_out_is_measured() -> None:
    """Of pictures with a known share of grain the share is found, and with it how alike its neighbours are."""
    y = pictures(40)
    x = add_grain(y, 0.7, generators(*range(40)))
    assert missing_share(x, y) == pytest.approx(0.7, abs=0.05)
    white = torch.randn(40, 1, 64, 64, generator=torch.Generator().manual_seed(1))
    assert likeness(x - y) == pytest.approx(likeness(soft_noise(white)), abs=0.08)
    assert missing_share(y, y) == 0
    assert missing_share(y, x) == 0  # more than there should be: nothing is missing


def test_only_a_generator_makes_grain() -> None:
    torch.manual_seed(0)
    vae = PatchAutoencoder(16, (32, 16, 16, 16), (1, 1, 1, 1), grain=0.7)
    z = torch.randn(2, 16, 4, 4)
    with torch.no_grad():
        plain, drawn = latents.decode(vae, z), latents.decode(vae, z, generators(1, 2))
        assert not torch.equal(plain, drawn)
        assert torch.equal(drawn, latents.decode(vae, z, generators(1, 2)))
        torch.testing.assert_close(drawn[1:], latents.decode(vae, z[1:], generators(2)))  # in any batch
        vae.register_to_config(grain=0.0)
        assert torch.equal(plain, latents.decode(vae, z, generators(1, 2)))
        assert torch.equal(plain, vae.decode(z, generator=generators(1)[0]).sample)


def test_portraits_have_grain_and_refaced_photos_have_none(monkeypatch: pytest.MonkeyPatch) -> None:
    """What the shipped model's pipelines hand to the autoencoder: a generator a picture, or nothing."""
    import mien
    from mien.backbones import Backbone

    given: list[bool] = []
    decode = Backbone.decode
    monkeypatch.setattr(
        Backbone, "decode", lambda self, z, g=None: (given.append(g is not None), decode(self, z, g))[1]
    )
    pipe = mien.load("mini", device="cpu")
    assert pipe.backbone.vae.config.grain > 0
    identity, expression = torch.zeros(1, 224), torch.zeros(1, 57)
    portrait, plain = (
        pipe.generate(identity, expression, [""], [3], steps=1, guidance=1.0, grain=grain)
        for grain in (True, False)
    )
    assert given == [True, False] and not torch.equal(portrait, plain)
    added = (portrait - plain)[..., 4:-4, 4:-4]
    assert added.abs().max() < 0.5 and 0.002 < added.std() < 0.1
