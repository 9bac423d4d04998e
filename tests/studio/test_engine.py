"""Two threads: jobs one at a time in each, stopped when asked, limited in time and number, alive after an error."""

from __future__ import annotations

import threading
import time
from collections.abc import Iterator
from typing import Any

import pytest

from mien.studio.engine import Cancelled, Engine, Full, Job
from mien.types import InputError


@pytest.fixture
def engine() -> Iterator[Engine]:
    """Without models."""
    engine = Engine({"mini": "mini"}, seconds=60, queue=3)
    yield engine
    engine.close()


def test_a_model_is_loaded_with_the_adapter_that_goes_with_it(monkeypatch: pytest.MonkeyPatch) -> None:
    def made(backbone: str, device: str, dtype: str, adapter: str | None, name: str) -> Any:
        return backbone, adapter, name

    monkeypatch.setattr("mien.making.model.Model", made)
    engine = Engine({"mini": "mini", "sd15": "/models/sd15"}, adapters={"sd15": "mine"})
    assert engine.model("mini") == ("mini", None, "mini")
    assert engine.model("sd15") == ("/models/sd15", "mine", "sd15")
    assert engine.model("mini") is engine.model("mini")
    with pytest.raises(InputError, match="choose mini, sd15"):
        engine.model("/etc")
    engine.close()


def hold(engine: Engine, slow: bool = False) -> threading.Event:
    """Keep a thread at work until the event is set."""
    free, there = threading.Event(), threading.Event()

    def work(job: Job) -> None:
        there.set()
        free.wait(10)

    engine.run("holder", work, slow)
    there.wait(10)
    return free


def test_what_is_quick_does_not_wait_for_what_is_slow(engine: Engine) -> None:
    free = hold(engine, slow=True)
    assert engine.run("a", lambda job: 7).result(5) == 7 and engine.frame(lambda: 8).result(5) == 8
    waiting = engine.run("a", lambda job: 9, slow=True)
    time.sleep(0.05)
    assert not waiting.done()
    free.set()
    assert waiting.result(5) == 9


def test_too_many_are_refused_and_a_stopped_one_never_starts(engine: Engine) -> None:
    free, started = hold(engine), []
    waiting = [engine.run(k, lambda job: started.append(1)) for k in range(3)]
    with pytest.raises(Full):
        engine.run("late", lambda job: None)
    assert engine.stop(1) == 1 and engine.stop("nobody") == 0
    free.set()
    with pytest.raises(Cancelled):
        waiting[1].result(5)
    waiting[2].result(5)
    assert len(started) == 2
    engine.run("late", lambda job: None).result(5)


def test_a_job_has_an_end(engine: Engine) -> None:
    engine.seconds = 0.01

    def work(job: Job) -> None:
        while True:
            time.sleep(0.02)
            job.check()

    with pytest.raises(InputError, match="longer than 0.01 seconds"):
        engine.run("a", work).result(5)
    with pytest.raises(ZeroDivisionError):
        engine.run("a", lambda job: 1 / 0).result(5)
    assert engine.run("a", lambda job: 1).result(5) == 1


def test_the_last_photos_are_kept_ready(engine: Engine) -> None:
    made: list[int] = []
    for key in (*range(9), 8, 0):
        engine.seat(key, lambda key=key: made.append(key))  # type: ignore[misc]
    assert made == [*range(9), 0]


def test_live_frames_have_the_watermark_and_say_whether_a_face_is_seen() -> None:
    pytest.importorskip("av")
    import io

    import numpy as np
    from PIL import Image

    from mien.pipelines.photo import PhotoPipeline
    from mien.pipelines.photo_film import Puppet
    from mien.provenance import watermark
    from mien.studio.actions import jpeg
    from mien.studio.live import Mirror
    from tests.studio.conftest import FACE, SMILE

    photo, smile = (Image.open(path).convert("RGB") for path in (FACE, SMILE))
    mirror = Mirror(Puppet(PhotoPipeline().sit(photo)))
    assert not mirror(jpeg(np.full((240, 320, 3), 128, np.uint8)))[1]
    shown, seen = mirror(jpeg(smile))
    assert seen and watermark.find(Image.open(io.BytesIO(shown))).found
