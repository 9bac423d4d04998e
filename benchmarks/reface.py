"""DiffSFSR's Table 1 on a benchmark of ours: swap all, swap ID, swap expression, on held-out photographs.

    python -m benchmarks.reface [--n 200] [--made N] [--out runs/bench] [--quick] [--backbone mini] [--as-read]

ID: share of results whose nearest of all n identities, by dlib, is the right one (DiffSFSR: retrieval accuracy). Exp:
mean blendshape difference by MediaPipe, and the distance of expression embeddings. Pose: Euclidean distance of yaw,
pitch and roll to the background's, degrees. A result without a face fails the retrieval. "photo as it is" is what
somebody gets who does nothing. Seam, colour and notch: how well the
new face sits in the photo. The paper's numbers are of CelebA-HQ at 512 pixels by other judges: not comparable.
"""

from __future__ import annotations

import argparse
import time
from pathlib import Path

import cv2
import numpy as np
from PIL import Image

from benchmarks.reface_scenes import (
    TASKS,
    Outcome,
    Triple,
    judge,
    look_at,
    reface,
    triples,
    untouched,
    wanted,
)
from benchmarks.table import Row, publish, run
from mien.face.mask import face_mask
from mien.metrics import statistics
from mien.metrics.photo import colour, seam
from mien.metrics.scoring import Observation, load_scorer
from mien.provenance import save_image
from mien.types import ByteImage, FloatArray

TARGETS = {("swap all", "ID"): 0.8, ("swap all", "pose"): 6.0}
THUMBNAIL, SHEET_ROWS = 128, 24


def rows_of(task: str, ours: Outcome, before: Outcome, people: int) -> list[Row]:
    """One task's lines of the table; `before`: of the photos as they are. `people`: among whom is retrieved."""
    found = sum(row is not None for row in ours.scores)
    refused = sum(image is None for image in ours.images)
    lines = [
        Row(
            f"{task}: nearest identity is right",
            statistics.mean(ours.retrieved),
            TARGETS.get((task, "ID")),
            spec=".1%",
            baselines={"photo as it is": statistics.mean(before.retrieved)},
            note=f"{people} identities, {refused} refused",
        )
    ]
    for label, name, spec in (
        ("Exp", "exp", ".3f"),
        ("Exp, distance of embeddings", "expression_distance", ".2f"),
        ("LMS", "lms", ".3f"),
        ("pose, degrees", "pose", ".2f"),
        ("ID, cosine", "id", ".3f"),
    ):
        lines.append(
            Row(
                f"{task}: {label}",
                ours.mean(name),
                TARGETS.get((task, name)),
                at_least=False,
                spec=spec,
                baselines={"photo as it is": before.mean(name)},
                note=f"{found} with a face",
            )
        )
    return lines


def joins(task: str, chosen: list[Triple], ours: Outcome, looks: dict[str, Observation]) -> list[Row]:
    """How well a face sits in its photo: seam, colour of the skin and notches, as numbers of `metrics.photo`."""
    seams, colours, notches = [], [], []
    for image, seen, triple in zip(ours.images, ours.seen, chosen, strict=False):
        if image is None or seen is None:
            continue
        photo = wanted(task, triple).background
        before, after = np.asarray(photo.image), np.asarray(image)
        old, new = looks[photo.name].face.landmarks, seen.face.landmarks
        seams.append(seam(after, before))
        colours.append(colour((after, new), (before, old)))
        notches.append(notch(after, before, new))
    return [
        Row(f"{task}: {label}", statistics.mean(np.array(values)), at_least=False, spec=".2f", note=note)
        for label, values, note in (
            ("seam, grey levels", seams, "steps at the border that the photo has not"),
            ("colour of the skin, ΔE to the photo's", colours, ""),
            ("notch, L", notches, "how much darker beside the new face, at worst"),
        )
    ]


