"""The pose that is read, against heads whose pose is known because they were rendered in it.

The head is ICT-FaceKit's mean shape. Of random shapes nobody can say what their straight-ahead pitch is: both backends
then differ from the rendered pitch by one number a head, up to 8 degrees and alike, and by 2 degrees around it.
"""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from mien.face.analyze import analyze
from mien.face.pose import difference

LIMIT = 30.0  # degrees on every axis
LOOKS, VIEWS = 5, 3
ALLOWED = 3.0  # degrees of mean absolute error on each axis


@pytest.fixture(scope="module")
def renders(shared: Path) -> list[tuple[Image.Image, np.ndarray]]:
    """Pictures of the mean head with random looks, expressions, lights and poses, and those poses."""
    pytest.importorskip("numba", reason="the renderer needs it")
    from factory.faces.coefficients import sample
    from factory.faces.ict import load_head
    from factory.faces.render import HOLDOUT_SEEDS, make_person, render
    from factory.faces.scene import sample_view

    head = load_head(shared / "data" / "ict_facekit.npz")
    mean = head.person(np.zeros(100))
    made = []
    for number in range(LOOKS):
        person = replace(make_person(head, HOLDOUT_SEEDS + 900_000 + number), shape=mean)
        rng = np.random.default_rng([number, 7])
        for _ in range(VIEWS):
            view = sample_view(rng)
            pose = rng.uniform(-LIMIT, LIMIT, 3).astype(np.float32)
            pose[np.abs(pose).argmin()] = 0  # not all three axes at their ends at once
            _, weights = sample(rng)
            made.append((Image.fromarray(render(head, person, weights, replace(view, pose=pose))), pose))
    return made


@pytest.mark.shared
@pytest.mark.slow
@pytest.mark.parametrize("backend", ["embedded", "mediapipe"])
def test_pose_of_known_renders(backend: str, renders: list, shared: Path, monkeypatch) -> None:
    if backend == "mediapipe":
        pytest.importorskip("mediapipe", reason="the optional backend is not installed")
        monkeypatch.setenv("MIEN_SHARED", str(shared))
    found = [(analyze(image, backend), pose) for image, pose in renders]
    errors = [difference(faces[0].pose, pose) for faces, pose in found if faces]
    assert len(errors) >= 0.9 * len(renders)
    assert (np.mean(errors, axis=0) <= ALLOWED).all(), np.mean(errors, axis=0)
    assert np.abs([pose for _, pose in renders]).mean(axis=0).min() > ALLOWED  # reading nothing would fail
