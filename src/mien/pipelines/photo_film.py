"""A photo driven by faces, frame by frame: a film's, or a camera's.

What a driver's face does is its reading less its reading at rest; laid onto the sitter's rest it is what the analyser
should read of the photo. To look at each frame and correct it would cost more than to draw it, so the photo is tried
once beforehand, both sides of a coefficient together, and the answers J that are read then foretell the readings.
J = C * (D T): D [57, 29] what each try changes of the reading, / `TRIED`; T [29, 52] what is tried together, C [57, 52]
the share of it that each coefficient has (`_sides`):

    a = f + M (w - r - J (f - b)),    M = (J' W J + d I)^-1 J' W        eyes, brows and jaw
    a = b + (logit w - logit r) / s                                      all others, each by itself

a: coefficients [52], f: the first guess of `mien.warping.target`, b: the photo's own, w: the reading [57] wanted, r:
the photo's own, W: what counts, d: `DAMPING`, s: the slope of logit r in a. Readings of lips answer as a sigmoid does:
hardly at first, then much, at another place in every photo. Neither goes far from f. Readings are smoothed by the 1
euro filter (Casiez, Roussel and Vogel, CHI 2012). How far lips part is measured, not read: see `Puppet._part`.
"""

from __future__ import annotations

from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from copy import copy
from dataclasses import dataclass
from functools import lru_cache

import numpy as np
import torch

from mien.expressions.faces import blendshapes
from mien.expressions.reading import at_rest as spoken_rest
from mien.expressions.spec import Expression
from mien.face import align
from mien.face.analyze import BATCH, load_reader
from mien.face.blendshapes import INDEX, NAMES
from mien.face.subject import Subject
from mien.pipelines.photo import CELLS, Sitter, Sought, Wanted, focused
from mien.types import ByteImage, Face, FloatArray
from mien.warping.draw import draw
from mien.warping.lips import PARTING, RESTING, lip_gap
from mien.warping.shapes import MOST_TURN, moved
from mien.warping.target import (
    LMS_WEIGHT,
    REACH,
    Solver,
    at_rest,
    believed,
    clipped,
    expressed,
    heard,
    reading,
)

TRIED = 0.8  # of a coefficient, when its answer is measured
LIPS = np.array([not name.startswith(("eye", "brow", "jaw")) for name in NAMES])
ASIDE = ("jawLeft", "jawRight", "mouthLeft", "mouthRight")  # no two sides of one thing
GAZE = {"eyeLookInRight": "eyeLookOut", "eyeLookOutRight": "eyeLookIn"}  # where the left eye looks then
LIPS_REACH = 0.25  # how far these leave the first guess
EPSILON, FLATTEST = 0.03, 1.5  # of a reading whose logit says something, and of a slope
OPENS = 10 * PARTING["jawOpen"]  # units that jawOpen parts lips by
JAW_REACH = 0.25  # how far a jaw is led by lips
SLIGHT = 0.1  # units: lips farther apart than they should be by less do not shut
DAMPING = 0.1  # of a coefficient against a squared error of a reading
MATCHED = 0.75  # of how far a face is believed to lie off the photo's, where it is matched as it is
CALM = 0.15  # share of a film's faces that are taken for rest
DOUBT = 3.0  # that these show an expression, against that one picture does
SLOWEST, FASTER = 4.0, 8.0  # Hz, of what rests; Hz per 1/s of its speed
TURNS_SLOWEST, TURNS_FASTER = 1.5, 0.05  # the same of a head's angles, in degrees
SPEED = 3.0  # Hz, of the estimate of speed


class OneEuro:
    """Smooths what rests, and lets pass what moves (Casiez, Roussel and Vogel 2012).

    Args:
        slowest: cutoff in Hz at rest; infinite: no smoothing. faster: Hz per unit of speed (1/s).
    """

    def __init__(self, slowest: float, faster: float) -> None:
        self._slowest, self._faster = slowest, faster
        self._value: FloatArray | None = None
        self._speed: FloatArray | None = None
        self._time = 0.0

    def __call__(self, value: FloatArray, seconds: float) -> FloatArray:
        """The smoothed value at a time; a time that does not go on begins anew."""
        passed = seconds - self._time
        self._time = seconds
        if self._value is None or self._speed is None or not 0 < passed < 1:
            self._value, self._speed = value, np.zeros_like(value)
            return value
        self._speed = self._speed + _share(SPEED, passed) * ((value - self._value) / passed - self._speed)
        cutoff = self._slowest + self._faster * np.abs(self._speed)
        self._value = self._value + _share(cutoff, passed) * (value - self._value)
        return self._value


