"""One loop for every stage: accumulation, EMA, mixed precision, logs, sheets, resume. No maths of its own.

Every random choice of step k comes from generators seeded by (seed, process, k), so a run that was killed and resumed
sees the same batches and noise as one that was not; batches made ahead by other threads are the same, too.
"""

from __future__ import annotations

import math
import time
from collections.abc import Iterable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import AbstractContextManager, nullcontext
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Protocol

import torch
from accelerate import Accelerator
from accelerate.utils import broadcast, is_tensorboard_available
from PIL import Image
from torch import Tensor, nn
from torch.nn.attention import SDPBackend, sdpa_kernel
from tqdm import tqdm

from mien.errors import InputError, choice
from mien.models.folder import bfloat16_pays
from mien.training.checkpoint import find_checkpoint, load_checkpoint, save_checkpoint, write_errors
from mien.training.journal import Journal, Means

SCHEDULES = "constant", "cosine", "hold-decay"
PRECISIONS = {"bf16": "bf16", "fp32": "no", "no": "no"}  # accelerate's "no" is also what YAML reads as false


class Stage(Protocol):
    """What is trained: its data, its loss, and what becomes of the result. The loop does the rest."""

    def modules(self) -> dict[str, nn.Module]:
        """By name, what a checkpoint saves: all that changes."""

    def trainable(self) -> Iterable[nn.Parameter]:
        """What the optimiser changes: the modules' parameters, or a part of them."""

    def batch(self, size: int, rng: torch.Generator) -> dict[str, Tensor]:
        """`size` examples drawn by `rng`, on the CPU; called in threads of its own, ahead of `step`."""

    def step(self, batch: dict[str, Tensor], rng: torch.Generator) -> tuple[Tensor, dict[str, float]]:
        """The loss of a batch, which is on the modules' device, and numbers for the log; noise comes from `rng`."""

    def validate(self) -> tuple[dict[str, float], Image.Image | None]:
        """Numbers on held-out examples, the same ones every time, and a sheet to look at."""

    def export(self, folder: Path) -> None:
        """Write the result, with averaged weights, as the package reads it."""


@dataclass
class LoopConfig:
    """Settings of a run.

    Attributes:
        steps: of the optimiser. batch_size: of one process and one part; accumulation: parts a step.
        optimizer: "adamw" or "adam"; lr, betas, weight_decay: its own. clip: largest norm of the gradient.
        warmup: steps of linear rise. schedule: constant, cosine (to 0) or hold-decay (constant, then linear to 0 from
            half).
        ema: decay of the average that is validated and exported.
        precision: "bf16" (autocast; float32 on CPUs that only emulate it) or "fp32".
        save_every, validate_every, log_every: steps. tracker: "tensorboard", beside log.csv and sheets/, or "".
        workers: threads that make batches ahead. threads: of torch on the CPU, 0: as many as it likes.
    """

    steps: int = 1000
    batch_size: int = 32
    accumulation: int = 1
    optimizer: str = "adamw"
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
    tracker: str = ""
    seed: int = 0
    workers: int = 0
    threads: int = 0

    def __post_init__(self) -> None:
        least = {"batch_size": 1, "accumulation": 1, "save_every": 1, "validate_every": 1, "log_every": 1}
        for name, low in {**least, "steps": 0, "warmup": 0, "workers": 0, "threads": 0}.items():
            if getattr(self, name) < low:
                raise InputError(f"loop.{name} must be at least {low}, not {getattr(self, name)}")


def learning_rate_factor(config: LoopConfig, step: int) -> float:
    """Multiplier of the learning rate at `step` (0-based)."""
    warm = min(1.0, (step + 1) / max(1, config.warmup))
    share = step / max(1, config.steps)
    if config.schedule == "cosine":
        return warm * 0.5 * (1 + math.cos(math.pi * min(1.0, share)))
    if config.schedule == "hold-decay":
        return warm * min(1.0, max(0.0, 2 * (1 - share)))
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
        now = [parameter.detach() for parameter in self.parameters.values()]
        torch._foreach_lerp_(list(self.values.values()), now, weight)

    @torch.no_grad()
    def swap(self) -> None:
        """Exchange averaged and trained values; call it twice to come back."""
        for name, parameter in self.parameters.items():
            trained = parameter.detach().clone()
            parameter.copy_(self.values[name])
            self.values[name].copy_(trained)


