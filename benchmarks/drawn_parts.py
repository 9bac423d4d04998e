"""What diffusion would draw better than the photo engine does: mouths, lids and folds, part by part.

    python -m benchmarks.drawn_parts [--people N] [--part mouth] [--seeds 2] [--out FOLDER] [--write PAGE]

The photo engine carries a photo's pixels; what the photo lacks is *rendered*, *drawn* by the embedded diffusion model
(128 px, the person's identity and the wanted 57 numbers, as `mien reface --engine diffusion` draws), or left out
(*neither*); the other two parts are rendered in all three. A drawn mouth or lid is laid from the drawing's landmarks
onto the result's, in the colour of the skin around it. Drawn folds are an expression ratio image of two drawings with
the same noise, with the expression and without, in texture space: their blur and their idea of the person fall out.

*both* is the rendered part with the drawing's low frequencies, or drawn folds over the learned ones.

Mouths and folds: people of `london-dev` at rest, whose own smile is known. Lids: blinks of five people in the films of
`driving`; a frame with open eyes is the photo, one with shut eyes next to it the truth. Gain and detail
(`mien.metrics.photo`, here within the part, detail against the truth) with bootstrap 95% intervals over pictures.
`--out` gets contact sheets of each part and is to lie outside of the repository: they show people.
"""

from __future__ import annotations

import argparse
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from itertools import islice
from pathlib import Path

import cv2
import numpy as np
from PIL import Image

from benchmarks.model_card import fill
from benchmarks.photo_scenes import TOOTHY, apart, frames, london, make_outside, members
from benchmarks.table import environment, run, show
from mien.face.align import crop_matrix, invert, warp
from mien.face.analyze import analyze
from mien.metrics import statistics
from mien.metrics.photo import BETWEEN_EYES, BRIDGE, SOFT, Mask, aligned
from mien.metrics.photo import SIDE as ALIGNED
from mien.pipelines.photo import PhotoPipeline, Sitter, Sought
from mien.provenance import save_image
from mien.sheets import sheet
from mien.types import ByteImage, FloatArray, InputError
from mien.warping import folds
from mien.warping.draw import FOLDS
from mien.warping.eyes import draw_eyes
from mien.warping.lips import held
from mien.warping.mesh import (
    LEFT_ABOVE,
    LEFT_BELOW,
    LEFT_LOWER_LID,
    LOWER_LIP,
    OUTER_LOWER_LIP,
    OUTER_UPPER_LIP,
    OVAL,
    RIGHT_ABOVE,
    RIGHT_BELOW,
    RIGHT_LOWER_LID,
    UPPER_LIP,
)
from mien.warping.motion import carry, motion, sample
from mien.warping.mouth import Layer
from mien.warping.shapes import moved

PARTS = ("mouth", "lids", "folds")
WAYS = ("rendered", "drawn", "both", "neither")
STRENGTH, BESIDE = 0.3, 0.2  # of drawn folds, alone and over the learned ones
COARSE = 0.06  # sigma, of the distance between the outer eye corners, of what a drawing has of a part
SIDE, ROWS = 320, 10  # px of a sheet's pictures; scenes a sheet
BLINKS = {  # film of `driving` → frames with eyes open and shut
    "d0": ((62, 66),),
    "d10": ((238, 222), (318, 334)),
    "d13": ((28, 44), (70, 80), (120, 104), (312, 316)),
    "d14": ((104, 110), (290, 284), (56, 52), (218, 202)),
    "d18": ((80, 96), (174, 186)),
}
Scores = list[dict[str, float]]
EYES = ((RIGHT_ABOVE, RIGHT_BELOW), (LEFT_ABOVE, LEFT_BELOW))
LIPS = OUTER_UPPER_LIP + OUTER_LOWER_LIP[::-1]


@dataclass(frozen=True)
class Drawing:
    """A face that diffusion drew: [s, s, 3] uint8 and its landmarks [478, 3] px, by the embedded analyser."""

    image: ByteImage
    landmarks: FloatArray

    def on(self, landmarks: FloatArray, shape: tuple[int, ...]) -> tuple[ByteImage, tuple[int, int]]:
        """The drawing with its landmarks at `landmarks` [478, 3] px of a picture of `shape`, and its left and top."""
        moving = motion(landmarks, landmarks, shape, source=self.landmarks)
        return sample(self.image, moving), moving.box[:2]


