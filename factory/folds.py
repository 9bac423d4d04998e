"""Learn how expressions change a face's shading: ``src/mien/warping/folds.npz``, from photographs.

    MIEN_SHARED=../shared PYTHONPATH=src python factory/folds.py CACHE     # ten minutes on one core, five again later

1. Lay every photograph's luminance out on one mesh (`lay`): MediaPipe's 468 points, piecewise affine, [192, 192].
2. Ridge of log-luminance on blendshapes over LFW's people with several photographs (`within_people`): every person's
   mean is taken from both sides, so that beards, skin and age cannot pass for expressions. Pose and 16 components of
   light are nuisance; light is read off texels that no expression changes (nose, temples, outer cheeks), since people
   who squint mostly stand in the sun.
3. How far a smile slides skin beneath the mesh (`factory.sliding`), from the London set's pairs: one person in one
   light, at rest and smiling.
4. Correct the weights of what a smile is made of by the same pairs (`pairs`), the smile pulled back to where its skin
   was. These 52 pairs weigh more than 6,500 photographs.

Data: LFW (grey crops, research) and the even numbers of the Face Research Lab London Set (DeBruine and Jones 2017,
CC-BY 4.0). UTKFace (non-commercial) gave no better result and is not used. The file holds regression weights: no
photograph, and nothing of one person.
"""

from __future__ import annotations

import io
import os
import sys
import tarfile
from pathlib import Path

import cv2
import numpy as np
from PIL import Image

from factory.faces.labels import Labeller
from factory.sliding import flows, slide
from mien.face.blendshapes import FLIP, INDEX, NAMES
from mien.warping.folds import SIZE
from mien.warping.mesh import (
    LEFT_LOWER_LID,
    LEFT_UPPER_LID,
    LOWER_LIP,
    OVAL,
    RIGHT_LOWER_LID,
    RIGHT_UPPER_LID,
    STEADY,
    UPPER_LIP,
    triangles,
)
from mien.warping.shapes import head

DATA = Path(os.environ.get("MIEN_SHARED", "../shared")) / "data"
OUT = Path(__file__).parents[1] / "src" / "mien" / "warping" / "folds.npz"
# A smile's parts, which alone the pairs correct; and what moves nothing but the eye, of which no folds are learned.
SMILE = (
    "mouthSmile",
    "eyeSquint",
    "mouthUpperUp",
    "mouthDimple",
    "mouthStretch",
    "mouthLowerDown",
    "jawOpen",
)
REST = 0.5  # share of what LFW says: more of it moved films of faces away from the truth
EYES = ("_neutral", "eyeLook", "eyeBlink", "eyeWide")
BROWS = ((70, 63, 105, 66, 107, 55, 65, 52, 53, 46), (300, 293, 334, 296, 336, 285, 295, 282, 283, 276))
NOSE = (6, 197, 195, 5, 4, 45, 275, 51, 281, 3, 248, 122, 351, 196, 419, 220, 440)


def similar(points, mean):
    """`points` [n, 2] moved onto `mean` by the similarity that fits their steady points best."""
    steady = list(STEADY)
    z, w = (p[steady, 0] + 1j * p[steady, 1] for p in (points, mean))
    c = (np.conj(z - z.mean()) @ (w - w.mean())) / (np.conj(z - z.mean()) @ (z - z.mean()))
    q = (points[:, 0] + 1j * points[:, 1] - z.mean()) * c + w.mean()
    return np.stack([q.real, q.imag], 1)


def photographs(tar):
    with tarfile.open(tar) as archive:
        for member in archive:
            if member.name.endswith(".jpg"):
                yield Path(member.name).name, Image.open(io.BytesIO(archive.extractfile(member).read()))


