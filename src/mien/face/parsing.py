"""A face parsing network (SegFormer, CelebAMask-HQ's 19 labels) through `transformers`, as a mask of chosen parts.

Layout of jonathandinu/face-parsing: `config.json` names the labels, `preprocessor_config.json` the input.
Optional: mien ships none, and works without one (``mask.face_mask``).
"""

from __future__ import annotations

from collections.abc import Iterable
from functools import lru_cache
from pathlib import Path

import numpy as np
from PIL import Image

from mien.errors import WHY, InputError, saying
from mien.types import FloatArray

DEFAULT = "jonathandinu/face-parsing"
# What counts as face: neither hair nor ears nor neck.
FACE_PARTS = ("skin", "nose", "eye_g", "l_eye", "r_eye", "l_brow", "r_brow", "mouth", "u_lip", "l_lip")


class FaceParser:
    """A loaded parsing network. source: a folder in `transformers` layout, or an id of the hub (fetched by
    `transformers`, cached)."""

    def __init__(self, source: str | Path = DEFAULT) -> None:
        from transformers import SegformerForSemanticSegmentation

        way = f"give a folder or hub id in the layout of {DEFAULT}"
        unread = f"The face parsing model {source} cannot be loaded ({WHY}): {way}."
        with saying(unread, OSError, ValueError, KeyError):
            network = SegformerForSemanticSegmentation.from_pretrained(source, use_safetensors=True)
            config = _preprocessing(source)
        self.network = network.eval().requires_grad_(False)
        self.size, self.mean, self.std = config
        self.labels = {str(name): int(index) for index, name in network.config.id2label.items()}

    def probabilities(self, image: Image.Image) -> FloatArray:
        """[labels, H, W] float32 in [0, 1], summing to 1 over labels, at the picture's size."""
        import torch

        height, width = self.size
        resized = image.convert("RGB").resize((width, height), Image.Resampling.BILINEAR)
        values = (np.asarray(resized, np.float32) / 255 - self.mean) / self.std
        pixels = torch.from_numpy(values).permute(2, 0, 1)[None]
        with torch.inference_mode():
            logits = self.network(pixel_values=pixels).logits  # [1, labels, h/4, w/4]
            full = torch.nn.functional.interpolate(
                logits.float(), size=(image.height, image.width), mode="bilinear", align_corners=False
            )
            result: FloatArray = full.softmax(1)[0].cpu().numpy()
        return result

    def mask(self, image: Image.Image, parts: Iterable[str] = FACE_PARTS) -> FloatArray:
        """Probability [H, W] in [0, 1] that a pixel belongs to one of `parts`. Raises `InputError`: the network has no
        label of that name."""
        names = tuple(parts)
        unknown = [name for name in names if name not in self.labels]
        if unknown:
            raise InputError(
                f"The parsing model has no label {unknown[0]}: {', '.join(sorted(self.labels))}."
            )
        chosen = self.probabilities(image)[[self.labels[name] for name in names]]
        return chosen.sum(0).clip(0, 1).astype(np.float32)


@lru_cache(maxsize=1)
def load_parser(source: str = DEFAULT) -> FaceParser:
    """`FaceParser`, kept for the next caller with the same argument."""
    return FaceParser(source)


def _preprocessing(source: str | Path) -> tuple[tuple[int, int], FloatArray, FloatArray]:
    """(height, width), mean [3] and deviation [3] of the input, from ``preprocessor_config.json``."""
    from transformers.image_processing_base import ImageProcessingMixin

    values, _ = ImageProcessingMixin.get_image_processor_dict(source)
    size = values["size"]
    height, width = (size["height"], size["width"]) if isinstance(size, dict) else (size, size)
    mean, deviation = (np.array(values[key], np.float32) for key in ("image_mean", "image_std"))
    return (int(height), int(width)), mean, deviation