def _share(cutoff: FloatArray | float, passed: float) -> FloatArray:
    """Of a new value in the mean of a low pass of first order, `passed` seconds after the last."""
    return np.asarray(1 / (1 + 1 / np.maximum(2 * np.pi * cutoff * passed, 1e-9)))


@dataclass(frozen=True)
class Rest:
    """What a driver shows when nothing moves: reading [57], pose [3] in degrees, and how far the lips are apart, see
    `parted`; None: that is not known."""

    reading: FloatArray
    pose: FloatArray
    parted: float | None = None


def parted(landmarks: FloatArray) -> float:
    """How far the lips of landmarks [478, 3] px are apart, in units of which the outer corners of the eyes are 90
    apart."""
    return lip_gap(landmarks, float(np.linalg.norm(landmarks[33] - landmarks[263])) / 90)


def rest_of(faces: Sequence[Face]) -> Rest:
    """A person's rest, estimated from faces of theirs (at least one): the median of the calmest.

    What is calm in nobody is taken for an expression, so that a film of one grin does not rest in it.
    """
    read = np.stack([reading(face.blendshapes, face.landmarks) for face in faces])
    poses = np.stack([face.pose for face in faces])
    moving = np.abs(np.stack([expressed(one) for one in read])[:, :52]).sum(1)
    turned = np.abs(poses - np.median(poses, 0)).sum(1) / MOST_TURN
    calm = np.argsort(moving + turned, kind="stable")[: max(1, round(CALM * len(faces)))]
    middle = np.median(read[calm], 0)
    doubt = DOUBT if len(faces) > 1 else 1.0
    apart = float(np.median([parted(faces[index].landmarks) for index in calm]))
    return Rest(middle - expressed(middle, doubt), np.median(poses[calm], 0), min(apart, RESTING[0]))


def coefficients(expression: Expression) -> FloatArray:
    """The blendshapes [52] in [0, 1] that an expression comes to; of pictures (`Subject`) how the face moved from its
    rest."""
    total: FloatArray = spoken_rest()
    for part in expression.parts:
        if isinstance(part.picture, Subject):
            face = part.picture.face
            moves = expressed(reading(face.blendshapes, face.landmarks))[:52]
        else:
            moves = blendshapes(part) - spoken_rest()
        total = total + part.weight * moves
    return np.clip(total, 0, 1)


@dataclass(frozen=True)
class Moved:
    """What a frame shows: coefficients [52], yaw, pitch, roll in degrees that the head turns on, and how surely the
    lips are shut, 0 to 1."""

    after: FloatArray
    turn: FloatArray
    shut: float = 0.0


def filmed(sitter: Sitter) -> Sitter:
    """The same sitter, driven frame after frame: nothing may jump that a single picture either shows or does not."""
    other = copy(sitter)
    other.__dict__["mouth"] = sitter.mouth.in_film()
    return other


