"""The photo engine: the person's own photograph, with that expression, at the photo's own size.

What a photo has is moved (`mien.warping`), what it lacks is drawn. No diffusion, no GPU: an expression is sought on a
small copy of the face, which the analyser reads after each try, and then made once at full size.
"""

from __future__ import annotations

import warnings
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field, replace
from functools import cached_property
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from mien.expressions.spec import Expression, Given, parse
from mien.face import align
from mien.face.analyze import analyze, load_reader
from mien.face.blendshapes import NAMES
from mien.face.landmarks import bounding_box
from mien.face.subject import Subject
from mien.images import given_image
from mien.pipelines.inputs import FaceChoice, Picture, choose_face
from mien.pipelines.photo_words import spoken
from mien.provenance import remember
from mien.types import ByteImage, Face, FloatArray, InputError
from mien.warping import eyes
from mien.warping.draw import Drawn, draw
from mien.warping.front import TOUCHED, Front, front, seen
from mien.warping.lips import shut_by, shut_in
from mien.warping.matte import OUTER_LIPS
from mien.warping.mouth import Mouth
from mien.warping.shapes import moved
from mien.warping.target import REGIONS, Solver, at_rest, doubted, expressed, limits, mask, reading, shown

SIDE = 256  # px of the close-up in which an expression is sought
MARGIN = 1.7  # its width against that of the crop that the analyser reads
CELLS = 128  # of the close-up's motion map
ROUNDS = 2
MOST_TURNED = 40.0  # degrees of yaw or pitch: beyond, half of the face is hidden
SMALLEST = 16.0  # px between the outer corners of the eyes
STRONGEST = 1.5  # of a strength
GAZE = [NAMES.index(name) for name in NAMES if name.startswith("eyeLook")]
HIDDEN = 0.5  # of a mouth or an eye: covered by more than this share, it counts as hidden
DRAWN_TEETH = "the photo's own teeth can't be shown in this mouth, which has drawn ones"
HIDDEN_MOUTH = "something in front of the face hides the mouth, which stays as it is"
ASIDE = 0.25  # change of the gaze's readings from which words look somewhere; else eyes stay as they are
SHOWN = 0.1  # of a blendshape's reading that has to go, from which a result is read again
TEETH = 0.01  # gap of the lips, of the height of the face, from which a mouth shows teeth
LONGEST = 32_766  # px of a side that OpenCV's `remap` takes
PORTRAIT, HEADROOM = 1024, 2.5  # px of a portrait's side at most; its side against the face's height


class Closeup:
    """A small copy of a photo's face, on which expressions are tried and read.

    Args:
        image: [H, W, 3] uint8. face: in it. found: in front of it, see `mien.warping.front.seen`.
    """

    def __init__(self, image: ByteImage, face: Face, found: FloatArray | None = None) -> None:
        zoom = SIDE / MARGIN / align.CROP_SIZE
        matrix = align.crop_matrix(face.landmarks) * zoom
        matrix[:, 2] += SIDE * (1 - 1 / MARGIN) / 2
        self.image = align.warp(image, matrix, SIDE)
        self.landmarks = align.transform_points(face.landmarks, matrix)
        self.mouth = Mouth(self.image, self.landmarks)
        self.front = front(self.image, self.landmarks, found)
        self._reader = load_reader()
        self._crop = align.crop_matrix(self.landmarks)

    def read(self, before: FloatArray, after: FloatArray, shut: float = 0.0) -> FloatArray:
        """The reading [57] of the face changed from coefficients `before` to `after` [52]; `shut`: see `Wanted`."""
        picture = draw(
            self.image, self.landmarks, before, after, self.mouth, cells=CELLS, shut=shut, front=self.front
        ).image
        seen = self._reader(np.stack([align.warp(picture, self._crop)]))
        return reading(seen.blendshapes[0], seen.landmarks[0])


