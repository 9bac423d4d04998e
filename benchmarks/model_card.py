"""Every number of the model card: 500 held-out pairs, judged by MediaPipe and dlib, and what else issues are judged by.

    python -m benchmarks.model_card [--n 500] [--out runs/card] [--quick] [--write docs/model_card.md]

Results are kept in OUT by the weights they were made with, and what the judges saw by the pictures' bytes: stopped, it
goes on where it was; with new weights only what depends on them is made again (about ten minutes of one core).
`--write` puts the tables into a page, between ``<!-- NAME -->`` and ``<!-- /NAME -->``. Groups of pairs: (a)
photographs, (b) renders of unseen heads, (c) the strongest of the other held-out photographs' expressions; (b) and (c)
are the "expressive references". All shares count a result without a face as a failure; ratios leave it out.
"""

from __future__ import annotations

import argparse
import hashlib
import json
import math
import os
from pathlib import Path

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from benchmarks import bias, realism, reconstruction, tones
from benchmarks.held_out import Pair, expressive_pairs, photographs
from benchmarks.portrait_benchmark import Judged, contact_sheet, generate, judge, ratio
from benchmarks.remembered import Remembered
from benchmarks.speed import EXAMPLES, cold_command, warm_seconds
from benchmarks.table import Row, environment, exact, markdown, publish, run
from factory.faces.sources import read_label, shared_dir
from mien.data.split import is_held_out
from mien.files import write_text
from mien.images import read_image
from mien.metrics import statistics
from mien.metrics.retrieval import ranks
from mien.metrics.scoring import load_scorer
from mien.provenance import save_image
from mien.sheets import sheet as sheet_of
from mien.types import FloatArray, InputError
from mien.weights import path as weights_path

GALLERY = 200  # people among whom a result's is looked for
CHUNK = 20  # pictures made between two savings
GROUPS = {
    "photographs (a)": ("a",),
    "expressive (b, c)": ("b", "c"),
    "renders (b)": ("b",),
    "strong photographs (c)": ("c",),
}


def weights_digest() -> str:
    """Eight characters that stand for the shipped weights and their settings; but for those of `mien invent` and of the
    photo engine, whose pictures are in no table of the card."""
    folder, others = weights_path("mini"), [weights_path(name) for name in ("people", "occlusion")]
    files = sorted(p for p in folder.rglob("*") if p.suffix in (".safetensors", ".json") and p not in others)
    return hashlib.sha256(b"".join(p.read_bytes() for p in files)).hexdigest()[:8]


def weights_megabytes() -> float:
    """All that ships, in MB of a million bytes."""
    return sum(p.stat().st_size for p in weights_path("mini").rglob("*") if p.is_file()) / 1e6


def make(chosen: list[Pair], folder: Path, arguments: argparse.Namespace) -> list[Image.Image | None]:
    """The results, made where they are not there yet; None where the pipeline refuses."""
    folder.mkdir(parents=True, exist_ok=True)
    paths = [folder / f"{i:03d}.png" for i in range(len(chosen))]
    refusals = folder / "refused.json"
    refused = set(json.loads(refusals.read_text())) if refusals.is_file() else set()
    pipe = None
    for first in range(0, len(chosen), CHUNK):
        part = paths[first : first + CHUNK]
        if all(p.is_file() or p.name in refused for p in part):
            continue
        if pipe is None:
            import mien

            pipe = mien.load("mini", device="cpu")
        images, seconds = generate(chosen[first : first + CHUNK], arguments, first, pipe)
        for i, (p, image) in enumerate(zip(part, images, strict=True), first):
            if image is None:
                refused.add(p.name)
            else:
                save_image(image, p, {"benchmark": "model_card", "seed": i})
        write_text(refusals, json.dumps(sorted(refused)))
        print(f"{first + len(part)} of {len(chosen)}, {seconds:.2f} s each", flush=True)
    return [None if p.name in refused else read_image(p) for p in paths]


