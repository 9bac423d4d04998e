"""`mien`: a portrait of this person, with that expression. Importing this package loads nothing heavy.

import mien
photo = mien.load_photo()("me.jpg", "joy")
pipe = mien.load("mini")
images = pipe(identity="me.jpg", expression="smile.jpg", prompt="a photo")
mien.save(images[0], "portrait.png")
"""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from pathlib import Path

    from PIL import Image

    from mien.pipelines.inputs import Person
    from mien.pipelines.photo import PhotoPipeline
    from mien.pipelines.photo_swap import SwapPipeline
    from mien.pipelines.portrait import PortraitPipeline
    from mien.pipelines.reface import RefacePipeline

__version__ = "0.1.0"
__all__ = ["Person", "__version__", "load", "load_photo", "load_reface", "load_swap", "save"]


def __getattr__(name: str) -> object:
    """`Person`, which is imported where it is first asked for."""
    if name == "Person":
        from mien.pipelines.inputs import Person

        return Person
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")


def load(
    backbone: str = "mini",
    device: str = "auto",
    dtype: str = "auto",
    adapter: str | None = None,
    offload: str = "none",
    scheduler: object = None,
) -> PortraitPipeline:
    """The portrait pipeline: identity and expression pictures and a prompt in, PIL pictures out. Raises `InputError`:
    unknown backbone, device, dtype or scheduler; weights that are damaged, or missing: all in one list, before any is
    read.

    Args:
        backbone: ``mini`` (ships with the package), ``sd15``, ``sdxl``, their ``-inpaint`` kin, a diffusers folder, a
            checkpoint in one ``.safetensors`` file or a hub id.
        device: ``auto`` (CUDA, else Apple's GPU, else CPU) or a torch device: ``cpu``, ``cuda:1``, ``mps``.
        dtype: ``auto``, ``float32``, ``bfloat16`` or ``float16``.
        adapter: folder of E-Adapter weights; "published": IP-Adapter FaceID and image prompt, for SD1.5 and SDXL; None
            takes the backbone's own.
        offload: ``none``; ``model`` or ``sequential``: what is not in use waits in the CPU's memory.
        scheduler: a name (``ddim``, ``EulerAncestralDiscrete``, …) or an object of diffusers; None: DPM-Solver++.
    """
    from mien import preflight

    preflight.check(backbone, adapter)
    from mien.pipelines.portrait import PortraitPipeline

    return PortraitPipeline.from_backbone(backbone, device, dtype, adapter, offload, scheduler)


def load_photo() -> PhotoPipeline:
    """The photo engine: a photo of a person and an expression in, the photo with that expression out, at its own size.
    Needs no model but the embedded face analyser."""
    from mien.pipelines.photo import PhotoPipeline

    return PhotoPipeline()


def load_swap() -> SwapPipeline:
    """Swaps by the photo engine: a photo and pictures of other people in, the photo with their faces out, at its size.
    Needs no model but the embedded face analyser."""
    from mien.pipelines.photo_swap import SwapPipeline

    return SwapPipeline()


def load_reface(
    backbone: str = "mini", device: str = "auto", dtype: str = "auto", adapter: str | None = None
) -> RefacePipeline:
    """The refacing pipeline: a photo and an identity and / or an expression in, the photo with that face out. Args and
    raises: as of `load`; the backbone must take a background."""
    from mien import preflight

    preflight.check(backbone, adapter)
    from mien.pipelines.reface import RefacePipeline

    return RefacePipeline.from_backbone(backbone, device, dtype, adapter)


def save(image: Image.Image, path: str | Path) -> Path:
    """Write a picture that a pipeline returned, PNG, JPEG or WebP by the suffix, atomically, with metadata that a model
    made it, and how, and an invisible watermark; PIL's own `save` writes neither. Raises `InputError`: no pipeline
    returned it, or the place cannot be written to.
    """
    from mien.provenance import save_made

    return save_made(image, path)
