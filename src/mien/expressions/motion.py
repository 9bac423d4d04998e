"""Motion files: how a face moves, as readable JSON. A film's, an expression preset (a motion of one frame), sliders'.

::

    {
      "schema": "mien.motion",
      "version": 1,
      "rate": [30, 1],
      "names": ["_neutral", "browDownLeft", ...],
      "rest": {"coefficients": [52 numbers], "pose": [3]},
      "times": [0.0, 0.0333, ...],
      "coefficients": [[52 numbers], ...],
      "pose": [[3], ...],
      "gaze": [[2], ...]
    }

``names``: the 52 blendshapes, which say what each number of ``coefficients`` is, in [0, 1]. ``rate``: frames a second,
a fraction. ``rest``: what the person shows when nothing moves. ``pose``: yaw, pitch, roll in degrees, signs as in
`mien.face.pose`. ``gaze``: where both eyes look, to the person's left and up, in [-1, 1]; it stands for the eight
eyeLook blendshapes. ``rest``, ``times`` (seconds, of variable rates), ``pose`` and ``gaze`` may be left out.
"""

from __future__ import annotations

import json
import math
from dataclasses import dataclass
from fractions import Fraction
from pathlib import Path
from typing import Any

import numpy as np

from mien.face.blendshapes import INDEX, NAMES
from mien.files import read_bytes, write_text
from mien.types import FloatArray, InputError

SCHEMA, VERSION = "mien.motion", 1
LARGEST = 128 * 2**20  # bytes of a file
LONGEST = 250_000  # frames: more than two hours
FASTEST = 1000  # frames a second
KEYS = {"schema", "version", "rate", "names", "rest", "times", "coefficients", "pose", "gaze"}
ASKED = ("schema", "version", "rate", "names", "coefficients")
_LOOKS = (  # to the person's left, right, up, down: of the left eye, of the right
    (INDEX["eyeLookOutLeft"], INDEX["eyeLookInRight"]),
    (INDEX["eyeLookInLeft"], INDEX["eyeLookOutRight"]),
    (INDEX["eyeLookUpLeft"], INDEX["eyeLookUpRight"]),
    (INDEX["eyeLookDownLeft"], INDEX["eyeLookDownRight"]),
)


@dataclass(frozen=True)
class Motion:
    """How a face moves. rate: frames a second. coefficients: [n, 52] in [0, 1]. pose: [n, 3] degrees. rest: [52], and
    rest_pose: [3]; None: not known. times: [n] seconds; None: as `rate` says."""

    rate: Fraction
    coefficients: FloatArray
    pose: FloatArray
    rest: FloatArray | None = None
    rest_pose: FloatArray | None = None
    times: FloatArray | None = None

    def __len__(self) -> int:
        return len(self.coefficients)

    @property
    def gaze(self) -> FloatArray:
        """[n, 2] in [-1, 1], where both eyes look: to the person's left, up."""
        left, right, up, down = (self.coefficients[:, list(pair)].mean(1) for pair in _LOOKS)
        return np.stack([left - right, up - down], 1)


def still(coefficients: FloatArray) -> Motion:
    """A motion of one frame, of coefficients [52]."""
    return Motion(Fraction(1), np.asarray(coefficients)[None], np.zeros((1, 3)))


def write_motion(path: str | Path, motion: Motion) -> None:
    """Write a motion atomically, a frame a line. Raises `InputError`: the place cannot be written to."""
    parts = {
        "schema": json.dumps(SCHEMA),
        "version": json.dumps(VERSION),
        "rate": json.dumps([motion.rate.numerator, motion.rate.denominator]),
        "names": json.dumps(NAMES),
    }
    if motion.rest is not None:
        turned = np.zeros(3) if motion.rest_pose is None else motion.rest_pose
        parts["rest"] = f'{{"coefficients": {_row(motion.rest)}, "pose": {_row(turned)}}}'
    if motion.times is not None:
        parts["times"] = json.dumps([round(float(time), 6) for time in motion.times])
    for name in ("coefficients", "pose", "gaze"):
        rows = ",\n    ".join(_row(row) for row in getattr(motion, name))
        parts[name] = f"[\n    {rows}\n  ]"
    body = ",\n  ".join(f'"{name}": {value}' for name, value in parts.items())
    write_text(path, f"{{\n  {body}\n}}\n")


def _row(values: FloatArray) -> str:
    return json.dumps([round(float(value), 4) + 0.0 for value in values])


def is_motion(content: Any) -> bool:
    """Whether parsed JSON means to be a motion."""
    return isinstance(content, dict) and content.get("schema") == SCHEMA


