"""What a swap sees in two pictures and how it lights one as the other, on people who are nobody and on flat colours."""

from __future__ import annotations

from pathlib import Path

import cv2
import numpy as np
import pytest
from PIL import Image

from mien.face.analyze import analyze
from mien.types import ByteImage, FloatArray
from mien.warping import complexion, light, matte, stubble
from mien.warping.mesh import LOWER_LIP, UPPER_LIP
from mien.warping.motion import Motion
from mien.warping.steady import SHARE, Steady
from mien.warping.swap import _beyond, swap

PEOPLE = Path(__file__).parents[2] / "examples/people"
SIDE, SMALL = 512, 256
SKIN = np.array([205, 165, 150], np.uint8)


def looked_at(name: str) -> tuple[ByteImage, FloatArray]:
    image = Image.open(PEOPLE / f"{name}.jpg").convert("RGB").resize((SIDE, SIDE))
    return np.asarray(image), analyze(image)[0].landmarks


@pytest.fixture(scope="module")
def small() -> tuple[ByteImage, FloatArray]:
    image, landmarks = looked_at("may_rest")
    return np.asarray(Image.fromarray(image).resize((SMALL, SMALL))), landmarks * SMALL / SIDE


def test_a_beard_is_told_from_shade_bare_skin_and_a_collar(small: tuple[ByteImage, FloatArray]) -> None:
    image, points = small
    lower = matte.throat(image.shape, points)[..., None]
    shaded = np.where(lower, image * 0.6, image).astype(np.uint8)
    stubble = np.random.default_rng(0).uniform(0.4, 1.0, (SMALL, SMALL, 1))
    bearded = np.where(lower, image * stubble, image).astype(np.uint8)
    assert matte.bearded(image, points).max() == 0 and matte.bearded(shaded, points).max() == 0
    found = matte.bearded(bearded, points)
    chin = points[152, :2].astype(int)
    assert found[chin[1] - 3, chin[0]] > 0.8 and found[: int(points[168, 1])].max() == 0
    collar = bearded.copy()
    collar[chin[1] + 8 :] = np.random.default_rng(1).integers(5, 30, (SMALL - chin[1] - 8, SMALL, 1))
    beside = matte.bearded(collar, points)
    assert found[chin[1] + 13, chin[0]] > 0.8 and beside[chin[1] - 3, chin[0]] > 0.8
    assert beside[chin[1] + 13 :].max() < 0.1


def test_hair_over_the_forehead_does_not_agree_with_skin() -> None:
    back = np.full((60, 60, 3), SKIN, np.uint8)
    front = back.copy()
    front[:30] = SKIN // 3
    agreed = light.agreement(front.astype(np.float32), back)
    assert agreed[10, 30] < 0.05 and agreed[50, 30] > 0.99


def test_shine_and_tints_of_dark_skin_do_not_grow_with_its_light() -> None:
    """Nothing lighter than the photo's lightest skin, no blue on it; lips keep their colour."""
    back = np.full((60, 60, 3), SKIN, np.uint8)
    back[:2] = 240
    face = np.full((60, 60, 3), SKIN, np.float32)
    face[10:20] = (300, 320, 400)
    face[40:50] = (220, 90, 110)
    ones, lips = np.ones((60, 60), np.float32), np.zeros((60, 60), np.float32)
    lips[40:50] = 1
    result = light.settle(face, back, ones, ones, lips, 1.1)
    assert result[15, 30] @ light.LUMA < 1.05 * 240 and result[15, 30, 0] > result[15, 30, 2] + 10
    np.testing.assert_allclose(result[45, 30], face[45, 30], atol=8)
    np.testing.assert_allclose(result[30, 30], SKIN, atol=4)


def test_eyes_take_the_hue_of_the_light_and_not_of_the_skin() -> None:
    """The same person under red light: eyes come out as in white light, though lids and skin changed by more."""
    white, points = looked_at("ben_rest")
    red = np.clip(white * np.array([1.0, 0.8, 0.8]), 0, 255).astype(np.uint8)
    where = matte.fill(white.shape, points, *matte.SURE).astype(np.float32)
    skins = complexion.complexion(red, white, where, np.zeros_like(where), points)
    ratio = skins.eyes / skins.eyes[0]
    np.testing.assert_allclose(ratio, [1, 1.25, 1.25], atol=0.06)


