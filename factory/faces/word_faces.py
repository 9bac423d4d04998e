"""Renders the shipped faces: for each word a head of nobody that MediaPipe reads as the word's prototype.

    python -m factory.faces.word_faces fit [WORD...]    # search heads and coefficients -> faces/coefficients.json
    python -m factory.faces.word_faces draw             # draw faces/*.webp from that file

A blendshape of the rendered head and MediaPipe's reading of it are not on one scale: faint shapes hardly show in
the reading, heads differ in how high their brows sit. So coefficients are searched, from the prototype's own,
by a (1+1) evolution strategy (Rechenberg 1973) on

    score(c) = r(m, p) - max(0, max_q r(m, q) - r(m, p) + 0.02) - 0.5 mean_j |m_j - p_j| - 0.02 |c - c_0|^2

m: MediaPipe's reading of the render, p: the word's prototype, q: those of other clusters, j: what p moves, r: Pearson's
over the 52. The last term keeps the face near what the action units say. Needs the data beside the project and
``mien[mediapipe]``.
"""

from __future__ import annotations

import argparse
import json
from collections.abc import Callable
from dataclasses import replace
from functools import lru_cache

import numpy as np
from PIL import Image
from tqdm import tqdm

from factory.faces.coefficients import to_vector
from factory.faces.ict import load_head
from factory.faces.labels import Labeller
from factory.faces.render import HOLDOUT_SEEDS, Person, make_person, render
from factory.faces.scene import View, sample_view, unit
from mien.expressions.faces import FOLDER, NEUTRAL, RENDERED
from mien.expressions.labels import correlations, labels, units
from mien.expressions.reading import at_rest
from mien.face.blendshapes import FLIP, INDEX, NAMES
from mien.files import write_text
from mien.provenance import save_image
from mien.types import ByteImage, FloatArray

SIZE = 256
FIRST = HOLDOUT_SEEDS + 500_000  # heads from here on are of no training or test set
SCANNED, CALM = 120, 80  # heads looked at, and those kept whose faces at rest are read as resting
TRIED, STEPS = 4, 48  # heads a word, and mutations of the best one's coefficients
STRONGEST = 1.4  # of a coefficient: a bit of caricature
# What may help beside the shapes a prototype names: their neighbours on the face.
_HELPERS = (
    "browInnerUp browDown browOuterUp eyeSquint eyeWide eyeBlink cheekSquint noseSneer jawOpen mouthClose mouthPucker "
    "mouthFrown mouthSmile mouthShrugUpper mouthRollLower mouthLowerDown mouthUpperUp mouthStretch"
).split()


@lru_cache(maxsize=32)
def person(seed: int) -> Person:
    """The head of a seed."""
    return make_person(load_head(), seed)


def view(seed: int) -> View:
    """Nearly from the front, in soft light, on a plain ground."""
    rng = np.random.default_rng([seed, 3])
    brightness = float(person(seed).look.skin.mean())  # linear; a camera would expose by it too
    pose = np.array([rng.normal(0, 4), 0.0, rng.normal(0, 1.5)], np.float32)
    return replace(
        sample_view(rng),
        pose=pose.clip(-8, 8),
        scale=7.4,
        shift=np.zeros(2, np.float32),
        distance=90.0,
        key_direction=unit(np.array([rng.choice([-1, 1]) * rng.uniform(0.3, 0.7), 0.5, 1.0])),
        exposure=float(np.clip(0.72 * brightness**-0.25, 0.75, 1.3)),
        background=np.broadcast_to(np.float32(rng.uniform(0.25, 0.6, 3) ** 1.5), (192, 192, 3)).copy(),
        noise=0.0,
    )


def draw(seed: int, coefficients: FloatArray, size: int = SIZE) -> ByteImage:
    """The head of `seed` with coefficients [52]: [size, size, 3] uint8 RGB."""
    return render(load_head(), person(seed), coefficients, view(seed), size)


def start(prototype: FloatArray) -> FloatArray:
    """Coefficients [52] to start from: the prototype, each shape stretched from its reading's scale to its own."""
    strongest = np.ones(len(NAMES))
    for weights in units().values():
        for stem, value in weights.items():
            for name in (stem,) if stem in INDEX else (f"{stem}Left", f"{stem}Right"):
                if value >= 0.35:
                    strongest[INDEX[name]] = min(strongest[INDEX[name]], max(value, 0.35))
    return possible(prototype / strongest)


def possible(coefficients: FloatArray) -> FloatArray:
    """Coefficients [52] within what the mesh bears: lids that close further would cut into the eye."""
    c = coefficients.clip(0, STRONGEST)
    for side in ("Left", "Right"):
        blink, down = INDEX[f"eyeBlink{side}"], INDEX[f"eyeLookDown{side}"]
        c[down] = min(c[down], 1.0)
        c[blink] = min(c[blink], 1.0 - 0.35 * c[down])
    return c


