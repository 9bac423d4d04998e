"""What users of diffusers know a pipeline by: its methods' names, and how its results come."""

from __future__ import annotations

import json
import shutil
from collections.abc import Callable, Mapping, Sequence
from functools import partial
from pathlib import Path
from typing import Any, NoReturn

import numpy as np
import torch
from PIL import Image
from torch import Tensor

from mien.backbones import OFFLOADS, Backbone
from mien.errors import InputError, choice, saying
from mien.files import expand
from mien.models.e_adapter import EAdapter
from mien.models.folder import choose_device, quiet
from mien.pipelines.arguments import one_of
from mien.pipelines.lora import load_lora
from mien.pixels import to_bytes
from mien.weights.adapters import AdapterSpec

StepEnd = Callable[[Any, int, Tensor, dict[str, Any]], Mapping[str, Any]]
"""``callback_on_step_end(pipe, i, t, {"latents": [b, c, h, w]})`` -> what of it is to be another; after every step."""
OUTPUTS = ("pil", "np", "pt", "latent")


class Images(list[Image.Image]):
    """A call's pictures, PIL RGB; ``.images`` is the list itself, for who writes ``pipe(...).images[0]``."""

    @property
    def images(self) -> Images:
        return self


class DiffusersNames:
    """The methods that all pipelines have by diffusers' names."""

    backbone: Backbone
    adapter: EAdapter
    _loras: dict[str, float]

    @classmethod
    def from_pretrained(
        cls: Any,
        name: str | Path,
        torch_dtype: torch.dtype | str | None = None,
        device: str = "auto",
        adapter: str | Path | AdapterSpec | None = None,
        scheduler: Any = None,
        use_safetensors: bool = True,
        dtype: torch.dtype | str | None = None,
        **others: Any,
    ) -> Any:
        """``from_backbone`` by diffusers' names; nothing but safetensors is read. Raises `InputError`: as of it, and
        for what diffusers' own takes and this does not."""
        if not use_safetensors:
            raise InputError("use_safetensors=False would read pickles, which can hold code: leave it out")
        refuse(others, NOT_LOADED)
        wanted = one_of(("torch_dtype", "dtype"), torch_dtype, dtype) or "auto"
        pipe = cls.from_backbone(str(name), device, str(wanted).removeprefix("torch."), adapter)
        if scheduler is not None:
            pipe.scheduler = scheduler
        return pipe

    @property
    def components(self) -> dict[str, Any]:
        """The networks by diffusers' names (unet, vae, text_encoder, tokenizer, scheduler, …), and the adapter."""
        parts = {**self.backbone.as_diffusers().components, "scheduler": self.backbone.scheduler}
        return {name: part for name, part in parts.items() if part is not None} | {"adapter": self.adapter}

    def to(self, *where: Any, device: Any = None, dtype: Any = None) -> Any:
        """Move the model and its adapter, in place: a device, a dtype (float32, bfloat16, float16), or both. Raises
        `InputError`: neither; no such device; a precision that it cannot do; or the model is offloaded."""
        for one in where:
            if isinstance(one, torch.dtype):
                dtype = one
            elif isinstance(one, (str, torch.device, int)):
                device = f"cuda:{one}" if isinstance(one, int) else one
            else:
                raise InputError(f"to() takes a device and a torch dtype, not a {type(one).__name__}")
        if device is None and dtype is None:
            raise InputError('to() moves nothing without a device or a dtype: give "cuda" or torch.bfloat16')
        with quiet():  # diffusers warns of modules to keep in float32, of which there are none
            self.backbone.to(None if device is None else choose_device(str(device)), dtype)
        self.adapter.to(self.backbone.device, self.backbone.precision)
        self.adapter.forget()
        return self

    def enable_model_cpu_offload(self, gpu_id: int | None = None, device: Any = None) -> None:
        """Each network waits on the CPU until it is needed; as ``mien.load(..., offload="model")``."""
        _offload(self, "model", gpu_id, device)

    def enable_sequential_cpu_offload(self, gpu_id: int | None = None, device: Any = None) -> None:
        """Each layer waits on the CPU until it is needed; as ``mien.load(..., offload="sequential")``."""
        _offload(self, "sequential", gpu_id, device)

    def save_pretrained(self, folder: str | Path) -> None:
        """Write a folder in diffusers' layout with the adapter beside it, which `from_pretrained` and stock diffusers
        read. Raises `InputError`: LoRAs are loaded, the model is offloaded, or the folder holds something."""
        place = expand(folder)
        if self._loras:
            raise InputError("save_pretrained writes models without LoRAs: unload_loras() first")
        if self.backbone.offload != "none":
            raise InputError("an offloaded model cannot be saved: load it without offload")
        if place.exists() and (not place.is_dir() or any(place.iterdir())):
            raise InputError(f"{folder}: is not an empty folder: name another")
        try:
            self.backbone.as_diffusers().save_pretrained(place)
            self.backbone.scheduler.save_pretrained(place / "scheduler")
            self.adapter.save(place / "adapter")
            if self.backbone.adapter is not None:
                self.backbone.adapter.write(place / "adapter")
        except OSError as error:
            shutil.rmtree(place, ignore_errors=True)
            raise InputError(f"{folder}: cannot be written to: choose another place") from error

    def enable_attention_slicing(self, slice_size: str | int | None = "auto") -> None:
        """Attention in slices of heads, for less memory (diffusers' "auto", "max" or a number; None: off)."""
        self.adapter.detach()
        try:
            with saying(f"attention slices of {slice_size!r} do not fit the UNet: use 'auto'", ValueError):
                self.backbone.unet.set_attention_slice(slice_size)
        finally:
            self.adapter.attach(self.backbone.unet)

    def enable_vae_slicing(self) -> None:
        """Decode one picture of a batch at a time, for less memory."""
        _enable_vae(self.backbone, "slicing")

    def enable_vae_tiling(self) -> None:
        """Decode a picture tile by tile, for less memory at large sizes."""
        _enable_vae(self.backbone, "tiling")

    def load_lora(self, path: str | Path, weight: float = 1.0) -> None:
        """Add a LoRA of the ecosystem (diffusers', kohya's or peft's layout), LCM's too; several add up. path: a
        ``.safetensors`` file, a folder or a hub id. Raises `InputError`: it is not there, not whole, damaged, of
        another kind (LyCORIS) or for another model; or the extra ``lora`` is not installed. Then nothing has changed.
        """
        load_lora(self.backbone, path, weight, self._loras)

    def unload_loras(self) -> None:
        """Take all LoRAs out again."""
        if self._loras:
            self.backbone.as_diffusers().unload_lora_weights()
            self._loras.clear()

    unload_lora_weights = unload_loras

    def load_lora_weights(
        self, path: str | Path, weight_name: str | None = None, adapter_name: str | None = None
    ) -> None:
        """`load_lora`, with all of its weight; `weight_name`: the file that is meant of a folder or a hub id. Any
        `adapter_name` will do: LoRAs add up."""
        load_lora(self.backbone, path if weight_name is None else f"{path}/{weight_name}", 1.0, self._loras)

    def __getattr__(self, name: str) -> Any:
        """Device, dtype and networks by diffusers' names; of a method that ours have not, one that says what to do."""
        if name in NETWORKS:
            return self.components.get(name)
        if name in ("device", "dtype"):
            return self.backbone.device if name == "device" else self.backbone.precision
        if name in METHODS:
            return partial(_refuse_method, name)
        raise AttributeError(f"{type(self).__name__!r} object has no attribute {name!r}")


