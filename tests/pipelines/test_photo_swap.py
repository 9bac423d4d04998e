"""Other people's faces in photos, on people who are nobody."""

from __future__ import annotations

import warnings
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from mien.encoders.identity import EmbeddedRecogniser
from mien.face.analyze import analyze
from mien.face.blendshapes import INDEX
from mien.metrics.photo import colour
from mien.pipelines.photo import Sought, Wanted
from mien.pipelines.photo_kept import awake, closed, own_rest, shut
from mien.pipelines.photo_swap import SwapPipeline
from mien.types import Face, InputError
from mien.warping.complexion import complexion
from mien.warping.matte import BROWS, LIPS, fill, shown
from mien.warping.target import at_rest, response

PEOPLE = Path(__file__).parents[2] / "examples/people"
SIDE = 512


def photo(name: str) -> Image.Image:
    return Image.open(PEOPLE / f"{name}.jpg").convert("RGB").resize((SIDE, SIDE))


def read(image: Image.Image) -> Face:
    return analyze(image)[0]


@pytest.fixture(scope="module")
def pipe() -> SwapPipeline:
    return SwapPipeline()


@pytest.fixture(scope="module")
def swapped(pipe: SwapPipeline) -> Image.Image:
    return pipe(photo("max_smile"), photo("raj_rest"))


def test_it_is_the_new_person(swapped: Image.Image) -> None:
    """By the embedded recogniser, which the photo engine never asks."""
    encoder = EmbeddedRecogniser()
    new, old, result = (
        encoder(image, read(image)).detach().numpy()
        for image in (photo("raj_rest"), photo("max_smile"), swapped)
    )
    near = [float(v @ result / np.linalg.norm(v) / np.linalg.norm(result)) for v in (new, old)]
    assert near[0] > near[1] + 0.1


def test_pose_and_expression_are_the_photos(swapped: Image.Image) -> None:
    before, after = read(photo("max_smile")), read(swapped)
    assert np.abs(before.pose - after.pose).max() < 3
    assert np.abs(before.blendshapes - after.blendshapes).mean() < 0.03


def test_light_is_the_photos_and_all_else_every_bit(swapped: Image.Image) -> None:
    before, after = np.asarray(photo("max_smile")), np.asarray(swapped)
    faces = [read(Image.fromarray(image)).landmarks for image in (after, before)]
    given = np.asarray(photo("raj_rest"))
    assert colour((after, faces[0]), (before, faces[1])) < 6
    assert colour((given, read(photo("raj_rest")).landmarks), (before, faces[1])) > 12
    same = (before == after).all(2)
    assert same.mean() > 0.5 and same[:60].all() and same[:, :60].all()


def test_a_grey_photo_stays_grey(pipe: SwapPipeline) -> None:
    grey = photo("ana_rest").convert("L").convert("RGB")
    result = np.asarray(pipe(grey, photo("cleo_rest"))).astype(int)
    assert np.ptp(result, axis=2).max() == 0
    assert (result != np.asarray(grey)).any(2).mean() > 0.05


def test_the_wanted_expression_comes_with_it(pipe: SwapPipeline) -> None:
    result = read(pipe(photo("ana_rest"), photo("may_rest"), "joy"))
    assert result.blendshapes[INDEX["mouthSmileLeft"]] > 0.4


def group() -> Image.Image:
    whole = Image.new("RGB", (2 * SIDE, SIDE))
    whole.paste(photo("ana_rest"), (0, 0))
    whole.paste(photo("ben_rest"), (SIDE, 0))
    return whole


def test_each_face_gets_its_own(pipe: SwapPipeline) -> None:
    before = np.asarray(group())
    left = np.asarray(pipe(group(), {"left": photo("may_rest")}))
    both = np.asarray(pipe(group(), {"left": photo("may_rest"), "right": [photo("karl_rest")]}))
    everybody = np.asarray(pipe(group(), photo("may_rest"), face="all"))
    np.testing.assert_array_equal(left[:, SIDE:], before[:, SIDE:])
    np.testing.assert_array_equal(both[:, :SIDE], left[:, :SIDE])
    np.testing.assert_array_equal(everybody[:, :SIDE], left[:, :SIDE])
    assert (both[:, SIDE:] != before[:, SIDE:]).any(2).mean() > 0.05
    assert (everybody[:, SIDE:] != both[:, SIDE:]).any(2).mean() > 0.05