class Artist:
    """The embedded diffusion model, drawing a photo's face anew."""

    def __init__(self, seeds: int) -> None:
        from mien.pipelines.reface import RefacePipeline

        self.pipe = RefacePipeline.from_backbone("mini", device="cpu")
        self.seeds = seeds

    def __call__(self, photo: Image.Image, expressions: Sequence[Image.Image | None]) -> list[list[Drawing]]:
        """The photo's person with each expression (None: the photo's own), drawn with the same noises each."""
        wishes = [expression or photo for expression in expressions for _ in range(self.seeds)]
        noises = list(range(self.seeds)) * len(expressions)
        made = self.pipe.reface([photo] * len(wishes), expression=wishes, seed=noises)
        drawings = [Drawing(one.crop, one.outline) for one in made]
        return [drawings[k : k + self.seeds] for k in range(0, len(drawings), self.seeds)]


def compose(
    sitter: Sitter, sought: Sought, log_ratio: FloatArray | None, eyes: bool, mouth: bool
) -> tuple[ByteImage, FloatArray]:
    """`mien.warping.draw.draw` with parts left out: the picture, and its landmarks [478, 3] px."""
    image, landmarks = sitter.image, sitter.face.landmarks
    target = moved(landmarks, sought.before, sought.after, shut=sought.shut)
    skin = target + folds.slid(landmarks, sought.before, sought.after)
    moving = motion(held(landmarks, target), skin, image.shape)
    x0, y0, x1, y1 = moving.box
    region = carry(image, moving)
    if log_ratio is not None:
        region = folds.apply(region, skin - [x0, y0, 0], log_ratio)
    if eyes:
        draw_eyes(region, image, landmarks, target, (x0, y0))
    result = image.copy()
    result[y0:y1, x0:x1] = region
    inside = sitter.mouth.interior(target)
    return (inside.over(result) if mouth and inside.alpha.size else result), target


def polygon(shape: tuple[int, ...], corners: FloatArray) -> ByteImage:
    """1 inside of `corners` [n, 2] px, [H, W] uint8."""
    mask = np.zeros(shape[:2], np.uint8)
    return np.asarray(cv2.fillPoly(mask, [np.round(corners - 0.5).astype(np.int32)], 1))


def laid(
    picture: ByteImage, landmarks: FloatArray, drawing: Drawing, outline: FloatArray, alpha: FloatArray | None
) -> ByteImage:
    """`picture` with a drawing inside of `outline` [n, 2] px, in the colour of the skin around; alpha [H, W]: how much
    of it shows, None: the outline, softened."""
    laid_out, (left, top) = drawing.on(landmarks, picture.shape)
    height, width = laid_out.shape[:2]
    here = np.s_[top : top + height, left : left + width]
    reach = max(3, round(0.04 * float(np.linalg.norm(landmarks[33, :2] - landmarks[263, :2]))))
    inside = polygon(picture.shape, outline)[here]
    kernel = np.ones((2 * reach + 1,) * 2, np.uint8)
    ring = cv2.dilate(inside, kernel, iterations=2) - cv2.dilate(inside, kernel)
    around = [one[ring > 0].mean(0) for one in (picture[here], laid_out)]
    colour = np.asarray(laid_out * (around[0] / np.maximum(around[1], 1)), np.float32)
    soft = np.clip(2 * cv2.GaussianBlur(inside.astype(np.float32), (0, 0), reach / 2) - 0.6, 0, 1)
    share = np.asarray(soft if alpha is None else alpha[here], np.float32)
    return Layer(colour, share, left, top).over(picture)


def laid_mouth(sitter: Sitter, picture: ByteImage, target: FloatArray, drawing: Drawing) -> ByteImage:
    """`picture`, its landmarks at `target`, with the drawing's mouth where a mouth would be rendered."""
    inside = sitter.mouth.interior(target)
    alpha = np.zeros(picture.shape[:2], np.float32)
    height, width = inside.alpha.shape
    alpha[inside.top : inside.top + height, inside.left : inside.left + width] = inside.alpha
    return laid(picture, target, drawing, target[list(LIPS), :2], alpha)


