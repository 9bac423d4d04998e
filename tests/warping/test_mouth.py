"""The inside of a mouth, on a drawn face whose landmarks are known exactly."""

from __future__ import annotations

from dataclasses import replace

import cv2
import numpy as np
import pytest

from mien.face.blendshapes import INDEX
from mien.types import ByteImage, FloatArray
from mien.warping.draw import draw
from mien.warping.mesh import LOWER_LIP, OUTER_LOWER_LIP, OUTER_UPPER_LIP, UPPER_LIP
from mien.warping.mouth import Layer, Mouth
from mien.warping.teeth import ANCHORS, CROWN, HALF, JAW, _data, locate_teeth, pose, sample, shape_of

SIZE, UNIT = 480, 3.0
RIGHT_LIDS = (33, 246, 161, 160, 159, 158, 157, 173, 133, 155, 154, 153, 145, 144, 163, 7)
LEFT_LIDS = (263, 466, 388, 387, 386, 385, 384, 398, 362, 382, 381, 380, 374, 373, 390, 249)
RIGHT_SIDE = (98, 148, 176, 468, 50, 205, 36, 101, 234, 61, 70, 87, 86, 178, 179, 469, 470, 471, 472)
LEFT_SIDE = (327, 377, 400, 473, 280, 425, 266, 330, 454, 291, 300, 317, 316, 402, 403, 476, 475, 474, 477)


def head(gap: float = 0.0, jaw: float = 0.0, lift: float = 0.0, width: float = 24.0) -> FloatArray:
    """Landmarks [478, 3] in head coordinates: lips apart by `gap` below a line lifted by `lift`, chin down by `jaw`."""
    p = np.zeros((478, 3))
    p[list(ANCHORS)] = _data()["anchors"]
    along = np.linspace(-1, 1, 11)
    for lip, part in ((UPPER_LIP, 0.0), (LOWER_LIP, gap)):
        p[list(lip), 0] = width * along
        p[list(lip), 1] = 21 - lift * (1 - along**2) + part * (1 - along**2)
        p[list(lip), 2] = 6 + 8 * along**2
    below = {86: 87, 15: 14, 316: 317, 179: 178, 403: 402}
    for outer, inner in below.items():
        p[outer] = p[inner] + [0, 4, 0]
    p[[0, 17, 61, 291]] = [[0, 14, 4], [0, 31 + gap, 6], [-width - 2, 21, 14], [width + 2, 21, 14]]
    for index, x in zip(JAW, (0, -8, 8, -14, 14), strict=True):
        p[index] = [x, 67.4 + jaw, 24]
    p[[234, 454, 70, 300]] = [[-70, -20, 60], [70, -20, 60], [-45, -62, 30], [45, -62, 30]]
    for iris, x, lids in ((468, -29, (33, 133)), (473, 32, (362, 263))):
        x = p[list(lids), 0].mean()
        p[iris] = [x, p[lids[0], 1], 22]
        p[iris + 1 : iris + 5] = p[iris] + [[5, 0, 0], [0, -5, 0], [-5, 0, 0], [0, 5, 0]]
    t = np.linspace(0, 1, 9)[1:-1, None]
    for lids in (RIGHT_LIDS, LEFT_LIDS):
        outer, inner = p[lids[0]], p[lids[8]]
        p[list(lids[1:8])] = outer + t * (inner - outer) - 6 * np.sin(np.pi * t) * [0, 1, 0]
        p[list(lids[9:])] = inner + t * (outer - inner) + 6 * np.sin(np.pi * t) * [0, 1, 0]
    p[[50, 205, 36, 101]] = [[-38, 0, 20], [-32, 12, 18], [-28, 2, 14], [-30, -12, 16]]
    p[[280, 425, 266, 330]] = p[[50, 205, 36, 101]] * [-1, 1, 1]
    return p


def place(p: FloatArray, unit: float = UNIT, yaw: float = 0.0) -> FloatArray:
    c, s = np.cos(np.radians(yaw)), np.sin(np.radians(yaw))
    return np.asarray(p @ [[c, 0, -s], [0, 1, 0], [s, 0, c]] * unit + [SIZE / 2, SIZE / 2 - 20, 0])


