"""`mien analyze`: which faces are in pictures, where, how they are turned, and what they do."""

from __future__ import annotations

import os
from collections import deque
from collections.abc import Callable, Iterable, Iterator, Sequence
from functools import partial
from itertools import count
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

from typer import Argument, Option

from mien.cli import options
from mien.cli.console import counting_bar, encodable, print_json, tell
from mien.cli.pictures import files, keep, keep_tables, spare
from mien.errors import InputError, choice
from mien.files import check_writable, make_folder, write_text
from mien.tables import to_csv

if TYPE_CHECKING:
    from PIL import Image

    from mien.types import Face, FloatArray

    Look = Callable[[Iterator[Image.Image]], Iterable[list[Face]]]

BACKENDS = ("embedded", "mediapipe")
STRONGEST = 4


def analyze(
    images: Annotated[list[str], Argument(metavar="IMAGES")],
    backend: str = "embedded",
    as_json: Annotated[bool, Option("--json")] = False,
    csv_path: Annotated[Path | None, Option("--csv")] = None,
    overlay: Path | None = None,
    min_confidence: Annotated[float | None, Option(min=0, max=1)] = None,
    model: Path | None = None,
    parser: str | None = None,
    overwrite: options.Overwrite = False,
    quiet: options.Quiet = False,
) -> None:
    """Faces, largest first: box, pose in degrees, confidence, and how strong each of 52 blendshapes is.

    Exit code 2 if a picture could not be read; the others are analysed all the same.

    Args:
        images: Pictures, folders of pictures, or globs in quotes.
        backend: embedded, or mediapipe if it is installed.
        as_json: Print JSON on stdout: one object a picture.
        csv_path: Write a table here, one row a face; `-` for stdout.
        overlay: Draw what was found: a picture, or for several pictures a folder to fill.
        min_confidence: Faces the embedded network believes in less are left out; 0.8 if not given.
        model: MediaPipe's face_landmarker.task, if it is not in MIEN_MODELS.
        parser: Folder or hub id of a SegFormer face parser, whose mask the overlay shows.
    """
    choice(backend, BACKENDS, "backend")
    from mien.images import find_images, read_image, unread

    if min_confidence is not None and backend != "embedded":
        raise InputError("--min-confidence is of the embedded backend: leave it out with MediaPipe.")
    if model is not None and backend != "mediapipe":
        raise InputError("--model is of MediaPipe: add --backend mediapipe.")
    if parser is not None and overlay is None:
        raise InputError("--parser draws the face mask of a parsing network: add --overlay.")
    for note in unread(images):
        tell(note)
    paths = find_images(images)
    to_stdout = csv_path is not None and str(csv_path) == "-"
    if as_json and to_stdout:
        raise InputError("--json and --csv - both want stdout: give --csv a file.")
    drawings = _drawings(overlay, paths)
    tables = [check_writable(csv_path)] if csv_path is not None and not to_stdout else []
    spare(files(paths), [*drawings.values(), *tables])
    keep(drawings.values(), overwrite)
    if tables:
        keep_tables(tables, "path,face,", overwrite)
    if overlay is not None and overlay not in drawings.values():
        check_writable(make_folder(overlay) / "overlay.png")
    if not any(path.exists() for path in paths):
        read_image(paths[0])  # says what is wrong, before anything heavy is imported
    from mien.face.analyze import MIN_CONFIDENCE, analyze_many

    threshold = MIN_CONFIDENCE if min_confidence is None else min_confidence
    if backend == "mediapipe":
        from mien.face import mediapipe

        look: Look = partial(map, mediapipe.load(model))
    else:
        look = partial(analyze_many, backend=backend, min_confidence=threshold)
    from mien.face.overlay import draw_faces
    from mien.face.parsing import load_parser
    from mien.provenance import COMPOSITE, save_image

    parse = None if parser is None else load_parser(parser).mask

    def drawn(path: Path, image: Image.Image, faces: list[Face]) -> None:
        if path in drawings:
            settings = {"analysis": {"backend": backend, "faces": len(faces)}}
            shown = draw_faces(image, faces, parse(image) if parse else None)
            save_image(shown, drawings[path], settings, COMPOSITE)

    results, bad = _run(paths, look, drawn, quiet)
    if csv_path is not None:
        table = encodable(to_csv(_rows(results)))
        if to_stdout:
            print(table, end="")
        else:
            write_text(csv_path, table)
    if as_json:
        print_json([_record(path, faces) for path, faces in results])
    elif not to_stdout:
        _print_table(results)
    if len(paths) > 1:
        for problem in bad[:-1]:
            tell(str(problem))
    if bad:
        raise bad[-1]


