"""Pictures as nobody should send them: random, cut, bent and odd, made from a number alone.

    python -m tests.mutations --n 10000

runs the inputs 0 to 9999 through everything that looks at pictures, and ends with 1 at the first that is answered by
anything but faces or one sentence, or that takes longer than the limit. The suite runs a sample.
"""

from __future__ import annotations

import argparse
import faulthandler
import io
import struct
import sys
import tempfile
import time
import zlib
from collections import Counter
from pathlib import Path

import numpy as np
from PIL import Image, ImageDraw, ImageOps

from mien.face.align import crop_matrix, invert, transform_points, warp
from mien.face.analyze import analyze
from mien.face.mask import face_mask
from mien.face.overlay import draw_faces
from mien.face.paste import feather, paste_back
from mien.face.templates import arcface_matrix, ffhq_matrix
from mien.images import read_image
from mien.metrics.face import appearance, exp, lms
from mien.provenance import read_provenance
from mien.types import Face, InputError

EXAMPLES = [Path(__file__).parent.parent / "examples" / name for name in ("expression.png", "identity.png")]
FORMATS = ("JPEG", "PNG", "WEBP", "JPEG", "PNG", "WEBP", "GIF", "TIFF", "BMP", "PPM")
MODES = ("1", "L", "LA", "P", "PA", "RGBA", "RGBX", "CMYK", "YCbCr", "HSV", "LAB", "I", "I;16", "F")
MAGIC = (
    b"\xff\xd8\xff\xe0",
    b"\x89PNG\r\n\x1a\n",
    b"RIFF\x40\x00\x00\x00WEBPVP8 ",
    b"GIF89a",
    b"II*\x00",
    b"BM",
)
KINDS = ("random", "cut", "flipped", "spliced", "odd", "header", "scene", "masked")


def face_picture(rng: np.random.Generator) -> Image.Image:
    """One of the examples, as a small picture."""
    picture = Image.open(EXAMPLES[rng.integers(len(EXAMPLES))]).convert("RGB")
    side = int(rng.integers(48, 161))
    return picture.resize((side, side), Image.Resampling.BILINEAR)


def encode(image: Image.Image, rng: np.random.Generator, kind: str | None = None) -> bytes:
    """A file of a random format."""
    out = io.BytesIO()
    kind = kind or FORMATS[rng.integers(len(FORMATS))]
    options = {"JPEG": {"quality": int(rng.integers(5, 96)), "progressive": bool(rng.integers(2))}}
    image.save(out, kind, **options.get(kind, {}))
    return out.getvalue()


def bend(data: bytes, rng: np.random.Generator, kind: str) -> bytes:
    """A file cut short, with flipped bits, or with pieces moved, doubled and left out."""
    if kind == "cut":
        return data[: int(rng.integers(0, len(data)))]
    out = bytearray(data)
    if kind == "flipped":
        reach = len(out) if rng.integers(2) else min(len(out), 400)  # everywhere, or in the header
        for _ in range(int(rng.integers(1, 41))):
            out[int(rng.integers(reach))] ^= 1 << int(rng.integers(8))
        return bytes(out)
    for _ in range(int(rng.integers(1, 5))):
        a, b = sorted(int(v) for v in rng.integers(0, len(out) + 1, 2))
        piece = out[a : min(b, a + 200)]
        if rng.integers(2):
            del out[a : a + len(piece)]
        at = int(rng.integers(0, len(out) + 1))
        out[at:at] = piece
    return bytes(out)


