"""The photo engine and the E-Adapter as nodes: another expression, another person, and what is in a face.

Images are ComfyUI's: [b, H, W, 3] float32 in [0, 1], RGB; masks [b, H, W]. ``mien`` must be installed in ComfyUI's
Python: ``pip install mien``. Nothing is imported from it before a node runs.
"""

from __future__ import annotations

import json
from typing import Any

import numpy as np
import torch
from PIL import Image, ImageOps

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


class LoadAdapter:
    """An E-Adapter for a model of SD1.5's or SDXL's family: a folder of its files, or "published", IP-Adapter's own."""

    CATEGORY = CATEGORY
    RETURN_TYPES = ("MIEN_ADAPTER",)
    RETURN_NAMES = ("adapter",)
    FUNCTION = "load"

    @classmethod
    def INPUT_TYPES(cls) -> dict[str, Any]:
        return {"required": {"model": ("MODEL",), "adapter": ("STRING", {"default": "published"})}}

    def load(self, model: Any, adapter: str) -> tuple[Any]:
        """Fails in one list of what is missing, and how to get it."""
        from .adapter import load

        return (load(model, adapter),)


class ApplyAdapter:
    """A model conditioned on a person and an expression: words, mixes, emoji, blendshapes, or a reference picture."""

    CATEGORY = CATEGORY
    RETURN_TYPES = ("MODEL", "IMAGE")
    RETURN_NAMES = ("model", "photo")
    FUNCTION = "apply"

    @classmethod
    def INPUT_TYPES(cls) -> dict[str, Any]:
        scale = ("FLOAT", {"default": 1.0, "min": 0.0, "max": 2.0, "step": 0.05})
        return {
            "required": {
                "model": ("MODEL",),
                "adapter": ("MIEN_ADAPTER",),
                "identity": ("IMAGE",),
                "expression": ("STRING", {"default": "joy", "multiline": False}),
                "id_scale": scale,
                "expression_scale": scale,
                "by_photo": ("BOOLEAN", {"default": True}),
            },
            "optional": {"reference": ("IMAGE",)},
        }

    def apply(
        self,
        model: Any,
        adapter: Any,
        identity: torch.Tensor,
        expression: str,
        id_scale: float = 1.0,
        expression_scale: float = 1.0,
        by_photo: bool = True,
        reference: torch.Tensor | None = None,
    ) -> tuple[Any, torch.Tensor]:
        """The model, and the photo: `by_photo`, each person's own with the expression, which then is the reference and,
        encoded, may be what the sampler starts from; else as it was given. Several pictures of `identity` are several
        people, one for each picture of a batch."""
        from mien.backbones import load_encoder
        from mien.face.analyze import analyze
        from mien.models.folder import choose_device
        from mien.pipelines.inputs import Embedder
        from mien.pipelines.lead import lead_by_photo

        from .adapter import attach

        people, shown = to_pictures(identity), expression if reference is None else to_pictures(reference)[0]
        wanted: list[Any] = [shown] * len(people)
        photos = people
        if by_photo:
            photos = wanted = lead_by_photo(analyze, people, wanted)
        with torch.no_grad():
            embeds = {}
            for branch, pictures in (("identity", people), ("expression", wanted)):
                if branch in adapter.branches:
                    name = getattr(adapter.spec, f"{branch}_encoder")
                    encoder = load_encoder(branch, name, choose_device("auto"))
                    embeds[branch] = Embedder(encoder, analyze, "largest", branch)(pictures)
            scales = {"identity": id_scale, "expression": expression_scale}
            changed = attach(model, adapter, embeds, scales)
        side = 8 * round(max(photos[0].size) / 8)
        return changed, to_images(
            [ImageOps.fit(photo, (side, side)) if by_photo else photo for photo in photos]
        )


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


NODE_CLASS_MAPPINGS = {
    "MienExpression": Expression,
    "MienSwap": Swap,
    "MienLoadAdapter": LoadAdapter,
    "MienApplyAdapter": ApplyAdapter,
    "MienAnalyse": Analyse,
}
NODE_DISPLAY_NAME_MAPPINGS = {
    "MienExpression": "Expression (mien)",
    "MienSwap": "Swap face (mien)",
    "MienLoadAdapter": "Load E-Adapter (mien)",
    "MienApplyAdapter": "Apply E-Adapter (mien)",
    "MienAnalyse": "Analyse faces (mien)",
}