def picture(landmarks: FloatArray, skin: tuple[int, int, int] = (190, 150, 130)) -> ByteImage:
    """A flat face with eyes and lips, softened a little."""
    image = np.full((SIZE, SIZE, 3), skin, np.uint8)
    p = np.round(landmarks[:, :2]).astype(np.int32)
    for iris, lids in ((468, RIGHT_LIDS), (473, LEFT_LIDS)):
        cv2.fillPoly(image, [p[list(lids)]], (188, 176, 174))
        cv2.circle(image, p[iris].tolist(), 15, (60, 50, 40), -1)
    mouth = np.concatenate([p[list(UPPER_LIP)] - [0, 14], p[list(LOWER_LIP)][::-1] + [0, 16]])
    cv2.fillPoly(image, [mouth], (170, 100, 100))
    return np.asarray(cv2.GaussianBlur(image, (0, 0), 0.7))


REST = place(head())
SMILE = place(head(gap=9.0, jaw=3.0, lift=4.0))
OPEN = place(head(gap=22.0, jaw=20.0))
PHOTO = picture(REST)


def interior(image: ByteImage, landmarks: FloatArray, target: FloatArray) -> Layer:
    return Mouth(image, landmarks).interior(target)


def inside(layer: Layer) -> FloatArray:
    """The layer's colours [n, 3] where it is opaque."""
    return np.asarray(layer.colour[layer.alpha > 0.95])


def test_a_shut_mouth_shows_nothing() -> None:
    layer = interior(PHOTO, REST, REST)
    assert layer.alpha.sum() == 0
    assert np.array_equal(layer.over(PHOTO), PHOTO)
    almost = interior(PHOTO, REST, place(head(gap=0.7)))
    assert almost.alpha.size == 0 or almost.alpha.max() < 0.5


@pytest.mark.parametrize("target", [SMILE, OPEN], ids=["smile", "open"])
def test_the_layer_covers_the_opening_and_nothing_else(target: FloatArray) -> None:
    layer = interior(PHOTO, REST, target)
    outline = np.concatenate([target[list(UPPER_LIP), :2], target[list(LOWER_LIP)[::-1], :2]]).astype(
        np.float32
    )
    full = np.zeros((SIZE, SIZE), np.float32)
    full[layer.top : layer.top + layer.alpha.shape[0], layer.left : layer.left + layer.alpha.shape[1]] = (
        layer.alpha
    )
    for y in range(0, SIZE, 2):
        for x in range(0, SIZE, 2):
            depth = cv2.pointPolygonTest(outline, (x + 0.5, y + 0.5), True)  # px, positive inside
            if depth < -2.5:  # a smooth curve leaves the polygon a little, and lips turn in
                assert full[y, x] <= 0.1 * (depth > -4)
            elif depth > 4:
                assert full[y, x] > 0.9
    assert np.isfinite(layer.colour).all()
    out = layer.over(PHOTO)
    assert np.array_equal(out[full == 0], PHOTO[full == 0])


