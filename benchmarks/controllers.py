"""EmojiDiff's four expression controllers at the embedded default's scale (supplement A.2, Fig. 1), from one command.

    python -m benchmarks.controllers [--train-steps 60] [--n 40] [--out runs/controllers] [--quick]

(a) self-attention, (b) ControlNet, (c) serial and (d) parallel cross-attention start from one adapter: the shipped
identity branch and expression projection, the expression's own weights new in each. Each is trained by the recipe
`mini_base` on the frozen base, with the same examples, noise and steps; then each makes the same portraits of the same
held-out pairs (`portrait_benchmark`) with the same seeds. MediaPipe and dlib judge. Columns: ID (cosine to the
identity), Exp and LMS (to the reference), leak (cosine to the *reference's* person); and the noise error of held-out
faces, with what a step costs. What is trained and scored in OUT is not trained and scored again.

The rate is above the recipe's, since what is trained starts at nothing and the run is short. The scales are 1.
"""

from __future__ import annotations

import argparse
import json
import os
import shutil
import time
from functools import cache
from pathlib import Path
from typing import Any

import numpy as np
import torch
from PIL import Image
from tqdm import tqdm

from benchmarks.held_out import Pair, pairs
from benchmarks.portrait_benchmark import contact_sheet, judge
from benchmarks.small_sets import as_set, few
from benchmarks.table import Row, exact, publish, run
from mien.backbones import load_backbone
from mien.files import write_text
from mien.metrics import statistics
from mien.metrics.face import id_similarity
from mien.metrics.scoring import Observation, Scorer, load_scorer
from mien.models.controllers import CONTROLLERS, change_controller
from mien.pipelines.portrait import PortraitPipeline
from mien.provenance import save_image
from mien.training.loop import LoopConfig, train
from mien.training.recipe import read_recipe
from mien.training.stages.base import BaseStage
from mien.types import InputError

RECIPE = "mini_base"
SETS = ("lfw-gray", "utkface-adults")
TRAINED_ON, VALIDATED_ON = 600, 64  # pictures of each set
METHOD = "parallel"
MEASURES = ("id", "exp", "lms", "leak")
BATCH, SHOWN = 8, 15


def start(backbone: str, folder: Path) -> Path:
    """The adapter that all four start from, in `folder`: the expression's keys and values are new."""
    if (folder / "adapter.json").is_file():
        return folder
    torch.manual_seed(0)
    model = load_backbone(backbone, "cpu", "float32")
    if model.adapter is None or model.adapter.expression is None:
        raise ValueError(f"{backbone} has no adapter to start from")
    shipped = model.load_controller()
    bare = change_controller("controlnet", model.unet, shipped)  # which has no keys and values to keep
    change_controller(METHOD, model.unet, bare).save(folder)
    shutil.copy(Path(model.adapter.expression).parent / "adapter.json", folder)
    return folder


def make(controller: str, given: argparse.Namespace, begin: Path) -> Path:
    """Train a controller, if it has not been; its adapter's folder. Seconds of processor time go beside it."""
    folder = given.out / "train" / controller
    export = folder / "export" / "adapter"
    if (export / "adapter.json").is_file():
        return export
    words = [f"loop.steps={given.train_steps}", f"loop.batch_size={given.batch_size}", f"loop.lr={given.lr}"]
    words += [
        "loop.log_every=5",
        "loop.save_every=20",
        f"loop.validate_every={given.train_steps}",
        "loop.precision=fp32",
    ]
    words += [f"args.controller={controller}", f"args.adapter={begin}", "args.people=0"]
    recipe = read_recipe(RECIPE, [*words, f"args.backbone={given.backbone}", f"run={controller}"])
    recipe["args"]["data"] = {"root": str(given.out / "set"), "framing": "canonical", "surroundings": 0.1}
    config = LoopConfig(**{**recipe["loop"], "threads": torch.get_num_threads()})
    torch.manual_seed(0)
    stage = BaseStage(**recipe["args"])
    began = time.process_time()
    train(stage, config, folder, recipe)
    cost = (time.process_time() - began) / given.train_steps
    write_text(folder / "cost.json", json.dumps({"cpu_seconds_a_step": cost}) + "\n")
    return export


def portraits(
    pipe: PortraitPipeline, chosen: list[Pair], label: str, **options: Any
) -> list[Image.Image | None]:
    """Portraits with these options, None where the pipeline refuses an input; pair i has seed i."""

    def call(part: list[Pair], first: int) -> list[Image.Image]:
        return pipe(
            identity=[pair.identity.image for pair in part],
            expression=[pair.reference.image for pair in part],
            seed=list(range(first, first + len(part))),
            **options,
        )

    images: list[Image.Image | None] = []
    for first in tqdm(range(0, len(chosen), BATCH), desc=label, unit="batch"):
        part = chosen[first : first + BATCH]
        try:
            images += call(part, first)
        except InputError:  # of one of them: the others go on
            for i, pair in enumerate(part, first):
                try:
                    images += call([pair], i)
                except InputError as error:
                    print(f"refused {pair.identity.name} with {pair.reference.name}: {error}", flush=True)
                    images.append(None)
    return images


