"""One slice: from a state, for so many seconds all in, to the next state. On a GPU if there is one, else on the CPU.

Its length is settled once, from the speed of its first steps (its *plan*, in steps), so the learning rate's fall and
the validations depend on steps and not on the clock; the clock can only cut it off. A slice that is told the same plan
takes the same steps again.
"""

from __future__ import annotations

import math
import os
import shutil
import tempfile
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

import torch
from torch import Tensor, nn

from mien.encoders.expression import EmbeddedExpression
from mien.encoders.identity import EmbeddedIdentity, load_recogniser
from mien.face.network import load_analyser
from mien.training.loop import (
    Ema,
    attention_on,
    learning_rate_factor,
    make_batches,
    make_optimizer,
    named_trainable,
)
from mien.training.precision import bfloat16_pays
from mien.training.slices import recipe, state
from mien.training.slices.feed import Jitter, Pixels, Portraits
from mien.training.slices.pictures import read_shards, write_prepared
from mien.types import InputError

STATE, PARTS, PICTURES, HELD = "state", "parts", "pictures", "held"  # folders of a prepared one
WARM = 3  # first steps, which are slower than the rest
CALIBRATION = 0.04  # share of the time after which a plan is made
SAFETY = 0.97  # of the steps that would just fit
ENDING = 0.02  # of the time, for the process to end


@dataclass
class Clock:
    """Seconds of a slice, from the start of its process: `began` is of `time.monotonic`."""

    seconds: float
    began: float

    def spent(self) -> float:
        return time.monotonic() - self.began

    def left(self) -> float:
        return self.seconds - self.spent()


@dataclass
class _Slice:
    """What grows while a slice runs. `curve`: [step, numbers of the validation]; `cost`: seconds of a validation with
    its saving; `plan`: steps, None before it is made."""

    plan: int | None
    stop: int | None
    cost: float = 0.0
    curve: list[tuple[int, dict[str, float]]] = field(default_factory=list)
    losses: dict[str, tuple[float, int]] = field(default_factory=dict)


def run(
    folder: Path,
    out: Path,
    seconds: float = 540.0,
    began: float | None = None,
    start: Path | None = None,
    plan: int | None = None,
    stop: int | None = None,
    device: str = "auto",
    tell: Callable[[str], None] = print,
) -> dict[str, Any]:
    """Train one slice and write the state it ends with into `out`.

    Args:
        folder: made by `prepare`. out: for the new state; whatever else is there stays.
        seconds: for everything, from `began` (of `time.monotonic`; None: now) to the last byte written.
        start: state to go on from; None: ``folder/state``.
        plan: steps that the learning rate and the validations are laid out for; None: as many as will fit.
        stop: last step, where a slice that the clock cut off is to be repeated.
        device: "auto", "cpu" or "cuda".

    Returns:
        The slice's entry in the history: see docs/slices.md.

    Raises:
        InputError: the folder or a state is not whole, or the time is too short for a single step.
        FloatingPointError: the loss is not finite; the last state that was written is good.
    """
    clock = Clock(seconds, time.monotonic() if began is None else began)
    settings = recipe.load(folder)
    place = torch.device(
        "cuda" if device == "auto" and torch.cuda.is_available() else device.replace("auto", "cpu")
    )
    torch.set_float32_matmul_precision("high")
    with tempfile.TemporaryDirectory(prefix="slice-") as name:
        work = Path(name)
        begun, factors = state.unpack(start or folder / STATE, work / "start")
        for entry in set(settings.slices.leave) & settings.slices.parts.keys():
            shutil.copytree(folder / PARTS / entry, work / "start" / entry)
        pictures = read_shards(sorted((folder / PICTURES).glob("*.npz")))
        held = read_shards(sorted((folder / HELD).glob("*.npz")))
        with _cache(work / "cache"):
            write_prepared([*held, *(pictures if settings.slices.feed == "stage" else [])], work / "cache")
            stage = settings.make_stage(work / "start", folder / PARTS)
            for module in stage.modules().values():
                module.to(place)
            source = _feed(settings, stage, pictures, folder, place)
            history = [dict(entry) for entry in begun["history"]]
            runner = _Runner(settings, stage, source, place, clock, history, out, work / "start", tell)
            return runner.run(factors, _Slice(2**40 if plan is None and stop else plan, stop))


