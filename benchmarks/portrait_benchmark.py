"""Does the portrait show the right person with the right expression? Held-out inputs, judged by others'
models.

    python -m benchmarks.portrait_benchmark [--n 200] [--out runs/bench] [--quick] [--results DIR]

The identities are held-out UTKFace photographs; the expressions come from (a) held-out photographs and (b)
renders of head shapes that were never trained on. MediaPipe (expression) and dlib (identity) judge; they
share no weights with ours. Ratios are mean over mean, of the result against the reference over the
untouched identity picture against the same reference: 1 is what a method without any control of expression
gets, which is the baseline "no control". A result without a face fails every share below, and is left out
of the means; how many there were is printed.

With `--results`, pictures named 000.png, 001.png … of any method are judged instead of ours; `--inputs`
writes the input pictures for such a method.
"""

from __future__ import annotations

import argparse
import time
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from PIL import Image
from tqdm import tqdm

from benchmarks.held_out import Pair, pairs
from benchmarks.table import Row, publish, run
from mien.images import read_image
from mien.metrics import statistics
from mien.metrics.retrieval import ranks
from mien.metrics.scoring import Observation, Scorer, load_scorer
from mien.metrics.statistics import Interval
from mien.provenance import save_image
from mien.types import FloatArray, InputError

BASELINES = ("no control", "reference itself")
MEANS = ("exp", "lms", "id", "id_distance", "pose")
COPIES = ("copy_expression", "copy_identity", "copy_pose", "copy_appearance")
THUMBNAIL = 128
SHEET_COLUMNS = 5


@dataclass
class Judged:
    """One method's results on all pairs: what was seen (None: no face), and the scores where one was."""

    seen: list[Observation | None]
    scores: list[dict[str, float] | None]

    def column(self, name: str, chosen: list[int]) -> FloatArray:
        """The values of a metric over the chosen pairs whose result has a face."""
        return np.array([row[name] for i in chosen if (row := self.scores[i]) is not None])

    def share(self, name: str, chosen: list[int]) -> Interval:
        """Of all chosen pairs: a result without a face counts as a failure."""
        rows = [self.scores[i] for i in chosen]
        return statistics.mean(np.array([row[name] if row else 0.0 for row in rows]))


def judge(
    scorer: Scorer, inputs: list[tuple[Observation, Observation]], images: list[Image.Image | None]
) -> Judged:
    """Score every picture (None: the method refused) against its pair's identity and reference."""
    seen = [None if image is None else scorer.observe(image) for image in images]
    scores = [
        None if result is None else scorer.compare(result, identity, reference)
        for result, (identity, reference) in zip(seen, inputs, strict=True)
    ]
    return Judged(seen, scores)


def ratio(method: Judged, untouched: Judged, name: str, chosen: list[int]) -> Interval:
    """mean(method) / mean(untouched identity picture), over the pairs whose result has a face."""
    found = [i for i in chosen if method.scores[i] is not None]
    return statistics.ratio_of_means(method.column(name, found), untouched.column(name, found))


