"""How much detail the autoencoder leaves out of the photographs it was trained on: `models.grain`'s numbers.

python -m factory.training.grain [SET …] [--autoencoder FOLDER] [--count 400]

Prints, of each prepared set, the share with which all the detail's energy is back, the power of the detail that is
there that the missing detail's deviation follows, and how alike neighbouring pixels are along edges and across them, in
what is missing and in the grain. The share goes into the autoencoder's configuration.
"""

from __future__ import annotations

import argparse
from pathlib import Path
from typing import NamedTuple

import numpy as np
import torch
from torch import Tensor

from factory.faces.dataset import load_faces, split_rows
from mien.models.autoencoder import PatchAutoencoder
from mien.models.grain import add_grain, detail, flow, local_detail
from mien.pixels import to_pixels
from mien.weights import path as weights_path

BATCH = 25
EDGE = 16  # px at a crop's edge, which may repeat the photograph's
STRAIGHT = 0.8  # of `flow`: there is an edge
BINS = 12  # of the detail that is there, equally many places in each


class Likeness(NamedTuple):
    """Correlations of pixels one and two apart."""

    along: tuple[float, float]
    across: tuple[float, float]

    def __str__(self) -> str:
        return " and ".join(
            f"{name} edges by {near:.2f}, {far:.2f}" for name, (near, far) in self._asdict().items()
        )


def missing_share(x: Tensor, y: Tensor) -> float:
    """The share s of E(detail of x)² - E(detail of y)² = s² E(detail of `add_grain`'s noise)²: with so much, all the
    energy is back.

    Args:
        x, y: [b, 3, H, W], photographs and what the autoencoder makes of them.
    """
    wanted, there, noise = (energy(pictures).mean().item() for pictures in (x, y, drawn(y)))
    return max((wanted - there) / noise, 0.0) ** 0.5


def missing_power(x: Tensor, y: Tensor) -> float:
    """The slope, between logarithms, of the missing detail's deviation in `local_detail` of y; x, y as above."""
    there, missing = inner(local_detail(y)).flatten(), (energy(x) - energy(y)).flatten()
    order = there.argsort().chunk(BINS)
    levels = [(float(there[part].mean()), float(missing[part].mean())) for part in order]
    there_by, missing_by = np.array([pair for pair in levels if pair[1] > 0]).T
    return float(np.polyfit(np.log(there_by), np.log(missing_by) / 2, 1)[0])


def likeness(noise: Tensor, y: Tensor) -> Likeness:
    """How alike the detail of noise [b, 3, H, W] is to itself nearby, where the edges of y run straight to the right or
    straight down."""
    values, along = detail(noise), inner(flow(y))
    rightward, downward = along[:, :1] > STRAIGHT, along[:, :1] < -STRAIGHT
    here = inner(values)

    def alike(axes: tuple[int, int], distance: int) -> float:
        total, square = 0.0, 0.0
        for places, axis in zip((rightward, downward), axes, strict=True):
            there = inner(values.roll(-distance, axis))
            total += float((here * there)[places].sum())
            square += float(here[places].square().sum())
        return total / square

    return Likeness((alike((3, 2), 1), alike((3, 2), 2)), (alike((2, 3), 1), alike((2, 3), 2)))


def drawn(y: Tensor) -> Tensor:
    """Grain for pictures [b, 3, H, W], with a share of 1."""
    return add_grain(y, 1.0, [torch.Generator().manual_seed(i) for i in range(len(y))]) - y


def energy(pictures: Tensor) -> Tensor:
    """Square of the detail of [b, c, H, W], away from the edge."""
    return inner(detail(pictures)).double().square()


def inner(maps: Tensor) -> Tensor:
    """Without `EDGE`."""
    return maps[..., EDGE:-EDGE, EDGE:-EDGE]


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
            f"{name}, {len(x)} photographs: share {missing_share(x, y):.2f}, power {missing_power(x, y):.2f}\n"
            f"  what is missing is alike {likeness(x - y, y)}\n"
            f"  the grain is alike       {likeness(drawn(y), y)}"
        )


if __name__ == "__main__":
    main()
