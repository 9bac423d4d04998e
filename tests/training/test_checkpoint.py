"""A checkpoint is whole or not there: killed at any moment of writing one, the one before can be resumed."""

from __future__ import annotations

import signal
import subprocess
import sys
from pathlib import Path

import pytest
import torch
from torch import nn

import mien
from mien.training.checkpoint import find_checkpoint, load_checkpoint, save_checkpoint

SOURCE = str(Path(mien.__file__).parents[1])
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


@pytest.mark.parametrize("moment", MOMENTS)
def test_killed_while_writing(tmp_path: Path, moment: str) -> None:
    code, reached = MOMENTS[moment]
    module, ema, optimizer = parts()
    for step in (1, 2):
        with torch.no_grad():
            module.weight.fill_(step)
        save_checkpoint(tmp_path, step, {"net": module}, ema, optimizer, {})
    program = f"""
import os, signal, sys
sys.path.insert(0, {SOURCE!r})
from pathlib import Path
import torch
from torch import nn
from mien.training import checkpoint
def die(*_): os.kill(os.getpid(), signal.SIGKILL)
module = nn.Linear(3, 2)
optimizer = torch.optim.AdamW(module.parameters())
module(torch.ones(1, 3)).sum().backward()
optimizer.step()
with torch.no_grad():
    module.weight.fill_(3)
{code}
checkpoint.save_checkpoint(Path(sys.argv[1]), 3, {{"net": module}}, dict(module.state_dict()), optimizer, {{}})
"""
    killed = subprocess.run(
        [sys.executable, "-c", program, str(tmp_path)], capture_output=True, text=True, check=False
    )
    assert killed.returncode == -signal.SIGKILL, killed.stderr
    found = find_checkpoint(tmp_path)
    assert found is not None
    fresh, ema, optimizer = parts()
    step, _ = load_checkpoint(found, {"net": fresh}, ema, optimizer)
    assert step == reached
    assert torch.equal(fresh.weight, torch.full((2, 3), float(reached)))
    save_checkpoint(tmp_path, 4, {"net": fresh}, ema, optimizer, {})
    assert find_checkpoint(tmp_path) == tmp_path / "last"