def layout(cache):
    """The mean resting face of the London set, made symmetric: its 468 points [468, 2] in the texture."""
    if (path := cache / "layout.npz").exists():
        return np.load(path)["uv"]
    from scipy.optimize import linear_sum_assignment

    look, marks = Labeller(), []
    for name, image in photographs(DATA / "london-dev.tar"):
        if "neutral" in name:
            marks.append(look(np.asarray(image.convert("RGB"))).landmarks[:468].astype(float))
    mean = marks[0][:, :2]
    for _ in range(4):
        mean = np.mean([similar(p, mean) for p in marks], 0)
    z = np.mean([p[:, 2:] for p in marks], 0) * np.ptp(mean[:, 1]) / np.mean([np.ptp(p[:, 1]) for p in marks])
    full = np.concatenate([mean, z], 1)
    pairs = np.array([[33, 263], [133, 362], [61, 291], [168, 168], [2, 2], [152, 152]])
    for _ in range(5):  # whose mirror image is whose: reflect, fit, match, and again with every pair
        here, there = full[pairs].transpose(1, 0, 2)
        here = here * [-1, 1, 1]
        u, _, vt = np.linalg.svd((here - here.mean(0)).T @ (there - there.mean(0)))
        mirrored = (full * [-1, 1, 1] - here.mean(0)) @ (u @ vt) + there.mean(0)
        flip = linear_sum_assignment(np.linalg.norm(mirrored[:, None] - full[None], axis=2))[1]
        pairs = np.stack([np.arange(468), flip], 1)
    assert (flip[flip] == np.arange(468)).all() and flip[33] == 263 and flip[10] == 10
    full = (full + mirrored[flip]) / 2  # symmetric about a plane: turn it upright
    middle = full[[10, 152], :2] @ [1, 1j]
    turned = (
        (full[:, 0] + 1j * full[:, 1] - middle[0])
        * 1j
        / ((middle[1] - middle[0]) / abs(middle[1] - middle[0]))
    )
    full[:, :2] = np.stack([turned.real, turned.imag], 1)
    full[:, 0] = (full[:, 0] - full[flip, 0]) / 2
    uv = full[:, :2]
    low, high = uv.min(0), uv.max(0)
    uv = (uv - (low + high) / 2) * (SIZE - 8) / (high - low).max() + SIZE / 2
    np.savez(path, uv=uv.astype(np.float32))
    return uv.astype(np.float32)


def barycentric(uv, size=SIZE):
    """Triangle corners [size, size, 3] and weights for each texel of the layout `uv` px; -1 outside."""
    corner, weight = np.full((size, size, 3), -1), np.zeros((size, size, 3), np.float32)
    for t in triangles():
        (xa, ya), (xb, yb), (xc, yc) = uv[t]
        area = (xb - xa) * (yc - ya) - (xc - xa) * (yb - ya)
        if abs(area) < 1e-9:
            continue
        x0, x1 = int(np.floor(uv[t, 0].min())), int(np.ceil(uv[t, 0].max()))
        y0, y1 = int(np.floor(uv[t, 1].min())), int(np.ceil(uv[t, 1].max()))
        y, x = np.mgrid[y0:y1, x0:x1] + 0.5
        wa = ((xb - x) * (yc - y) - (xc - x) * (yb - y)) / area
        wb = ((xc - x) * (ya - y) - (xa - x) * (yc - y)) / area
        w = np.stack([wa, wb, 1 - wa - wb], 2)
        inside = (w >= -1e-6).all(2)
        corner[y0:y1, x0:x1][inside], weight[y0:y1, x0:x1][inside] = t, w[inside]
    return corner, weight


def black_corners(grey):
    """True where the crop has no picture: black pieces that touch its border."""
    count, label, stats, _ = cv2.connectedComponentsWithStats((grey < 10).astype(np.uint8), connectivity=4)
    edge = np.unique(np.concatenate([label[0], label[-1], label[:, 0], label[:, -1]]))
    bad = [i for i in edge if i and stats[i, 4] > 40]
    return cv2.dilate(np.isin(label, bad).astype(np.uint8), np.ones((5, 5))) > 0


def sampled(image, at, how, beyond):
    """Values [n] of `image` at px `at` [n, 2], in parts as short as OpenCV takes; `beyond` its border."""
    edge = {"borderMode": cv2.BORDER_CONSTANT, "borderValue": beyond}
    return np.concatenate(
        [cv2.remap(image, part[:, None], None, how, **edge)[:, 0] for part in np.array_split(at, 8)]
    )


