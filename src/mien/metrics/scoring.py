"""Pictures in, numbers out: what a scorer sees in a picture, and how a result compares with its two inputs.

A scorer is an analyser (expression, pose, landmarks) and a recogniser (identity), chosen apart from those that
*condition* a model: it may please its own encoders and nobody else.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
from PIL import Image

from mien.errors import InputError, choice
from mien.metrics import face as metrics
from mien.types import Face, FloatArray

if TYPE_CHECKING:
    from torch import Tensor

ANALYSERS = ("embedded", "mediapipe")
RECOGNISERS = ("embedded", "dlib", "arcface", "auraface")
FILES = (".onnx", ".pth", ".pt")
# Below these Euclidean distances, in dlib's space, two faces are one person: dlib's own rule; and for our pupil of it,
# whose distances are shorter, the best threshold on 2,104 pairs of LFW people it was trained on (right on 95.8% of
# them, and on 92.1% of held-out pairs).
# Nobody has published a distance for ArcFace's files on these crops, and we have not measured one.
SAME_PERSON = {"dlib": 0.6, "embedded": 0.478}
# Standard deviations in an expression's embedding, whatever a model can be told (`encoders.standardise.LIMITS`).
FARTHEST = 5.0

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
        centre: embedding [d] → [d] with the mean of all people at 0, without which dlib's numbers give any two people a
            cosine of about 0.9. same_person: Euclidean distance of embeddings below which two faces are one person;
            None: not known.
    """

    analyse: Analyse
    recognise: Recognise
    analyser: str
    recogniser: str
    same_person: float | None
    centre: Callable[[Tensor], Tensor] = lambda vector: vector

    def observe(self, image: Image.Image) -> Observation | None:
        """Look at a picture; None if there is no face in it."""
        faces = self.analyse(image)
        return self.observe_face(image, faces[0], len(faces)) if faces else None

    def observe_face(
        self, image: Image.Image, face: Face, faces: int = 1, known: Tensor | None = None
    ) -> Observation:
        """Look at one face of a picture; `faces` is how many it shows. `known`: what `recognise` would say of it."""
        vector = (self.recognise(image, face) if known is None else known).detach().cpu().double()
        return Observation(
            face, vector.numpy(), self.centre(vector).numpy(), metrics.appearance(image, face), faces
        )

    def compare(
        self,
        result: Observation,
        identity: Observation,
        reference: Observation,
        background: Observation | None = None,
    ) -> dict[str, float]:
        """Every metric of one result that needs no other picture, by its name in `mien.metrics.registry`; nan: not
        known. Pose and coarse colours should be those of `background` (DiffSFSR), else of the identity picture
        (EmojiDiff)."""
        given = background or identity
        id_distance = metrics.id_distance(result.identity, identity.identity)
        to_reference = metrics.id_distance(result.identity, reference.identity)
        return {
            "exp": float(metrics.exp(reference.face.blendshapes, result.face.blendshapes)),
            "exp_sum": float(metrics.exp_sum(reference.face.blendshapes, result.face.blendshapes)),
            "lms": float(metrics.lms(reference.face.landmarks, result.face.landmarks)),
            "id": float(metrics.id_similarity(result.direction, identity.direction)),
            "id_distance": float(id_distance),
            "same_person": np.nan if self.same_person is None else float(id_distance < self.same_person),
            "nearer_identity": float(id_distance < to_reference),
            "expression_distance": float(
                metrics.expression_distance(_expression(result.face), _expression(reference.face))
            ),
            "pose": float(metrics.pose_error(result.face.pose, given.face.pose)),
            **_copied(result, identity, reference, given),
        }


def _expression(face: Face) -> FloatArray:
    """The embedding whose distances DiffSFSR calls Exp: ours is 52 blendshapes and 5 ratios, standardised."""
    import torch

    from mien.encoders.expression import expression_vector

    blendshapes, landmarks = (
        torch.from_numpy(np.array(values)[None]) for values in (face.blendshapes, face.landmarks)
    )
    return expression_vector(blendshapes, landmarks, FARTHEST)[0].numpy()


def _copied(
    result: Observation, identity: Observation, reference: Observation, given: Observation
) -> dict[str, float]:
    """`metrics.copy_paste` by name: of what, by which distance, from `source` in the place of `wanted`."""
    kinds: dict[str, tuple[Any, Any, float, Observation, Observation]] = {
        "expression": (
            metrics.exp, lambda o: o.face.blendshapes, metrics.SMALLEST_EXPRESSION, identity, reference,
        ),
        "identity": (metrics.id_distance, lambda o: o.identity, metrics.SMALLEST_IDENTITY, reference, identity),
        "pose": (metrics.pose_error, lambda o: o.face.pose, metrics.SMALLEST_POSE, reference, given),
        "appearance": (
            lambda a, b: np.sqrt(((a - b) ** 2).mean()),
            lambda o: o.appearance, metrics.SMALLEST_APPEARANCE, reference, given,
        ),
    }  # fmt: skip
    scores = {}
    for name, (distance, of, smallest, source, wanted) in kinds.items():
        to_wanted, to_source = (distance(of(result), of(other)) for other in (wanted, source))
        apart = distance(of(wanted), of(source))
        scores[f"copy_{name}"] = float(metrics.copy_paste(to_wanted, to_source, apart, smallest))
    return scores


def load_scorer(analyser: str = "embedded", recogniser: str = "embedded") -> Scorer:
    """The scorer of these names, of `ANALYSERS` and `RECOGNISERS`. Raises `InputError`: an unknown name, or what it
    needs is not installed. recogniser: also the path of a ``.onnx`` or ``.pth`` file of ArcFace's contract, and then
    called by its stem."""
    choice(analyser, ANALYSERS, "analyser")
    recognise, centre, name = _recogniser(recogniser)
    analyse: Analyse
    if analyser == "mediapipe":
        from mien.face import mediapipe

        analyse = mediapipe.load()
    else:
        from mien.face.analyze import analyze

        analyse = analyze
    return Scorer(analyse, recognise, analyser, name, SAME_PERSON.get(recogniser), centre)


def _recogniser(name: str) -> tuple[Recognise, Callable[[Tensor], Tensor], str]:
    """Picture and face → embedding; embedding → the same centred; and the name for reports."""
    from mien.encoders.standardise import restore, standardise

    # statistics of dlib's numbers, which the embedded one learned
    centre = partial(standardise, kind="identity")
    if name == "dlib":
        from mien.encoders import dlib_recogniser

        return dlib_recogniser.load(), centre, name
    if name == "embedded":
        from mien.encoders.identity import EmbeddedIdentity

        encoder = EmbeddedIdentity()
        return lambda image, face: restore(encoder.recognise(image, face), "identity"), centre, name
    path = Path(name)
    if name not in RECOGNISERS and path.suffix not in FILES:
        raise InputError(
            f"{name} is not a recogniser that scores: choose {', '.join(RECOGNISERS)} or a file ({', '.join(FILES)})."
        )
    from mien.encoders.arcface import DEFAULT, ArcFaceIdentity

    model = DEFAULT if name == "arcface" else name
    # ArcFace's numbers are centred as they are: its loss spreads people over the whole sphere.
    return ArcFaceIdentity(model), lambda vector: vector, path.stem if path.suffix else name
