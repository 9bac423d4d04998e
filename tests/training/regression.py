"""A tiny real stage for the loop's tests: a linear network learns a linear map. Run as a program, it trains slowly.

python tests/training/regression.py FOLDER STEPS PAUSE
"""

from __future__ import annotations

import os
import sys
import time
from collections.abc import Iterable
from pathlib import Path

import torch
from PIL import Image
from safetensors.torch import save_file
from torch import Tensor, nn

from mien.training.loop import LoopConfig, train

TRUTH = torch.tensor([[1.0, -2.0, 0.5]])


class Regression:
    """y = TRUTH x. `poison`: the step's loss is NaN from this batch on. `pause`: seconds a step."""

    def __init__(self, poison: int | None = None, pause: float = 0.0) -> None:
        torch.manual_seed(int(os.environ.get("RANK", 0)))  # as a stage that makes new layers may
        self.model = nn.Linear(3, 1)
        self.frozen = nn.Linear(3, 1)
        self.poison, self.pause, self.seen = poison, pause, 0

    def modules(self) -> dict[str, nn.Module]:
        return {"model": self.model, "frozen": self.frozen}

    def trainable(self) -> Iterable[nn.Parameter]:
        return self.model.parameters()

    def batch(self, size: int, rng: torch.Generator) -> dict[str, Tensor]:
        return {"x": torch.randn(size, 3, generator=rng)}  # each process draws its own

    def step(self, batch: dict[str, Tensor], rng: torch.Generator) -> tuple[Tensor, dict[str, float]]:
        time.sleep(self.pause)
        self.seen += 1
        loss = (self.model(batch["x"]) - batch["x"] @ TRUTH.T).square().mean()
        if self.poison is not None and self.seen > self.poison:
            loss = loss * float("nan")
        return loss, {"loss": loss.item()}

    def validate(self) -> tuple[dict[str, float], Image.Image | None]:
        """Only the main process validates."""
        error = (self.model.weight - TRUTH).abs().max()
        return {"error": float(error)}, Image.new("RGB", (4, 4))

    def export(self, folder: Path) -> None:
        folder.mkdir(parents=True, exist_ok=True)
        save_file(dict(self.model.state_dict()), folder / "model.safetensors")


CONFIG = {
    "steps": 60,
    "batch_size": 8,
    "lr": 0.05,
    "warmup": 5,
    "ema": 0.9,
    "precision": "no",
    "save_every": 5,
    "log_every": 1,
}


if __name__ == "__main__":
    where, count, pause = Path(sys.argv[1]), int(sys.argv[2]), float(sys.argv[3])
    stage = Regression(pause=pause)
    train(stage, LoopConfig(**{**CONFIG, "steps": count}), where, {})  # type: ignore[arg-type]
    rank = os.environ.get("RANK", "0")
    save_file(dict(stage.model.state_dict()), where / f"rank{rank}.safetensors")
