"""Trains the decoder of the embedded autoencoder; its encoder is fitted in closed form (`models.autoencoder`)."""

from __future__ import annotations

from collections.abc import Iterable
from pathlib import Path

import numpy as np
import torch
from PIL import Image
from torch import Tensor, nn
from torch.nn import functional as F

from mien.data.dataset import load_faces, split_rows, to_bytes, to_pixels
from mien.models.autoencoder import PatchAutoencoder, fit_linear


def gradient_loss(x: Tensor, y: Tensor) -> Tensor:
    """Mean absolute difference of horizontal and vertical differences, at three scales. x, y: [b, 3, H, W]."""
    total = x.new_zeros(())
    for _ in range(3):
        for axis in (2, 3):
            total = total + (x.diff(dim=axis) - y.diff(dim=axis)).abs().mean()
        x, y = F.avg_pool2d(x, 2), F.avg_pool2d(y, 2)
    return total / 6


class AutoencoderStage:
    """L1 + L2 + gradient loss on decoded latents with a little noise, so that imperfect latents decode well too.

    Args:
        sources: prepared sets to draw from.
        latent_channels: of the autoencoder.
        noise: largest standard deviation of the noise added to the latents (uniform from 0).
        gradient_weight: weight of `gradient_loss`.
        fit_pictures: pictures for the closed-form fit.
    """

    def __init__(
        self,
        sources: tuple[str, ...] = ("utkface-adults", "lfw-gray", "portraits-of-nobody", "renders-train"),
        latent_channels: int = 16,
        noise: float = 0.15,
        gradient_weight: float = 0.5,
        fit_pictures: int = 2000,
    ) -> None:
        self.sets = [load_faces(source) for source in sources]
        self.rows = [
            (s, int(i)) for s, faces in enumerate(self.sets) for i in split_rows(faces, held_out=False)
        ]
        held = [(0, int(i)) for i in split_rows(self.sets[0], held_out=True)[:256]]
        self.held = to_pixels(self._crops(held))
        self.noise, self.gradient_weight = noise, gradient_weight
        torch.manual_seed(0)
        self.model = PatchAutoencoder(latent_channels=latent_channels)
        chosen = np.random.default_rng(0).permutation(len(self.rows))[:fit_pictures]
        fit_linear(self.model, to_pixels(self._crops([self.rows[i] for i in sorted(chosen)])))
        self.model.patch_encoder.requires_grad_(False)

    def _crops(self, rows: list[tuple[int, int]]) -> np.ndarray:
        return np.stack([self.sets[s].crops[i] for s, i in rows])

    def modules(self) -> dict[str, nn.Module]:
        return {"vae": self.model}

    def trainable(self) -> Iterable[nn.Parameter]:
        return (p for p in self.model.parameters() if p.requires_grad)

    def batch(self, size: int, rng: torch.Generator) -> dict[str, Tensor]:
        chosen = torch.randint(len(self.rows), (size,), generator=rng).tolist()
        x = to_pixels(self._crops([self.rows[i] for i in chosen]))
        flip = torch.rand(size, generator=rng) < 0.5
        return {"x": torch.where(flip[:, None, None, None], x.flip(3), x)}

    def step(self, batch: dict[str, Tensor], rng: torch.Generator) -> tuple[Tensor, dict[str, float]]:
        x = batch["x"]
        with torch.no_grad():
            z = self.model.encode(x).latents.float()
        sigma = self.noise * torch.rand(len(z), 1, 1, 1, generator=rng)
        z = z + (sigma * torch.randn(z.shape, generator=rng)).to(z)
        y = self.model.decode(z).sample.float()
        l1, l2, gradient = F.l1_loss(y, x), F.mse_loss(y, x), gradient_loss(y, x)
        loss = l1 + l2 + self.gradient_weight * gradient
        return loss, {"loss": loss.item(), "l1": l1.item(), "gradient": gradient.item()}

    def validate(self) -> tuple[dict[str, float], Image.Image | None]:
        decoded = (
            torch.cat([self.model(part) for part in self.held.to(self.model.device).split(32)]).float().cpu()
        )
        mse = (decoded.clamp(-1, 1) - self.held).square().mean(dim=(1, 2, 3))
        psnr = (10 * torch.log10(4 / mse)).mean()
        rows = [to_bytes(self.held[:10]), to_bytes(decoded[:10])]
        sheet = np.concatenate([np.concatenate(list(row), axis=1) for row in rows])
        return {"held_out_psnr": float(psnr)}, Image.fromarray(sheet)

    def export(self, folder: Path) -> None:
        self.model.save_pretrained(folder)
