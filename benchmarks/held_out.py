"""The pictures that the benchmarks use: photographs by the held-out rule, and renders of heads nobody
trained on.
"""

from __future__ import annotations

import hashlib
import io
import tarfile
from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
from PIL import Image

from factory.faces.coefficients import preset
from factory.faces.ict import load_head
from factory.faces.render import HOLDOUT_SEEDS, make_person, render, sample_view
from factory.faces.sources import ARCHIVES, read_label, shared_dir
from mien.data.split import is_held_out
from mien.types import FloatArray

Usable = Callable[[Image.Image], bool]

# The expressions of group (b), at full strength; the one-sided ones on both sides.
PRESETS = (
    "jaw_open",
    "wink_left",
    "pucker",
    "scowl",
    "closed_eyes",
    "grimace",
    "smirk_left",
    "shout",
    "wink_right",
    "smirk_right",
)
# Those of group (b) where raised brows are wanted too, which `PRESETS` has not: kept apart, so that old tables can be
# compared with new ones.
EXPRESSIVE = (*PRESETS, "brow_raise_left", "brow_raise_right")
FIRST_HEAD = HOLDOUT_SEEDS + 500_000  # shapes of their own, apart from those used for tuning


@dataclass(frozen=True)
class Picture:
    """A held-out picture with where it is from, its name and its person."""

    source: str
    name: str
    person: str
    image: Image.Image


@dataclass(frozen=True)
class Pair:
    """One generation: whose face, whose expression; group "a" (photographs), "b" (renders) or "c" (photographs of
    strong expressions).
    """

    group: str
    identity: Picture
    reference: Picture


def photographs(source: str) -> list[Picture]:
    """All held-out pictures of a source, shuffled once and for all by a hash of their names."""
    found = []
    for archive in ARCHIVES[source]:
        with tarfile.open(shared_dir() / "data" / f"{archive}.tar") as tar:
            for member in tar:
                stream = tar.extractfile(member) if member.name.endswith(".jpg") else None
                if stream is not None and is_held_out(member.name):
                    image = Image.open(io.BytesIO(stream.read())).convert("RGB")
                    found.append(Picture(source, member.name, read_label(source, member.name).person, image))
    return sorted(found, key=lambda p: hashlib.sha256(f"benchmark {p.name}".encode()).hexdigest())


def renders(count: int, usable: Usable, presets: tuple[str, ...] = PRESETS) -> tuple[list[Picture], int]:
    """Expressive renders, one head after another in one expression each; and how many were not usable."""
    head = load_head()
    chosen: list[Picture] = []
    skipped = 0
    while len(chosen) < count:
        seed = FIRST_HEAD + len(chosen) + skipped
        name = presets[len(chosen) % len(presets)]
        view = sample_view(np.random.default_rng([seed, 2]))
        image = Image.fromarray(render(head, make_person(head, seed), preset(name), view))
        if usable(image):
            chosen.append(Picture("renders", name, f"head {seed}", image))
        else:
            skipped += 1
    return chosen, skipped


def pairs(count: int, usable: Usable) -> tuple[list[Pair], int]:
    """`count` pairs, half of them of each group, every identity used once; and how many pictures were
    skipped.

    Identities are UTKFace photographs. References of group (a) are UTKFace and LFW photographs by turns,
    one a person; those of group (b) are renders. Pictures in which the scorer sees no face can calibrate
    nothing and are skipped.
    """
    skipped = 0

    def first(pictures: list[Picture], wanted: int) -> list[Picture]:
        nonlocal skipped
        chosen: list[Picture] = []
        people: set[str] = set()
        for picture in pictures:
            if len(chosen) == wanted:
                break
            if picture.person in people:
                continue
            if usable(picture.image):
                chosen.append(picture)
                people.add(picture.person)
            else:
                skipped += 1
        if len(chosen) < wanted:
            raise ValueError(f"only {len(chosen)} held-out pictures can be used, {wanted} are needed")
        return chosen

    half = count // 2
    utkface = first(photographs("utkface-adults"), count + (half + 1) // 2)
    lfw = first(photographs("lfw-gray"), half // 2)
    identities, rest = utkface[:count], utkface[count:]
    references = [(rest if i % 2 == 0 else lfw)[i // 2] for i in range(half)]
    rendered, unusable = renders(count - half, usable)
    groups = ["a"] * half + ["b"] * (count - half)
    made = [Pair(*row) for row in zip(groups, identities, [*references, *rendered], strict=True)]
    return made, skipped + unusable


def expressive_pairs(count: int, blendshapes: Callable[[Image.Image], FloatArray | None]) -> list[Pair]:
    """`count` pairs, every identity used once: half of group "a", a quarter each of "b" and "c", by turns.

    Identities are UTKFace photographs. Of those that are none, and of LFW (one picture a person), the photographs
    farthest in Exp from the median face are the references of "c"; the first of the others are those of "a".

    Args:
        blendshapes: picture → [52], or None where the scorer sees no face; such pictures are skipped.
    """
    quarter = count // 4
    plain = count - 2 * quarter
    seen = {
        source: [(p, b) for p in photographs(source) if (b := blendshapes(p.image)) is not None]
        for source in ("utkface-adults", "lfw-gray")
    }
    identities = [p for p, _ in seen["utkface-adults"][:count]]
    median = np.median([b for known in seen.values() for _, b in known], axis=0)
    rest = [*seen["utkface-adults"][count:], *seen["lfw-gray"]]
    by_strength = sorted(rest, key=lambda one: -float(np.abs(one[1] - median).mean()))
    strong = _one_a_person([p for p, _ in by_strength])[:quarter]
    taken = {p.person for p in strong}
    others = _one_a_person([p for p, _ in rest if p.person not in taken])
    by_turns = [
        picture
        for both in zip(*([p for p in others if p.source == source] for source in seen), strict=False)
        for picture in both
    ]
    if min(len(identities) - count, len(strong) - quarter, len(by_turns) - plain) < 0:
        raise ValueError(f"the held-out pictures do not give {count} pairs")
    rendered, _ = renders(quarter, lambda image: blendshapes(image) is not None, EXPRESSIVE)
    references = [("a", p) for p in by_turns[:plain]]
    for i, both in enumerate(
        zip(rendered, strong, strict=True)
    ):  # a b a c a b a c …: any first part is like the whole
        for place, one in enumerate(zip("bc", both, strict=True)):
            references.insert(4 * i + 2 * place + 1, one)
    return [
        Pair(group, identity, reference)
        for identity, (group, reference) in zip(identities, references, strict=True)
    ]


def _one_a_person(pictures: list[Picture]) -> list[Picture]:
    first: dict[str, Picture] = {}
    for picture in pictures:
        first.setdefault(picture.person, picture)
    return list(first.values())
