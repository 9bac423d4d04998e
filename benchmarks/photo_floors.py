"""The sizes of other people's animation networks, with random weights: what a frame must cost them at least.

Warps, keypoint arithmetic, normalisation of the weights and ConvNeXt's GRN are left out, which flatters them.

first-order-motion (Siarohin et al., NeurIPS 2019), config/vox-256.yaml of its repository: a keypoint detector
(hourglass, block_expansion 32, max_features 1024, 5 blocks, 10 keypoints) and a dense motion network (64, 1024, 5
blocks), both at a quarter of 256 px, and a generator (64, max 512, 2 down blocks, 6 bottleneck blocks) at 256 px.

LivePortrait (Guo et al., 2024), src/config/models.yaml of its repository: motion extractor ConvNeXt V2 tiny (depths 3,
3, 9, 3; widths 96 to 768) at 256 px; warping module (21 keypoints, 3-D hourglass of 32, 1024, 5 blocks, depth 16,
compressed to 4 channels); SPADE decoder (64, max 512, 2 down blocks, 128 hidden, upscale 2) from 64 to 512 px. Its
appearance extractor, run once a photo, is left out.

Parameters, in millions: first-order-motion 14.2 + 45.6; LivePortrait's extractor 27.8, warping 45.0, decoder 55.4.
"""

from __future__ import annotations

from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor, nn

KEYPOINTS, DEPTH = 21, 16  # LivePortrait's