def acceptance(methods: dict[str, Judged], groups: list[str], refused: int, people: list[str]) -> list[Row]:
    """The table. The first method is ours; the others are the baselines."""
    (ours, method), *others = methods.items()
    every = list(range(len(groups)))
    group = {name: [i for i in every if groups[i] == name] for name in ("a", "b")}
    faces = [i for i in every if method.scores[i] is not None]
    count = f"{len(faces)} of {len(every)}" + (f", {refused} refused" if refused else "")
    untouched = methods["no control"]

    def found(of: Judged) -> Interval:
        return statistics.mean(np.array([row is not None for row in of.scores], float))

    def retrieved(of: Judged) -> float:
        kept = [i for i in every if of.seen[i] is not None]
        if not kept:
            return 0.0
        results = np.stack([of.seen[i].identity for i in kept])  # type: ignore[union-attr]
        gallery = np.stack([seen.identity for seen in untouched.seen if seen is not None])
        places = ranks(results, gallery, [people[i] for i in kept], people, "euclidean")
        return float((places == 1).sum()) / len(every)

    rows = [
        Row(
            "MediaPipe finds a face",
            found(method),
            0.95,
            spec=".1%",
            baselines={name: found(of) for name, of in others},
            note=count,
        )
    ]
    for metric, key, target in (("Exp", "a", 0.9), ("Exp", "b", 0.75), ("LMS", "a", None), ("LMS", "b", 0.8)):
        part = group[key]
        rows.append(
            Row(
                f"{metric} against no control, ({key}) {'photographs' if key == 'a' else 'renders'}",
                ratio(method, untouched, metric.lower(), part),
                target,
                at_least=False,
                baselines={name: ratio(of, untouched, metric.lower(), part) for name, of in others},
                note=f"{sum(method.scores[i] is not None for i in part)} of {len(part)}",
            )
        )
    for what, name, target in (
        ("dlib: same person (< 0.6)", "same_person", 0.5),
        ("nearer to the identity than to the reference's person", "nearer_identity", 0.9),
    ):
        for label, part in (("", every), (", (a)", group["a"]), (", (b)", group["b"])):
            rows.append(
                Row(
                    what + label,
                    method.share(name, part),
                    None if label else target,
                    spec=".1%",
                    baselines={other: of.share(name, part) for other, of in others},
                    note=f"all {len(part)}",
                )
            )
    retrieval = {name: Interval(*[retrieved(of)] * 3) for name, of in methods.items()}
    rows.append(
        Row(
            "nearest of all the identities is the right one",
            retrieval.pop(ours),
            spec=".1%",
            baselines=retrieval,
            note=f"{len(set(people))} people",
        )
    )
    for name in (*MEANS, *COPIES):
        for key, part in group.items():
            if name in COPIES and key == "b":
                part = every
            elif name in COPIES:
                continue
            label = f" ({key})" if name in MEANS else ""
            rows.append(
                Row(
                    f"mean {name}{label}",
                    statistics.mean(method.column(name, part)),
                    baselines={other: statistics.mean(of.column(name, part)) for other, of in others},
                    note=f"{len(method.column(name, part))} of {len(part)}",
                )
            )
    return rows


def generate(
    chosen: list[Pair], arguments: argparse.Namespace, first_seed: int = 0, pipe: object = None
) -> tuple[list[Image.Image | None], float]:
    """Our results, None where the pipeline refuses an input; and the seconds an image."""
    if pipe is None:
        import mien

        pipe = mien.load(arguments.backbone, device=arguments.device)
    images: list[Image.Image | None] = []
    start = time.perf_counter()
    for first in tqdm(range(0, len(chosen), arguments.batch), desc="generating", unit="batch", disable=None):
        batch = chosen[first : first + arguments.batch]
        seeds = [first_seed + first + i for i in range(len(batch))]
        try:
            images += _call(pipe, batch, seeds, arguments)
        except InputError:
            for pair, seed in zip(batch, seeds, strict=True):
                try:
                    images += _call(pipe, [pair], [seed], arguments)
                except InputError as error:
                    print(f"refused {pair.identity.name} with {pair.reference.name}: {error}", flush=True)
                    images.append(None)
    return images, (time.perf_counter() - start) / len(chosen)


def _call(
    pipe: object, batch: list[Pair], seeds: list[int], arguments: argparse.Namespace
) -> list[Image.Image]:
    return pipe(  # type: ignore[operator]
        identity=[pair.identity.image for pair in batch],
        expression=[pair.reference.image for pair in batch],
        prompt=arguments.prompt,
        seed=seeds,
        steps=arguments.steps,
        guidance=arguments.guidance,
        id_scale=arguments.id_scale,
        expression_scale=arguments.expression_scale,
    )


def read_results(folder: Path, count: int) -> list[Image.Image | None]:
    """000.png … of any method; a missing one counts as refused."""
    paths = [folder / f"{i:03d}.png" for i in range(count)]
    if not any(path.is_file() for path in paths):
        raise InputError(f"{folder} holds no result: name them 000.png, 001.png and so on.")
    return [read_image(path) if path.is_file() else None for path in paths]


