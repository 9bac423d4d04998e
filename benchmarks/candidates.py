"""Which weights or settings should ship? Candidates beside one another, on people whom the model card does not portray.

    python -m benchmarks.candidates now=src/mien/weights/mini new=runs/mini_reward/mixed@8,1.5 [--n 200] [--words]

A candidate is NAME=FOLDER, or NAME=FOLDER@STEPS,GUIDANCE[,SPACING]. Identities are held-out UTKFace photographs that
are no identities of `benchmarks/model_card.py`. References are its references, given to somebody else, so expressions
are chosen by pictures that they are later measured on, though never by a pair; and a few of the people are references
there. MediaPipe and dlib judge. Frechet distances grow with fewer pictures; compare them within a table alone.
"""

from __future__ import annotations

import argparse
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np
from PIL import Image

from benchmarks import realism, tones
from benchmarks.expression_words import judge as judge_words
from benchmarks.held_out import Pair, Picture, expressive_pairs, photographs
from benchmarks.model_card import judged_rows
from benchmarks.portrait_benchmark import generate, judge
from benchmarks.remembered import Remembered
from benchmarks.table import Row, publish, run
from mien.expressions.labels import labels
from mien.metrics import statistics
from mien.metrics.scoring import load_scorer
from mien.pipelines.portrait import PortraitPipeline
from mien.sheets import sheet
from mien.types import InputError

PAIRS = 500  # of the model card
ROTATED = 7  # places: whose reference an identity gets
FACE_OF_WORDS = Path("examples/identity.png")


@dataclass(frozen=True)
class Candidate:
    """A folder of weights as they ship, and settings of its sampler; None: the folder's own."""

    name: str
    folder: str
    steps: int | None = None
    guidance: float | None = None


def parse(text: str) -> Candidate:
    """``NAME=FOLDER`` or ``NAME=FOLDER@STEPS,GUIDANCE``.

    Raises:
        InputError: it is neither.
    """
    name, _, place = text.partition("=")
    folder, _, settings = place.partition("@")
    wanted = "write NAME=FOLDER or NAME=FOLDER@STEPS,GUIDANCE"
    if not name or not folder:
        raise InputError(f"{text} is no candidate: {wanted}")
    try:
        if not settings:
            return Candidate(name, folder)
        steps, guidance = settings.split(",")
        return Candidate(name, folder, int(steps), float(guidance))
    except ValueError as error:
        raise InputError(f"{settings} are no settings: {wanted}") from error


def other_people(eyes: Remembered, count: int) -> list[Pair]:
    """Up to `count` pairs of people who are no identities of the model card's, with its references."""
    known = expressive_pairs(PAIRS, eyes.blendshapes)
    taken = {pair.identity.person for pair in known}
    people: dict[str, Picture] = {}
    for picture in photographs("utkface-adults"):
        if picture.person not in taken and eyes.blendshapes(picture.image) is not None:
            people.setdefault(picture.person, picture)
    chosen = []
    for i, identity in enumerate(list(people.values())[:count]):
        of = known[(i + ROTATED) % len(known)]
        if of.reference.person != identity.person:
            chosen.append(Pair(of.group, identity, of.reference))
    return chosen


def words_r(eyes: Remembered, pipe: PortraitPipeline, candidate: Candidate) -> Row:
    """Mean r with their prototypes of portraits from the 135 words, as in `benchmarks/expression_words.py`."""
    known = list(labels().values())
    words = [label.word for label in known]
    images = pipe(FACE_OF_WORDS, words, steps=candidate.steps, guidance=candidate.guidance)
    read = [eyes.blendshapes(image) for image in images]
    table = judge_words(known, [np.full(52, np.nan) if one is None else one for one in read])
    r = np.array([row["r"] for row in table])
    seen = r[np.isfinite(r)]
    return Row("words: r with the prototype", statistics.mean(seen), note=f"{len(seen)} of {len(r)} words")


def beside(tables: dict[str, list[Row]]) -> list[Row]:
    """One table of all candidates: the first is the result, the others stand beside it."""
    (_, first), *others = tables.items()
    return [
        replace(row, baselines={name: rows[i].value for name, rows in others}) for i, row in enumerate(first)
    ]


def main() -> None:
    """Command line of this benchmark."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("candidates", nargs="+", type=parse, help="NAME=FOLDER[@STEPS,GUIDANCE[,SPACING]]")
    parser.add_argument("--n", type=int, default=200, help="pairs, at most as many as there are people")
    parser.add_argument("--words", action="store_true", help="portraits from the 135 words too")
    parser.add_argument("--out", type=Path, default=Path("runs/card"), help="where judges remember")
    given = parser.parse_args()
    eyes = Remembered(load_scorer("mediapipe", "dlib"), given.out)
    chosen = other_people(eyes, given.n)
    looks = [(eyes.observe(p.identity.image), eyes.observe(p.reference.image)) for p in chosen]
    both = [i for i, (a, b) in enumerate(looks) if a is not None and b is not None]
    chosen, looks = [chosen[i] for i in both], [looks[i] for i in both]
    identities = [pair.identity.image for pair in chosen]
    untouched = judge(eyes, looks, list(identities))  # type: ignore[arg-type]
    groups, people = [p.group for p in chosen], [p.identity.person for p in chosen]
    crops, rest = realism.halves(eyes, identities, [p.image for p in photographs("utkface-adults")])
    seen_crops, rest = eyes.all(crops), rest[: len(chosen)]
    seen_rest = eyes.all(rest)
    eyes.save()
    tables: dict[str, list[Row]] = {}
    for candidate in given.candidates:
        pipe = PortraitPipeline.from_backbone(candidate.folder, "cpu")
        settings = argparse.Namespace(
            batch=10,
            prompt="",
            steps=candidate.steps,
            guidance=candidate.guidance,
            id_scale=1.0,
            expression_scale=1.0,
            quick=False,
        )
        images, _ = generate(chosen, settings, 0, pipe)
        ours = judge(eyes, looks, images)  # type: ignore[arg-type]
        tables[candidate.name] = [
            *judged_rows(ours, untouched, groups, people, []),
            *realism.rows(
                {candidate.name: (images, ours.seen)},
                (crops, seen_crops),
                (rest, seen_rest),
                {"all": list(range(len(chosen)))},
            ),
            *tones.rows(images, crops),
            *([words_r(eyes, pipe, candidate)] if given.words else []),
        ]
        eyes.save()
        look(images, given.out / f"candidate_{candidate.name}.png")
    title = f"Candidates: {len(chosen)} pairs of other held-out people"
    publish(
        given.out,
        "candidates",
        title,
        beside(tables),
        {"candidates": [vars(one) for one in given.candidates]},
    )


def look(images: list[Image.Image | None], path: Path) -> None:
    """The first 100 on one sheet, numbered."""
    tiles = [(f"{i:03d}", image) for i, image in enumerate(images) if image is not None][:100]
    page = sheet([tiles[i : i + 10] for i in range(0, len(tiles), 10)], side=144)
    from mien.provenance import save_image

    print(f"look at {save_image(page, path, {'benchmark': 'candidates'})}")


if __name__ == "__main__":
    run(main)
