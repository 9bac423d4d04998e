"""Do the results look like photographs, as a crowd? Distances between distributions of features.

    python -m benchmarks.realism RESULTS [--out runs/bench] [--sheet 100]

RESULTS holds pictures of any method, made from the held-out identities of `benchmarks/model_card.py`. Two halves of the
held-out photographs say what "as near as photographs are to each other" is: one half are the identities, the other has
never been an input. All of them are canonical crops of 128 pixels, as results are. Two descriptions of a picture:

- dlib: its recogniser's 128 numbers, standardised. Shares no weights with ours. It was made to look past blur, light
  and grain, so it judges faces and not pictures.
- ours: the last convolution of our recogniser, averaged over its 8 x 8 places: 192 numbers, and texture is in them.
  Its final embedding was part of the training loss, these features were not.

Blurred and reconstructed photographs stand beside the results, to show what each distance can see.
"""

from __future__ import annotations

import argparse
from collections.abc import Sequence
from pathlib import Path

import numpy as np
from PIL import Image, ImageFilter

from benchmarks.remembered import Remembered
from benchmarks.table import Row, publish, run
from mien.face.align import crop_matrix, warp
from mien.metrics import statistics
from mien.metrics.distribution import frechet, kid
from mien.metrics.scoring import Observation, load_scorer
from mien.metrics.statistics import Interval
from mien.provenance import save_image
from mien.sheets import sheet
from mien.types import Face, FloatArray

BLUR = 1.5  # px, standard deviation
TARGET = 2.0


def crop(image: Image.Image, face: Face) -> Image.Image:
    """The canonical crop, as the model's pictures are framed: 128 x 128."""
    return Image.fromarray(warp(np.asarray(image.convert("RGB")), crop_matrix(face.landmarks)))


def blurred(image: Image.Image) -> Image.Image:
    """A Gaussian blur of `BLUR` pixels."""
    return image.filter(ImageFilter.GaussianBlur(BLUR))


def dlib_features(seen: Sequence[Observation | None]) -> dict[int, FloatArray]:
    """{place: [128]} where a face was seen."""
    return {i: look.direction for i, look in enumerate(seen) if look is not None}


def our_features(images: Sequence[Image.Image | None]) -> dict[int, FloatArray]:
    """{place: [192]} where there is a picture."""
    import torch

    from mien.encoders.identity import load_recogniser
    from mien.weights import path

    trunk = load_recogniser(path("recogniser")).trunk
    found: dict[int, FloatArray] = {}
    for i, image in enumerate(images):
        if image is not None:
            pixels = torch.from_numpy(np.array(image.convert("RGB"))).permute(2, 0, 1)[None].float()
            with torch.no_grad():
                found[i] = trunk(pixels / 127.5 - 1).mean(dim=(2, 3))[0].double().numpy()
    return found


def compare(
    results: dict[int, FloatArray], identities: dict[int, FloatArray], rest: FloatArray
) -> tuple[Interval, Interval, Interval, int]:
    """Results against `rest` of the photographs, beside their identities against the same.

    Args:
        results, identities: features by pair; every result's identity is there. rest: [m, d].

    Returns:
        Frechet ratio; KID of the results; KID of the identities (0 on average: two halves of the photographs); and
        how many pictures each set of the ratio has.
    """
    places = np.array(sorted(results.keys() & identities.keys()))
    chosen = np.random.default_rng(0).permutation(places)[: min(len(places), len(rest))]
    made = np.stack([results[i] for i in chosen])
    real = np.stack([identities[i] for i in chosen])
    rest = np.random.default_rng(1).permutation(rest)[: len(chosen)]
    mean, deviation = rest.mean(axis=0), rest.std(axis=0) + 1e-9
    made, real, rest = ((x - mean) / deviation for x in (made, real, rest))

    def log_ratio(part: np.ndarray) -> float:
        return float(np.log(frechet(made[part], rest[part]) / frechet(real[part], rest[part])))

    count = len(chosen)
    return (
        Interval(*map(float, np.exp(statistics.jackknife(log_ratio, count)))),
        statistics.jackknife(lambda part: kid(made[part], rest[part]), count),
        statistics.jackknife(lambda part: kid(real[part], rest[part]), count),
        count,
    )