def named_trainable(stage: Stage) -> dict[str, nn.Parameter]:
    """What the stage trains, by ``{module}.{parameter}``. Raises `ValueError`: some of it is frozen."""
    parameters = list(stage.trainable())
    if not all(parameter.requires_grad for parameter in parameters):  # a loaded model comes frozen
        raise ValueError("the stage wants to train parameters that are frozen: unfreeze them in trainable()")
    wanted = {id(parameter) for parameter in parameters}
    return {
        f"{module_name}.{name}": parameter
        for module_name, module in stage.modules().items()
        for name, parameter in module.named_parameters()
        if id(parameter) in wanted
    }


def train(
    stage: Stage, config: LoopConfig, folder: Path, recipe: dict[str, Any], until: float = math.inf
) -> int:
    """Run `stage` to `config.steps`, resuming from `folder` if a checkpoint is there, and export the averaged model.

    until: where `time.monotonic` ends the run early, with a checkpoint and without an export. Returns the steps that
    are done, of this run and of those it resumed.

    Raises:
        FloatingPointError: the loss or a gradient became NaN or infinite; the last good checkpoint is kept.
        InputError: a setting is unknown, the checkpoint is not whole, or the disk is full; checkpoints are kept.
    """
    accelerator = _accelerator(config, folder)
    for module in stage.modules().values():
        module.to(accelerator.device)
        for tensor in module.state_dict().values():  # processes may have begun with other new layers
            broadcast(tensor)
    named = named_trainable(stage)
    optimizer = make_optimizer(config, list(named.values()))
    ema = Ema(named, config.ema)
    means = Means()
    start = 0
    if (checkpoint := find_checkpoint(folder)) is not None:
        start, means.sums = load_checkpoint(checkpoint, stage.modules(), ema.values, optimizer)
        accelerator.print(f"resumed {checkpoint} at step {start}")
    journal = Journal(accelerator, folder, start)

    def save(step: int) -> None:
        if accelerator.is_main_process:
            save_checkpoint(folder, step, stage.modules(), ema.values, optimizer, recipe, means.sums)

    parts = range(start * config.accumulation, config.steps * config.accumulation)
    batches = make_batches(stage, config, accelerator.process_index, parts)
    progress = tqdm(
        range(start, config.steps), initial=start, total=config.steps, mininterval=10, desc=folder.name
    )
    began, since, done = time.monotonic(), start, max(start, config.steps)
    for step in progress:
        for group in optimizer.param_groups:
            group["lr"] = config.lr * learning_rate_factor(config, step)
        for _ in range(config.accumulation):
            batch, rng = next(batches)
            batch = {k: v.to(accelerator.device) for k, v in batch.items()}
            with attention_on(accelerator.device):  # also in the backward pass, which may recompute parts
                with accelerator.autocast():
                    loss, logs = stage.step(batch, rng)
                if not math.isfinite(loss.item()):
                    parts_of_it = ", ".join(f"{key} {value:.4g}" for key, value in logs.items())
                    raise FloatingPointError(
                        _not_finite(f"the loss is not finite ({parts_of_it})", step, folder)
                    )
                accelerator.backward(loss / config.accumulation)
            means.add(logs)
        _average_gradients(accelerator, named.values())
        norm = torch.nn.utils.clip_grad_norm_(list(named.values()), config.clip)
        if not torch.isfinite(norm):
            bad = next(n for n, p in named.items() if p.grad is not None and not p.grad.isfinite().all())
            raise FloatingPointError(_not_finite(f"the gradient of {bad} is not finite", step, folder))
        optimizer.step()
        optimizer.zero_grad(set_to_none=True)
        ema.update(step)
        means.add({"grad_norm": float(norm)})
        done = step + 1
        if done % config.log_every == 0:
            found = means.take()
            pictures = (done - since) * config.batch_size * config.accumulation
            found["images_per_second"] = pictures / (time.monotonic() - began)
            journal.write(done, found)
            progress.set_postfix({k: f"{v:.4g}" for k, v in found.items() if k != "grad_norm"})
            began, since = time.monotonic(), done
        if done % config.save_every == 0 and done < config.steps:
            save(done)
        if (done % config.validate_every == 0 or done == config.steps) and accelerator.is_main_process:
            ema.swap()
            try:
                with torch.no_grad(), accelerator.autocast():
                    numbers, sheet = stage.validate()
            finally:
                ema.swap()
            journal.write(done, numbers, sheet)
            tqdm.write(f"{folder.name} step {done}: " + ", ".join(f"{k} {v:.4g}" for k, v in numbers.items()))
        if done < config.steps and _is_over(until, accelerator):
            break
    progress.close()
    save(done)
    if accelerator.is_main_process and done >= config.steps:
        ema.swap()
        with write_errors(folder / "export"):
            stage.export(folder / "export")
        ema.swap()
    accelerator.end_training()
    return done


