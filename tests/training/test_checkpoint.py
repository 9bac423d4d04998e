"""A checkpoint is whole or not there: killed at any moment of writing one, the one before can be resumed."""

from __future__ import annotations

import os
import shutil
import signal
from pathlib import Path
from typing import Any

import pytest
import torch
from safetensors.torch import load_file, save_file
from torch import Tensor, nn

from mien.training import checkpoint
from mien.training.checkpoint import find_checkpoint, load_checkpoint, optimizer_tensors, save_checkpoint
from mien.types import InputError

MOMENTS = {
    "before anything": ("checkpoint.shutil.rmtree = lambda *a, **k: die()", 2),
    "within the first file": (
        "def half(tensors, path):\n    Path(path).write_bytes(b'half'); die()\ncheckpoint.save_file = half", 2,
    ),
    "before the state": ("Path.write_text = lambda *a: die()", 2),
    "before the old one is moved": ("os.replace = lambda *a: die()", 2),
    "between the two moves": (
        "move = os.replace\ndef second(a, b):\n    if str(a).endswith('writing'): die()\n    move(a, b)\n"
        "os.replace = second", 2,
    ),
    "after both": (
        "move = os.replace\ndef after(a, b):\n    move(a, b)\n    if str(a).endswith('writing'): die()\n"
        "os.replace = after", 3,
    ),
}  # fmt: skip


def parts() -> tuple[nn.Linear, dict[str, torch.Tensor], torch.optim.Optimizer]:
    module = nn.Linear(3, 2)
    optimizer = torch.optim.AdamW(module.parameters())
    module(torch.ones(1, 3)).sum().backward()
    optimizer.step()
    return module, {key: value.clone() for key, value in module.state_dict().items()}, optimizer


def die(*_: object) -> None:
    os.kill(os.getpid(), signal.SIGKILL)


@pytest.mark.parametrize("moment", MOMENTS)
def test_killed_while_writing(tmp_path: Path, moment: str) -> None:
    code, reached = MOMENTS[moment]
    module, ema, optimizer = parts()
    for step in (1, 2):
        with torch.no_grad():
            module.weight.fill_(step)
        save_checkpoint(tmp_path, step, {"net": module}, ema, optimizer, {})
    with torch.no_grad():
        module.weight.fill_(3)
    if (child := os.fork()) == 0:
        try:
            exec(code, {"os": os, "Path": Path, "checkpoint": checkpoint, "die": die})
            save_checkpoint(tmp_path, 3, {"net": module}, dict(module.state_dict()), optimizer, {})
        finally:
            os._exit(1)
    assert os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]) == -signal.SIGKILL
    found = find_checkpoint(tmp_path)
    assert found is not None
    fresh, ema, optimizer = parts()
    step, _ = load_checkpoint(found, {"net": fresh}, ema, optimizer)
    assert step == reached
    assert torch.equal(fresh.weight, torch.full((2, 3), float(reached)))
    save_checkpoint(tmp_path, 4, {"net": fresh}, ema, optimizer, {})
    assert find_checkpoint(tmp_path) == tmp_path / "last"


BROKEN = {
    "wrong width": ("b", lambda state: {**state, "weight": torch.ones(3, 3)}),
    "NaN": ("b", lambda state: {**state, "bias": state["bias"] * float("nan")}),
    "lacks a layer": ("b", lambda state: {"weight": state["weight"]}),
    "has another layer": ("b", lambda state: {**state, "more": torch.ones(1)}),
    "averages of another width": ("ema", lambda state: {**state, "b.weight": torch.ones(1, 3)}),
    "averages with NaN": ("ema", lambda state: {**state, "b.weight": torch.full((2, 3), float("inf"))}),
    "averages that lack one": ("ema", lambda state: {"a.weight": state["a.weight"]}),
    "moments of another width": ("optimizer", lambda state: {**state, "3.exp_avg": torch.ones(7)}),
    "moments with NaN": ("optimizer", lambda state: {**state, "0.exp_avg": torch.full((2, 3), float("nan"))}),
    "half of the moments": ("optimizer", lambda state: {k: v for k, v in state.items() if k != "3.exp_avg_sq"}),
    "moments of no parameter": ("optimizer", lambda state: {**state, "9.exp_avg": torch.ones(1)}),
    "moments without a number": ("optimizer", lambda state: {**state, "x": torch.ones(1)}),
    "truncated": ("optimizer", None), "truncated model": ("b", None), "truncated state": ("state", None),
}  # fmt: skip


@pytest.mark.parametrize("how", BROKEN)
def test_a_refused_checkpoint_changes_nothing(tmp_path: Path, how: str) -> None:
    """The broken file is the last that is read: what comes before it must not have been taken yet."""

    def make(seed: int) -> tuple[dict[str, nn.Module], dict[str, Tensor], torch.optim.Optimizer]:
        torch.manual_seed(seed)
        modules: dict[str, nn.Module] = {"a": nn.Linear(3, 2), "b": nn.Linear(3, 2)}
        optimizer = torch.optim.AdamW([p for module in modules.values() for p in module.parameters()])
        sum(module(torch.ones(1, 3)).square().sum() for module in modules.values()).backward()
        optimizer.step()
        named = {
            f"{n}.{k}": v.clone() for n, module in modules.items() for k, v in module.state_dict().items()
        }
        return modules, named, optimizer

    def everything(modules: dict[str, nn.Module], ema: dict[str, Tensor], optimizer: Any) -> list[Tensor]:
        states = [v.clone() for module in modules.values() for v in module.state_dict().values()]
        return [
            *states,
            *(v.clone() for v in ema.values()),
            *(v for _, v in sorted(optimizer_tensors(optimizer).items())),
        ]

    place = save_checkpoint(tmp_path / "run", 3, *make(0), {})
    good = shutil.copytree(place, tmp_path / "good")
    name, change = BROKEN[how]
    file = place / f"{name}.{'json' if name == 'state' else 'safetensors'}"
    if change is None:
        file.write_bytes(file.read_bytes()[: file.stat().st_size // 2])
    else:
        save_file(change(load_file(file)), file)
    parts = make(1)
    before = everything(*parts)
    with pytest.raises(InputError, match="cannot be resumed, .*; remove it") as caught:
        load_checkpoint(place, *parts)
    assert "\n" not in str(caught.value)
    assert all(torch.equal(a, b) for a, b in zip(everything(*parts), before, strict=True))
    assert load_checkpoint(good, *parts)[0] == 3
    assert all(torch.equal(a, b) for a, b in zip(everything(*parts), everything(*make(0)), strict=True))