def odd(rng: np.random.Generator) -> bytes:
    """A whole file of an unusual mode or shape."""
    image = face_picture(rng)
    if rng.integers(2):
        width, height = (int(v) for v in rng.choice([1, 2, 15, 16, 17, 33, 200, 1500], 2))
        image = image.resize((width, height))
    mode = MODES[rng.integers(len(MODES))]
    if mode in ("I;16", "F", "I"):
        levels = np.asarray(image.convert("L"), np.float32)
        image = Image.fromarray(
            {"I;16": (levels * 257).astype(np.uint16), "F": levels, "I": levels.astype(np.int32)}[mode]
        )
    elif mode in ("LA", "PA", "RGBA"):
        image.putalpha(Image.fromarray(rng.integers(0, 256, image.size[::-1], np.uint8)))
        image = image.convert("LA") if mode == "LA" else image.quantize(16) if mode == "PA" else image
    elif mode == "LAB":
        image = Image.merge("LAB", image.split())
    else:
        image = image.convert(mode)
    for kind in ("PNG", "TIFF"):
        try:
            return encode(image, rng, kind)
        except (OSError, ValueError):  # this format has no such mode
            continue
    return encode(image.convert("RGB"), rng)


def header(rng: np.random.Generator) -> bytes:
    """A file whose header promises something else than what follows."""
    if rng.integers(2):
        data = bytearray(encode(face_picture(rng), rng, "PNG"))
        size = [int(v) for v in rng.choice([0, 1, 15, 64, 500, 9000, 40000, 2**31 - 1], 2)]
        data[16:24] = struct.pack(">II", *size)
        if rng.integers(2):
            data[24:26] = bytes([int(rng.choice([1, 2, 4, 8, 16, 3])), int(rng.integers(0, 8))])
        data[29:33] = struct.pack(">I", zlib.crc32(bytes(data[12:29])))
        return bytes(data)
    out = io.BytesIO()
    noise = rng.integers(0, 256, int(rng.integers(1, 300)), np.uint8).tobytes()
    extra = {0: {"exif": b"Exif\0\0" + noise}, 1: {"icc_profile": noise}, 2: {"xmp": noise}}[
        int(rng.integers(3))
    ]
    face_picture(rng).save(out, ("JPEG", "WEBP")[rng.integers(2)], **extra)
    return out.getvalue()