def test_expressions_of_everybody(pipe: SwapPipeline) -> None:
    smiles = analyze(Image.fromarray(np.asarray(pipe(group(), None, "joy", face="all"))))
    assert len(smiles) == 2 and all(face.blendshapes[INDEX["mouthSmileLeft"]] > 0.4 for face in smiles)


def test_of_several_pictures_the_nearest_in_pose_gives_the_pixels(pipe: SwapPipeline) -> None:
    turned = replace(pipe.identity(photo("raj_smile"))[0])
    turned.face = replace(turned.face, pose=turned.face.pose + [30, 0, 0])
    straight = pipe.identity(photo("raj_rest"))[0]
    (change,) = pipe.changes(photo("max_rest"), photo("raj_rest"))
    alone, several = (
        pipe.apply([replace(change, identities=given)]) for given in ((straight,), (turned, straight))
    )
    assert np.abs(alone.astype(int) - several).mean() < 1  # but for the teeth that the other one shows


def test_nothing_parts_a_mouth_that_stays_shut(pipe: SwapPipeline) -> None:
    """Max holds his lips shut, Raj grins: so do the coefficients, and the rest of them stay what was sought."""
    max_, raj = (pipe.identity(photo(name))[0] for name in ("max_rest", "raj_smile"))
    assert shut(max_) and not shut(raj)
    sought = Sought(np.full(52, 0.1), np.full(52, 0.9))
    after = closed(sought)
    assert after[INDEX["jawOpen"]] == 0.1 and after[INDEX["mouthRollUpper"]] == 0.25
    assert after[INDEX["mouthSmileLeft"]] == 0.9 and sought.after[INDEX["jawOpen"]] == 0.9


@pytest.mark.parametrize("name", ["max_rest", "ana_rest"])
def test_a_grin_shuts_where_the_photo_s_lips_touch(pipe: SwapPipeline, name: str) -> None:
    result = read(pipe(photo(name), photo("ben_smile"))).landmarks
    assert result[14, 1] - result[13, 1] < 0.007 * np.ptp(result[:, 1])


def test_what_is_as_red_as_lips_is_no_teeth(pipe: SwapPipeline) -> None:
    """Where lips shine or are of two colours, as full ones may be, teeth are seen and landmarks lie apart."""
    sitter = pipe.identity(photo("max_rest"))[0]
    sitter.mouth.toothy = True
    between = fill(sitter.image.shape, sitter.face.landmarks, LIPS, grow=1.2)[..., None] > 0
    for colour_of, said in (((190, 180, 170), False), ((190, 100, 80), True)):
        assert shut(sitter.changed(image=np.where(between, colour_of, sitter.image).astype(np.uint8))) == said


def test_what_is_expressed_comes_from_the_photo_and_rest_from_the_identity(pipe: SwapPipeline) -> None:
    """Brows that the photo's person holds low are not asked of another, a smile is."""
    identity = pipe.identity(photo("raj_rest"))[0]
    brow, smile = INDEX["browDownLeft"], INDEX["mouthSmileLeft"]
    little = 0.5 * response().spread[brow]
    identity = replace(identity)
    identity.own[brow] = at_rest()[brow]
    value = identity.own.copy()
    value[brow] += little
    value[smile] += 0.8
    kept = own_rest(identity, Wanted(value, np.ones(57))).value - identity.own
    assert kept[smile] > 0.6 and abs(kept[brow]) < 0.5 * little


