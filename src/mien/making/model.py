"""What a picture's metadata keep of its making so that it can be made again: fingerprints of what it was made of and
by, and the machine."""

from __future__ import annotations

import os
import platform
from concurrent.futures import ThreadPoolExecutor
from functools import cached_property
from pathlib import Path
from typing import Any

import torch
from PIL import Image

from mien.backbones import SPECS, Backbone
from mien.expressions.spec import Expression
from mien.images import read_image
from mien.provenance.hashes import hash_files, hash_folder, hash_pixels
from mien.weights import path as weights_path

PARTS = ("unet", "vae", "text_encoder", "text_encoder_2", "tokenizer", "tokenizer_2", "scheduler")


class Maker:
    """What made a picture: a loaded model and the machine under it.

    Args:
        backbone: loaded. folder: it was loaded from there. adapter: as the user gave it; its folder's name is kept.
    """

    def __init__(self, backbone: Backbone, folder: Path, adapter: str | None) -> None:
        self._backbone, self._folder = backbone, folder
        self._adapter_name = None if adapter is None else Path(adapter).resolve().name
        # The weights are hashed beside the first picture: large ones take seconds.
        self._hashing = ThreadPoolExecutor(1).submit(self._hash)

    @property
    def settings(self) -> dict[str, Any]:
        """The model, its encoders and its precision, as JSON values; folders without their path."""
        spec = self._backbone.adapter
        return {
            "backbone": self._backbone.name,
            "adapter": self._adapter_name,
            "identity_encoder": spec.identity_encoder if spec else None,
            "expression_encoder": spec.expression_encoder if spec else None,
            "device": self._backbone.device.type,
            "dtype": str(self._backbone.precision).removeprefix("torch."),
        }

    @cached_property
    def environment(self) -> dict[str, Any]:
        """What the last bits of a picture depend on beside its settings."""
        device = self._backbone.device
        name = torch.cuda.get_device_name(device) if device.type == "cuda" else platform.machine()
        return {"torch": torch.__version__, "threads": torch.get_num_threads(), "processor": name}

    @property
    def hashes(self) -> dict[str, str]:
        """sha256 of the model, of its adapter and of the networks that look at faces."""
        return self._hashing.result()

    def record(self, inputs: dict[str, Any], pixels: Image.Image, slot: int, batch: int) -> dict[str, Any]:
        """What the metadata of a picture say beyond its settings.

        Args:
            inputs: salted fingerprints of what it was made of. pixels: what the model drew, before the mark.
            slot, batch: which image of how many in one batch it was.
        """
        return {
            "inputs": inputs,
            "models": self.hashes,
            "environment": self.environment,
            "batch": {"size": batch, "slot": slot},
            "pixels": hash_pixels(pixels),
        }

    def _hash(self) -> dict[str, str]:
        found = {"backbone": hash_folder(self._folder, PARTS)}
        if spec := self._backbone.adapter:
            files = [file for file in (spec.identity, spec.expression) if file is not None]
            told = {file.parent / "adapter.json" for file in files}
            files += [file for file in told if file.is_file()]  # spacing, framing: they change the picture
            found["adapter"] = hash_files((file.stem, file) for file in files)
        names = ("detector", "analyser", "recogniser")
        found["face"] = hash_files((name, weights_path(name)) for name in names)
        return found


def model_name(backbone: str) -> str:
    """What a picture says of the model: its name or hub id; of a folder the last name alone, however it was given."""
    place = os.path.expanduser(backbone)  # as `mien.backbones.find_folder` takes it
    return Path(place).resolve().name if backbone not in SPECS and os.path.isdir(place) else backbone


def describe(expression: Expression, salt: str) -> list[dict[str, Any]]:
    """The parts of an expression as JSON values; of a picture nothing but its salted fingerprint."""
    parts: list[dict[str, Any]] = []
    for part in expression.parts:
        entry: dict[str, Any] = {"weight": part.weight}
        if part.picture is not None:
            image = part.picture if isinstance(part.picture, Image.Image) else read_image(part.picture)
            entry["picture"] = hash_pixels(image, salt)
        elif part.word is not None:
            entry["word"] = part.word
        elif part.shapes is not None:
            entry["blendshapes"] = dict(part.shapes)
        parts.append(entry)
    return parts