NETWORKS = ("unet", "vae", "text_encoder", "text_encoder_2", "tokenizer", "tokenizer_2")

_INSTEAD = json.loads(Path(__file__).with_suffix(".json").read_text(encoding="utf-8"))
METHODS: dict[str, str] = _INSTEAD["methods"]
"""What diffusers' pipelines do and ours do not, and what to do instead."""
REFUSED: dict[str, str] = _INSTEAD["arguments"]
"""The same of what diffusers' calls take."""
NOT_LOADED: dict[str, str] = _INSTEAD["loading"]
"""The same of ``from_pretrained``."""


def _refuse_method(method: str, *_: Any, **__: Any) -> NoReturn:
    raise InputError(f"{method}: {METHODS[method]}")


def refuse(others: Mapping[str, Any], known: Mapping[str, str] = REFUSED) -> None:
    """What diffusers takes and we do not, unless it only says diffusers' own default again.

    Raises:
        InputError: one of `known`. TypeError: an argument that nobody has.
    """
    for name, value in others.items():
        if name not in known:
            raise TypeError(f"got an unexpected keyword argument {name!r}")
        nothing = value is None or value is (name == "return_dict")
        if not nothing and not (name in ("eta", "guidance_rescale") and value == 0):
            raise InputError(f"{name}: {known[name]}")


