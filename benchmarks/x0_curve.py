"""DiffSFSR's Figure 10: how well z0* is estimated inside a training step, by three estimators, as training goes on.

    python -m benchmarks.x0_curve FOLDER [FOLDER ...] [--n 500] [--out runs/bench]

Every folder is a model at one stage of its training, in order (a stage's export, or a shipped model). Measured is the
mean squared error between the decoded estimate and the picture, in grey levels squared, for held-out UTKFace faces that
are told their own surroundings, identity and expression, at t = 50, 150 ... 950. All see the same noise. Improved
midpoint is measured with its posterior noise, as training uses it, and with the posterior's mean in its place: the mean
squared error rewards estimates that are means, which samples are not.
"""

from __future__ import annotations

import argparse
from pathlib import Path

import numpy as np
import torch
from tqdm import tqdm

from benchmarks.table import Row, publish, run
from factory.training.conditions import ConditionSet, build_set
from mien.backbones import load_backbone
from mien.diffusion.schedule import Schedule
from mien.diffusion.x0 import ESTIMATORS
from mien.metrics import statistics
from mien.models.sfsr import background_conditions, face_region
from mien.pixels import to_pixels
from mien.types import FloatArray
from mien.weights import path as weights_path

NAMES = ("one-step", "midpoint", "improved-midpoint, mean", "improved-midpoint")
TIMES = tuple(range(50, 1000, 100))
BATCH = 50


@torch.no_grad()
def errors(folder: str, held: ConditionSet, rows: np.ndarray) -> dict[str, FloatArray]:
    """Estimator → [n, T] squared error in grey levels², a mean over each picture's numbers."""
    backbone = load_backbone(folder, device="cpu", dtype="float32")
    adapter = backbone.load_adapter()
    adapter.attach(backbone.unet)
    schedule = Schedule.from_config(backbone.scheduler.config)
    found = {name: np.zeros((len(rows), len(TIMES))) for name in NAMES}
    empty = backbone.prompts([""]).tokens
    for start in tqdm(range(0, len(rows), BATCH), desc=Path(folder).name, unit="batch"):
        part = rows[start : start + BATCH]
        x = to_pixels(np.stack([held.faces.crops[i] for i in part]))
        z = backbone.encode(x)
        conditions = adapter.project(
            held.identity[0, part], held.expression[0, part], empty.expand(len(part), -1, -1)
        )
        if backbone.takes_background:
            region = face_region(torch.from_numpy(held.faces.landmarks[part]), x.shape[-1])
            conditions.background, conditions.mask = background_conditions(backbone.vae, x, region)
        predict = schedule.as_noise(adapter.predict_noise(backbone.unet))
        for k, time in enumerate(TIMES):
            rng = torch.Generator().manual_seed(1000 * start + time)
            t = torch.full((len(part),), time)
            z_t = schedule.add_noise(z, torch.randn(z.shape, generator=rng), t)
            predicted = predict(z_t, t, conditions)
            for name in NAMES:
                estimator, _, mean = name.partition(", ")
                z0 = ESTIMATORS[estimator](
                    predict,
                    z_t,
                    t,
                    conditions,
                    schedule,
                    rng=rng,
                    posterior_noise=not mean,
                    predicted=predicted,
                )
                made = backbone.decode(z0).clamp(-1, 1)
                error = ((made - x) * 127.5).square().mean(dim=(1, 2, 3))
                found[name][start : start + len(part), k] = error.numpy()
    adapter.detach()
    return found


def main() -> None:
    """Command line of this benchmark."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("folders", nargs="+", help="a model at each stage of its training, in order")
    parser.add_argument("--n", type=int, default=500, help="held-out faces")
    parser.add_argument("--quick", action="store_true", help="50 faces")
    parser.add_argument("--out", type=Path, default=Path("runs/bench"))
    arguments = parser.parse_args()
    held = build_set("utkface-adults", held_out=True, encoders=weights_path("analyser").parent)
    rows = held.rows[: 50 if arguments.quick else arguments.n]
    lines: list[Row] = []
    details: dict[str, dict[str, list[float]]] = {}
    samples: dict[str, dict[str, list[float]]] = {}
    for folder in arguments.folders:
        found = errors(folder, held, rows)
        label = Path(folder).name
        *others, ours = NAMES
        for what, by_name in [
            ("all t", {name: values.mean(1) for name, values in found.items()}),
            *[
                (f"t = {t}", {name: values[:, k] for name, values in found.items()})
                for k, t in enumerate(TIMES)
            ],
        ]:
            lines.append(
                Row(
                    f"{label}, {what}: MSE by {ours}",
                    statistics.mean(by_name[ours]),
                    spec=".0f",
                    baselines={name: statistics.mean(by_name[name]) for name in others},
                    note=f"lowest on {np.mean(by_name[ours] < np.min([by_name[o] for o in others], axis=0)):.0%}",
                )
            )
        details[label] = {name: values.mean(0).tolist() for name, values in found.items()}
        samples[f"{label}, all t"] = {name: values.mean(1).tolist() for name, values in found.items()}
    title = f"Estimates of x0 on {len(rows)} held-out faces (DiffSFSR, Figure 10)"
    publish(
        arguments.out, "x0_curve", title, lines, {"times": TIMES, "mean_by_t": details, "samples": samples}
    )


if __name__ == "__main__":
    run(main)
