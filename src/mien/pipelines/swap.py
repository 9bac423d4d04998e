"""Face swappers for IDI: another person's face onto a picture, expression and pose kept (EmojiDiff, section A.1)."""

from __future__ import annotations

import shlex
import subprocess
import tempfile
from collections.abc import Callable, Sequence
from pathlib import Path

from PIL import Image

from mien.images import read_image
from mien.pipelines.photo_swap import SwapPipeline
from mien.types import Face, InputError

FACEFUSION = (
    "facefusion.py headless-run --processors face_swapper --source-paths {identity} --target-path {target} "
    "--output-path {output}"
)
TIMEOUT = 300.0  # seconds a swap may take


class PhotoSwapper:
    """The photo engine's: the identity's pixels in the target's pose, expression and light. No network.

    Args:
        analyse: PIL picture → faces, largest first.
    """

    name = "photo"

    def __init__(self, analyse: Callable[[Image.Image], Sequence[Face]]) -> None:
        self.pipe = SwapPipeline(analyse)

    def __call__(self, target: Image.Image, identity: Image.Image, seed: int = 0) -> Image.Image:
        return self.pipe(target, identity=identity)


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
