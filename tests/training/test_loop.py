"""The loop: learns, resumes on the same curve after kill -9, averages, stops at NaN with the last good state kept."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest
import torch
from safetensors.torch import load_file

from mien.training.checkpoint import find_checkpoint
from mien.training.loop import Ema, LoopConfig, learning_rate_factor, make_rng, train
from mien.types import InputError
from tests.training.regression import CONFIG, TRUTH, Regression


def losses(folder: Path) -> dict[int, float]:
    rows = [line.split(",") for line in (folder / "log.csv").read_text().splitlines()]
    return {int(step): float(value) for step, key, value in rows if key == "loss"}


def run(folder: Path, **changes: object) -> Regression:
    stage = Regression()
    train(stage, LoopConfig(**{**CONFIG, **changes}), folder, {"stage": "test"})  # type: ignore[arg-type]
    return stage


def test_learns_and_exports_the_average(tmp_path: Path) -> None:
    stage = run(tmp_path / "a")
    curve = losses(tmp_path / "a")
    assert curve[60] < 0.05 * curve[1]
    exported = load_file(tmp_path / "a" / "export" / "model.safetensors")["weight"]
    assert not torch.equal(exported, stage.model.weight)
    assert (exported - TRUTH).abs().max() < 0.3
    assert (tmp_path / "a" / "sheets" / "0000060.png").is_file()


def test_killed_and_resumed_is_the_same_curve(tmp_path: Path) -> None:
    run(tmp_path / "whole")
    folder = tmp_path / "killed"
    program = Path(__file__).with_name("regression.py")
    root = Path(__file__).parents[2]
    process = subprocess.Popen(
        [sys.executable, str(program), str(folder), "60", "0.05"],
        cwd=root,
        env={**os.environ, "PYTHONPATH": str(root)},
    )
    deadline = time.monotonic() + 120
    while find_checkpoint(folder) is None and time.monotonic() < deadline:
        time.sleep(0.02)
    process.send_signal(signal.SIGKILL)
    process.wait()
    assert find_checkpoint(folder) is not None
    run(folder)
    whole, resumed = losses(tmp_path / "whole"), losses(folder)
    assert resumed.keys() == whole.keys()
    assert max(abs(resumed[k] - whole[k]) for k in whole) < 1e-6


def test_stopped_in_time_and_resumed_is_the_same_curve(tmp_path: Path) -> None:
    """A run whose time is up after each step: a checkpoint every time, an export only at the end, nothing lost."""
    run(tmp_path / "whole", steps=6)
    folder, config = tmp_path / "timed", LoopConfig(**{**CONFIG, "steps": 6, "workers": 2})  # type: ignore[arg-type]
    for step in range(1, 7):
        assert not (folder / "export").exists()
        assert train(Regression(), config, folder, {}, until=0.0) == step
        assert f'"step": {step}' in (folder / "last" / "state.json").read_text()
    assert (folder / "export" / "model.safetensors").is_file()
    whole, timed = losses(tmp_path / "whole"), losses(folder)
    assert whole.keys() == timed.keys()
    assert max(abs(timed[k] - whole[k]) for k in whole) < 1e-6


@pytest.mark.slow
def test_two_processes_are_one_that_accumulates(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Each sees its own batches; averaged gradients keep the weights equal, and they are those of one process that
    accumulates both processes' batches."""
    program = Path(__file__).with_name("regression.py")
    root = Path(__file__).parents[2]
    # Standalone: on a port of the system's choice, which nobody else has.
    command = [sys.executable, "-m", "torch.distributed.run", "--standalone", "--nproc_per_node", "2"]
    environment = {**os.environ, "PYTHONPATH": str(root), "ACCELERATE_USE_CPU": "1", "OMP_NUM_THREADS": "1"}
    subprocess.run([*command, str(program), str(tmp_path), "60", "0"], cwd=root, env=environment, check=True)
    first, second = (load_file(tmp_path / f"rank{rank}.safetensors")["weight"] for rank in (0, 1))
    torch.testing.assert_close(first, second)

    def of_both(seed: int, process: int, part: int) -> torch.Generator:
        return make_rng(seed, part % 2, part // 2)

    monkeypatch.setattr("mien.training.loop.make_rng", of_both)
    monkeypatch.delenv("RANK", raising=False)
    alone = run(tmp_path / "alone", accumulation=2)
    torch.testing.assert_close(alone.model.weight.detach(), first, rtol=1e-5, atol=1e-6)


def test_accumulation_is_the_larger_batch_in_parts(tmp_path: Path) -> None:
    run(tmp_path / "b", accumulation=2, batch_size=4)
    assert losses(tmp_path / "b")[60] < 0.1


def test_nan_stops_and_keeps_the_last_good_checkpoint(tmp_path: Path) -> None:
    folder = tmp_path / "nan"
    with pytest.raises(FloatingPointError, match="step 12"):
        train(Regression(poison=12), LoopConfig(**CONFIG), folder, {})  # type: ignore[arg-type]
    checkpoint = find_checkpoint(folder)
    assert checkpoint is not None and '"step": 10' in (checkpoint / "state.json").read_text()
    assert torch.isfinite(load_file(checkpoint / "model.safetensors")["weight"]).all()


def test_gradient_that_is_not_finite_is_named(tmp_path: Path) -> None:
    stage = Regression()
    stage.model.weight.register_hook(lambda gradient: gradient * float("inf") if stage.seen > 7 else gradient)
    with pytest.raises(FloatingPointError, match="model.weight is not finite at step 7.*is good"):
        train(stage, LoopConfig(**CONFIG), tmp_path / "inf", {})  # type: ignore[arg-type]
    assert torch.isfinite(stage.model.weight).all()


def test_full_disk_is_one_sentence_and_nothing_is_lost(tmp_path: Path) -> None:
    """A process that may write files of 2 kB at most, by the system's own limit, once it has a checkpoint."""
    run(tmp_path, steps=5)
    last = {path.name: path.read_bytes() for path in (tmp_path / "last").iterdir()}
    program = (
        "import resource, signal, sys; from pathlib import Path; import torch\n"
        "from mien.training.loop import LoopConfig, train\n"
        "from tests.training.regression import CONFIG, Regression\n"
        "stage = Regression()\n"
        "stage.frozen.register_buffer('large', torch.zeros(4096))\n"
        "signal.signal(signal.SIGXFSZ, signal.SIG_IGN)\n"
        "resource.setrlimit(resource.RLIMIT_FSIZE, (2048, 2048))\n"
        "from mien.training import loop\n"
        "loop.load_checkpoint = lambda *given: (5, {})\n"
        "train(stage, LoopConfig(**CONFIG), Path(sys.argv[1]), {})\n"
    )
    root = Path(__file__).parents[2]
    process = subprocess.run(
        [sys.executable, "-c", program, str(tmp_path)],
        cwd=root,
        env={**os.environ, "PYTHONPATH": f"{root}:{root / 'src'}"},
        capture_output=True,
        text=True,
    )
    assert process.returncode == 1
    assert "InputError: Cannot write into" in process.stderr and "free some space" in process.stderr
    assert {path.name: path.read_bytes() for path in (tmp_path / "last").iterdir()} == last
    assert not (tmp_path / "writing").exists()
    run(tmp_path)
    assert losses(tmp_path)[60] < 0.1


def test_no_step_at_all_is_a_start_that_can_be_resumed(tmp_path: Path) -> None:
    run(tmp_path, steps=0)
    assert (tmp_path / "export" / "model.safetensors").is_file()
    run(tmp_path)
    assert losses(tmp_path)[60] < 0.1


def test_batches_made_ahead_give_the_same_curve(tmp_path: Path) -> None:
    run(tmp_path / "inline", accumulation=2)
    run(tmp_path / "ahead", accumulation=2, workers=3)
    assert losses(tmp_path / "ahead") == losses(tmp_path / "inline")


def test_logs_of_a_resumed_run_are_those_of_a_whole_one(tmp_path: Path) -> None:
    """Checkpoints every 5 steps, means over 7: a run cut at a checkpoint reports the same means, each step once."""
    run(tmp_path / "whole", log_every=7)
    folder = tmp_path / "cut"
    with pytest.raises(FloatingPointError):
        train(Regression(poison=13), LoopConfig(**{**CONFIG, "log_every": 7}), folder, {})  # type: ignore[arg-type]
    run(folder, log_every=7)
    whole, cut = losses(tmp_path / "whole"), losses(folder)
    assert cut.keys() == whole.keys() and 14 in whole
    assert max(abs(cut[k] - whole[k]) for k in whole) < 1e-6
    steps = [line.split(",")[0] for line in (folder / "log.csv").read_text().splitlines() if ",loss," in line]
    assert len(steps) == len(set(steps))


@pytest.mark.parametrize("kind", ["adam", "adamw"])
def test_optimizers_against_torch(tmp_path: Path, kind: str) -> None:
    """Three steps with decay, by the paper's betas, against torch's own class on the same gradients."""
    changes = {"steps": 3, "optimizer": kind, "weight_decay": 0.1, "betas": (0.5, 0.999), "warmup": 0}
    stage = run(tmp_path, **changes)
    twin = Regression()
    make = {"adam": torch.optim.Adam, "adamw": torch.optim.AdamW}[kind]
    optimizer = make(twin.model.parameters(), lr=0.05, betas=(0.5, 0.999), weight_decay=0.1)
    for step in range(3):
        rng = make_rng(0, 0, step)
        loss, _ = twin.step(twin.batch(8, rng), rng)
        optimizer.zero_grad()
        loss.backward()
        torch.nn.utils.clip_grad_norm_(twin.model.parameters(), 1.0)
        optimizer.step()
    torch.testing.assert_close(stage.model.weight, twin.model.weight)


def test_tensorboard_has_the_curves_and_the_sheet(tmp_path: Path) -> None:
    pytest.importorskip("tensorboard")
    from tensorboard.backend.event_processing.event_accumulator import EventAccumulator

    run(tmp_path, steps=4, tracker="tensorboard", validate_every=4)
    events = EventAccumulator(str(tmp_path / "tensorboard"), size_guidance={"images": 1})
    events.Reload()
    assert [event.step for event in events.Scalars("loss")] == [1, 2, 3, 4]
    assert "error" in events.Tags()["scalars"] and "sheet" in events.Tags()["images"]


@pytest.mark.parametrize(
    ("setting", "value"),
    [("precision", "fp8"), ("tracker", "diary"), ("optimizer", "sgd"), ("schedule", "odd")],
)
def test_unknown_settings_are_refused(tmp_path: Path, setting: str, value: str) -> None:
    with pytest.raises(InputError, match=value):
        run(tmp_path, **{setting: value})


@pytest.mark.parametrize(
    ("setting", "value"), [("batch_size", 0), ("log_every", 0), ("steps", -1), ("workers", -2)]
)
def test_counts_that_make_no_sense_are_refused(setting: str, value: int) -> None:
    with pytest.raises(InputError, match=f"loop.{setting} must be at least"):
        LoopConfig(**{setting: value})


def test_damaged_checkpoint_is_one_sentence(tmp_path: Path) -> None:
    run(tmp_path / "c", steps=10)
    (tmp_path / "c" / "last" / "model.safetensors").write_bytes(b"half")
    with pytest.raises(InputError, match="cannot be resumed"):
        run(tmp_path / "c", steps=20)


def test_ema_against_the_recursion() -> None:
    parameter = torch.nn.Parameter(torch.tensor([1.0]))
    ema = Ema({"p": parameter}, decay=0.5)
    expected = 1.0
    for step, value in enumerate([2.0, 3.0, -1.0]):
        parameter.data.fill_(value)
        ema.update(step)
        decay = min(0.5, (1 + step) / (10 + step))
        expected = decay * expected + (1 - decay) * value
    assert abs(float(ema.values["p"]) - expected) < 1e-6


@pytest.mark.parametrize(
    ("schedule", "step", "factor"), [("constant", 900, 1.0), ("cosine", 500, 0.5), ("hold-decay", 750, 0.5)]
)
def test_learning_rates(schedule: str, step: int, factor: float) -> None:
    config = LoopConfig(steps=1000, warmup=10, schedule=schedule)
    assert abs(learning_rate_factor(config, step) - factor) < 1e-9
    assert learning_rate_factor(config, 0) == pytest.approx(0.1, rel=1e-3)
