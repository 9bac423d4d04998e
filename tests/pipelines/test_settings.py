"""What a portrait's settings may be: of the call, of the sampler, of an adapter's folder."""

from __future__ import annotations

import json
import shutil
from pathlib import Path

import pytest
import torch

import mien
from factory.training.mini import create_scheduler
from mien.backbones import load_backbone
from mien.expressions.faces import picture
from mien.face.analyze import analyze
from mien.face.blendshapes import NAMES
from mien.pipelines.schedulers import choose_scheduler, scheduler_names
from mien.types import InputError
from tests import tiny
from tests.pipelines.test_portrait import BLUE, GREEN, RED
from tests.pipelines.test_portrait_ecosystem import largest, load


@pytest.fixture(scope="module")
def sd15(tmp_path_factory) -> Path:
    return tiny.add_adapter(tiny.save_folder(tmp_path_factory.mktemp("sd15"), "sd15"))


def test_a_scale_is_every_image_s(sd15) -> None:
    pipe = load(sd15)
    for scale in (torch.tensor([1.0, 0.5]), {"up": torch.tensor([1.0, 0.5]), "": 1.0}):
        with pytest.raises(InputError, match="the same for every image"):
            pipe([RED, BLUE], GREEN, id_scale=scale)
    (plain,) = pipe(RED, GREEN, seed=1, id_scale=0.5)
    (by_time,) = pipe(RED, GREEN, seed=1, id_scale=lambda t: torch.full(t.shape, 0.5))
    assert largest(plain, pipe(RED, GREEN, seed=1, id_scale=torch.tensor(0.5))[0]) == 0
    assert largest(plain, by_time) <= 1


def test_more_steps_than_there_are_times_are_refused(sd15) -> None:
    pipe = load(sd15)
    with pytest.raises(InputError, match="takes at most 998 steps here, not 999"):
        pipe(RED, GREEN, steps=999)
    pipe.scheduler = "ddim"
    with pytest.raises(InputError, match="at most 1000 steps"):
        pipe(RED, GREEN, steps=1001)


def test_every_scheduler_takes_the_shipped_schedule_or_says_why() -> None:
    trained = create_scheduler()
    refused = []
    for name in scheduler_names():
        try:
            choose_scheduler(name, trained)
        except InputError as error:
            assert str(error) == "the scheduler DPMSolverSDEScheduler needs a missing package: torchsde"
            refused.append(name)
    assert set(refused) <= {"dpmsolversde"}


@pytest.mark.parametrize("name", ["DEISMultistep", "SASolver"])
def test_solvers_that_have_algorithms_of_their_own_draw_faces(name) -> None:
    """On mini, whose own sampler has an algorithm that they do not know."""
    pipe = mien.load("mini", device="cpu", scheduler=name)
    (image,) = pipe(picture("joy"), "joy", seed=1)
    (face,) = analyze(image)
    assert face.confidence > 0.9 and face.blendshapes[NAMES.index("mouthSmileLeft")] > 0.3


@pytest.mark.parametrize(
    ("setting", "wanted"),
    [
        ({"steps": "20"}, "steps must be a whole number from 1, not '20'"),
        ({"steps": None}, "steps must be a whole number"),
        ({"guidance": True}, "guidance must be a number from 0"),
        ({"identity_encoder": None}, "identity_encoder must be a text"),
    ],
)
def test_settings_of_an_adapter_that_cannot_be(sd15, tmp_path, setting, wanted) -> None:
    shutil.copytree(sd15 / "adapter", tmp_path / "adapter")
    (tmp_path / "adapter" / "adapter.json").write_text(json.dumps(setting))
    with pytest.raises(InputError, match=wanted):
        load_backbone(str(sd15), "cpu", adapter=tmp_path / "adapter")
