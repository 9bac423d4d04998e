"""How the 52 blendshapes move MediaPipe's 478 landmarks: `warping/shapes.npz`.

    python -m factory.shapes LABELS.npz       # needs the data beside the project and mien[mediapipe]

First from ICT-FaceKit's head (MIT):

MediaPipe marks rendered heads without expression; where each landmark lies on the mesh, on average over heads, is
where it is taken to lie always, and the mesh's blendshapes move it. Landmarks of lids and lips are held to the lid or
lip that is theirs, since upper and lower touch in a closed mouth. Irises turn with the eyeball.

Then from photographs (LFW, and the London set's pairs): people's landmarks move otherwise than a sculptor's head, and a
reading of 1 is not a shape of 1. Within each person who has several pictures, landmarks [468, 2] are regressed on
blendshapes and pose, which leaves the person out; the ridge pulls towards ICT's shapes S0, so that what photographs
seldom show stays as it was:

    S = argmin sum |dL - dB S|^2 + TAU |S - S0|^2

LABELS.npz keeps what MediaPipe read (a quarter of an hour); it is written if it is not there.
"""

from __future__ import annotations

import argparse
import io
import re
import tarfile
from collections.abc import Iterator
from pathlib import Path

import numpy as np
from PIL import Image
from scipy.optimize import linear_sum_assignment
from scipy.spatial import cKDTree
from scipy.spatial.distance import cdist

import mien.warping
from factory.faces.ict import PARTS, IctHead, load_head
from factory.faces.labels import Labeller
from factory.faces.raster import rasterise
from factory.faces.render import PIVOT, make_person, render
from factory.faces.sources import shared_dir
from factory.faces.warped import PLAIN_SEED, _plain, plain_view
from mien.face.blendshapes import FLIP, INDEX, NAMES
from mien.face.pose import angles, rotation
from mien.files import replacing
from mien.types import ByteImage, FloatArray
from mien.warping.mesh import (
    LEFT_LOWER_LID,
    LEFT_UPPER_LID,
    LOWER_LIP,
    RIGHT_LOWER_LID,
    RIGHT_UPPER_LID,
    STEADY,
    UPPER_LIP,
    IndexArray,
)

HEADS, SIZE = 24, 512
NEAREST = 4  # vertices that a landmark is a mean of
GAZE = np.radians((28.0, 22.0))  # how far the eye turns at 1: sideways, up and down
IRIS_RADIUS = 0.6  # cm
SKIN = 9409  # vertices of the face come first
TAU = 20.0  # of the ridge, in pictures at 1
FROM_BELOW = 0.1  # cm of a squint that the lower lid rises by and the upper does not fall
MOST_OF_ONE = 6  # pictures of a person that count


def places(head: IctHead, look: Labeller) -> FloatArray:
    """Landmarks [478, 3] cm on the neutral head."""
    triangles = np.ascontiguousarray(head.solid[(head.solid < PARTS["mouth_socket"].start).all(1)])
    found = []
    for number in range(HEADS):
        person, view = _plain(make_person(head, PLAIN_SEED + number)), plain_view(number)
        labels = look(render(head, person, np.zeros(len(NAMES), np.float32), view, SIZE))
        turned = (person.shape - PIVOT) @ rotation(view.pose).astype(np.float32).T
        zoom = SIZE / 192 * view.scale * view.distance / (view.distance - (turned[:, 2] - 6.0))
        points = turned.copy()
        points[:, 0] = SIZE / 2 + view.shift[0] * SIZE / 192 + zoom * turned[:, 0]
        points[:, 1] = SIZE / 2 + view.shift[1] * SIZE / 192 - zoom * turned[:, 1]
        where = np.full((SIZE, SIZE, 3), np.nan, np.float32)
        depth = np.full((SIZE, SIZE), -1e9, np.float32)
        rasterise(points.astype(np.float32), triangles, head.neutral, 1.0, False, where, depth)
        columns, rows = labels.landmarks[:, :2].astype(int).clip(0, SIZE - 1).T
        found.append(where[rows, columns])
    place = np.nanmedian(found, 0)
    hidden = ~np.isfinite(place[:, 0])
    place[hidden] = place[mirror := mirrored(np.nan_to_num(place))][hidden] * [-1, 1, 1]
    return (place + place[mirror] * [-1, 1, 1]) / 2


def mirrored(place: FloatArray) -> IndexArray:
    """Which landmark is whose mirror image: [478] indices."""
    return np.asarray(linear_sum_assignment(cdist(place * [-1, 1, 1], place))[1], np.int32)