@dataclass
class Sitter:
    """A photo and the face in it that is meant; what depends on nothing else is computed once.

    Attributes:
        image: [H, W, 3] uint8 RGB; `InputError` for a side longer than `LONGEST`. face: in its pixels. teeth: another
            photo of the same person and its landmarks.
    """

    image: ByteImage
    face: Face
    teeth: tuple[ByteImage, FloatArray] | None = None
    own: FloatArray = field(init=False)  # the photo's reading [57]

    def __post_init__(self) -> None:
        if max(self.image.shape) > LONGEST:
            raise InputError(f"a photo may be at most {LONGEST:,} pixels wide and high: cut it to the person")
        self.own = reading(self.face.blendshapes, self.face.landmarks)

    @cached_property
    def closeup(self) -> Closeup:
        return Closeup(self.image, self.face, self.found)

    @cached_property
    def found(self) -> FloatArray | None:
        """Where something lies in front of the face, see `mien.warping.front.seen`."""
        from mien.face.occlusion import load_reader as load_occlusion

        return seen(self.image, self.face.landmarks, load_occlusion())

    @cached_property
    def front(self) -> Front | None:
        """What lies in front of the face."""
        return front(self.image, self.face.landmarks, self.found)

    @cached_property
    def mouth(self) -> Mouth:
        return Mouth(self.image, self.face.landmarks, self.teeth)

    def prepare(self) -> None:
        """Measure what any expression needs of the photo at its full size."""
        eyes.prepare(self.image, self.face.landmarks, self.mouth.eyes)
        self.mouth.creases.prepare()

    @property
    def hides_mouth(self) -> bool:
        """Whether something in front of the face hides its mouth, which then stays as it is."""
        return self.front is not None and self.front.share(OUTER_LIPS) > HIDDEN

    def changed(self, **changes: Any) -> Sitter:
        """The same face with another `image`, `face` or `teeth`; what was found of it is not sought again."""
        kept = {"found"} if {"face", "teeth"} & changes.keys() else {"found", "mouth"}
        other = replace(self, **changes)
        other.__dict__.update({name: value for name, value in self.__dict__.items() if name in kept})
        return other

    def bare(self) -> tuple[Sitter, FloatArray | None]:
        """The sitter without glasses and with nothing in front, as far as it could be taken away; where something still
        hides the face, [H, W] float32 0 to 1."""
        if self.front is None:
            return self, None
        free = self.changed(image=self.front.plate)
        free.__dict__["found"] = None
        free.__dict__["mouth"] = self.mouth.on(self.front.plate)
        return free, self.front.hidden()

    def drawn(self, sought: Sought, turn: FloatArray | None = None) -> Drawn:
        """The photo with what was sought; `turn`: see `mien.warping.shapes.moved`."""
        how = sought.before, sought.after, self.mouth, turn
        return draw(self.image, self.face.landmarks, *how, shut=sought.shut, front=self.front)

    def landmarks(self, sought: Sought) -> FloatArray:
        """Where the face's landmarks [478, 3] px lie in what `drawn` makes of that."""
        after = sought.after if self.front is None else self.front.rested(sought.before, sought.after)
        return moved(self.face.landmarks, sought.before, after, shut=sought.shut)

    def framed(self) -> Sitter:
        """Head and shoulders of it, at most `PORTRAIT` px a side; the person's reading stays the photo's."""
        box = framed(self.face, self.image.shape)
        part = Image.fromarray(self.image).crop(box)
        zoom = min(1.0, PORTRAIT / max(part.size))
        size = round(part.width * zoom), round(part.height * zoom)
        matrix = np.array([[zoom, 0, -zoom * box[0]], [0, zoom, -zoom * box[1]]])
        landmarks = align.transform_points(self.face.landmarks, matrix)
        face = replace(self.face, landmarks=landmarks, box=bounding_box(landmarks))
        return self.changed(image=np.asarray(part.resize(size, Image.Resampling.LANCZOS)), face=face)


@dataclass(frozen=True)
class Wanted:
    """What the analyser should read: `value` [57] where `weight` [57] in [0, 1] counts.

    Attributes:
        shut: how surely the lips are shut, 0 to 1, which readings say badly. named: [52] bool, what was named and not
        shown, so that its coefficients are known without a reading; None where a picture shows it.
    """

    value: FloatArray
    weight: FloatArray
    shut: float = 0.0
    named: NDArray[np.bool_] | None = None


@dataclass(frozen=True)
class Sought:
    """Coefficients of a face that makes an expression: `before`, the photo's own, and `after`, each [52]; `shut`: see
    `Wanted`."""

    before: FloatArray
    after: FloatArray
    shut: float = 0.0


@dataclass(frozen=True)
class Expressed:
    """A result: whose photo it is, the photo with the change, and how it was reached."""

    sitter: Sitter
    drawn: Drawn
    sought: Sought
    turn: FloatArray | None = None

    def image(self) -> Image.Image:
        """The photo, PIL RGB of its own size; see `mien.save`."""
        x0, y0, x1, y1 = self.drawn.box
        changed = np.zeros(self.drawn.image.shape[:2], bool)
        differs = self.drawn.image[y0:y1, x0:x1] != self.sitter.image[y0:y1, x0:x1]
        changed[y0:y1, x0:x1] = differs[..., 0] | differs[..., 1] | differs[..., 2]  # faster than `any`
        return remember(Image.fromarray(self.drawn.image), {"engine": "photo", "backbone": "mini"}, changed)


