"""Motion files, and expressions saved as such: what is read is what was written; what is wrong is told."""

from __future__ import annotations

import json
from fractions import Fraction
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from mien.expressions import presets
from mien.expressions.motion import Motion, read_motion, still, write_motion
from mien.expressions.spec import parse
from mien.face.blendshapes import INDEX
from mien.types import InputError


@pytest.fixture
def content(tmp_path: Path) -> dict[str, Any]:
    """A valid file of three frames."""
    write_motion(
        tmp_path / "m.json", Motion(Fraction(30_000, 1001), np.full((3, 52), 0.25), np.zeros((3, 3)))
    )
    return dict(json.loads((tmp_path / "m.json").read_text()))


@pytest.fixture(autouse=True)
def data(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("XDG_DATA_HOME", str(tmp_path / "data"))


def test_what_was_written_is_read(tmp_path: Path) -> None:
    random = np.random.default_rng(0)
    shapes, pose = random.uniform(0, 1, (5, 52)), random.uniform(-90, 90, (5, 3))
    times = np.array([0, 0.1, 0.15, 0.9, 1.0])
    write_motion(tmp_path / "m.json", Motion(Fraction(24_000, 1001), shapes, pose, shapes[0], pose[0], times))
    again = read_motion(tmp_path / "m.json")
    assert again.rate == Fraction(24_000, 1001)
    for written, read in ((shapes, again.coefficients), (pose, again.pose), (shapes[0], again.rest)):
        np.testing.assert_allclose(read, written, atol=1e-4)
    np.testing.assert_allclose(again.times, times)
    assert len((tmp_path / "m.json").read_text().splitlines()) < 40


def test_gaze_moves_the_eyes(content: dict[str, Any], tmp_path: Path) -> None:
    content["gaze"][1] = [-0.5, 0.8]  # to the person's right, and up
    (tmp_path / "g.json").write_text(json.dumps(content))
    shapes = read_motion(tmp_path / "g.json").coefficients
    assert shapes[1, INDEX["eyeLookInLeft"]] == shapes[1, INDEX["eyeLookOutRight"]] == 0.5
    assert shapes[1, INDEX["eyeLookUpLeft"]] == 0.8 and shapes[1, INDEX["eyeLookDownLeft"]] == 0
    np.testing.assert_allclose(shapes[0], 0.25)


@pytest.mark.parametrize(
    "change, told",
    [
        ({"schema": "other"}, "schema"),
        ({"version": 2}, "version"),
        ({"rate": [30, 0]}, "rate"),
        ({"rate": [10**9, 1]}, "rate"),
        ({"names": ["jawOpen"]}, "names"),
        ({"coefficients": []}, "frames"),
        ({"coefficients": [[0.5] * 51] * 3}, "52"),
        ({"coefficients": [[2.0] * 52] * 3}, "2.0"),
        ({"coefficients": [[float("nan")] * 52] * 3}, "nan"),
        ({"coefficients": [[True] * 52] * 3}, "True"),
        ({"pose": [[0, 0, 0]]}, "3 at a time"),
        ({"pose": [[0, 0, 1e999]] * 3}, "inf"),
        ({"times": [0, 0, 1]}, "times"),
        ({"rest": {"pose": [0, 0, 0]}}, "rest"),
        ({"code": "import os"}, "code"),
    ],
)
def test_what_is_wrong_is_told(content: dict[str, Any], tmp_path: Path, change: Any, told: str) -> None:
    path = tmp_path / "bad.json"
    path.write_text(json.dumps({**content, **change}))
    with pytest.raises(InputError, match=f"bad.json.*{told}"):
        read_motion(path)


@pytest.mark.parametrize("text", ["", "[" * 100_000, "9" * 10_000, '{"schema": 1, "schema": 1}', "\xff"])
def test_no_json_is_told(tmp_path: Path, text: str) -> None:
    path = tmp_path / "bad.json"
    path.write_bytes(text.encode("latin-1"))
    with pytest.raises(InputError, match=r"bad\.json"):
        read_motion(path)


def test_saved_expressions_are_words(tmp_path: Path) -> None:
    shapes = np.zeros(52)
    shapes[INDEX["jawOpen"]] = 0.75
    presets.save("my-grin", shapes)
    assert presets.names() == ["my-grin"]
    (part,) = parse("my-grin").parts
    assert dict(part.shapes or ())["jawOpen"] == 0.75
    mixed = parse("my-grin:0.5+joy:0.5")
    assert [part.weight for part in mixed.parts] == [0.5, 0.5] and mixed.text == "my-grin:0.5+joy:0.5"
    assert parse(tmp_path / "data/mien/expressions/my-grin.json").parts[0].shapes == part.shapes
    presets.remove("my-grin")
    with pytest.raises(InputError, match="not a saved expression"):
        presets.remove("my-grin")


@pytest.mark.parametrize("name", ["joy", "smile", "../x", "a b", "", "x" * 41])
def test_names_that_are_none_or_taken(name: str) -> None:
    with pytest.raises(InputError):
        presets.save(name, np.zeros(52))


def test_a_motion_of_many_frames_is_no_expression(content: dict[str, Any], tmp_path: Path) -> None:
    with pytest.raises(InputError, match="motion of 3 frames"):
        parse(tmp_path / "m.json")
    assert len(still(np.zeros(52))) == 1