def rows_of(head: IctHead, place: FloatArray) -> list[tuple[FloatArray, FloatArray]]:
    """For every landmark but the irises: the vertices that carry it, and their shares."""
    skin = head.neutral[:SKIN]
    offsets = head.expression.reshape(len(NAMES), -1, 3)[:, :SKIN]
    jaw = -offsets[INDEX["jawOpen"], :, 1]
    upper, lower = np.flatnonzero(jaw < 1.0), np.flatnonzero(jaw > 2.0)
    allowed = dict.fromkeys(UPPER_LIP[1:-1], upper) | dict.fromkeys(LOWER_LIP[1:-1], lower)
    rows = []
    for landmark in range(468):
        index = allowed.get(landmark, np.arange(SKIN))
        distance, nearest = cKDTree(skin[index]).query(place[landmark], NEAREST)
        share = 1 / (distance + 0.02) ** 2
        rows.append((index[nearest], share / share.sum()))
    # Renders show the eyeball where a lid's edge is: above each landmark of the lower lid lies what a blink moves most.
    for side, up, low in (
        ("Right", RIGHT_UPPER_LID, RIGHT_LOWER_LID),
        ("Left", LEFT_UPPER_LID, LEFT_LOWER_LID),
    ):
        blink = -offsets[INDEX[f"eyeBlink{side}"], :, 1]
        for landmark, below in zip(up[1:-1], low[1:-1], strict=True):
            index = np.flatnonzero((np.abs(skin[:, 0] - place[below, 0]) < 0.12) & (skin[:, 2] > 8.4))
            most = index[np.argsort(-blink[index])[:NEAREST]]
            rows[landmark] = most, np.full(NEAREST, 1 / NEAREST)
    return rows


def turned_irises(head: IctHead, offsets: FloatArray, place: FloatArray) -> None:
    """Fill in the irises' places and how gaze moves them."""
    for side, first in (("right", 468), ("left", 473)):
        ball = head.neutral[PARTS[f"sclera_{side}"]]
        centre = (ball.min(0) + ball.max(0)) / 2
        radius = float(np.ptp(ball[:, 0])) / 2
        ring = [[0, 0], [1, 0], [0, 1], [-1, 0], [0, -1]]
        for k, (right, up) in enumerate(ring):
            place[first + k] = centre + [IRIS_RADIUS * right, IRIS_RADIUS * up, radius]
        outwards = -1.0 if side == "right" else 1.0
        for name, turn, axis in (
            ("Out", outwards, 0),
            ("In", -outwards, 0),
            ("Up", 1.0, 1),
            ("Down", -1.0, 1),
        ):
            move = np.zeros(3)
            move[axis] = turn * radius * np.sin(GAZE[axis])
            move[2] = -radius * (1 - np.cos(GAZE[axis]))
            offsets[INDEX[f"eyeLook{name}{side.capitalize()}"], first : first + 5] = move


def labelled(place: Path) -> dict[str, FloatArray]:
    """MediaPipe's readings of the photographs: name, person, landmarks [n, 468, 2], shapes [n, 52], pose [n, 2]."""
    if not place.is_file():
        rows = []
        with Labeller() as look:
            for tar, person in (("lfw-gray-000.tar", r"(.+)_\d+"), ("london-dev.tar", r"(\d+)_")):
                for name, image in pictures(shared_dir() / "data" / tar):
                    seen = look(np.pad(image, ((40, 40), (40, 40), (0, 0)), mode="edge"))
                    if seen.found:
                        who = re.match(person, name)
                        assert who is not None, name
                        rows.append(
                            (f"{tar}/{who[1]}", seen.landmarks[:468, :2], seen.blendshapes, turn(seen.matrix))
                        )
        person_, landmarks, shapes, pose = map(np.array, zip(*rows, strict=True))
        with replacing(place) as temporary:
            np.savez(temporary, person=person_, landmarks=landmarks, shapes=shapes, pose=pose)
    with np.load(place, allow_pickle=False) as file:
        return {key: file[key] for key in file.files}


def pictures(tar: Path) -> Iterator[tuple[str, ByteImage]]:
    """Name and RGB of every picture of an archive."""
    with tarfile.open(tar) as archive:
        for member in archive:
            if member.name.endswith(".jpg"):
                content = archive.extractfile(member)
                assert content is not None
                yield (
                    Path(member.name).name,
                    np.asarray(Image.open(io.BytesIO(content.read())).convert("RGB")),
                )


def turn(matrix: FloatArray) -> FloatArray:
    """Yaw and pitch of a pose matrix, in tens of degrees."""
    return angles(matrix[:3, :3])[:2] / 10


