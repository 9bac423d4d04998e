"""What a run writes while it goes: log.csv (step, name, value), sheets/, and TensorBoard's files where asked for."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path

import numpy as np
from accelerate import Accelerator
from PIL import Image

from mien.files import write_text
from mien.training.checkpoint import write_errors


class Means:
    """Means of what steps report since they were last taken; steps that leave a name out do not count for it. `sums`:
    name → (sum, count); in checkpoints, so that a resumed run reports the same means."""

    def __init__(self) -> None:
        self.sums: dict[str, tuple[float, int]] = {}

    def add(self, values: Mapping[str, float]) -> None:
        for key, value in values.items():
            total, count = self.sums.get(key, (0.0, 0))
            self.sums[key] = (total + value, count + 1)

    def take(self) -> dict[str, float]:
        """The means; starts anew."""
        means = {key: total / count for key, (total, count) in self.sums.items()}
        self.sums = {}
        return means


class Journal:
    """The main process's files; other processes write nothing. What a killed run logged after `start` is dropped."""

    def __init__(self, accelerator: Accelerator, folder: Path, start: int) -> None:
        self.accelerator, self.folder = accelerator, folder
        self.path = folder / "log.csv"
        if accelerator.is_main_process and self.path.is_file():
            lines = self.path.read_text().splitlines(keepends=True)
            kept = [line for line in lines if line.endswith("\n") and int(line.split(",")[0]) <= start]
            if kept != lines:
                write_text(self.path, "".join(kept))

    def write(self, step: int, values: Mapping[str, float], sheet: Image.Image | None = None) -> None:
        """Numbers, and perhaps a picture, of a step."""
        if not self.accelerator.is_main_process:
            return
        with write_errors(self.folder):
            self.folder.mkdir(parents=True, exist_ok=True)
            with self.path.open("a") as file:
                file.writelines(f"{step},{key},{value:.6g}\n" for key, value in values.items())
            if sheet is not None:
                (self.folder / "sheets").mkdir(exist_ok=True)
                sheet.save(self.folder / "sheets" / f"{step:07d}.png")
        self.accelerator.log(dict(values), step=step)
        if sheet is not None:
            for tracker in self.accelerator.trackers:
                picture = np.asarray(sheet.convert("RGB"))[None]
                tracker.log_images({"sheet": picture}, step, dataformats="NHWC")