def judged_rows(
    ours: Judged, untouched: Judged, groups: list[str], people: list[str], lfw: list[float]
) -> list[Row]:
    """Faces, persons and expressions. `lfw`: dlib distances of two real photographs of one person."""
    every = list(range(len(groups)))
    part = {name: [i for i in every if groups[i] in letters] for name, letters in GROUPS.items()}
    found = np.array([seen is not None for seen in ours.seen], float)
    table = [
        Row(
            "a face is found (MediaPipe)", statistics.mean(found), 0.99, spec=".1%", note=f"all {len(every)}"
        ),
        Row(
            "the same person (dlib < 0.6)",
            ours.share("same_person", every),
            0.85,
            spec=".1%",
            baselines={"two real photographs": statistics.mean(np.array(lfw) < bias.SAME)},
            note=f"all {len(every)}; real: {len(lfw)} of LFW",
        ),
        Row(
            f"rank 1 among {min(GALLERY, len(set(people)))} people (dlib)",
            statistics.mean(retrieved(ours, untouched, people)),
            0.7,
            spec=".1%",
            note=f"all {len(every)}, over all galleries of them",
        ),
    ]
    for name in ("photographs (a)", "renders (b)", "strong photographs (c)"):
        table.append(
            Row(
                f"the same person, {name}",
                ours.share("same_person", part[name]),
                spec=".1%",
                note=f"all {len(part[name])}",
            )
        )
    for metric, name, target in (
        ("exp", "photographs (a)", 0.7),
        ("exp", "expressive (b, c)", 0.5),
        ("exp", "renders (b)", None),
        ("exp", "strong photographs (c)", None),
        ("lms", "expressive (b, c)", 0.5),
        ("lms", "renders (b)", None),
        ("lms", "strong photographs (c)", None),
        ("lms", "photographs (a)", None),
    ):
        seen = sum(ours.scores[i] is not None for i in part[name])
        table.append(
            Row(
                f"{metric.title() if metric == 'exp' else 'LMS'} ÷ no control, {name}",
                ratio(ours, untouched, metric, part[name]),
                target,
                at_least=False,
                note=f"{seen} of {len(part[name])}",
            )
        )
    leaks = [i for i in every if groups[i] != "b"]
    for label, chosen, target in (("all", every, 0.03), ("photographs (a, c)", leaks, None)):
        nearer = np.array([row["nearer_identity"] if (row := ours.scores[i]) else 0.0 for i in chosen])
        table.append(
            Row(
                f"leakage: nearer to the reference's person, {label}",
                statistics.mean(1 - nearer),
                target,
                at_least=False,
                spec=".1%",
                note=f"all {len(chosen)}",
            )
        )
    return table


def rank_1_among(places: NDArray[np.int64], people: int, size: int) -> FloatArray:
    """Each query's chance [n] of being nearest to its own person in a random gallery of `size` of `people` people.

    The gallery holds the query's person and size - 1 of the others, so with place p among all (from `ranks`) the
    chance is C(people - p, size - 1) / C(people - 1, size - 1): none of the p - 1 nearer ones was drawn.

    Raises:
        ValueError: a gallery larger than all people, or places beyond them.
    """
    places = np.asarray(places)
    if not 1 <= size <= people or (len(places) and not (places.min() >= 1 and places.max() <= people)):
        raise ValueError(f"a gallery of {size} of {people} people, and places from 1 to {people}, are needed")
    return np.array(
        [math.comb(people - int(p), size - 1) / math.comb(people - 1, size - 1) for p in places], np.float64
    )


def retrieved(ours: Judged, untouched: Judged, people: list[str]) -> FloatArray:
    """[n] each result's chance of being nearest to its own person among `GALLERY`; 0 without a face."""
    chances = np.zeros(len(people))
    there = [i for i, seen in enumerate(ours.seen) if seen is not None]
    if there:
        queries = np.stack([ours.seen[i].identity for i in there])  # type: ignore[union-attr]
        gallery = np.stack([seen.identity for seen in untouched.seen])  # type: ignore[union-attr]
        places = ranks(queries, gallery, [people[i] for i in there], people, "euclidean")
        chances[there] = rank_1_among(places, len(people), min(GALLERY, len(people)))
    return chances


