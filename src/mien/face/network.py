"""The embedded face analyser: one small residual network that reads landmarks, blendshapes, pose and confidence.

Distilled from MediaPipe (`factory/stages/analyser.py`). Everything is differentiable, so it also serves in losses.
"""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any, TypeVar

import numpy as np
import torch
from safetensors import SafetensorError, safe_open
from safetensors.torch import load_file
from torch import Tensor, nn
from torch.nn import functional as F
from torch.nn.utils.fusion import fuse_conv_bn_eval, fuse_linear_bn_eval
from torch.overrides import TorchFunctionMode

from mien.errors import WHY, saying

LANDMARKS, BLENDSHAPES = 478, 52
CROP = 128
Network = TypeVar("Network", bound=nn.Module)
SMALLEST_EYE_DISTANCE = 8.0  # px of the crop; a guess below it is no face, and its patches would show nothing
# Patches, height and width in px; their width and shift in distances between the eyes.
EYE_PATCH, EYE_WIDTH, EYE_RAISED = (40, 48), 0.9, 0.06
MOUTH_PATCH, MOUTH_WIDTH, MOUTH_LOWERED = (48, 48), 1.3, 0.0


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


class PartNet(nn.Module):
    """A patch around an eye or the mouth → how far each of its points lies from the first guess, and what it looks
    like. Like the attention mesh (Grishchenko et al. 2020), which refines eyes and lips from regions of their own.

    Args:
        height, width: of the patches in px, multiples of 8. points: how many points are moved. features: width of
            the description.
    """

    def __init__(self, height: int, width: int, points: int, features: int = 128) -> None:
        super().__init__()
        self.trunk = Trunk((32, 64, 96), (1, 1, 1))
        self.squeeze = nn.Sequential(nn.Conv2d(96, 48, 1, bias=False), nn.BatchNorm2d(48), nn.ReLU())
        self.shared = nn.Sequential(
            nn.Linear(48 * height * width // 64, features), nn.BatchNorm1d(features), nn.ReLU()
        )
        self.to_offsets = nn.Linear(features, points * 2)
        nn.init.zeros_(self.to_offsets.weight)
        nn.init.zeros_(self.to_offsets.bias)

    def forward(self, patches: Tensor) -> tuple[Tensor, Tensor]:
        """[b, 3, height, width] → features [b, f] and offsets [b, n, 2], in tenths of the patch's width."""
        h = self.shared(self.squeeze(self.trunk(patches)).flatten(1))
        return h, self.to_offsets(h).float().unflatten(1, (-1, 2))


class AnalyserNet(nn.Module):
    """Crops [b, 3, 128, 128] in [-1, 1], near the canonical crop → what is in the face.

    A first reading of the whole crop; then each eye and the mouth are cut out of the crop where that reading saw
    them, and their points and the blendshapes are corrected.

    Args:
        widths, blocks: of the trunk.
        features: width of the layer that all heads share.
        mean_landmarks: [478, 3] px of the crop; what the landmark head starts from.
        eye_points: [2][n] landmarks corrected around the eye on the picture's left, and their mirror images in the
            same order; mouth_points: [m] around the mouth. Without them there is only the first reading.
    """

    def __init__(
        self,
        widths: tuple[int, ...] = (24, 48, 96, 192),
        blocks: tuple[int, ...] = (0, 1, 2, 2),
        features: int = 320,
        mean_landmarks: np.ndarray | None = None,
        eye_points: list[list[int]] | None = None,
        mouth_points: list[int] | None = None,
    ) -> None:
        super().__init__()
        self.config: dict[str, Any] = {"widths": list(widths), "blocks": list(blocks), "features": features}
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
        self.eye_points, self.mouth_points = eye_points, mouth_points
        if eye_points is not None and mouth_points is not None:
            self.config |= {"eye_points": eye_points, "mouth_points": mouth_points}
            count = len(eye_points[0])
            self.eye = PartNet(*EYE_PATCH, count)
            self.mouth = PartNet(*MOUTH_PATCH, len(mouth_points))
            part = 3 * 128 + 2 * (2 * count + len(mouth_points)) + features
            last = nn.Linear(256, BLENDSHAPES)
            nn.init.zeros_(last.weight)
            nn.init.zeros_(last.bias)
            self.correct_blendshapes = nn.Sequential(nn.Linear(part, 256), nn.ReLU(), last)

    def forward(self, crops: Tensor) -> dict[str, Tensor]:
        """landmarks [b, 478, 3] px of the crop; blendshapes [b, 52] in [0, 1]; pose [b, 3] degrees (yaw, pitch, roll
        in the crop); confidence [b], a logit; while training also coarse [b, 478, 3], the first reading's
        landmarks."""
        h = self.shared(self.squeeze(self.trunk(crops)).flatten(1))
        offsets = self.to_landmarks(h).float()  # in tenths of the crop's side
        coarse = self.mean_landmarks + offsets.view(-1, LANDMARKS, 3) * (CROP / 10)
        logits = self.to_blendshapes(torch.cat([h, offsets.to(h.dtype)], dim=1)).float()
        landmarks = coarse
        if self.eye_points is not None and self.mouth_points is not None:
            landmarks, parts = self._refine(crops, coarse)
            logits = logits + self.correct_blendshapes(torch.cat([parts, h.to(parts.dtype)], dim=1)).float()
        out = {
            "landmarks": landmarks,
            "blendshapes": logits.sigmoid(),
            "pose": self.to_pose(h).float() * 10,
            "confidence": self.to_confidence(h)[:, 0].float(),
        }
        return out | {"coarse": coarse} if self.training else out

    def _refine(self, crops: Tensor, coarse: Tensor) -> tuple[Tensor, Tensor]:
        """Corrected landmarks [b, 478, 3], and what the three patches show [b, p]."""
        assert self.eye_points is not None and self.mouth_points is not None
        seen = coarse.detach()[..., :2]
        left, right = seen[:, [33, 133]].mean(1), seen[:, [263, 362]].mean(1)
        mouth = seen[:, [0, 17, 61, 291]].mean(1)
        across = right - left  # [b, 2]: the patches' horizontal and unit of length
        apart = across.norm(dim=1, keepdim=True)
        level = torch.tensor([SMALLEST_EYE_DISTANCE, 0.0]).to(across)
        longer = across * (SMALLEST_EYE_DISTANCE / apart.clamp_min(1e-3)).clamp_min(1)
        across = torch.where(apart > 1e-3, longer, level)
        down = torch.stack([-across[:, 1], across[:, 0]], dim=1)
        frames = [
            (left - EYE_RAISED * down, across * EYE_WIDTH, EYE_PATCH),
            (right - EYE_RAISED * down, -across * EYE_WIDTH, EYE_PATCH),  # mirrored
            (mouth + MOUTH_LOWERED * down, across * MOUTH_WIDTH, MOUTH_PATCH),
        ]
        down = down / across.norm(dim=1, keepdim=True)
        b = len(crops)
        first, second, lips = _patches(crops, frames, down)
        eye_features, eye_offsets = self.eye(torch.cat([first, second]))
        mouth_features, mouth_offsets = self.mouth(lips)
        landmarks = coarse.clone()
        places = [eye_features[:b], eye_features[b:], mouth_features]
        groups = [self.eye_points[0], self.eye_points[1], self.mouth_points]
        for (centre, wide, _), group, offset in zip(
            frames, groups, (eye_offsets[:b], eye_offsets[b:], mouth_offsets), strict=True
        ):
            length = wide.norm(dim=1)[:, None, None]
            tall = down[:, None] * length
            moved = (offset[..., :1] * wide[:, None] + offset[..., 1:] * tall) / 10
            landmarks[:, group, :2] = coarse[:, group, :2] + moved
            apart = landmarks[:, group, :2] - centre[:, None]
            here = torch.stack([(apart * wide[:, None]).sum(-1), (apart * tall).sum(-1)], -1) / length**2
            places.append((here * 4).flatten(1).to(mouth_features.dtype))
        return landmarks, torch.cat(places, dim=1)


def _patches(
    crops: Tensor, frames: list[tuple[Tensor, Tensor, tuple[int, int]]], down: Tensor
) -> tuple[Tensor, ...]:
    """[b, 3, height, width] each, resampled around centres [b, 2] px, so wide [b, 2] px from their left edge to their
    right, of sizes (height, width) whose widths are one."""
    grids = []
    for centre, wide, (height, width) in frames:
        x = (torch.arange(width, device=crops.device) + 0.5) / width - 0.5
        y = ((torch.arange(height, device=crops.device) + 0.5) - height / 2) / width
        tall = down * wide.norm(dim=1, keepdim=True)
        grids.append(
            centre[:, None, None]
            + x[None, None, :, None] * wide[:, None, None]
            + y[None, :, None, None] * tall[:, None, None]
        )
    # Places that are no number, or far off, make torch's backward pass leave the picture's memory.
    grid = torch.nan_to_num(torch.cat(grids, 1) * (2 / CROP) - 1).clamp(-2, 2)
    seen = F.grid_sample(crops.float(), grid, mode="bilinear", padding_mode="border", align_corners=False)
    return seen.split([height for _, _, (height, _) in frames], 2)


def fold(network: nn.Module) -> nn.Module:
    """The network itself, frozen and in evaluation mode, its batch normalisations now part of the convolutions and
    linear layers before them: the same function, in fewer passes over memory."""
    network = network.requires_grad_(False).eval()
    for module in network.modules():
        names = [name for name, _ in module.named_children()] if isinstance(module, nn.Sequential) else []
        pairs = list(zip(names, names[1:], strict=False))
        pairs += [("conv1", "norm1"), ("conv2", "norm2")] if isinstance(module, ConvBlock) else []
        for before, norm in pairs:
            layer, scaling = getattr(module, before), getattr(module, norm)
            if isinstance(layer, nn.Conv2d) and isinstance(scaling, nn.BatchNorm2d):
                setattr(module, before, fuse_conv_bn_eval(layer, scaling))
            elif isinstance(layer, nn.Linear) and isinstance(scaling, nn.BatchNorm1d):
                setattr(module, before, fuse_linear_bn_eval(layer, scaling))
            else:
                continue
            setattr(module, norm, nn.Identity())
    network.to(memory_format=torch.channels_last)  # type: ignore[call-overload]
    return network


class _Half(nn.Module):
    """A network [b, …] float32 → float32 that works in bfloat16."""

    def __init__(self, network: nn.Module) -> None:
        super().__init__()
        self.network = network.bfloat16()

    def forward(self, x: Tensor) -> Tensor:
        return self.network(x.bfloat16()).float()


def halve(network: nn.Module) -> nn.Module:
    """The network itself, on a processor that multiplies bfloat16 with its trunks in that, which takes a quarter off
    its time: over 160 crops of films blendshapes differed by 0.0001 on average, 0.003 at most."""
    supported = getattr(torch.cpu, "_is_avx512_bf16_supported", None)  # torch says it nowhere else
    if supported is not None and supported():  # where it is emulated it is slower
        for module in list(network.modules()):
            for name, part in list(module.named_children()):
                if isinstance(part, Trunk):
                    setattr(module, name, _Half(part))
    return network


def read_network(path: Path) -> tuple[dict[str, Any], dict[str, Tensor]]:
    """The constructor's arguments and the float32 weights of a file made by `save_network`.

    Raises:
        InputError: the file is missing or damaged.
    """
    unread = f"The network file {path} cannot be read ({WHY}); run `mien models verify`."
    with saying(unread, OSError, KeyError, ValueError, SafetensorError):
        with safe_open(path, framework="pt") as file:
            config = json.loads((file.metadata() or {})["config"])
        tensors = {k: v.float() if v.is_floating_point() else v for k, v in load_file(path).items()}
    return config, tensors


class _Uninitialised(TorchFunctionMode):
    """Modules made in here draw no random weights, which takes longer than to load theirs."""

    def __torch_function__(self, func: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        initialises = getattr(func, "__module__", None) == "torch.nn.init"
        return kwargs["tensor"] if initialises else func(*args, **(kwargs or {}))


def load_network(kind: type[Network], path: Path) -> Network:
    """A trained network of this class, in evaluation mode and frozen.

    Raises:
        InputError: the file is missing or damaged.
    """
    config, tensors = read_network(path)
    with _Uninitialised():
        network = kind(**config)
    network.load_state_dict(tensors)
    return network.requires_grad_(False).eval()


def load_analyser(path: Path) -> AnalyserNet:
    """The trained analyser, in evaluation mode and frozen."""
    return load_network(AnalyserNet, path)