def lay(cache, tar, pad, size=SIZE):
    """A tar's faces, kept in `cache`: texture [n, texels] uint8 (0: no picture there), shapes, pose, name."""
    path = cache / (f"{tar}.npz" if size == SIZE else f"{tar}-{size}.npz")
    if path.exists():
        return dict(np.load(path))
    corner, weight = barycentric(layout(cache).astype(float) * size / SIZE, size)
    corner, weight = corner[corner[..., 0] >= 0], weight[corner[..., 0] >= 0]
    look, names, textures, shapes, poses = Labeller(), [], [], [], []
    for name, image in photographs(DATA / f"{tar}.tar"):
        picture = np.asarray(image.convert("RGB"))
        face = look(np.pad(picture, ((pad, pad), (pad, pad), (0, 0)), mode="edge") if pad else picture)
        if not face.found:
            continue
        turn = face.matrix[:3, :3]
        pose = np.degrees([np.arctan2(turn[0, 2], turn[2, 2]), np.arcsin(np.clip(-turn[1, 2], -1, 1))])
        if np.abs(pose).max() > 25:
            continue
        points = face.landmarks[:468, :2].astype(np.float32) - pad
        grey = cv2.cvtColor(picture, cv2.COLOR_RGB2GRAY)
        scale = size / np.ptp(points[:, 1])
        if scale < 0.7:
            grey, points = (
                cv2.resize(grey, None, fx=scale, fy=scale, interpolation=cv2.INTER_AREA),
                points * scale,
            )
        at = (points[corner] * weight[..., None]).sum(1) - 0.5
        bad = black_corners(grey).astype(np.uint8)
        value = np.maximum(sampled(grey, at, cv2.INTER_LINEAR, 0), 1)
        value[sampled(bad, at, cv2.INTER_NEAREST, 1) > 0] = 0
        names.append(name), textures.append(value), shapes.append(face.blendshapes), poses.append(pose)
    np.savez(path, name=names, texture=textures, shapes=shapes, pose=np.array(poses, np.float32))
    return dict(np.load(path))


class Texture:
    """What the layout knows of its texels: which there are, their mirror images, how far each may change."""

    def __init__(self, uv):
        self.corner, self.weight = barycentric(uv.astype(float))
        self.mask = self.corner[..., 0] >= 0
        index = np.full((SIZE, SIZE), -1)
        index[self.mask] = np.arange(self.mask.sum())
        row, column = np.nonzero(self.mask)
        self.mirror = index[row, SIZE - 1 - column]
        lonely, self.mirror = self.mirror < 0, np.maximum(self.mirror, 0)
        x, y = column / SIZE - 0.5, row / SIZE - 0.5
        self.surface = np.linalg.qr(np.stack([np.ones_like(x), x, y, x * x, y * y, x * y], 1))[0]

        def away(*rings):  # distance [SIZE, SIZE] in texels from closed outlines and what they hold
            drawn = np.ones((SIZE, SIZE), np.uint8)
            for ring in rings:
                outline = [np.round(uv[list(ring)]).astype(np.int32)]
                cv2.polylines(cv2.fillPoly(drawn, outline, 0), outline, True, 0)
            return cv2.distanceTransform(drawn, cv2.DIST_L2, 5)

        inside = cv2.fillPoly(
            np.zeros((SIZE, SIZE), np.uint8), [np.round(uv[list(OVAL)]).astype(np.int32)], 1
        )
        depth = cv2.distanceTransform(inside, cv2.DIST_L2, 5)
        eyes = away(RIGHT_UPPER_LID + RIGHT_LOWER_LID[::-1], LEFT_UPPER_LID + LEFT_LOWER_LID[::-1])
        self.fade = (
            smooth(depth, 0, 16) * smooth(eyes, 1, 5) * smooth(away(UPPER_LIP + LOWER_LIP[::-1]), 0.5, 4)
        )
        self.fade[row[lonely], column[lonely]] = 0
        self.brows = smooth(away(*BROWS), 0, 8)  # 0 on the brows
        self.fade, self.brows = ((image + image[:, ::-1]) / 2 for image in (self.fade, self.brows))
        nose = np.zeros((SIZE, SIZE), np.uint8)
        cv2.fillConvexPoly(nose, cv2.convexHull(np.round(uv[list(NOSE)]).astype(np.int32)), 1)
        rows = np.arange(SIZE)[:, None]
        sides = (depth > 3) & (depth < 14) & (rows < uv[0, 1] + 10) & (rows > uv[[103, 332], 1].mean())
        self.steady = ((nose > 0) | sides)[self.mask]

    def flat(self, values):
        """`values` [n, texels] less the quadratic surface that fits each best: not a fold, but light."""
        return values - (values @ self.surface) @ self.surface.T

    def finish(self, values, on_brows, sigma=1.0):
        """One texture [texels], smoothed by `sigma` and faded out; `on_brows` is the share that stays there.

        MediaPipe's points lag behind a brow's hairs: what is left of that would be painted on as a second brow.
        """
        drawn = np.zeros((SIZE, SIZE), np.float32)
        drawn[self.mask] = values
        known = np.maximum(cv2.GaussianBlur(self.mask.astype(np.float32), (0, 0), sigma), 1e-3)
        return (
            cv2.GaussianBlur(drawn, (0, 0), sigma) / known * self.fade * np.maximum(self.brows, on_brows)
        )[self.mask]


