"""Expression embedding by CLIP's image encoder, as in EmojiDiff, section 3.1, and IP-Adapter."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import torch
import torch.nn.functional as F
from PIL import Image
from safetensors import SafetensorError
from safetensors.torch import load_file
from torch import Tensor

from mien import weights
from mien.errors import saying
from mien.files import read_json
from mien.models.folder import quiet
from mien.types import Face

MEAN = (0.48145466, 0.4578275, 0.40821073)  # of CLIP's training pictures, RGB in [0, 1]
STD = (0.26862954, 0.26130258, 0.27577711)
DEFAULT = "clip_vit_h"  # of the registry of weights: OpenCLIP ViT-H/14, 1024 numbers
VIT_H = {
    "hidden_size": 1280,
    "intermediate_size": 5120,
    "num_hidden_layers": 32,
    "num_attention_heads": 16,
    "patch_size": 14,
    "projection_dim": 1024,
    "hidden_act": "gelu",
}
MARGIN = 0.25  # of the face's larger side, kept around it on every side


class ClipExpression:
    """A picture's face, cut out square with some margin, as CLIP's projected image embedding [width]. The cut keeps
    what the face does and leaves out most of the scene, which is not to be transferred."""

    name = "clip"

    def __init__(self, source: str | Path | None = None, device: str | torch.device = "cpu") -> None:
        """source: a folder of ``CLIPVisionModelWithProjection``, or None: the one file of the registry of weights, of
        the size in the ``config.json`` beside it, else of ViT-H/14. Raises `InputError`: it is not there, or cannot be
        read."""
        from transformers import CLIPVisionConfig, CLIPVisionModelWithProjection

        place = Path(source) if source is not None else weights.path(DEFAULT)
        unread = f"the CLIP image encoder {place} cannot be loaded: use another copy"
        with saying(unread, OSError, ValueError, RuntimeError, SafetensorError), quiet():
            if place.is_dir():
                model = CLIPVisionModelWithProjection.from_pretrained(str(place), local_files_only=True)
            else:
                beside = place.parent / "config.json"
                config = CLIPVisionConfig(**(read_json(beside) if beside.is_file() else VIT_H))
                model = CLIPVisionModelWithProjection.from_pretrained(
                    None, config=config, state_dict=load_file(place)
                )
        self.model = model.requires_grad_(False).eval().to(device)
        self.width: int = model.config.projection_dim
        self.size: int = model.config.image_size

    def __call__(self, image: Image.Image, face: Face) -> Tensor:
        """PIL RGB and the face meant -> [width] float32."""
        levels = np.asarray(crop_square(image, face).resize((self.size, self.size), Image.Resampling.BICUBIC))
        crops = torch.from_numpy(levels.astype(np.float32) / 127.5 - 1).permute(2, 0, 1)[None]
        with torch.no_grad():
            return self.embed(crops)[0].float().cpu()

    def embed(self, crops: Tensor) -> Tensor:
        """Crops [b, 3, H, W] in [-1, 1] RGB -> [b, width]; differentiable."""
        crops = crops.to(self.model.device, self.model.dtype)
        if crops.shape[-2:] != (self.size, self.size):
            crops = F.interpolate(crops, (self.size, self.size), mode="bicubic", antialias=True)
        mean, std = (torch.tensor(x).to(crops).view(1, 3, 1, 1) for x in (MEAN, STD))
        return self.model(pixel_values=((crops + 1) / 2 - mean) / std).image_embeds


def crop_square(image: Image.Image, face: Face) -> Image.Image:
    """The square around the face's box, ``MARGIN`` wider on every side; black beyond the picture's edge."""
    x0, y0, x1, y1 = (float(v) for v in face.box)
    half = (0.5 + MARGIN) * max(x1 - x0, y1 - y0)
    x, y = (x0 + x1) / 2, (y0 + y1) / 2
    return image.crop((round(x - half), round(y - half), round(x + half), round(y + half)))
