"""Named backbones: everything a pipeline needs of a Stable Diffusion model, loaded one way for all.

A backbone is a diffusers folder: ours ("mini"), SD1.5, SDXL, or any other of their families, on disk or on the hub.
Beside an adapter's files may lie an ``adapter.json`` that names the encoders it was trained with and its defaults:

    {"identity_encoder": "embedded", "expression_encoder": "embedded", "steps": 20, "guidance": 3.0}
"""

from __future__ import annotations

import copy
import warnings
from collections.abc import Sequence
from dataclasses import dataclass, field
from importlib import import_module
from pathlib import Path
from typing import TYPE_CHECKING, Any

import torch
from torch import Tensor

from mien.errors import WHY, InputError, choice, saying
from mien.files import read_json
from mien.models import latents
from mien.models.controllers import load_controller
from mien.models.e_adapter import EAdapter
from mien.models.folder import (
    choose_device,
    choose_precision,
    load_part,
    load_scheduler,
    load_single_file,
    load_tokenizer,
)
from mien.models.text import EncodedText, PromptEncoder
from mien.types import FaceEncoder
from mien.weights.adapters import AdapterSpec, find_adapter
from mien.weights.bases import configs_of, find_folder, lacks, width_of

if TYPE_CHECKING:
    from diffusers import UNet2DConditionModel

ENCODERS = {
    ("identity", "embedded"): "mien.encoders.identity:EmbeddedIdentity",
    ("identity", "recogniser"): "mien.encoders.identity:EmbeddedRecogniser",
    ("identity", "arcface"): "mien.encoders.arcface:ArcFaceIdentity",
    ("expression", "embedded"): "mien.encoders.expression:EmbeddedExpression",
    ("expression", "clip"): "mien.encoders.clip:ClipExpression",
    ("expression", "action_units"): "mien.expressions.units:ActionUnits",
    ("expression", "flame"): "mien.expressions.flame:FlameExpression",
    ("expression", "pixels"): "mien.encoders.pixels:PixelExpression",
}

OFFLOADS = {"none": "", "model": "enable_model_cpu_offload", "sequential": "enable_sequential_cpu_offload"}


def load_encoder(branch: str, name: str, device: torch.device) -> FaceEncoder:
    """The encoder of that name, of "identity" or "expression"; recognisers that are joined by "+" side by side. Raises
    `InputError`: there is no such encoder, or what it needs is not installed or not here."""
    if branch == "identity" and "+" in name:
        from mien.encoders.compound import JoinedIdentity, compound

        return JoinedIdentity(compound(name.split("+"), device))
    known = [n for b, n in ENCODERS if b == branch]
    choice(name, known, f"the adapter's {branch} encoder")
    module, attribute = ENCODERS[branch, name].split(":")
    with saying(f"the {branch} encoder {name!r} needs a package ({WHY}): install it", ModuleNotFoundError):
        make = getattr(import_module(module), attribute)
    encoder: FaceEncoder = make(device=device)
    return encoder