def read_motion(path: str | Path) -> Motion:
    """A motion file, checked before it is used. Raises `InputError`: it cannot be read, or is none; the sentence names
    what is wrong."""
    name = str(path)
    data = read_bytes(path, LARGEST + 1)
    if len(data) > LARGEST:
        raise InputError(f"{name} is over {LARGEST // 2**20} MB: cut the motion into shorter ones.")
    try:
        return from_json(json.loads(data.decode("utf-8-sig"), object_pairs_hook=once), name)
    except InputError as error:
        raise InputError(str(error) if str(error).startswith(name) else f"{name}: {error}") from error
    except (ValueError, RecursionError) as error:
        raise InputError(f"{name} is not a motion's JSON ({_short(error)}): write it by --motion.") from error


def from_json(content: Any, name: str) -> Motion:
    """A motion from parsed JSON. Raises `InputError`: see `read_motion`."""

    def wrong(what: str) -> InputError:
        return InputError(f"{name}: {what}")

    if not is_motion(content):
        raise wrong(f'it is not a motion: its "schema" has to be "{SCHEMA}".')
    if content.get("version") != VERSION or isinstance(content.get("version"), bool):
        raise wrong(f"its version is {content.get('version')!r:.40}, this mien reads {VERSION}: update mien.")
    if unknown := sorted(content.keys() - KEYS):
        raise wrong(f"{unknown[0]!r:.40} is unknown in a motion: leave it out.")
    if missing := [key for key in ASKED if key not in content]:
        raise wrong(f'"{missing[0]}" is missing.')
    if content["names"] != list(NAMES):
        raise wrong('"names" has to list the 52 blendshapes in the order of `mien.face.blendshapes`.')
    rate = content["rate"]
    whole = isinstance(rate, list) and len(rate) == 2 and all(type(part) is int for part in rate)
    if not whole or not (0 < rate[1] <= 10**9 and 0 < rate[0] <= FASTEST * rate[1]):
        raise wrong(f'"rate" has to be two whole numbers, as [30, 1], of up to {FASTEST} frames a second.')
    rows = content["coefficients"]
    if not isinstance(rows, list) or not 0 < len(rows) <= LONGEST:
        raise wrong(f'"coefficients" has to hold 1 to {LONGEST} frames.')
    count = len(rows)
    coefficients = _numbers(rows, (count, 52), 0, 1, "coefficients", wrong)
    pose: FloatArray = np.zeros((count, 3))
    if "pose" in content:
        pose = _numbers(content["pose"], (count, 3), -180, 180, "pose", wrong)
    if "gaze" in content:
        _look(coefficients, _numbers(content["gaze"], (count, 2), -1, 1, "gaze", wrong))
    rest = rest_pose = times = None
    if "rest" in content:
        calm = content["rest"]
        if not isinstance(calm, dict) or calm.keys() != {"coefficients", "pose"}:
            raise wrong('"rest" has to hold "coefficients" and "pose", and nothing else.')
        rest = _numbers(calm["coefficients"], (52,), 0, 1, "rest", wrong)
        rest_pose = _numbers(calm["pose"], (3,), -180, 180, "rest", wrong)
    if "times" in content:
        times = _numbers(content["times"], (count,), -1e6, 1e6, "times", wrong)
        if (np.diff(times) <= 0).any():
            raise wrong('"times" has to go on from frame to frame.')
    return Motion(Fraction(*rate), coefficients, pose, rest, rest_pose, times)


def _look(coefficients: FloatArray, gaze: FloatArray) -> None:
    """Let the eyes look where `gaze` [n, 2] says, where that differs from what the coefficients [n, 52] say."""
    said = Motion(Fraction(1), coefficients, np.zeros((len(gaze), 3))).gaze
    for axis, (more, less) in enumerate((_LOOKS[:2], _LOOKS[2:])):
        other = np.abs(gaze[:, axis] - said[:, axis]) > 1e-3  # of rounding
        for indices, sign in ((more, 1), (less, -1)):
            for index in indices:
                coefficients[other, index] = np.clip(sign * gaze[other, axis], 0, 1)


def _numbers(rows: Any, shape: tuple[int, ...], low: float, high: float, what: str, wrong: Any) -> FloatArray:
    def flat(part: Any, depth: int) -> None:
        if depth == len(shape):
            if type(part) not in (int, float) or not low <= part <= high or math.isnan(part):
                raise wrong(f'"{what}" holds {part!r:.40}: give numbers from {low:g} to {high:g}.')
            return
        if not isinstance(part, list) or len(part) != shape[depth]:
            held = len(part) if isinstance(part, list) else "something else"
            raise wrong(f'"{what}" has to hold {shape[depth]} at a time, not {held}.')
        for one in part:
            flat(one, depth + 1)

    flat(rows, 0)
    return np.array(rows, np.float64)


def once(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    """A JSON object. Raises `InputError`: a key stands twice in it."""
    keys = [key for key, _ in pairs]
    if len(set(keys)) < len(keys):
        double = next(key for key in keys if keys.count(key) > 1)
        raise InputError(f"it says {double:.40} twice: say it once.")
    return dict(pairs)


def _short(error: Exception) -> str:
    if isinstance(error, json.JSONDecodeError):
        return f"line {error.lineno}, column {error.colno}: {error.msg}"
    return str(error)[:80]
