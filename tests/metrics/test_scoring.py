from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from mien import encoders
from mien.face.landmarks import lms_ratios
from mien.metrics.registry import METRICS
from mien.metrics.scoring import Scorer, load_scorer
from mien.types import Face, InputError

Picture = Callable[[int], Image.Image]
COPIES = ("copy_expression", "copy_identity", "copy_pose", "copy_appearance")


def test_no_face_is_none_and_several_are_counted(scorer: Scorer, picture: Picture) -> None:
    assert scorer.observe(picture(0)) is None
    seen = scorer.observe(picture(3))
    assert seen is not None
    assert seen.faces == 2
    assert seen.identity.shape == (8,)


def test_the_identity_picture_itself_and_the_reference_itself(
    scorer: Scorer, picture: Picture, face: Callable[[int], Face]
) -> None:
    identity, reference = scorer.observe(picture(1)), scorer.observe(picture(2))
    assert identity and reference
    unchanged = scorer.compare(identity, identity, reference)
    copied = scorer.compare(reference, identity, reference)
    assert unchanged["id"] == pytest.approx(1)
    assert (unchanged["same_person"], unchanged["nearer_identity"], unchanged["pose"]) == (1, 1, 0)
    assert unchanged["exp"] == pytest.approx(np.abs(face(1).blendshapes - face(2).blendshapes).mean())
    assert [unchanged[name] for name in COPIES] == [1, -1, -1, -1]
    assert (copied["exp"], copied["exp_sum"], copied["lms"]) == (0, 0, 0)
    assert (copied["same_person"], copied["nearer_identity"]) == (0, 0)
    assert [copied[name] for name in COPIES] == [-1, 1, 1, 1]


def test_values_are_in_the_ranges_that_are_declared(scorer: Scorer, picture: Picture) -> None:
    seen = [look for number in range(1, 9) if (look := scorer.observe(picture(number)))]
    for result in seen:
        for name, value in scorer.compare(result, seen[0], seen[1]).items():
            assert METRICS[name].low <= value <= METRICS[name].high


def test_unknown_scorers_are_bad_input() -> None:
    with pytest.raises(InputError, match="choose embedded, mediapipe"):
        load_scorer(analyser="openface")
    with pytest.raises(InputError, match="choose embedded, dlib, arcface, auraface or a file"):
        load_scorer(recogniser="facenet")
    with pytest.raises(InputError, match="nowhere.onnx does not exist"):
        load_scorer(recogniser="nowhere.onnx")


def test_a_file_of_arcface_s_contract_may_score(tmp_path: Path, picture: Picture) -> None:
    pytest.importorskip("onnx")
    pytest.importorskip("onnxruntime")
    from tests.encoders.test_onnx import write

    write(tmp_path / "other.onnx")
    scorer = load_scorer(recogniser=str(tmp_path / "other.onnx"))
    assert (scorer.recogniser, scorer.same_person) == ("other", None)
    rows, columns = np.mgrid[0:22, 0:22]
    points = np.stack([columns.ravel(), rows.ravel(), np.zeros(484)], 1)[:478] * 3.0
    shown = Face(np.array([0, 0, 64, 64.0]), points, np.zeros(52), np.zeros(3), 1.0)
    seen = scorer.observe_face(picture(3), shown)
    assert seen.identity.shape == (512,) and np.linalg.norm(seen.identity) == pytest.approx(1)
    scores = scorer.compare(seen, seen, seen)
    assert scores["id"] == pytest.approx(1) and np.isnan(scores["same_person"])


def test_the_background_gives_the_pose_where_there_is_one(scorer: Scorer, picture: Picture) -> None:
    result, identity, reference, background = (scorer.observe(picture(n)) for n in (1, 2, 3, 1))
    assert result and identity and reference and background
    plain = scorer.compare(result, identity, reference)
    given = scorer.compare(result, identity, reference, background)
    assert plain["pose"] > 0 and given["pose"] == 0
    assert (given["copy_pose"], given["copy_appearance"]) == (-1, -1)
    assert plain["copy_pose"] > given["copy_pose"]
    same = [name for name in plain if not name.endswith(("pose", "appearance"))]
    assert [plain[name] for name in same] == [given[name] for name in same]


def test_expression_distance_is_euclidean_in_units_of_the_training_faces(
    scorer: Scorer, picture: Picture, face: Callable[[int], Face]
) -> None:
    a, b = scorer.observe(picture(1)), scorer.observe(picture(2))
    assert a and b
    content = json.loads((Path(encoders.__file__).parent / "statistics.json").read_text())["expression"]
    units = []
    for number in (1, 2):
        shown = face(number)
        numbers = np.concatenate([shown.blendshapes, lms_ratios(shown.landmarks)])
        units.append(((numbers - content["mean"]) / content["std"]).clip(-5, 5))
    expected = np.sqrt(((units[0] - units[1]) ** 2).sum())
    assert scorer.compare(a, a, b)["expression_distance"] == pytest.approx(expected, rel=1e-4)