@dataclass
class Backbone:
    """A loaded model. ``size``: pixels of a side; ``factor``: pixels a latent cell; ``precision``: of UNet and text;
    ``offload``: of ``OFFLOADS``. The autoencoder stays in float32 where the rest is float16, whose range its
    activations leave (black images), unless its config says ``force_upcast: false``, as SDXL's repaired one does."""

    name: str
    unet: UNet2DConditionModel
    vae: Any
    prompts: PromptEncoder
    scheduler: Any
    size: int
    factor: int
    device: torch.device
    precision: torch.dtype
    empty_negative_is_zero: bool = False
    adapter: AdapterSpec | None = None
    offload: str = "none"
    _encoders: dict[str, FaceEncoder] = field(default_factory=dict)
    _stock: Any = None
    _adapter: Any = None

    @property
    def is_sdxl(self) -> bool:
        """Whether the UNet also takes pooled text and the picture's size."""
        return self.unet.config.addition_embed_type == "text_time"

    def encoder(self, branch: str) -> FaceEncoder:
        """The encoder of "identity" or "expression" that the adapter was trained with; loaded at first use."""
        if self.adapter is None:
            raise InputError(f"{self.name} has no adapter: give one with adapter=FOLDER")
        if branch not in self._encoders:
            name = getattr(self.adapter, f"{branch}_encoder")
            self._encoders[branch] = load_encoder(branch, name, self.device)
        return self._encoders[branch]

    def load_controller(self) -> EAdapter:
        """The adapter, under whichever controller of the ablation the expression's file is for; in this backbone's
        precision and on its device, not yet attached. It is loaded once: pipelines of one backbone share it."""
        if self.adapter is None:
            raise InputError(f"{self.name} has no adapter: give one with adapter=FOLDER")
        if self._adapter is None:
            adapter = load_controller(self.unet, self.adapter.identity, self.adapter.expression)
            self._adapter = adapter.requires_grad_(False).eval().to(self.device, self.precision)
        return self._adapter

    def load_adapter(self) -> EAdapter:
        """As :meth:`load_controller`, of an adapter that is not a ControlNet."""
        adapter = self.load_controller()
        if adapter.controller == "controlnet":
            raise InputError(f"the adapter of {self.name} is a ControlNet: use an E-Adapter")
        return adapter

    def encode(self, x: Tensor, generator: torch.Generator | None = None) -> Tensor:
        """Pixels x [b, 3, H, W] in [-1, 1] -> latents z [b, c, h, w] float32 at the UNet's scale. With a generator a
        variational autoencoder's latents are sampled, without it is their mean."""
        return latents.encode(self.vae, x, generator)

    def decode(self, z: Tensor, generators: Sequence[torch.Generator] | None = None) -> Tensor:
        """Latents z [b, c, h, w] -> pixels x [b, 3, H, W] float32, about [-1, 1]; see ``models.latents.decode``."""
        return latents.decode(self.vae, z, generators)

    @property
    def takes_background(self) -> bool:
        """Whether the UNet is an inpainting one, which is also told a background and a mask."""
        return latents.takes_background(self.unet)

    def empty_background(self, b: int, height: int, width: int) -> tuple[Tensor, Tensor]:
        """(background [b, c, h, w], mask [b, 1, h, w]) that leave everything to be generated."""
        return latents.empty_background(self.vae, b, height, width)

    def text_parts(self) -> dict[str, Any]:
        """Tokenizers and text encoders by diffusers' names."""
        tokenizers = zip(("tokenizer", "tokenizer_2"), self.prompts.tokenizers, strict=False)
        encoders = zip(("text_encoder", "text_encoder_2"), self.prompts.encoders, strict=False)
        return {**dict(tokenizers), **dict(encoders)}

    def as_diffusers(self) -> Any:
        """A stock pipeline of the same parts: what is loaded into it (LoRA, …) or enabled in it acts here too."""
        if self._stock is None:
            import diffusers

            # a copy: old configs are changed by the pipeline, with a warning
            parts = {"unet": self.unet, "vae": self.vae, "scheduler": copy.deepcopy(self.scheduler)}
            parts |= self.text_parts()
            if not self.is_sdxl:
                parts |= dict.fromkeys(("safety_checker", "feature_extractor"))
                parts["requires_safety_checker"] = False
            inpaint = "Inpaint" if self.takes_background else ""
            kind = f"StableDiffusion{'XL' if self.is_sdxl else ''}{inpaint}Pipeline"
            with warnings.catch_warnings():
                warnings.simplefilter("ignore", FutureWarning)
                self._stock = getattr(diffusers, kind)(**parts)
        return self._stock

    def to(self, device: torch.device | None = None, precision: torch.dtype | None = None) -> None:
        """Move all networks, in place; encoders of pictures are loaded again where they are needed. None: as it is.
        Raises `InputError`: the model is offloaded, or the device cannot do the precision."""
        if self.offload != "none":
            raise InputError("an offloaded model moves by itself: load it without offload to move it")
        device, precision = device or self.device, precision or self.precision
        choose_precision(str(precision).removeprefix("torch."), device)
        upcast = precision == torch.float16 and self.vae.config.get("force_upcast", True)
        self.unet.to(device, precision)
        self.vae.to(device, torch.float32 if upcast else precision)
        for encoder in self.prompts.encoders:
            encoder.to(device, precision)
        self.device, self.precision = device, precision
        self._encoders.clear()

    def offload_again(self) -> None:
        """Put the hooks of `offload` back, which diffusers takes away before it changes networks."""
        if self.offload != "none":
            getattr(self.as_diffusers(), OFFLOADS[self.offload])(device=self.device)

    def release(self) -> None:
        """At the end of a generation: offloaded parts go back to where they wait."""
        if self._stock is not None:
            self._stock.maybe_free_model_hooks()

    def added_conditions(self, text: EncodedText, height: int, width: int) -> dict[str, Any]:
        """What the UNet takes besides text tokens: for SDXL pooled text and (size, crop 0, size), else nothing."""
        if not self.is_sdxl or text.pooled is None:
            return {}
        ids = torch.tensor([[height, width, 0, 0, height, width]], dtype=self.precision, device=self.device)
        time_ids = ids.repeat(len(text.pooled), 1)
        return {"added_cond_kwargs": {"text_embeds": text.pooled, "time_ids": time_ids}}