def scene(rng: np.random.Generator, masked: bool) -> bytes:
    """Up to five faces of any size and turn, over each other and over the edges; `masked`: partly hidden."""
    width, height = (int(v) for v in rng.integers(64, 320, 2))
    ground = Image.fromarray(rng.integers(0, 256, (height // 8 + 1, width // 8 + 1, 3), np.uint8))
    page = ground.resize((width, height), Image.Resampling.BICUBIC)
    for _ in range(int(rng.integers(1, 6))):
        picture = face_picture(rng)
        side = int(rng.integers(8, 240))
        picture = picture.resize((side, max(1, int(side * rng.uniform(0.5, 1.8)))))
        picture = picture.rotate(float(rng.uniform(-180, 180)) * float(rng.integers(2)), expand=True)
        picture = ImageOps.mirror(picture) if rng.integers(2) else picture
        page.paste(picture, tuple(int(v) for v in rng.integers(-side, (width, height))))
    if masked:
        draw = ImageDraw.Draw(page)
        for _ in range(int(rng.integers(1, 8))):
            x, y = rng.integers(0, (width, height))
            w, h = rng.integers(4, 120, 2)
            colour = tuple(int(v) for v in rng.integers(0, 256, 3))
            shape = draw.ellipse if rng.integers(2) else draw.rectangle
            shape((int(x), int(y), int(x + w), int(y + h)), fill=colour)
        if rng.integers(2):
            noise = rng.normal(0, rng.uniform(5, 120), (height, width, 3))
            page = Image.fromarray((np.asarray(page) + noise).clip(0, 255).astype(np.uint8))
    return encode(page, rng)


def make(number: int) -> tuple[str, bytes]:
    """The input of that number: its kind and its bytes."""
    rng = np.random.default_rng(number)
    kind = KINDS[number % len(KINDS)]
    if kind == "random":
        noise = rng.integers(0, 256, int(rng.integers(0, 3000)), np.uint8).tobytes()
        return kind, (MAGIC[rng.integers(len(MAGIC))] if rng.integers(2) else b"") + noise
    if kind in ("cut", "flipped", "spliced"):
        return kind, bend(encode(face_picture(rng), rng), rng, kind)
    if kind == "odd":
        return kind, odd(rng)
    return kind, header(rng) if kind == "header" else scene(rng, kind == "masked")


def look(path: Path) -> str:
    """Everything that is done with a picture of a stranger; returns what came of it. Raises what it should not."""
    try:
        read_provenance(path)
    except InputError as error:
        sentence(error)
    try:
        image = read_image(path)
    except InputError as error:
        sentence(error)
        return "refused"
    assert image.mode == "RGB"
    faces = analyze(image)
    pixels = np.asarray(image)
    for face in faces:
        check(face)
        mask = face_mask(face.landmarks, *image.size)
        assert mask.shape == pixels.shape[:2] and 0 <= mask.min() <= mask.max() <= 1
        matrix = crop_matrix(face.landmarks)
        crop = warp(pixels, matrix)
        soft = feather(face_mask(warped(face.landmarks, matrix), 128, 128), 6)
        assert paste_back(pixels, crop, matrix, soft).shape == pixels.shape
        for size, frame in ((112, arcface_matrix(face.landmarks)), (256, ffhq_matrix(face.landmarks, 256))):
            assert warp(pixels, frame, size).shape == (size, size, 3)
        assert np.isfinite(appearance(image, face)).all()
        assert exp(faces[0].blendshapes, face.blendshapes) >= 0 and np.isfinite(
            lms(faces[0].landmarks, face.landmarks)
        )
    assert draw_faces(image, faces).mode == "RGB"
    return "no face" if not faces else "1 face" if len(faces) == 1 else "several faces"


def warped(landmarks: np.ndarray, matrix: np.ndarray) -> np.ndarray:
    """Landmarks in the crop; there and back again is where they were."""
    there = transform_points(landmarks, matrix)
    np.testing.assert_allclose(transform_points(there, invert(matrix))[:, :2], landmarks[:, :2], atol=1e-6)
    return there


def check(face: Face) -> None:
    """A face that keeps what `Face` promises."""
    assert face.landmarks.shape == (478, 3) and np.isfinite(face.landmarks).all()
    assert face.box.shape == (4,) and face.box[0] < face.box[2] and face.box[1] < face.box[3]
    assert face.blendshapes.shape == (52,) and 0 <= face.blendshapes.min() <= face.blendshapes.max() <= 1
    assert face.pose.shape == (3,) and np.abs(face.pose).max() <= 180
    assert 0 <= face.confidence <= 1


def sentence(error: InputError) -> None:
    """One line, that names the file."""
    message = str(error)
    assert "\n" not in message and message.endswith(".") and len(message) > 20, message


def main() -> None:
    """The command."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--n", type=int, default=10_000, help="inputs")
    parser.add_argument("--first", type=int, default=0, help="number of the first")
    parser.add_argument("--limit", type=float, default=20.0, help="seconds of processor time for one input")
    arguments = parser.parse_args()
    outcomes: Counter[str] = Counter()
    slowest = (0.0, -1)
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "input.png"
        for number in range(arguments.first, arguments.first + arguments.n):
            faulthandler.dump_traceback_later(arguments.limit * 30, exit=True)  # a hang inside C ends here
            kind, data = make(number)
            path.write_bytes(data)
            start = time.process_time()
            try:
                outcome = look(path)
            except Exception as error:
                print(f"input {number} ({kind}): {type(error).__name__}: {error}", flush=True)
                outcome = "WRONG"
            spent = time.process_time() - start
            slowest = max(slowest, (spent, number))
            if spent > arguments.limit:
                print(f"input {number} ({kind}) took {spent:.1f} s", flush=True)
                outcome = "WRONG"
            outcomes[f"{kind}: {outcome}"] += 1
            outcomes[outcome] += 1
            if number % 500 == 499:
                print(number + 1, {k: v for k, v in outcomes.items() if ":" not in k}, flush=True)
    faulthandler.cancel_dump_traceback_later()
    for name, count in sorted(outcomes.items()):
        print(f"{count:6d}  {name}")
    print(f"slowest: input {slowest[1]}, {slowest[0]:.2f} s of processor time")
    sys.exit(1 if outcomes["WRONG"] else 0)


if __name__ == "__main__":
    main()
