"""Slices: killed and run again they are the same bits; time, sizes and what travels keep their limits."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path

import pytest
import torch
from safetensors.torch import load_file

from mien.training.slices.__main__ import main
from mien.training.slices.loads import write_loads
from mien.training.slices.prepare import prepare, take
from mien.training.slices.run import run
from mien.training.slices.state import MOMENTS, PART_BYTES, read_about, read_whole, unpack
from mien.types import InputError
from tests.training.slices_set import (
    autoencoder_recipe,
    base_recipe,
    save_autoencoder,
    save_base,
    save_prepared,
    save_sets,
    write_recipe,
)

ROOT = Path(__file__).parents[2]
# Of the packages that the project needs, those that a machine with PyTorch does not usually have.
ABSENT = ("omegaconf", "antlr4", "dlib", "_dlib_pybind11", "mediapipe")


@pytest.fixture(autouse=True)
def one_thread() -> Iterator[None]:
    """Sums of several threads differ in their last bits from those of one."""
    before = torch.get_num_threads()
    torch.set_num_threads(1)
    yield
    torch.set_num_threads(before)


@pytest.fixture(scope="module")
def sets(tmp_path_factory: pytest.TempPathFactory) -> Path:
    cache = tmp_path_factory.mktemp("prepared")
    save_sets(cache)
    save_prepared(cache, "renders-holdout", ["head00000001-0", "head00000002-0", "head00000003-0"], seed=50)
    return cache


@pytest.fixture
def folder(sets: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A prepared folder of the tiny autoencoder."""
    monkeypatch.setenv("MIEN_CACHE", str(sets))
    recipe = autoencoder_recipe(tmp_path / "ae.yaml", save_autoencoder(tmp_path / "start"))
    prepare(recipe, [], tmp_path / "ae")
    return tmp_path / "ae"


class Ticks:
    """A clock that goes on by 10 ms whenever it is read: how far a slice comes is not the machine's load's choice."""

    def __init__(self) -> None:
        self.now = 0.0

    def monotonic(self) -> float:
        self.now += 0.01
        return self.now


@pytest.fixture
def ticks(monkeypatch: pytest.MonkeyPatch) -> Ticks:
    """The slices' clock."""
    clock = Ticks()
    monkeypatch.setattr("mien.training.slices.run.time", clock)
    return clock


def files(state: Path) -> dict[str, str]:
    return read_about(state)["files"]


def test_slices_learn_and_hand_over(folder: Path, tmp_path: Path) -> None:
    first = run(folder, tmp_path / "one", plan=30, seconds=600)
    take(folder, tmp_path / "one")
    second = run(folder, tmp_path / "two", plan=30, seconds=600)
    assert [first["slice"], second["slice"]] == [1, 2]
    curve = [numbers["held_out_psnr"] for _, numbers in first["curve"]]
    assert len(curve) == 3 and curve[-1] > curve[0] + 1 and first["kept_step"] == 30
    # The second goes on where the first ended, but for float16.
    assert second["curve"][0][1]["held_out_psnr"] == pytest.approx(curve[-1], abs=0.01)
    history = read_about(tmp_path / "two")["history"]
    assert [entry["images"] for entry in history] == [60, 60]
    main(["export", str(tmp_path / "two"), str(tmp_path / "export")])
    exported = load_file(tmp_path / "export" / "diffusion_pytorch_model.safetensors")
    assert {value.dtype for value in exported.values()} == {torch.float16}
    assert not (tmp_path / "export" / MOMENTS).exists()


def test_killed_and_run_again_is_the_same_to_the_last_bit(folder: Path, tmp_path: Path) -> None:
    """In one process and uncut; and each slice in a process of its own, the second killed on its way."""
    run(folder, tmp_path / "one", plan=6, seconds=600)
    run(folder, tmp_path / "two", start=tmp_path / "one", plan=6, seconds=600)
    environment = {**os.environ, "PYTHONPATH": str(ROOT / "src"), "OMP_NUM_THREADS": "1"}

    def command(start: Path, out: Path, plan: int) -> list[str]:
        words = [sys.executable, "-m", "mien.training.slices", "run", str(folder), "--seconds", "600"]
        return [*words, "--start", str(start), "--out", str(out), "--plan", str(plan), "--threads", "1"]

    subprocess.run(command(folder / "state", tmp_path / "own", 6), env=environment, check=True)
    assert files(tmp_path / "own") == files(tmp_path / "one")
    cut = subprocess.Popen(command(tmp_path / "own", tmp_path / "again", 100_000), env=environment)
    until = time.monotonic() + 300
    while not (tmp_path / "again" / "state.json").is_file() and time.monotonic() < until:
        time.sleep(0.05)
    time.sleep(0.3)
    cut.send_signal(signal.SIGKILL)
    cut.wait()
    read_whole(tmp_path / "again")  # what a killed slice leaves can be gone on from
    subprocess.run(command(tmp_path / "own", tmp_path / "again", 6), env=environment, check=True)
    assert files(tmp_path / "again") == files(tmp_path / "two")
    assert files(tmp_path / "two") != files(tmp_path / "one")


