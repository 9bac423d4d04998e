"""Carry: another person's photograph with the target's expression (IDI's third way)."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from mien.encoders.identity import EmbeddedIdentity
from mien.face.analyze import analyze
from mien.images import read_image
from mien.metrics.face import exp, lms
from mien.pipelines.idi import PhotoCarrier
from mien.types import InputError

EXAMPLES = Path(__file__).parents[2] / "examples"


def test_the_expression_is_the_targets_and_the_person_is_not() -> None:
    target, person = (read_image(EXAMPLES / f"{name}.png") for name in ("expression", "identity"))
    made = PhotoCarrier(analyze)(target, person)
    assert made.size == person.size
    shown, before, after = (analyze(image)[0] for image in (target, person, made))
    assert exp(shown.blendshapes, after.blendshapes) < 0.6 * exp(shown.blendshapes, before.blendshapes)
    assert lms(shown.landmarks, after.landmarks) < 0.6 * lms(shown.landmarks, before.landmarks)
    who = EmbeddedIdentity()
    faces = ((target, shown), (person, before), (made, after))
    theirs, own, result = (np.asarray(who.recognise(image, face)) for image, face in faces)
    assert np.linalg.norm(result - own) < 0.6 * np.linalg.norm(result - theirs)


def test_without_a_face_there_is_a_sentence() -> None:
    with pytest.raises(InputError, match="no face"):
        PhotoCarrier(analyze)(Image.new("RGB", (99, 99)), read_image(EXAMPLES / "identity.png"))
