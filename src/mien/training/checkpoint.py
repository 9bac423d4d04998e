"""Checkpoints: safetensors and JSON only, written so that a kill at any moment leaves the last whole one."""

from __future__ import annotations

import json
import os
import shutil
from pathlib import Path
from typing import Any

import torch
from safetensors import SafetensorError
from safetensors.torch import load_file, save_file
from torch import Tensor, nn
from torch.optim import Optimizer

from mien.types import InputError


def optimizer_tensors(optimizer: Optimizer) -> dict[str, Tensor]:
    """The optimiser's state as named tensors: ``{parameter index}.{entry}``."""
    state = optimizer.state_dict()["state"]
    return {
        f"{index}.{key}": torch.as_tensor(value).detach().cpu().contiguous()
        for index, entries in state.items()
        for key, value in entries.items()
    }


def load_optimizer(optimizer: Optimizer, tensors: dict[str, Tensor]) -> None:
    """Put the state of `optimizer_tensors` back; the parameters must be in the same order."""
    state: dict[int, dict[str, Tensor]] = {}
    for name, tensor in tensors.items():
        index, key = name.split(".", 1)
        state.setdefault(int(index), {})[key] = tensor
    groups = optimizer.state_dict()["param_groups"]
    optimizer.load_state_dict({"state": state, "param_groups": groups})


def save_checkpoint(
    folder: Path,
    step: int,
    modules: dict[str, nn.Module],
    ema: dict[str, Tensor],
    optimizer: Optimizer,
    recipe: Any,
) -> Path:
    """Write ``folder/last`` in one rename; the one before becomes ``folder/previous``."""
    folder.mkdir(parents=True, exist_ok=True)
    fresh, last, previous = folder / "writing", folder / "last", folder / "previous"
    shutil.rmtree(fresh, ignore_errors=True)
    fresh.mkdir()
    for name, module in modules.items():
        tensors = {key: value.detach().cpu().contiguous() for key, value in module.state_dict().items()}
        save_file(tensors, fresh / f"{name}.safetensors")
    save_file({key: value.cpu().contiguous() for key, value in ema.items()}, fresh / "ema.safetensors")
    save_file(optimizer_tensors(optimizer), fresh / "optimizer.safetensors")
    (fresh / "state.json").write_text(json.dumps({"step": step, "recipe": recipe}, indent=1))
    if last.exists():
        shutil.rmtree(previous, ignore_errors=True)
        os.replace(last, previous)
    os.replace(fresh, last)
    return last


def find_checkpoint(folder: Path) -> Path | None:
    """The newest whole checkpoint of a run, or None."""
    for name in ("last", "previous"):
        if (folder / name / "state.json").is_file():
            return folder / name
    return None


def load_checkpoint(
    checkpoint: Path, modules: dict[str, nn.Module], ema: dict[str, Tensor], optimizer: Optimizer
) -> int:
    """Restore everything in place and return the step reached.

    Raises:
        InputError: a file of the checkpoint is missing, damaged, or of another model.
    """
    try:
        step = int(json.loads((checkpoint / "state.json").read_text())["step"])
        for name, module in modules.items():
            module.load_state_dict(load_file(checkpoint / f"{name}.safetensors"))
        for key, value in load_file(checkpoint / "ema.safetensors").items():
            ema[key].copy_(value)
        load_optimizer(optimizer, load_file(checkpoint / "optimizer.safetensors"))
    except (OSError, ValueError, KeyError, RuntimeError, SafetensorError) as error:
        raise InputError(
            f"The checkpoint {checkpoint} cannot be resumed ({error}); remove it to start afresh."
        ) from error
    return step
