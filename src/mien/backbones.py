"""Named backbones: everything a pipeline needs of a Stable Diffusion model, loaded one way for all.

A backbone is a diffusers folder: ours ("mini"), SD1.5, SDXL, or any other of their families, on disk or on
the hub. Beside an adapter's files may lie an ``adapter.json`` that names the encoders it was trained with
and its defaults:

    {"identity_encoder": "embedded", "expression_encoder": "embedded", "steps": 20, "guidance": 3.0}
"""

from __future__ import annotations

import copy
import importlib
import os
import warnings
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any, Protocol

import torch
from torch import Tensor

from mien.models import latents
from mien.models.controllers import ControlNetAdapter, load_controller
from mien.models.e_adapter import FILES, EAdapter
from mien.models.folder import (
    choose_device,
    choose_precision,
    load_part,
    load_scheduler,
    load_tokenizer,
    read_json,
)
from mien.models.text import EncodedText, PromptEncoder
from mien.types import InputError

if TYPE_CHECKING:
    from diffusers import UNet2DConditionModel
    from PIL import Image

    from mien.types import Face


class FaceEncoder(Protocol):
    """A picture and the face meant in it -> [width] float32: what an adapter's branch is conditioned on."""

    width: int
    name: str

    def __call__(self, image: Image.Image, face: Face) -> Tensor: ...


@dataclass(frozen=True)
class Spec:
    """A name's meaning. ``folder``: name in the registry of weights; else ``hub``: id of a model
    repository."""

    folder: str | None = None
    hub: str | None = None


SPECS = {
    "mini": Spec(folder="mini"),
    "sd15": Spec(hub="stable-diffusion-v1-5/stable-diffusion-v1-5"),
    "sdxl": Spec(hub="stabilityai/stable-diffusion-xl-base-1.0"),
}

ENCODERS = {
    ("identity", "embedded"): "mien.encoders.identity:EmbeddedIdentity",
    ("identity", "recogniser"): "mien.encoders.identity:EmbeddedRecogniser",
    ("identity", "arcface"): "mien.encoders.arcface:ArcFaceIdentity",
    ("expression", "embedded"): "mien.encoders.expression:EmbeddedExpression",
    ("expression", "clip"): "mien.encoders.clip:ClipExpression",
    ("expression", "pixels"): "mien.encoders.pixels:PixelExpression",
}

HUB_FILES = [
    "model_index.json",
    "scheduler/*.json",
    "tokenizer*/*",
    *(f"{part}/config.json" for part in ("unet", "vae", "text_encoder", "text_encoder_2")),
    *(f"{part}/diffusion_pytorch_model.safetensors" for part in ("unet", "vae")),
    *(f"{part}/model.safetensors" for part in ("text_encoder", "text_encoder_2")),
    *(f"adapter/{name}" for name in ("adapter.json", "identity.safetensors", "expression.safetensors")),
]

OFFLOADS = {"none": "", "model": "enable_model_cpu_offload", "sequential": "enable_sequential_cpu_offload"}


@dataclass(frozen=True)
class AdapterSpec:
    """Files of both branches (either may be None), the encoders they go with, and the generation defaults.

    Several recognisers are joined by "+": ``recogniser+arcface``. ``framing``: how the training pictures frame a
    face, for refacing: "canonical" (``face.align``) or "ffhq" (``face.templates``). Refacing may have defaults of its
    own: ``reface_steps``, ``reface_guidance`` (None: as portraits), and ``reface_identity``, what a lambda_id of 1 is.
    """

    identity: Path | None
    expression: Path | None
    identity_encoder: str = "arcface"
    expression_encoder: str = "clip"
    steps: int = 20
    guidance: float = 5.0
    framing: str = "canonical"
    reface_steps: int | None = None
    reface_guidance: float | None = None
    reface_identity: float = 1.0

    @property
    def settings(self) -> dict[str, Any]:
        """All but the files: what ``adapter.json`` says."""
        return {name: value for name, value in vars(self).items() if name not in FILES}


