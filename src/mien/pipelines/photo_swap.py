"""Another person's face in a photo, by the photo engine: their pixels in the photo's pose, expression and light."""

from __future__ import annotations

import warnings
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import cv2
import numpy as np
from PIL import Image

from mien.expressions.spec import Expression, Given, parse
from mien.face.analyze import analyze
from mien.face.blendshapes import INDEX
from mien.face.subject import Subject
from mien.images import given_image
from mien.pipelines.inputs import FaceChoice, Picture, choose_face
from mien.pipelines.photo import (
    HIDDEN,
    MOST_TURNED,
    PhotoPipeline,
    Sitter,
    Wanted,
    focused,
    framed,
    seek,
)
from mien.pipelines.photo_kept import awake, closed, own_rest, shut
from mien.provenance import remember
from mien.types import ByteImage, Face, FloatArray, InputError
from mien.warping import complexion, light, tone
from mien.warping.matte import LIDS
from mien.warping.swap import swap as laid

MOST_APART = 45.0  # degrees of yaw or pitch between two photos: beyond, one shows what the other hides
EQUAL = 0.7  # of the largest face's size: a second face as large leaves open who is meant
CHILD = 0.5  # of the largest face's size: a smaller one is nobody of "all", for it may be a child's
FAR = 25.0  # degrees between them, from which a swap is likely to be torn
DIM = 2.0  # times darker, by the whites of the eyes, from which an identity's picture shows grain and shadows
LIFTED = 0.33  # of what lies around the eyes: glasses that hide more leave too little to go by
TINY = 12.0  # px between the outer corners of eyes that can be replaced
SMALLEST = 24.0  # px between the outer corners of an identity's eyes
LARGER = 1.2  # times the photo's: a larger identity is reduced first
LIGHT = 20.0  # degrees of pose that a log ratio of 1 between the light on left and right cheek weighs
TEETH = 0.02  # gap of the lips, of the face's height, from which a mouth shows teeth

SMILES = ("mouthSmileLeft", "mouthSmileRight", "jawOpen")
SMILE = 0.2, 0.5  # of a smile that goes, from which its folds fade, and none stay

Identity = Picture | Sequence[Picture]  # of one person


@dataclass(frozen=True)
class Change:
    """A face of a photo, and the pictures of whom it becomes; none: it stays the same person."""

    sitter: Sitter
    identities: tuple[Sitter, ...] = ()