def laid_lids(_: Sitter, picture: ByteImage, target: FloatArray, drawing: Drawing) -> ByteImage:
    """`picture`, its landmarks at `target`, with the drawing's eyes, from the lid's fold to below the lashes."""
    for above, lower in ((RIGHT_ABOVE, RIGHT_LOWER_LID), (LEFT_ABOVE, LEFT_LOWER_LID)):
        corners = [lower[0], *above, *lower[::-1][:-1]]
        picture = laid(picture, target, drawing, target[corners, :2], None)
    return picture


def fine_of(rendered: ByteImage, drawn: ByteImage, landmarks: FloatArray) -> ByteImage:
    """What differs, with the low frequencies of `drawn` and the detail of `rendered`."""
    sigma = COARSE * float(np.linalg.norm(landmarks[33, :2] - landmarks[263, :2]))
    low = [cv2.GaussianBlur(one.astype(np.float32), (0, 0), sigma) + 4 for one in (rendered, drawn)]
    mixed = np.clip(rendered * np.clip(low[1] / low[0], 0.5, 2) + 0.5, 0, 255).astype(np.uint8)
    return np.where((rendered != drawn).any(2, keepdims=True), mixed, rendered)


def _texture(drawing: Drawing) -> FloatArray:
    """log(Y + 4) of a drawing in the texture of `mien.warping.folds`, [SIZE, SIZE]."""
    points = np.zeros((478, 3))
    points[:468, :2] = folds.uv()
    there, (left, top) = drawing.on(points, (folds.SIZE, folds.SIZE))
    texture = np.full((folds.SIZE, folds.SIZE), 128, np.uint8)
    grey = cv2.cvtColor(there, cv2.COLOR_RGB2GRAY)
    texture[top : top + grey.shape[0], left : left + grey.shape[1]] = grey
    return np.log(texture.astype(np.float32) + 4)


def _skin() -> FloatArray:
    """1 on the texture's skin, falling to 0 at the oval, eyes and mouth, [SIZE, SIZE] float32."""
    shape, uv = (folds.SIZE, folds.SIZE), folds.uv()
    skin = cv2.erode(polygon(shape, uv[list(OVAL)]), np.ones((9, 9), np.uint8))
    for outline in [*([*above, *below[::-1]] for above, below in EYES), list(UPPER_LIP + LOWER_LIP[::-1])]:
        skin[cv2.dilate(polygon(shape, uv[outline]), np.ones((5, 5), np.uint8)) > 0] = 0
    return np.asarray(cv2.GaussianBlur(skin.astype(np.float32), (0, 0), 3))


def drawn_folds(before: Sequence[Drawing], after: Sequence[Drawing]) -> FloatArray:
    """log R [SIZE, SIZE] of pairs of drawings with the same noise: their mean, without the change of exposure."""
    pairs = zip(before, after, strict=True)
    change = np.mean([_texture(last) - _texture(first) for first, last in pairs], 0)
    skin = _skin()
    change = cv2.GaussianBlur(change - np.median(change[skin > 0.5]), (0, 0), 2)
    return np.asarray(skin * np.clip(change, -0.5, 0.5), np.float32)


@dataclass(frozen=True)
class Scene:
    """A photo, and another of the same person with the expression that is wanted of it."""

    name: str
    photo: Image.Image
    truth: Image.Image


def smiles() -> Iterator[Scene]:
    """People of `london-dev`, at rest and smiling."""
    for number, pictures in london().items():
        yield Scene(number, pictures["neutral"], pictures["smiling"])


def blinks() -> Iterator[Scene]:
    """People of `driving`, with eyes open and shut."""
    for name, data in members("driving", ".mp4"):
        pairs = BLINKS.get(stem := Path(name).stem, ())
        shown = frames(data, [number for pair in pairs for number in pair]) if pairs else {}
        for first, last in pairs:
            yield Scene(f"{stem}-{last}", shown[first], shown[last])


