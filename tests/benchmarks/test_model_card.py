from __future__ import annotations

import math
from pathlib import Path
from types import ModuleType

import numpy as np
import pytest
import torch
from PIL import Image

from mien.metrics.scoring import Scorer
from mien.types import Face, InputError

FOLDER = Path(__file__).resolve().parents[2] / "benchmarks"


@pytest.fixture
def card() -> ModuleType:
    pytest.importorskip("numba", reason="the renderer of the held-out expressions needs it")
    from benchmarks import model_card

    return model_card


def test_tables_go_between_their_markers_and_again(card: ModuleType, tmp_path: Path) -> None:
    page = tmp_path / "page.md"
    page.write_text("a\n<!-- x -->\nold\n<!-- /x -->\nb\n<!-- y -->\n<!-- /y -->\n")
    for part in ("first", "| second |"):
        card.fill(page, {"x": f"\n{part}\n", "y": "other"})
        assert page.read_text() == (
            f"a\n<!-- x -->\n\n{part}\n\n<!-- /x -->\nb\n<!-- y -->\n\nother\n\n<!-- /y -->\n"
        )


@pytest.mark.parametrize(
    "text", ["nothing", "<!-- x -->", "<!-- /x --><!-- x -->", "<!-- x -->" * 2 + "<!-- /x -->"]
)
def test_a_page_without_the_markers_is_left_alone(card: ModuleType, tmp_path: Path, text: str) -> None:
    page = tmp_path / "page.md"
    page.write_text(text)
    with pytest.raises(InputError, match="markers"):
        card.fill(page, {"x": "table"})
    assert page.read_text() == text
    with pytest.raises(InputError, match="does not exist"):
        card.fill(tmp_path / "none.md", {"x": "table"})


def test_the_page_in_docs_has_every_marker(card: ModuleType, tmp_path: Path) -> None:
    page = tmp_path / "model_card.md"
    page.write_text((FOLDER.parent / "docs" / "model_card.md").read_text(encoding="utf-8"), encoding="utf-8")
    names = ("made", "judged", "autoencoder", "cost", "realism", "bias", "tones")
    card.fill(page, dict.fromkeys(names, "filled"))
    assert page.read_text(encoding="utf-8").count("filled") == len(names)


def test_pairs_come_by_turns_and_the_strongest_are_group_c(
    card: ModuleType, monkeypatch: pytest.MonkeyPatch
) -> None:
    from benchmarks import held_out

    def picture(source: str, number: int, strength: int, person: str) -> object:
        return held_out.Picture(
            source, f"{source}{number}", person, Image.new("RGB", (4, 4), (strength, 0, number))
        )

    world = {
        "utkface-adults": [picture("utkface-adults", i, i % 7, f"u{i}") for i in range(60)],
        "lfw-gray": [picture("lfw-gray", i, 200 if i in (3, 4) else 1, f"l{i // 2}") for i in range(80)],
    }
    drawn = [held_out.Picture("renders", f"r{i}", f"head {i}", Image.new("RGB", (4, 4))) for i in range(5)]
    monkeypatch.setattr(held_out, "photographs", world.__getitem__)
    monkeypatch.setattr(held_out, "renders", lambda count, usable, presets: (drawn[:count], 0))

    def blendshapes(image: Image.Image) -> np.ndarray | None:
        red, _, blue = image.getpixel((0, 0))  # type: ignore[misc]
        return None if blue == 1 else np.full(52, red / 255)  # nobody is seen in number 1

    pairs = held_out.expressive_pairs(18, blendshapes)
    assert "".join(p.group for p in pairs) == "abac" * 4 + "aa"
    assert [p.identity.name for p in pairs[:3]] == [f"utkface-adults{i}" for i in (0, 2, 3)]
    assert len({p.identity.person for p in pairs} | {p.reference.person for p in pairs}) == 36
    strong = [p.reference for p in pairs if p.group == "c"]
    assert [p.name for p in strong[:2]] == ["lfw-gray3", "lfw-gray4"]  # of two people
    sources = [p.reference.source for p in pairs if p.group == "a"]
    assert sources == ["utkface-adults", "lfw-gray"] * 5
    with pytest.raises(ValueError, match="do not give 58"):
        held_out.expressive_pairs(58, blendshapes)


def test_groups_by_the_label_in_the_name() -> None:
    from benchmarks import bias

    names = ["18_0_0_1.jpg", "29_1_1_2.jpg", "30_0_0_3.jpg", "75_0_2_4.jpg", "44_0_5.jpg"]
    assert bias.groups("utkface-adults", names) == {
        "18 to 29": [0, 1],
        "30 to 44": [2, 4],
        "60 and older": [3],
        "Man": [0, 2, 3],
        "Woman": [1],
        "White": [0, 2],
        "Black": [1],
        "Asian": [3],
    }