class Puppet:
    """A photo driven by faces, frame by frame.

    Args:
        sitter: the photo.
        strength: of the movement, 0 to 1.5. region: what may move: eyes, brows, mouth or all.
        pose: the head turns with the driver's, by up to 15 degrees.
        relative: the driver's movement from their rest is laid onto the sitter's; else the driver's face is matched.
        smooth: 0 follows every reading, 1 takes away the analyser's tremor, more also swift movement.

    Raises:
        InputError: there is no such region, or the strength is out of range.
    """

    def __init__(
        self,
        sitter: Sitter,
        *,
        strength: float = 1.0,
        region: str = "all",
        pose: bool = True,
        relative: bool = True,
        smooth: float = 1.0,
    ) -> None:
        self.sitter, self.strength, self.region = filmed(sitter), strength, region
        self.pose, self.relative, self.smooth = pose, relative, smooth
        self._weight = focused(sitter, Wanted(sitter.own, np.ones(57)), strength, region).weight
        slower = 1 / smooth if smooth > 0 else np.inf
        self._filters = OneEuro(SLOWEST * slower, FASTER), OneEuro(TURNS_SLOWEST * slower, TURNS_FASTER)
        self._lips = OneEuro(SLOWEST * slower, FASTER / OPENS)
        self._rest: Rest | None = None
        self.before = Solver(sitter.own, sitter.own, self._weight).before
        self._answer = answer(sitter, self.before)
        self._correct = {count: _correction(self._answer, self._weight, count) for count in (52, 57)}
        tried = sitter.own[:52] + TRIED * np.diag(self._answer[:52])
        self._slope = np.maximum((_logit(tried) - _logit(sitter.own[:52])) / TRIED, FLATTEST)
        self.last = Moved(self.before, np.zeros(3))  # what was followed last; at first the photo
        self._frame = np.array(sitter.image)

    def rest(self, face: Face | Rest) -> None:
        """Take this face of the driver, or what was estimated, as their rest."""
        if not isinstance(face, Rest):
            apart = min(parted(face.landmarks), RESTING[0])
            face = Rest(reading(face.blendshapes, face.landmarks), face.pose, apart)
        self._rest = face

    def __call__(self, face: Face | None, seconds: float) -> ByteImage:
        """The next frame [H, W, 3] uint8 RGB of the photo's size.

        Args:
            face: the driver's; None: there is none in the driver's frame, and the last frame is held.
            seconds: when it was seen.
        """
        if face is not None:
            self._frame = self.draw(self.follow(face, seconds))
        return self._frame

    def follow(self, face: Face, seconds: float) -> Moved:
        """How the photo moves with the driver's next face; the first is taken for a rest, if none was given."""
        if self._rest is None:
            self.rest(rest_of([face]))
        read = reading(face.blendshapes, face.landmarks)
        return self.play(read, face.pose, seconds, parted(face.landmarks))

    def play(self, read: FloatArray, pose: FloatArray, seconds: float, apart: float | None = None) -> Moved:
        """How the photo moves with a reading [57], or its blendshapes alone [52], a pose [3] in degrees, and lips that
        are so far `apart`, see `parted`."""
        rest = self._rest or Rest(at_rest(), np.zeros(3))
        count, own = len(read), self.sitter.own
        read = self._filters[0](read, seconds)
        pose = self._filters[1](pose, seconds)
        if self.relative:
            read = own[:count] - expressed(own)[:count] + read - rest.reading[:count]
        else:
            read = own[:count] + MATCHED * believed(read - own[:count])
        wanted = own.copy()
        wanted[:52] += self.strength * (np.clip(read[:52], 0, 1) - own[:52])
        wanted[52:count] += self.strength * (read[52:] - own[52:count])
        solver = Solver(own, wanted, self._weight)
        first = solver.after
        lacks = wanted - own - self._answer @ (first - self.before)
        eyes = np.clip(self._correct[count] @ lacks[:count], -REACH, REACH)
        lips = self.before + (_logit(wanted[:52]) - _logit(own[:52])) / self._slope - first
        lips = self._weight[:52] * np.clip(lips, -LIPS_REACH, LIPS_REACH)
        after = first + np.where(LIPS, lips, eyes)
        turn = pose - (rest.pose if self.relative else self.sitter.face.pose)
        turn = MOST_TURN * np.tanh(((turn + 180) % 360 - 180) / MOST_TURN) if self.pose else np.zeros(3)
        after, shut = facelike(after, self.before), 0.0
        if apart is not None and rest.parted is not None and self._weight[INDEX["jawOpen"]]:
            lips = float(self._lips(np.array([apart]), seconds)[0])
            after, shut = self._part(after, lips, rest.parted)
        self.last = Moved(after, turn, shut)
        return self.last

    def _part(self, after: FloatArray, apart: float, at_rest: float) -> tuple[FloatArray, float]:
        """Coefficients [52] of a jaw that opens until the lips are as far apart as the driver's say, whose landmarks
        tell that better than blendshapes do; and how far lips shut that are still farther apart."""
        mouth, jaw = self.sitter.mouth, INDEX["jawOpen"]
        # landmarks of shut lips are apart too, and the photo's own by as much
        further = apart - (at_rest if self.relative else parted(self.sitter.face.landmarks))
        wanted = max(mouth.apart + self.strength * further, 0.0)
        first, after = after[jaw], after.copy()

        def lips(shut: float = 0.0) -> float:
            return parted(moved(mouth.on_line, self.before, after, shut=shut))

        made = lips()
        for _ in range(2):  # lips that are rolled in part by less than `OPENS`
            more = np.clip(after[jaw] + (wanted - made) / OPENS, first - JAW_REACH, first + JAW_REACH)
            after[jaw] = max(more, min(self.before[jaw], first))
            after = facelike(after, self.before)
            made = lips()
        if made - wanted < SLIGHT:
            return after, 0.0
        shut = min((made - wanted) / max(made - mouth.apart, SLIGHT), 1.0)
        closed = made - lips(shut)  # the photo's own opening shuts too, so this may be too much
        return after, shut * float(np.clip((made - wanted) / max(closed, SLIGHT), 0, 1))

    def draw(self, shown: Moved) -> ByteImage:
        """The photo so moved, [H, W, 3] uint8; any thread may draw any frame."""
        turn = shown.turn if self.pose else None
        return self.sitter.drawn(Sought(self.before, shown.after, shown.shut), turn).image


