from __future__ import annotations

import io
import subprocess
import sys
import tarfile
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from mien.face import mediapipe
from mien.face.landmarks import eye_distance
from mien.types import InputError


def selfie(shared: Path, name: str) -> Image.Image:
    with tarfile.open(shared / "data" / "selfies-cc0.tar") as tar:
        stream = tar.extractfile(name)
        assert stream is not None
        return Image.open(io.BytesIO(stream.read())).convert("RGB")


@pytest.fixture(scope="module")
def analyser(shared: Path) -> mediapipe.MediaPipeAnalyser:
    pytest.importorskip("mediapipe", reason="the optional backend is not installed")
    return mediapipe.load(shared / "models" / mediapipe.MODEL_NAME)


def test_a_missing_model_says_what_to_fetch(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("MIEN_SHARED", str(tmp_path))
    monkeypatch.setenv("MIEN_MODELS", str(tmp_path))
    with pytest.raises(InputError, match=r"mien models fetch face_landmarker"):
        mediapipe.find_model()
    with pytest.raises(InputError, match="nowhere.task does not exist"):
        mediapipe.find_model(tmp_path / "nowhere.task")
    (tmp_path / mediapipe.MODEL_NAME).write_bytes(b"not it")
    with pytest.raises(InputError, match="is damaged"):
        mediapipe.find_model()


@pytest.mark.shared
def test_the_shared_model_serves_where_none_was_fetched(
    shared: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("MIEN_SHARED", str(shared))
    monkeypatch.setenv("MIEN_MODELS", str(tmp_path))
    assert mediapipe.find_model() == shared / "models" / mediapipe.MODEL_NAME
    monkeypatch.setenv("MIEN_MODELS", str(shared / "models"))
    assert mediapipe.find_model() == shared / "models" / mediapipe.MODEL_NAME


@pytest.mark.shared
def test_however_the_model_is_named_it_is_loaded_once(
    analyser: mediapipe.MediaPipeAnalyser, shared: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = shared / "models" / mediapipe.MODEL_NAME
    monkeypatch.chdir(path.parent)
    assert mediapipe.load(str(path)) is mediapipe.load(mediapipe.MODEL_NAME) is analyser


def test_a_broken_model_is_bad_input(tmp_path: Path) -> None:
    pytest.importorskip("mediapipe", reason="the optional backend is not installed")
    broken = tmp_path / "broken.task"
    broken.write_bytes(b"no model at all")
    with pytest.raises(InputError, match="broken.task cannot be used by MediaPipe"):
        mediapipe.MediaPipeAnalyser(broken)


@pytest.mark.shared
def test_a_selfie(shared: Path, analyser: mediapipe.MediaPipeAnalyser) -> None:
    image = selfie(shared, "lisa3.jpg")  # tilted to the left in the picture, by some 20 degrees
    (face,) = analyser(image)
    assert face.landmarks.shape == (478, 3)
    assert face.blendshapes.shape == (52,)
    assert 0 <= face.blendshapes.min() <= face.blendshapes.max() <= 1
    assert face.pose[2] == pytest.approx(-20, abs=4)
    x0, y0, x1, y1 = face.box
    assert 0 < x0 < x1 < image.width
    assert 0 < y0 < y1 < image.height
    # Turned clockwise, the picture's roll grows and nothing else does.
    (turned,) = analyser(image.rotate(-20, resample=Image.Resampling.BICUBIC))
    assert turned.pose[2] - face.pose[2] == pytest.approx(20, abs=3)
    assert eye_distance(turned.landmarks) == pytest.approx(eye_distance(face.landmarks), rel=0.05)


@pytest.mark.shared
def test_faces_come_largest_first_and_none_is_an_empty_list(
    shared: Path, analyser: mediapipe.MediaPipeAnalyser
) -> None:
    large = selfie(shared, "15cm.jpg")
    both = Image.new("RGB", (large.width * 2, large.height), "grey")
    both.paste(large.resize((large.width // 2, large.height // 2)), (0, 0))
    both.paste(large, (large.width, 0))
    faces = analyser(both)
    assert len(faces) == 2
    widths = [face.box[2] - face.box[0] for face in faces]
    assert widths[0] > widths[1]
    assert faces[0].box[0] > large.width
    assert np.abs(faces[0].blendshapes - faces[1].blendshapes).mean() < 0.05
    assert analyser(Image.new("RGB", (64, 48))) == []


@pytest.mark.shared
def test_the_process_ends_without_a_traceback(shared: Path) -> None:
    pytest.importorskip("mediapipe", reason="the optional backend is not installed")
    code = (
        f"from mien.face import mediapipe; mediapipe.load({str(shared / 'models' / mediapipe.MODEL_NAME)!r})"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True)
    assert done.returncode == 0
    assert "Traceback" not in done.stderr
