"""The embedded face analyser: one small residual network that reads landmarks, blendshapes, pose and confidence.

Distilled from MediaPipe (`training/stages/analyser.py`). Everything is differentiable, so it also serves in losses.
"""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np
import torch
from safetensors import SafetensorError, safe_open
from safetensors.torch import load_file, save_file
from torch import Tensor, nn
from torch.nn import functional as F

from mien.types import InputError

LANDMARKS, BLENDSHAPES = 478, 52
CROP = 128


class ConvBlock(nn.Module):
    """Two 3 x 3 convolutions with batch normalisation around a skip (He et al. 2016). [b, c, h, w] → same."""

    def __init__(self, width: int) -> None:
        super().__init__()
        self.conv1 = nn.Conv2d(width, width, 3, padding=1, bias=False)
        self.conv2 = nn.Conv2d(width, width, 3, padding=1, bias=False)
        self.norm1, self.norm2 = nn.BatchNorm2d(width), nn.BatchNorm2d(width)

    def forward(self, x: Tensor) -> Tensor:
        return F.relu(x + self.norm2(self.conv2(F.relu(self.norm1(self.conv1(x))))))


class Trunk(nn.Module):
    """[b, 3, 128, 128] in [-1, 1] → [b, widths[-1], 8, 8]: halved once a width, `blocks` residual blocks at each."""

    def __init__(
        self, widths: tuple[int, ...] = (24, 48, 96, 192), blocks: tuple[int, ...] = (0, 1, 2, 2)
    ) -> None:
        super().__init__()
        layers: list[nn.Module] = []
        previous = 3
        for level, (width, count) in enumerate(zip(widths, blocks, strict=True)):
            kernel = 5 if level == 0 else 3
            layers += [
                nn.Conv2d(previous, width, kernel, stride=2, padding=kernel // 2, bias=False),
                nn.BatchNorm2d(width),
                nn.ReLU(),
                *(ConvBlock(width) for _ in range(count)),
            ]
            previous = width
        self.layers = nn.Sequential(*layers)

    def forward(self, x: Tensor) -> Tensor:
        return self.layers(x)


class AnalyserNet(nn.Module):
    """Crops [b, 3, 128, 128] in [-1, 1], near the canonical crop → what is in the face.

    Args:
        widths, blocks: of the trunk.
        features: width of the layer that all heads share.
        mean_landmarks: [478, 3] px of the crop; what the landmark head starts from.
    """

    def __init__(
        self,
        widths: tuple[int, ...] = (24, 48, 96, 192),
        blocks: tuple[int, ...] = (0, 1, 2, 2),
        features: int = 320,
        mean_landmarks: np.ndarray | None = None,
    ) -> None:
        super().__init__()
        self.config = {"widths": list(widths), "blocks": list(blocks), "features": features}
        self.trunk = Trunk(widths, blocks)
        self.squeeze = nn.Sequential(nn.Conv2d(widths[-1], 48, 1, bias=False), nn.BatchNorm2d(48), nn.ReLU())
        self.shared = nn.Sequential(nn.Linear(48 * 64, features), nn.BatchNorm1d(features), nn.ReLU())
        self.to_landmarks = nn.Linear(features, LANDMARKS * 3)
        self.to_blendshapes = nn.Sequential(
            nn.Linear(features + LANDMARKS * 3, 256), nn.ReLU(), nn.Linear(256, BLENDSHAPES)
        )
        self.to_pose = nn.Linear(features, 3)
        self.to_confidence = nn.Linear(features, 1)
        mean = (
            torch.zeros(LANDMARKS, 3) if mean_landmarks is None else torch.from_numpy(mean_landmarks).float()
        )
        self.register_buffer("mean_landmarks", mean)
        nn.init.normal_(self.to_landmarks.weight, std=1e-3)
        nn.init.zeros_(self.to_landmarks.bias)

    def forward(self, crops: Tensor) -> dict[str, Tensor]:
        """landmarks [b, 478, 3] px of the crop; blendshapes [b, 52] in [0, 1]; pose [b, 3] degrees (yaw, pitch, roll
        in the crop); confidence [b], a logit."""
        h = self.shared(self.squeeze(self.trunk(crops)).flatten(1))
        offsets = self.to_landmarks(h).float()  # in tenths of the crop's side
        landmarks = self.mean_landmarks + offsets.view(-1, LANDMARKS, 3) * (CROP / 10)
        blendshapes = self.to_blendshapes(torch.cat([h, offsets.to(h.dtype)], dim=1)).float().sigmoid()
        pose = self.to_pose(h).float() * 10
        return {
            "landmarks": landmarks,
            "blendshapes": blendshapes,
            "pose": pose,
            "confidence": self.to_confidence(h)[:, 0].float(),
        }


def save_network(network: nn.Module, path: Path, config: dict[str, Any]) -> None:
    """One safetensors file in float16 whose metadata holds the constructor's arguments."""
    path.parent.mkdir(parents=True, exist_ok=True)
    tensors = {
        key: (value.half() if value.is_floating_point() else value).detach().cpu().contiguous()
        for key, value in network.state_dict().items()
    }
    save_file(tensors, path, metadata={"config": json.dumps(config)})


def read_network(path: Path) -> tuple[dict[str, Any], dict[str, Tensor]]:
    """The constructor's arguments and the float32 weights of a file made by `save_network`.

    Raises:
        InputError: the file is missing or damaged.
    """
    try:
        with safe_open(path, framework="pt") as file:
            config = json.loads((file.metadata() or {})["config"])
        tensors = {k: v.float() if v.is_floating_point() else v for k, v in load_file(path).items()}
    except (OSError, KeyError, ValueError, SafetensorError) as error:
        raise InputError(
            f"The network file {path} cannot be read ({error}); run `mien models verify`."
        ) from error
    return config, tensors


def load_analyser(path: Path) -> AnalyserNet:
    """The trained analyser, in evaluation mode and frozen."""
    config, tensors = read_network(path)
    network = AnalyserNet(**config)
    network.load_state_dict(tensors)
    return network.requires_grad_(False).eval()