def smooth(distance, start, end):
    t = np.clip((distance - start) / (end - start), 0, 1)
    return (t * t * (3 - 2 * t)).astype(np.float32)


LOG = np.log(np.arange(256, dtype=np.float32) + 12)
LOG[0] = np.log(132)  # no picture there: about the mean


def symmetric(weights, texture):
    return (weights + weights[list(FLIP)][:, texture.mirror]) / 2


def within_people(data, texture, penalty=30.0, lights=16):
    """Change [52, texels] of log-luminance per blendshape, from several photographs each of many people."""
    good = (data["texture"] == 0).mean(1) < 0.03
    pixels, shapes, pose = data["texture"][good], data["shapes"][good].astype(float), data["pose"][good] / 10
    light = LOG[pixels[:, texture.steady]]
    light = light - light.mean(1, keepdims=True)
    light -= light.mean(0)
    light = light @ np.linalg.eigh(light.T @ light)[1][:, -lights:]
    a = np.concatenate([shapes, light, pose, pose**2], 1)
    who = np.unique([name.rsplit("_", 1)[0] for name in data["name"][good]], return_inverse=True)[1]
    count = np.bincount(who)
    a -= np.stack([np.bincount(who, column) / count for column in a.T], 1)[
        who
    ]  # then y's own mean falls out by itself
    a, target = a.astype(np.float32), 0.0
    for start in range(0, len(a), 400):
        target = target + a[start : start + 400].T @ LOG[pixels[start : start + 400]]
    size = np.diag([penalty] * 52 + [1.0] * (a.shape[1] - 52))
    print("people with several photographs", (count > 1).sum(), "of", count[count > 1].sum())
    return symmetric(np.linalg.solve(a.T @ a + size, texture.flat(target))[:52], texture)


def named(*starts):
    return [i for i, name in enumerate(NAMES) if name.startswith(starts)]


def twice(data):
    """Rows of the people at rest, and of the same people smiling."""
    names = {str(name): i for i, name in enumerate(data["name"])}
    both = [n[:3] for n in names if n.endswith("_neutral.jpg") and n.replace("neutral", "smiling") in names]
    return tuple([names[f"{n}_{what}.jpg"] for n in both] for what in ("neutral", "smiling"))


def smiles(data):
    """Change [people] of mouthSmile."""
    rest, smile = twice(data)
    both = data["shapes"][:, [INDEX["mouthSmileLeft"], INDEX["mouthSmileRight"]]].mean(1).astype(float)
    return both[smile] - both[rest]