def test_time_is_kept_and_a_cut_slice_can_be_repeated(folder: Path, tmp_path: Path, ticks: Ticks) -> None:
    """A plan that does not fit is cut off by the clock, not by a kill; repeated by its steps it is the same."""
    began = ticks.monotonic()
    cut = run(folder, tmp_path / "cut", seconds=0.6, began=began, plan=1_000_000)
    assert ticks.now - began < 0.6
    assert 1 < cut["steps"] < 1_000_000
    assert cut["curve"][-1][0] == cut["images"]
    run(folder, tmp_path / "same", seconds=600, plan=1_000_000, stop=cut["steps"])
    assert files(tmp_path / "same") == files(tmp_path / "cut")
    with pytest.raises(InputError, match="too few"):
        run(folder, tmp_path / "none", seconds=0.01)


def test_a_plan_is_made_from_the_first_steps(folder: Path, tmp_path: Path, ticks: Ticks) -> None:
    entry = run(folder, tmp_path / "out", seconds=4)
    assert entry["plan"] is not None and entry["steps"] <= entry["plan"]
    repeated = run(folder, tmp_path / "same", seconds=600, plan=entry["plan"], stop=entry["steps"])
    assert repeated["training"] == entry["training"]
    assert files(tmp_path / "same") == files(tmp_path / "out")


def test_of_a_slices_states_the_best_is_handed_on(folder: Path, tmp_path: Path) -> None:
    settings = json.loads((folder / "recipe.json").read_text())
    settings["loop"]["lr"] = 0.0
    settings["loop"]["weight_decay"] = 0.0
    (folder / "recipe.json").write_text(json.dumps(settings))
    entry = run(folder, tmp_path / "out", plan=4, seconds=600)
    assert entry["kept_step"] == 2 and entry["steps"] == 4  # what is no better is not kept
    assert read_about(tmp_path / "out")["history"][-1] == entry
    before, after = tmp_path / "before", tmp_path / "after"
    unpack(folder / "state", before)
    unpack(tmp_path / "out", after)
    name = "diffusion_pytorch_model.safetensors"
    for key, value in load_file(before / name).items():
        assert torch.equal(value, load_file(after / name)[key])


def test_a_state_of_another_run_is_refused(folder: Path, tmp_path: Path) -> None:
    run(folder, tmp_path / "a", plan=1, seconds=600)
    take(folder, tmp_path / "a")
    run(folder, tmp_path / "c", start=tmp_path / "a", plan=1, seconds=600)
    other = read_about(tmp_path / "c")
    other["history"][0]["steps"] = 7
    (tmp_path / "c" / "state.json").write_text(json.dumps(other))
    with pytest.raises(InputError, match="does not follow"):
        take(folder, tmp_path / "c")
    assert files(folder / "slices" / "0001") == files(tmp_path / "a") == files(folder / "state")
    (part,) = (tmp_path / "a").glob("part-00-*.bin")
    part.write_bytes(b"x" + part.read_bytes()[1:])
    with pytest.raises(InputError, match="damaged"):
        run(folder, tmp_path / "b", start=tmp_path / "a", plan=1, seconds=600)
    part.unlink()
    with pytest.raises(InputError, match="not whole"):
        take(folder, tmp_path / "a")


