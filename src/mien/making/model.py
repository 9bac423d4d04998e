"""A loaded model, and what the metadata of its pictures say of it: its files, its encoders and the machine under it."""

from __future__ import annotations

import os
import platform
from concurrent.futures import ThreadPoolExecutor
from dataclasses import asdict
from functools import cached_property
from pathlib import Path
from typing import Any

import diffusers.utils.logging
import torch

from mien.backbones import load_backbone
from mien.making.wishes import PortraitWish, RefaceWish
from mien.provenance.hashes import hash_files, hash_folder
from mien.weights import path as weights_path
from mien.weights.bases import HUB_IDS, find_folder

PARTS = ("unet", "vae", "text_encoder", "text_encoder_2", "tokenizer", "tokenizer_2", "scheduler")


class Model:
    """One backbone in memory for all that is made with it; the arguments are those of ``mien.load``."""

    def __init__(
        self,
        backbone: str = "mini",
        device: str = "auto",
        dtype: str = "auto",
        adapter: str | None = None,
        name: str = "",
    ) -> None:
        """`name`: what pictures call the model; "": see `model_name`."""
        diffusers.utils.logging.disable_progress_bar()  # loading takes a second
        self._folder = find_folder(backbone)
        self.backbone = load_backbone(str(self._folder), device, dtype, adapter)
        self.backbone.name = name or model_name(backbone)
        self._adapter_name = None if adapter is None else Path(adapter).resolve().name
        # The weights are hashed beside the first picture: large ones take seconds.
        self._hashing = ThreadPoolExecutor(1).submit(self._hash)

    @property
    def settings(self) -> dict[str, Any]:
        """The model, its encoders and its precision, as JSON values; folders without their path."""
        spec = self.backbone.adapter
        return {
            "backbone": self.backbone.name,
            "adapter": self._adapter_name,
            "identity_encoder": spec.identity_encoder if spec else None,
            "expression_encoder": spec.expression_encoder if spec else None,
            "device": self.backbone.device.type,
            "dtype": str(self.backbone.precision).removeprefix("torch."),
        }

    def settings_of(self, kind: str, wish: PortraitWish | RefaceWish, pipe: Any) -> dict[str, Any]:
        """See `Maker.settings`; what the wish leaves open is the pipeline's."""
        asked = asdict(wish)
        left = [name for name in ("steps", "guidance", "lead") if asked.get(name, 0) is None]
        own = {name: getattr(pipe, name) for name in left}
        scheduler = type(pipe.scheduler).__name__
        return {"kind": kind, **asked, **own, **self.settings, "scheduler": scheduler}

    @cached_property
    def environment(self) -> dict[str, Any]:
        """What the last bits of a picture depend on beside its settings."""
        device = self.backbone.device
        name = torch.cuda.get_device_name(device) if device.type == "cuda" else platform.machine()
        return {"torch": torch.__version__, "threads": torch.get_num_threads(), "processor": name}

    @property
    def hashes(self) -> dict[str, str]:
        """sha256 of the model, of its adapter and of the networks that look at faces."""
        return self._hashing.result()

    def _hash(self) -> dict[str, str]:
        found = {"backbone": hash_model(self._folder)}
        if spec := self.backbone.adapter:
            files = [file for file in (spec.identity, spec.expression) if file is not None]
            told = {file.parent / "adapter.json" for file in files}
            files += [file for file in told if file.is_file()]  # framing: it changes the picture
            found["adapter"] = hash_files((file.stem, file) for file in files)
        names = ("detector", "analyser", "recogniser")
        found["face"] = hash_files((name, weights_path(name)) for name in names)
        return found


def hash_model(place: Path) -> str:
    """sha256 of the parts of a diffusers folder, or of a checkpoint in one file."""
    return hash_files([("checkpoint", place)]) if place.is_file() else hash_folder(place, PARTS)


def model_name(backbone: str) -> str:
    """What a picture says of the model: its name or hub id; of a folder the last name alone, however it was given."""
    place = os.path.expanduser(backbone)  # as `mien.backbones.find_folder` takes it
    return Path(place).resolve().name if backbone not in HUB_IDS and os.path.isdir(place) else backbone