@dataclass
class Backbone:
    """A loaded model. ``size``: pixels of a side; ``factor``: pixels a latent cell; ``precision``: of UNet
    and text; ``offload``: of ``OFFLOADS``.

    The autoencoder stays in float32 where the rest is float16, whose range its activations leave (black
    images), unless its config says ``force_upcast: false``, as SDXL's repaired one does.
    """

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
        """The encoder of "identity" or "expression" that the adapter was trained with; loaded at first
        use."""
        if self.adapter is None:
            raise InputError(f"{self.name} has no adapter: give one with adapter=FOLDER")
        if branch not in self._encoders:
            name = getattr(self.adapter, f"{branch}_encoder")
            if branch == "identity" and "+" in name:
                from mien.encoders.compound import JoinedIdentity, compound

                self._encoders[branch] = JoinedIdentity(compound(name.split("+"), self.device))
                return self._encoders[branch]
            if (branch, name) not in ENCODERS:
                known = ", ".join(n for b, n in ENCODERS if b == branch)
                raise InputError(f"the adapter asks for the {branch} encoder {name!r}: known are {known}")
            module, attribute = ENCODERS[branch, name].split(":")
            try:
                make = getattr(importlib.import_module(module), attribute)
            except ModuleNotFoundError as error:
                raise InputError(f"the {branch} encoder {name!r} needs {error.name}: install it") from error
            self._encoders[branch] = make(device=self.device)
        return self._encoders[branch]

    def load_controller(self) -> EAdapter | ControlNetAdapter:
        """The adapter, under whichever controller of the ablation the expression's file is for; in this backbone's
        precision and on its device, not yet attached. It is loaded once: pipelines of one backbone share it."""
        if self.adapter is None:
            raise InputError(f"{self.name} has no adapter: give one with adapter=FOLDER")
        if self._adapter is None:
            adapter = load_controller(self.unet, self.adapter.identity, self.adapter.expression)
            self._adapter = adapter.requires_grad_(False).eval().to(self.device, self.precision)
        return self._adapter

    def load_adapter(self) -> EAdapter:
        """As :meth:`load_controller`, of an adapter that is no ControlNet."""
        adapter = self.load_controller()
        if not isinstance(adapter, EAdapter):
            raise InputError(f"the adapter of {self.name} is a ControlNet: use an E-Adapter")
        return adapter

    def encode(self, x: Tensor, generator: torch.Generator | None = None) -> Tensor:
        """Pixels x [b, 3, H, W] in [-1, 1] -> latents z [b, c, h, w] float32 at the UNet's scale.

        With a generator a variational autoencoder's latents are sampled, without it is their mean.
        """
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

    def as_diffusers(self) -> Any:
        """A stock pipeline of the same parts: what is loaded into it (LoRA, …) or enabled in it acts here too."""
        if self._stock is None:
            import diffusers

            # a copy: old configs are changed by the pipeline, with a warning
            parts = {"unet": self.unet, "vae": self.vae, "scheduler": copy.deepcopy(self.scheduler)}
            for i, (tokenizer, encoder) in enumerate(
                zip(self.prompts.tokenizers, self.prompts.encoders, strict=True)
            ):
                suffix = f"_{i + 1}" if i else ""
                parts |= {f"tokenizer{suffix}": tokenizer, f"text_encoder{suffix}": encoder}
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

        Raises:
            InputError: the model is offloaded, or the device cannot do the precision.
        """
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
        """What the UNet takes besides text tokens: for SDXL pooled text and (size, crop 0, size), else
        nothing."""
        if not self.is_sdxl or text.pooled is None:
            return {}
        ids = torch.tensor([[height, width, 0, 0, height, width]], dtype=self.precision, device=self.device)
        return {
            "added_cond_kwargs": {"text_embeds": text.pooled, "time_ids": ids.repeat(len(text.pooled), 1)}
        }


def load_backbone(
    name: str = "mini",
    device: str = "auto",
    dtype: str = "auto",
    adapter: str | Path | AdapterSpec | None = None,
    offload: str = "none",
) -> Backbone:
    """Load a model, frozen and in evaluation mode.

    Args:
        name: "mini", "sd15", "sdxl", a diffusers folder, or a hub id "owner/name".
        device: "auto" (CUDA, else Apple's GPU, else CPU) or a torch device.
        dtype: "float32", "bfloat16", "float16", or "auto": bfloat16 or float16 on CUDA, float32 elsewhere.
        adapter: folder of ``identity.safetensors`` and ``expression.safetensors`` (or ``.bin``); None: the
            folder ``adapter`` of the model, if there is one.
        offload: "none"; "model": each network waits on the CPU until it is needed (diffusers'
            ``enable_model_cpu_offload``); "sequential": each layer does (least memory, slow).

    Raises:
        InputError: no such model, an incomplete folder, or a precision or offloading that the device cannot do.
    """
    target = choose_device(device)
    precision = choose_precision(dtype, target)
    if offload not in OFFLOADS:
        raise InputError(f"offload {offload!r} is unknown: choose {', '.join(OFFLOADS)}")
    if offload != "none" and target.type == "cpu":
        raise InputError(f'offload="{offload}" saves a GPU\'s memory: with device="cpu" leave it out')
    place = target if offload == "none" else torch.device("cpu")
    folder = find_folder(name)
    index_file = folder / "model_index.json"  # names the parts, which we know, and one setting
    index = read_json(index_file) if index_file.is_file() else {}
    unet = load_part(folder, "unet", precision, place)
    vae = load_part(folder, "vae", autoencoder_precision(folder / "vae", precision), place)
    texts = [part for part in ("text_encoder", "text_encoder_2") if (folder / part).is_dir()]
    encoders = [load_part(folder, part, precision, place) for part in texts]
    tokenizers = [load_tokenizer(folder / part.replace("text_encoder", "tokenizer")) for part in texts]
    factor = latents.pixels_per_cell(vae)
    if isinstance(adapter, AdapterSpec):
        spec: AdapterSpec | None = adapter
    elif adapter is not None:
        spec = read_adapter_spec(Path(adapter))
    else:
        spec = read_adapter_spec(folder / "adapter") if (folder / "adapter").is_dir() else None
    backbone = Backbone(
        name=name,
        unet=unet,
        vae=vae,
        prompts=PromptEncoder(tokenizers, encoders),
        scheduler=load_scheduler(folder / "scheduler"),
        size=unet.config.sample_size * factor,
        factor=factor,
        device=target,
        precision=precision,
        empty_negative_is_zero=bool(index.get("force_zeros_for_empty_prompt", False)),
        adapter=spec,
        offload=offload,
    )
    backbone.offload_again()
    return backbone


def autoencoder_precision(folder: Path, precision: torch.dtype) -> torch.dtype:
    """What an autoencoder runs in beside a UNet of this precision.

    Activations of Stable Diffusion's leave float16's range, which gives black pictures; one that was repaired says
    ``force_upcast: false`` in its config (sdxl-vae-fp16-fix).
    """
    upcast = read_json(folder / "config.json").get("force_upcast", True)
    return torch.float32 if precision == torch.float16 and upcast else precision


def find_folder(name: str) -> Path:
    """The folder of a named model, a path or a hub id (fetched into the hub's cache once)."""
    spec = SPECS.get(name)
    if spec is not None and spec.folder is not None:
        from mien.weights import path

        return path(spec.folder)
    place = Path(os.path.expanduser(name))  # pathlib's raises for people whom the machine does not know
    if spec is None and place.is_dir():
        return place
    hub = spec.hub if spec is not None else name
    if hub is None or hub.count("/") != 1 or hub.startswith((".", "/", "~")):
        raise InputError(
            f"there is no model {name!r}: use {', '.join(SPECS)}, a diffusers folder or a hub id"
        )
    from huggingface_hub import snapshot_download

    try:
        return Path(snapshot_download(hub, allow_patterns=HUB_FILES))
    except Exception as error:  # the hub's client raises its own, requests' and the system's kinds
        raise InputError(
            f"the model {hub} could not be fetched: give a folder, or check name and network"
        ) from error


def _unfit(name: str, value: Any) -> str | None:
    """What a setting of ``adapter.json`` must be, if it is not; what may be left out may be null."""
    if value is None and AdapterSpec.__dataclass_fields__[name].default is None:
        return None
    if name.endswith("steps"):
        return None if type(value) is int and value >= 1 else "a whole number from 1"
    if name in ("guidance", "reface_guidance", "reface_identity"):
        return None if type(value) in (int, float) and value >= 0 else "a number from 0"
    return None if isinstance(value, str) else "a text"


def read_adapter_spec(folder: Path) -> AdapterSpec:
    """The adapter in a folder: its files, and ``adapter.json`` if there is one."""
    if not folder.is_dir():
        raise InputError(f"{folder}: there is no such adapter folder")
    identity, expression = (
        next((p for p in (folder / file, folder / f"{branch}.bin") if p.is_file()), None)
        for branch, file in FILES.items()
    )
    if identity is None and expression is None:
        raise InputError(f"{folder}: holds neither {FILES['identity']} nor {FILES['expression']}")
    settings = read_json(folder / "adapter.json") if (folder / "adapter.json").is_file() else {}
    fields = AdapterSpec.__dataclass_fields__.keys() - FILES.keys()
    if unknown := sorted(settings.keys() - fields):
        raise InputError(f"{folder / 'adapter.json'}: unknown key {unknown[0]!r}: known are {sorted(fields)}")
    for name, value in settings.items():
        if wanted := _unfit(name, value):
            raise InputError(f"{folder / 'adapter.json'}: {name} must be {wanted}, not {value!r}")
    return AdapterSpec(identity, expression, **settings)
