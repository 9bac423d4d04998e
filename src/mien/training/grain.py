"""How much detail the autoencoder leaves out of the photographs it was trained on: `models.grain`'s numbers.

python -m mien.training.grain [SET …] [--autoencoder FOLDER] [--count 400]

Prints, of each prepared set, the share (deviation of the missing detail ÷ that of the detail that is there) and how
alike neighbouring pixels of the missing detail are, beside those of `soft_noise`. The share goes into the autoencoder's
configuration.
"""

from __future__ import annotations

import argparse
from pathlib import Path

import numpy as np
import torch
from torch import Tensor

from mien.data.dataset import load_faces, split_rows, to_pixels
from mien.models.autoencoder import PatchAutoencoder
from mien.models.grain import detail, soft_noise
from mien.weights import path as weights_path

BATCH = 25
EDGE = 16  # px at a crop's edge, which may repeat the photograph's


def missing_share(x: Tensor, y: Tensor) -> float:
    """The share of E(detail of x)² - E(detail of y)² = share² E(detail of y)² E(detail of the noise)²: with so much,
    all the energy is back.

    Args:
        x, y: [b, 3, H, W], photographs and what the autoencoder makes of them.
    """
    wanted, there, noise = (energy(pictures) for pictures in (x, y, soft_noise(_white(x))))
    return max((wanted / there - 1) / noise, 0.0) ** 0.5


def energy(pictures: Tensor) -> float:
    """Mean square of the detail of [b, c, H, W]."""
    return float(detail(pictures)[..., EDGE:-EDGE, EDGE:-EDGE].double().square().mean())


def _white(like: Tensor) -> Tensor:
    """Noise of deviation 1, [b, 1, H, W]."""
    return torch.randn((len(like), 1, *like.shape[-2:]), generator=torch.Generator().manual_seed(0))


def likeness(pictures: Tensor) -> float:
    """Correlation of horizontal neighbours in the detail of [b, c, H, W]."""
    inner = detail(pictures)[..., EDGE:-EDGE, EDGE:-EDGE].double()
    return float((inner[..., 1:] * inner[..., :-1]).mean() / inner.square().mean())


def main() -> None:
    """Command line of this module."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("sets", nargs="*", default=["utkface-adults", "lfw-gray"])
    parser.add_argument("--autoencoder", type=Path, default=weights_path("mini") / "vae")
    parser.add_argument("--count", type=int, default=400, help="photographs of each set")
    given = parser.parse_args()
    vae = PatchAutoencoder.from_pretrained(given.autoencoder, torch_dtype=torch.float32)
    for name in given.sets:
        faces = load_faces(name)
        rows = split_rows(faces, held_out=False)
        rows = rows[:: max(1, len(rows) // given.count)][: given.count]
        x = to_pixels(np.stack([faces.crops[i] for i in rows]))
        with torch.no_grad():
            y = torch.cat([vae(part) for part in x.split(BATCH)]).clamp(-1, 1)
        print(
            f"{name}, {len(x)} photographs: share {missing_share(x, y):.2f}; neighbours in what is missing are "
            f"alike by {likeness(x - y):.2f}, in the grain by {likeness(soft_noise(_white(x))):.2f}"
        )


if __name__ == "__main__":
    main()