@dataclass(frozen=True)
class Made:
    """What the parts of a scene are made of: the photo, its coefficients, and drawings of its person without the
    expression and with it, in pairs of the same noise."""

    sitter: Sitter
    sought: Sought
    before: list[Drawing]
    after: list[Drawing]

    def ways(self, part: str) -> dict[str, ByteImage]:
        """Way → picture; the other parts are rendered."""
        learned = folds.ratio(self.sought.before, self.sought.after, FOLDS)
        rendered, target = compose(self.sitter, self.sought, learned, True, True)
        if part == "folds":
            ratio = drawn_folds(self.before, self.after)
            ratios = STRENGTH * ratio, learned + BESIDE * ratio, None
            rest = [compose(self.sitter, self.sought, one, True, True)[0] for one in ratios]
        else:
            neither, _ = compose(self.sitter, self.sought, learned, part != "lids", part != "mouth")
            lay = laid_lids if part == "lids" else laid_mouth
            drawn = lay(self.sitter, neither, target, self.after[0])
            rest = [drawn, fine_of(rendered, drawn, target), neither]
        return dict(zip(WAYS, (rendered, *rest), strict=True))


def region(part: str, landmarks: FloatArray, shape: tuple[int, ...]) -> ByteImage:
    """1 on a part of the face [H, W] uint8."""
    flat = landmarks[:, :2]
    if part == "mouth":
        return np.asarray(cv2.dilate(polygon(shape, flat[list(LIPS)]), np.ones((5, 5), np.uint8)))
    eyes = np.maximum.reduce([polygon(shape, flat[[*above, *below[::-1]]]) for above, below in EYES])
    if part == "lids":
        return np.asarray(eyes)
    skin = polygon(shape, flat[list(OVAL)])
    skin[(eyes > 0) | (polygon(shape, flat[list(LIPS)]) > 0)] = 0
    return skin


def judge(
    part: str,
    photo: tuple[ByteImage, FloatArray],
    truth: tuple[ByteImage, FloatArray],
    made: dict[str, ByteImage],
    landmarks: FloatArray,
) -> dict[str, dict[str, float]]:
    """Way → gain of the whole face, gain and detail within the part.

    All ways are aligned by one reading, `landmarks` of the rendered result: they differ in pixels, not in geometry.
    """
    pictures = aligned(truth, photo, *((image, landmarks) for image in made.values()))
    face, y = pictures.face, pictures.normalised()
    wide = float(np.linalg.norm(truth[1][33, :2] - truth[1][263, :2]))
    there = (truth[1][:, :2] - truth[1][BRIDGE, :2]) * (BETWEEN_EYES / wide) + [ALIGNED / 2, 0.36 * ALIGNED]
    part_of = (region(part, there, face.shape) > 0) & face
    soft = [cv2.GaussianBlur(one, (0, 0), SOFT) for one in y]
    edges = [np.abs(cv2.Laplacian(one, cv2.CV_32F)) for one in y]

    def gain(k: int, where: Mask) -> float:
        before, after = (float(np.abs(soft[j] - soft[0])[where].mean()) for j in (1, k))
        return 1 - after / before

    return {
        way: {
            "gain": gain(k, face),
            "gain of the part": gain(k, part_of),
            "detail of the part": float(edges[k][part_of].mean() / max(edges[0][part_of].mean(), 1e-6)),
        }
        for k, way in enumerate(made, 2)
    }


def close(part: str, image: ByteImage, landmarks: FloatArray) -> Image.Image:
    """What a sheet shows of a picture: the part at its own size, as far as it fits."""
    if part == "folds":
        return Image.fromarray(warp(image, crop_matrix(landmarks, SIDE), SIDE))
    points = landmarks[
        list(LIPS) if part == "mouth" else [i for eye in EYES for side in eye for i in side], :2
    ]
    low, high = points.min(0), points.max(0)
    side = 1.25 * float((high - low).max())
    left, top = ((low + high) / 2 - side / 2).tolist()
    to_photo = np.array([[side / SIDE, 0, left], [0, side / SIDE, top]])
    return Image.fromarray(warp(image, invert(to_photo), SIDE))


