"""Counted: a face is found once, a picture hashed once, a model loaded once in a `mien generate` or a `mien reface`."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest
from PIL import Image
from typer.testing import CliRunner

from mien.backbones import load_backbone
from mien.cli.main import app
from mien.encoders.identity import Recogniser
from mien.making import made, model, recording
from mien.making.swaps import Swaps
from mien.making.wishes import PhotoWish, Request
from mien.pipelines.portrait import PortraitPipeline
from mien.pipelines.reface import RefacePipeline

EXAMPLES = Path(__file__).parents[2] / "examples"
IDENTITY, EXPRESSION = EXAMPLES / "identity.png", EXAMPLES / "expression.png"


@contextmanager
def counted(monkeypatch: pytest.MonkeyPatch) -> Iterator[Counter[str]]:
    """How often faces were looked for, the recogniser ran, pictures were hashed and models loaded."""
    count: Counter[str] = Counter()

    def spy(name: str, does: Callable[..., Any]) -> Callable[..., Any]:
        def called(*given: Any, **options: Any) -> Any:
            count[name] += 1
            return does(*given, **options)

        return called

    from mien.face import analyze as rooms

    monkeypatch.setattr(rooms, "analyze", spy("analyses", rooms.analyze))
    monkeypatch.setattr(Recogniser, "forward", spy("recognitions", Recogniser.forward))
    for room in (made, recording):
        monkeypatch.setattr(room, "hash_pixels", spy("hashes", room.hash_pixels))
    monkeypatch.setattr(model, "load_backbone", spy("models", model.load_backbone))
    yield count


def run(*words: Any) -> None:
    result = CliRunner().invoke(app, [str(word) for word in words])
    assert result.exit_code == 0, result.output


def test_a_portrait_looks_once_at_each_picture(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Of the person, of the expression's picture and of the result: nothing is looked at or hashed twice."""
    with counted(monkeypatch) as count:
        run("generate", IDENTITY, EXPRESSION, "-o", tmp_path / "p.png", "--steps", 1, "-q")
    assert count == {"analyses": 3, "recognitions": 3, "hashes": 3, "models": 1}


def test_variations_and_their_strip_look_no_further(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    more = ("-n", 3, "--strip", tmp_path / "s.png", "-o", tmp_path / "p.png", "--steps", 1, "-q")
    with counted(monkeypatch) as count:
        run("generate", IDENTITY, EXPRESSION, *more)
    assert count == {"analyses": 5, "recognitions": 5, "hashes": 5, "models": 1}


def test_a_refaced_photo_looks_once_at_each_picture(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The photo's face, and of the result."""
    with counted(monkeypatch) as count:
        run("reface", IDENTITY, "--expression", "joy", "-o", tmp_path / "r.png", "--steps", 1, "-n", 2, "-q")
    assert count == {"analyses": 3, "recognitions": 3, "hashes": 3, "models": 1}


def test_one_backbone_serves_both_pipelines() -> None:
    """And neither changes what the other makes."""
    backbone = load_backbone("mini", "cpu")
    first = PortraitPipeline(backbone, backbone.load_controller())
    photo = Image.open(IDENTITY).convert("RGB")

    def portrait(pipe: PortraitPipeline) -> bytes:
        return pipe(photo, "joy", seed=3, steps=2)[0].tobytes()

    alone = portrait(first)
    reface = RefacePipeline(backbone, backbone.load_adapter())
    refaced = reface(photo, expression="joy", seed=3, steps=2)[0].tobytes()
    assert portrait(first) == alone
    other = load_backbone("mini", "cpu")
    again = RefacePipeline(other, other.load_adapter())
    assert again(photo, expression="joy", seed=3, steps=2)[0].tobytes() == refaced


def test_photos_made_one_by_one_say_how_far_they_are() -> None:
    """Whether the photo's own person changes or another comes, one is told after each photo."""
    photo = EXAMPLES / "people" / "ana_rest.jpg"
    swaps, heard = Swaps(PhotoWish("reface")), list[tuple[int, int]]()
    asked = [
        Request(None, "joy", photo=photo),
        Request(EXAMPLES / "people" / "may_rest.jpg", None, photo=photo),
    ]
    swaps.make([swaps.look(one) for one in asked], lambda done, total, _: heard.append((done, total)))
    assert heard == [(1, 2), (2, 2)]
