"""The MediaPipe backend: what Google's Face Landmarker sees in a picture, as `Face`.

Optional (``pip install "mien[mediapipe]"``); it needs the system libraries libEGL, libGLESv2 and libGL, and a
model file that the wheel does not carry (`find_model`). Source: Apache-2.0, https://ai.google.dev/edge/mediapipe/.
"""

from __future__ import annotations

import atexit
import os
import threading
from functools import lru_cache
from pathlib import Path
from typing import Any

import numpy as np
from PIL import Image

from mien import weights
from mien.errors import WHY, InputError, optional, saying
from mien.face import pose
from mien.face.blendshapes import NAMES
from mien.face.landmarks import bounding_box
from mien.types import Face

ENTRY = "face_landmarker"  # of the registry of weights
MODEL_NAME = "face_landmarker.task"
MAX_FACES = 10  # of a picture
MIN_CONFIDENCE = 0.5  # of detection and of presence


def find_model(path: str | Path | None = None) -> Path:
    """The Face Landmarker's file: `path`, else the fetched one, else that in the folder of data, ``MIEN_SHARED``.
    Raises `InputError`: it is in none of them, or damaged; the sentence says what to fetch and where to put it."""
    if path is not None:
        if not Path(path).is_file():
            raise InputError(f"The MediaPipe model {path} does not exist: run `mien models fetch {ENTRY}`.")
        return Path(path)
    entry = weights.entry(ENTRY)
    if weights.check(entry, entry.files[0]) is not weights.Status.MISSING:
        return weights.path(ENTRY)
    data = os.environ.get("MIEN_SHARED")
    if data and (place := Path(data) / "models" / MODEL_NAME).is_file():
        return place
    return weights.path(ENTRY)  # raises the sentence that says what to fetch


class MediaPipeAnalyser:
    """A loaded Face Landmarker. One call runs at a time (it holds a lock): threads may share it. model: the ``.task``
    file; None: `find_model`."""

    name = "mediapipe"

    def __init__(self, model: str | Path | None = None) -> None:
        path = find_model(model)
        self._mediapipe = _import_mediapipe()
        tasks = self._mediapipe.tasks
        options = tasks.vision.FaceLandmarkerOptions(
            base_options=tasks.BaseOptions(model_asset_path=str(path)),
            output_face_blendshapes=True,
            output_facial_transformation_matrixes=True,
            num_faces=MAX_FACES,
            min_face_detection_confidence=MIN_CONFIDENCE,
            min_face_presence_confidence=MIN_CONFIDENCE,
        )
        unfit = f"{path} cannot be used by MediaPipe ({WHY}): fetch it again."
        with saying(unfit, OSError, RuntimeError, ValueError):
            self._landmarker = tasks.vision.FaceLandmarker.create_from_options(options)
        self._lock = threading.Lock()
        atexit.register(self._let_go)

    def _let_go(self) -> None:
        # The landmarker's destructor needs a thread, and Python starts none while shutting down: it would print a
        # traceback. Without a handle it does nothing.
        self._landmarker._handle = None

    def __call__(self, image: Image.Image) -> list[Face]:
        """Every face in a PIL picture, largest box first. MediaPipe does not tell how sure it is, so ``confidence`` is
        the threshold that the face has passed."""
        pixels = np.ascontiguousarray(np.asarray(image.convert("RGB")))
        mp = self._mediapipe
        with self._lock:
            found = self._landmarker.detect(mp.Image(image_format=mp.ImageFormat.SRGB, data=pixels))
        height, width = pixels.shape[:2]
        scale = np.array([width, height, width], np.float64)  # z is in the scale of x
        faces = []
        for points, shapes, matrix in zip(
            found.face_landmarks,
            found.face_blendshapes,
            found.facial_transformation_matrixes,
            strict=True,
        ):
            landmarks = np.array([[p.x, p.y, p.z] for p in points]) * scale  # [478, 3] px
            scores = {shape.category_name: shape.score for shape in shapes}
            faces.append(
                Face(
                    box=bounding_box(landmarks),
                    landmarks=landmarks,
                    blendshapes=np.clip([scores[name] for name in NAMES], 0.0, 1.0),
                    pose=pose.angles(np.asarray(matrix)[:3, :3]),
                    confidence=MIN_CONFIDENCE,
                )
            )
        return sorted(faces, key=lambda face: float(np.prod(face.box[2:] - face.box[:2])), reverse=True)


def load(model: str | Path | None = None) -> MediaPipeAnalyser:
    """`MediaPipeAnalyser`, kept for the next caller that means the same file."""
    return _load(find_model(model).resolve())


@lru_cache(maxsize=4)
def _load(model: Path) -> MediaPipeAnalyser:
    return MediaPipeAnalyser(model)


def analyze(image: Image.Image) -> list[Face]:
    """Every face in a PIL picture by MediaPipe's Face Landmarker, largest first; an empty list for none. Raises
    `InputError`: MediaPipe, a system library it needs, or its model file is missing."""
    return load()(image)


def _import_mediapipe() -> Any:
    with saying(f"MediaPipe lacks a library ({WHY}): install libEGL, libGLESv2, libGL.", OSError):
        missing = f'MediaPipe cannot be imported ({WHY}): pip install "mien[mediapipe]".'
        optional(
            "mediapipe.tasks.python.vision", missing
        )  # loads the native library, which needs the system's
        return optional("mediapipe", missing)