def test_a_brown_iris_that_a_camera_shows_red_becomes_brown_again() -> None:
    """The rendering turns warm colours red, as it does skin, and leaves whites as they are."""
    skins = complexion.Complexion(
        np.zeros(256, np.float32),
        np.array([-0.25, 0.1, 0.0], np.float32),
        np.ones((256, 3), np.float32),
        np.ones(3, np.float32),
        0.25,
        140.0,
        1.0,
    )
    eye = np.array([[[110, 60, 58], [190, 188, 186]]], np.uint8)
    nothing, all_of_it = np.zeros((1, 2), np.float32), np.ones((1, 2), np.float32)
    iris, white = skins.apply(eye, nothing, all_of_it, nothing, nothing)[0]
    assert iris[0] / iris[1] < 1.35 < 110 / 60
    np.testing.assert_allclose(white, eye[0, 1], rtol=0.02)


def test_light_eyes_do_not_glow_in_dark_skin() -> None:
    """Irises take on a part of what darkens the skin, whites nothing; nor does either where skin gets lighter,
    or darker by the light alone."""
    eye = np.array([[[90, 110, 130], [190, 188, 186]]], np.uint8)
    nothing, all_of_it = np.zeros((1, 2), np.float32), np.ones((1, 2), np.float32)
    flat = np.zeros(256, np.float32), np.zeros(3, np.float32), np.ones((256, 3), np.float32)
    for bright, lit, share in ((0.4, 1.0, 0.4**complexion.DIMMED), (1.5, 1.0, 1.0), (0.4, 0.4, 1.0)):
        skins = complexion.Complexion(*flat, np.full(3, lit, np.float32), 0.25, 150.0, bright)
        iris, white = skins.apply(eye, nothing, all_of_it, nothing, nothing)[0] / eye[0]
        np.testing.assert_allclose(iris, share * lit, rtol=0.02)
        np.testing.assert_allclose(white, lit, rtol=0.02)


def test_narrow_eyes_in_the_shade_of_their_lids_do_not_tell_the_light() -> None:
    image, points = looked_at("may_rest")
    lids = matte.fill(image.shape, points, *matte.LIDS)[..., None]
    shaded = np.where(lids, image * np.array([0.4, 0.25, 0.25]), image).astype(np.uint8)
    (own, sure), (dark, unsure) = (complexion.white(picture, points) for picture in (image, shaded))
    assert own is not None and dark is not None and sure > 0.9 and unsure == 0
    assert dark @ light.LUMA > 0.6 * own @ light.LUMA


def test_a_sharpened_face_has_no_rims() -> None:
    image, points = looked_at("ben_rest")
    # without grain
    sharp, soft = (np.asarray(cv2.GaussianBlur(image, (0, 0), s), np.uint8) for s in (0.8, 2.0))
    result = light.resemble(soft.astype(np.float32), sharp, points, Steady())
    grown, shrunk = cv2.dilate(soft, np.ones((7, 7))), cv2.erode(soft, np.ones((7, 7)))
    assert np.abs(result - soft).max() > 5
    assert (result - grown).max() < 1e-3 and (shrunk - result).max() < 1e-3