def drawn(values, mask):
    """Textures [n, size, size] of values [n, texels]; what lies outside is their mean."""
    textures = np.repeat(values.mean(1, keepdims=True), mask.size, 1).reshape(-1, *mask.shape)
    textures[:, mask] = values
    return textures.astype(np.float32)


def sliding(cache, uv):
    """See `factory.sliding.slide`: [2 SIZE, 2 SIZE, 2]."""
    data, fine = lay(cache, "london-dev", 0, 2 * SIZE), 2 * SIZE
    mask = barycentric(uv.astype(float) * 2, fine)[0][..., 0] >= 0
    rest, smile = (drawn(data["texture"][rows], mask) for rows in twice(data))
    return slide(flows(rest, smile), smiles(data), uv / SIZE)


def pairs(data, texture, field):
    """Changes of blendshapes [n, 52] and of log-luminance [n, texels] from rest to smile, where the skin was at rest;
    `field`: of `sliding`."""
    rest, smile = twice(data)
    shapes, light = data["shapes"].astype(float), LOG[data["texture"]]
    by = cv2.resize(field, (SIZE, SIZE), interpolation=cv2.INTER_AREA) * SIZE
    y, x = np.mgrid[:SIZE, :SIZE]
    back = []
    for smiling, much in zip(drawn(light[smile], texture.mask), smiles(data), strict=True):
        at = (np.stack([x, y], 2) + much * by).astype(np.float32)
        back.append(cv2.remap(smiling, at, None, cv2.INTER_LINEAR)[texture.mask])
    return shapes[smile] - shapes[rest], np.stack(back) - light[rest]


def corrected(weights, shapes, change, texture, penalty=1.5):
    """`weights` with a smile's parts moved so that they explain the pairs: ridge of what is left over."""
    left = texture.flat(change) - shapes @ weights
    smile = named(*SMILE)
    a = ((shapes + shapes[:, list(FLIP)]) / 2)[:, smile]
    added = np.zeros_like(weights)
    added[smile] = np.linalg.solve(
        a.T @ a + penalty * np.eye(len(smile)), a.T @ ((left + left[:, texture.mirror]) / 2)
    )
    return weights + symmetric(added, texture)


def in_head(moves, uv):
    """`moves` [468, 2] px of the layout as cm on the model's head, y up."""
    at = head()[0][:468, :2]
    size = np.sqrt(((at - at.mean(0)) ** 2).sum() / ((uv - uv.mean(0)) ** 2).sum())
    return (moves * size * [1, -1]).astype(np.float32)


def main(cache):
    cv2.setNumThreads(1)
    cache.mkdir(parents=True, exist_ok=True)
    uv = layout(cache)
    texture = Texture(uv)
    weights = REST * within_people(lay(cache, "lfw-gray-000", 40), texture)
    weights[named(*EYES)] = 0
    field = sliding(cache, uv)
    weights = corrected(weights, *pairs(lay(cache, "london-dev", 0), texture, field), texture)
    kept = [
        0.6 if name.startswith("browDown") else 0.15 for name in NAMES
    ]  # lowered brows: it is mostly shade
    weights = np.stack([texture.finish(row, share) for row, share in zip(weights, kept, strict=True)])
    scale = np.maximum(np.abs(weights).max(1), 1e-6) / 127
    np.savez_compressed(
        OUT,
        uv=uv,
        texels=np.flatnonzero(texture.mask).astype(np.uint16),
        corners=texture.corner[texture.mask].astype(np.int16),
        shares=np.round(texture.weight[texture.mask] * 255).astype(np.uint8),
        weights=np.round(weights / scale[:, None]).astype(np.int8),
        scale=scale.astype(np.float32),
        slide=in_head(cv2.remap(field, 2 * uv[:, None] - 0.5, None, cv2.INTER_LINEAR)[:, 0] * SIZE, uv),
    )
    print(OUT, OUT.stat().st_size, "bytes")


if __name__ == "__main__":
    main(Path(sys.argv[1]))
