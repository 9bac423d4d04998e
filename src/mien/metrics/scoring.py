"""Pictures in, numbers out: what a scorer sees in a picture, and how a result compares with its two inputs.

A scorer is an analyser (expression, pose, landmarks) and a recogniser (identity). Which ones *score* is
chosen apart from which ones *condition* a model: it may please its own encoders and nobody else.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np
from PIL import Image

from mien.metrics import face as metrics
from mien.types import Face, FloatArray, InputError

if TYPE_CHECKING:
    from torch import Tensor

ANALYSERS = ("embedded", "mediapipe")
RECOGNISERS = ("embedded", "dlib")
# Below these Euclidean distances, in dlib's space, two faces are one person: dlib's own rule; and for our pupil of it,
# whose distances are shorter, the best threshold on 2,104 pairs of LFW people it was trained on (right on 95.8% of
# them, and on 92.1% of held-out pairs).
SAME_PERSON = {"dlib": 0.6, "embedded": 0.478}

Analyse = Callable[[Image.Image], Sequence[Face]]
Recognise = Callable[[Image.Image, Face], "Tensor"]


@dataclass(frozen=True)
class Observation:
    """What a scorer keeps of a picture.

    Attributes:
        face: its largest. faces: how many there were. appearance: [192], the aligned face's coarse colours.
        identity: [d] the recogniser's vector, whose Euclidean distances are compared with its threshold.
        direction: [d] the same vector centred, whose cosines are the ID score.
    """

    face: Face
    identity: FloatArray
    direction: FloatArray
    appearance: FloatArray
    faces: int


@dataclass(frozen=True)
class Scorer:
    """An analyser and a recogniser, with their names for reports.

    Attributes:
        analyse: PIL picture → faces, largest first. recognise: (picture, face) → embedding [d].
        centre: embedding [d] → [d] with the mean of all people at 0; without it dlib's numbers, which share a
            large mean, give any two people a cosine of about 0.9.
        same_person: Euclidean distance of embeddings below which two faces are one person.
    """

    analyse: Analyse
    recognise: Recognise
    analyser: str
    recogniser: str
    same_person: float
    centre: Callable[[Tensor], Tensor] = lambda vector: vector

    def observe(self, image: Image.Image) -> Observation | None:
        """Look at a picture; None if there is no face in it."""
        faces = self.analyse(image)
        return self.observe_face(image, faces[0], len(faces)) if faces else None

    def observe_face(self, image: Image.Image, face: Face, faces: int = 1) -> Observation:
        """Look at one face of a picture; `faces` is how many it shows."""
        vector = self.recognise(image, face).detach().cpu().double()
        return Observation(
            face, vector.numpy(), self.centre(vector).numpy(), metrics.appearance(image, face), faces
        )

    def compare(self, result: Observation, identity: Observation, reference: Observation) -> dict[str, float]:
        """Every metric of one result that needs no other picture, by its name in `mien.metrics.registry`.

        Pose is against the identity picture: in EmojiDiff no input but that one has a claim on it.
        """
        id_distance = metrics.id_distance(result.identity, identity.identity)
        to_reference = metrics.id_distance(result.identity, reference.identity)
        return {
            "exp": float(metrics.exp(reference.face.blendshapes, result.face.blendshapes)),
            "exp_sum": float(metrics.exp_sum(reference.face.blendshapes, result.face.blendshapes)),
            "lms": float(metrics.lms(reference.face.landmarks, result.face.landmarks)),
            "id": float(metrics.id_similarity(result.direction, identity.direction)),
            "id_distance": float(id_distance),
            "same_person": float(id_distance < self.same_person),
            "nearer_identity": float(id_distance < to_reference),
            "pose": float(metrics.pose_error(result.face.pose, identity.face.pose)),
            **_copied(result, identity, reference),
        }


def _copied(result: Observation, identity: Observation, reference: Observation) -> dict[str, float]:
    def measure(
        distance: Callable[[FloatArray, FloatArray], FloatArray],
        of: Callable[[Observation], FloatArray],
        smallest: float,
        source: Observation,
        wanted: Observation,
    ) -> float:
        to_wanted = distance(of(result), of(wanted))
        to_source = distance(of(result), of(source))
        return float(metrics.copy_paste(to_wanted, to_source, distance(of(wanted), of(source)), smallest))

    return {
        "copy_expression": measure(
            metrics.exp, lambda o: o.face.blendshapes, metrics.SMALLEST_EXPRESSION, identity, reference
        ),
        "copy_identity": measure(
            metrics.id_distance, lambda o: o.identity, metrics.SMALLEST_IDENTITY, reference, identity
        ),
        "copy_pose": measure(
            metrics.pose_error, lambda o: o.face.pose, metrics.SMALLEST_POSE, reference, identity
        ),
        "copy_appearance": measure(
            _root_mean_square, lambda o: o.appearance, metrics.SMALLEST_APPEARANCE, reference, identity
        ),
    }


def _root_mean_square(a: FloatArray, b: FloatArray) -> FloatArray:
    return np.sqrt(((a - b) ** 2).mean())


def load_scorer(analyser: str = "embedded", recogniser: str = "embedded") -> Scorer:
    """The scorer of these names, of `ANALYSERS` and `RECOGNISERS`.

    Raises:
        InputError: an unknown name, or what it needs is not installed.
    """
    if analyser not in ANALYSERS:
        raise InputError(f"{analyser} is no analyser that scores: choose {' or '.join(ANALYSERS)}.")
    if recogniser not in RECOGNISERS:
        raise InputError(f"{recogniser} is no recogniser that scores: choose {' or '.join(RECOGNISERS)}.")
    from mien.encoders.standardise import restore, standardise

    analyse: Analyse
    recognise: Recognise
    if analyser == "mediapipe":
        from mien.face import mediapipe

        analyse = mediapipe.load()
    else:
        from mien.face.analyze import analyze

        analyse = analyze
    if recogniser == "dlib":
        from mien.encoders import dlib_recogniser

        recognise = dlib_recogniser.load()
    else:
        from mien.encoders.identity import EmbeddedIdentity

        encoder = EmbeddedIdentity()

        def recognise(image: Image.Image, face: Face) -> Tensor:
            return restore(encoder.recognise(image, face), "identity")

    return Scorer(
        analyse,
        recognise,
        analyser,
        recogniser,
        SAME_PERSON[recogniser],
        lambda v: standardise(v, "identity"),
    )