def notch(result: ByteImage, photo: ByteImage, landmarks: FloatArray) -> float:
    """99th percentile of L(photo) - L(result) over what was changed outside the new face's oval, 0 or more."""
    own, before = (
        cv2.cvtColor(p.astype(np.float32) / 255, cv2.COLOR_RGB2Lab)[..., 0] for p in (result, photo)
    )
    beside = (result != photo).any(2) & (face_mask(landmarks, photo.shape[1], photo.shape[0]) < 0.5)
    return max(0.0, float(np.percentile((before - own)[beside], 99))) if beside.any() else 0.0


def contact_sheet(task: str, chosen: list[Triple], images: list[Image.Image | None]) -> Image.Image:
    """background | identity | expression | result. Shows photographs: not to be published."""
    count = min(SHEET_ROWS, len(images))
    sheet = Image.new("RGB", (3 * (4 * THUMBNAIL + 8), -(-count // 3) * THUMBNAIL), "white")
    for i in range(count):
        aim = wanted(task, chosen[i])
        x, y = i % 3 * (4 * THUMBNAIL + 8), i // 3 * THUMBNAIL
        for place, picture in enumerate((aim.background, aim.identity, aim.expression)):
            sheet.paste(picture.image.resize((THUMBNAIL, THUMBNAIL)), (x + place * THUMBNAIL, y))
        result = images[i]
        if result is not None:
            sheet.paste(result.resize((THUMBNAIL, THUMBNAIL)), (x + 3 * THUMBNAIL, y))
    return sheet


def main() -> None:
    """Command line of this benchmark."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--n", type=int, default=200, help="triples, each with an identity of its own")
    parser.add_argument(
        "--made", type=int, help="results of the first so many alone, retrieved among all n identities"
    )
    parser.add_argument("--quick", action="store_true", help="12 triples")
    parser.add_argument("--out", type=Path, default=Path("runs/bench"))
    parser.add_argument("--backbone", default="mini")
    parser.add_argument("--device", default="cpu")
    parser.add_argument("--batch", type=int, default=10)
    parser.add_argument("--steps", type=int)
    parser.add_argument("--guidance", type=float)
    parser.add_argument("--id-scale", type=float, default=1.0)
    parser.add_argument(
        "--as-read", action="store_true", help="expressions with what the reference's pose put there"
    )
    parser.add_argument("--tasks", nargs="+", choices=TASKS, default=list(TASKS))
    arguments = parser.parse_args()
    import mien

    arguments.out.mkdir(parents=True, exist_ok=True)
    pipe = mien.load_reface(arguments.backbone, device=arguments.device)
    pipe.turn = not arguments.as_read
    scorer = load_scorer("mediapipe", "dlib")
    chosen = triples(12 if arguments.quick else arguments.n, lambda image: bool(scorer.analyse(image)))
    made = chosen[: arguments.made]
    looks = look_at(scorer, chosen, len(made))
    rows: list[Row] = []
    seconds = {}
    for task in arguments.tasks:
        start = time.process_time()
        options = {name: getattr(arguments, name) for name in ("steps", "guidance", "id_scale")}
        images = reface(pipe, task, made, arguments.batch, **options)
        seconds[task] = (time.process_time() - start) / len(made)
        ours = judge(scorer, task, chosen, images, looks)
        rows += rows_of(task, ours, untouched(scorer, task, chosen, len(made), looks), len(chosen))
        rows += joins(task, chosen, ours, looks)
        sheet = contact_sheet(task, chosen, images)
        path = save_image(
            sheet, arguments.out / f"reface_{task.replace(' ', '_')}.png", {"benchmark": "reface"}
        )
        print(f"background | identity | expression | result: {path}", flush=True)
    details = {
        "settings": {key: str(value) for key, value in vars(arguments).items()},
        "cpu_seconds_per_photo": seconds,
        "mean_cpu_seconds": float(np.mean(list(seconds.values()))),
    }
    publish(
        arguments.out,
        "reface",
        f"Refacing: {len(made)} held-out triples, judged by MediaPipe and dlib",
        rows,
        details,
    )


if __name__ == "__main__":
    run(main)