def test_a_child_sized_face_of_a_group_stays_and_is_told(pipe: SwapPipeline) -> None:
    whole = group()
    whole.paste((128, 128, 128), (SIDE, 0, 2 * SIDE, SIDE))
    whole.paste(photo("ben_rest").resize((SIDE * 2 // 5,) * 2), (SIDE + 100, 200))
    with pytest.warns(
        UserWarning, match="face number 1 is less than 50% .* give it an identity by its number"
    ):
        changes = pipe.changes(whole, photo("may_rest"), face="all")
    assert len(changes) == 1
    assert len(pipe.changes(whole, {1: photo("may_rest")})) == 1


def faces_of(image: Image.Image, **changed: object) -> Sequence[Face]:
    return [replace(face, **changed) for face in analyze(image)]


@pytest.mark.parametrize(
    ("analyse", "identity", "says"),
    [
        (analyze, Image.new("RGB", (300, 300)), "identity's picture: no face was found"),
        (analyze, group(), "two faces about as large"),
        (analyze, [], "an empty list was given as identity"),
        (
            analyze,
            {"left": photo("may_rest"), 0: photo("may_rest")},
            "two identities were given for one face",
        ),
        (lambda image: faces_of(image, pose=np.array([60.0, 0, 0])), photo("may_rest"), "turned away by 60"),
    ],
)
def test_refused_in_a_sentence(analyse, identity, says: str) -> None:
    with pytest.raises(InputError, match=says):
        SwapPipeline(analyse)(photo("ana_rest"), identity)


def test_a_picture_too_dark_to_serve_is_told_and_dark_skin_is_not(pipe: SwapPipeline) -> None:
    change = pipe.changes(photo("may_rest"), photo("ana_rest"))[0]  # the darker skin is in as good a light
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        pipe.apply([change])
    dark = change.identities[0].changed(image=(change.identities[0].image * 0.3).astype(np.uint8))
    with pytest.warns(UserWarning, match="times darker"):
        pipe.apply([replace(change, identities=(dark,))])


def test_brows_of_dark_skin_stay_dark_on_light_skin() -> None:
    """Skin four times as light; the same brows would be grey, and the noise of dark colours be seen."""
    dark = np.full((40, 40, 3), (50, 38, 30), np.uint8)
    dark[10:14] = 14
    light, where = np.full_like(dark, (210, 170, 150)), np.ones((40, 40), np.float32)
    skins = complexion(dark, light, where, where)
    none, brows = np.zeros_like(where), np.zeros_like(where)
    brows[8:16] = 1
    result = skins.apply(dark, none, none, skins.flesh(dark), brows)
    assert np.abs(result[30, 20] - light[30, 20]).max() < 12
    assert result[12, 20].max() < 35 < skins.apply(dark, none, none, none, none)[12, 20].max()
    noisy = dark.copy()
    noisy[20:, ::2, 0] += 8
    assert np.ptp(skins.calm(noisy, 2.0)[30, 8:32, 0].astype(int) - noisy[30, 8:32, 1]) < np.ptp(
        noisy[30, 8:32, 0].astype(int) - noisy[30, 8:32, 1]
    )


def test_lips_of_people_as_light_as_each_other_do_not_turn_red_by_a_rounding() -> None:
    """Red lips on the skin of somebody whose own are pale."""
    own, lips = np.full((40, 40, 3), (205, 165, 150), np.uint8), np.zeros((40, 40), np.float32)
    own[10:20], lips[10:20] = (175, 110, 110), 1
    looks = [
        complexion(own, np.full_like(own, skin), 1 - lips, lips).lips[123]
        for skin in ((206, 165, 150), (204, 165, 150))
    ]
    np.testing.assert_allclose(looks[1], looks[0], rtol=0.02)


def test_a_brow_that_touches_the_hair_is_the_faces() -> None:
    landmarks = read(photo("may_rest")).landmarks * (200 / SIDE)
    image = np.asarray(photo("may_rest").resize((200, 200))).copy()
    brow = landmarks[list(BROWS[0]), :2].mean(0).astype(int)
    image[brow[1] - 3 : brow[1] + 3, : brow[0] + 6] = 20  # from outside to the middle of the brow
    assert shown(image, landmarks, np.zeros((200, 200)))[brow[1], brow[0]] == 1


def test_eyes_shut_no_further_than_the_photos(pipe: SwapPipeline) -> None:
    """Half open ones leave half of the identity's opening; shut ones shut it."""
    face, blinks = read(photo("may_rest")), [INDEX["eyeBlinkLeft"], INDEX["eyeBlinkRight"]]
    rest, all_shut = np.zeros(52), np.zeros(52)
    all_shut[blinks] = 1
    for left, most in ((1.0, 0.1), (0.5, 0.5), (0.1, 1.0)):
        lids = face.landmarks.copy()
        for up, low in ((386, 374), (159, 145)):
            lids[up] = lids[low] + left * (lids[up] - lids[low])
        after = awake(Sought(rest, all_shut, 0.0), face, replace(face, landmarks=lids))
        assert np.allclose(after[blinks], most, atol=0.03), (left, after[blinks])


def test_a_photo_that_ends_above_the_mouth_gets_its_face(pipe: SwapPipeline) -> None:
    whole = photo("max_rest")
    cut = whole.crop((0, 0, SIDE, int(read(whole).landmarks[2, 1])))
    sitter = replace(pipe.changes(whole, None)[0].sitter, image=np.asarray(cut))
    assert shut(pipe.changes(whole, None)[0].sitter) and not shut(sitter)