def load_backbone(
    name: str = "mini",
    device: str = "auto",
    dtype: str = "auto",
    adapter: str | Path | AdapterSpec | None = None,
    offload: str = "none",
) -> Backbone:
    """Load a model, frozen and in evaluation mode. Raises `InputError`: no such model, an incomplete folder, or a
    precision or offloading that the device cannot do.

    Args:
        name: "mini", "sd15", "sdxl", "sd15-inpaint", "sdxl-inpaint", a diffusers folder, a checkpoint in one
            ``.safetensors`` file, or a hub id "owner/name".
        device: "auto" (CUDA, else Apple's GPU, else CPU) or a torch device.
        dtype: "float32", "bfloat16", "float16", or "auto": bfloat16 or float16 on CUDA, float32 elsewhere.
        adapter: folder of ``identity.safetensors`` and ``expression.safetensors`` (or ``.bin``); "published":
            IP-Adapter's own; None: the folder ``adapter`` of the model, if there is one.
        offload: "none"; "model": each network waits on the CPU until it is needed (diffusers'
            ``enable_model_cpu_offload``); "sequential": each layer does (least memory, slow).
    """
    target = choose_device(device)
    precision = choose_precision(dtype, target)
    choice(offload, OFFLOADS, "offload")
    if offload != "none" and target.type == "cpu":
        raise InputError(f'offload="{offload}" saves a GPU\'s memory: with device="cpu" leave it out')
    place = target if offload == "none" else torch.device("cpu")
    folder = find_folder(name)
    if not isinstance(adapter, AdapterSpec):
        adapter = find_adapter(adapter, folder / "adapter", width_of(folder), name)
    read = _read_checkpoint if folder.is_file() else _read_folder
    parts = read(folder, precision, place)
    unet, vae = parts["unet"], parts["vae"]
    texts = [part for part in ("text_encoder", "text_encoder_2") if part in parts]
    encoders = [parts[part] for part in texts]
    tokenizers = [parts[part.replace("text_encoder", "tokenizer")] for part in texts]
    factor = latents.pixels_per_cell(vae)
    backbone = Backbone(
        name=name,
        unet=unet,
        vae=vae,
        prompts=PromptEncoder(tokenizers, encoders),
        scheduler=parts["scheduler"],
        size=unet.config.sample_size * factor,
        factor=factor,
        device=target,
        precision=precision,
        empty_negative_is_zero=parts["empty_negative_is_zero"],
        adapter=adapter,
        offload=offload,
    )
    backbone.offload_again()
    return backbone


def _read_folder(folder: Path, precision: torch.dtype, place: torch.device) -> dict[str, Any]:
    """The parts of a diffusers folder, by diffusers' names."""
    if (missing := lacks(folder)) is not None:
        raise InputError(f"{folder / missing}: is missing: a complete diffusers folder is needed")
    index_file = folder / "model_index.json"  # names the parts, which we know, and one setting
    index = read_json(index_file) if index_file.is_file() else {}
    parts = {
        "unet": load_part(folder, "unet", precision, place),
        "vae": load_part(folder, "vae", autoencoder_precision(folder / "vae", precision), place),
        "scheduler": load_scheduler(folder / "scheduler"),
        "empty_negative_is_zero": bool(index.get("force_zeros_for_empty_prompt", False)),
    }
    for part in ("text_encoder", "text_encoder_2"):
        if (folder / part).is_dir():
            tokenizer = part.replace("text_encoder", "tokenizer")
            parts |= {
                part: load_part(folder, part, precision, place),
                tokenizer: load_tokenizer(folder / tokenizer),
            }
    return parts


def _read_checkpoint(path: Path, precision: torch.dtype, place: torch.device) -> dict[str, Any]:
    """The parts of a checkpoint in one file, by diffusers' names."""
    family, configs = configs_of(path)
    if configs is None:
        raise InputError(
            f"{path}: its configurations and tokenizers are not on this machine: run `mien models fetch {family} "
            "--only-configs`"
        )
    of_vae = autoencoder_precision(configs / "vae", precision)
    parts = load_single_file(path, configs, family == "sdxl", precision, of_vae, place)
    return parts | {"empty_negative_is_zero": family == "sdxl"}


def autoencoder_precision(folder: Path, precision: torch.dtype) -> torch.dtype:
    """What an autoencoder runs in beside a UNet of this precision: activations of Stable Diffusion's leave float16's
    range, which gives black pictures; a repaired one says ``force_upcast: false`` in its config (sdxl-vae-fp16-fix)."""
    upcast = read_json(folder / "config.json").get("force_upcast", True)
    return torch.float32 if precision == torch.float16 and upcast else precision
