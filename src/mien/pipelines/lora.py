"""LoRAs of the ecosystem (Hu et al. 2021, arXiv 2106.09685) into a loaded model, by diffusers and peft.

A file is looked at before anything is changed, and what was loaded is counted afterwards: diffusers itself passes over
layers that a model has not, and takes NaN. What is refused is taken out again.
"""

from __future__ import annotations

import math
import warnings
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from mien.backbones import Backbone
from mien.errors import InputError, optional, saying
from mien.files import expand
from mien.models.adapter_files import read_safetensors
from mien.models.folder import quiet

USUAL = "pytorch_lora_weights.safetensors"
LYCORIS = {
    "hada_": "LoHa", "lokr_": "LoKr", "lora_mid": "LoCon", "oft_": "OFT", "on_input": "IA3", ".diff": "full",
    "dora_scale": "DoRA", "w_norm": "norms", ".a1.weight": "GLoRA",
}  # fmt: skip
"""What keys of LyCORIS's other kinds have in them (github.com/KohakuBlueleaf/LyCORIS)."""
HALVES = (("lora_down", "lora_up"), ("lora_A", "lora_B"), (".down.", ".up."))
"""The two matrices of a layer in kohya's, peft's and diffusers' older layout."""
PARTS = ("unet", "text_encoder", "text_encoder_2")


def load_lora(backbone: Backbone, path: str | Path, weight: float, loaded: dict[str, float]) -> None:
    """Add the LoRA at ``path`` to the parts of a model, with this weight. If it is refused, nothing has changed. Raises
    `InputError`: it is not there, damaged, not whole, of another kind or model, or peft is not installed.

    Args:
        path: a ``.safetensors`` file, a folder, or a hub id with or without a file of it ("owner/name/a.safetensors").
        weight: any finite number. loaded: name -> weight of those in the model already; gets the new one.
    """
    if isinstance(weight, bool) or not isinstance(weight, (int, float)) or not math.isfinite(weight):
        raise InputError(f"a LoRA's weight must be a number, not {weight!r}: 1.0 is as it was trained")
    file = _find(path)
    halves = _check(read_safetensors(file)[0], str(path))
    optional("peft", 'LoRAs need peft: pip install "mien[lora]"')
    stock, name = backbone.as_diffusers(), f"lora_{len(loaded)}"
    try:
        with warnings.catch_warnings(), quiet():
            warnings.simplefilter("ignore")  # peft's, of what is counted below
            stock.load_lora_weights(str(file), adapter_name=name, use_safetensors=True)
        found = list(_weights(stock, name))
        if len(found) != halves or not all(bool(value.isfinite().all()) for value in found):
            raise ValueError(f"{len(found)} of {halves} matrices fit")
        stock.set_adapters([*loaded, name], [*loaded.values(), weight])
    except Exception as error:  # damaged and foreign files make diffusers and peft raise many kinds
        _take_out(stock, name, loaded)
        backbone.offload_again()
        raise InputError(
            f"{path}: is not a LoRA for this model, its layers do not fit: use one for the family of {backbone.name}"
        ) from error
    loaded[name] = weight


def _find(path: str | Path) -> Path:
    """The file of a LoRA."""
    place = expand(path)
    if place.is_file():
        if place.suffix != ".safetensors":
            raise InputError(f"{path}: a LoRA is read from .safetensors only, other kinds can hold code")
        return place
    if place.is_dir():
        files = sorted(place.glob("*.safetensors"))
        chosen = [file for file in files if file.name == USUAL] or files
        if len(chosen) != 1:
            raise InputError(f"{path}: holds {len(files)} .safetensors files: name the one that is meant")
        return chosen[0]
    *hub, wanted = [*str(path).split("/", 2), USUAL][:3]
    if len(hub) != 2 or str(path).startswith((".", "/", "~")) or not wanted.endswith(".safetensors"):
        raise InputError(f"{path}: there is no such LoRA: give a .safetensors file, a folder or a hub id")
    from huggingface_hub import hf_hub_download, model_info

    owner = "/".join(hub)
    # the hub's client raises its own, its transport's and the system's kinds
    with saying(f"{path}: cannot be fetched: give a file, or check name and network", Exception):
        siblings = [file.rfilename for file in model_info(owner).siblings or []]
        names = [file for file in siblings if file.endswith(".safetensors")]
        chosen_names = [file for file in names if file == wanted] or (names if wanted == USUAL else [])
        if len(chosen_names) == 1:
            return Path(hf_hub_download(owner, chosen_names[0]))
    raise InputError(f"{path}: holds {len(names)} .safetensors files: fetch the one that is meant, name it")


def _check(state: Mapping[str, Tensor], source: str) -> int:
    """How many matrices a LoRA's file holds, after what can be said of it without the model. Raises `InputError`:
    another kind of file, half a layer, NaN."""
    for part, kind in LYCORIS.items():
        if any(part in key for key in state):
            raise InputError(f"{source}: is a LyCORIS file ({kind}), which is not read: use a plain LoRA")
    count = 0
    for key, value in state.items():
        if value.is_floating_point() and not value.float().isfinite().all():
            raise InputError(f"{source}: {key} holds NaN or infinite weights: use another copy of the file")
        for one, other in [pair for pair in HALVES if "lora" in key for pair in (pair, pair[::-1])]:
            if one not in key:
                continue
            count += 1
            if key.replace(one, other) not in state:
                raise InputError(f"{source}: has {key} without its other half: use another copy of the file")
            break
    if not count:
        raise InputError(f"{source}: holds no LoRA weights: give the file of a LoRA")
    return count


def _parts(stock: Any) -> list[Any]:
    return [part for name in PARTS if (part := getattr(stock, name, None)) is not None]


def _weights(stock: Any, name: str) -> Iterator[Tensor]:
    """The matrices that were loaded under this name, and their scales."""
    for part in _parts(stock):
        for module in part.modules():
            for half in ("lora_A", "lora_B"):
                if name in getattr(module, half, {}):
                    matrix = getattr(module, half)[name].weight
                    yield matrix * torch.as_tensor(float(module.scaling[name]), device=matrix.device)


def _take_out(stock: Any, name: str, loaded: Mapping[str, float]) -> None:
    """As if nothing had been loaded under this name, however far it came."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # peft's, that what is taken out was active
        for part in _parts(stock):
            for module in part.modules():
                if hasattr(module, "delete_adapter") and hasattr(module, "base_layer"):
                    module.delete_adapter(name)
            getattr(part, "peft_config", {}).pop(name, None)
        if loaded:
            stock.set_adapters(list(loaded), list(loaded.values()))
        else:
            stock.unload_lora_weights()
