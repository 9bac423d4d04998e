"""Reading the parts of a diffusers folder, each by the class its own config names; devices and precisions."""

from __future__ import annotations

import importlib
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import torch

from mien.errors import InputError, choice, saying
from mien.files import read_json
from mien.weights.adapters import header
from mien.weights.bases import NETWORKS, variant

INPUT = "model.diffusion_model.input_blocks.0.0.weight"  # of a checkpoint in one file
COMPONENTS = {
    "UNet2DConditionModel": "diffusers",
    "AutoencoderKL": "diffusers",
    "AutoencoderTiny": "diffusers",
    "PatchAutoencoder": "mien.models.autoencoder",
    "CLIPTextModel": "transformers",
    "CLIPTextModelWithProjection": "transformers",
}


def recompute_activations(*parts: Any) -> None:
    """Let networks recompute their activations in the backward pass instead of keeping them, those that can."""
    for part in parts:
        if getattr(part, "_supports_gradient_checkpointing", False):
            part.enable_gradient_checkpointing()


def choose_device(device: str) -> torch.device:
    """A torch device that is there; "auto" takes the fastest."""
    if device == "auto":
        device = "mps" if torch.backends.mps.is_available() else "cpu"
        device = "cuda" if torch.cuda.is_available() else device
    with saying(
        f"there is no device {device!r} on this machine: use cpu or auto", RuntimeError, AssertionError
    ):
        place = torch.device(device)
        torch.empty(1, device=place)
    return place


def place(module: Any) -> torch.device:
    """Where a network computes: on its own device, or on the one that accelerate's offloading brings it to."""
    for part in module.modules():
        device = getattr(getattr(part, "_hf_hook", None), "execution_device", None)
        if device is not None:
            return torch.device(device)
    return next(module.parameters()).device


def choose_precision(dtype: str, device: torch.device) -> torch.dtype:
    """The precision of UNet and text encoders; refuses float16 where it gives black images."""
    known = {"float32": torch.float32, "bfloat16": torch.bfloat16, "float16": torch.float16}
    if choice(dtype, ("auto", *known), "dtype") == "auto":
        if device.type != "cuda":
            return torch.float32
        return torch.bfloat16 if torch.cuda.is_bf16_supported() else torch.float16
    if dtype == "float16" and device.type != "cuda":
        raise InputError(f"float16 gives black images on {device.type}: use float32 or bfloat16")
    return known[dtype]


def component(kind: str) -> Any:
    """The class of that name, of `COMPONENTS`."""
    return getattr(importlib.import_module(COMPONENTS[kind]), kind)


def class_of(folder: Path, part: str) -> tuple[Any, dict[str, Any]]:
    """The class that a network's own config names, and the config. Raises `InputError`: it is not readable, or of a
    kind that is not supported."""
    config = read_json(folder / part / "config.json")
    kind = config.get("_class_name") or next(iter(config.get("architectures") or []), None)
    if kind not in COMPONENTS:
        raise InputError(f"{folder / part}: is of the kind {kind}: use a model of SD1.5's or SDXL's family")
    return component(kind), config


def load_part(folder: Path, part: str, precision: torch.dtype, device: torch.device) -> Any:
    """One network of the folder, by the class its own config names."""
    make, _ = class_of(folder, part)
    dtype_argument = "dtype" if make.__module__.startswith("transformers") else "torch_dtype"
    damaged = "could not be loaded: its weights are missing, damaged or do not fit its config.json"
    with saying(f"{folder / part}: {damaged}", Exception), quiet():  # the loaders raise many kinds
        model, told = make.from_pretrained(
            str(folder / part),
            local_files_only=True,
            output_loading_info=True,
            variant=variant(folder, part) if part in NETWORKS else None,
            **{dtype_argument: precision},
        )
    # transformers fills what a file lacks with random numbers
    if lacking := sorted(set(told["missing_keys"]) & {name for name, _ in model.named_parameters()}):
        raise InputError(f"{folder / part}: the file lacks {lacking[0]}: use a whole copy of the model")
    for name, value in model.named_parameters():
        if not value.isfinite().all():
            raise InputError(f"{folder / part}: {name} holds NaN or infinite weights: use another copy")
    return model.requires_grad_(False).eval().to(device)


