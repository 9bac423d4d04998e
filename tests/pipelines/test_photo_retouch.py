"""Films whose person has another expression, a frame at a time."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from mien.expressions.spec import parse
from mien.pipelines.photo import PhotoPipeline
from mien.pipelines.photo_retouch import Retouch
from mien.warping.matte import LIPS, fill

PEOPLE = Path(__file__).parents[2] / "examples/people"


@pytest.mark.parametrize(
    ("name", "region", "anew"), [("eyeBlinkLeft", "eyes", False), ("jawOpen", "all", True)]
)
def test_what_lies_between_lips_is_drawn_anew_only_if_they_move(name: str, region: str, anew: bool) -> None:
    pipe = PhotoPipeline()
    sitter = pipe.sit(Image.open(PEOPLE / "may_smile.jpg").convert("RGB").resize((512, 512)))
    between = fill(sitter.image.shape, sitter.face.landmarks, LIPS) > 0
    frame = sitter.image.copy()
    frame[between] = 0, 255, 0  # no teeth are green
    with np.errstate(invalid="raise"):
        retouch = Retouch(pipe, sitter, parse({name: 0.7}), region=region)
        changed = retouch.draw(frame, retouch.follow(frame, sitter.face, 0.0))
    assert (changed != frame).any()
    stays = (changed[..., 1] > changed[..., 0].astype(int) + 128).sum() / between.sum()
    assert stays < 0.2 if anew else stays > 0.8