def _conv(a: int, b: int, size: int = 3, dims: int = 2) -> nn.Sequential:
    kind: Any = nn.Conv2d if dims == 2 else nn.Conv3d
    norm: Any = nn.BatchNorm2d if dims == 2 else nn.BatchNorm3d
    return nn.Sequential(kind(a, b, size, padding=size // 2), norm(b), nn.ReLU(inplace=True))


class Hourglass(nn.Module):
    """[n, channels, (d,) h, w] → [n, expansion + channels, (d,) h, w]; depth is not halved."""

    def __init__(
        self, channels: int, expansion: int, blocks: int = 5, most: int = 1024, dims: int = 2
    ) -> None:
        super().__init__()
        width = [channels, *(min(most, expansion * 2 ** (i + 1)) for i in range(blocks))]
        self.pool = (2, 2) if dims == 2 else (1, 2, 2)
        self.average = F.avg_pool2d if dims == 2 else F.avg_pool3d
        self.down = nn.ModuleList(_conv(width[i], width[i + 1], dims=dims) for i in range(blocks))
        self.up = nn.ModuleList(
            _conv((1 if i == blocks - 1 else 2) * width[i + 1], min(most, expansion * 2**i), dims=dims)
            for i in reversed(range(blocks))
        )

    def forward(self, x: Tensor) -> Tensor:
        seen = [x]
        for block in self.down:
            seen.append(self.average(block(seen[-1]), self.pool))
        x = seen.pop()
        for block in self.up:
            x = block(F.interpolate(x, scale_factor=tuple(float(p) for p in self.pool)))
            x = torch.cat([x, seen.pop()], 1)
        return x


class _Residual(nn.Module):
    def __init__(self, width: int) -> None:
        super().__init__()
        self.body = nn.Sequential(_conv(width, width), _conv(width, width))

    def forward(self, x: Tensor) -> Tensor:
        return x + self.body(x)


class FirstOrderMotion(nn.Module):
    """What a frame costs: keypoints of the driving frame, dense motion, generator. () → [1, 3, 256, 256]."""

    def __init__(self) -> None:
        super().__init__()
        self.keypoints = nn.Sequential(Hourglass(3, 32), nn.Conv2d(35, 10 + 40, 7))
        self.motion = nn.Sequential(Hourglass(44, 64), nn.Conv2d(108, 11 + 1, 7, padding=3))
        self.encoder = nn.Sequential(
            _conv(3, 64, 7), _conv(64, 128), nn.AvgPool2d(2), _conv(128, 256), nn.AvgPool2d(2)
        )
        self.decoder = nn.Sequential(
            *(_Residual(256) for _ in range(6)),
            nn.Upsample(scale_factor=2),
            _conv(256, 128),
            nn.Upsample(scale_factor=2),
            _conv(128, 64),
            nn.Conv2d(64, 3, 7, padding=3),
        )

    def forward(self) -> Tensor:
        self.keypoints(torch.rand(1, 3, 64, 64))
        self.motion(torch.rand(1, 44, 64, 64))
        return self.decoder(self.encoder(torch.rand(1, 3, 256, 256)))


class _ConvNext(nn.Module):
    def __init__(self, width: int) -> None:
        super().__init__()
        self.depthwise = nn.Conv2d(width, width, 7, padding=3, groups=width)
        self.body = nn.Sequential(
            nn.LayerNorm(width), nn.Linear(width, 4 * width), nn.GELU(), nn.Linear(4 * width, width)
        )

    def forward(self, x: Tensor) -> Tensor:
        return x + self.body(self.depthwise(x).permute(0, 2, 3, 1)).permute(0, 3, 1, 2)


class _Spade(nn.Module):
    """Spatially adaptive normalisation (Park et al., CVPR 2019) by a feature map of 256 channels."""

    def __init__(self, width: int) -> None:
        super().__init__()
        self.norm = nn.InstanceNorm2d(width)
        self.shared = nn.Conv2d(256, 128, 3, padding=1)
        self.both = nn.Conv2d(128, 2 * width, 3, padding=1)

    def forward(self, x: Tensor, by: Tensor) -> Tensor:
        by = F.interpolate(by, size=x.shape[2:], mode="nearest")
        gamma, beta = self.both(F.relu(self.shared(by))).chunk(2, 1)
        return self.norm(x) * (1 + gamma) + beta


class _SpadeBlock(nn.Module):
    def __init__(self, a: int, b: int) -> None:
        super().__init__()
        least = min(a, b)
        self.first, self.second = _Spade(a), _Spade(least)
        self.aside = _Spade(a) if a != b else None
        self.convs = nn.ModuleList([nn.Conv2d(a, least, 3, padding=1), nn.Conv2d(least, b, 3, padding=1)])
        self.short = None if a == b else nn.Conv2d(a, b, 1, bias=False)

    def forward(self, x: Tensor, by: Tensor) -> Tensor:
        kept = x if self.short is None or self.aside is None else self.short(self.aside(x, by))
        x = self.convs[0](F.leaky_relu(self.first(x, by), 0.2))
        return kept + self.convs[1](F.leaky_relu(self.second(x, by), 0.2))


class LivePortrait(nn.Module):
    """What a frame costs: motion of the driving frame, warping module, decoder. () → [1, 3, 512, 512]."""

    def __init__(self) -> None:
        super().__init__()
        widths, parts = (96, 192, 384, 768), [nn.Conv2d(3, 96, 4, 4)]
        layers: list[nn.Module] = list(parts)
        for i, (width, depth) in enumerate(zip(widths, (3, 3, 9, 3), strict=True)):
            if i:
                layers.append(nn.Conv2d(widths[i - 1], width, 2, 2))
            layers += [_ConvNext(width) for _ in range(depth)]
        self.extractor = nn.Sequential(*layers)
        channels = (KEYPOINTS + 1) * (4 + 1)
        self.compress = nn.Conv3d(32, 4, 1)
        self.hourglass = Hourglass(channels, 32, dims=3)
        self.mask = nn.Conv3d(32 + channels, KEYPOINTS + 1, 7, padding=3)
        self.occlusion = nn.Conv2d((32 + channels) * DEPTH, 1, 7, padding=3)
        self.flat = nn.Sequential(_conv(32 * DEPTH, 256), nn.Conv2d(256, 256, 1))
        self.first = nn.Conv2d(256, 512, 3, padding=1)
        self.middle = nn.ModuleList(_SpadeBlock(512, 512) for _ in range(6))
        self.up = nn.ModuleList([_SpadeBlock(512, 256), _SpadeBlock(256, 64)])
        self.last = nn.Sequential(nn.Conv2d(64, 12, 3, padding=1), nn.PixelShuffle(2))

    def forward(self) -> Tensor:
        self.extractor(torch.rand(1, 3, 256, 256))
        volume = torch.rand(1, 32, DEPTH, 64, 64)
        self.compress(volume)
        moving = self.hourglass(torch.rand(1, (KEYPOINTS + 1) * 5, DEPTH, 64, 64))
        self.mask(moving)
        self.occlusion(moving.flatten(1, 2))
        by = self.flat(volume.flatten(1, 2))
        x = self.first(by)
        for block in self.middle:
            x = block(x, by)
        for block in self.up:
            x = block(F.interpolate(x, scale_factor=2.0), by)
        return self.last(F.leaky_relu(x, 0.2))


NETWORKS = {"first-order-motion, 256 px": FirstOrderMotion, "LivePortrait, 512 px": LivePortrait}