def search(
    read: Callable[[int, FloatArray], FloatArray],
    prototype: FloatArray,
    others: FloatArray,
    candidates: list[tuple[int, FloatArray]],
    steps: int,
    rng: np.random.Generator,
) -> tuple[int, FloatArray, float]:
    """The head, coefficients [52] and score found for a prototype [52].

    Args:
        read: (head, coefficients) -> reading [52], NaN for no face. others: [n, 52] prototypes to be told from.
        candidates: heads with coefficients to start from; the best goes through `steps` mutations.
    """
    first = start(prototype)
    moved = prototype > 0.05

    def score(seed: int, c: FloatArray) -> float:
        m = read(seed, c)
        if not np.isfinite(m[0]):
            return -2.0
        far = 0.02 * float(((c - first) ** 2).sum())
        if not moved.any():
            return float(1 - 10 * np.abs(m - at_rest()).mean() - far)
        r = correlations(m, prototype[None])[0]
        confused = max(0.0, correlations(m, others).max() - r + 0.02)
        return float(r - confused - 0.5 * np.abs(m - prototype)[moved].mean() - far)

    scores = [score(*candidate) for candidate in candidates]
    best = max(scores)
    seed, c = candidates[scores.index(best)]
    helpers = [
        n for stem in _HELPERS for n in ((stem,) if stem in INDEX else (f"{stem}Left", f"{stem}Right"))
    ]
    free = np.flatnonzero((first > 0) | (to_vector(dict.fromkeys(helpers, 1.0)) > 0))
    even = np.allclose(prototype, prototype[list(FLIP)])
    spread = 0.2
    for _ in range(steps):
        step = np.zeros(len(NAMES))
        chosen = rng.choice(free, size=min(len(free), int(rng.integers(1, 5))), replace=False)
        step[chosen] = rng.normal(0, spread, len(chosen))
        if even:  # a face meant to be even stays so
            step = step + step[list(FLIP)]
        trial = possible(c + step)
        value = score(seed, trial)
        better = value > best
        if better:
            c, best = trial, value
        spread = float(np.clip(spread * (1.4 if better else 0.93), 0.05, 0.4))  # the 1/5 rule
    return seed, c, best


def fit(words: list[str], steps: int) -> None:
    """Search heads and coefficients of `words`, from what the file has of them; of all, if none is named."""
    place = FOLDER / "coefficients.json"
    found = json.loads(place.read_text()) if place.is_file() else {}
    known = labels()
    with Labeller() as labeller:

        def read(seed: int, c: FloatArray) -> FloatArray:
            return labeller(draw(seed, c, 192)).blendshapes.astype(np.float64)

        scanned = range(FIRST, FIRST + SCANNED)
        rest = [np.abs(read(seed, np.zeros(52)) - at_rest()).mean() for seed in tqdm(scanned, desc="heads")]
        calm = [scanned[i] for i in np.argsort(np.nan_to_num(rest, nan=1.0))[:CALM]]
        with tqdm(words or [NEUTRAL, *known]) as bar:
            for word in bar:
                rng = np.random.default_rng([7, *word.encode(), len(found.get(word, {}))])
                prototype = np.zeros(52) if word == NEUTRAL else known[word].prototype
                mine = None if word == NEUTRAL else known[word].cluster
                others = np.stack([label.prototype for label in known.values() if label.cluster != mine])
                used = [entry["head"] for name, entry in found.items() if name != word]
                fresh = [seed for seed in calm if used.count(seed) < 2]
                heads = rng.choice(fresh, TRIED, replace=False)
                candidates = [(int(seed), start(prototype)) for seed in heads]
                if word in found:
                    candidates.append((found[word]["head"], to_vector(found[word]["coefficients"])))
                seed, c, score = search(read, prototype, others, candidates, steps, rng)
                shapes = {name: round(float(v), 3) for name, v in zip(NAMES, c, strict=True) if v >= 0.01}
                found[word] = {"head": seed, "coefficients": shapes}
                bar.set_postfix_str(f"{word} {score:.2f}")
                rows = (f" {json.dumps(key)}: {json.dumps(value)}" for key, value in sorted(found.items()))
                write_text(place, "{\n" + ",\n".join(rows) + "\n}\n")


def main() -> None:
    """Command line of this module."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("what", choices=["fit", "draw"])
    parser.add_argument("words", nargs="*", help="only these")
    parser.add_argument("--steps", type=int, default=STEPS, help="mutations a word")
    given = parser.parse_args()
    FOLDER.mkdir(exist_ok=True)
    if given.what == "fit":
        fit(given.words, given.steps)
        return
    for word, entry in json.loads((FOLDER / "coefficients.json").read_text()).items():
        if not given.words or word in given.words:
            image = draw(entry["head"], to_vector(entry["coefficients"]))
            settings = {"rendered": "ICT-FaceKit head of nobody", "expression": word}
            save_image(Image.fromarray(image), FOLDER / f"{word}.webp", settings, RENDERED)


if __name__ == "__main__":
    main()
