"""One loop for every stage: accumulation, EMA, mixed precision, logs, sheets, resume. No maths of its own.

Every random choice of step k comes from generators seeded by (seed, process, k), so a run that was killed and resumed
sees the same batches and noise as one that was not.
"""

from __future__ import annotations

import math
import time
from collections.abc import Iterable
from contextlib import AbstractContextManager, nullcontext
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Protocol

import torch
from accelerate import Accelerator
from PIL import Image
from torch import Tensor, nn
from torch.nn.attention import SDPBackend, sdpa_kernel
from tqdm import tqdm

from mien.training.checkpoint import find_checkpoint, load_checkpoint, save_checkpoint


class Stage(Protocol):
    """What is trained. `modules` are saved; `trainable` may be a part of their parameters."""

    def modules(self) -> dict[str, nn.Module]: ...

    def trainable(self) -> Iterable[nn.Parameter]: ...

    def batch(self, size: int, rng: torch.Generator) -> dict[str, Tensor]: ...

    def step(self, batch: dict[str, Tensor], rng: torch.Generator) -> tuple[Tensor, dict[str, float]]: ...

    def validate(self) -> tuple[dict[str, float], Image.Image | None]: ...

    def export(self, folder: Path) -> None: ...


@dataclass
class LoopConfig:
    """Settings of a run. `schedule`: constant, cosine (to 0) or hold-decay (constant, then linear to 0 from half)."""

    steps: int = 1000
    batch_size: int = 32
    accumulation: int = 1
    lr: float = 1e-4
    betas: tuple[float, float] = (0.9, 0.999)
    weight_decay: float = 0.0
    warmup: int = 100
    schedule: str = "constant"
    clip: float = 1.0
    ema: float = 0.999
    precision: str = "bf16"
    save_every: int = 500
    validate_every: int = 1000
    log_every: int = 50
    seed: int = 0
    threads: int = 0


def learning_rate_factor(config: LoopConfig, step: int) -> float:
    """Multiplier of the learning rate at `step` (0-based)."""
    warm = min(1.0, (step + 1) / max(1, config.warmup))
    share = step / max(1, config.steps)
    if config.schedule == "cosine":
        return warm * 0.5 * (1 + math.cos(math.pi * min(1.0, share)))
    if config.schedule == "hold-decay":
        return warm * min(1.0, max(0.0, 2 * (1 - share)))
    if config.schedule != "constant":
        raise ValueError(f"unknown schedule {config.schedule!r}: constant, cosine or hold-decay")
    return warm


def make_rng(seed: int, process: int, step: int) -> torch.Generator:
    """The generator of one step of one process."""
    mixed = (seed * 1_000_003 + process) * 10_000_019 + step
    return torch.Generator().manual_seed(mixed % (2**63))


class Ema:
    """Exponential moving average of the trainable parameters, with a warm start: min(decay, (1 + k) / (10 + k))."""

    def __init__(self, parameters: dict[str, nn.Parameter], decay: float) -> None:
        self.parameters, self.decay = parameters, decay
        self.values = {name: parameter.detach().clone() for name, parameter in parameters.items()}

    @torch.no_grad()
    def update(self, step: int) -> None:
        weight = 1 - min(self.decay, (1 + step) / (10 + step))
        torch._foreach_lerp_(
            list(self.values.values()), [p.detach() for p in self.parameters.values()], weight
        )

    @torch.no_grad()
    def swap(self) -> None:
        """Exchange averaged and trained values; call it twice to come back."""
        for name, parameter in self.parameters.items():
            trained = parameter.detach().clone()
            parameter.copy_(self.values[name])
            self.values[name].copy_(trained)


def _named_trainable(stage: Stage) -> dict[str, nn.Parameter]:
    wanted = {id(parameter) for parameter in stage.trainable()}
    return {
        f"{module_name}.{name}": parameter
        for module_name, module in stage.modules().items()
        for name, parameter in module.named_parameters()
        if id(parameter) in wanted
    }


