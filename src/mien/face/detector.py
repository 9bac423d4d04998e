"""A small fully convolutional face detector: every cell of a stride-8 grid says whether a face's centre lies in it.

What it regresses is the canonical crop of ``mien.face.align`` (centre, size, tilt). It sees faces of 20 to 64 pixels;
larger ones are found on smaller copies of the picture (``mien.face.detect``). The heatmap and its loss follow Zhou et
al. 2019, "Objects as Points".
"""

from __future__ import annotations

import torch
from torch import Tensor, nn
from torch.nn import functional

STRIDE = 8
MIN_SIZE, MAX_SIZE = 20.0, 64.0  # sides in pixels of the canonical crops it is trained on


def _convolution(inputs: int, outputs: int, stride: int = 1, dilation: int = 1) -> nn.Sequential:
    return nn.Sequential(
        nn.Conv2d(inputs, outputs, 3, stride, dilation, dilation, bias=False),
        nn.BatchNorm2d(outputs),
        nn.ReLU(inplace=True),
    )


class _Residual(nn.Module):
    def __init__(self, width: int, dilation: int) -> None:
        super().__init__()
        self.first = _convolution(width, width, dilation=dilation)
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
            _convolution(3, 16, stride=2), _convolution(16, 32, stride=2), _convolution(32, width, stride=2)
        )
        self.body = nn.Sequential(*[_Residual(width, dilation) for dilation in dilations])
        self.head = nn.Sequential(_convolution(width, width), nn.Conv2d(width, 6, 1))
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