def two_real() -> list[float]:
    """dlib distances of the first two held-out photographs of each person of LFW who has two."""
    table = np.load(shared_dir() / "data" / "lfw-gray.dlib.npz")
    people: dict[str, list[FloatArray]] = {}
    for name, vector in zip(table["name"].tolist(), table["dlib_embedding"].astype(float), strict=True):
        if is_held_out(name):
            people.setdefault(read_label("lfw-gray", name).person, []).append(vector)
    return [float(np.linalg.norm(a - b)) for a, b, *_ in (v for v in people.values() if len(v) > 1)]


def cost_rows(arguments: argparse.Namespace) -> list[Row]:
    """Seconds, memory and size. Processor time is what other work on the machine disturbs least."""
    load = os.getloadavg()[0]
    repeats = 1 if arguments.quick else 5
    pictures = (EXAMPLES / "identity.png", EXAMPLES / "expression.png")
    _, _, peak = cold_command(*pictures, repeats=1)
    wall, busy, steps = warm_seconds(*pictures, threads=2, repeats=repeats)
    note = f"median of {repeats} [shortest, longest], {steps} steps, load {load:.1f} at the start"
    return [
        Row("seconds a portrait, warm, two threads", wall, 1.0, False, ".2f", note=note),
        Row("the same in seconds of processor time", busy, None, False, ".2f", note=note),
        Row("peak memory of `mien generate`, GB", exact(peak), 1.5, False, ".2f"),
        Row("all weights, MB", exact(weights_megabytes()), 100.0, False, ".1f"),
    ]


def fill(page: Path, parts: dict[str, str]) -> None:
    """Put each part between its two markers.

    Raises:
        InputError: the page, or a marker in it, is missing.
    """
    if not page.is_file():
        raise InputError(f"{page} does not exist: give a page that has the markers.")
    text = page.read_text(encoding="utf-8")
    for name, part in parts.items():
        start, end = f"<!-- {name} -->", f"<!-- /{name} -->"
        if text.count(start) != 1 or text.count(end) != 1 or text.index(start) > text.index(end):
            raise InputError(f"{page} lacks the markers {start} and {end} around the table: put them there.")
        before, rest = text.split(start)
        text = f"{before}{start}\n\n{part.strip()}\n\n{end}{rest.split(end)[1]}"
    write_text(page, text)


def body(rows: list[Row]) -> str:
    """The table without its title."""
    return markdown("", rows).split("\n", 2)[2]


