"""The model's thread: one job at a time, stopped when asked, limited in time, alive after an error."""

from __future__ import annotations

import os
import threading
import time
from pathlib import Path
from typing import Any

import pytest

from mien.studio.engine import Engine, Job
from mien.types import InputError


@pytest.fixture
def engine(tmp_path: Path) -> Any:
    """Without models."""
    engine = Engine(tmp_path, {"mini": "mini"}, seconds=60)
    yield engine
    engine.close()


def test_a_model_is_loaded_with_the_adapter_that_goes_with_it(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def made(backbone: str, device: str, dtype: str, adapter: str | None, name: str) -> Any:
        return backbone, adapter, name

    monkeypatch.setattr("mien.making.model.Model", made)
    engine = Engine(tmp_path, {"mini": "mini", "sd15": "/models/sd15"}, adapters={"sd15": "mine"})
    try:
        assert engine.model("mini") == ("mini", None, "mini")
        assert engine.model("sd15") == ("/models/sd15", "mine", "sd15")
        assert engine.model("mini") is engine.model("mini")  # for all panels
    finally:
        engine.close()


def last(steps: Any) -> Any:
    return list(steps)[-1]


def test_jobs_never_overlap(engine: Engine) -> None:
    inside, most, results = 0, 0, []

    def work(job: Job) -> int:
        nonlocal inside, most
        inside += 1
        most = max(most, inside)
        time.sleep(0.02)
        inside -= 1
        return 7

    users = [
        threading.Thread(target=lambda k=k: results.append(last(engine.run(str(k), work)))) for k in range(8)
    ]
    for user in users:
        user.start()
    for user in users:
        user.join()
    assert most == 1 and results == [7] * 8


def test_a_stopped_job_ends_and_another_sessions_does_not(engine: Engine) -> None:
    running = threading.Event()

    def work(job: Job) -> None:
        running.set()
        while True:
            job.check()
            time.sleep(0.01)

    def press() -> None:
        running.wait()
        assert engine.stop("somebody else") == 0
        assert engine.stop("me") == 1

    threading.Thread(target=press).start()
    with pytest.raises(InputError, match="stopped"):
        last(engine.run("me", work))
    assert last(engine.run("me", lambda job: "next")) == "next"


def test_a_job_has_a_time_limit(tmp_path: Path) -> None:
    engine = Engine(tmp_path, {}, seconds=0.05)

    def work(job: Job) -> None:
        while True:
            job.check()
            time.sleep(0.01)

    with pytest.raises(InputError, match=r"longer than 0\.05 seconds"):
        last(engine.run("me", work))
    engine.close()


def test_a_page_that_goes_away_stops_its_job(engine: Engine) -> None:
    stopped = threading.Event()

    def work(job: Job) -> None:
        from mien.studio.engine import Step

        job.updates.put(Step(1, 2, None))
        job.cancelled.wait(30)
        stopped.set()

    steps = engine.run("me", work)
    assert next(steps).step == 1
    steps.close()
    assert stopped.wait(30)


def test_a_models_error_is_the_jobs_alone(engine: Engine) -> None:
    def work(job: Job) -> None:
        raise RuntimeError("out of memory")

    with pytest.raises(RuntimeError):
        last(engine.run("me", work))
    assert last(engine.run("me", lambda job: 1)) == 1


def test_unknown_backbones_are_refused(engine: Engine) -> None:
    with pytest.raises(InputError, match="choose mini"):
        engine.model("../../etc")


def test_old_results_are_removed_and_nothing_else(engine: Engine, tmp_path: Path) -> None:
    outside = tmp_path.parent / "outside.png"
    outside.write_bytes(b"kept")
    old, link = engine.new_folder("me"), tmp_path / "link"
    (old / "portrait.png").write_bytes(b"old")
    link.symlink_to(outside)
    for path in (old, link):
        os.utime(path, (1, 1), follow_symlinks=False)
    young = engine.new_folder("me")  # sweeps
    assert not old.exists() and not link.is_symlink()
    assert young.is_dir() and outside.read_bytes() == b"kept"


def test_names_of_results_cannot_be_guessed(engine: Engine) -> None:
    names = {engine.new_folder("me").name for _ in range(16)}
    assert len(names) == 16 and all(len(name) == 32 for name in names)
    assert all(oct((engine.folder / name).stat().st_mode)[-3:] == "700" for name in names)
