"""Films of the photo engine: how fast, how faithful to who drives them, how still.

    python -m benchmarks.photo_film [--photos 3] [--frames 150] [--side 512 720] [--out FOLDER] [--write PAGE]

The films of `driving` drive photographs of `london-dev`, from file to file as `mien film` does; MediaPipe then reads
driver and result. Correlation: over time, of the ten blendshapes that vary most in the driver. Jitter: mean absolute
second difference of these readings, and of the face's landmarks in distances of the eyes, over the driver's. Identity:
dlib's distance to the photo, every tenth frame. Speed: frames a second, all told, beside MediaPipe's alone on the same
frames; what else the machine does makes both worse, so two cores over processor time stand beside. `mead`: the first
frame of a film is the photo, and the film itself the driver and the truth; 1 is the untouched first frame, less is
better; gain as in `benchmarks.photo_engine`.
Means [least, most] over films and photographs. `--out` gets the films, and is to lie outside of the repository.
"""

from __future__ import annotations

import argparse
import tempfile
import time
from collections.abc import Iterator
from itertools import islice
from pathlib import Path
from typing import Any

import numpy as np
from PIL import Image

from benchmarks.model_card import body, fill
from benchmarks.photo_scenes import london, members
from benchmarks.table import Row, publish, run
from mien.face.landmarks import eye_distance, lms_ratios
from mien.making import filming, following
from mien.making.footage import Footage, Shot
from mien.metrics.photo import gain
from mien.metrics.scoring import load_scorer
from mien.metrics.statistics import Interval
from mien.pipelines.photo import PhotoPipeline
from mien.pipelines.photo_film import Puppet
from mien.types import ByteImage, Face, FloatArray

LIVELIEST = 10
EVERY = 10  # frames, of which one is looked at by dlib


class Part(Footage):
    """The first frames of a film."""

    def __init__(self, path: Path, most: int) -> None:
        super().__init__(path, filming.LOOKED_AT)
        self._most = most
        self.count = min(self.count, most)

    def items(self, audio: bool = True) -> Iterator[Any]:
        """See `Footage`; audio is left out."""
        return islice(super().items(False), self._most)

    def _decoded(self) -> Iterator[Any]:
        return islice(super()._decoded(), self._most)


def extracted(archive: str, folder: Path) -> list[Path]:
    """The films of an archive, written to a folder."""
    paths = []
    for name, data in members(archive, ".mp4"):
        paths.append(folder / Path(name).name)
        paths[-1].write_bytes(data)
    return sorted(paths)


def drive(
    image: Image.Image, driver: Path, frames: int, output: Path, relative: bool | None = None
) -> dict[str, float]:
    """A photo driven by a film's first frames, as `mien film` does it: frames a second, and processor seconds a frame,
    the photo's own included."""
    began, busy = time.perf_counter(), time.process_time()
    with Part(driver, frames) as footage:
        choose = following.Chooser("largest", driver.name, print)
        puppet = filming.prepared(footage, lambda: Puppet(PhotoPipeline().sit(image)), choose, relative)
        order = filming.Order(output, {"benchmark": "photo_film"}, choose, audio=False)
        report = filming.drive(footage, puppet, order)
    speed = report.frames / (time.perf_counter() - began)
    return {"speed": speed, "busy": (time.process_time() - busy) / report.frames}


def shots(path: Path, frames: int) -> list[Shot]:
    """The first frames of a film."""
    with Part(path, frames) as footage:
        return list(footage.frames())


def looked(scorer: Any, images: list[ByteImage]) -> tuple[list[Face | None], float]:
    """MediaPipe's face in each, and how many frames a second it looked at."""
    began = time.perf_counter()
    found = [(scorer.analyse(Image.fromarray(image)) or [None])[0] for image in images]
    return found, len(images) / (time.perf_counter() - began)


def faithful(driver: list[Face | None], result: list[Face | None]) -> dict[str, float]:
    """Correlation with the driver, jitter against theirs, and the share of faces found."""
    both = [(d, r) for d, r in zip(driver, result, strict=True) if d is not None and r is not None]
    theirs, ours = (np.stack([face.blendshapes for face in side]) for side in zip(*both, strict=True))
    lively = np.argsort(-theirs.std(0))[:LIVELIEST]
    pairs = [(theirs[:, k], ours[:, k]) for k in lively]
    points = [
        np.stack([face.landmarks[:468, :2] for face in side])
        / np.mean([eye_distance(face.landmarks) for face in side])
        for side in zip(*both, strict=True)
    ]

    def tremor(values: FloatArray) -> float:
        return float(np.abs(np.diff(values, 2, 0)).mean())

    return {
        "correlation": float(np.mean([np.corrcoef(a, b)[0, 1] if b.std() > 1e-9 else 0.0 for a, b in pairs])),
        "jitter": tremor(ours[:, lively]) / tremor(theirs[:, lively]),
        "jitter, landmarks": tremor(points[1]) / tremor(points[0]),
        "found": len(both) / max(sum(face is not None for face in driver), 1),
    }


