"""The fixed benchmark of refacing: held-out photographs in triples (background, identity, expression), and its scores.

Every identity is a held-out UTKFace person, used once. The background is another of them, the expression a held-out LFW
photograph or yet another UTKFace one, by turns; so the three are different people. MediaPipe (expression, pose) and
dlib (identity) judge: they share no weights with ours, and neither conditions the model.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np
from PIL import Image
from tqdm import tqdm

from benchmarks.held_out import Picture, Usable, photographs
from mien.metrics import statistics
from mien.metrics.retrieval import ranks
from mien.metrics.scoring import Observation, Scorer
from mien.metrics.statistics import Interval
from mien.types import FloatArray, InputError

if TYPE_CHECKING:
    from mien.pipelines.reface import RefacePipeline

TASKS = ("swap all", "swap ID", "swap expression")


@dataclass(frozen=True)
class Triple:
    """One of the benchmark's; three different people."""

    background: Picture
    identity: Picture
    expression: Picture


@dataclass
class Outcome:
    """Of one task: results (None: refused), what is seen in them, and the scores where a face is."""

    images: list[Image.Image | None]
    seen: list[Observation | None]
    scores: list[dict[str, float] | None]
    retrieved: FloatArray  # [n] 1 where the nearest of all identities is the right one

    def mean(self, name: str) -> Interval:
        """Of a score, over the results that show a face."""
        return statistics.mean(np.array([row[name] for row in self.scores if row is not None]))


def triples(count: int, usable: Usable) -> list[Triple]:
    """The first `count` triples; pictures in which the scorer sees no face are skipped.

    Raises:
        ValueError: there are not so many held-out pictures.
    """

    def first(source: str, wanted: int) -> list[Picture]:
        chosen: list[Picture] = []
        people: set[str] = set()
        for picture in photographs(source):
            if len(chosen) < wanted and picture.person not in people and usable(picture.image):
                chosen.append(picture)
                people.add(picture.person)
        if len(chosen) < wanted:
            raise ValueError(
                f"only {len(chosen)} held-out pictures of {source} can be used, {wanted} are needed"
            )
        return chosen

    people, others = first("utkface-adults", count), first("lfw-gray", (count + 1) // 2)
    third = max(1, count // 3)
    return [
        Triple(
            people[(i + third) % count],
            people[i],
            others[i // 2] if i % 2 == 0 else people[(i + 2 * third) % count],
        )
        for i in range(count)
    ]


def wanted(task: str, triple: Triple) -> Triple:
    """What a task's result should keep of whom: (background, identity, expression)."""
    if task == "swap all":
        return triple
    if task == "swap ID":
        return Triple(triple.background, triple.identity, triple.background)
    return Triple(triple.identity, triple.identity, triple.expression)


def reface(
    pipe: RefacePipeline, task: str, chosen: list[Triple], batch: int, **options: Any
) -> list[Image.Image | None]:
    """One task's results; None where the pipeline refuses an input."""

    def call(part: list[Triple], first: int) -> list[Image.Image]:
        aims = [wanted(task, triple) for triple in part]
        return pipe(
            [aim.background.image for aim in aims],
            None if task == "swap expression" else [aim.identity.image for aim in aims],
            None if task == "swap ID" else [aim.expression.image for aim in aims],
            seed=[first + i for i in range(len(part))],
            batch_size=batch,
            **options,
        )

    results: list[Image.Image | None] = []
    for start in tqdm(range(0, len(chosen), batch), desc=task, unit="batch"):
        part = chosen[start : start + batch]
        try:
            results += call(part, start)
        except InputError:
            for i, triple in enumerate(part):
                try:
                    results += call([triple], start + i)
                except InputError as error:
                    print(f"{task}, refused: {error}", flush=True)
                    results.append(None)
    return results


def judge(
    scorer: Scorer,
    task: str,
    chosen: list[Triple],
    images: list[Image.Image | None],
    looks: dict[str, Observation],
) -> Outcome:
    """Scores of one task's results, of the first triples. `looks`: what the scorer sees in the inputs, by name."""
    seen = [None if image is None else scorer.observe(image) for image in images]
    return compare(scorer, task, chosen, images, seen, looks)


def untouched(
    scorer: Scorer, task: str, chosen: list[Triple], count: int, looks: dict[str, Observation]
) -> Outcome:
    """Scores of the first `count` backgrounds as they are, which is what somebody gets who does nothing."""
    photos = [wanted(task, triple).background for triple in chosen[:count]]
    images: list[Image.Image | None] = [photo.image for photo in photos]
    return compare(scorer, task, chosen, images, [looks[photo.name] for photo in photos], looks)


def compare(
    scorer: Scorer,
    task: str,
    chosen: list[Triple],
    images: list[Image.Image | None],
    seen: Sequence[Observation | None],
    looks: dict[str, Observation],
) -> Outcome:
    """Scores of what is `seen` in the first triples' pictures; retrieval is among the identities of all of them."""
    scores: list[dict[str, float] | None] = []
    for result, triple in zip(seen, chosen, strict=False):
        aim = wanted(task, triple)
        parts = [looks[picture.name] for picture in (aim.identity, aim.expression, aim.background)]
        scores.append(None if result is None else scorer.compare(result, *parts))
    gallery = np.stack([looks[triple.identity.name].identity for triple in chosen])
    people = [triple.identity.person for triple in chosen]
    found = [i for i, result in enumerate(seen) if result is not None]
    retrieved = np.zeros(len(seen))
    if found:
        results = np.stack([seen[i].identity for i in found])  # type: ignore[union-attr]
        place = ranks(results, gallery, [people[i] for i in found], people, distance="euclidean")
        retrieved[found] = place == 1
    return Outcome(images, list(seen), scores, retrieved)


def look_at(scorer: Scorer, chosen: list[Triple], count: int | None = None) -> dict[str, Observation]:
    """What the scorer sees in every identity and in all inputs of the first `count` triples (None: all), by name."""
    needed = [triple.identity for triple in chosen]
    needed += [p for triple in chosen[:count] for p in (triple.background, triple.expression)]
    pictures = {picture.name: picture for picture in needed}
    found = {name: scorer.observe(picture.image) for name, picture in pictures.items()}
    return {name: seen for name, seen in found.items() if seen is not None}  # all: `triples` has made sure