def scores_of(
    scorer: Scorer, inputs: list[tuple[Observation, Observation]], images: list[Image.Image | None]
) -> dict[str, list[float | None]]:
    """Measure → a number a pair, None where there is no face in the result."""
    judged = judge(scorer, inputs, images)
    found: dict[str, list[float | None]] = {name: [] for name in MEASURES}
    for seen, scores, (_, reference) in zip(judged.seen, judged.scores, inputs, strict=True):
        for name in ("id", "exp", "lms"):
            found[name].append(None if scores is None else float(scores[name]))
        leak = None if seen is None else float(id_similarity(seen.direction, reference.direction))
        found["leak"].append(leak)
    return found


@cache
def held_out(count: int) -> tuple[Scorer, list[Pair], list[tuple[Observation, Observation]]]:
    """The judges, the pairs, and what the judges see in each."""
    scorer = load_scorer("mediapipe", "dlib")
    chosen, _ = pairs(count, lambda image: bool(scorer.analyse(image)))
    looks = [(scorer.observe(p.identity.image), scorer.observe(p.reference.image)) for p in chosen]
    return scorer, chosen, [(a, b) for a, b in looks if a is not None and b is not None]  # all: see `pairs`


def scores(name: str, adapter: Path | None, given: argparse.Namespace) -> dict[str, list[float | None]]:
    """A controller's scores, kept in a file; of no adapter those of the identity's photograph."""
    kept = given.out / "scores" / f"{name.replace(' ', '_')}_{given.n}_{given.steps}.json"
    if not kept.is_file():
        scorer, chosen, inputs = held_out(given.n)
        images: list[Image.Image | None] = [pair.identity.image for pair in chosen]
        if adapter is not None:
            pipe = PortraitPipeline.from_backbone(given.backbone, "cpu", "float32", adapter)
            images = portraits(pipe, chosen, name, steps=given.steps)
            sheet = contact_sheet(chosen[-SHOWN:], images[-SHOWN:])  # the last are renders' expressions
            save_image(sheet, given.out / f"sheet_{name}.png", {"benchmark": "controllers", "arm": name})
        kept.parent.mkdir(parents=True, exist_ok=True)
        write_text(kept, json.dumps(scores_of(scorer, inputs, images)) + "\n")
    return json.loads(kept.read_text())


def rows_of(samples: dict[str, dict[str, list[float | None]]]) -> list[Row]:
    """One row a measure, one column a controller; over the pairs in which every controller shows a face."""
    count = len(next(iter(samples.values()))["id"])
    every = [i for i in range(count) if all(of["id"][i] is not None for of in samples.values())]
    rows = []
    for measure in MEASURES:
        columns = {
            name: statistics.mean(np.array([of[measure][i] for i in every], float))
            for name, of in samples.items()
        }
        own, at_least = columns.pop(METHOD), measure == "id"
        rows.append(Row(measure, own, at_least=at_least, baselines=columns, note=f"{len(every)} of {count}"))
    faces = {
        name: statistics.mean(np.array([v is not None for v in of["id"]], float))
        for name, of in samples.items()
    }
    rows.append(Row("a face is found", faces.pop(METHOD), spec=".1%", baselines=faces))
    return rows


def training_rows(folders: dict[str, Path]) -> list[Row]:
    """The last held-out noise error and what a step cost, from each run's own files."""
    errors, costs = {}, {}
    for name, adapter in folders.items():
        run_folder = adapter.parents[1]
        lines = [line.split(",") for line in (run_folder / "log.csv").read_text().splitlines()]
        errors[name] = exact(float([value for _, key, value in lines if key == "held_out_loss"][-1]))
        cost = run_folder / "cost.json"
        if cost.is_file():  # absent after a run that was killed between its export and this file
            costs[name] = exact(json.loads(cost.read_text())["cpu_seconds_a_step"])
    rows = []
    for what, columns, spec in (
        ("held-out noise error", errors, ".4f"),
        ("CPU seconds a training step", costs, ".2f"),
    ):
        if METHOD in columns:
            rows.append(Row(what, columns.pop(METHOD), at_least=False, spec=spec, baselines=columns))
    return rows


def main() -> None:
    """Command line of this benchmark."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--backbone", default="mini")
    parser.add_argument("--n", type=int, default=40, help="pairs; half of them photographs")
    parser.add_argument("--train-steps", type=int, default=60)
    parser.add_argument("--batch-size", type=int, default=16)
    parser.add_argument("--lr", type=float, default=5e-4)
    parser.add_argument("--steps", type=int, default=12, help="of sampling")
    parser.add_argument("--quick", action="store_true", help="2 steps and 4 pairs: to see that it runs")
    parser.add_argument("--out", type=Path, default=Path("runs/controllers"))
    given = parser.parse_args()
    if given.quick:
        given.n, given.train_steps, given.batch_size, given.steps = 4, 2, 4, 4
    for source in SETS:
        few(source, given.out / "prepared", TRAINED_ON, VALIDATED_ON)
    os.environ["MIEN_CACHE"] = str(given.out / "prepared")  # for this process
    as_set(SETS, given.out / "set")
    begin = start(given.backbone, given.out / "start")
    folders = {name: make(name, given, begin) for name in CONTROLLERS}
    samples = {name: scores(name, adapter, given) for name, adapter in folders.items()}
    samples["no control"] = scores("no control", None, given)
    details: dict[str, Any] = {"settings": {key: str(value) for key, value in vars(given).items()}}
    title = f"Four controllers: {given.n} held-out pairs, {given.train_steps} steps of training each"
    rows = rows_of(samples) + training_rows(folders)
    publish(given.out, "controllers", title, rows, {**details, "samples": samples})


if __name__ == "__main__":
    run(main)