def _run(
    paths: list[Path], look: Look, drawn: Callable[[Path, Image.Image, list[Face]], None], quiet: bool
) -> tuple[list[tuple[Path, list[Face]]], list[InputError]]:
    """Analyse pictures, each `drawn` with its faces: (path, faces) in order, and what was wrong with others."""
    from mien.images import read_image

    results: list[tuple[Path, list[Face]]] = []
    bad: list[InputError] = []
    waiting: deque[tuple[Path, Image.Image]] = deque()
    with counting_bar(quiet or len(paths) == 1, total=len(paths), unit="picture") as bar:

        def readable() -> Iterator[Image.Image]:
            for path in paths:
                try:
                    waiting.append((path, read_image(path)))
                    yield waiting[-1][1]
                except InputError as error:
                    bad.append(error)
                    bar.update()

        for faces in look(readable()):
            path, image = waiting.popleft()
            results.append((path, faces))
            drawn(path, image, faces)
            bar.update()
    return results, bad


def _drawings(overlay: Path | None, paths: list[Path]) -> dict[Path, Path]:
    """Where each picture's overlay goes; asked before any work is done. Nothing is made yet."""
    from mien.provenance import check_format

    if overlay is None:
        return {}
    folder = os.path.isdir(overlay)  # pathlib's raises where a folder on the way is locked
    if len(paths) == 1 and not folder:
        check_format(overlay)
        return {paths[0]: check_writable(overlay)}
    if os.path.isfile(overlay) or (overlay.suffix and not folder):
        raise InputError(f"--overlay {overlay} is one picture for {len(paths)}: give the name of a folder.")
    places: dict[Path, Path] = {}
    for path in paths:
        names = (overlay / f"{path.stem}{f'-{number}' if number > 1 else ''}.png" for number in count(1))
        places[path] = next(name for name in names if name not in places.values())
    return places


def _record(path: Path, faces: list[Face]) -> dict[str, Any]:
    from mien.face.blendshapes import NAMES

    def named(names: Sequence[str], values: FloatArray, digits: int) -> dict[str, float]:
        return {name: round(float(v), digits) for name, v in zip(names, values, strict=True)}

    found = [
        {
            "box": [round(float(v), 2) for v in face.box],
            "pose": named(("yaw", "pitch", "roll"), face.pose, 2),
            "confidence": round(float(face.confidence), 4),
            "blendshapes": named(NAMES, face.blendshapes, 4),
        }
        for face in faces
    ]
    return {"path": str(path), "faces": found}


def _rows(results: list[tuple[Path, list[Face]]]) -> Iterator[Sequence[object]]:
    """One row a face, below the header; a picture without one has a row with an empty `face`."""
    from mien.face.blendshapes import NAMES

    head = ["x0", "y0", "x1", "y1", "yaw", "pitch", "roll", "confidence", *NAMES]
    yield "path", "face", *head
    for path, faces in results:
        if not faces:
            yield path, *[""] * (len(head) + 1)
        for number, face in enumerate(faces):
            places = (f"{v:.2f}" for v in (*face.box, *face.pose))
            yield path, number, *places, *(f"{v:.4f}" for v in (face.confidence, *face.blendshapes))


def _print_table(results: list[tuple[Path, list[Face]]]) -> None:
    from mien.face.overlay import strongest

    for path, faces in results:
        said = "no face" if not faces else "1 face" if len(faces) == 1 else f"{len(faces)} faces"
        print(f"{path}: {said}")
        for number, face in enumerate(faces):
            x0, y0, x1, y1 = (round(float(v)) for v in face.box)
            yaw, pitch, roll = face.pose
            best = strongest(face.blendshapes, STRONGEST)
            shapes = "  ".join(f"{name} {value:.2f}" for name, value in best)
            print(
                f"  {number}  box {x0},{y0} {x1 - x0}x{y1 - y0}  yaw {yaw:+.0f} pitch {pitch:+.0f} "
                f"roll {roll:+.0f}  confidence {face.confidence:.2f}  {shapes}"
            )
