"""How well a picture shows who and what was wanted, by the embedded analyser and recogniser."""

from __future__ import annotations

from collections.abc import Sequence
from math import isnan
from typing import TYPE_CHECKING
from weakref import WeakKeyDictionary

import numpy as np
from PIL import Image

from mien.face.align import cropped
from mien.face.analyze import MIN_CONFIDENCE, read_again
from mien.face.subject import Subject
from mien.making.made import Drawn
from mien.making.subjects import Target
from mien.metrics import face as metrics
from mien.metrics.photo import compared
from mien.metrics.scoring import Observation, load_scorer
from mien.types import ByteImage, Face, FaceEncoder, FloatArray
from mien.warping.target import heard, response

if TYPE_CHECKING:
    from mien.encoders.identity import EmbeddedIdentity
    from mien.pipelines.photo import Sitter

Scores = dict[str, float | None]
OF_PHOTOS = ("id", "exp", "pose", "id_distance", "exp_ratio", "exp_share", "detail", "seam", "colour")
SMALL = 0.01  # Exp: an expression that is nearer to the photo's cannot be told from it
LEAST = 0.3  # norm of a change of blendshapes, as they are read: of a smaller one it cannot be told whether it shows


class Judge:
    """Compares results with what they were made of, which is looked at once. encoder: of the model's identities. Where
    it is the embedded one, what it saw of a face is not looked at again."""

    def __init__(self, encoder: FaceEncoder | None) -> None:
        self._encoder: EmbeddedIdentity | None = None
        if encoder is not None:
            from mien.encoders.identity import EmbeddedIdentity

            self._encoder = encoder if isinstance(encoder, EmbeddedIdentity) else None
        self._scorer = load_scorer()
        self.analyse = self._scorer.analyse  # picture → its faces, largest first
        self._seen: WeakKeyDictionary[Subject, Observation] = WeakKeyDictionary()
        self._found: WeakKeyDictionary[Drawn, Sequence[Face]] = WeakKeyDictionary()

    def faces(self, drawn: Drawn) -> Sequence[Face]:
        """The faces of a result, which is looked at once."""
        if drawn not in self._found:
            self._found[drawn] = self.analyse(drawn.image)
        return self._found[drawn]

    def crop(self, image: Image.Image, face: Face | None = None) -> Image.Image:
        """A picture's face, for a contact sheet: `face`, else the largest; the whole picture where there is none."""
        faces = self.analyse(image) if face is None else [face]
        return cropped(image, faces[0]) if faces else image

    def look(self, subject: Subject) -> Observation:
        """What the scorer keeps of a subject."""
        if subject not in self._seen:
            vector = None
            if self._encoder is not None:
                from mien.encoders.identity import EMBEDDING
                from mien.encoders.standardise import restore

                vector = restore(subject.vector(self._encoder)[:EMBEDDING], "identity")
            self._seen[subject] = self._scorer.observe_face(
                subject.image, subject.face, subject.faces, vector
            )
        return self._seen[subject]

    def portrait(self, drawn: Drawn, who: Subject, how: Target) -> Scores:
        """Its metrics, by their names in `mien.metrics.registry`; all None if it shows no face. An expression that is
        not a picture has no landmarks to compare with: what needs them is None."""
        faces, identity = self.faces(drawn), self.look(who)
        seen = self._scorer.observe_face(drawn.image, faces[0], len(faces)) if faces else None
        reference = identity if how.subject is None else self.look(how.subject)
        scores: Scores = dict(self._scorer.compare(seen or identity, identity, reference))
        if seen is None:
            return dict.fromkeys(scores)
        if how.subject is None:
            of_both = [name for name in scores if name.startswith("copy_")]
            scores |= dict.fromkeys(["lms", "nearer_identity", *of_both])
            shapes = seen.face.blendshapes
            scores["exp"] = float(metrics.exp(how.blendshapes, shapes))
            scores["exp_sum"] = float(metrics.exp_sum(how.blendshapes, shapes))
        at_first = float(metrics.exp(how.blendshapes, identity.face.blendshapes))
        scores["exp_ratio"] = float(scores["exp"] or 0) / at_first if at_first > SMALL else None
        result = np.asarray(drawn.image), seen.face.landmarks
        measured = compared(result, (np.asarray(who.image), who.face.landmarks))
        return {**scores, "detail": None if isnan(measured["detail"]) else measured["detail"]}

    def reface(self, drawn: Drawn) -> Scores:
        """id: cosine against the wanted person; exp: against the wanted expression (None if it is not a picture); pose:
        degrees against the photo; and what `mien.metrics.words` turns into words. All None if the result shows no face
        there."""
        own, who, how = drawn.photo, drawn.looked.who, drawn.looked.how
        assert own is not None
        place = (own.face.box[:2] + own.face.box[2:]) / 2
        near = [
            one for one in self.faces(drawn) if (one.box[:2] <= place).all() and (place <= one.box[2:]).all()
        ]
        if not near:
            return dict.fromkeys(OF_PHOTOS)
        shown = own if how is None else how.subject
        asked = None if how is None else how.blendshapes
        photo = np.asarray(own.image.convert("RGB")), own.face
        scores = self._changed(drawn.image, near[0], photo, who or own, asked)
        exp = None if shown is None else metrics.exp(shown.face.blendshapes, near[0].blendshapes)
        scores["exp"] = None if exp is None else float(exp)
        return scores if who is None else {**scores, "colour": None}

    def photo(
        self,
        image: Image.Image,
        photo: Sitter,
        who: Subject,
        shapes: FloatArray | None,
        asked: FloatArray | None = None,
    ) -> Scores:
        """Of a photo that the photo engine changed: `OF_PHOTOS`; all None if the result shows no face there. who: whom
        the face shall show. shapes: blendshapes [52] of the expression; None: the photo's stay. asked: what that comes
        to on this face, at the strength and in the region of the wish; None: not known."""
        before = photo.face
        after = read_again(image, before)
        if after.confidence < MIN_CONFIDENCE:
            return dict.fromkeys(OF_PHOTOS)
        scores = self._changed(image, after, (photo.image, before), who, None)
        exp = metrics.exp(before.blendshapes if shapes is None else shapes, after.blendshapes)
        part = None if asked is None else share(before.blendshapes, after.blendshapes, asked)
        return {**scores, "exp": float(exp), "exp_share": part}

    def _changed(
        self,
        image: Image.Image,
        after: Face,
        photo: tuple[ByteImage, Face],
        who: Subject,
        asked: FloatArray | None,
    ) -> Scores:
        """`OF_PHOTOS` of a photo's face before and `after`; exp is left to the caller. asked: blendshapes [52]."""
        before = photo[1]
        seen, wanted = self._scorer.observe_face(image, after), self.look(who)
        result, given = (np.asarray(image), after.landmarks), (photo[0], before.landmarks)
        ratio = None
        if asked is not None and (to_go := float(metrics.exp(asked, before.blendshapes))) > SMALL:
            ratio = float(metrics.exp(asked, after.blendshapes)) / to_go
        return {
            "id": float(metrics.id_similarity(seen.direction, wanted.direction)),
            "exp": None,
            "pose": float(metrics.pose_error(after.pose, before.pose)),
            "id_distance": float(metrics.id_distance(seen.identity, wanted.identity)),
            "exp_ratio": ratio,
            "exp_share": None,
            **{name: None if isnan(value) else value for name, value in compared(result, given).items()},
        }


def share(before: FloatArray, after: FloatArray, asked: FloatArray) -> float | None:
    """⟨a, r⟩ / ⟨a, a⟩: how much of the change a that was asked for the readings r of a face changed by; 0: nothing of
    it, 1: all. None: a is too small to be told.

    Blendshapes [52] each. a is weighted by how surely the analyser hears each of them (`mien.warping.target.response`);
    what else changed beside it counts neither way.
    """
    change = (asked - before) * heard() * np.clip(response().answer, 0, 1)
    size = float(change @ change)
    return None if size < LEAST**2 else float((after - before) @ change) / size


def worst(scores: Sequence[Scores]) -> Scores:
    """Of several results' scores, for each measure the one that is farthest from good; None where none is known."""
    best = {"id": 1.0, "detail": 1.0}
    found: Scores = {}
    for name in dict.fromkeys(name for one in scores for name in one):
        known = [value for one in scores if (value := one.get(name)) is not None]
        if name == "exp_share":
            found[name] = min(known, default=None)
            continue
        found[name] = max(known, key=lambda value: abs(value - best.get(name, 0.0)), default=None)
    return found
