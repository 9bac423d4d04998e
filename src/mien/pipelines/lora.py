"""LoRAs of the ecosystem (Hu et al. 2021, arXiv 2106.09685) into a loaded model, by diffusers and peft."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from mien.types import InputError


def load_lora(stock: Any, path: str | Path, weight: float, loaded: dict[str, float]) -> None:
    """Add the LoRA at ``path`` to the parts of a stock pipeline, with this weight.

    Args:
        stock: a pipeline of diffusers. path: a ``.safetensors`` file, a folder or a hub id; pickles are refused.
        loaded: name -> weight of those in the model already; gets the new one.

    Raises:
        InputError: it is not there, not whole, for another model, or peft is not installed.
    """
    place = Path(path).expanduser()
    if place.is_file() and place.suffix != ".safetensors":
        raise InputError(f"{path}: a LoRA is read from .safetensors only, other kinds can hold code")
    if not place.exists() and str(path).count("/") != 1:
        raise InputError(f"{path}: there is no such LoRA: give a .safetensors file, a folder or a hub id")
    name = f"lora_{len(loaded)}"
    try:
        stock.load_lora_weights(
            str(place if place.exists() else path), adapter_name=name, use_safetensors=True
        )
    except ValueError as error:
        if "PEFT" in str(error):
            raise InputError('LoRAs need peft: pip install "mien[lora]"') from error
        raise InputError(f"{path}: is no LoRA for this model: {_first_line(error)}") from error
    except Exception as error:  # damaged and foreign files make diffusers and peft raise many kinds
        raise InputError(
            f"{path}: could not be loaded as a LoRA for this model: {_first_line(error)}"
        ) from error
    if name not in {own for names in stock.get_list_adapters().values() for own in names}:
        raise InputError(f"{path}: holds no LoRA weights for this model")
    loaded[name] = weight
    stock.set_adapters(list(loaded), list(loaded.values()))


def _first_line(error: Exception) -> str:
    return str(error).strip().splitlines()[0] if str(error).strip() else type(error).__name__
