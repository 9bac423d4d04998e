from __future__ import annotations

import io
import tarfile
from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image

from mien.encoders import dlib_recogniser as recogniser
from mien.face import mediapipe
from mien.face.landmarks import FIVE_POINTS
from mien.metrics.scoring import SAME_PERSON
from mien.types import Face, InputError


def face_at(points: np.ndarray) -> Face:
    landmarks = np.zeros((478, 3))
    landmarks[list(FIVE_POINTS), :2] = points
    return Face(np.array([0, 0, 1, 1.0]), landmarks, np.zeros(52), np.zeros(3), 1.0)


def test_missing_weights_say_how_to_get_them(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("MIEN_MODELS", str(tmp_path))
    monkeypatch.setattr("importlib.util.find_spec", lambda name: None)
    with pytest.raises(InputError, match="mien models fetch dlib_recogniser"):
        recogniser.find_weights()
    with pytest.raises(InputError, match=r"nowhere.dat do not exist"):
        recogniser.find_weights(tmp_path / "nowhere.dat")
    broken = tmp_path / "dlib_face_recognition_resnet_model_v1.dat"
    broken.write_bytes(b"no weights")
    with pytest.raises(InputError, match="is damaged"):
        recogniser.find_weights()
    pytest.importorskip("dlib")
    with pytest.raises(InputError, match="is not dlib's recogniser"):
        recogniser.DlibRecogniser(broken)


def test_the_chip_is_dlibs(picture: Image.Image) -> None:
    """Against dlib's own cropper, on a smooth picture and points on whole pixels (dlib rounds them)."""
    dlib = pytest.importorskip("dlib")
    image = picture.resize((960, 640), Image.Resampling.BICUBIC)
    points = np.array([[620, 220], [560, 226], [400, 250], [460, 244], [520, 350]])
    whole = dlib.rectangle(0, 0, image.width, image.height)
    shape = dlib.full_object_detection(whole, [dlib.point(int(x), int(y)) for x, y in points])
    expected = dlib.get_face_chip(np.asarray(image), shape, size=150, padding=0.25)
    got = recogniser.chip(image, face_at(points))
    assert got.shape == expected.shape
    assert np.abs(got.astype(float) - expected).mean() < 1.0


@pytest.mark.shared
def test_near_the_given_embeddings(shared: Path) -> None:
    pytest.importorskip("mediapipe", reason="the optional backend is not installed")
    try:
        network = recogniser.load()
    except InputError as error:
        pytest.skip(str(error))
    given = np.load(shared / "data" / "lfw-gray.dlib.npz")
    embedding = dict(zip(given["name"], given["dlib_embedding"].astype(np.float32), strict=True))
    distances = []
    with tarfile.open(shared / "data" / "lfw-gray-000.tar") as tar:
        for name in ("Aaron_Eckhart_0001.jpg", "Aaron_Sorkin_0001.jpg", "Aaron_Sorkin_0002.jpg"):
            stream = tar.extractfile(name)
            assert stream is not None
            image = Image.open(io.BytesIO(stream.read())).convert("RGB")
            vector = network(image, mediapipe.analyze(image)[0])
            assert vector.shape == (network.width,)
            assert vector.dtype == torch.float32
            distances.append(float(np.linalg.norm(vector.numpy() - embedding[name])))
            stranger = embedding["AJ_Cook_0001.jpg"]
            assert np.linalg.norm(vector.numpy() - stranger) > SAME_PERSON["dlib"]
    assert max(distances) < 0.3