def rows(
    judged: dict[str, tuple[Sequence[Image.Image | None], Sequence[Observation | None]]],
    identities: tuple[Sequence[Image.Image], Sequence[Observation | None]],
    rest: tuple[Sequence[Image.Image], Sequence[Observation | None]],
    parts: dict[str, list[int]],
) -> list[Row]:
    """The table: the first of `judged` is ours, the others say what the distances see.

    Args:
        judged: name → pictures and what was seen in them, one for each identity (None: none).
        identities, rest: the two halves of the photographs, as canonical crops.
        parts: name → which pairs; the first has the target.
    """
    table = []
    for name, of in (
        ("dlib", lambda images, seen: dlib_features(seen)),
        ("texture", lambda images, seen: our_features(images)),
    ):
        real, others = of(*identities), np.stack(list(of(*rest).values()))
        features = {method: of(*pictures) for method, pictures in judged.items()}
        for label, part in parts.items():
            found = {
                method: compare({i: one[i] for i in part if i in one}, real, others)
                for method, one in features.items()
            }
            (_, (ratio, near, halves, count)), *baselines = found.items()
            first = label == next(iter(parts))
            table.append(
                Row(
                    f"Frechet ÷ of two halves, {name}, {label}",
                    ratio,
                    TARGET if first else None,
                    at_least=False,
                    spec=".2f",
                    baselines={method: one[0] for method, one in baselines},
                    note=f"{count} and {count}",
                )
            )
            table.append(
                Row(
                    f"KID, {name}, {label}",
                    near,
                    baselines={
                        **{method: one[1] for method, one in baselines},
                        "other half of the photographs": halves,
                    },
                    note=f"{count} and {count}",
                )
            )
    return table


def random_sheet(images: Sequence[Image.Image | None], count: int, out: Path) -> Path:
    """`count` random results on one sheet, numbered, for counting broken faces. Likenesses of real people: not to be
    published.
    """
    there = [(i, image) for i, image in enumerate(images) if image is not None]
    order = np.random.default_rng(2026).permutation(len(there))[:count]
    tiles = [(f"{there[i][0]:03d}", there[i][1]) for i in sorted(order)]
    page = sheet([tiles[i : i + 10] for i in range(0, len(tiles), 10)], side=144)
    return save_image(page, out / "random_sheet.png", {"benchmark": "realism", "random": count})


def main() -> None:
    """Command line of this benchmark."""
    from benchmarks.held_out import expressive_pairs, photographs
    from benchmarks.portrait_benchmark import read_results

    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("results", type=Path, help="000.png … of the pairs of benchmarks/model_card.py")
    parser.add_argument("--n", type=int, default=500, help="how many pairs")
    parser.add_argument("--out", type=Path, default=Path("runs/bench"))
    parser.add_argument("--sheet", type=int, default=100, help="pictures on the sheet")
    arguments = parser.parse_args()
    images = read_results(arguments.results, arguments.n)
    eyes = Remembered(load_scorer("mediapipe", "dlib"), arguments.out)
    chosen = expressive_pairs(arguments.n, eyes.blendshapes)
    eyes.save()
    crops, rest = halves(
        eyes, [p.identity.image for p in chosen], [p.image for p in photographs("utkface-adults")]
    )
    judged = {"mien": images, "blurred photographs": [blurred(c) for c in crops]}
    table = rows(
        {name: (pictures, eyes.all(pictures)) for name, pictures in judged.items()},
        (crops, eyes.all(crops)),
        (rest, eyes.all(rest)),
        {"all": list(range(len(images)))},
    )
    eyes.save()
    publish(arguments.out, "realism", "Realism", table, {"results": str(arguments.results)})
    print(f"look at {random_sheet(images, arguments.sheet, arguments.out)}")


def halves(
    eyes: Remembered, identities: list[Image.Image], photographs: list[Image.Image]
) -> tuple[list[Image.Image], list[Image.Image]]:
    """Canonical crops of the identities, and of the photographs that are none."""
    used = {image.tobytes() for image in identities}
    others = [image for image in photographs if image.tobytes() not in used]
    both = [
        [crop(i, look.face) for i in part if (look := eyes.observe(i)) is not None]
        for part in (identities, others)
    ]
    return both[0], both[1]


if __name__ == "__main__":
    run(main)