def learned(labels: dict[str, FloatArray], place: FloatArray, offsets: FloatArray) -> FloatArray:
    """`offsets` [52, 478, 3] with x and y of the first 468 as people's faces show them."""
    steady = list(STEADY)
    flat = place[:468, :2] * [1, -1]
    here = labels["landmarks"].astype(np.float64)
    z, w = (p[..., steady, 0] + 1j * p[..., steady, 1] for p in (here, flat))
    middle, w = z.mean(1, keepdims=True), w - w.mean()
    fit = ((np.conj(z - middle) * w).sum(1) / (np.abs(z - middle) ** 2).sum(1))[:, None]
    upright = (here[..., 0] + 1j * here[..., 1] - middle) * fit
    y = np.stack([upright.real, upright.imag], -1) + flat[steady].mean(0)
    pose = labels["pose"]
    x = np.concatenate([labels["shapes"], pose, pose**2], 1)
    facing = np.abs(pose).max(1) < 1.8
    _, person_, count_ = np.unique(labels["person"][facing], return_inverse=True, return_counts=True)
    person, count = person_.astype(np.int32), count_.astype(np.int32)
    x, y = x[facing], y[facing]
    weight = np.minimum(1, MOST_OF_ONE / count[person]) * (count[person] > 1)
    x, y = (part - group_mean(part, person, count) for part in (x, y))
    flip = mirrored(place)[:468]
    other = np.concatenate([x[:, list(FLIP)], x[:, 52:] * [-1, 1, 1, 1]], 1)
    x, y = np.concatenate([x, other]), np.concatenate([y, y[:, flip] * [-1, 1]])
    weighted = x * np.tile(weight, 2)[:, None]
    prior = np.zeros((x.shape[1], 468, 2))
    prior[: len(NAMES)] = offsets[:, :468, :2] * [1, -1]
    tau = np.diag(np.r_[np.full(len(NAMES), TAU), np.ones(4)])
    right = weighted.T @ y.reshape(len(y), -1) + tau @ prior.reshape(len(prior), -1)
    found = np.linalg.solve(weighted.T @ x + tau, right).reshape(prior.shape)
    left = np.tile(weight, 2)[:, None, None]
    print(
        f"R2 within people: {1 - (left * (y - np.tensordot(x, found, 1)) ** 2).sum() / (left * y**2).sum():.3f}"
    )
    result = offsets.copy()
    result[:, :468, :2] = found[: len(NAMES)] * [1, -1]
    result[INDEX["jawOpen"]] = offsets[INDEX["jawOpen"]]  # bone: where MediaPipe sees the chin lags behind it
    return result


def squinted(offsets: FloatArray) -> FloatArray:
    """`offsets` [52, 478, 3] whose eyes narrow from below, by as much as they did.

    Who squints in LFW mostly does so in the sun; in the London set's pairs a smile
    raises the lower lid by more than the upper falls.
    """
    result = offsets.copy()
    for side, upper, lower in (
        ("Right", RIGHT_UPPER_LID, RIGHT_LOWER_LID),
        ("Left", LEFT_UPPER_LID, LEFT_LOWER_LID),
    ):
        for name in ("eyeSquint", "cheekSquint"):
            result[INDEX[name + side]][list(upper[1:-1] + lower[1:-1]), 1] += FROM_BELOW
    return result


def group_mean(values: FloatArray, person: IndexArray, count: IndexArray) -> FloatArray:
    """For every row the mean of its person's rows."""
    total = np.zeros((len(count), *values.shape[1:]))
    np.add.at(total, person, values)
    return (total / count.reshape(-1, *[1] * (values.ndim - 1)))[person]


def main() -> None:
    """Write the file."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("labels", type=Path)
    given = parser.parse_args()
    head = load_head()
    with Labeller() as look:
        place = places(head, look)
    moved = head.expression.reshape(len(NAMES), -1, 3)
    offsets: FloatArray = np.zeros((len(NAMES), 478, 3))
    hidden = ~np.isfinite(place[:468, 0])
    assert hidden.sum() < 4, np.flatnonzero(hidden)
    for landmark, (index, share) in enumerate(rows_of(head, np.nan_to_num(place))):
        offsets[:, landmark] = np.einsum("n,snk->sk", share, moved[:, index])
        place[landmark] = share @ head.neutral[index]
    turned_irises(head, offsets, place)
    offsets = squinted(learned(labelled(given.labels), place, offsets))
    out = Path(mien.warping.__file__).with_name("shapes.npz")
    with replacing(out) as temporary:
        np.savez_compressed(
            temporary,
            neutral=place.astype(np.float32),
            offsets=offsets.astype(np.float16),
            allow_pickle=False,
        )
    print(f"{out.name}: {out.stat().st_size / 1e3:.0f} kB")


if __name__ == "__main__":
    main()
