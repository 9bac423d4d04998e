"""The photo engine on people who are nobody; what they really look like smiling is known."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from mien.expressions.spec import Given, parse
from mien.face import mediapipe
from mien.face.analyze import analyze
from mien.face.blendshapes import INDEX
from mien.metrics.photo import gain
from mien.pipelines.photo import PORTRAIT, PhotoPipeline, Sitter, Sought
from mien.pipelines.photo_travel import eased, travel
from mien.types import Face, InputError
from mien.warping.target import reading

PEOPLE = Path(__file__).parents[2] / "examples/people"
SIDE = 512
SMILE = [INDEX["mouthSmileLeft"], INDEX["mouthSmileRight"]]
FROWN = [INDEX["browDownLeft"], INDEX["browDownRight"]]


def photo(name: str) -> Image.Image:
    return Image.open(PEOPLE / f"{name}.jpg").convert("RGB").resize((SIDE, SIDE))


def read(image: Image.Image) -> Face:
    return analyze(image)[0]


@pytest.fixture(scope="module")
def pipe() -> PhotoPipeline:
    return PhotoPipeline()


@pytest.fixture(scope="module")
def sitter(pipe: PhotoPipeline) -> Sitter:
    return pipe.sit(photo("may_rest"))


def test_people_come_nearer_to_their_true_smiles(pipe: PhotoPipeline) -> None:
    """On average: half a pixel in how two faces are laid over each other is worth 0.1 of a gain."""
    gains = []
    for name in ("ana", "karl", "may"):
        rest, smile = photo(f"{name}_rest"), photo(f"{name}_smile")
        result = pipe(rest, smile, relative=False)
        gains.append(gain(*[(np.asarray(one), read(one).landmarks) for one in (result, rest, smile)]))
        assert read(result).blendshapes[SMILE].mean() > read(rest).blendshapes[SMILE].mean() + 0.3
    assert np.mean(gains) > 0.1


def test_what_does_not_move_keeps_every_bit(pipe: PhotoPipeline, sitter: Sitter) -> None:
    drawn = pipe.express(sitter, "joy").drawn
    x0, y0, x1, y1 = drawn.box
    outside = np.ones((SIDE, SIDE), bool)
    outside[y0:y1, x0:x1] = False
    assert outside.mean() > 0.2
    np.testing.assert_array_equal(drawn.image[outside], sitter.image[outside])
    assert (drawn.image != sitter.image).any(2).mean() > 0.03


def test_no_strength_no_change(pipe: PhotoPipeline, sitter: Sitter) -> None:
    np.testing.assert_array_equal(pipe.express(sitter, "joy", strength=0).drawn.image, sitter.image)


def test_more_strength_more_smile(pipe: PhotoPipeline, sitter: Sitter) -> None:
    smiles = [
        read(pipe.express(sitter, "joy", strength=strength).image()).blendshapes[SMILE].mean()
        for strength in (0, 0.5, 1)
    ]
    assert smiles[0] + 0.1 < smiles[1] < smiles[2] - 0.1


def test_same_wish_same_bits(pipe: PhotoPipeline, sitter: Sitter) -> None:
    first = pipe.express(sitter, "surprise").drawn.image
    pipe.express(sitter, "anger")
    again = pipe.express(pipe.sit(photo("may_rest")), "surprise").drawn.image
    np.testing.assert_array_equal(first, again)


def test_a_region_leaves_the_others(pipe: PhotoPipeline, sitter: Sitter) -> None:
    wish = {"browDownLeft": 0.8, "browDownRight": 0.8, "mouthSmileLeft": 0.8, "mouthSmileRight": 0.8}
    brows, mouth = (read(pipe.express(sitter, wish, region=part).image()) for part in ("brows", "mouth"))
    assert brows.blendshapes[SMILE].mean() < 0.15 and mouth.blendshapes[SMILE].mean() > 0.4
    assert brows.blendshapes[FROWN].mean() > mouth.blendshapes[FROWN].mean() + 0.13


def test_what_is_named_is_not_corrected(pipe: PhotoPipeline, sitter: Sitter) -> None:
    def sought(given: Given) -> list[list[float]]:
        return [pipe.express(sitter, given, rounds=rounds).sought.after.tolist() for rounds in (0, 2)]

    assert sought("disgust")[0] == sought("disgust")[1]
    assert sought(photo("karl_smile"))[0] != sought(photo("karl_smile"))[1]


def test_a_kiss_and_a_sneer_show(pipe: PhotoPipeline, sitter: Sitter) -> None:
    def wide(landmarks: np.ndarray) -> float:
        return float(np.linalg.norm(landmarks[61, :2] - landmarks[291, :2]))

    kiss = pipe.express(sitter, "kiss")
    assert wide(read(kiss.image()).landmarks) < 0.85 * wide(sitter.face.landmarks)
    assert pipe.express(sitter, "disgust").sought.after[INDEX["noseSneerLeft"]] > 0.5


def test_neutral_takes_a_smile_away(pipe: PhotoPipeline) -> None:
    smiling = photo("may_smile")
    before, after = read(smiling), read(pipe(smiling, "neutral"))
    assert after.blendshapes[SMILE].mean() < 0.4 * before.blendshapes[SMILE].mean()


def test_readings_are_nearer_to_mediapipe_s_than_the_analyser_s(shared: Path) -> None:
    pytest.importorskip("mediapipe", reason="the optional backend is not installed")
    judge = mediapipe.load(shared / "models" / mediapipe.MODEL_NAME)
    far = []
    for name in ("ana_rest", "may_smile", "raj_rest", "karl_smile"):
        face, true = read(photo(name)), judge(photo(name))[0].blendshapes
        ours = reading(face.blendshapes, face.landmarks)[:52]
        far.append([np.abs(one - true).mean() for one in (ours, face.blendshapes)])
    bent, raw = np.mean(far, 0)
    assert bent < 0.9 * raw


def test_relative_leaves_a_reference_at_rest_at_home(pipe: PhotoPipeline, sitter: Sitter) -> None:
    """Another person's resting face asks for (almost) nothing; matched as it is, for that person's features."""
    wanted = {
        relative: pipe.wanted(sitter, parse(photo("raj_rest")), relative).value for relative in (True, False)
    }
    moved = {relative: np.abs(value - sitter.own).sum() for relative, value in wanted.items()}
    assert moved[True] < 0.5 * moved[False]


def test_a_portrait_is_head_and_shoulders(pipe: PhotoPipeline) -> None:
    large = Image.new("RGB", (1600, 1200), "grey")
    large.paste(photo("may_rest"), (900, 300))
    sitter = pipe.sit(large)
    portrait = sitter.framed()
    height, width = portrait.image.shape[:2]
    assert height == width <= PORTRAIT
    nose = portrait.face.landmarks[1, :2] / [width, height]
    assert abs(nose[0] - 0.5) < 0.1 and 0.3 < nose[1] < 0.65
    x, y = sitter.face.landmarks[1, :2] - portrait.face.landmarks[1, :2]  # not enlarged: a plain crop
    crop = large.crop((round(x), round(y), round(x) + width, round(y) + height))
    np.testing.assert_array_equal(portrait.image, np.asarray(crop))
    np.testing.assert_allclose(portrait.own, sitter.own, atol=1e-9)


@pytest.mark.parametrize(
    ("change", "says"),
    [
        (lambda face: replace(face, pose=np.array([55.0, 0, 0])), "turned away by 55 degrees"),
        (lambda face: replace(face, landmarks=face.landmarks * 0.05), "too small"),
    ],
)
def test_what_cannot_be_done_is_said(sitter: Sitter, change, says: str) -> None:
    pipe = PhotoPipeline(lambda image: [change(sitter.face)])
    with pytest.raises(InputError, match=says):
        pipe.sit(photo("may_rest"))
    with pytest.raises(InputError, match="at most 32,766 pixels wide"):
        sitter.changed(image=np.zeros((4, 32_767, 3), np.uint8))


@pytest.mark.parametrize(
    ("options", "says"),
    [
        ({"region": "nose"}, "no region 'nose': choose eyes, brows, mouth, all"),
        ({"strength": 2.0}, "from 0 to 1.5"),
        ({"strength": float("nan")}, "from 0 to 1.5"),
    ],
)
def test_options_are_checked(pipe: PhotoPipeline, sitter: Sitter, options, says: str) -> None:
    with pytest.raises(InputError, match=says):
        pipe.express(sitter, "joy", **options)


def test_a_shut_mouth_shows_no_teeth(pipe: PhotoPipeline) -> None:
    with pytest.raises(InputError, match="shows no teeth"):
        pipe.sit(photo("may_rest"), teeth=photo("ana_rest"))


def test_eased_is_still_at_every_stop() -> None:
    place = np.linspace(0, 2, 401)
    there = eased(place)
    np.testing.assert_allclose(there[[0, 200, 400]], [0, 1, 2], atol=1e-12)
    speed = np.diff(there) / np.diff(place)
    assert (speed >= 0).all() and speed[[0, 199, 200, -1]].max() < 1e-3
    assert speed.max() == pytest.approx(2, abs=0.01)  # 1 - cos(2 pi s) is 2 half way


def test_a_film_goes_through_its_stops(pipe: PhotoPipeline, sitter: Sitter) -> None:
    frames = travel(pipe, sitter, ["neutral", "joy"], np.array([0, 0.5, 1]))
    np.testing.assert_array_equal(np.asarray(frames[2]), pipe.express(sitter, "joy").drawn.image)
    smiles = [read(frame).blendshapes[SMILE].mean() for frame in frames]
    assert smiles[0] < smiles[1] < smiles[2]


def test_an_open_mouth_that_begins_to_move_does_not_jump(pipe: PhotoPipeline) -> None:
    one = pipe.sit(photo("ben_smile"))
    before, blinks = np.zeros(52), np.zeros(52)
    blinks[INDEX["eyeBlinkLeft"]] = 0.5
    made = []
    for smile in (0.0, 1e-6, 0.5):
        after = blinks.copy()
        after[INDEX["mouthSmileLeft"]] = smile
        made.append(one.drawn(Sought(before, after)).image.astype(int))
    assert np.abs(made[1] - made[0]).max() <= 3
    assert np.abs(made[2] - made[0]).max() > 40
