"""The detector network as a function of pixels: pictures of one size are searched together."""

from __future__ import annotations

from collections.abc import Sequence
from functools import lru_cache

import numpy as np
import torch
from torch import nn
from torch.nn import functional

from mien import weights
from mien.face.detect import BORDER, MAX_FACE, MIN_FACE, Detection, make
from mien.face.detector import STRIDE, DetectorNet
from mien.face.network import fold, load_network
from mien.types import ByteImage

TOGETHER = 500_000  # pixels that go through the network at once


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