def test_a_group_that_differs_is_named_and_chance_is_not() -> None:
    from benchmarks import bias

    rng = np.random.default_rng(0)
    n = 400
    same = (rng.uniform(size=n) < 0.8).astype(float)
    same[:100] = (np.arange(100) % 10 < 4).astype(float)  # 40% of the first group
    exp = rng.uniform(0.05, 0.1, n)
    exp[7] = np.nan
    people = np.concatenate([np.zeros((2, 3)), 10 * np.arange(1, n - 1)[:, None] * np.ones(3)])
    scores = bias.Scores(np.ones(n), same, exp, np.full(n, 0.1), np.full(n, 30.0), np.full(n, 0.2), people)
    of = {"low": list(range(100)), "other": list(range(100, n, 2))}
    text = bias.markdown(scores, of)
    assert "low: same person less often by" in text
    assert "face found less" not in text
    assert "Of 4 comparisons" in text
    low = next(line for line in text.splitlines() if line.startswith("| low"))
    assert "| 100 | 100% | 40% [" in low
    assert low.endswith(f"| {2 / (100 * 99):.1%} |")  # one pair of 4,950
    assert math.isnan(bias.strangers(people[:1]))


def test_psnr_and_grid_of_pictures_whose_answers_are_known() -> None:
    from benchmarks import reconstruction

    grey = Image.new("RGB", (128, 128), (100, 100, 100))
    lighter = Image.new("RGB", (128, 128), (110, 110, 110))
    assert reconstruction.psnr(grey, lighter) == pytest.approx(20 * np.log10(25.5))
    noise = np.random.default_rng(0).integers(0, 200, (8, 8)).repeat(16, 0).repeat(16, 1)
    ramp = (np.indices((128, 128)).sum(axis=0) % 2 * 10).astype(np.int64)  # a step everywhere
    tiles = Image.fromarray((noise + ramp).astype(np.uint8))
    smooth = Image.fromarray((ramp + 50).astype(np.uint8))
    assert reconstruction.grid([smooth])[0] == pytest.approx(1)
    assert reconstruction.grid([tiles])[0] > 3


def test_two_halves_are_at_ratio_1_and_a_shifted_crowd_is_not() -> None:
    from benchmarks import realism

    rng = np.random.default_rng(0)
    real = {i: rng.normal(size=6) for i in range(300)}
    rest = rng.normal(size=(280, 6))
    good = {i: rng.normal(size=6) for i in range(300)}
    bad = {i: value + 1 for i, value in good.items() if i != 4}  # one result has no face
    ratio, near, halves, count = realism.compare(good, real, rest)
    assert count == 280
    assert ratio.low < 1 < ratio.high
    assert near.low < 0.05 and abs(halves.value) < 0.2
    assert realism.compare(bad, real, rest)[0].low > 5
    assert realism.compare(bad, real, rest)[1].low > 0.5


def test_what_was_seen_is_remembered(tmp_path: Path) -> None:
    pytest.importorskip("mediapipe", reason="the memory is named after the judges' versions")
    from benchmarks import remembered

    asked = []

    def analyse(image: Image.Image) -> list[Face]:
        asked.append(image)
        rng = np.random.default_rng(0)
        face = Face(np.ones(4), rng.uniform(10, 50, (478, 3)), rng.uniform(0, 1, 52), np.zeros(3), 0.9)
        return [face] if image.getpixel((0, 0)) != (0, 0, 0) else []

    scorer = Scorer(analyse, lambda image, face: torch.arange(8.0), "mediapipe", "dlib", 0.6)
    nobody, somebody = (Image.new("RGB", (64, 64), (v, v, v)) for v in (0, 9))
    eyes = remembered.Remembered(scorer, tmp_path)
    first = eyes.all([nobody, somebody, None])
    assert eyes.blendshapes(nobody) is None
    eyes.blendshapes(somebody)
    eyes.save()
    count = len(asked)
    again = remembered.Remembered(scorer, tmp_path)
    second = again.all([nobody, somebody, None])
    assert again.blendshapes(nobody) is None
    assert len(asked) == count
    assert first[0] is second[0] is first[2] is second[2] is None
    assert first[1] is not None and second[1] is not None
    assert second[1].face.confidence == 0.9
    for name in ("identity", "direction", "appearance"):
        np.testing.assert_array_equal(getattr(first[1], name), getattr(second[1], name))
    np.testing.assert_array_equal(first[1].face.landmarks, second[1].face.landmarks)


def test_tones_tell_who_was_made_darker() -> None:
    from benchmarks import tones

    greys = np.linspace(40, 200, 40)
    faces = [Image.new("RGB", (128, 128), (round(g),) * 3) for g in greys]
    made = [Image.new("RGB", (128, 128), (round(g - 10 if g < 100 else g + 5),) * 3) for g in greys]
    darkest, lightest, off = tones.rows([*made[:-1], None], faces)
    assert darkest.value.value == pytest.approx(-10, abs=0.6)
    assert lightest.value.value == pytest.approx(5, abs=0.6)
    assert 5 < off.value.value < 10 and off.note == "39"


def test_the_card_is_of_the_weights_that_ship(card: ModuleType) -> None:
    text = (FOLDER.parent / "docs" / "model_card.md").read_text(encoding="utf-8")
    assert f"on 500 pairs, weights `{card.weights_digest()}`" in text
