"""Swappers: the warp keeps the target's frame and takes the identity's face; commands are run without a shell."""

from __future__ import annotations

import shlex
import sys
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from mien.pipelines.swap import FACEFUSION, CommandSwapper, WarpSwapper, swap_by_warp
from mien.types import InputError
from tests.data.sets import face, picture

COPY = "import sys, PIL.Image as I; I.open(sys.argv[1]).rotate(180).save(sys.argv[2])"


def command(code: str, *words: str) -> str:
    return shlex.join([sys.executable, "-c", code, *words])


def test_a_face_laid_on_itself_is_itself() -> None:
    pixels, points = np.asarray(picture(0)), face(0).landmarks
    swapped = swap_by_warp(pixels, points, pixels, points).astype(int)
    assert np.abs(swapped - pixels).max() <= 2


def test_the_surroundings_stay_and_the_face_comes() -> None:
    target, identity = np.asarray(picture(0)), np.asarray(picture(1, 256))
    points, others = face(0).landmarks, face(1).landmarks * 2
    swapped = swap_by_warp(target, points, identity, others)
    assert swapped.shape == target.shape
    np.testing.assert_array_equal(swapped[:4], target[:4])
    np.testing.assert_array_equal(swapped[-3:], target[-3:])
    middle = slice(40, 90)
    laid = np.asarray(Image.fromarray(identity).resize((128, 128), Image.Resampling.BOX))
    apart = np.abs(target[middle, middle].astype(float) - laid[middle, middle]).mean()

    def likeness(a: np.ndarray, b: np.ndarray) -> float:
        return float(np.corrcoef(a[middle, middle].ravel(), b[middle, middle].ravel())[0, 1])

    assert apart > 20 and likeness(swapped, laid) > 0.8 > likeness(swapped, target) + 0.2


def test_the_swapper_looks_for_the_faces() -> None:
    target, identity = picture(0), picture(1)
    faces = {id(target): [face(0)], id(identity): [face(1)]}
    swapper = WarpSwapper(lambda image: faces.get(id(image), []))
    assert swapper(target, identity).size == target.size
    with pytest.raises(InputError, match="no face was found in the identity"):
        swapper(target, picture(2))


def test_a_command_swaps(tmp_path: Path) -> None:
    swapper = CommandSwapper(command(COPY, "{target}", "{output}", "{identity}"), "mine")
    result = swapper(picture(0), picture(1))
    np.testing.assert_array_equal(np.asarray(result), np.asarray(picture(0))[::-1, ::-1])
    assert swapper.name == "mine" and CommandSwapper(FACEFUSION).words[1] == "headless-run"


def test_no_shell_reads_the_command(tmp_path: Path) -> None:
    words = f"{{target}} {{identity}} {{output}}; touch {tmp_path / 'here'}"
    with pytest.raises(InputError, match="failed|cannot be started"):
        CommandSwapper(f"{shlex.quote(sys.executable)} -c 'raise SystemExit(3)' {words}")(
            picture(0), picture(1)
        )
    assert not (tmp_path / "here").exists()


@pytest.mark.parametrize(
    ("line", "message"),
    [
        (command("import sys; sys.exit('no such model')", "{target}{identity}{output}"), "no such model"),
        (command("pass", "{target}", "{identity}", "{output}"), "wrote no picture"),
        ("no-such-program-here {target} {identity} {output}", "cannot be started"),
        (
            command("import sys; open(sys.argv[2], 'w')", "{target}", "{output}", "{identity}"),
            "output.png is empty",
        ),
        (
            command(
                "import sys; sys.stderr.buffer.write(b'\\xff no'); sys.exit(1)", "{target}{identity}{output}"
            ),
            "failed with 1",
        ),
        (command("import time; time.sleep(9)", "{target}", "{identity}", "{output}"), "longer than 0.2"),
    ],
)
def test_a_command_that_fails_gets_a_sentence(line: str, message: str) -> None:
    with pytest.raises(InputError, match=message):
        CommandSwapper(line, timeout=0.2 if "sleep" in line else 60)(picture(0), picture(1))


def test_a_command_must_say_where_its_pictures_go() -> None:
    with pytest.raises(InputError, match="no {output}"):
        CommandSwapper("swap {target} {identity}")
