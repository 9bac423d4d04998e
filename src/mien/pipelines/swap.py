"""Face swappers for IDI: another person's face onto a picture, expression and pose kept (EmojiDiff, section A.1)."""

from __future__ import annotations

import shlex
import subprocess
import tempfile
from collections.abc import Callable, Sequence
from pathlib import Path

import numpy as np
from PIL import Image

from mien.face.align import ANCHORS, invert, similarity, transform_points, warp
from mien.face.mask import face_mask
from mien.face.paste import feather
from mien.images import read_image
from mien.types import ByteImage, Face, FloatArray, InputError
from mien.warping.warp import warp_expression

FACEFUSION = (
    "facefusion.py headless-run --processors face_swapper --source-paths {identity} --target-path {target} "
    "--output-path {output}"
)
TIMEOUT = 300.0  # seconds a swap may take


class WarpSwapper:
    """The identity's face, moved by its landmarks onto the target's, in the target's colours. No network.

    The geometry of the result is the target's, so its expression stays, but for what no warp makes: a mouth that is
    shut in the identity's picture shows no teeth. It is for trying things out, and for machines without a swapper.

    Args:
        analyse: PIL picture → faces, largest first.
    """

    name = "warp"

    def __init__(self, analyse: Callable[[Image.Image], Sequence[Face]]) -> None:
        self.analyse = analyse

    def __call__(self, target: Image.Image, identity: Image.Image, seed: int = 0) -> Image.Image:
        faces = [self.analyse(target), self.analyse(identity)]
        for found, name in zip(faces, ("target", "identity"), strict=True):
            if not found:
                raise InputError(f"no face was found in the {name} picture: leave it out")
        pixels = [np.asarray(image.convert("RGB")) for image in (target, identity)]
        return Image.fromarray(
            swap_by_warp(pixels[0], faces[0][0].landmarks, pixels[1], faces[1][0].landmarks)
        )


def swap_by_warp(
    target: ByteImage, landmarks: FloatArray, identity: ByteImage, identity_landmarks: FloatArray
) -> ByteImage:
    """`target` [H, W, 3] with the face of `identity` [h, w, 3]; landmarks [478, 3] px of each. [H, W, 3] uint8."""
    height, width = target.shape[:2]
    side = max(height, width)
    places = list(ANCHORS)
    matrix = similarity(identity_landmarks[places, :2], landmarks[places, :2])
    if abs(np.linalg.det(invert(matrix)[:, :2])) > 1e6:
        raise InputError("the identity's face is far too large for the target: leave it out")
    laid = warp(identity, matrix, side)[:height, :width]
    moved = transform_points(identity_landmarks, matrix)
    # Depths have no common zero in two pictures; only their order within one matters.
    moved[:, 2] += landmarks[places, 2].mean() - moved[places, 2].mean()
    face = warp_expression(np.ascontiguousarray(laid), moved, landmarks)
    mask = face_mask(landmarks, width, height, grow=-0.02)
    if mask.sum() < 64:
        raise InputError("the target's face is too small to swap: leave it out")
    inside = mask > 0.5
    theirs, ours = face[inside].astype(np.float32), target[inside].astype(np.float32)
    gain = np.clip(ours.std(0) / np.maximum(theirs.std(0), 1), 0.5, 2)
    matched = (face - theirs.mean(0)) * gain + ours.mean(0)
    weight = feather(mask, 0.06 * float(np.ptp(landmarks[:, 0])))[..., None]
    return np.round(target + weight * (matched - target)).clip(0, 255).astype(np.uint8)


class CommandSwapper:
    """Any program that reads two pictures and writes one; FaceFusion's headless command is `FACEFUSION`.

    Args:
        command: with the words {target}, {identity} and {output}; no shell reads it. name: for reports.
    """

    def __init__(self, command: str, name: str = "command", timeout: float = TIMEOUT) -> None:
        self.words, self.name, self.timeout = shlex.split(command), name, timeout
        for place in ("{target}", "{identity}", "{output}"):
            if not any(place in word for word in self.words):
                raise InputError(f"The swapper's command has no {place}: say where it goes.")

    def __call__(self, target: Image.Image, identity: Image.Image, seed: int = 0) -> Image.Image:
        with tempfile.TemporaryDirectory(prefix="mien-swap-") as folder:
            paths = {name: str(Path(folder) / f"{name}.png") for name in ("target", "identity", "output")}
            target.save(paths["target"])
            identity.save(paths["identity"])
            words = self.words
            for name, path in paths.items():
                words = [word.replace(f"{{{name}}}", path) for word in words]
            try:
                done = subprocess.run(
                    words, capture_output=True, text=True, errors="replace", timeout=self.timeout, check=False
                )
            except OSError as error:
                raise InputError(f"The swapper {words[0]} cannot be started ({error.strerror}).") from error
            except subprocess.TimeoutExpired as error:
                raise InputError(f"the swapper took longer than {self.timeout:g} s") from error
            if done.returncode or not Path(paths["output"]).is_file():
                lines = (done.stderr or done.stdout).strip().splitlines() or ["it wrote no picture"]
                raise InputError(f"the swapper failed with {done.returncode}: {lines[-1][:200]}")
            return read_image(paths["output"])