def make_optimizer(config: LoopConfig, parameters: list[nn.Parameter]) -> torch.optim.Optimizer:
    """Adam (Kingma & Ba 2015) or AdamW (Loshchilov & Hutter 2019), by `config.optimizer`."""
    kinds = {"adam": torch.optim.Adam, "adamw": torch.optim.AdamW}
    make = kinds[choice(config.optimizer, kinds, "optimizer")]
    betas = (config.betas[0], config.betas[1])
    return make(parameters, lr=config.lr, betas=betas, weight_decay=config.weight_decay, fused=True)


def make_batches(
    stage: Stage, config: LoopConfig, process: int, parts: range
) -> Iterator[tuple[dict[str, Tensor], torch.Generator]]:
    """Each part's batch with the generator that goes on into its step; made ahead by `config.workers` threads."""

    def make(part: int) -> tuple[dict[str, Tensor], torch.Generator]:
        rng = make_rng(config.seed, process, part)
        return stage.batch(config.batch_size, rng), rng

    if config.workers == 0:
        yield from map(make, parts)
        return
    with ThreadPoolExecutor(config.workers) as pool:
        ahead = [pool.submit(make, part) for part in parts[: 2 * config.workers]]
        for part in parts:
            following = part + 2 * config.workers
            if following in parts:
                ahead.append(pool.submit(make, following))
            yield ahead.pop(0).result()


def _accelerator(config: LoopConfig, folder: Path) -> Accelerator:
    choice(config.schedule, SCHEDULES, "schedule")
    choice(config.precision, PRECISIONS, "precision")
    choice(config.tracker, ("", "tensorboard"), "tracker")
    if config.tracker and not is_tensorboard_available():
        raise InputError('tensorboard is not installed: pip install "mien[train]", or set loop.tracker=""')
    if config.threads:
        torch.set_num_threads(config.threads)
    device = "cuda" if torch.cuda.is_available() else "cpu"
    accelerator = Accelerator(
        mixed_precision=PRECISIONS[config.precision] if bfloat16_pays(device) else "no",
        project_dir=folder,
        log_with=config.tracker or None,
        cpu=device == "cpu",
    )
    if config.tracker:
        accelerator.init_trackers("tensorboard")
    return accelerator


def _is_over(until: float, accelerator: Accelerator) -> bool:
    """Whether the time is up, by the main process's clock: all must stop after the same step."""
    if until == math.inf:
        return False
    over = torch.tensor([float(time.monotonic() >= until)], device=accelerator.device)
    return bool(broadcast(over).item())


def _not_finite(what: str, step: int, folder: Path) -> str:
    checkpoint = find_checkpoint(folder)
    kept = "there is no checkpoint yet"
    if checkpoint is not None:
        kept = f"the last checkpoint, {checkpoint}, is good"
    return f"{what} at step {step}; {kept}: lower loop.lr, or look at the examples of that step"


def attention_on(device: torch.device) -> AbstractContextManager[object]:
    """On a CPU, attention in plain matrix products: its fused kernel's backward pass is 8 times slower (torch 2.13, 64
    tokens), which is 40% of a step."""
    return sdpa_kernel(SDPBackend.MATH) if device.type == "cpu" else nullcontext()


def _average_gradients(accelerator: Accelerator, parameters: Iterable[nn.Parameter]) -> None:
    if accelerator.num_processes == 1:
        return
    gradients = [parameter.grad for parameter in parameters if parameter.grad is not None]
    together = torch.cat([g.flatten() for g in gradients])  # one message
    flat: Tensor = accelerator.reduce(together, reduction="mean")
    for gradient, averaged in zip(gradients, flat.split([g.numel() for g in gradients]), strict=True):
        gradient.copy_(averaged.view_as(gradient))
