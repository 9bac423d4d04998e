"""Improved midpoint's walk from t to t/2: one Gaussian draw against the paper's loop of t - t/2 steps.

    python -m benchmarks.x0_cost [--t 999] [--rounds 5] [--shape 8 4 64 64]

Both start from the same z_t and z_0 (DiffSFSR Eq. 2, z_0 held), run in turn in one process; the table gives medians of
the times and of their ratio. Equal result: with the noise off, the largest difference of the two in float64; with it,
mean and standard deviation of the difference from that mean. Limit: at least 50 times faster.
"""

from __future__ import annotations

import argparse
import statistics
from pathlib import Path

import torch
from torch import Tensor

from benchmarks.table import Row, exact, publish, run
from benchmarks.timing import seconds
from mien.diffusion.schedule import Schedule
from mien.diffusion.x0 import posterior_step
from mien.types import InputError


def walk(z: Tensor, z_0: Tensor, t: int, schedule: Schedule, rng: torch.Generator | None) -> Tensor:
    """The loop: q(z_{s-1} | z_s, z_0) for s = t … t/2 + 1 (Ho et al. 2020, Eqs. 6-7); `rng` None: means."""
    for s in range(t, t // 2, -1):
        bar, before = float(schedule.alpha_bar[s]), float(schedule.alpha_bar[s - 1])
        alpha = bar / before
        z = (alpha**0.5 * (1 - before) * z + before**0.5 * (1 - alpha) * z_0) / (1 - bar)
        if rng is not None:
            noise = torch.randn(z.shape, generator=rng, dtype=z.dtype)
            z = z + ((1 - alpha) * (1 - before) / (1 - bar)) ** 0.5 * noise
    return z


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--t", type=int, default=999)
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--shape", type=int, nargs=4, default=[8, 4, 64, 64], metavar=("B", "C", "H", "W"))
    parser.add_argument("--out", type=Path, default=Path("runs/bench"))
    given = parser.parse_args()
    if not 2 <= given.t <= 999:
        raise InputError(f"t = {given.t} has no walk: give 2 to 999.")
    schedule = Schedule.from_config(
        {
            "num_train_timesteps": 1000,
            "beta_schedule": "scaled_linear",
            "beta_start": 0.00085,
            "beta_end": 0.012,
        }
    )
    rng = torch.Generator().manual_seed(0)
    z_t, z_0 = (torch.randn(given.shape, generator=rng) for _ in range(2))
    t = torch.full((given.shape[0],), given.t)

    def closed(noise: bool = True, dtype: torch.dtype = torch.float32) -> Tensor:
        z = z_t.to(dtype)
        drawn = torch.randn(z.shape, generator=rng, dtype=dtype) if noise else None
        return posterior_step(z, z_0.to(dtype), t, schedule, drawn)

    def loop(noise: bool = True, dtype: torch.dtype = torch.float32) -> Tensor:
        return walk(z_t.to(dtype), z_0.to(dtype), given.t, schedule, rng if noise else None)

    mean = loop(noise=False, dtype=torch.float64)
    difference = (closed(noise=False, dtype=torch.float64) - mean).abs().max().item()
    spread = {name: call().double() - mean for name, call in (("loop", loop), ("closed", closed))}
    times: dict[str, list[float]] = {"loop": [], "closed": []}
    many = 20  # draws timed together: one is too short to time by itself
    for _ in range(given.rounds):
        times["loop"].append(seconds(loop))
        times["closed"].append(seconds(lambda: [closed() for _ in range(many)][-1]) / many)
    ratio = statistics.median(a / b for a, b in zip(times["loop"], times["closed"], strict=True))
    rows = [
        Row("loop ÷ closed form", exact(ratio), 50.0, spec=".0f"),
        Row("largest difference of the means, float64", exact(difference), 1e-9, at_least=False, spec=".1e"),
    ]
    for name, label in (("loop", f"loop of {given.t - given.t // 2} steps"), ("closed", "closed form")):
        noise = spread[name]
        rows += [
            Row(f"{label}: ms", exact(1000 * statistics.median(times[name])), spec=".2f"),
            Row(f"{label}: noise, mean", exact(noise.mean().item()), spec="+.4f"),
            Row(f"{label}: noise, deviation", exact(noise.std().item()), spec=".4f"),
        ]
    title = f"Walk from t = {given.t} to {given.t // 2}, latents {'x'.join(map(str, given.shape))}, CPU time"
    publish(given.out, "x0_cost", title, rows, {"settings": {k: str(v) for k, v in vars(given).items()}})


if __name__ == "__main__":
    run(main)
