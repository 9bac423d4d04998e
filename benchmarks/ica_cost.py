"""What ID-enhanced Contrast Alignment costs: an ICA step with ANI, by other estimators, and by 50 steps of sampling.

    python -m benchmarks.ica_cost [--backbone mini] [--batch 4] [--rounds 3] [--device cpu]

One training step each, forward and backward, of the same examples: plain (the Refined stage's), ICA with ANI, with
improved midpoint, and with the pictures sampled by 50 DDIM steps from z_t (Song et al. 2021; the gradient through the
last). All are run in turn in every round, in one process; the table gives medians of the rounds' times and ratios. On
a CPU processor time is counted. The examples are the two pictures of ``examples/``.
"""

from __future__ import annotations

import argparse
import statistics
import tempfile
from collections.abc import Callable
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from benchmarks.table import Row, exact, publish, run
from benchmarks.timing import seconds
from mien.data.pairs import Triple, write_triples
from mien.data.records import Manifest, Record, face_columns
from mien.diffusion.schedule import Schedule
from mien.diffusion.x0 import ESTIMATORS
from mien.face.analyze import analyze
from mien.images import read_image
from mien.provenance import save_image
from mien.training.loop import make_rng
from mien.training.stages.base import RefinedStage
from mien.training.stages.ica import IcaStage
from mien.types import Conditions, NoisePredictor

EXAMPLES = Path(__file__).resolve().parent.parent / "examples"
SAMPLING = 50


def sampled(
    predict_noise: NoisePredictor,
    z_t: Tensor,
    t: Tensor,
    conditions: Conditions,
    schedule: Schedule,
    **unused: Any,
) -> Tensor:
    """z_0 by 50 steps of DDIM from t, an estimator as those of `diffusion.x0`; gradient through the last step."""
    places = torch.linspace(1, 0, SAMPLING, dtype=torch.float64)
    z = z_t
    for k in range(SAMPLING - 1):
        now, following = ((t * float(places[i])).long() for i in (k, k + 1))
        with torch.no_grad():
            eps = predict_noise(z, now, conditions)
            z = schedule.add_noise(schedule.one_step(z, eps, now), eps, following)
    last = torch.zeros_like(t)
    return schedule.one_step(z, predict_noise(z, last, conditions), last)


def save_examples(root: Path) -> Path:
    """The example pictures as a set with two triples."""
    rows = []
    for name in ("identity", "expression"):
        image = read_image(EXAMPLES / f"{name}.png")
        save_image(image, root / f"{name}.png", {"benchmark": "ica_cost"})
        stored = {"path": f"{name}.png", "width": image.width, "height": image.height, "identity": name}
        rows.append(Record(name, name, **stored, **face_columns(analyze(image)[0])))
    Manifest.of(rows, root).write()
    pairs = (("identity", "expression"), ("expression", "identity"))
    write_triples([Triple(a, a, a, b, "", "example", b) for a, b in pairs], root, {})
    return root


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--backbone", default="mini")
    parser.add_argument("--adapter", help="folder, for a backbone without one of its own")
    parser.add_argument("--batch", type=int, default=4)
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--framing", default="canonical", choices=("canonical", "whole"))
    parser.add_argument("--out", type=Path, default=Path("runs/bench"))
    given = parser.parse_args()
    with tempfile.TemporaryDirectory() as folder:
        data = {"root": str(save_examples(Path(folder))), "framing": given.framing}
        common = {"backbone": given.backbone, "data": data, "adapter": given.adapter, "people": 0}
        common["drop"] = (0.0, 0.0, 0.0)  # so that every sample is judged
        plain, ica = RefinedStage(**common), IcaStage(**common)
        batch = ica.batch(given.batch, make_rng(0, 0, 0))
    device = ica.backbone.device
    parameters = [*plain.trainable(), *ica.trainable()]

    def step(stage: Any, estimate: Any = None) -> Callable[[], None]:
        def call() -> None:
            if estimate is not None:
                stage.estimate = estimate
            loss, _ = stage.step(batch, make_rng(0, 0, 1))
            loss.backward()
            for parameter in parameters:
                parameter.grad = None

        return call

    contenders = {
        "plain training step": step(plain),
        "ICA, ANI": step(ica, ica.estimate),
        "ICA, improved midpoint": step(ica, ESTIMATORS["improved-midpoint"]),
        f"ICA, {SAMPLING}-step sampling": step(ica, sampled),
    }

    times: dict[str, list[float]] = {name: [] for name in contenders}
    for round_ in range(-1, given.rounds):  # round -1 warms up, all but the longest
        for name, call in contenders.items():
            if round_ >= 0:
                times[name].append(seconds(call, device))
            elif "sampling" not in name:
                call()

    def ratio(a: str, b: str) -> float:
        return statistics.median(x / y for x, y in zip(times[a], times[b], strict=True))

    rows = []
    for name, own in times.items():
        rows.append(Row(f"{name}: ms", exact(1000 * statistics.median(own)), spec=".0f"))
        for other in ("plain training step", "ICA, ANI"):
            rows.append(Row(f"{name}: ÷ {other}", exact(ratio(name, other)), spec=".2f"))
    title = f"One step, forward and backward: {given.backbone}, batch {given.batch}, float32, {device}"
    details = {"settings": {key: str(value) for key, value in vars(given).items()}, "seconds": times}
    publish(given.out, "ica_cost", title, rows, details)


if __name__ == "__main__":
    run(main)