@contextmanager
def _cache(folder: Path) -> Iterator[None]:
    """Stages find their prepared sets in `folder`."""
    before = os.environ.get("MIEN_CACHE")
    os.environ["MIEN_CACHE"] = str(folder)
    try:
        yield
    finally:
        if before is None:
            del os.environ["MIEN_CACHE"]
        else:
            os.environ["MIEN_CACHE"] = before


def _feed(
    settings: recipe.SliceRecipe, stage: Any, pictures: list[Any], folder: Path, place: torch.device
) -> Any:
    own = settings.slices
    if own.feed == "stage":
        return stage
    if own.feed == "pixels":
        return Pixels(pictures, own.sets, place)
    encoders = folder / PARTS / "face"
    identity = EmbeddedIdentity(load_recogniser(encoders / "recogniser.safetensors"), place)
    expression = EmbeddedExpression(load_analyser(encoders / "analyser.safetensors"), place)
    return Portraits(pictures, own.sets, stage.tokenizer, identity, expression, place, Jitter(**own.jitter))


class _Runner:
    """The steps of a slice, and what goes with them."""

    def __init__(
        self,
        settings: recipe.SliceRecipe,
        stage: Any,
        source: Any,
        place: torch.device,
        clock: Clock,
        history: list[dict[str, Any]],
        out: Path,
        start: Path,
        tell: Callable[[str], None],
    ) -> None:
        self.settings, self.stage, self.source, self.place = settings, stage, source, place
        self.clock, self.history, self.out, self.start, self.tell = clock, history, out, start, tell
        self.before = sum(entry["steps"] for entry in history)
        self.named = named_trainable(stage)
        self.optimizer = make_optimizer(settings.loop, list(self.named.values()))
        self.ema = Ema(self.named, settings.loop.ema)

    def run(self, factors: dict[str, Tensor], own: _Slice) -> dict[str, Any]:
        """All steps; returns the history's entry."""
        loop = self.settings.loop
        state.start_optimizer(self.optimizer, self.named, factors, self.before)
        self._dropout()
        self._validate(own, 0, None)
        best = (
            None  # where it began is no candidate: whether to take what a slice brought is its owner's choice
        )
        began, counted, pace = self.clock.spent(), 0, math.inf  # pace: seconds a step
        ahead = range(self.before * loop.accumulation, 2**40)
        batches = make_batches(self.source, loop, 0, ahead)
        step = 0
        while True:
            if own.plan is None and step - counted >= 2:
                pace = (self.clock.spent() - began) / (step - counted)
                if self.clock.spent() - began >= CALIBRATION * self.clock.left():
                    own.plan = self._plan(own, step, pace)
                    self.tell(f"{pace:.3g} s a step: {own.plan} steps in this slice")
            if self._over(own, step, own.cost if math.isinf(pace) else pace):
                break
            self._step(batches, step, own)
            step += 1
            if step == WARM:
                began, counted = self.clock.spent(), step
            if own.plan is not None and step in self._marks(own.plan) and step < own.plan:
                best = self._validate(own, step, best)
        if step == 0:
            raise InputError(f"{self.clock.seconds:.0f} seconds are too few for a step: give more.")
        self._validate(own, step, best)
        return self.entry

    def _plan(self, own: _Slice, step: int, pace: float) -> int:
        time_left = (
            self.clock.left() - ENDING * self.clock.seconds - self.settings.slices.validations * own.cost
        )
        return step + max(step, int(SAFETY * time_left / pace))  # no fall of the rate before the plan

    def _over(self, own: _Slice, step: int, pace: float) -> bool:
        if step in (own.plan, own.stop):
            return True
        return self.clock.left() < 1.2 * own.cost + 2 * pace + ENDING * self.clock.seconds

    def _marks(self, plan: int) -> set[int]:
        count = self.settings.slices.validations
        return {round(plan * k / count) for k in range(1, count + 1)}

    def _step(self, batches: Iterator[Any], step: int, own: _Slice) -> None:
        loop, stage = self.settings.loop, self.stage
        # Before there is a plan the rate is still rising or held, whatever the plan will be.
        layout = replace(loop, steps=own.plan or 2**40)
        for group in self.optimizer.param_groups:
            group["lr"] = loop.lr * learning_rate_factor(layout, step)
        for _ in range(loop.accumulation):
            batch, rng = next(batches)
            batch = {key: value.to(self.place) for key, value in batch.items()}
            torch.manual_seed(rng.initial_seed())  # dropout's
            with attention_on(self.place):
                with self._autocast():
                    loss, logs = stage.step(batch, rng)
                if not math.isfinite(loss.item()):
                    raise FloatingPointError(
                        f"the loss is not finite at step {step} of the slice; the state in {self.out} is good: "
                        "lower loop.lr"
                    )
                (loss / loop.accumulation).backward()
            for key, value in logs.items():
                total, count = own.losses.get(key, (0.0, 0))
                own.losses[key] = (total + value, count + 1)
        nn.utils.clip_grad_norm_(list(self.named.values()), loop.clip)
        self.optimizer.step()
        self.optimizer.zero_grad(set_to_none=True)
        self.ema.update(step)

    def _autocast(self) -> torch.autocast:
        wanted = self.settings.loop.precision == "bf16" and bfloat16_pays(self.place.type)
        return torch.autocast(self.place.type, torch.bfloat16, enabled=wanted)

    def _dropout(self) -> None:
        share = self.settings.slices.dropout
        for module in self._modules():
            if share and isinstance(module, nn.Dropout):
                module.p = share

    def _modules(self) -> Iterator[nn.Module]:
        for module in self.stage.modules().values():
            yield from module.modules()

    def _mode(self, training: bool) -> None:
        """Only dropout knows the difference here; stages with batch norm set their own."""
        for module in self._modules():
            if isinstance(module, nn.Dropout):
                module.train(training)

    def _validate(self, own: _Slice, step: int, best: float | None) -> float:
        """Numbers of the average at `step`; writes the state if it is to be kept, and returns the best number."""
        slices = self.settings.slices
        began = self.clock.spent()
        self._mode(False)
        self.ema.swap()
        try:
            with torch.no_grad(), self._autocast():
                numbers: Mapping[str, float] = self.stage.validate()[0]
            if slices.watch not in numbers:
                known = ", ".join(sorted(numbers))
                raise InputError(f"slices.watch is {slices.watch!r}, but the stage measures {known}.")
            own.curve.append((step, {key: float(value) for key, value in numbers.items()}))
            found = float(numbers[slices.watch])
            sign = 1 if slices.better == "lower" else -1
            better = best is None or slices.keep == "last" or sign * found < sign * best
            self.entry = self._entry(own, step)
            if better:
                self._save(step)
        finally:
            self.ema.swap()
        if not better:
            self._tell_history()
        self._mode(True)
        own.cost = max(own.cost, self.clock.spent() - began)
        self.tell(
            f"step {step}, {self.clock.spent():.0f} s: {slices.watch} {found:.5g}{'' if better else ', not kept'}"
        )
        return found if best is None or better else best

    def _save(self, step: int) -> None:
        slices = self.settings.slices
        self.entry["kept_step"] = step
        moments = state.second_moments(self.optimizer, self.named)
        with torch.autocast(self.place.type, enabled=False):
            state.write(
                self.out,
                self.stage.export,
                moments,
                {"history": [*self.history, self.entry]},
                self.start,
                slices.keep_files,
                slices.leave,
            )

    def _tell_history(self) -> None:
        """The parts stay those of the best step; what came after is told."""
        about = state.read_about(self.out)
        self.entry["kept_step"] = about["history"][-1]["kept_step"]
        state.write_about(self.out, {**about, "history": [*self.history, self.entry]})

    def _entry(self, own: _Slice, step: int) -> dict[str, Any]:
        loop = self.settings.loop
        images = loop.batch_size * loop.accumulation
        name = torch.cuda.get_device_name(self.place) if self.place.type == "cuda" else "cpu"
        return {
            "slice": len(self.history) + 1,
            "device": name,
            "torch": torch.__version__,
            "plan": own.plan if own.plan != 2**40 else None,
            "steps": step,
            "images": step * images,
            "batch": images,
            "lr": loop.lr,
            "seconds": round(self.clock.spent(), 1),
            "training": {key: total / count for key, (total, count) in own.losses.items()},
            "curve": [[at * images, numbers] for at, numbers in own.curve],
            "watch": self.settings.slices.watch,
            "better": self.settings.slices.better,
        }
