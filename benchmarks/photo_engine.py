"""The photo engine and the diffusion engine side by side, on photographs that neither was made from.

    python -m benchmarks.photo_engine [--people N] [--engine photo] [--json FILE] [--out FOLDER] [--write PAGE]

Tasks: a person's own smile as reference (as it is, and relative to its rest), somebody else's smile, a rendered grimace
of nobody (52 people of `london-dev` each), and six films of `mead` (the first frame is the photo, later frames are
reference and truth). MediaPipe (expression) and dlib (identity) judge. Ratios are mean over mean: of the result's
distance to the reference over the untouched photo's; 1 is doing nothing, 0 perfect. A result without a face fails every
share and is left out of the means. Mean with bootstrap 95% interval over pictures; a film's frames are not independent.
`--out` gets contact sheets (photo | reference | each engine) and is to lie outside of the repository: they show people.
"""

from __future__ import annotations

import argparse
import json
import time
from collections.abc import Sequence
from pathlib import Path

import numpy as np
from PIL import Image

from benchmarks.model_card import fill
from benchmarks.photo_scenes import (
    TASKS,
    Engine,
    Eyes,
    Scene,
    engine,
    judge,
    make_outside,
    real_pairs,
    scenes,
)
from benchmarks.table import environment, run, show
from mien.files import write_text
from mien.metrics import statistics
from mien.metrics.scoring import load_scorer
from mien.metrics.statistics import Interval
from mien.provenance import save_image
from mien.sheets import sheet
from mien.types import FloatArray, InputError

ENGINES = ("photo", "diffusion")
SIDE, ROWS = 320, 13  # px of a sheet's pictures; scenes a sheet
# label, measure, format, kind: "ratio" over the untouched photo, "share" in which no face is a failure, "mean"
MEASURES = (
    ("Exp ÷ no control", "exp", ".2f", "ratio"),
    ("LMS ÷ no control", "lms", ".2f", "ratio"),
    ("dlib distance to the person", "id_distance", ".2f", "mean"),
    ("the same person (dlib < 0.6)", "same_person", ".0%", "share"),
    ("nearer to the reference's person", "nearer_reference", ".0%", "mean"),
    ("gain toward the truth", "gain", ".2f", "mean"),
    ("gain, teeth showing", "gain, toothy", ".2f", "mean"),
    ("detail in the face", "detail", ".2f", "mean"),
    ("PSNR inside the face, dB", "psnr", ".1f", "mean"),
    ("the untouched photo's", "psnr_before", ".1f", "mean"),
    ("seam, grey levels", "seam", ".1f", "mean"),
    ("colour, ΔE", "colour", ".1f", "mean"),
)
Scores = list[dict[str, float]]


def summary(scores: Scores) -> dict[str, Interval]:
    """Each measure's label → its mean; what a task does not have is left out."""
    found = [row for row in scores if row.get("found")]
    table = {"a face is found": statistics.mean(np.array([row["found"] for row in scores]))}

    def column(name: str) -> FloatArray:
        return np.array([row[name] for row in found if name in row])

    for label, name, _, kind in MEASURES:
        if kind == "ratio":
            table[label] = statistics.ratio_of_means(column(name), column(f"{name}_before"))
        elif kind == "share":
            table[label] = statistics.mean(np.array([row.get(name, 0.0) for row in scores]))
        elif name == "gain, toothy":
            table[label] = statistics.mean(np.array([row["gain"] for row in found if row.get("toothy")]))
        elif name != "psnr_before" or any("psnr" in row for row in found):
            table[label] = statistics.mean(column(name))
    return {label: value for label, value in table.items() if not np.isnan(value.value)}


def markdown(results: dict[str, dict[str, Scores]]) -> str:
    """Task → engine → scores, as one table: a row for each measure, a column for each engine."""
    engines = list(dict.fromkeys(name for arms in results.values() for name in arms))
    spec = {label: form for label, _, form, _ in MEASURES} | {"a face is found": ".0%"}
    lines = ["| task | measure | " + " | ".join(engines) + " |", "|---|---|" + "---|" * len(engines)]
    for task, arms in results.items():
        tables = {name: summary(scores) for name, scores in arms.items()}
        count = max(len(scores) for scores in arms.values())
        label = f"{task} ({count})"
        for measure in spec:
            cells = [
                show(tables[name][measure], spec[measure]) if measure in tables.get(name, {}) else ""
                for name in engines
            ]
            if any(cells) and (measure != "a face is found" or any(c != "100%" for c in cells if c)):
                lines.append(f"| {label} | {measure} | " + " | ".join(cells) + " |")
                label = ""
    return "\n".join(lines) + "\n"