class SwapPipeline:
    """Photographs with the faces of other people; pixels round the faces keep every bit."""

    def __init__(self, analyse: Callable[[Image.Image], Sequence[Face]] = analyze) -> None:
        """`analyse`: picture → faces, largest first."""
        self._analyse = analyse
        self._photo = PhotoPipeline(analyse)

    def __call__(
        self,
        photo: Picture,
        identity: Identity | Mapping[FaceChoice, Identity] | None = None,
        expression: Given | Expression | None = None,
        face: FaceChoice = "largest",
        identity_face: FaceChoice = "largest",
        **options: Any,
    ) -> Image.Image:
        """The photo with other people's faces, PIL RGB of the photo's own size.

        Args:
            photo: a path or a PIL picture.
            identity: a picture of the new person, or several of the same one; or, for several people, such a value for
                each face of the photo: {"left": a, "right": b}. None: the person stays.
            expression: of the new faces, anything of `mien.expressions.spec`; None keeps that of the photo.
            face: whose face is replaced: "largest", "left", "right", a number from 0, or "all".
            identity_face: which face of the identity's pictures is meant; "largest" asks for one that is the largest.
            options: `strength`, `relative`, `region` of `PhotoPipeline.express`.

        Raises:
            InputError: a picture has no such face, or it cannot be used; the sentence says which and what to do.
        """
        changes = self.changes(photo, identity, face, identity_face)
        pixels = self.apply(changes, expression, **options)
        changed = (pixels != changes[0].sitter.image).any(2)
        return remember(Image.fromarray(pixels), {"engine": "photo", "backbone": "mini"}, changed)

    def changes(
        self,
        photo: Picture,
        identity: Identity | Mapping[FaceChoice, Identity] | None,
        face: FaceChoice = "largest",
        identity_face: FaceChoice = "largest",
    ) -> list[Change]:
        """The faces of a photo that change, each with its new person; arguments and errors as of a call."""
        chosen = identity if isinstance(identity, Mapping) else {face: identity}
        image, faces, name = self._look(photo, "the photo")
        found: dict[int, Change] = {}
        for which, pictures in chosen.items():
            people = () if pictures is None else self.identity(pictures, identity_face)
            every = faces if which == "all" and faces else [choose_face(faces, which, name)]
            for number, meant in enumerate(every):
                if id(meant) in found:
                    raise InputError(f"{name}: two identities were given for one face: give each face one")
                if which != "all" or len(found) == 0:
                    check(meant, name, 0.0)
                elif not _usable(meant):  # somebody far off in the background
                    continue
                elif people and _size(meant) < CHILD * _size(faces[0]):
                    warnings.warn(
                        f"{name}: face number {number} is less than {CHILD:.0%} as large as the largest, as a child's "
                        f"beside an adult's is, and stays: give it an identity by its number, {number}=FILE, to "
                        "change it",
                        stacklevel=3,
                    )
                    continue
                found[id(meant)] = Change(Sitter(image, meant), people)
        return list(found.values())

    def identity(self, pictures: Identity, face: FaceChoice = "largest") -> tuple[Sitter, ...]:
        """The person whom one or several pictures show, each cut to head and shoulders, to be used for any photo.

        Raises:
            InputError: a picture shows no face, two that are as large, or one too small, turned too far away or hidden.
        """
        given: list[Any] = list(pictures) if isinstance(pictures, (list, tuple)) else [pictures]
        if not given:
            raise InputError("an empty list was given as identity: give at least one picture")
        found = []
        for picture in given:
            image, faces, name = self._look(picture, "the identity's picture")
            if face == "largest" and len(faces) > 1 and _size(faces[1]) > EQUAL * _size(faces[0]):
                raise InputError(
                    f"{name}: shows two faces about as large: say which one is meant (left, right or a number), or cut "
                    "the picture to one"
                )
            meant = choose_face(faces, face, name)
            check(meant, name, SMALLEST)
            x0, y0, x1, y1 = framed(meant, image.shape)
            found.append(Sitter(np.ascontiguousarray(image[y0:y1, x0:x1]), _shifted(meant, 1.0, (x0, y0))))
            in_front = found[-1].front
            if in_front is not None and max(in_front.share(eye, of=0) for eye in LIDS) > HIDDEN:
                raise InputError(
                    f"{name}: dark glasses hide the eyes: use a picture of the person without them"
                )
            if in_front is not None and in_front.lifted() > LIFTED:
                warnings.warn(
                    f"{name}: the glasses hide so much around the eyes that they stay on, or, in a photo with glasses, "
                    "come out smeared: a picture of the person without them serves better",
                    stacklevel=3,
                )
            if found[-1].hides_mouth:
                raise InputError(
                    f"{name}: something in front of the face hides the mouth: use a picture that shows it"
                )
        return tuple(found)

    def apply(
        self,
        changes: Sequence[Change],
        expression: Given | Expression | None = None,
        strength: float = 1.0,
        relative: bool = True,
        region: str = "all",
    ) -> ByteImage:
        """The photo [H, W, 3] uint8 with all changes of its faces, one after another. Options: see
        `mien.pipelines.photo.PhotoPipeline.express`.

        Raises:
            InputError: two heads are turned too far apart; an expression or option cannot be used.
        """
        wish = None if expression is None else parse(expression)
        image = changes[0].sitter.image
        for change in changes:
            sitter = change.sitter.changed(image=image)
            wanted = Wanted(sitter.own, np.ones(57))
            if wish is not None:
                whole = self._photo.wanted(sitter, wish, relative)
                wanted = focused(sitter, whole, strength, region, stays=not change.identities)
                if change.identities:  # what the expression leaves open is still that of the photo
                    wanted = replace(wanted, weight=np.r_[np.ones(52), wanted.weight[52:]])
            image = (
                swapped(sitter, change.identities, wanted, wish is None)
                if change.identities
                else moved_by(sitter, wanted)
            )
        return image

    def _look(self, picture: Picture, otherwise: str) -> tuple[ByteImage, Sequence[Face], str]:
        if isinstance(picture, Subject):
            return np.asarray(picture.image), [picture.face], otherwise
        name = str(picture) if isinstance(picture, (str, Path)) else otherwise
        image = given_image(picture, name)
        return np.asarray(image), self._analyse(image), name


def moved_by(sitter: Sitter, wanted: Wanted) -> ByteImage:
    """The sitter's photo [H, W, 3] uint8, the same person reading as wanted."""
    return sitter.drawn(seek(sitter, wanted)).image