def seek(sitter: Sitter, wanted: Wanted, rounds: int = ROUNDS) -> Sought:
    """The coefficients with which the sitter reads as wanted, corrected `rounds` times by a reading of what they draw.

    What the last correction draws is not read: on 26 people who were tried, further readings brought no more. Of what
    was named only the rest is corrected, which the photo shows and which has to go: by eye, more caricatures.
    """
    solver = Solver(sitter.own, wanted.value, wanted.weight)
    if wanted.named is not None:
        stays = (sitter.own - wanted.value)[:52] < SHOWN
        solver.hold(wanted.named | stays, falling=bool(wanted.named.any()))
    for _ in range(rounds if solver.free and solver.error(sitter.own) > 0 else 0):
        solver.correct(sitter.closeup.read(solver.before, solver.after, wanted.shut))
    return Sought(solver.before, solver.after, wanted.shut)


def framed(face: Face, shape: tuple[int, ...]) -> tuple[int, int, int, int]:
    """The box x0, y0, x1, y1 px of a portrait, head and shoulders, within a photo of `shape` (H, W, …): square where
    the photo has room for it."""
    height, width = shape[:2]
    x0, y0, x1, y1 = face.box
    side = min(HEADROOM * max(x1 - x0, y1 - y0), width, height)
    left = np.clip((x0 + x1) / 2 - side / 2, 0, width - side)
    top = np.clip((y0 + y1) / 2 - 0.47 * side, 0, height - side)
    return round(left), round(top), round(left + side), round(top + side)


class PhotoPipeline:
    """Photographs of people with another expression; what does not move keeps every bit."""

    def __init__(self, analyse: Callable[[Image.Image], Sequence[Face]] = analyze) -> None:
        """`analyse`: picture → faces, largest first. Corrections are always read by the embedded analyser."""
        self._analyse = analyse

    def __call__(self, photo: Picture, expression: Given | Expression, **options: Any) -> Image.Image:
        """The photo with that expression, PIL RGB of the photo's own size; the arguments are those of `express`."""
        return self.express(self.sit(photo), expression, **options).image()

    def sit(
        self, photo: Picture | Subject, face: FaceChoice = "largest", teeth: Picture | None = None
    ) -> Sitter:
        """Find the face of a photo that is meant.

        Args:
            photo: a path, a PIL picture, or a face that was found in one.
            teeth: another photo of the same person, who shows their teeth in it.

        Raises:
            InputError: there is no such face, or it is turned away, or too small.
        """
        image, found = self._look(photo, face)
        _check(found, _name(photo, "the photo"))
        shown = None
        if teeth is not None:
            other, its = self._look(teeth, "largest")
            if its.landmarks[14, 1] - its.landmarks[13, 1] < TEETH * np.ptp(its.landmarks[:, 1]):
                raise InputError(
                    f"{_name(teeth, 'the photo with teeth')}: the mouth is shut, it shows no teeth"
                )
            shown = other, its.landmarks
        return Sitter(image, found, shown)

    def express(
        self,
        sitter: Sitter,
        expression: Given | Expression,
        strength: float = 1.0,
        relative: bool = True,
        region: str = "all",
        turn: tuple[float, float, float] | None = None,
        expression_face: FaceChoice = "largest",
        rounds: int = ROUNDS,
    ) -> Expressed:
        """The sitter's photo with an expression.

        Args:
            expression: anything of `mien.expressions.spec`.
            strength: 0 leaves the photo as it is, 1 is the expression, up to 1.5 more than it.
            relative: the change is taken from the reference's rest, as far as one picture tells it, and laid onto this
                person's; else the reference's face is matched as it is, narrow eyes and all.
            region: what may change: eyes, brows, mouth or all.
            turn: yaw, pitch, roll in degrees that the head turns on, at most 15 each.
            rounds: corrections of what a picture shows, each after a reading of the result; 0 for a quick preview.

        Raises:
            InputError: an expression or option cannot be used.
        """
        wanted = self.wanted(sitter, parse(expression), relative, expression_face)
        wanted = focused(sitter, wanted, strength, region)
        with ThreadPoolExecutor(1) as other:
            # readings of a picture leave the other core idle
            read = rounds > 0 and strength > 0 and wanted.named is None
            ready = other.submit(sitter.prepare) if read and "mouth" not in sitter.__dict__ else None
            sought = seek(sitter, wanted, rounds)
            if ready is not None:
                ready.result()
        turned = np.array(turn) if turn and any(turn) else None
        drawn = sitter.drawn(sought, turned)
        if drawn.replaced and (sitter.front is None or sitter.front.share(OUTER_LIPS) < TOUCHED):
            helps = sitter.teeth is None and sitter.mouth.source is None
            advice = ": --teeth takes them from another photo" if helps else ""
            warnings.warn(DRAWN_TEETH + advice, stacklevel=2)
        return Expressed(sitter, drawn, sought, turned)

    def wanted(
        self, sitter: Sitter, expression: Expression, relative: bool = True, face: FaceChoice = "largest"
    ) -> Wanted:
        """What the analyser should read of the sitter with an expression at full strength."""
        change, value = np.zeros(57), expression.rest * at_rest()
        seen, doubt, shut = 0.0, 0.0, expression.rest
        named = np.zeros(52, bool)
        for part in expression.parts:
            if part.picture is not None:
                _, found = self._look(part.picture, face)
                read = reading(found.blendshapes, found.landmarks)
                doubt += part.weight * doubted(read)
                change += part.weight * expressed(read, doubted(read))
                seen += part.weight
                shut += part.weight * shut_in(found.landmarks)
            else:
                read = at_rest()
                moves = spoken(part)
                read[:52] = np.maximum(read[:52] + moves, 0)
                change[:52] += part.weight * moves
                shut += part.weight * shut_by(moves)
                named |= moves != 0
            value += part.weight * read
        if relative:
            # the sitter is doubted as the pictures are, so that their own picture brings back their own face
            away = expressed(sitter.own, doubt / seen) if seen else shown(sitter.own, change[:52])
            value = sitter.own - away + change
            if not seen and np.abs(change[GAZE]).max() < ASIDE:
                value[GAZE] = sitter.own[GAZE]
            value[:52] = np.clip(value[:52], 0, np.maximum(limits()[1], 1))
        # only pictures say how far eyes and mouth are open; words name blendshapes
        weight = np.r_[np.ones(52), np.full(5, min(seen, 1.0))]
        return Wanted(value, weight, float(np.clip(shut, 0, 1)), None if seen else named)

    def _look(self, picture: Picture, which: FaceChoice) -> tuple[ByteImage, Face]:
        if isinstance(picture, Subject):
            return np.asarray(picture.image), picture.face
        name = _name(picture, "the picture")
        image = given_image(picture, name)
        return np.asarray(image), choose_face(self._analyse(image), which, name)