def play(
    task: str, people: int, engines: dict[str, Engine], eyes: Eyes, out: Path | None
) -> tuple[dict[str, Scores], dict[str, float]]:
    """All scenes of a task through all engines: scores, and seconds a result; contact sheets to `out`."""
    arms: dict[str, Scores] = {name: [] for name in engines}
    spent = dict.fromkeys(engines, 0.0)
    rows: list[list[tuple[str, Image.Image]]] = []
    total = 0
    for scene in scenes(task, people):
        row = [(scene.name, scene.photo), ("reference", scene.reference)]
        for name, make in engines.items():
            start = time.perf_counter()
            result = _made(make, scene)
            spent[name] += time.perf_counter() - start
            scores = judge(eyes, scene, result)
            if scores:
                arms[name].append(scores)
            row.append((_caption(name, scores), result or Image.new("RGB", (8, 8), "white")))
        total += 1
        rows.append([(text, picture.resize(_fitted(picture))) for text, picture in row])
    if out is not None:
        for first in range(0, len(rows), ROWS):
            name = f"{task.replace(', ', '_')}_{first // ROWS}.png"
            save_image(sheet(rows[first : first + ROWS], SIDE), out / name, {"benchmark": "photo_engine"})
    return arms, {name: seconds / max(total, 1) for name, seconds in spent.items()}


def _made(make: Engine, scene: Scene) -> Image.Image | None:
    try:
        return make(scene)
    except InputError as error:
        print(f"{scene.task}, {scene.name}: {error}", flush=True)
        return None


def _caption(name: str, scores: dict[str, float]) -> str:
    if not scores.get("found"):
        return f"{name}: no face"
    gain = f" gain {scores['gain']:.2f}" if "gain" in scores else ""
    return f"{name}: Exp {scores['exp'] / max(scores['exp_before'], 1e-6):.2f}{gain}"


def _fitted(picture: Image.Image) -> tuple[int, int]:
    zoom = SIDE / max(picture.size)
    return max(1, round(picture.width * zoom)), max(1, round(picture.height * zoom))


def spreads(results: dict[str, dict[str, Scores]], real: dict[str, list[float]]) -> str:
    """Percentiles of single results and of real pairs, from which `mien.metrics.words` takes its words."""
    rows = [row for arms in results.values() for row in arms.get("photo", []) if row.get("found")]
    lines = ["| single results, photo engine | 10% | 25% | 50% | 75% | 90% |", "|---|---|---|---|---|---|"]
    for label, values in {
        "Exp ÷ no control": [row["exp"] / max(row["exp_before"], 1e-6) for row in rows],
        **{name: [row[name] for row in rows] for name in ("id_distance", "detail", "seam", "colour")},
        **{f"two real photographs, distance by {name}": values for name, values in real.items()},
    }.items():
        cells = [f"{value:.2f}" for value in np.percentile(values or [np.nan], (10, 25, 50, 75, 90))]
        lines.append(f"| {label} | " + " | ".join(cells) + " |")
    return "\n".join(lines) + "\n"


def main(arguments: Sequence[str] | None = None) -> None:
    """Command line of this benchmark."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--people", type=int, default=52, help="of london-dev; of mead as many films at most")
    parser.add_argument("--engine", choices=ENGINES, nargs="+", default=list(ENGINES))
    parser.add_argument("--task", choices=TASKS, nargs="+", default=list(TASKS))
    parser.add_argument("--json", type=Path, help="write every single score here")
    parser.add_argument("--out", type=Path, help="a folder for contact sheets, outside of the repository")
    parser.add_argument("--write", type=Path, help="a page whose tables are to be filled in")
    given = parser.parse_args(arguments)
    if given.out is not None:
        make_outside(given.out)
    eyes = Eyes(load_scorer("mediapipe", "dlib"))
    engines = {name: engine(name) for name in given.engine}
    results, seconds = {}, {}
    for task in given.task:
        results[task], seconds[task] = play(task, given.people, engines, eyes, given.out)
        print(
            f"{task}: " + ", ".join(f"{n} {s:.2f} s a result" for n, s in seconds[task].items()), flush=True
        )
    facts = environment()
    table, spread = markdown(results), spreads(results, real_pairs(given.people))
    made = f"Measured {facts['date']}, {given.people} people, by `python -m benchmarks.photo_engine`."
    print(f"\n{table}\n{spread}\n{made}")
    if given.json is not None:
        content = {"environment": facts, "seconds": seconds, "scores": results}
        write_text(given.json, json.dumps(content, indent=1) + "\n")
    if given.write is not None:
        fill(given.write, {"engines": table, "spreads": spread, "made": made})


if __name__ == "__main__":
    run(main)
