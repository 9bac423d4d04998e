"""Reading and writing adapters in IP-Adapter's layout: one file a branch.

Safetensors keys ``image_proj.*`` and ``ip_adapter.{k}.to_k_ip.weight``; a ``.bin`` holds the same as two
dictionaries. k = 1, 3, 5 … counts the cross-attention layers in the order of ``unet.attn_processors``.
"""

from __future__ import annotations

import pickle
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from mien.errors import InputError, saying
from mien.files import replacing

State = dict[str, Tensor]


def read_adapter(path: str | Path, part: str = "ip_adapter") -> tuple[State, State]:
    """(image_proj, ip_adapter) of a ``.safetensors`` or ``.bin`` file. Pickled code is never run. ``part``: another
    name for the second, in the files of controllers that IP-Adapter's layout does not know."""
    path = Path(path)
    if not path.is_file():
        raise InputError(f"{path}: there is no such adapter file")
    if path.suffix == ".safetensors":
        image_proj, weights = _split(path, read_safetensors(path)[0], part)
    elif path.suffix in (".bin", ".pt", ".pth"):
        image_proj, weights = _read_pickle(path)
    else:
        raise InputError(f"{path}: an adapter is a .safetensors or .bin file")
    if not image_proj or not weights:
        raise InputError(f"{path}: holds no image_proj and {part} weights: it is not an IP-Adapter file")
    _check(path, {**image_proj, **weights})
    return image_proj, weights


def read_state(path: str | Path) -> State:
    """The tensors of a ``.ckpt`` of names and weights. Pickled code is never run. Raises `InputError`: it is not there,
    or holds something else."""
    path = Path(path)
    if not path.is_file():
        raise InputError(f"{path}: there is no such adapter file")
    content = _unpickled(path)
    if not isinstance(content, dict) or not all(isinstance(value, Tensor) for value in content.values()):
        raise InputError(f"{path}: is not a dictionary of tensors: use another copy of the file")
    _check(path, content)
    return content


def _check(path: Path, state: State) -> None:
    for name, value in state.items():
        if not value.is_floating_point() or not torch.isfinite(value.float()).all():
            raise InputError(f"{path}: {name} holds NaN, infinite or whole numbers: use another copy")


def read_controller(path: str | Path) -> str:
    """Which controller the weights of this file are for, by its metadata: "parallel" if it says nothing."""
    path = Path(path)
    if path.suffix != ".safetensors" or not path.is_file():
        return "parallel"
    return read_safetensors(path)[1].get("controller", "parallel")


def read_safetensors(path: Path) -> tuple[State, dict[str, str]]:
    """Tensors and metadata of a file. Raises `InputError`: it is not whole."""
    from safetensors import SafetensorError, safe_open

    with (
        saying(
            f"{path}: is not a complete safetensors file: use another copy of it", SafetensorError, OSError
        ),
        safe_open(path, framework="pt") as file,
    ):
        return {key: file.get_tensor(key) for key in file.keys()}, file.metadata() or {}  # noqa: SIM118


def _split(path: Path, flat: State, part: str) -> tuple[State, State]:
    parts: dict[str, State] = {"image_proj": {}, part: {}}
    for key, value in flat.items():
        first, _, rest = key.partition(".")
        if first not in parts:
            raise InputError(f"{path}: has the key {key}, which no IP-Adapter file has")
        parts[first][rest] = value
    return parts["image_proj"], parts[part]


def _unpickled(path: Path) -> Any:
    with (
        saying(f"{path}: is damaged or holds more than weights: it is not loaded", pickle.UnpicklingError),
        saying(
            f"{path}: is not a complete weights file", RuntimeError, EOFError, OSError, ValueError, KeyError
        ),
    ):
        return torch.load(path, map_location="cpu", weights_only=True)


def _read_pickle(path: Path) -> tuple[State, State]:
    content = _unpickled(path)
    if not isinstance(content, dict) or not {"image_proj", "ip_adapter"} <= content.keys():
        raise InputError(f"{path}: holds no image_proj and ip_adapter weights: it is not an IP-Adapter file")
    for part in ("image_proj", "ip_adapter"):
        items = content[part].items() if isinstance(content[part], dict) else [(None, None)]
        if not all(isinstance(name, str) and isinstance(value, Tensor) for name, value in items):
            raise InputError(f"{path}: {part} is not a dictionary of tensors: it is not an IP-Adapter file")
    return content["image_proj"], content["ip_adapter"]


def write_adapter(
    path: str | Path, state: Mapping[str, Tensor], metadata: Mapping[str, str] | None = None
) -> None:
    """Write one branch's ``state_dict`` as safetensors, atomically. ``path`` must end in ``.safetensors``."""
    from safetensors.torch import save

    path = Path(path)
    if path.suffix != ".safetensors":
        raise InputError(f"{path}: adapters are written as .safetensors")
    flat = {name: value.detach().cpu().contiguous() for name, value in state.items()}
    path.parent.mkdir(parents=True, exist_ok=True)
    with replacing(path) as temporary:
        temporary.write_bytes(save(flat, metadata=dict(metadata or {})))