def play(
    scenes: Iterator[Scene], parts: Sequence[str], pipe: PhotoPipeline, artist: Artist, out: Path | None
) -> dict[str, dict[str, Scores]]:
    """Part → way → scores of the scenes; contact sheets to `out`."""
    scores: dict[str, dict[str, Scores]] = {part: {way: [] for way in WAYS} for part in parts}
    rows: dict[str, list[list[tuple[str, Image.Image]]]] = {part: [] for part in parts}
    for scene in scenes:
        photo, truth = (_seen(picture) for picture in (scene.photo, scene.truth))
        sitter = pipe.sit(scene.photo)
        sought = pipe.express(sitter, scene.truth, relative=False).sought
        made = Made(sitter, sought, *artist(scene.photo, (None, scene.truth)))
        for part in parts:
            if part == "mouth" and apart(truth[1]) < TOOTHY:
                continue  # the mouth stays shut: there is nothing to draw
            pictures = made.ways(part)
            _, landmarks = _seen(Image.fromarray(pictures["rendered"]))
            told = judge(part, photo, truth, pictures, landmarks)
            row = [(scene.name, close(part, *photo)), ("truth", close(part, *truth))]
            for way, image in pictures.items():
                scores[part][way].append(told[way])
                words = f"{way}: {told[way]['gain']:.2f}, {told[way]['gain of the part']:.2f}"
                row.append((words, close(part, image, landmarks)))
            rows[part].append(row)
    for part in parts if out else ():
        for first in range(0, len(rows[part]), ROWS):
            page = sheet(rows[part][first : first + ROWS], SIDE)
            save_image(page, out / f"{part}_{first // ROWS}.png", {"benchmark": "drawn_parts"})
    return scores


def _seen(picture: Image.Image) -> tuple[ByteImage, FloatArray]:
    """A picture, and where MediaPipe sees its largest face."""
    faces = analyze(picture, "mediapipe")
    if not faces:
        raise InputError("MediaPipe sees no face in a picture of the benchmark")
    return np.asarray(picture), faces[0].landmarks


def markdown(results: dict[str, dict[str, Scores]]) -> str:
    """Part → way → scores, as one table; the last columns are paired differences."""
    head = ["part", "measure", *WAYS, "drawn − rendered", "both − rendered"]
    lines = ["| " + " | ".join(head) + " |", "|---|" + "---|" * (len(head) - 1)]
    for part, ways in results.items():
        label = f"{part} ({len(ways['rendered'])})"
        for measure in ways["rendered"][0] if ways["rendered"] else ():
            columns = {way: np.array([row[measure] for row in rows]) for way, rows in ways.items()}
            for way in ("drawn", "both"):
                columns[f"{way} − rendered"] = columns[way] - columns["rendered"]
            cells = [show(statistics.mean(values), ".3f") for values in columns.values()]
            lines.append(f"| {label} | {measure} | " + " | ".join(cells) + " |")
            label = ""
    return "\n".join(lines) + "\n"


def main(arguments: Sequence[str] | None = None) -> None:
    """Command line of this benchmark."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--people", type=int, default=52, help="of london-dev; blinks at most")
    parser.add_argument("--part", choices=PARTS, nargs="+", default=list(PARTS))
    parser.add_argument("--seeds", type=int, default=2, help="pairs of drawings whose folds are averaged")
    parser.add_argument("--out", type=Path, help="a folder for contact sheets, outside of the repository")
    parser.add_argument("--write", type=Path, help="a page whose table is to be filled in")
    given = parser.parse_args(arguments)
    if given.out is not None:
        make_outside(given.out)
    pipe, artist = PhotoPipeline(), Artist(given.seeds)
    results: dict[str, dict[str, Scores]] = {}
    for source, parts in ((smiles(), ("mouth", "folds")), (blinks(), ("lids",))):
        if chosen := [part for part in parts if part in given.part]:
            results |= play(islice(source, given.people), chosen, pipe, artist, given.out)
    table = f"{markdown(results)}\nMeasured {environment()['date']} by `python -m benchmarks.drawn_parts`.\n"
    print(f"\n{table}")
    if given.write is not None:
        fill(given.write, {"drawn": table})


if __name__ == "__main__":
    run(main)
