"""A small fully convolutional face detector: every cell of a stride-8 grid says whether a face's centre lies in it.

What it regresses is the canonical crop of ``mien.face.align`` (centre, size, tilt). It sees faces of 20 to 64 pixels;
larger ones are found on smaller copies of the picture (``mien.face.detect``). The heatmap and its loss follow Zhou et
al. 2019, "Objects as Points".
"""

from __future__ import annotations

from collections.abc import Sequence
from functools import lru_cache

import numpy as np
import torch
from torch import Tensor, nn
from torch.nn import functional

from mien import weights
from mien.face.detect import BORDER, MAX_FACE, MIN_FACE, Detection, make
from mien.face.network import fold, load_network
from mien.types import ByteImage

STRIDE = 8
TOGETHER = 500_000  # pixels that go through the network at once
MIN_SIZE, MAX_SIZE = 20.0, 64.0  # sides in pixels of the canonical crops it is trained on


def convolution(inputs: int, outputs: int, stride: int = 1, dilation: int = 1) -> nn.Sequential:
    """3 x 3, normalised, rectified."""
    return nn.Sequential(
        nn.Conv2d(inputs, outputs, 3, stride, dilation, dilation, bias=False),
        nn.BatchNorm2d(outputs),
        nn.ReLU(inplace=True),
    )


class _Residual(nn.Module):
    def __init__(self, width: int, dilation: int) -> None:
        super().__init__()
        self.first = convolution(width, width, dilation=dilation)
        self.second = nn.Sequential(nn.Conv2d(width, width, 3, 1, 1, bias=False), nn.BatchNorm2d(width))

    def forward(self, x: Tensor) -> Tensor:
        return functional.relu(x + self.second(self.first(x)))


class DetectorNet(nn.Module):
    """pixels [b, 3, H, W] in [-1, 1], H and W multiples of 8 → per cell of the [H/8, W/8] grid, see `forward`. width:
    channels at stride 8. dilations: one residual block each; together they see about 150 pixels around a cell."""

    def __init__(self, width: int = 56, dilations: tuple[int, ...] = (1, 2, 1, 2)) -> None:
        super().__init__()
        self.config = {"width": width, "dilations": list(dilations)}
        self.stem = nn.Sequential(
            convolution(3, 16, stride=2), convolution(16, 32, stride=2), convolution(32, width, stride=2)
        )
        self.body = nn.Sequential(*[_Residual(width, dilation) for dilation in dilations])
        self.head = nn.Sequential(convolution(width, width), nn.Conv2d(width, 6, 1))
        final = self.head[1]
        assert isinstance(final, nn.Conv2d) and final.bias is not None
        nn.init.normal_(final.weight, std=0.01)
        nn.init.zeros_(final.bias)
        with torch.no_grad():
            final.bias[0] = -4.0  # few cells hold a face (focal loss, Lin et al. 2017, section 4.1)

    def forward(self, pixels: Tensor) -> dict[str, Tensor]:
        """Per cell: ``score`` [b, h, w] logit; ``centre`` [b, 2, h, w] x, y px; ``size`` [b, h, w] side of
        the canonical crop in px; ``angle`` [b, 2, h, w] (cos, sin) of the clockwise tilt, not normalised.
        """
        out = self.head(self.body(self.stem(pixels)))  # [b, 6, h, w]
        h, w = out.shape[-2:]
        x = (torch.arange(w, device=out.device, dtype=out.dtype) + 0.5) * STRIDE
        y = (torch.arange(h, device=out.device, dtype=out.dtype) + 0.5) * STRIDE
        grid = torch.stack(torch.meshgrid(x, y, indexing="xy"))  # [2, h, w]
        size = (MIN_SIZE * MAX_SIZE) ** 0.5 * torch.exp(out[:, 3].clamp(-3, 3))
        turn = torch.stack([1 + out[:, 4], out[:, 5]], dim=1)
        return {"score": out[:, 0], "centre": grid + STRIDE * out[:, 1:3], "size": size, "angle": turn}


class NetworkFinder:
    """The detector network, as a function of pixels."""

    def __init__(self, network: nn.Module) -> None:
        self.network = fold(network)

    def find(self, pictures: Sequence[ByteImage], threshold: float) -> list[list[Detection]]:
        """For each of some [H, W, 3] uint8 its faces of 20 to 64 px with a score above `threshold`; pictures of one
        size go through the network together.
        """
        found: list[list[Detection]] = [[] for _ in pictures]
        sizes: dict[tuple[int, ...], list[int]] = {}
        for i, picture in enumerate(pictures):
            sizes.setdefault(picture.shape, []).append(i)
        for shape, members in sizes.items():
            count = max(1, TOGETHER // ((shape[0] + 2 * BORDER) * (shape[1] + 2 * BORDER)))
            for start in range(0, len(members), count):
                part = members[start : start + count]
                for i, group in zip(part, self._find([pictures[i] for i in part], threshold), strict=True):
                    found[i] = group
        return found

    def _find(self, pictures: list[ByteImage], threshold: float) -> list[list[Detection]]:
        height, width = pictures[0].shape[:2]
        below, right = (-(side + 2 * BORDER) % STRIDE + BORDER for side in (height, width))
        frame = ((0, 0), (BORDER, below), (BORDER, right), (0, 0))
        framed = torch.from_numpy(np.pad(np.stack(pictures), frame, mode="edge"))
        found: list[list[Detection]] = [[] for _ in pictures]
        with torch.inference_mode():
            out = self.network(framed.permute(0, 3, 1, 2).float().div_(127.5).sub_(1))
            score = torch.sigmoid(out["score"])
            peak = (score == functional.max_pool2d(score[:, None], 3, 1, 1)[:, 0]) & (score > threshold)
            which, rows, columns = torch.nonzero(peak, as_tuple=True)
            places = (out["centre"][which, :, rows, columns] - BORDER).tolist()
            sides = out["size"][which, rows, columns].tolist()
            angles = torch.rad2deg(torch.atan2(*out["angle"][which, :, rows, columns].flip(1).T)).tolist()
            scores = score[which, rows, columns].tolist()
        for i, (x, y), side, angle, sure in zip(which.tolist(), places, sides, angles, scores, strict=True):
            if MIN_FACE * 0.8 <= side <= MAX_FACE * 1.4 and 0 <= x <= width and 0 <= y <= height:
                found[i].append(make(x, y, side, angle, sure))
        return found


@lru_cache(maxsize=1)
def load_finder() -> NetworkFinder:
    """The shipped detector, checked and loaded once. Raises `InputError`: its weights are missing or damaged."""
    return NetworkFinder(load_network(DetectorNet, weights.path("detector")))