def train(stage: Stage, config: LoopConfig, folder: Path, recipe: dict[str, Any]) -> None:
    """Run `stage` to `config.steps`, resuming from `folder` if a checkpoint is there, and export the averaged model.

    Raises:
        FloatingPointError: the loss became NaN or infinite; the last good checkpoint is kept.
    """
    if config.threads:
        torch.set_num_threads(config.threads)
    accelerator = Accelerator(
        mixed_precision=config.precision,
        project_dir=folder,
        cpu=not torch.cuda.is_available(),
    )
    for module in stage.modules().values():
        module.to(accelerator.device)
    named = _named_trainable(stage)
    optimizer = torch.optim.AdamW(
        named.values(),
        lr=config.lr,
        betas=(config.betas[0], config.betas[1]),
        weight_decay=config.weight_decay,
        fused=True,
    )
    ema = Ema(named, config.ema)
    start = 0
    if (checkpoint := find_checkpoint(folder)) is not None:
        start = load_checkpoint(checkpoint, stage.modules(), ema.values, optimizer)
        accelerator.print(f"resumed {checkpoint} at step {start}")

    def save(step: int) -> None:
        if accelerator.is_main_process:
            save_checkpoint(folder, step, stage.modules(), ema.values, optimizer, recipe)

    progress = tqdm(
        range(start, config.steps), initial=start, total=config.steps, mininterval=10, desc=folder.name
    )
    sums: dict[str, float] = {}
    began = time.monotonic()
    for step in progress:
        for group in optimizer.param_groups:
            group["lr"] = config.lr * learning_rate_factor(config, step)
        for micro in range(config.accumulation):
            rng = make_rng(config.seed, accelerator.process_index, step * config.accumulation + micro)
            batch = {k: v.to(accelerator.device) for k, v in stage.batch(config.batch_size, rng).items()}
            with accelerator.autocast(), _attention(accelerator.device):
                loss, logs = stage.step(batch, rng)
            if not math.isfinite(loss.item()):
                raise FloatingPointError(
                    f"the loss is {loss.item()} at step {step}; the last checkpoint in {folder} is good"
                )
            accelerator.backward(loss / config.accumulation)
        _average_gradients(accelerator, named.values())
        norm = torch.nn.utils.clip_grad_norm_(list(named.values()), config.clip)
        optimizer.step()
        optimizer.zero_grad(set_to_none=True)
        ema.update(step)
        for key, value in {**logs, "grad_norm": float(norm)}.items():
            sums[key] = sums.get(key, 0.0) + value
        done = step + 1
        if done % config.log_every == 0:
            means = {key: value / config.log_every for key, value in sums.items()}
            means["images_per_second"] = (
                config.log_every * config.batch_size * config.accumulation / (time.monotonic() - began)
            )
            _log(accelerator, folder, done, means)
            progress.set_postfix({k: f"{v:.4g}" for k, v in means.items() if k != "grad_norm"})
            sums, began = {}, time.monotonic()
        if done % config.save_every == 0 and done < config.steps:
            save(done)
        if done % config.validate_every == 0 or done == config.steps:
            _validate(accelerator, stage, ema, folder, done)
    save(max(start, config.steps))
    if accelerator.is_main_process:
        ema.swap()
        stage.export(folder / "export")
        ema.swap()
    accelerator.end_training()


def _attention(device: torch.device) -> AbstractContextManager[object]:
    """On a CPU, attention in plain matrix products: its fused kernel's backward pass is 8 times slower (torch 2.13, 64
    tokens), which is 40% of a step."""
    return sdpa_kernel(SDPBackend.MATH) if device.type == "cpu" else nullcontext()


def _average_gradients(accelerator: Accelerator, parameters: Iterable[nn.Parameter]) -> None:
    if accelerator.num_processes == 1:
        return
    gradients = [parameter.grad for parameter in parameters if parameter.grad is not None]
    flat: Tensor = accelerator.reduce(
        torch.cat([g.flatten() for g in gradients]), reduction="mean"
    )  # one message
    for gradient, averaged in zip(gradients, flat.split([g.numel() for g in gradients]), strict=True):
        gradient.copy_(averaged.view_as(gradient))


def _log(accelerator: Accelerator, folder: Path, step: int, values: dict[str, float]) -> None:
    if not accelerator.is_main_process:
        return
    folder.mkdir(parents=True, exist_ok=True)
    path = folder / "log.csv"
    with path.open("a") as file:
        file.writelines(f"{step},{key},{value:.6g}\n" for key, value in values.items())


def _validate(accelerator: Accelerator, stage: Stage, ema: Ema, folder: Path, step: int) -> None:
    if not accelerator.is_main_process:
        return
    ema.swap()
    try:
        with torch.no_grad(), accelerator.autocast():
            numbers, sheet = stage.validate()
    finally:
        ema.swap()
    _log(accelerator, folder, step, numbers)
    tqdm.write(f"{folder.name} step {step}: " + ", ".join(f"{k} {v:.4g}" for k, v in numbers.items()))
    if sheet is not None:
        (folder / "sheets").mkdir(parents=True, exist_ok=True)
        sheet.save(folder / "sheets" / f"{step:07d}.png")