def swapped(sitter: Sitter, identities: Sequence[Sitter], wanted: Wanted, keeps: bool = True) -> ByteImage:
    """The sitter's photo [H, W, 3] uint8 with the face of the person whom all of `identities` show, reading as wanted.

    keeps: what is wanted is the photo's own expression; where it holds its lips shut, they stay shut.

    The picture nearest in pose and light gives the pixels; another one, in which the mouth is open, gives the teeth.

    Raises:
        InputError: the heads are turned too far apart.
    """
    identity = min(identities, key=lambda other: _distance(sitter, other))
    away = float(np.abs(identity.face.pose[:2] - sitter.face.pose[:2]).max())
    if away > MOST_APART:
        raise InputError(
            f"the identity's head is turned {away:.0f} degrees away from the photo's, too far for one to show what the "
            "other needs: add a picture of the person turned as in the photo"
        )
    elif away > FAR:
        warnings.warn(
            f"the identity's head is turned {away:.0f} degrees away from the photo's, and may come out torn at the far "
            "side: a picture of the person turned as in the photo serves better",
            stacklevel=3,
        )
    whites = [_white(one) for one in (sitter, identity)]
    if whites[0] > DIM * whites[1]:
        warnings.warn(
            f"the identity's picture is {whites[0] / whites[1]:.1f} times darker than the photo, whose light brings "
            "out its grain and shadows: a brighter picture of the person serves better",
            stacklevel=3,
        )
    open_mouths = [other for other in identities if other is not identity and _gap(other.face) > TEETH]
    if open_mouths and _gap(identity.face) < TEETH:
        identity = identity.changed(teeth=(open_mouths[0].image, open_mouths[0].face.landmarks))
    zoom = _eyes(sitter.face) / _eyes(identity.face)
    if zoom * LARGER < 1:
        identity = reduced(identity, zoom)
    if keeps:
        wanted = own_rest(identity, wanted)
    sought = seek(identity, wanted)
    meets = keeps and shut(sitter)
    if meets:
        sought = replace(sought, after=closed(sought), shut=1.0)
    if keeps:
        sought = replace(sought, after=awake(sought, identity.face, sitter.face))
    bare, lacks = uncovered(identity, sitter)
    put, theirs = bare.drawn(sought).image, bare.landmarks(sought)
    gone = sought.before - sought.after
    smile = keeps * max(float(gone[INDEX[name]]) for name in SMILES)
    moved = float(np.clip((smile - SMILE[0]) / (SMILE[1] - SMILE[0]), 0, 1))
    place = sitter.face.landmarks
    return laid(sitter.image, place, put, theirs, meets, sitter.front, lacks, moved=moved).image


def worn(sitter: Sitter) -> bool:
    """Whether the sitter wears glasses."""
    return sitter.found is not None and bool(sitter.found[0].any())


def uncovered(identity: Sitter, photo: Sitter) -> tuple[Sitter, FloatArray | None]:
    """`Sitter.bare` of an identity, whose glasses stay on where they leave too little of what lies around the eyes to
    go by, unless the photo's own glasses lie over it; where something still hides the face, [H, W] float32 0 to 1."""
    front = identity.front
    if front is None or front.lifted() <= LIFTED or worn(photo):
        return identity.bare()
    return identity, front.hidden(rims=False)


def check(face: Face, name: str, smallest: float) -> None:
    """Refuse a face that is turned too far away, or less than `smallest` px between the outer corners of its eyes.

    Raises:
        InputError: it is.
    """
    turned = float(np.abs(face.pose[:2]).max())
    if turned > MOST_TURNED:
        raise InputError(
            f"{name}: the head is turned away by {turned:.0f} degrees, too far to exchange its face: use a picture in "
            "which both eyes look at the camera"
        )
    if _eyes(face) < max(smallest, TINY):
        raise InputError(
            f"{name}: the face is too small, {_eyes(face):.0f} pixels between the outer corners of its eyes: use a "
            f"picture in which these are at least {max(smallest, TINY):.0f}"
        )


def _usable(face: Face) -> bool:
    return float(np.abs(face.pose[:2]).max()) <= MOST_TURNED and _eyes(face) >= TINY


def _distance(sitter: Sitter, other: Sitter) -> float:
    """How far a picture of a person lies from the photo in pose and light, degrees."""
    sides = [tone.measure(p.image, p.face.landmarks).side for p in (sitter, other)]
    return float(np.linalg.norm(sitter.face.pose[:2] - other.face.pose[:2])) + LIGHT * abs(
        sides[0] - sides[1]
    )


def _white(sitter: Sitter) -> float:
    """Luminance of the whites of the eyes, 0 to 255; as far as lids hide them, of what they would be at least."""
    image, landmarks = sitter.image, sitter.face.landmarks
    found, _ = complexion.white(image, landmarks)
    return float((tone.measure(image, landmarks).white if found is None else found) @ light.LUMA)


def _eyes(face: Face) -> float:
    return float(np.linalg.norm(face.landmarks[33] - face.landmarks[263]))


def _gap(face: Face) -> float:
    return float((face.landmarks[14, 1] - face.landmarks[13, 1]) / np.ptp(face.landmarks[:, 1]))


def _size(face: Face) -> float:
    return float(max(face.box[2] - face.box[0], face.box[3] - face.box[1]))


def _shifted(face: Face, zoom: float, corner: tuple[float, float] = (0, 0)) -> Face:
    """The face in a picture whose first pixel was at `corner` px and that is `zoom` times as large."""
    landmarks: FloatArray = (face.landmarks - [*corner, 0]) * zoom
    return replace(face, landmarks=landmarks, box=(face.box - np.tile(corner, 2)) * zoom)


def reduced(sitter: Sitter, zoom: float) -> Sitter:
    """The sitter's photo at `zoom` times its size, at most 1."""
    height, width = sitter.image.shape[:2]
    size = (max(1, round(width * zoom)), max(1, round(height * zoom)))
    image = np.asarray(cv2.resize(sitter.image, size, interpolation=cv2.INTER_AREA), np.uint8)
    return sitter.changed(image=image, face=_shifted(sitter.face, zoom))
