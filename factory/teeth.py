"""Make src/mien/warping/teeth.npz: teeth of nobody, averaged from photographs of smiling people.

Eleven people of the Face Research Lab London Set (DeBruine and Jones 2017, CC-BY 4.0) show their upper teeth
well. Hand-set marks (teeth_marks.json) warp them, and their mirror images, onto one mean arch; optical flow
toward the average then refines each, and a trimmed mean of all is sharp and belongs to none of them. The lower
teeth are made from the upper lateral incisors, canines and premolars.

No two people's teeth are alike: `FACTORS` mixtures of how the eleven differ from their mean, in the places of teeth and
in their shades, go with measures of the face that have nothing to do with teeth. Each mixture is of all eleven, so what
a face gets belongs to nobody, and one person always gets the same.

Run: python -m factory.teeth LONDON_FOLDER FACE_LANDMARKER_TASK
"""

from __future__ import annotations

import json
import sys
from pathlib import Path

import cv2
import numpy as np
from scipy.interpolate import RBFInterpolator

from factory.teeth_arch import (
    ABOVE,
    BELOW,
    FACTORS,
    HEIGHT,
    PX,
    WIDTH,
    differences,
    fields,
    frame,
    lower_differences,
    mean_arch,
    points,
    shades,
)
from factory.teeth_crowns import even, model_crowns, parted
from mien.warping.mesh import LOWER_LIP, UPPER_LIP
from mien.warping.shapes import similarity_3d
from mien.warping.teeth import face_ratios

HERE = Path(__file__).parent
OUT = HERE.parent / "src" / "mien" / "warping" / "teeth.npz"
ANCHORS = [33, 133, 362, 263, 168, 6, 197, 195, 2, 98, 327]
MIRROR = [3, 2, 1, 0, 4, 5, 6, 7, 8, 10, 9]


def landmarks(folder: Path, model: str, names: list[str]) -> dict[str, np.ndarray]:
    """[478, 3] px for each photograph."""
    import mediapipe as mp
    from mediapipe.tasks.python import BaseOptions, vision

    options = vision.FaceLandmarkerOptions(base_options=BaseOptions(model_asset_path=model))
    found = {}
    with vision.FaceLandmarker.create_from_options(options) as detector:
        for name in names:
            image = cv2.cvtColor(cv2.imread(str(folder / f"{name}.jpg")), cv2.COLOR_BGR2RGB)
            face = detector.detect(mp.Image(image_format=mp.ImageFormat.SRGB, data=image)).face_landmarks[0]
            size = np.array([image.shape[1], image.shape[0], image.shape[1]])
            found[name] = np.array([[p.x, p.y, p.z] for p in face]) * size
    return found


def mean_anchors(faces: list[np.ndarray]) -> np.ndarray:
    """Symmetric mean [11, 3] of the anchor landmarks; the nose's base (2) at the origin, x from eye to eye."""
    mean = faces[0][ANCHORS]
    for _ in range(6):
        moved = []
        for face in faces:
            scale, turn, shift = similarity_3d(face[ANCHORS], mean)
            moved.append(scale * face[ANCHORS] @ turn.T + shift)
        mean = np.mean(moved, 0)
        mean = 0.5 * (mean + mean[MIRROR] * [-1, 1, 1] + [mean[4, 0] * 2, 0, 0])
        mean = (mean - mean[8]) * 90 / np.linalg.norm(mean[0] - mean[3])
    return mean


def crop_map(face: np.ndarray) -> np.ndarray:
    """The affine map [2, 3] from a photograph to the frame that the marks are set in."""
    along = face[308, :2] - face[78, :2]
    scale, angle = 1100 / np.linalg.norm(along), np.arctan2(along[1], along[0])
    turn = scale * np.array([[np.cos(angle), np.sin(angle)], [-np.sin(angle), np.cos(angle)]])
    shift = np.array([600, 230]) - turn @ (face[13, :2] + face[14, :2]) / 2
    return np.c_[turn, shift]


