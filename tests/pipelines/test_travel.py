"""Expression travel on a tiny model: the way between embeddings, and that nothing but the expression moves."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image

from mien.expressions.spec import parse
from mien.pipelines.portrait import PortraitPipeline
from mien.pipelines.travel import interpolate, names, positions, sweep, travel
from mien.types import InputError

WHO = Image.new("RGB", (32, 32), (90, 80, 70))


def test_between_two_stops_the_way_is_straight() -> None:
    stops = torch.tensor([[0.0, 1.0], [4.0, 1.0], [4.0, -1.0]])
    wanted = [[0, 1], [2, 1], [4, 1], [4, 0], [4, -1]]
    assert torch.allclose(interpolate(stops, 5), torch.tensor(wanted, dtype=torch.float32))
    assert torch.equal(interpolate(stops, 3), stops)
    steps = interpolate(torch.randn(2, 57), 9).diff(dim=0)
    assert torch.allclose(steps, steps[:1].expand_as(steps), atol=1e-5)


def test_frames_are_named() -> None:
    stops = [parse("joy"), parse("anger"), parse("fear:0.5")]
    assert names(stops, 5) == [
        "joy",
        "joy 50% anger 50%",
        "anger",
        "anger 50% fear:0.5 50%",
        "fear:0.5",
    ]


def test_a_sweep_starts_and_turns_at_neutral() -> None:
    assert [stop.text for stop in sweep(["joy"])] == ["neutral", "joy"]
    assert [stop.text for stop in sweep(["joy", "fear"])] == ["neutral", "joy", "neutral", "fear", "neutral"]


@pytest.mark.parametrize(("stops", "frames"), [(1, 5), (3, 2), (2, 1001)])
def test_impossible_journeys(stops: int, frames: int) -> None:
    with pytest.raises(InputError, match="two expressions|frames for"):
        positions(stops, frames)


def test_the_ends_are_the_portraits_of_the_stops(pipe: PortraitPipeline) -> None:
    told = []
    made = travel(
        pipe,
        WHO,
        ["joy", "anger"],
        5,
        seed=3,
        steps=2,
        batch_size=1,
        callback=lambda *now: told.append(now[:2]),
    )
    ends = pipe(WHO, ["joy", "anger"], seed=3, steps=2, batch_size=1)
    assert len(made) == 5 and told[-1] == (10, 10)
    assert np.array_equal(np.asarray(made[0]), np.asarray(ends[0]))
    assert np.array_equal(np.asarray(made[-1]), np.asarray(ends[1]))
    apart = [float(np.abs(np.asarray(frame, float) - np.asarray(made[0], float)).mean()) for frame in made]
    assert apart[1] < apart[2] < apart[4]


def test_a_journey_that_stands_still_shows_one_picture(pipe: PortraitPipeline) -> None:
    made = travel(pipe, WHO, ["joy", "joy"], 3, steps=2, batch_size=1)
    assert np.array_equal(np.asarray(made[0]), np.asarray(made[2]))


def test_a_batch_holds_a_frame_at_least(pipe: PortraitPipeline) -> None:
    with pytest.raises(InputError, match="batch_size must be at least 1"):
        travel(pipe, WHO, ["joy", "anger"], 3, batch_size=0)


def test_what_cannot_be_used_is_said(pipe: PortraitPipeline) -> None:
    with pytest.raises(TypeError, match=r"travel\(\) got an unexpected keyword argument 'stepps'"):
        travel(pipe, WHO, ["joy", "fear"], 3, stepps=2)
    with pytest.raises(InputError, match="did you mean joy"):
        travel(pipe, WHO, ["joy", "jooy"], 3)
    with pytest.raises(InputError, match="does not exist"):
        travel(pipe, Path("nobody.png"), ["joy", "fear"], 3)
