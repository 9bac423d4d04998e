"""`mien`: a portrait of this person, with that expression. Importing this package loads nothing heavy.

import mien
pipe = mien.load("mini")
images = pipe(identity="me.jpg", expression="smile.jpg", prompt="a photo")
"""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from mien.pipelines.portrait import PortraitPipeline

__version__ = "0.1.0"
__all__ = ["__version__", "load"]


def load(
    backbone: str = "mini", device: str = "cpu", dtype: str = "float32", adapter: str | None = None
) -> PortraitPipeline:
    """The portrait pipeline: identity and expression pictures and a prompt in, PIL pictures out.

    Args:
        backbone: ``mini`` (ships with the package), ``sd15``, ``sdxl``, a diffusers folder or a hub id.
        device: a torch device: ``cpu``, ``cuda``, ``cuda:1``, ``mps``.
        dtype: ``float32``, ``bfloat16`` or ``float16``.
        adapter: folder or file of E-Adapter weights; None takes the backbone's own.

    Raises:
        InputError: unknown backbone, device or dtype; weights that are missing or damaged.
    """
    from mien.pipelines.portrait import PortraitPipeline

    return PortraitPipeline.load(backbone, device=device, dtype=dtype, adapter=adapter)