def warp_to(arch: np.ndarray, mark: np.ndarray, image: np.ndarray, to_photo: np.ndarray) -> np.ndarray:
    """The photograph [H, W, c] on the atlas [HEIGHT, WIDTH, c]."""
    scale = (mark[14, 0] - mark[12, 0]) / (arch[14, 0] - arch[12, 0])
    warp = RBFInterpolator(frame(arch), frame(mark, scale), smoothing=2.0)
    rows, columns = np.mgrid[0:HEIGHT:5, 0:WIDTH:5]
    there = warp(np.c_[columns.ravel(), rows.ravel()]) @ to_photo[:, :2].T + to_photo[:, 2]
    there = cv2.resize(there.reshape(*rows.shape, 2).astype(np.float32), None, fx=5, fy=5)
    return cv2.remap(image, there, None, cv2.INTER_CUBIC, borderMode=cv2.BORDER_REPLICATE)


def stack(folder: Path, faces: dict, marks: dict, arch: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """All mouths and their mirror images on the arch: colours [n, HEIGHT, WIDTH, 3] and weights [n, HEIGHT, WIDTH]."""
    colours, weights = [], []
    for name, mark in marks.items():
        face = faces[f"{name}_smiling"]
        image = cv2.imread(str(folder / f"{name}_smiling.jpg"))[..., ::-1].astype(np.float32)
        inside = np.zeros(image.shape[:2], np.uint8)
        polygon = np.concatenate([face[list(UPPER_LIP), :2], face[list(LOWER_LIP)[::-1], :2]])
        cv2.fillPoly(inside, [np.round(polygon * 16).astype(np.int32)], 255, cv2.LINE_AA, 4)
        inside = cv2.erode(inside, np.ones((3, 3)))
        # the lip's own shadow is no part of the teeth
        below = np.roll(inside, 2, 0)
        inside = np.minimum(inside, below).astype(np.float32) / 255
        both = np.dstack([image, inside])
        to_photo = np.linalg.inv(np.vstack([crop_map(face), [0, 0, 1]]))[:2]
        warped = warp_to(arch, points(mark), both, to_photo)
        rows, columns = np.mgrid[0:HEIGHT, 0:WIDTH]
        middle = warped[int(ABOVE * PX) - 60 : int(ABOVE * PX) - 20, WIDTH // 2 - 70 : WIDTH // 2 + 70, :3]
        gain = np.array([209, 199, 193]) / np.median(middle.reshape(-1, 3), 0)
        warped[..., :3] *= gain
        for one in (warped, warped[:, ::-1]):
            colours.append(one[..., :3])
            weights.append(np.clip(one[..., 3], 0, 1))
    return np.array(colours), np.array(weights)


def average(colours: np.ndarray, weights: np.ndarray) -> np.ndarray:
    """Weighted mean without the values far from the weighted median."""
    mean = (colours * weights[..., None]).sum(0) / np.maximum(weights.sum(0), 1e-3)[..., None]
    for _ in range(3):
        off = np.abs(colours - mean).mean(-1)
        w = weights / (1 + (off / 14) ** 2)
        mean = (colours * w[..., None]).sum(0) / np.maximum(w.sum(0), 1e-3)[..., None]
    return mean


def refine(colours: np.ndarray, weights: np.ndarray, rounds: int = 4) -> tuple[np.ndarray, np.ndarray]:
    """Moves each mouth by smoothed optical flow toward the average of all."""
    rows, columns = np.mgrid[0:HEIGHT, 0:WIDTH].astype(np.float32)
    flow = cv2.DISOpticalFlow_create(cv2.DISOPTICAL_FLOW_PRESET_MEDIUM)
    flow.setFinestScale(1)
    total = np.zeros((len(colours), HEIGHT, WIDTH, 2), np.float32)
    grey = lambda c: np.clip(c.mean(-1), 0, 255).astype(np.uint8)  # noqa: E731
    now, now_w = colours, weights
    for _ in range(rounds):
        mean = average(now, now_w)
        for k in range(len(colours)):
            w = cv2.GaussianBlur(now_w[k], (0, 0), 4)[..., None]
            step = flow.calc(grey(mean), grey(now[k] * w + mean * (1 - w)), None)
            step = cv2.GaussianBlur(step * w, (0, 0), 7) / np.maximum(
                cv2.GaussianBlur(w, (0, 0), 7)[..., None], 0.2
            )
            total[k] += np.clip(step, -12, 12)
        drift = total.mean(0)
        total -= 0.5 * (drift + drift[:, ::-1] * [-1, 1]).astype(np.float32)
        now, now_w = np.empty_like(colours), np.empty_like(weights)
        for k in range(len(colours)):
            x, y = columns + total[k, ..., 0], rows + total[k, ..., 1]
            now[k] = cv2.remap(colours[k], x, y, cv2.INTER_LINEAR)
            now_w[k] = cv2.remap(weights[k], x, y, cv2.INTER_LINEAR)
    return now, now_w


def outline(arch: np.ndarray, tooth: int, lower: bool = True) -> np.ndarray:
    """The biting edge (or the gum line) of one of the eight teeth as points [41, 2], from its left gap to its right."""
    side = 9 if lower else 0
    a, b = arch[side + tooth], arch[side + tooth + 1]
    peak = arch[18 + tooth] if lower else arch[26 + tooth]
    power = (1.8, 1.6, 1.9, 2.1, 2.1, 1.9, 1.6, 1.8)[tooth] if lower else 2.0
    t = np.linspace(-1, 1, 41)
    base = a + (b - a) * (t[:, None] + 1) / 2
    if lower:  # the notches between the edges, which averaging fills
        base[:, 1] -= np.interp(t, [-1, -0.4, 0.4, 1], [NOTCHES[tooth], 0, 0, NOTCHES[tooth + 1]])
    return np.c_[base[:, 0], base[:, 1] + (peak[1] - base[:, 1]) * (1 - np.abs(t) ** power) ** (1 / power)]


def paint_gums(arch: np.ndarray, height: int) -> np.ndarray:
    """Gum [height, WIDTH, 3]: a little lighter over each root, darker upward, finely stippled."""
    rows, columns = np.mgrid[0:height, 0:WIDTH].astype(np.float32)
    light = np.zeros((height, WIDTH), np.float32)
    for x, y in arch[26:34]:
        light += 0.10 * np.exp(-(((columns - x) / 17) ** 2)) * np.exp(-(((rows - y + 25) / 45) ** 2))
    light -= 0.0016 * np.clip(arch[26:34, 1].mean() - rows, 0, None)
    grain = np.random.default_rng(7).standard_normal((height, WIDTH)).astype(np.float32)
    grain = 0.5 * (grain + grain[:, ::-1])
    grain = cv2.GaussianBlur(grain, (0, 0), 2.0) * 0.12 + cv2.GaussianBlur(grain, (0, 0), 6.0) * 0.25
    return np.array([176, 118, 114], np.float32) * (1 + light + grain)[..., None]


def upper_atlas(mean: np.ndarray, weight: np.ndarray, arch: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """RGBA [HEIGHT, WIDTH, 4] uint8 of teeth and gums, and the share of gum [HEIGHT, WIDTH] uint8."""
    line = np.concatenate([outline(arch, k, False) for k in range(8)])
    edge = np.concatenate([outline(arch, k) for k in range(8)])
    columns = np.arange(WIDTH)
    gum_line = np.interp(columns, line[:, 0], line[:, 1])
    edge_line = np.interp(columns, edge[:, 0], edge[:, 1])
    rows = np.arange(HEIGHT)[:, None]
    holes = ((weight < 4) & (np.abs(gum_line[None] - rows) < 60)).astype(np.uint8)
    mean = cv2.inpaint(np.clip(mean, 0, 255).astype(np.uint8), holes, 5, cv2.INPAINT_TELEA).astype(np.float32)
    near = cv2.GaussianBlur(cv2.dilate(holes, np.ones((13, 13))).astype(np.float32), (0, 0), 3)[..., None]
    mean = mean * (1 - near) + cv2.GaussianBlur(mean, (0, 0), 5) * near
    mean = even(mean, arch, gum_line, edge_line)
    # enamel: what the average has, its last pixels above the biting edge stretched down over the blurred rim
    depth = edge_line - rows
    lift = np.where(depth < 12, 0.75 * (12 - depth), 0).clip(0, 14)
    x = np.broadcast_to(columns, (HEIGHT, WIDTH)).astype(np.float32)
    enamel = cv2.remap(mean.astype(np.float32), x, (rows - lift).astype(np.float32), cv2.INTER_LINEAR)
    rim = np.clip(depth / 5, 0, 1)[..., None] * 0.10 + 0.90
    enamel = enamel * np.concatenate([rim, rim, rim * 0.99 + 0.01], 2)
    enamel += 0.6 * (enamel - cv2.GaussianBlur(enamel, (0, 0), 3.5))
    # the average's seams are as dark as its teeth are few pixels apart: real ones catch light from both sides
    enamel += 0.5 * np.clip(cv2.GaussianBlur(enamel, (0, 0), sigmaX=9, sigmaY=1) - enamel, 0, None)
    enamel = model_crowns(enamel, arch)
    # gum: the average's own where enough mouths show it, painted above
    above = np.clip((gum_line[None] - rows) / 5 + 0.5, 0, 1)
    trust = cv2.GaussianBlur(np.clip((weight - 5) / 6, 0, 1).astype(np.float32), (0, 0), 2.5)
    gum = paint_gums(arch, HEIGHT)
    shadow = 1 - 0.16 * np.exp(-(((gum_line[None] - rows) / 5.0) ** 2))[..., None]
    seen = np.where(rows > gum_line[None] - 4, 1.0, 0.0) * trust
    share = cv2.GaussianBlur(above.astype(np.float32), (0, 0), 1.2)
    colour = enamel * seen[..., None] + (
        enamel * (1 - share[..., None]) + gum * shadow * share[..., None]
    ) * (1 - seen[..., None])
    alpha = np.zeros((HEIGHT * 4, WIDTH * 4), np.uint8)
    cover = np.concatenate([edge, [[edge[-1, 0], -9], [edge[0, 0], -9]]])
    cv2.fillPoly(alpha, [np.round(cover * 4).astype(np.int32)], 255)
    alpha = cv2.resize(alpha, (WIDTH, HEIGHT), interpolation=cv2.INTER_AREA)
    rgba = np.dstack([np.clip(colour, 0, 255), alpha]).astype(np.uint8)
    return rgba, np.clip(share * 255, 0, 255).astype(np.uint8)


def place(
    parts: list, source: np.ndarray, share: np.ndarray, into: np.ndarray, into_share: np.ndarray
) -> None:
    """Lays teeth of one atlas over another: boxes (x0, x1, y0, y1) → (x0, x1, y0, y1), y may turn; times a gain."""
    size = (into.shape[1], into.shape[0])
    for (a0, a1, b0, b1), (c0, c1, d0, d1), gain in parts:
        sx, sy = (c1 - c0) / (a1 - a0), (d1 - d0) / (b1 - b0)
        m = np.array([[sx, 0, c0 - a0 * sx], [0, sy, d0 - b0 * sy]])
        area = cv2.INTER_AREA if sx < 0.7 else cv2.INTER_LINEAR
        picture = cv2.warpAffine(source.astype(np.float32), m, size, flags=area)
        gums = cv2.warpAffine(share.astype(np.float32), m, size, borderValue=255)
        x = np.arange(size[0])
        w = np.clip(x - c0 + 0.5, 0, 1) * np.clip(c1 - x + 0.5, 0, 1)
        cover = (w[None] * picture[..., 3] / 255 * (1 - gums / 255))[..., None]
        picture[..., :3] *= gain
        picture[..., 3] = 255
        into[:] = into * (1 - cover) + picture * cover
        into_share[:] = into_share * (1 - cover[..., 0])


def both_sides(parts: list) -> list:
    turn = lambda b: (WIDTH - b[1], WIDTH - b[0], *b[2:])  # noqa: E731
    return parts + [(turn(a), turn(b), gain) for a, b, gain in parts]


# px: how deep edges are notched between upper teeth, from the left; how far the corners of lower ones' edges go down
NOTCHES, ROUND = (12.0, 16.0, 18.0, 15.0, 8.0, 15.0, 18.0, 16.0, 12.0), 16.0
# width, gum, edge px and brightness of the teeth behind the canines
BEHIND = (37, 118, 184, 0.95), (29, 121, 179, 0.88), (26, 124, 174, 0.76), (20, 126, 169, 0.6)
# of lower ones, from the middle: the upper one that it is made of, width, edge, height px, brightness
LOWER = (
    (3, 53, 0, 86, 1.0), (3, 57, 2, 86, 0.98), (1, 58, -3, 98, 1.0), (1, 46, 6, 78, 0.9),
    (1, 33, 9, 72, 0.76), (1, 27, 11, 68, 0.6), (1, 22, 12, 66, 0.45),
)  # fmt: skip
WARM = np.array([1.0, 0.985, 0.95])  # RGB of lower teeth ÷ of upper ones


def meet(arch: np.ndarray) -> tuple[list, list]:
    """Where upper and where lower teeth meet, lines x, y, x, y px of the atlases from the gum to the edge."""
    upper = [(*arch[k], *arch[9 + k]) for k in range(1, 8)]
    left = arch[10, 0]
    for width, gum, edge, _ in BEHIND[:-1]:
        left -= width
        upper += [(x, gum + 8, x, edge - 4) for x in (left, WIDTH - left)]
    lower, left = [(WIDTH / 2, BELOW * PX + 50, WIDTH / 2, BELOW * PX + 2)], WIDTH / 2
    for _, width, edge, tall, _ in LOWER[:-1]:
        left -= width
        top = BELOW * PX + edge
        lower += [(x, top + 0.6 * tall, x, top + 2) for x in (left, WIDTH - left)]
    return upper, lower


def back_teeth(rgba: np.ndarray, share: np.ndarray, arch: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Puts premolars and molars beside the canines: narrowed, shortened and darkened copies of those."""
    out, gums = rgba.astype(np.float32), share.astype(np.float32)
    x, rows = np.arange(WIDTH), np.arange(HEIGHT)[:, None]
    (xt, yt), (xb, yb) = arch[1], arch[10]
    gap = xb + 2 + (xt - xb) * np.clip((rows - yb) / (yt - yb), -0.3, 1.6)  # the canine's far side
    outside = np.clip(np.maximum(gap - x, x - (WIDTH - gap)) / 2 + 0.5, 0, 1)
    dim = np.interp(np.maximum(xb - x, x - (WIDTH - xb)), [0, 90], [1.0, 0.5])
    bare = np.dstack([paint_gums(arch, HEIGHT), np.full((HEIGHT, WIDTH), 255.0)])
    bare[..., :3] *= dim[None, :, None]
    bare[..., 3] *= np.clip((yt - 3 - rows) / 6, 0, 1)
    out[:] = out * (1 - outside[..., None]) + bare * outside[..., None]
    gums[:] = gums * (1 - outside) + 255 * outside
    x0, x1, y0, y1 = xb + 3, arch[11, 0], arch[27, 1], arch[19, 1]
    left, parts = xb, []
    for width, gum, edge, gain in BEHIND:
        parts.append(((x0, x1, y0, y1), (left - width, left + 1, gum, edge), gain))
        left -= width
    place(both_sides(parts), rgba, share, out, gums)
    out[..., 3] *= np.clip((x - left) / 4, 0, 1) * np.clip((WIDTH - left - x) / 4, 0, 1)
    return out, gums


def lower_atlas(rgba: np.ndarray, share: np.ndarray, arch: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Lower teeth, biting edge at row BELOW * PX: incisors, canines and premolars of the upper ones, upside down."""
    edge0, left, parts, tops, glints = BELOW * PX, WIDTH / 2, [], np.zeros(WIDTH), np.zeros((HEIGHT, WIDTH))
    x, rows = np.arange(WIDTH), np.arange(HEIGHT)[:, None]
    for tooth, width, edge, tall, gain in LOWER:
        x0 = arch[tooth, 0] * 0.3 + arch[9 + tooth, 0] * 0.7 + (3 if tooth == 1 else 0)
        x1 = arch[tooth + 1, 0] * 0.3 + arch[10 + tooth, 0] * 0.7
        y0, y1 = arch[18 + tooth, 1], arch[26 + tooth, 1]
        parts.append(((x0, x1, y0, y1), (left - width, left, edge0 + edge, edge0 + edge + tall), gain * WARM))
        across = np.abs((x + 0.5 - left) / width + 0.5) * 2
        mine = (across <= 1) & (x < WIDTH / 2)
        tops[mine] = edge0 + edge + (ROUND * across**3)[mine]  # the corners of their edges are round
        aside = np.abs(x + 0.5 - WIDTH / 2) - (WIDTH / 2 - left + 0.4 * width)
        away = (aside / (0.17 * width)) ** 2 + ((rows - edge0 - edge - 17) / 9) ** 2
        glints += 32 * gain * np.exp(-away)
        left -= width
    out = np.dstack([paint_gums(arch, HEIGHT)[::-1], np.full((HEIGHT, WIDTH), 255.0)])
    out[..., :3] *= np.interp(np.abs(x - WIDTH / 2), [0, 170, 290], [0.95, 0.9, 0.45])[None, :, None]
    out[..., 3] *= np.clip((rows - edge0 - 56) / 6, 0, 1) * np.clip(
        (WIDTH / 2 - left - np.abs(x - WIDTH / 2)) / 4, 0, 1
    )
    gums = np.full((HEIGHT, WIDTH), 255.0)
    place(both_sides(parts), rgba, share, out, gums)
    out[..., :3] += glints[..., None]
    out[..., 3] *= np.clip((rows - np.maximum(tops, tops[::-1])) / 1.5 + 0.5, 0, 1)
    return out, gums


def main() -> None:
    folder, model = Path(sys.argv[1]), sys.argv[2]
    marks = json.loads((HERE / "teeth_marks.json").read_text())
    marks.pop("about")
    rest = [p.stem for p in sorted(folder.glob("*_neutral.jpg"))]
    faces = landmarks(folder, model, rest + [f"{n}_smiling" for n in marks])
    places, gum_seen = [points(m) for m in marks.values()], [not m["hidden"] for m in marks.values()]
    arch = mean_arch(places, gum_seen)
    colours, weights = refine(*stack(folder, faces, marks, arch))
    mean = average(colours, weights)
    mean, weight = 0.5 * (mean + mean[:, ::-1]), weights.sum(0)
    upper, upper_gum = upper_atlas(mean, 0.5 * (weight + weight[:, ::-1]), arch)
    lower, lower_gum = lower_atlas(upper, upper_gum, arch)
    upper, upper_gum = back_teeth(upper, upper_gum, arch)
    pack = lambda rgba, gum: np.clip(np.dstack([rgba, gum]) + 0.5, 0, 255).astype(np.uint8)  # noqa: E731
    rng = np.random.default_rng(11)
    mixtures = np.linalg.qr(rng.normal(size=(len(marks), len(marks))))[0][:FACTORS] / FACTORS**0.5
    off = np.tensordot(mixtures, differences(places, gum_seen), 1)
    ratios = np.array([face_ratios(faces[name]) for name in rest])
    between = meet(arch)
    np.savez_compressed(
        OUT,
        upper=parted(pack(upper, upper_gum), between[0]),
        lower=parted(pack(lower, lower_gum), between[1]),
        anchors=mean_anchors([faces[f"{n}_neutral"] for n in marks]).astype(np.float32),
        upper_shifts=np.array([fields(one, arch) for one in off], np.float16),
        lower_shifts=np.array([lower_differences(rng) for _ in mixtures], np.float16)
        / np.float16(FACTORS**0.5),
        teeth=arch[34:42, 0].astype(np.float32),
        shades=(mixtures @ shades(colours, weights, arch)).astype(np.float32),
        ratios=np.array([ratios.mean(0), ratios.std(0)], np.float32),
    )


if __name__ == "__main__":
    main()