def focused(sitter: Sitter, wanted: Wanted, strength: float, region: str, stays: bool = True) -> Wanted:
    """`wanted` at a strength, in a region of the face. stays: a mouth that something hides does so; not where another
    person's face is laid over it.

    Raises:
        InputError: there is no such region, or the strength is out of range.
    """
    if region not in REGIONS:
        raise InputError(f"there is no region {region!r}: choose {', '.join(REGIONS)}")
    if not 0 <= strength <= STRONGEST:
        raise InputError(f"a strength of {strength} cannot be made: give a number from 0 to {STRONGEST}")
    value = sitter.own + strength * (wanted.value - sitter.own)
    shut = wanted.shut * min(strength, 1.0) if region in ("mouth", "all") else 0.0
    weight = wanted.weight * mask(region)
    if stays and region in ("mouth", "all") and sitter.hides_mouth:
        moves = np.abs(weight * (value - sitter.own))[:52] * mask("mouth")[:52]
        if moves[slice(None) if wanted.named is None else wanted.named].max(initial=0) > SHOWN:
            warnings.warn(f"{HIDDEN_MOUTH}: use a photo that shows it", stacklevel=2)
        weight, shut = weight * (1 - mask("mouth")), 0.0
    return replace(wanted, value=value, weight=weight, shut=shut)


def _name(picture: Picture | Subject, otherwise: str) -> str:
    return str(picture) if isinstance(picture, (str, Path)) else otherwise


def _check(face: Face, name: str) -> None:
    turned = float(np.abs(face.pose[:2]).max())
    if turned > MOST_TURNED:
        raise InputError(
            f"{name}: the head is turned away by {turned:.0f} degrees, too far to change its expression: use a photo "
            "in which both eyes look at the camera"
        )
    wide = float(np.linalg.norm(face.landmarks[33, :2] - face.landmarks[263, :2]))
    if wide < SMALLEST:
        raise InputError(
            f"{name}: the face is too small, {wide:.0f} pixels between the outer corners of its eyes: use a photo in "
            f"which these are at least {SMALLEST:.0f}"
        )
