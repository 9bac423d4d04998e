"""Checkpoints: safetensors and JSON only, written so that a kill at any moment leaves the last whole one."""

from __future__ import annotations

import json
import os
import shutil
from collections.abc import Mapping, Sequence
from contextlib import AbstractContextManager
from pathlib import Path
from typing import Any

import torch
from safetensors import SafetensorError
from safetensors.torch import load_file, save_file
from torch import Tensor, nn
from torch.optim import Optimizer

from mien.errors import WHY, InputError, saying


def optimizer_tensors(optimizer: Optimizer) -> dict[str, Tensor]:
    """The optimiser's state as named tensors: ``{parameter index}.{entry}``."""
    state = optimizer.state_dict()["state"]
    return {
        f"{index}.{key}": torch.as_tensor(value)
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
    sums: dict[str, tuple[float, int]] | None = None,
) -> Path:
    """Write ``folder/last`` in one rename; the one before becomes ``folder/previous``. sums: what the logs have added
    up. Raises `InputError`: the disk is full or cannot be written to; the checkpoint before is kept."""
    fresh, last, previous = folder / "writing", folder / "last", folder / "previous"
    try:
        with write_errors(folder):
            folder.mkdir(parents=True, exist_ok=True)
            shutil.rmtree(fresh, ignore_errors=True)
            fresh.mkdir()
            tensors = {name: module.state_dict() for name, module in modules.items()}
            tensors |= {"ema": ema, "optimizer": optimizer_tensors(optimizer)}
            for name, state in tensors.items():
                on_cpu = {key: value.detach().cpu().contiguous() for key, value in state.items()}
                save_file(on_cpu, fresh / f"{name}.safetensors")
            facts = {"step": step, "recipe": recipe, "sums": sums or {}}
            (fresh / "state.json").write_text(json.dumps(facts, indent=1))
            if last.exists():
                shutil.rmtree(previous, ignore_errors=True)
                os.replace(last, previous)
            os.replace(fresh, last)
    finally:
        shutil.rmtree(fresh, ignore_errors=True)
    return last


def write_errors(folder: Path) -> AbstractContextManager[None]:
    """What the system says when it cannot write becomes one sentence, an `InputError`."""
    way = (
        "free some space and start the same command again; it goes on from the last checkpoint, which is kept"
    )
    return saying(f"Cannot write into {folder} ({WHY}): {way}.", OSError, SafetensorError)


def find_checkpoint(folder: Path) -> Path | None:
    """The newest whole checkpoint of a run, or None."""
    for name in ("last", "previous"):
        if (folder / name / "state.json").is_file():
            return folder / name
    return None


def load_checkpoint(
    checkpoint: Path, modules: dict[str, nn.Module], ema: dict[str, Tensor], optimizer: Optimizer
) -> tuple[int, dict[str, tuple[float, int]]]:
    """Restore everything in place and return the step reached, and the logs' sums (`save_checkpoint`). Raises
    `InputError`: a file of the checkpoint is missing, damaged, or of another model; then nothing has changed."""
    damaged = str(_unfit(checkpoint, "a file of it is missing or damaged"))
    with saying(damaged, OSError, ValueError, KeyError, TypeError, AttributeError, SafetensorError):
        state = json.loads((checkpoint / "state.json").read_text())
        step = int(state["step"])
        sums = {key: (float(total), int(count)) for key, (total, count) in state.get("sums", {}).items()}
        names = (*modules, "ema", "optimizer")
        read = {name: load_file(checkpoint / f"{name}.safetensors") for name in names}
    states = {name: module.state_dict() for name, module in modules.items()} | {"ema": ema}
    wanted: dict[str, dict[str, Sequence[int]]] = {
        name: {key: value.shape for key, value in tensors.items()} for name, tensors in states.items()
    }
    parameters = [parameter for group in optimizer.param_groups for parameter in group["params"]]
    found = {key.partition(".")[0] for key in read["optimizer"]}
    wanted["optimizer"] = {
        f"{i}.{entry}": shape
        for i, parameter in enumerate(parameters)
        if str(i) in found
        for entry, shape in (("step", ()), ("exp_avg", parameter.shape), ("exp_avg_sq", parameter.shape))
    }
    for name, shapes in wanted.items():
        _check(checkpoint, name, read[name], shapes)
    for name, module in modules.items():
        module.load_state_dict(read[name])
    for key, value in read["ema"].items():
        ema[key].copy_(value)
    load_optimizer(optimizer, read["optimizer"])
    return step, sums


def _check(
    checkpoint: Path, name: str, found: dict[str, Tensor], wanted: Mapping[str, Sequence[int]]
) -> None:
    if wrong := sorted(found.keys() ^ wanted.keys()):
        raise _unfit(checkpoint, f"{name}.safetensors {'has' if wrong[0] in found else 'lacks'} {wrong[0]}")
    for key, value in found.items():
        if value.shape != wanted[key]:
            raise _unfit(checkpoint, f"{key} is {list(value.shape)}, not {list(wanted[key])}")
        if not value.isfinite().all():
            raise _unfit(checkpoint, f"{key} in {name}.safetensors holds NaN or infinite numbers")


def _unfit(checkpoint: Path, why: str) -> InputError:
    return InputError(f"The checkpoint {checkpoint} cannot be resumed, {why}; remove it to start afresh.")
