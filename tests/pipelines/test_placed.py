""" "[ID] looks [word] in [place]" by a base model as it is and the photo engine."""

from __future__ import annotations

from pathlib import Path

import diffusers
import numpy as np
import pytest
import torch
from PIL import Image

from mien.backbones import load_backbone
from mien.cli.requests import read_sentence
from mien.expressions.spec import parse
from mien.face.analyze import analyze
from mien.face.subject import Subject
from mien.pipelines.placed import ASKED, NEGATIVE, PlacedPipeline
from mien.types import InputError
from tests import tiny

EXAMPLES = Path(__file__).parent.parent.parent / "examples"
ME, OTHER = (Image.open(EXAMPLES / f"{name}.png").convert("RGB") for name in ("identity", "expression"))


@pytest.fixture(scope="module")
def folder(tmp_path_factory) -> Path:
    return tiny.save_folder(tmp_path_factory.mktemp("sd15"), "sd15")


class Prepared(PlacedPipeline):
    """Scenes that a tiny model cannot draw, by their seeds: nobody, two people, one."""

    def draw(self, prompt, seed, *_):
        two = Image.new("RGB", (2 * OTHER.width, OTHER.height))
        two.paste(OTHER, (0, 0)), two.paste(OTHER, (OTHER.width, 0))
        return [Image.new("RGB", OTHER.size), two, OTHER][seed]


def test_a_scene_is_what_stock_diffusers_makes_of_the_words(folder, monkeypatch) -> None:
    pipe = PlacedPipeline(load_backbone(str(folder), "cpu"), "ddim")
    steps: list[int] = []
    scene = pipe.draw("in front of a lighthouse", 4, 3, callback=lambda i, n, z: steps.append(i))
    stock = diffusers.StableDiffusionPipeline.from_pretrained(folder)
    stock.scheduler = pipe.scheduler
    stock.set_progress_bar_config(disable=True)
    (expected,) = stock(
        ASKED.format("in front of a lighthouse"),
        negative_prompt=NEGATIVE,
        num_inference_steps=3,
        guidance_scale=7.5,
        generator=torch.Generator().manual_seed(4),
    ).images
    assert np.array_equal(np.asarray(scene), np.asarray(expected)) and steps == [1, 2, 3]
    with pytest.raises(InputError, match="2 seeds from 0 made no scene.*shows no face"):
        pipe.find("a woman by the sea", steps=1, tries=2)
    monkeypatch.delattr(PlacedPipeline, "draw")
    with pytest.raises(InputError, match="2 seeds from 0"):  # of a table, once
        pipe.find("a woman by the sea", steps=1, tries=2)
    with pytest.raises(InputError, match="makes no scenes"):
        PlacedPipeline(load_backbone("mini", "cpu"))


def test_seeds_are_tried_until_one_face_is_found_and_the_person_is_put_there(folder) -> None:
    told: list[str] = []
    pipe = Prepared(load_backbone(str(folder), "cpu"), tell=told.append)
    placed = pipe("in a garden", Subject(ME, analyze(ME)[0]), parse("surprise"))
    assert placed.seed == 2 and "seed 2: of 2 before it" in told[0]
    assert placed.image.size == OTHER.size and np.array_equal(placed.scene.photo, np.asarray(OTHER))
    assert pipe("in a garden", None, parse("joy")).scene is placed.scene and len(told) == 1  # made once
    alone = pipe("in a garden", None, parse("surprise"), seed=2)
    assert np.abs(np.asarray(placed.image, float) - np.asarray(alone.image)).max() > 30  # another person
    (face,) = analyze(alone.image)
    assert face.blendshapes[25] > analyze(OTHER)[0].blendshapes[25]  # jawOpen


def test_the_papers_sentence() -> None:
    assert read_sentence("me.jpg looks furious in front of a lighthouse") == (
        "me.jpg",
        "furious",
        "in front of a lighthouse",
    )
    with pytest.raises(InputError, match="PICTURE looks WORD in PLACE"):
        read_sentence("me.jpg is sad")
