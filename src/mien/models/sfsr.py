"""DiffSFSR's network: a UNet of Stable Diffusion's kind that also sees the background (DiffSFSR, section 3.2).

The face is blanked, and the latent of what is left is given to the UNet beside z_t, in training and in generation.
Expression and identity come through cross-attention (``models.e_adapter``). The channels are diffusers' own order of
inpainting UNets: z_t (c), mask (1), masked-image latent (c); published inpainting checkpoints of SD1.5 fit. A model for
portraits is the same model with an *empty background*.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import TYPE_CHECKING, Any

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from mien.face.align import crop_matrix
from mien.face.mask import OVAL
from mien.face.templates import ffhq_matrix
from mien.models.branch import AdapterBranch
from mien.models.compound import CompoundProjection
from mien.models.e_adapter import EAdapter
from mien.models.latents import encode, takes_background
from mien.types import FloatArray, InputError

if TYPE_CHECKING:
    from diffusers import UNet2DConditionModel

FRAMINGS: dict[str, Callable[[FloatArray, int], FloatArray]] = {"canonical": crop_matrix, "ffhq": ffhq_matrix}
"""How training pictures frame a face: landmarks [478, 3] px, side -> photo px to crop px [2, 3]. "canonical" is the
embedded models' tight crop, "ffhq" that of FFHQ and CelebA-HQ, with hair and shoulders."""
GROW = 0.06  # of the oval's radius: hair line, cheeks and the blurred rim that the old face leaves
JAW = 0.10  # of the oval's height: how much lower a wide open mouth puts the chin (98% of 42,000 faces: less)
SUBROWS = 4  # samples of a pixel's height


def widen_input(unet: UNet2DConditionModel, latent_channels: int) -> UNet2DConditionModel:
    """Let a UNet see the background: its input convolution gets c + 1 more channels, zero at the start, in place.

    So it gives what it gave before, whatever the background is, and training starts from the base. One that takes a
    background already stays as it is. latent_channels: c, of the autoencoder. Raises `InputError`: the UNet's input is
    neither the latent nor an inpainting input, or its latents are others.
    """
    c, old = latent_channels, unet.conv_in
    if unet.config.out_channels == c and takes_background(unet):
        return unet
    if (unet.config.in_channels, unet.config.out_channels) != (c, c):
        raise InputError(
            f"this UNet takes {unet.config.in_channels} channels and gives {unet.config.out_channels}: only a "
            f"text-to-image UNet ({c} and {c}) can be made to take a background ({2 * c + 1})"
        )
    new = nn.Conv2d(
        2 * c + 1,
        old.out_channels,
        old.kernel_size,
        padding=old.padding,
        bias=old.bias is not None,
        device=old.weight.device,
        dtype=old.weight.dtype,
    )
    with torch.no_grad():
        new.weight.zero_()
        new.weight[:, :c] = old.weight
        if old.bias is not None and new.bias is not None:
            new.bias.copy_(old.bias)
    new.requires_grad_(old.weight.requires_grad)
    unet.conv_in = new
    unet.register_to_config(in_channels=2 * c + 1)
    return unet


def create_adapter(
    unet: UNet2DConditionModel, recognisers: Mapping[str, int], expression_width: int, tokens: int = 4
) -> EAdapter:
    """Cross-attention to the expression and to a compound identity (DiffSFSR, section 3.2), new, not attached.

    A two-layer MLP makes tokens of the expression, and one of each recogniser's embedding. Keys and values start as
    copies of the text's (``EAdapter.create``).

    Args:
        recognisers: name -> width of its embedding; one or more (DiffSFSR, Table 4). The identity embedding then has
            their widths' sum, see ``encoders.compound.JoinedIdentity``. tokens: of each embedding.
    """
    adapter = EAdapter.create(
        unet,
        sum(recognisers.values()),
        expression_width,
        expression_tokens=tokens,
        expression_projection="mlp",
    )
    assert adapter.identity is not None
    dim = unet.config.cross_attention_dim
    adapter.identity = AdapterBranch(CompoundProjection(recognisers, dim, tokens), adapter.identity.layers)
    return adapter


def face_region(
    landmarks: Tensor, size: int, grow: float | Tensor = GROW, jaw: float | Tensor = JAW
) -> Tensor:
    """What is blanked: the face's oval, grown, with room below for the jaw, as a new expression may open the mouth.

    Args:
        landmarks: [b, 478, 2 or 3] px of an upright crop of size x size.
        grow: a number, or [b]: moves the edge outwards by this share of the radius around the oval's middle.
        jaw: a number, or [b]: moves the lowest point down by this share of the oval's height, those above it less,
            those above the middle not at all.

    Returns:
        [b, 1, size, size] float32 in [0, 1], 1 inside, the covered share on the edge. Between the outline's leftmost
            and rightmost point a row is filled, which for an oval is exact.
    """
    points = landmarks[:, list(OVAL), :2].float()  # [b, n, 2]
    b, device = len(points), points.device
    grow, jaw = (torch.as_tensor(v, dtype=torch.float32, device=device).view(-1, 1) for v in (grow, jaw))
    low, high = points.amin(1, keepdim=True), points.amax(1, keepdim=True)  # [b, 1, 2]
    middle = (low + high) / 2
    height = (high - low)[..., 1]  # [b, 1]
    depth = ((points - middle)[..., 1] / height.clamp_min(1e-6) * 2).clamp_min(0)  # [b, n], 1 at the chin
    grown = middle + (points - middle) * (1 + grow[..., None])
    x, y = grown[..., 0], grown[..., 1] + jaw * height * depth
    rows = (torch.arange(size * SUBROWS, device=device) + 0.5) / SUBROWS  # [r]
    x0, y0, x1, y1 = (v[..., None] for v in (x, y, x.roll(-1, 1), y.roll(-1, 1)))  # [b, n, 1]: edges
    crosses = (torch.minimum(y0, y1) <= rows) & (rows < torch.maximum(y0, y1))  # [b, n, r]
    at = x0 + (rows - y0) / (y1 - y0).where(y1 != y0, torch.ones_like(y0)) * (x1 - x0)
    left = at.masked_fill(~crosses, torch.inf).amin(1)[..., None]  # [b, r, 1]; inf: the row is outside
    right = at.masked_fill(~crosses, -torch.inf).amax(1)[..., None]
    columns = torch.arange(size, device=device).float()
    covered = (torch.minimum(right, columns + 1) - torch.maximum(left, columns)).clamp(0, 1)  # [b, r, size]
    return covered.view(b, size, SUBROWS, size).mean(2)[:, None]


def background_conditions(vae: Any, x: Tensor, face_mask: Tensor) -> tuple[Tensor, Tensor]:
    """The fields ``background`` and ``mask`` of ``Conditions``.

    Args:
        vae: the autoencoder, as ``mien.models.latents`` takes it.
        x: [b, 3, H, W] in [-1, 1], the pictures whose surroundings stay.
        face_mask: [b, 1, H, W] in [0, 1], 1 where to generate, as of :func:`face_region`; all 1 for a sample
            is the empty background (``mien.models.latents.empty_background``).

    Returns:
        background: [b, c, h, w], the latent of the pictures with the region filled with mid-grey (0);
        mask: [b, 1, h, w] in [0, 1], the share of a latent cell's area that is to be generated. (Published
        inpainting models were shown 0 or 1 there; for 8 pixels a cell the difference is the rim alone.)
    """
    mask = face_mask.to(x)
    background = encode(vae, x * (1 - mask))
    cells = (background.shape[-2], background.shape[-1])
    return background, F.adaptive_avg_pool2d(mask.to(background), cells)