def contact_sheet(chosen: list[Pair], images: list[Image.Image | None]) -> Image.Image:
    """identity | expression | result of every pair, five in a row. Shows photographs: not to be published."""
    rows = -(-len(chosen) // SHEET_COLUMNS)
    sheet = Image.new("RGB", (SHEET_COLUMNS * (3 * THUMBNAIL + 6), rows * (THUMBNAIL + 6)), "white")
    for i, (pair, image) in enumerate(zip(chosen, images, strict=True)):
        x, y = i % SHEET_COLUMNS * (3 * THUMBNAIL + 6), i // SHEET_COLUMNS * (THUMBNAIL + 6)
        for place, picture in enumerate((pair.identity.image, pair.reference.image, image)):
            if picture is not None:
                sheet.paste(picture.resize((THUMBNAIL, THUMBNAIL)), (x + place * THUMBNAIL, y))
    return sheet


def main() -> None:
    """Command line of this benchmark."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--n", type=int, default=200, help="generations; half of them of each group")
    parser.add_argument("--quick", action="store_true", help="20 generations")
    parser.add_argument("--out", type=Path, default=Path("runs/bench"))
    parser.add_argument("--results", type=Path, help="judge the pictures in this folder instead of ours")
    parser.add_argument(
        "--inputs", action="store_true", help="also write the input pictures, into OUT/inputs"
    )
    parser.add_argument("--backbone", default="mini")
    parser.add_argument("--device", default="cpu")
    parser.add_argument("--batch", type=int, default=10)
    parser.add_argument("--prompt", default="")
    parser.add_argument("--steps", type=int)
    parser.add_argument("--guidance", type=float)
    parser.add_argument("--id-scale", type=float, default=1.0)
    parser.add_argument("--expression-scale", type=float, default=1.0)
    arguments = parser.parse_args()
    count = 20 if arguments.quick else arguments.n

    scorer = load_scorer("mediapipe", "dlib")
    chosen, skipped = pairs(count, lambda image: bool(scorer.analyse(image)))
    print(
        f"{count} pairs; {skipped} held-out pictures skipped, as MediaPipe sees no face in them", flush=True
    )
    if arguments.inputs:
        for i, pair in enumerate(chosen):
            for name, picture in (("identity", pair.identity), ("expression", pair.reference)):
                folder = arguments.out / "inputs" / name
                folder.mkdir(parents=True, exist_ok=True)
                picture.image.save(folder / f"{i:03d}.png")
    seconds = float("nan")
    if arguments.results:
        images = read_results(arguments.results, count)
    else:
        images, seconds = generate(chosen, arguments)
        (arguments.out / "results").mkdir(parents=True, exist_ok=True)
        for i, image in enumerate(images):
            if image is not None:
                save_image(
                    image, arguments.out / "results" / f"{i:03d}.png", {"benchmark": "portrait", "seed": i}
                )

    looks = [(scorer.observe(p.identity.image), scorer.observe(p.reference.image)) for p in chosen]
    inputs = [(a, b) for a, b in looks if a is not None and b is not None]  # all, as `pairs` has made sure
    methods = {
        "mien": judge(scorer, inputs, images),
        "no control": judge(scorer, inputs, [pair.identity.image for pair in chosen]),
        "reference itself": judge(scorer, inputs, [pair.reference.image for pair in chosen]),
    }
    refused = sum(image is None for image in images)
    rows = acceptance(methods, [p.group for p in chosen], refused, [p.identity.person for p in chosen])
    details = {
        "settings": {key: str(value) for key, value in vars(arguments).items()},
        "seconds_per_image": seconds,
        "skipped_inputs": skipped,
        "pairs": [
            {"group": p.group, "identity": p.identity.name, "reference": p.reference.name, "scores": scores}
            for p, scores in zip(chosen, methods["mien"].scores, strict=True)
        ],
    }
    title = f"Portraits: {count} held-out pairs, judged by MediaPipe and dlib"
    publish(arguments.out, "portrait_benchmark", title, rows, details)
    for group in ("a", "b"):
        part = [i for i, pair in enumerate(chosen) if pair.group == group]
        sheet = contact_sheet([chosen[i] for i in part], [images[i] for i in part])
        path = save_image(
            sheet, arguments.out / f"sheet_{group}.png", {"benchmark": "portrait", "group": group}
        )
        print(f"identity | expression | result: {path}")


if __name__ == "__main__":
    run(main)
