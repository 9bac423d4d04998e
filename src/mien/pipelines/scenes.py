"""A photo with the face in it that is to be replaced, and the photo with its new face."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import cached_property

import cv2
import numpy as np
import torch
from PIL import Image

from mien.face.align import crop_matrix, invert, transform_points, warp
from mien.face.colour import apart, match_colour, match_skin
from mien.face.mask import face_mask, skin_mask
from mien.face.paste import feather, paste_back
from mien.face.subject import Subject
from mien.models.sfsr import GROW, face_region
from mien.pipelines.inputs import FaceChoice, choose_face
from mien.types import ByteImage, Face, FloatArray, InputError

LEAST_INSIDE = 0.75  # share of the face's region that must lie in the photo
MIN_CONFIDENCE = 0.8  # a face believed in less is refused, not processed
SOFT = 0.02  # of the crop's side (Gaussian sigma): how softly what is left out beside the face ends
FOREHEAD, CHIN = 10, 152  # landmarks: the oval's highest and lowest points
FEATHER = 0.06  # of the crop's side: how wide the generated face fades into the photo


@dataclass(frozen=True)
class Scene:
    """A photo and the face in it that is to be replaced.

    Attributes:
        photo: [H, W, 3] uint8. face: in its pixels. matrix: [2, 3] photo px -> px of the crop.
        crop: [s, s, 3] uint8. region: [s, s] float32 in [0, 1], where the crop is generated anew.
    """

    photo: ByteImage
    face: Face
    matrix: FloatArray
    crop: ByteImage
    region: FloatArray

    @cached_property
    def subject(self) -> Subject:
        """The photo's own person."""
        return Subject(Image.fromarray(self.photo), self.face)

    @property
    def outline(self) -> FloatArray:
        """The face's landmarks [478, 3] in pixels of the crop."""
        return transform_points(self.face.landmarks, self.matrix)


@dataclass(frozen=True)
class Refaced:
    """A result: the photo's scene and the crop [s, s, 3] uint8 that was generated for it."""

    scene: Scene
    crop: ByteImage

    def image(self) -> Image.Image:
        """The photo with the new face, in the photo's colours and fading out inside the region. PIL RGB."""
        return Image.fromarray(paste_back(self.scene.photo, self._matched, self.scene.matrix, self._shown))

    def mask(self) -> FloatArray:
        """[H, W] float32 in [0, 1]: how much of the new face shows. Where it is 0 the photo keeps every bit."""
        white, black = np.full_like(self.crop, 255), np.zeros_like(self.scene.photo)
        shown = paste_back(black, white, self.scene.matrix, self._shown)
        return shown[..., 0].astype(np.float32) / 255

    @cached_property
    def _matched(self) -> ByteImage:
        """The crop in the photo's colours: skin as skin, and what surrounds the face as it was."""
        scene = self.scene
        skin = skin_mask(scene.outline, *scene.crop.shape[1::-1])
        return match_colour(match_skin(self.crop, scene.crop, skin), scene.crop, scene.region)

    @cached_property
    def outline(self) -> FloatArray:
        """The new face's landmarks [478, 3] in pixels of the crop, as the embedded analyser reads them; the photo's
        where it sees no face."""
        from mien.face.analyze import load_reader

        before = self.scene.outline
        matrix = crop_matrix(before)
        seen = load_reader()(warp(self.crop, matrix)[None].copy())
        return transform_points(seen.landmarks[0], invert(matrix)) if seen.confidence[0] >= 0.5 else before

    @cached_property
    def _shown(self) -> FloatArray:
        """The region as far as the new face reaches, feathered: beside a narrower face the photo's cheek stays, and
        below a higher chin the photo's must not. What is much darker or lighter than the photo beside the new face is
        left out: models that saw faces cut out on black paint it there."""
        scene, points = self.scene, self.outline.copy()
        side = scene.region.shape[0]
        top, chin = points[FOREHEAD, 1], points[CHIN, 1]
        # 0 at the middle of the face, 1 at the chin
        down = (2 * (points[:, 1] - top) / (chin - top) - 1).clip(0, 1)
        points[:, 1] += down * max(0.0, scene.outline[CHIN, 1] - chin)
        region = np.minimum(scene.region, face_mask(points, side, side, grow=GROW))
        beside = 1 - face_mask(points, side, side)
        reach = 2 * round(2 * SOFT * side) + 1
        notches = cv2.dilate(beside * apart(self._matched, scene.crop), np.ones((reach, reach), np.uint8))
        return feather(region, FEATHER * side) * (1 - cv2.GaussianBlur(notches, (0, 0), SOFT * side))


def find_scene(
    photo: Image.Image,
    analyzer: Callable[[Image.Image], Sequence[Face]],
    own_analyser: bool,
    which: FaceChoice,
    name: str,
    framing: Callable[[FloatArray, int], FloatArray],
    size: int,
) -> Scene:
    """The face of a PIL RGB photo that is meant, and what the model sees of it. Raises `InputError`: there is no such
    face, it is believed in too little, or most of it lies outside the photo.

    Args:
        own_analyser: whether `analyzer` is the embedded one, whose confidences are known. name: the photo's.
        framing: of ``models.sfsr.FRAMINGS``. size: pixels of the crop's side.
    """
    faces = analyzer(photo)
    if not faces and own_analyser:
        from mien.face.analyze import analyze

        faces = analyze(photo, min_confidence=0.3)
    # what another analyser calls its confidence has another scale
    sure = [face for face in faces if face.confidence >= MIN_CONFIDENCE or not own_analyser]
    if faces and not sure:
        best = max(face.confidence for face in faces)
        raise InputError(
            f"{name}: what looks most like a face is believed to be one by {best:.2f}, less than "
            f"{MIN_CONFIDENCE}: use a photo in which the face is larger or clearer"
        )
    face = choose_face(sure, which, name)
    pixels = np.asarray(photo)
    matrix = framing(face.landmarks, size)
    landmarks = transform_points(face.landmarks, matrix)
    region = face_region(torch.from_numpy(landmarks)[None], size)[0, 0].numpy()
    _check_inside(region, matrix, pixels, name)
    return Scene(pixels, face, matrix, warp(pixels, matrix, size), region)


def _check_inside(region: FloatArray, matrix: FloatArray, photo: ByteImage, name: str) -> None:
    rows, columns = np.nonzero(region > 0.5)
    points = transform_points(np.stack([columns, rows], axis=1) + 0.5, invert(matrix))
    inside = np.all((points >= 0) & (points <= (photo.shape[1], photo.shape[0])), axis=1)
    share = float(inside.mean()) if len(points) else 0.0
    if share < LEAST_INSIDE:
        raise InputError(
            f"{name}: only {share:.0%} of the face is in the picture: use one that shows all of it"
        )
