"""MediaPipe's Face Landmarker as the teacher: landmarks, blendshapes and pose matrix of a picture's face.

Unlike `mien.face.mediapipe`, which returns `Face`, this keeps the pose matrix and reports a missing face as
NaN rows. Needs ``mediapipe`` (optional) and its model file (`mien.face.mediapipe.find_model`).
"""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

import numpy as np

from factory.faces.sources import shared_dir
from mien.face.mediapipe import MODEL_NAME, find_model
from mien.types import ByteImage, FloatArray


def shared_model() -> Path | None:
    """MediaPipe's file among the data beside the project, if it is there."""
    path = shared_dir() / "models" / MODEL_NAME
    return path if path.is_file() else None


@dataclass(frozen=True)
class Labels:
    """What MediaPipe saw; all NaN if it found no face.

    Attributes:
        landmarks: [478, 3] float32 px (z in the scale of x). blendshapes: [52] float32 in [0, 1]. matrix:
            [4, 4] float32, the facial transformation (cm; columns are the head's axes).
    """

    landmarks: FloatArray
    blendshapes: FloatArray
    matrix: FloatArray

    @property
    def found(self) -> bool:
        """Whether there was a face."""
        return bool(np.isfinite(self.blendshapes[0]))


class Labeller:
    """Calls MediaPipe on one picture at a time; about 12 ms each on one core."""

    def __init__(self, model: Path | None = None, confidence: float = 0.3) -> None:
        import mediapipe
        from mediapipe.tasks import python
        from mediapipe.tasks.python import vision

        options = vision.FaceLandmarkerOptions(
            base_options=python.BaseOptions(model_asset_path=str(find_model(model or shared_model()))),
            output_face_blendshapes=True,
            output_facial_transformation_matrixes=True,
            num_faces=1,
            min_face_detection_confidence=confidence,
        )
        self._mediapipe = mediapipe
        self._landmarker = vision.FaceLandmarker.create_from_options(options)

    def __call__(self, image: ByteImage) -> Labels:
        """Labels of the face in HWC uint8 RGB."""
        height, width = image.shape[:2]
        picture = self._mediapipe.Image(
            image_format=self._mediapipe.ImageFormat.SRGB, data=np.ascontiguousarray(image)
        )
        result = self._landmarker.detect(picture)
        if not result.face_landmarks:
            return Labels(*(np.full(shape, np.nan, np.float32) for shape in ((478, 3), (52,), (4, 4))))
        points = [[p.x * width, p.y * height, p.z * width] for p in result.face_landmarks[0]]
        return Labels(
            np.array(points, np.float32),
            np.array([category.score for category in result.face_blendshapes[0]], np.float32),
            np.asarray(result.facial_transformation_matrixes[0], np.float32),
        )

    def __enter__(self) -> Labeller:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def close(self) -> None:
        """Free MediaPipe's graph."""
        self._landmarker.close()