def reenacted(scorer: Any, truth: list[Shot], result: list[Shot]) -> dict[str, float]:
    """A film's first frame, driven by the film: distances from the true frames over the untouched first frame's."""
    every = range(EVERY, len(truth), EVERY)
    first = scorer.analyse(Image.fromarray(truth[0].image))[0]
    table: dict[str, list[tuple[float, float]]] = {"Exp": [], "LMS": []}
    gains = []
    for number in every:
        true = scorer.analyse(Image.fromarray(truth[number].image))
        made = scorer.analyse(Image.fromarray(result[number].image))
        if not true or not made:
            continue
        for name, value in (("Exp", lambda f: f.blendshapes), ("LMS", lambda f: lms_ratios(f.landmarks))):
            far = [float(np.abs(value(face) - value(true[0])).mean()) for face in (made[0], first)]
            table[name].append((far[0], far[1]))
        pictures = [
            (result[number].image, made[0].landmarks),
            (truth[0].image, first.landmarks),
            (truth[number].image, true[0].landmarks),
        ]
        gains.append(gain(*pictures))
    ratios = {
        name: float(np.mean([a for a, _ in t]) / np.mean([b for _, b in t])) for name, t in table.items()
    }
    return ratios | {"gain": float(np.nanmean(gains))}


def over(rows: list[dict[str, float]], name: str) -> Interval:
    """Mean [least, most] of a measure."""
    values = [row[name] for row in rows if name in row]
    return Interval(float(np.mean(values)), min(values), max(values))


def main() -> None:
    """Command line of this benchmark."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--photos", type=int, default=3)
    parser.add_argument("--frames", type=int, default=150, help="of each film at most")
    parser.add_argument("--side", type=int, nargs="+", default=[512, 720])
    parser.add_argument("--out", type=Path, help="a folder for the films, outside of the repository")
    parser.add_argument("--write", type=Path, help="a page whose tables are to be filled in")
    given = parser.parse_args()
    scorer = load_scorer("mediapipe", "dlib")
    people = list(london().values())
    photos = [one["neutral"] for one in people[:: max(1, len(people) // given.photos)][: given.photos]]
    rows: dict[int, list[dict[str, float]]] = {side: [] for side in given.side}
    mead: list[dict[str, float]] = []
    with tempfile.TemporaryDirectory() as temporary:
        folder = given.out or Path(temporary)
        folder.mkdir(parents=True, exist_ok=True)
        for driver in extracted("driving", Path(temporary)):
            seen, speed = looked(scorer, [shot.image for shot in shots(driver, given.frames)])
            for side in given.side:
                for number, photo in enumerate(photos if side == given.side[0] else photos[:1]):
                    output = folder / f"{driver.stem}_{number}_{side}.mp4"
                    cost = drive(photo.resize((side, side)), driver, given.frames, output)
                    made = shots(output, given.frames)
                    assert len(made) == len(seen), "a frame was lost"
                    found, _ = looked(scorer, [shot.image for shot in made])
                    row = faithful(seen, found) | cost | {"mediapipe": speed}
                    row["identity"] = identity(scorer, photo.resize((side, side)), made, found)
                    rows[side].append(row)
                    print(driver.stem, number, side, {k: round(v, 2) for k, v in row.items()}, flush=True)
        for driver in extracted("mead", Path(temporary)):
            truth = shots(driver, given.frames)
            output = folder / f"{driver.stem}.mp4"
            drive(Image.fromarray(truth[0].image), driver, given.frames, output)
            mead.append(reenacted(scorer, truth, shots(output, given.frames)))
            print(driver.stem, {k: round(v, 2) for k, v in mead[-1].items()}, flush=True)
    table = acceptance(rows, mead, given)
    publish(
        Path("runs/bench"), "photo_film", "Films of the photo engine", table, {"rows": rows, "mead": mead}
    )
    if given.write is not None:
        fill(given.write, {"films": body(table)})


def identity(scorer: Any, photo: Image.Image, made: list[Shot], found: list[Face | None]) -> float:
    """dlib's mean distance to the person of the photo."""
    theirs = scorer.recognise(photo, scorer.analyse(photo)[0])
    chosen = [(shot, face) for shot, face in list(zip(made, found, strict=True))[::EVERY] if face is not None]
    far = [(scorer.recognise(Image.fromarray(s.image), f) - theirs).norm().item() for s, f in chosen]
    return float(np.mean(far))


def acceptance(
    rows: dict[int, list[dict[str, float]]], mead: list[dict[str, float]], given: Any
) -> list[Row]:
    """The table: each measure beside what it is to reach."""
    first = rows[given.side[0]]
    note = f"{len(first)} films of {given.frames} frames at most"
    table = [
        Row("correlation with the driver", over(first, "correlation"), 0.75, spec=".2f", note=note),
        Row("faces found", over(first, "found"), 0.98, spec=".3f", note=note),
        Row("dlib distance to the person", over(first, "identity"), 0.45, False, ".2f", note=note),
        Row("jitter of readings ÷ the driver's", over(first, "jitter"), 1.5, False, ".2f", note=note),
        Row(
            "jitter of landmarks ÷ the driver's",
            over(first, "jitter, landmarks"),
            1.5,
            False,
            ".2f",
            note=note,
        ),
    ]
    for side, some in rows.items():
        floor = {"MediaPipe alone": over(some, "mediapipe")}
        target = {512: 20.0, 720: 12.0}.get(side)
        table.append(
            Row(f"frames a second, {side} px", over(some, "speed"), target, spec=".1f", baselines=floor)
        )
        cores = [{"rate": 2 / row["busy"]} for row in some]
        table.append(Row(f"2 cores ÷ processor time, {side} px", over(cores, "rate"), spec=".1f"))
    if mead:
        own = f"{len(mead)} films of mead"
        table += [
            Row("Exp ÷ untouched, own film", over(mead, "Exp"), 1.0, False, ".2f", note=own),
            Row("LMS ÷ untouched, own film", over(mead, "LMS"), 1.0, False, ".2f", note=own),
            Row("gain toward the truth, own film", over(mead, "gain"), 0.0, spec=".2f", note=own),
        ]
    return table


if __name__ == "__main__":
    run(main)