def facelike(after: FloatArray, before: FloatArray) -> FloatArray:
    """Coefficients [52] within what looks like a face that had `before` [52].

    ARKit's mouthClose undoes what jawOpen opens: lips that close further would go through each other, and tear.
    """
    after = clipped(after)
    close, jaw = INDEX["mouthClose"], INDEX["jawOpen"]
    after[close] = min(after[close], max(after[jaw], before[close]))
    return after


def _logit(reading: FloatArray) -> FloatArray:
    some = np.clip(reading, EPSILON, 1 - EPSILON)
    return np.asarray(np.log(some / (1 - some)))


def _correction(answer: FloatArray, weight: FloatArray, count: int) -> FloatArray:
    """M [52, count] of the first `count` readings."""
    weight = (weight * np.r_[np.ones(52), np.full(5, LMS_WEIGHT)])[:count]
    bent = answer[:count] * weight[:, None]
    return np.asarray(np.linalg.solve(bent.T @ bent + DAMPING * np.eye(52), bent.T * weight))


@lru_cache(maxsize=1)
def _sides() -> tuple[FloatArray, FloatArray]:
    """Coefficients that are tried together, [n, 52] of 0 and 1, and whose answer a reading is, [57, 52] from 0 to 1.

    Both sides of a face are, for faces are mostly straight: of what is read of the left, the left is the cause.
    """
    groups: dict[str, list[int]] = {}
    sides = [next((end for end in ("Left", "Right") if name.endswith(end)), "") for name in NAMES]
    side = np.array([*sides, *[""] * 5])
    for index in np.flatnonzero(heard())[1:]:
        name = NAMES[index]
        stem = GAZE.get(name, name.removesuffix("Left").removesuffix("Right"))
        groups.setdefault(name if name in ASIDE else stem, []).append(int(index))
    tried, causes = np.zeros((len(groups), 52)), np.ones((57, 52))
    for row, group in zip(tried, groups.values(), strict=True):
        row[group] = 1
        if len(group) > 1:
            own = side[:, None] == side[group]
            causes[:, group] = np.where(own.any(1, keepdims=True), own, 0.5)
    return tried, causes


def answer(sitter: Sitter, before: FloatArray) -> FloatArray:
    """How the reading [57] of a photo answers to each of its coefficients, around `before` [52]: [57, 52]; 0 where no
    reading tells of them."""
    close = sitter.closeup
    crop, reader = align.crop_matrix(close.landmarks), load_reader()
    together, causes = _sides()
    tries = np.concatenate([before[None], before + TRIED * together])

    def read(some: FloatArray) -> list[FloatArray]:
        pictures = [
            draw(
                close.image, close.landmarks, before, after, close.mouth, cells=CELLS, front=close.front
            ).image
            for after in some
        ]
        said = reader(np.stack([align.warp(picture, crop) for picture in pictures]))
        return [reading(*one) for one in zip(said.blendshapes, said.landmarks, strict=True)]

    with ThreadPoolExecutor(2, initializer=torch.set_num_threads, initargs=(1,)) as both:
        parts = both.map(read, np.array_split(tries, -(-len(tries) // BATCH)))
    seen = np.stack([one for part in parts for one in part])
    return np.asarray(causes * (((seen[1:] - seen[0]) / TRIED).T @ together))
