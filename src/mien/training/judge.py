"""Who judges a reconstruction inside a training step: differentiable, on any backbone, at any resolution.

Our choices, where the papers leave them open: φ of EmojiDiff's L_id is the embedded recogniser (128 numbers in dlib's
space); the expression numbers of its L_exp are the embedded analyser's 52 blendshapes and the five LMS ratios
(EmojiDiff Eqs. 2-3) in their own units, so that w_exp = 10 puts a root mean square error of 0.1 at 0.1. Both see the
canonical crop, which a reconstruction shares with its target.
"""

from __future__ import annotations

from pathlib import Path

import torch
from torch import Tensor
from torch.nn import functional as F

from mien.encoders.identity import load_recogniser
from mien.face.align import CROP_SIZE
from mien.face.landmarks import lms_ratios_torch
from mien.face.network import load_analyser


class FaceJudge:
    """Canonical crops [b, 3, 128, 128] in [-1, 1] → who, and what the face does; frozen, differentiable."""

    def __init__(self, folder: str | Path | None = None, device: torch.device | str = "cpu") -> None:
        """folder: of ``analyser.safetensors`` and ``recogniser.safetensors``; None: the shipped ones."""
        from mien import weights

        places = {
            name: weights.path(name) if folder is None else Path(folder) / f"{name}.safetensors"
            for name in ("analyser", "recogniser")
        }
        self.analyser = load_analyser(places["analyser"]).to(device)
        self.recogniser = load_recogniser(places["recogniser"]).to(device)

    def identity(self, crops: Tensor) -> Tensor:
        """[b, 128]."""
        return self.recogniser(crops.clamp(-1.2, 1.2))

    def expression(self, crops: Tensor) -> Tensor:
        """[b, 57]: 52 blendshapes in [0, 1], then the LMS ratios."""
        out = self.analyser(crops.clamp(-1.2, 1.2))
        return torch.cat([out["blendshapes"], lms_ratios_torch(out["landmarks"])], dim=1).float()


def canonical(x: Tensor, matrices: Tensor | None, size: int = CROP_SIZE) -> Tensor:
    """The canonical crops of pictures, differentiable; `face.align.warp` for tensors.

    Args:
        x: [b, 3, H, W]. matrices: [b, 2, 3], picture → crop pixels; None: `x` are crops of another size.

    Returns:
        [b, 3, size, size]; places outside the picture repeat its edge. Shrinking takes area means first.
    """
    if matrices is None:
        if x.shape[-2:] == (size, size):
            return x
        return F.interpolate(x, (size, size), mode="bilinear", antialias=True, align_corners=False)
    with torch.autocast(x.device.type, enabled=False):  # bfloat16 would round places to 2 px
        return _warped(x.float(), matrices.to(x.device, torch.float32), size)


def _warped(x: Tensor, matrices: Tensor, size: int) -> Tensor:
    """Picture by picture as it would be alone: of one that is much larger than its crop, area means first."""
    scales = torch.linalg.det(matrices[:, :, :2]).abs().sqrt()
    shrinks = (1 / scales).int().clamp_min(1)
    crops = x.new_empty(len(x), 3, size, size)
    for shrink in shrinks.unique().tolist():
        rows = shrinks == shrink
        crops[rows] = _sampled(x[rows], matrices[rows], size, shrink)
    return crops


def _sampled(x: Tensor, matrices: Tensor, size: int, shrink: int) -> Tensor:
    height, width = x.shape[-2] // shrink, x.shape[-1] // shrink
    x = F.avg_pool2d(x, shrink)
    back = torch.linalg.inv(matrices[:, :, :2])  # crop → picture
    offset = -(back @ matrices[:, :, 2:]) / shrink
    back = back / shrink
    half, sides = size / 2, x.new_tensor([width / 2, height / 2]).view(1, 2, 1)
    # affine_grid maps [-1, 1] of the crop to [-1, 1] of the picture.
    ones = x.new_full((1, 2, 1), half)
    theta = torch.cat([back * half / sides, (back @ ones + offset - sides) / sides], dim=2)
    grid = F.affine_grid(theta, [len(x), 3, size, size], align_corners=False)
    return F.grid_sample(x, grid, mode="bilinear", padding_mode="border", align_corners=False)