def check_output(output_type: Any, known: Sequence[str] = OUTPUTS) -> None:
    """Raises InputError for what no result comes as."""
    choice(output_type, known, "output_type")


def step_end(
    pipe: Any, callback: StepEnd | None, inputs: Sequence[str]
) -> Callable[[int, Tensor, Tensor], Tensor] | None:
    """`callback` as ``generate`` calls it: (i, t, latents) -> latents. Raises `InputError`: it asks for other tensors
    than the latents; later, it gives something else."""
    if callback is None:
        return None
    call: Any = callback
    if not callable(call) or list(inputs) != ["latents"]:
        raise InputError('callback_on_step_end must be a function that asks for ["latents"] alone')

    def after(i: int, t: Tensor, z: Tensor) -> Tensor:
        given = call(pipe, i, t, {"latents": z})
        if given is None:
            return z
        changed = given.get("latents", z) if isinstance(given, Mapping) else None
        if not isinstance(changed, Tensor) or changed.shape != z.shape:
            raise InputError(f"callback_on_step_end must give latents of shape {tuple(z.shape)}")
        return changed.to(z)

    return after


def to_pil(pixels: Tensor) -> list[Image.Image]:
    """[b, 3, H, W] in [-1, 1] -> b pictures, RGB."""
    return [Image.fromarray(levels) for levels in to_bytes(pixels)]


def as_output(parts: Sequence[Tensor], output_type: str) -> Any:
    """Batches [b, 3, H, W] in [-1, 1] (latents [b, c, h, w]) as "pil": `Images`; "pt": [n, 3, H, W] in [0, 1]; "np":
    [n, H, W, 3] float32 in [0, 1]; "latent": [n, c, h, w]."""
    if output_type == "pil":
        return Images(image for part in parts for image in to_pil(part))
    whole = torch.cat(list(parts))
    if output_type == "latent":
        return whole
    whole = (whole + 1) / 2
    return whole if output_type == "pt" else whole.permute(0, 2, 3, 1).numpy()


def pictures_as(pictures: Sequence[Image.Image], output_type: str) -> Any:
    """Pictures, PIL RGB, as of `as_output`. Raises `InputError`: an array of pictures that differ in size."""
    if output_type == "pil":
        return Images(pictures)
    if len({picture.size for picture in pictures}) > 1:
        raise InputError('photos of several sizes do not fit one array: use output_type="pil"')
    levels = np.stack([np.asarray(picture) for picture in pictures]).astype(np.float32) / 255
    return levels if output_type == "np" else torch.from_numpy(levels).permute(0, 3, 1, 2)


def _offload(pipe: DiffusersNames, how: str, gpu_id: int | None, device: Any) -> None:
    chosen = device if device is not None else "auto" if gpu_id is None else f"cuda:{gpu_id}"
    target = choose_device(str(chosen))
    if target.type == "cpu":
        raise InputError(f'{OFFLOADS[how]} saves a GPU\'s memory: without one (device "cpu") leave it out')
    pipe.backbone.device, pipe.backbone.offload = target, how
    pipe.adapter.to(target)
    pipe.backbone.offload_again()


def _enable_vae(backbone: Backbone, what: str) -> None:
    enable = getattr(backbone.vae, f"enable_{what}", None)
    if enable is None:
        raise InputError(f"the autoencoder of {backbone.name} has no {what}, it is small: leave it out")
    enable()