def load_single_file(
    path: Path,
    configs: Path,
    sdxl: bool,
    precision: torch.dtype,
    vae_precision: torch.dtype,
    device: torch.device,
) -> dict[str, Any]:
    """Networks, tokenizers and scheduler of a checkpoint in one file (CompVis' layout, as ComfyUI and Civitai have it),
    by diffusers' own conversion and names, frozen and in evaluation mode. Raises `InputError`: the file is damaged,
    incomplete, or not of this family.

    Args:
        path: ``.safetensors``. configs: a diffusers folder of the family whose weights need not be there.
        precision, vae_precision: of UNet and text encoders, and of the autoencoder.
    """
    import diffusers

    channels = header(path).get(INPUT, [0, 0])[1]
    kind = f"StableDiffusion{'XL' if sdxl else ''}{'Inpaint' if channels == 9 else ''}Pipeline"
    shared = {"config": str(configs), "local_files_only": True, "torch_dtype": precision}
    unsafe = {"safety_checker": None, "feature_extractor": None, "requires_safety_checker": False}
    damaged = "could not be loaded: it is damaged, incomplete or of another family: use another copy"
    with saying(f"{path}: {damaged}", Exception), quiet():  # the loaders raise many kinds
        unet = diffusers.UNet2DConditionModel.from_single_file(
            str(path), subfolder="unet", in_channels=channels, **shared
        )
        own = {"unet": unet} if sdxl else {"unet": unet, **unsafe}
        pipe = getattr(diffusers, kind).from_single_file(str(path), **shared, **own)
    parts = {name: part for name, part in pipe.components.items() if part is not None}
    for name, part in parts.items():
        if isinstance(part, torch.nn.Module):
            if any(not value.isfinite().all() for value in part.parameters()):
                raise InputError(f"{path}: its {name} holds NaN or infinite weights: use another copy")
            part.requires_grad_(False).eval().to(device, vae_precision if name == "vae" else precision)
    return parts


@contextmanager
def quiet() -> Iterator[None]:
    """transformers and diffusers show a bar for every network they load, however small, and warn of what we refuse."""
    from diffusers.utils import logging as of_diffusers
    from transformers.utils import logging as of_transformers

    both = (of_diffusers, of_transformers)
    states = [(log, log.is_progress_bar_enabled(), log.get_verbosity()) for log in both]
    for log, _, _ in states:
        log.disable_progress_bar()
        log.set_verbosity_error()
    try:
        yield
    finally:
        for log, shown, verbosity in states:
            log.set_verbosity(verbosity)
            if shown:
                log.enable_progress_bar()


def load_tokenizer(folder: Path) -> Any:
    """A CLIP tokenizer."""
    from transformers import CLIPTokenizer

    if not folder.is_dir():
        raise InputError(f"{folder}: the model has no tokenizer here: the folder is not complete")
    damaged = f"{folder}: could not be loaded as a tokenizer: its files are damaged"
    with saying(damaged, Exception):  # the loaders raise many kinds
        return CLIPTokenizer.from_pretrained(str(folder), local_files_only=True)


def load_scheduler(folder: Path) -> Any:
    """The noise schedule that the model was trained with, as the diffusers class its config names."""
    import diffusers

    config = read_json(folder / "scheduler_config.json")
    kind = getattr(diffusers, str(config.get("_class_name")), None)
    if not (isinstance(kind, type) and issubclass(kind, diffusers.SchedulerMixin)):
        raise InputError(f"{folder}: names no scheduler of diffusers: {config.get('_class_name')!r}")
    unfit = f"{folder}: does not suit {config['_class_name']}: use a whole copy"
    with saying(unfit, TypeError, ValueError, NotImplementedError):
        return kind.from_config(config)  # type: ignore[attr-defined]


def bfloat16_pays(device_type: str) -> bool:
    """Whether a device computes in bfloat16: accelerators do, and CPUs with AVX-512. Others emulate it, and a
    convolution then takes 10 times as long as in float32 and more."""
    return device_type != "cpu" or "AVX512" in torch.backends.cpu.get_cpu_capability()
