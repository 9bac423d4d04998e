"""Exp and LMS on MediaPipe's own output, read and computed here without any of our code."""

from __future__ import annotations

import io
import math
import tarfile
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from mien.face import mediapipe as backend
from mien.metrics import face as metrics
from mien.metrics.scoring import Observation, Scorer

PICTURES = ("15cm.jpg", "lisa3.jpg", "lisa1.jpg", "60cm.jpg")


@pytest.fixture(scope="module")
def pictures(shared: Path) -> list[Image.Image]:
    with tarfile.open(shared / "data" / "selfies-cc0.tar") as tar:
        streams = [tar.extractfile(name) for name in PICTURES]
        return [Image.open(io.BytesIO(stream.read())).convert("RGB") for stream in streams if stream]


@pytest.fixture(scope="module")
def raw(
    shared: Path, pictures: list[Image.Image]
) -> list[tuple[dict[str, float], list[tuple[float, float]]]]:
    """Of each picture: blendshapes by name, and landmarks as (x, y) px, from MediaPipe's tasks API."""
    mp = pytest.importorskip("mediapipe", reason="the optional backend is not installed")
    from mediapipe.tasks.python import BaseOptions, vision

    options = vision.FaceLandmarkerOptions(
        base_options=BaseOptions(model_asset_path=str(shared / "models" / "face_landmarker.task")),
        output_face_blendshapes=True,
    )
    seen = []
    with vision.FaceLandmarker.create_from_options(options) as landmarker:
        for picture in pictures:
            pixels = np.ascontiguousarray(np.asarray(picture))
            out = landmarker.detect(mp.Image(image_format=mp.ImageFormat.SRGB, data=pixels))
            shapes = {shape.category_name: shape.score for shape in out.face_blendshapes[0]}
            w, h = picture.size
            seen.append((shapes, [(point.x * w, point.y * h) for point in out.face_landmarks[0]]))
    return seen


def exp_by_hand(reference: dict[str, float], result: dict[str, float]) -> float:
    """EmojiDiff Eq. 1 by names, as a mean."""
    assert len(reference) == 52
    return sum(abs(reference[name] - result[name]) for name in reference) / 52


def lms_by_hand(reference: list[tuple[float, float]], result: list[tuple[float, float]]) -> float:
    """EmojiDiff Eqs. 2-3."""
    total = 0.0
    for a, b, c, d in (
        (145, 159, 133, 33), (133, 468, 133, 33), (374, 386, 263, 362), (263, 473, 263, 362), (17, 0, 291, 61),
    ):  # fmt: skip
        ratios = [math.dist(p[a], p[b]) / max(1e-5, math.dist(p[c], p[d])) for p in (reference, result)]
        total += abs(ratios[0] - ratios[1])
    return total


@pytest.mark.shared
def test_exp_and_lms_of_mediapipes_output(shared: Path, pictures: list[Image.Image], raw: list) -> None:
    analyser = backend.load(shared / "models" / backend.MODEL_NAME)
    faces = [analyser(picture)[0] for picture in pictures]
    scorer = Scorer(analyser, lambda image, face: None, "mediapipe", "none", None)  # type: ignore[arg-type,return-value]
    vector, colours = np.ones(2), np.zeros(192)
    looks = [Observation(face, vector, vector, colours, 1) for face in faces]
    for i, j in ((0, 1), (1, 2), (2, 0)):
        exp = exp_by_hand(raw[i][0], raw[j][0])
        lms = lms_by_hand(raw[i][1], raw[j][1])
        assert exp > 0.005 and lms > 0.01  # the pictures differ
        assert metrics.exp(faces[i].blendshapes, faces[j].blendshapes) == pytest.approx(exp, abs=1e-6)
        assert metrics.lms(faces[i].landmarks, faces[j].landmarks) == pytest.approx(lms, abs=1e-6)
        scores = scorer.compare(looks[j], looks[i], looks[i])
        assert scores["exp"] == pytest.approx(exp, abs=1e-6)
        assert scores["exp_sum"] == pytest.approx(52 * exp, abs=1e-5)
        assert scores["lms"] == pytest.approx(lms, abs=1e-6)