def test_a_bearded_face_brings_its_beard_below_the_chin() -> None:
    """Grey noise on the identity's chin and throat comes along; the photo's own throat goes under it."""
    photo, landmarks = looked_at("ana_rest")
    identity, theirs = looked_at("may_rest")
    lower = matte.throat(identity.shape, theirs)[..., None]
    stubble = np.kron(
        np.random.default_rng(0).uniform(0.3, 0.9, (SIDE // 4, SIDE // 4, 1)), np.ones((4, 4, 1))
    )
    bearded = np.where(lower, identity * stubble, identity).astype(np.uint8)
    plain, hairy = (swap(photo, landmarks, who, theirs).image for who in (identity, bearded))
    chin = landmarks[152, :2].astype(int)
    below = np.s_[chin[1] + 4 : chin[1] + 20, chin[0] - 30 : chin[0] + 30]
    rough = [
        np.abs(g - cv2.GaussianBlur(g, (0, 0), 3)).mean()
        for g in (p[below].mean(2) for p in (photo, plain, hairy))
    ]
    assert rough[1] < 1.5 * rough[0] + 1 and rough[2] > 2 * rough[1]


def test_a_photo_s_beard_goes_as_far_as_it_reaches_down_the_throat() -> None:
    photo, landmarks = looked_at("ana_rest")
    identity, theirs = looked_at("may_rest")
    stubble = np.random.default_rng(0).uniform(0.3, 0.9, (SIDE // 2, SIDE // 2, 1))
    hair = matte.throat(photo.shape, landmarks)[..., None] > 0
    bearded = np.where(hair, photo * np.kron(stubble, np.ones((2, 2, 1))), photo).astype(np.uint8)
    results = (swap(p, landmarks, identity, theirs).image for p in (bearded, photo))
    below = hair[..., 0] & (np.arange(SIDE)[:, None] > landmarks[152, 1])
    with_it, gone, never = (
        np.abs(g - cv2.GaussianBlur(g, (0, 0), 2))[below].mean()
        for g in (p.mean(2) for p in (bearded, *results))
    )
    assert gone - never < 0.1 * (with_it - never)


def test_a_collar_before_the_identity_s_jaw_does_not_come_along() -> None:
    (image, points), (other, theirs) = (looked_at(name) for name in ("may_rest", "ben_rest"))
    collar = np.array(other)
    collar[matte.fill(other.shape, theirs, (150, 149, 176, 148, 32, 211)) > 0] = (70, 78, 95)
    with_it, without = (swap(image, points, p, theirs).image.astype(int) for p in (collar, other))
    jaw = matte.fill(image.shape, points, matte.JAWS[0]) > 0
    assert np.abs(collar.astype(int) - other).max() > 80
    assert np.quantile(np.abs(with_it - without)[jaw].max(1), 0.98) < 30


def test_light_of_a_shirt_on_the_identity_s_bearded_chin_does_not_come_along() -> None:
    (image, points), (other, theirs) = (looked_at(name) for name in ("may_rest", "ben_rest"))
    stubble = np.random.default_rng(0).uniform(0.4, 1.0, (SIDE // 2, SIDE // 2, 1))
    lower = matte.throat(other.shape, theirs)[..., None] > 0
    bearded = np.where(lower, other * np.kron(stubble, np.ones((2, 2, 1))), other)
    chin = (176, 148, 152, 377, 400, 396, 175, 171)
    lit = np.where(matte.fill(other.shape, theirs, chin)[..., None] > 0, 2.2 * bearded, bearded)
    result = swap(image, points, np.minimum(lit, 250).astype(np.uint8), theirs).image
    there = matte.fill(image.shape, points, chin) > 0
    own, new = (np.median(cv2.cvtColor(p, cv2.COLOR_RGB2GRAY)[there]) for p in (image, result))
    assert new < 1.27 * own


def test_shut_lips_keep_their_line_wherever_landmarks_lie() -> None:
    """Landmarks that stand apart on shut lips would have what lies between them cut out."""
    photo, landmarks = looked_at("max_rest")
    identity, theirs = looked_at("ben_rest")
    apart = theirs.copy()
    for row, sign in ((UPPER_LIP, -1), (LOWER_LIP, 1)):
        apart[list(row[1:-1]), 1] += sign * 0.012 * np.ptp(theirs[:, 1])
    mouth = matte.fill(photo.shape, landmarks, matte.OUTER_LIPS, grow=0.8) > 0
    good, other = (swap(photo, landmarks, identity, p, True).image[mouth] for p in (theirs, apart))
    plain = swap(photo, landmarks, identity, apart).image[mouth]
    away = [float(np.abs(p.astype(int) - good).mean()) for p in (other, plain)]
    assert away[0] < 0.6 * away[1]


def test_teeth_do_not_glow(small: tuple[ByteImage, FloatArray]) -> None:
    """Nor have a hue against the photo's: here cyan, and twice as light as white."""
    image, points = small
    inside = matte.fill(image.shape, points, matte.OUTER_LIPS).astype(np.float32)
    glowing = np.where(inside[..., None] > 0, np.array([400, 520, 520], np.float32), image.astype(np.float32))
    teeth = light.enamel(glowing, image, points, inside)
    shown = teeth[inside > 0]
    assert shown.max() < 255 and (shown[:, 2] <= shown[:, 0] + 1).all()
    assert (teeth[inside == 0] == glowing[inside == 0]).all()
    dull = np.where(inside[..., None] > 0, np.array([120, 112, 100], np.float32), image.astype(np.float32))
    assert np.abs(light.enamel(dull, image, points, inside) - dull).max() < 2
    for blue in (120, 140):
        green = np.where(inside[..., None] > 0, np.array([150, 165, blue], np.float32), image)
        shown = light.enamel(green.astype(np.float32), image, points, inside)[inside > 0]
        assert (shown[:, 1] <= shown[:, 0] + 1).all()


def test_layers_of_a_film_move_with_the_face_and_change_little_by_little(
    small: tuple[ByteImage, FloatArray],
) -> None:
    image, points = small
    steady, looks = Steady(film=True), []

    def look(value: float) -> FloatArray:
        looks.append(value)
        return np.float32(value) * matte.fill(image.shape, points + shift, matte.LIPS, matte.OUTER_LIPS)

    shift, seen = np.array([0.0, 0, 0]), []
    for number in range(9):
        shift[0] = 2 * number
        steady.frame(number / 25)
        steady.at(points + shift, image.shape)
        layer = steady.layer("lips", lambda: look(1.0 if len(looks) == 0 else 0.0))
        x, y = (points + shift)[13, :2].astype(int)
        seen.append(float(layer[y, x]))
    assert len(looks) == 3  # of nine frames
    assert seen[0] > 0.95 and seen[3] > 0.9 and 0.55 < seen[4] < 0.7 and 0.35 < seen[8] < 0.5
    steady.frame(5.0)  # somebody comes back after a while: nothing is kept
    steady.at(points, image.shape)
    assert steady.layer("lips", lambda: np.zeros(image.shape[:2], np.float32)).max() == 0


def test_nothing_of_a_picture_that_stays_where_it_is_lies_beyond_it() -> None:
    image, still = np.zeros((200, 200, 3), np.uint8), np.zeros((100, 100, 2), np.float32)
    assert not _beyond(image, Motion((0, 0, 200, 200), still)).any()
    away = _beyond(image, Motion((0, 0, 200, 200), still + [50, 0]))
    assert not away[:, :130].any() and away[:, 170:].min() == 1


def test_the_photo_s_own_cheeks_stay_beside_a_mouth_whose_smile_has_to_go() -> None:
    (image, points), (other, theirs) = (looked_at(name) for name in ("may_rest", "ben_rest"))
    lined = np.array(other)
    lined[matte.fill(other.shape, theirs, *((206, 216, 212, 202, 207),)) > 0] //= 2  # a fold of a smile
    kept, gone = (swap(image, points, lined, theirs, moved=share).image.astype(int) for share in (0.0, 1.0))
    plain = swap(image, points, other, theirs, moved=1.0).image.astype(int)
    fold = matte.fill(image.shape, points, (216, 212, 207)) > 0
    mouth = matte.fill(image.shape, points, matte.OUTER_LIPS) > 0
    assert np.abs(gone - plain)[fold].mean() < 0.3 * np.abs(kept - plain)[fold].mean()
    assert np.abs(gone - kept)[mouth].mean() < 3


def test_a_broad_brow_of_the_photo_does_not_stay_above_the_new_one() -> None:
    (image, points), (other, theirs) = (looked_at(name) for name in ("ana_rest", "may_rest"))
    broad = np.array(image)
    outline, brow = (matte.fill(image.shape, points, matte.BROWS[0], grow=g) > 0 for g in (1.5, 1.2))
    broad[outline] = (45, 35, 30)
    above = outline & ~brow & (np.arange(SIDE)[:, None] < points[105, 1])
    with_it, without = (swap(p, points, other, theirs).image.astype(int) for p in (broad, image))
    assert np.abs(with_it - without)[above].mean() < 0.25 * np.abs(broad.astype(int) - image)[above].mean()


def test_lips_of_dark_skin_do_not_glow_on_light_skin() -> None:
    """A lower lip twice as light as the upper, as dark lips often are: both come near the photo's lips."""
    dark = np.full((60, 60, 3), (80, 58, 46), np.uint8)
    dark[20:28], dark[28:36] = (70, 45, 50), (140, 90, 100)
    photo = np.full((60, 60, 3), SKIN, np.uint8)
    photo[20:36] = (190, 120, 120)
    lips = np.zeros((60, 60), np.float32)
    lips[20:36] = 1
    skins = complexion.complexion(dark, photo, 1 - lips, lips)
    nothing = np.zeros_like(lips)
    lit = skins.apply(dark, lips, nothing, 1 - lips, nothing)
    upper, lower = (lit[rows, 10:50].mean((0, 1)) for rows in (slice(22, 26), slice(30, 34)))
    assert lower @ light.LUMA < SKIN @ light.LUMA and upper @ light.LUMA > 60
    assert (lower / upper).mean() < 0.8 * (140 / 70)


def test_blemishes_of_light_skin_are_not_seen_on_dark_skin() -> None:
    """What takes green and blue light alone, as blood and pigment do; a shadow, which takes all, stays."""
    fair = np.full((60, 60, 3), SKIN, np.uint8)
    fair[10:20] = SKIN * np.array([0.97, 0.8, 0.8])
    fair[40:50] = SKIN * 0.8
    photo = np.full((60, 60, 3), (70, 50, 40), np.uint8)
    where, nothing = np.ones((60, 60), np.float32), np.zeros((60, 60), np.float32)
    skins = complexion.complexion(fair, photo, where, nothing)
    luma = skins.apply(fair, nothing, nothing, where, nothing) @ light.LUMA
    skin, spot, shade = (luma[row, 30] for row in (30, 15, 45))
    assert spot > 0.93 * skin > 0.93 * 1.1 * shade


def test_the_middle_of_a_wide_beard_is_as_dark_as_its_rim() -> None:
    """Black hair of a dark face on light skin, most of it far from any skin."""
    dark, photo = (np.full((200, 200, 3), colour, np.uint8) for colour in ((90, 65, 52), SKIN))
    hair = np.zeros((200, 200), np.float32)
    hair[60:] = 1
    dark[60:] = (22, 20, 19)
    nothing = np.zeros_like(hair)
    skins = complexion.complexion(dark, photo, 1 - hair, nothing)
    beside = skins.beside(dark.astype(np.float32) @ light.LUMA, 1 - hair, 12.0)
    luma = skins.apply(dark, nothing, nothing, 1 - hair, hair, beside) @ light.LUMA
    np.testing.assert_allclose(luma[80:180, 100], luma[80, 100], rtol=0.02)


def test_pores_of_the_photo_come_back_and_hair_does_not() -> None:
    rng = np.random.default_rng(0)
    back = np.full((120, 120, 3), SKIN, np.float32) + rng.normal(0, 3, (120, 120, 1))
    back[80:] += rng.normal(0, 30, (40, 120, 1))  # stubble
    face, skin = np.full((120, 120, 3), SKIN, np.float32), np.ones((120, 120), np.float32)
    result = light.textured(face, np.clip(back, 0, 255).astype(np.uint8), skin, 200.0, 1.0)
    assert result[10:60].std(0).mean() > 2 and np.abs(result[90:] - SKIN).max() < 1


def test_spots_of_skin_keep_their_contrast_where_shade_gets_deeper() -> None:
    """A photo with deep shade on an evenly lit face: its tone curve is steep, and freckles would be dirt."""
    fall = np.linspace(0, 1, 200)[None, :, None]
    fair, photo = ((SKIN * (1 - depth * fall)).repeat(200, 0).astype(np.uint8) for depth in (0.2, 0.4))
    spotted = fair.copy()
    spotted[98:102, 98:102] = 0.8 * fair[98:102, 98:102]
    where, nothing = np.ones((200, 200), np.float32), np.zeros((200, 200), np.float32)
    skins = complexion.complexion(fair, photo, where, nothing)
    lit, bare = (skins.apply(p, nothing, nothing, where, nothing) for p in (spotted, fair))
    np.testing.assert_allclose((lit / bare)[100, 100], 0.8, atol=0.03)
    np.testing.assert_allclose(bare[100, 10] @ light.LUMA, photo[100, 10] @ light.LUMA, rtol=0.05)
    np.testing.assert_allclose(bare[100, 190] @ light.LUMA, photo[100, 190] @ light.LUMA, rtol=0.05)


def test_a_jaw_s_stubble_goes_as_far_as_a_photo_that_ends_on_the_throat(
    small: tuple[ByteImage, FloatArray],
) -> None:
    image, points = small
    end = int(points[152, 1]) + 12
    jaw = stubble.jaw(image[:end], points, np.zeros((end, SMALL), np.float32))
    below = np.s_[-4:, int(points[176, 0]) : int(points[400, 0])]
    assert jaw[below].min() > 0.9


def lined(image: ByteImage, where: ByteImage) -> ByteImage:
    """Dark specks as hairs have, two px wide."""
    specks = np.kron(np.random.default_rng(0).random((SIDE // 2, SIDE // 2)) < 0.25, np.ones((2, 2)))
    return np.asarray(image * (1 - 0.5 * (where * specks)[..., None]), np.uint8)


@pytest.fixture
def gone(monkeypatch: pytest.MonkeyPatch) -> list[FloatArray]:
    """Where stubble goes, of each picture of which any does."""
    places: list[FloatArray] = []
    monkeypatch.setattr(stubble, "shaven", lambda image, where, _: places.append(where) or image)
    return places


def test_a_film_s_stubble_is_seen_little_by_little_and_does_not_flicker(gone: list[FloatArray]) -> None:
    """The first frame is blurred, and the others have noise."""
    (photo, landmarks), (identity, theirs) = (looked_at(name) for name in ("ana_rest", "may_rest"))
    rng, steady = np.random.default_rng(0), Steady(film=True)
    hairy = lined(photo, matte.neck(photo.shape, landmarks))
    for number in range(8):
        frame = hairy + rng.normal(0, 20, hairy.shape) if number else cv2.GaussianBlur(hairy, (0, 0), 4)
        steady.frame(number / 25)
        swap(np.clip(frame, 0, 255).astype(np.uint8), landmarks, identity, theirs, steady=steady)
    assert len(gone) == 4  # those from the second look on
    np.testing.assert_allclose(gone[0].max(), SHARE, atol=0.1)
    assert np.abs(np.diff(gone, axis=0)).max() < 0.02


def test_a_scarf_or_a_hand_before_either_face_is_no_stubble(gone: list[FloatArray]) -> None:
    (photo, landmarks), (identity, theirs) = (looked_at(name) for name in ("ana_rest", "may_rest"))
    places = [
        matte.neck(photo.shape, points) & (1 - matte.fill(photo.shape, points, matte.CHIN, matte.CHIN_BELOW))
        for points in (landmarks, theirs)
    ]
    scarf = np.where(places[0][..., None] > 0, np.array([60, 90, 190], np.uint8), photo)
    swap(lined(scarf, places[0]), landmarks, identity, theirs)
    assert not gone
    hairy, hand = lined(photo, matte.neck(photo.shape, landmarks)), lined(identity, places[1])
    swap(hairy, landmarks, hand, theirs)
    assert not gone
    swap(hairy, landmarks, hand, theirs, lacks=places[1].astype(np.float32))
    assert len(gone) == 1 and gone[0].max() > 0.5
