"""The photo engine as nodes: another expression, another person, and what is in a face.

Images are ComfyUI's: [b, H, W, 3] float32 in [0, 1], RGB; masks [b, H, W]. ``mien`` must be installed in ComfyUI's
Python: ``pip install mien``. Nothing is imported from it before a node runs.
"""

from __future__ import annotations

import json
from typing import Any

import numpy as np
import torch
from PIL import Image

CATEGORY = "mien"
FACES = ["largest", "left", "right"]
REGIONS = ["all", "eyes", "brows", "mouth"]


def to_pictures(images: torch.Tensor) -> list[Image.Image]:
    """[b, H, W, 3] in [0, 1] -> b pictures, PIL RGB."""
    levels = (images.detach().cpu().clamp(0, 1) * 255).round().to(torch.uint8).numpy()
    return [Image.fromarray(level) for level in levels]


def to_images(pictures: list[Image.Image]) -> torch.Tensor:
    """b pictures of one size -> [b, H, W, 3] float32 in [0, 1]."""
    levels = np.stack([np.asarray(picture.convert("RGB")) for picture in pictures])
    return torch.from_numpy(levels.astype(np.float32) / 255)


def changed(before: list[Image.Image], after: list[Image.Image]) -> torch.Tensor:
    """[b, H, W] float32, 1 where a pixel is another."""
    masks = [(np.asarray(a) != np.asarray(b)).any(2) for a, b in zip(before, after, strict=True)]
    return torch.from_numpy(np.stack(masks).astype(np.float32))


class Expression:
    """A photo with another expression, at its own size: words, mixes, emoji, blendshapes, or a reference picture."""

    CATEGORY = CATEGORY
    RETURN_TYPES = ("IMAGE", "MASK")
    RETURN_NAMES = ("image", "drawn")
    FUNCTION = "express"

    @classmethod
    def INPUT_TYPES(cls) -> dict[str, Any]:
        return {
            "required": {
                "photo": ("IMAGE",),
                "expression": ("STRING", {"default": "joy", "multiline": False}),
                "strength": ("FLOAT", {"default": 1.0, "min": 0.0, "max": 1.5, "step": 0.05}),
                "region": (REGIONS,),
                "face": (FACES,),
            },
            "optional": {"reference": ("IMAGE",), "teeth": ("IMAGE",)},
        }

    def express(
        self,
        photo: torch.Tensor,
        expression: str,
        strength: float = 1.0,
        region: str = "all",
        face: str = "largest",
        reference: torch.Tensor | None = None,
        teeth: torch.Tensor | None = None,
    ) -> tuple[torch.Tensor, torch.Tensor]:
        """The photo, and a mask of what was drawn and not in it: what may be inpainted. A reference picture stands in
        place of the words; `teeth` is another photo of the same person."""
        import mien
        from mien.pipelines.finish import drawn_mask

        engine = mien.load_photo()
        shown = expression if reference is None else to_pictures(reference)[0]
        with_teeth = None if teeth is None else to_pictures(teeth)[0]
        results = [
            engine.express(engine.sit(one, face, with_teeth), shown, strength=strength, region=region)
            for one in to_pictures(photo)
        ]
        masks = np.stack([drawn_mask(result) for result in results])
        return to_images([result.image() for result in results]), torch.from_numpy(masks)


class Swap:
    """A photo with another person's face; its own expression, pose and light stay."""

    CATEGORY = CATEGORY
    RETURN_TYPES = ("IMAGE", "MASK")
    RETURN_NAMES = ("image", "changed")
    FUNCTION = "swap"

    @classmethod
    def INPUT_TYPES(cls) -> dict[str, Any]:
        return {"required": {"photo": ("IMAGE",), "identity": ("IMAGE",)}}

    def swap(self, photo: torch.Tensor, identity: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
        """The first picture of `identity` says whose face it is."""
        from mien.pipelines.photo_swap import SwapPipeline

        swapper, who = SwapPipeline(), to_pictures(identity)[0]
        photos = to_pictures(photo)
        made = [swapper(one, who) for one in photos]
        return to_images(made), changed(photos, made)


class Analyse:
    """What is in a picture's faces, as JSON: box, pose in degrees, and 52 blendshapes; largest first."""

    CATEGORY = CATEGORY
    RETURN_TYPES = ("STRING",)
    RETURN_NAMES = ("faces",)
    FUNCTION = "analyse"
    OUTPUT_NODE = True

    @classmethod
    def INPUT_TYPES(cls) -> dict[str, Any]:
        return {"required": {"image": ("IMAGE",)}}

    def analyse(self, image: torch.Tensor) -> dict[str, Any]:
        """One list of faces a picture."""
        from mien.face.analyze import analyze
        from mien.face.blendshapes import NAMES

        pictures = []
        for picture in to_pictures(image):
            faces = []
            for face in analyze(picture):
                shapes = dict(zip(NAMES, face.blendshapes.round(3).tolist(), strict=True))
                box, pose = face.box.round(1).tolist(), face.pose.round(1).tolist()
                faces.append({"box": box, "pose": pose, "blendshapes": shapes})
            pictures.append(faces)
        text = json.dumps(pictures, indent=1)
        return {"ui": {"text": [text]}, "result": (text,)}


NODE_CLASS_MAPPINGS = {"MienExpression": Expression, "MienSwap": Swap, "MienAnalyse": Analyse}
NODE_DISPLAY_NAME_MAPPINGS = {
    "MienExpression": "Expression (mien)",
    "MienSwap": "Swap face (mien)",
    "MienAnalyse": "Analyse faces (mien)",
}
