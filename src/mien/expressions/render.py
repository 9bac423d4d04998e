"""Renders the shipped faces: for each word a head of nobody that MediaPipe reads as the word's prototype.

    python -m mien.expressions.render fit        # search heads and coefficients -> faces/coefficients.json
    python -m mien.expressions.render            # draw faces/*.webp from that file

A blendshape of the rendered head and MediaPipe's reading of it are not on one scale: faint shapes hardly show in
the reading, heads differ in how high their brows sit. So coefficients are searched, from the prototype's own,
by a (1+1) evolution strategy (Rechenberg 1973) on

    score(c) = r(m, p) - 0.5 mean_j |m_j - p_j| (j: what p moves) - 0.02 |c - c_0|^2

m: MediaPipe's reading of the render, p: the prototype, r: Pearson's over the 52. The last term keeps the face near
what the action units say. Needs the data beside the project and ``mien[mediapipe]``.
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

from mien.data.coefficients import to_vector
from mien.data.ict import load_head
from mien.data.labels import Labeller
from mien.data.render import HOLDOUT_SEEDS, Person, make_person, render
from mien.data.scene import View, sample_view, unit
from mien.expressions.faces import FOLDER, NEUTRAL
from mien.expressions.labels import UNITS, correlations, labels
from mien.expressions.reading import at_rest
from mien.face.blendshapes import FLIP, INDEX, NAMES
from mien.files import write_text
from mien.provenance import save_image
from mien.types import ByteImage, FloatArray

SIZE = 256
FIRST = HOLDOUT_SEEDS + 500_000  # heads from here on are of no training or test set
SCANNED, CALM = 240, 120  # heads looked at, and those kept whose faces at rest are read as resting
TRIED, STEPS = 4, 48  # heads a word, and mutations of the best one's coefficients
STRONGEST = 1.4  # of a coefficient: a bit of caricature
ALGORITHMIC = "http://cv.iptc.org/newscodes/digitalsourcetype/algorithmicMedia"
# What may help beside the shapes a prototype names: their neighbours on the face.
_HELPERS = (
    "browInnerUp",
    "browDown",
    "browOuterUp",
    "eyeSquint",
    "eyeWide",
    "eyeBlink",
    "cheekSquint",
    "noseSneer",
)
_LOWER = (
    "mouthClose",
    "mouthPucker",
    "mouthFrown",
    "mouthSmile",
    "mouthShrugUpper",
    "mouthRollLower",
    "jawOpen",
)


@lru_cache(maxsize=32)
def person(seed: int) -> Person:
    """The head of a seed."""
    return make_person(load_head(), seed)


def view(seed: int) -> View:
    """Nearly from the front, in soft light, on a plain ground."""
    rng = np.random.default_rng([seed, 3])
    pose = np.array([rng.normal(0, 4), 0.0, rng.normal(0, 1.5)], np.float32)
    return replace(
        sample_view(rng),
        pose=pose.clip(-8, 8),
        scale=7.4,
        shift=np.zeros(2, np.float32),
        distance=90.0,
        key_direction=unit(np.array([rng.choice([-1, 1]) * rng.uniform(0.3, 0.7), 0.5, 1.0])),
        exposure=1.0,
        background=np.broadcast_to(np.float32(rng.uniform(0.25, 0.6, 3) ** 1.5), (192, 192, 3)).copy(),
        noise=0.0,
    )


def draw(seed: int, coefficients: FloatArray, size: int = SIZE) -> ByteImage:
    """The head of `seed` with coefficients [52]: [size, size, 3] uint8 RGB."""
    return render(load_head(), person(seed), coefficients, view(seed), size)


def start(prototype: FloatArray) -> FloatArray:
    """Coefficients [52] to start from: the prototype, each shape stretched from its reading's scale to its own."""
    strongest = np.ones(len(NAMES))
    for weights in UNITS.values():
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
    heads: list[int],
    rng: np.random.Generator,
) -> tuple[int, FloatArray, float]:
    """The head, coefficients [52] and score found for a prototype; `read` gives a reading [52], NaN for no face."""
    first = start(prototype)
    moved = prototype > 0.05

    def score(seed: int, c: FloatArray) -> float:
        m = read(seed, c)
        if not np.isfinite(m[0]):
            return -1.0
        r = correlations(m, prototype[None])[0] if moved.any() else 1 - np.abs(m - at_rest()).mean() * 10
        off = np.abs(m - prototype)[moved].mean() if moved.any() else 0.0
        return float(r - 0.5 * off - 0.02 * ((c - first) ** 2).sum())

    seed, best = max(((head, score(head, first)) for head in heads), key=lambda pair: pair[1])
    c, spread = first, 0.2
    helpers = [
        n
        for stem in (*_HELPERS, *_LOWER)
        for n in ((stem,) if stem in INDEX else (f"{stem}Left", f"{stem}Right"))
    ]
    free = np.flatnonzero((first > 0) | (to_vector(dict.fromkeys(helpers, 1.0)) > 0))
    even = np.allclose(prototype, prototype[list(FLIP)])
    for _ in range(STEPS):
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


def fit() -> None:
    """Search every word's head and coefficients; words that are in the file already keep theirs."""
    place = FOLDER / "coefficients.json"
    found = json.loads(place.read_text()) if place.is_file() else {}
    with Labeller() as labeller:

        def read(seed: int, c: FloatArray) -> FloatArray:
            return labeller(draw(seed, c, 192)).blendshapes.astype(np.float64)

        scanned = range(FIRST, FIRST + SCANNED)
        rest = [np.abs(read(seed, np.zeros(52)) - at_rest()).mean() for seed in tqdm(scanned, desc="heads")]
        calm = [scanned[i] for i in np.argsort(np.nan_to_num(rest, nan=1.0))[:CALM]]
        prototypes = {NEUTRAL: np.zeros(52), **{word: label.prototype for word, label in labels().items()}}
        with tqdm(prototypes.items()) as bar:
            for number, (word, prototype) in enumerate(bar):
                if word in found:
                    continue
                rng = np.random.default_rng([7, number])
                used = [entry["head"] for entry in found.values()]
                fresh = [seed for seed in calm if used.count(seed) < 2]
                heads = [int(seed) for seed in rng.choice(fresh, TRIED, replace=False)]
                seed, c, score = search(read, prototype, heads, rng)
                shapes = {name: round(float(v), 3) for name, v in zip(NAMES, c, strict=True) if v >= 0.01}
                found[word] = {"head": seed, "coefficients": shapes}
                bar.set_postfix_str(f"{word} {score:.2f}")
                rows = (f" {json.dumps(key)}: {json.dumps(value)}" for key, value in sorted(found.items()))
                write_text(place, "{\n" + ",\n".join(rows) + "\n}\n")


def main() -> None:
    """Command line of this module."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("what", nargs="?", choices=["fit", "draw"], default="draw")
    FOLDER.mkdir(exist_ok=True)
    if parser.parse_args().what == "fit":
        fit()
        return
    for word, entry in json.loads((FOLDER / "coefficients.json").read_text()).items():
        image = draw(entry["head"], to_vector(entry["coefficients"]))
        settings = {"rendered": "ICT-FaceKit head of nobody", "expression": word}
        save_image(Image.fromarray(image), FOLDER / f"{word}.webp", settings, ALGORITHMIC)


if __name__ == "__main__":
    main()