def test_teeth_are_light_and_above_what_is_behind_them() -> None:
    layer = interior(PHOTO, REST, SMILE)
    light = layer.colour.mean(-1)
    middle = light[:, light.shape[1] // 2 - 10 : light.shape[1] // 2 + 10]
    assert middle.max() > 150
    assert interior(PHOTO, REST, OPEN).colour[..., :].mean(-1).min() < 60


def test_a_grey_photo_gets_a_grey_mouth() -> None:
    grey = np.repeat(cv2.cvtColor(PHOTO, cv2.COLOR_RGB2GRAY)[..., None], 3, 2)
    for target in (SMILE, OPEN):
        out = interior(grey, REST, target).over(grey)
        assert np.array_equal(out[..., 0], out[..., 1]) and np.array_equal(out[..., 1], out[..., 2])
    coloured = inside(interior(PHOTO, REST, OPEN))
    assert (coloured[:, 0] - coloured[:, 2]).mean() > 5


def test_a_toned_photo_gets_a_toned_mouth() -> None:
    grey = cv2.cvtColor(PHOTO, cv2.COLOR_RGB2GRAY).astype(np.float32)[..., None]
    sepia = np.clip(grey * [1.08, 0.98, 0.80], 0, 255).astype(np.uint8)
    colours = inside(interior(sepia, REST, OPEN))
    ratio = colours / colours.mean(1, keepdims=True)
    assert ratio.std(0).max() < 0.02  # one hue
    assert ratio[:, 0].mean() > 1.08 and ratio[:, 2].mean() < 0.92


def test_teeth_take_the_colour_of_a_magenta_light() -> None:
    green = []
    for light in (1.0, 0.86):
        colours = inside(interior((PHOTO * [1.0, light, 1.0]).astype(np.uint8), REST, SMILE))
        teeth = np.median(colours[colours.mean(1) > np.percentile(colours.mean(1), 70)], 0)
        green.append(teeth[1] / teeth.mean())
    assert 0.9 < green[1] / green[0] < 0.958  # no olive, nor all of it: whites and skin may be a little so


def test_brightness_follows_the_exposure() -> None:
    means = [
        inside(interior((PHOTO * e).astype(np.uint8), REST, SMILE)).mean() for e in (0.3, 0.5, 0.7, 0.9, 1.0)
    ]
    assert all(b > 1.05 * a for a, b in zip(means[:-1], means[1:], strict=True))
    assert 2.2 < means[-1] / means[0] < 4.5


def test_teeth_are_lighter_than_dark_skin_and_not_glowing_in_it() -> None:
    dark = picture(REST, (95, 66, 52))
    layer = interior(dark, REST, SMILE)
    assert 130 < np.percentile(inside(layer).mean(1), 90) < 235


def test_a_mirrored_photo_gives_a_mirrored_mouth() -> None:
    lit = np.clip(PHOTO * np.linspace(0.6, 1.2, SIZE)[None, :, None], 0, 255).astype(np.uint8)

    def mirror(landmarks: FloatArray) -> FloatArray:
        turned = landmarks.copy()
        right, left = [*RIGHT_LIDS, *RIGHT_SIDE], [*LEFT_LIDS, *LEFT_SIDE]
        right, left = (
            right + [*UPPER_LIP[:5], *LOWER_LIP[1:5]],
            left + [*UPPER_LIP[:5:-1], *LOWER_LIP[9:5:-1]],
        )
        right, left = list(dict.fromkeys(right)), list(dict.fromkeys(left))
        turned[right], turned[left] = landmarks[left], landmarks[right]
        turned[:, 0] = SIZE - turned[:, 0]
        return turned

    aside = place(head(), yaw=20), place(head(gap=9.0, jaw=3.0, lift=4.0), yaw=20)
    for rest, target in ((REST, SMILE), aside, (REST, OPEN)):
        straight = interior(lit, rest, target)
        turned = interior(np.ascontiguousarray(lit[:, ::-1]), mirror(rest), mirror(target))
        assert straight.left + straight.alpha.shape[1] + turned.left == pytest.approx(SIZE, abs=1)
        a, b = (cv2.GaussianBlur(layer.over(lit * 0)[:, :: 1 - 2 * k], (0, 0), 6).astype(float)
                for k, layer in enumerate((straight, turned)))  # fmt: skip
        assert np.abs(a - b)[a > 20].mean() < 0.1 * a[a > 20].mean()  # no two teeth are quite alike
    right = straight.colour[:, straight.alpha.shape[1] // 2 :].mean()
    assert right > 1.05 * straight.colour[:, : straight.alpha.shape[1] // 2].mean()  # as the cheeks are lit


def test_upper_teeth_stay_with_the_skull_and_lower_ones_go_with_the_jaw() -> None:
    mouth = Mouth(PHOTO, REST)
    mouth.place = replace(mouth.place, shape=())  # the mean's, whose lower lip does not hide them
    pictures = []
    for gap in (18.0, 26.0):
        layer = mouth.interior(place(head(gap=gap, jaw=gap - 2, lift=4.0)))
        pictures.append(layer.over(PHOTO * 0).astype(float))
    edge = int(pose(REST).project(np.zeros(1), np.full(1, locate_teeth(REST).edge), np.full(1, 2.5))[1][0])
    columns = slice(SIZE // 2 - 30, SIZE // 2 + 30)
    upper = [p[edge - 18 : edge - 3, columns] for p in pictures]
    assert np.abs(upper[0] - upper[1]).mean() < 6
    lowest = []
    for p in pictures:
        red, green = p[edge + 12 :, columns, 0].mean(1), p[edge + 12 :, columns, 1].mean(1)
        lowest.append(int(np.argmax((green > 0.7 * red) & (red > 60))))  # enamel, no tongue and no dark
    assert lowest[1] - lowest[0] > 4 * UNIT


def striped() -> ByteImage:
    """A smiling photo whose teeth bear a mark, so that nobody's teeth can't pass for them."""
    photo = picture(SMILE)
    photo = interior(photo, REST, SMILE).over(photo)
    x = int(SMILE[13, 0])
    y0, y1 = int(SMILE[13, 1]) + 5, int(SMILE[14, 1]) - 8
    photo[y0:y1, x - 22 : x - 16] = (90, 140, 200)
    return photo


def test_the_second_photo_gives_its_own_mouth() -> None:
    smiling = striped()
    mouth = Mouth(PHOTO, REST, (smiling, SMILE))
    assert mouth.source is not None
    layer = mouth.interior(SMILE)
    there = smiling[
        layer.top : layer.top + layer.alpha.shape[0], layer.left : layer.left + layer.alpha.shape[1]
    ]
    solid = cv2.erode(layer.alpha, np.ones((5, 5))) > 0.99
    assert np.abs(layer.colour - there)[solid].mean() < 4
    marked = np.abs(there.astype(int) - (90, 140, 200)).max(-1) == 0
    assert np.abs(layer.colour - there)[marked].mean() < 12
    assert np.abs(interior(PHOTO, REST, SMILE).colour - there)[marked].mean() > 40


def test_an_open_photo_keeps_its_own_teeth_and_shows_no_others() -> None:
    smiling = striped()
    kept = Mouth(smiling, SMILE).interior(SMILE).over(smiling)
    assert np.abs(kept.astype(int) - smiling).mean() < 0.1
    assert not Mouth(smiling, SMILE).interior(SMILE).replaced and not interior(PHOTO, REST, SMILE).replaced
    wider = place(head(gap=20.0, jaw=14.0, lift=4.0))
    out = Mouth(smiling, SMILE).interior(wider).over(smiling)
    x, y = int(SMILE[13, 0]) - 19, int(SMILE[13, 1]) + 12
    assert np.abs(out[y, x].astype(int) - (90, 140, 200)).max() < 30  # the mark stays where the skull is


def test_a_photo_with_parted_lips_keeps_its_own_dark_until_they_part_further() -> None:
    parted = place(head(gap=4.0))
    photo = picture(parted)
    corners = np.concatenate([parted[list(UPPER_LIP), :2], parted[list(LOWER_LIP)[::-1], :2]])
    cv2.fillPoly(photo, [np.round(corners).astype(np.int32)], (40, 20, 18))
    mouth = Mouth(photo, parted)
    assert mouth.source is None
    assert np.array_equal(mouth.interior(parted).over(photo), photo)
    assert mouth.interior(place(head(gap=9.0, jaw=4.0))).alpha.max() > 0.95


def test_a_shut_second_photo_is_no_source() -> None:
    assert Mouth(PHOTO, REST, (PHOTO, REST)).source is None


def test_teeth_go_with_the_face_and_with_nothing_else() -> None:
    once = shape_of(REST)
    assert once == shape_of(2 * REST + 30) == shape_of(SMILE)
    other = REST.copy()
    other[[234, 454], 0] += [-30, 30]
    assert np.abs(np.subtract(shape_of(other), once)).max() > 0.5
    u, v = np.meshgrid(np.arange(-HALF, HALF, 0.25), np.arange(0, 25, 0.25))
    rows = [sample("upper", u, v, 8.0, shape)[0][..., 3] for shape in (once, shape_of(other))]
    assert np.abs(rows[0] - rows[1]).max() > 0.5


def test_no_teeth_have_a_step_in_the_middle() -> None:
    rng = np.random.default_rng(4)
    u, v = np.meshgrid(np.arange(-3, 3.1, 0.25), np.arange(10, 25, 0.05))
    for _ in range(20):
        alpha = sample("upper", u, v, 10.0, tuple(rng.uniform(-1.7, 1.7, 6)))[0][..., 3]
        edge = v[0, 0] + 0.05 * (alpha > 0.5).sum(0)
        assert abs(edge[u[0] < -0.5].max() - edge[u[0] > 0.5].max()) < 0.4


def test_a_lifted_lip_shows_whole_teeth_and_little_gum() -> None:
    lifted = head(gap=14.0, lift=14.0)
    layer = interior(PHOTO, REST, place(lifted))
    column = layer.colour[:, layer.colour.shape[1] // 2 - 12]
    enamel = (column[:, 1] > 0.8 * column[:, 0]) & (column[:, 0] > 110)
    assert enamel.sum() > 0.8 * CROWN * UNIT
    assert int(np.argmax(enamel)) < 5 * UNIT


def test_lips_that_close_over_teeth_leave_no_light_between_them() -> None:
    smiling = striped()
    layer = Mouth(smiling, SMILE).interior(place(head(gap=1.5)))
    assert layer.alpha.max() > 0.5
    assert layer.colour[layer.alpha > 0.5].mean() < 100


def test_a_soft_photo_gets_a_soft_mouth() -> None:
    def detail(photo: ByteImage) -> float:
        layer = interior(photo, REST, SMILE)
        return float(np.abs(cv2.Laplacian(layer.colour.mean(-1), cv2.CV_32F))[layer.alpha > 0.95].mean())

    assert detail(np.asarray(cv2.GaussianBlur(PHOTO, (0, 0), 4))) < 0.6 * detail(PHOTO)


def test_the_mouth_scales_with_the_photo() -> None:
    once = interior(PHOTO, REST, OPEN)
    twice = interior(np.asarray(cv2.resize(PHOTO, None, fx=2, fy=2)), REST * 2, OPEN * 2)
    small = cv2.resize(
        twice.over(np.zeros((2 * SIZE, 2 * SIZE, 3), np.uint8)),
        None,
        fx=0.5,
        fy=0.5,
        interpolation=cv2.INTER_AREA,
    )
    assert np.abs(small.astype(float) - once.over(PHOTO * 0)).mean() < 0.7


@pytest.mark.parametrize("target", [SMILE, OPEN], ids=["smile", "open"])
def test_a_small_photo_gets_a_large_one_s_mouth_made_small(target: FloatArray) -> None:
    """Drawn pixel by pixel, teeth of a few pixels are off by 80 levels here and there."""
    small = np.asarray(cv2.resize(PHOTO, None, fx=1 / 3, fy=1 / 3, interpolation=cv2.INTER_AREA))
    made = interior(small, REST / 3, target / 3).over(small * 0).astype(float)
    large = interior(PHOTO, REST, target).over(PHOTO * 0)
    truth = cv2.resize(large, None, fx=1 / 3, fy=1 / 3, interpolation=cv2.INTER_AREA)
    assert np.abs(made - truth).max() < 25


def test_a_strip_of_teeth_is_no_pattern_and_is_not_forgotten() -> None:
    strip = place(head(gap=4.0, lift=1.0))
    photo = picture(strip)
    corners = np.concatenate([strip[list(UPPER_LIP), :2], strip[list(LOWER_LIP)[::-1], :2]])
    cv2.fillPoly(photo, [np.round(corners).astype(np.int32)], (215, 205, 190))
    mouth = Mouth(photo, strip)
    assert mouth.source is None and mouth.toothy
    assert mouth.interior(SMILE).replaced
    shut = mouth.interior(place(head(gap=1.0)))
    assert shut.colour[shut.alpha > 0.5].mean() < 100


def test_a_mouth_at_the_picture_s_edge_is_cut() -> None:
    cut = int(OPEN[14, 1]) - 20
    layer = interior(np.ascontiguousarray(PHOTO[:cut]), REST, OPEN)
    assert layer.top + layer.alpha.shape[0] <= cut
    assert layer.over(np.ascontiguousarray(PHOTO[:cut])).shape == (cut, SIZE, 3)


def test_two_rows_of_teeth_are_told_apart_by_the_dark_between_them() -> None:
    smile = place(head(gap=14.0, jaw=6.0, lift=4.0))
    photo = picture(smile)
    lips = np.concatenate([smile[list(UPPER_LIP), :2], smile[list(LOWER_LIP)[::-1], :2]])
    cv2.fillPoly(photo, [np.round(lips).astype(np.int32)], (215, 205, 190))
    top = int(smile[13, 1])
    dark = top + int(8 * UNIT)  # eight units below the upper lip
    half = int(14 * UNIT)
    photo[dark - 2 : dark + 3, SIZE // 2 - half : SIZE // 2 + half] = (60, 40, 40)
    source = Mouth(photo, smile).source
    assert source is not None
    edge = pose(smile).project(np.zeros(1), np.full(1, source.teeth.edge), np.full(1, 2.5))[1][0]
    assert abs(float(edge) - dark) < 1.2 * UNIT


def test_pits_beside_a_gape_go_and_beside_shut_lips_stay() -> None:
    photo = PHOTO.copy()
    pit = REST[61, :2].astype(int) - [6, 0]
    cv2.circle(photo, pit.tolist(), 4, (90, 60, 50), -1)
    mouth = Mouth(photo, REST)
    there = np.s_[pit[1] - 1 : pit[1] + 2, pit[0] - 1 : pit[0] + 2]
    gape = mouth.without_line(photo, place(head(gap=26.0, jaw=22.0)))
    assert photo[there].mean() < 80 and gape[there].mean() > 115
    assert np.array_equal(gape[: SIZE // 3], photo[: SIZE // 3])
    assert np.array_equal(mouth.without_line(photo, REST), photo)


def test_eyes_and_brows_leave_every_pixel_of_the_mouth() -> None:
    for landmarks in (REST, SMILE):
        photo = striped() if landmarks is SMILE else PHOTO
        after = np.zeros(52)
        for name in ("eyeBlinkLeft", "eyeBlinkRight", "browDownLeft", "browInnerUp", "eyeSquintRight"):
            after[INDEX[name]] = 0.8
        result = draw(photo, landmarks, np.zeros(52), after, Mouth(photo, landmarks)).image
        outline = landmarks[[*OUTER_UPPER_LIP, *OUTER_LOWER_LIP[::-1]], :2]
        lips = cv2.fillPoly(np.zeros((SIZE, SIZE), np.uint8), [np.round(outline).astype(np.int32)], 1) > 0
        assert np.array_equal(result[lips], photo[lips])
        assert not np.array_equal(result, photo)


def test_teeth_are_dark_between_each_other() -> None:
    u, v = np.meshgrid(np.arange(-2, 2.01, 0.1), np.arange(15, 19, 0.1))
    light = sample("upper", u, v, 10.0)[0][..., :3].mean((0, 2))
    assert light[19:22].min() < 0.75 * np.median(light)


def test_tongue_and_throat_differ_from_person_to_person() -> None:
    other = REST.copy()
    other[[234, 454], 0] += [-30, 30]
    pictures = [Mouth(PHOTO, rest).interior(OPEN) for rest in (REST, other)]
    assert np.abs(pictures[0].colour - pictures[1].colour)[pictures[0].alpha > 0.95].mean() > 4
    assert np.array_equal(pictures[0].colour, Mouth(PHOTO, REST).interior(OPEN).colour)