def test_going_back_to_an_earlier_state(folder: Path, tmp_path: Path) -> None:
    for name, plan in (("one", 1), ("two", 1)):
        run(folder, tmp_path / name, plan=plan, seconds=600)
        take(folder, tmp_path / name)
    assert take(folder, folder / "slices" / "0001")["slice"] == 1
    assert files(folder / "state") == files(tmp_path / "one")
    run(folder, tmp_path / "other", plan=2, seconds=600)
    assert take(folder, tmp_path / "other")["slice"] == 2
    assert files(folder / "slices" / "0002") == files(tmp_path / "other") == files(folder / "state")
    assert files(folder / "slices" / "0002.left") == files(tmp_path / "two")


def test_base_runs_from_its_loads_without_what_a_lent_machine_lacks(
    sets: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The whole way: prepare, loads laid over one another, two steps in a process that has nothing else, take."""
    monkeypatch.setenv("MIEN_CACHE", str(sets))
    home = tmp_path / "home"
    prepare(base_recipe(tmp_path / "base.yaml", save_base(tmp_path / "start")), [], home)
    limit = 12 * 10**6
    loads = write_loads(home, tmp_path / "loads", limit)
    assert len(loads) > 1 and all(size <= limit for _, size in loads)
    there = tmp_path / "there"
    for place, _ in loads:
        for path in (p for p in place.rglob("*") if p.is_file()):
            target = there / path.relative_to(place)
            assert not target.exists()
            target.parent.mkdir(parents=True, exist_ok=True)
            path.rename(target)
    assert not list((there / "code").rglob("*.safetensors"))
    blocker = tmp_path / "sitecustomize.py"
    blocker.write_text(
        "import sys\nclass No:\n"
        f"    def find_spec(self, name, path=None, target=None):\n        if name.split('.')[0] in {ABSENT}:\n"
        "            raise ModuleNotFoundError(name, name=name)\nsys.meta_path.insert(0, No())\n"
    )
    environment = {k: v for k, v in os.environ.items() if not k.startswith("MIEN")}
    environment |= {"PYTHONPATH": f"{there / 'code'}:{tmp_path}", "OMP_NUM_THREADS": "1"}
    out = tmp_path / "out"
    words = [
        sys.executable,
        "-m",
        "mien.training.slices",
        "run",
        str(there),
        "--out",
        str(out),
        "--plan",
        "2",
    ]
    subprocess.run(words, env=environment, cwd=tmp_path, check=True)
    back = list(out.iterdir())
    assert len(back) <= 8 and all(path.stat().st_size <= PART_BYTES for path in back)
    entry = take(home, out)
    assert entry["steps"] == 2 and set(entry["training"]) >= {"loss"}
    unpack(home / "state", tmp_path / "state")
    assert (tmp_path / "state" / "adapter" / "adapter.json").is_file()
    assert not (tmp_path / "state" / "vae").exists()
    assert str(tmp_path) not in (tmp_path / "state" / "unet" / "config.json").read_text()


def test_a_stage_that_makes_its_own_batches(
    sets: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The recogniser on prepared sets that are unpacked where the slice runs."""
    monkeypatch.setenv("MIEN_CACHE", str(sets))
    from mien.encoders.identity import Recogniser
    from mien.face.network import save_network

    torch.manual_seed(0)
    network = Recogniser((8, 8, 8, 8), (0, 0, 0, 0))
    (tmp_path / "start").mkdir()
    save_network(network, tmp_path / "start" / "recogniser.safetensors", network.config)
    slices = {
        "start": str(tmp_path / "start"),
        "sets": {"utkface-adults": 1.0},
        "columns": ["embedding"],
        "held": {"utkface-adults": 4},
        "watch": "utkface-adults_error",
        "validations": 1,
        "keep": "last",
    }
    args = {"weights": {"utkface-adults": 1.0}, "init": "{start}/recogniser.safetensors"}
    loop = {"batch_size": 4, "workers": 2, "precision": "fp32"}
    prepare(write_recipe(tmp_path / "r.yaml", "recogniser", loop, args, slices), [], tmp_path / "r")
    entry = run(tmp_path / "r", tmp_path / "out", plan=2, seconds=600)
    assert entry["training"]["error"] > 0
    assert "MIEN_CACHE" in os.environ and os.environ["MIEN_CACHE"] == str(sets)
    unpack(tmp_path / "out", tmp_path / "state")
    before = load_file(tmp_path / "start" / "recogniser.safetensors")
    after = load_file(tmp_path / "state" / "recogniser.safetensors")
    assert before.keys() == after.keys()
    assert any(not torch.equal(before[key], after[key]) for key in before)