def main() -> None:
    """Command line of this benchmark."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--n", type=int, default=500, help="pairs: half (a), a quarter each (b) and (c)")
    parser.add_argument("--first", type=int, help="only the first of the pairs, which are like all of them")
    parser.add_argument("--quick", action="store_true", help="24 pairs: to see that it runs")
    parser.add_argument("--out", type=Path, default=Path("runs/card"))
    parser.add_argument("--write", type=Path, help="a page whose tables are to be filled in")
    parser.add_argument("--no-speed", action="store_true", help="leave time and memory out")
    arguments = parser.parse_args()
    count = 24 if arguments.quick else arguments.n
    settings = argparse.Namespace(
        batch=10,
        prompt="",
        steps=None,
        guidance=None,
        id_scale=1.0,
        expression_scale=1.0,
        quick=arguments.quick,
    )
    digest = weights_digest()
    eyes = Remembered(load_scorer("mediapipe", "dlib"), arguments.out)
    chosen = expressive_pairs(count, eyes.blendshapes)
    eyes.save()
    results = arguments.out / f"results-{count}-{digest}"
    chosen = chosen[: arguments.first]
    count = len(chosen)
    images = make(chosen, results, settings)

    identities = [pair.identity.image for pair in chosen]
    looks = [(eyes.observe(p.identity.image), eyes.observe(p.reference.image)) for p in chosen]
    inputs = [
        (a, b) for a, b in looks if a is not None and b is not None
    ]  # all: pairs are of pictures with faces
    ours, untouched = judge(eyes, inputs, images), judge(eyes, inputs, list(identities))
    eyes.save()
    groups, people = [p.group for p in chosen], [p.identity.person for p in chosen]
    tables = {"judged": judged_rows(ours, untouched, groups, people, two_real())}

    from mien.backbones import load_backbone

    crops, rest = realism.halves(eyes, identities, [p.image for p in photographs("utkface-adults")])
    rest = rest[: max(count, 60)]
    backbone = load_backbone("mini", device="cpu")
    rebuilt, grained = (reconstruction.reconstruct(backbone, crops, grain) for grain in (False, True))
    seen_crops, seen_rebuilt = eyes.all(crops), eyes.all(rebuilt)
    tables["autoencoder"] = reconstruction.rows(crops, rebuilt, (seen_crops, seen_rebuilt))
    soft = [realism.blurred(c) for c in crops]
    tables["realism"] = realism.rows(
        {
            "mien": (images, ours.seen),
            "autoencoder alone": (rebuilt, seen_rebuilt),
            "the same with grain": (grained, eyes.all(grained)),
            f"blurred by {realism.BLUR} px": (soft, eyes.all(soft)),
        },
        (crops, seen_crops),
        (rest, eyes.all(rest)),
        {
            "all": list(range(count)),
            "(a, c)": [i for i, g in enumerate(groups) if g != "b"],
        },
    )
    tables["tones"] = tones.rows(images, crops)
    eyes.save()
    if not arguments.no_speed:
        tables["cost"] = cost_rows(arguments)

    scores = bias.Scores(
        found=np.array([seen is not None for seen in ours.seen], float),
        same=np.array([row["same_person"] if row else 0.0 for row in ours.scores]),
        exp=np.array([row["exp"] if row else np.nan for row in ours.scores]),
        untouched=untouched.column("exp", list(range(count))),
        psnr=np.array([reconstruction.psnr(*pair) for pair in zip(crops, rebuilt, strict=True)]),
        drift=reconstruction.drift(seen_crops, seen_rebuilt),
        identities=np.stack([identity.identity for identity, _ in inputs]),
    )
    of_groups = bias.groups("utkface-adults", [p.identity.name for p in chosen])
    title = f"Model card: {count} held-out pairs, weights {digest}"
    publish(
        arguments.out,
        "model_card",
        title,
        [row for rows in tables.values() for row in rows],
        {
            "weights": digest,
            "pairs": [
                {"group": p.group, "identity": p.identity.name, "reference": p.reference.name, "scores": row}
                for p, row in zip(chosen, ours.scores, strict=True)
            ],
        },
    )
    facts = environment()
    made = f"Measured {facts['date']} on {count} pairs, weights `{digest}`, torch {facts['torch']}."
    parts = {name: body(rows) for name, rows in tables.items()}
    parts |= {"bias": bias.markdown(scores, of_groups), "made": made}
    write_text(arguments.out / "bias.md", parts["bias"])
    print(parts["bias"])
    print(f"look at {realism.random_sheet(images, 100, arguments.out)}")
    for group in "abc":
        part = [i for i in range(count) if groups[i] == group]
        sheet = contact_sheet([chosen[i] for i in part], [images[i] for i in part])
        save_image(sheet, arguments.out / f"sheet_{group}.png", {"benchmark": "model_card", "group": group})
    pairs_of = [[("", crop), ("", again)] for crop, again in zip(crops[:40], rebuilt[:40], strict=True)]
    rows_of = [[tile for pair in pairs_of[i : i + 5] for tile in pair] for i in range(0, len(pairs_of), 5)]
    save_image(sheet_of(rows_of, side=128), arguments.out / "autoencoder.png", {"benchmark": "model_card"})
    if arguments.write:
        fill(arguments.write, parts)


if __name__ == "__main__":
    run(main)
