"""Swappers: the photo engine keeps the target's surroundings; commands are run without a shell."""

from __future__ import annotations

import shlex
import sys
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from mien.face.analyze import analyze
from mien.metrics.face import id_distance
from mien.metrics.scoring import load_scorer
from mien.pipelines.idi import FACEFUSION, CommandSwapper, photo_swapper
from mien.types import InputError
from tests.data.sets import picture

PEOPLE = Path(__file__).parents[2] / "examples" / "people"
COPY = "import sys, PIL.Image as I; I.open(sys.argv[1]).rotate(180).save(sys.argv[2])"


def command(code: str, *words: str) -> str:
    return shlex.join([sys.executable, "-c", code, *words])


def test_the_photo_engine_swaps_the_person_and_keeps_the_surroundings() -> None:
    target, identity = (
        Image.open(PEOPLE / f"{name}_rest.jpg").convert("RGB").resize((400, 400)) for name in ("max", "may")
    )
    scorer = load_scorer()
    swapped = photo_swapper(analyze)(target, identity, 0)
    np.testing.assert_array_equal(np.asarray(swapped)[:40, :40], np.asarray(target)[:40, :40])
    seen, old, new = (scorer.observe(image).identity for image in (swapped, target, identity))
    to_target, to_identity = id_distance(seen, old), id_distance(seen, new)
    assert to_identity < to_target - 0.2
    with pytest.raises(InputError, match="no face"):
        photo_swapper(analyze)(target, Image.new("RGB", (200, 200)), 0)


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
