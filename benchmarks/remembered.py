"""What a scorer saw in a picture, kept in a file by the picture's bytes: inputs are looked at once and for all."""

from __future__ import annotations

import hashlib
from collections.abc import Sequence
from dataclasses import fields
from importlib.metadata import version
from pathlib import Path

import numpy as np
from PIL import Image

from mien.files import replacing
from mien.metrics.scoring import Observation, Scorer
from mien.types import Face, FloatArray

SAVED_EVERY = 100  # pictures, so that little is lost when a long run is stopped
FACE = tuple(field.name for field in fields(Face))


class Remembered:
    """A scorer with a memory. `save` writes it down; it also happens now and then by itself."""

    def __init__(self, scorer: Scorer, folder: Path) -> None:
        """folder: where the memory lies; its file is named after the judges' versions."""
        self.scorer = scorer
        judges = f"{scorer.analyser}{version('mediapipe')}-{scorer.recogniser}{version('dlib-bin')}"
        self.path = folder / f"seen-{judges}.npz"
        self._known: dict[str, dict[str, FloatArray]] = {}
        self._expressions: dict[str, FloatArray] = {}
        if self.path.is_file():
            with np.load(self.path, allow_pickle=False) as file:
                columns = {name: file[name] for name in file.files}
            expressions = columns.pop("expression_key"), columns.pop("expression")
            self._expressions = dict(zip(map(str, expressions[0]), expressions[1], strict=True))
            keys = columns.pop("key")
            for i, key in enumerate(keys):
                self._known[str(key)] = {name: column[i] for name, column in columns.items()}

    def compare(self, *seen: Observation) -> dict[str, float]:
        """As of the scorer."""
        return self.scorer.compare(*seen)

    def blendshapes(self, image: Image.Image) -> FloatArray | None:
        """[52] of the largest face, None if there is none; the recogniser is not asked."""
        key = _key(image)
        if key not in self._expressions:
            faces = self.scorer.analyse(image)
            self._expressions[key] = faces[0].blendshapes if faces else np.full(52, np.nan)
        values = self._expressions[key]
        return None if np.isnan(values).any() else values

    def observe(self, image: Image.Image | None) -> Observation | None:
        """Look at a picture; None: no picture, or no face in it."""
        if image is None:
            return None
        key = _key(image)
        if key not in self._known:
            self._known[key] = _numbers(self.scorer.observe(image))
            if len(self._known) % SAVED_EVERY == 0:
                self.save()
        numbers = self._known[key]
        if not numbers["faces"]:
            return None
        face = Face(**{name: _float(numbers[name]) for name in FACE})
        return Observation(
            face, numbers["identity"], numbers["direction"], numbers["appearance"], int(numbers["faces"])
        )

    def all(self, images: Sequence[Image.Image | None]) -> list[Observation | None]:
        """Look at each."""
        return [self.observe(image) for image in images]

    def save(self) -> None:
        """Write everything seen so far."""
        found = next((numbers for numbers in self._known.values() if numbers["faces"]), None)
        if found is None or not self._expressions:
            return
        blank = {name: np.zeros_like(value) for name, value in found.items()}
        rows = [{**blank, **numbers} for numbers in self._known.values()]
        columns = {name: np.stack([row[name] for row in rows]) for name in found}
        self.path.parent.mkdir(parents=True, exist_ok=True)
        with replacing(self.path) as temporary, open(temporary, "wb") as file:
            np.savez(
                file,
                allow_pickle=False,
                key=np.array(list(self._known)),
                expression_key=np.array(list(self._expressions)),
                expression=np.array(list(self._expressions.values())),
                **columns,
            )


def _key(image: Image.Image) -> str:
    return hashlib.sha256(f"{image.mode}{image.size}".encode() + image.tobytes()).hexdigest()[:32]


def _numbers(seen: Observation | None) -> dict[str, FloatArray]:
    if seen is None:
        return {"faces": np.array(0)}
    return {
        "faces": np.array(seen.faces),
        **{name: np.asarray(getattr(seen.face, name)) for name in FACE},
        **{name: np.asarray(getattr(seen, name)) for name in ("identity", "direction", "appearance")},
    }


def _float(value: FloatArray) -> FloatArray:
    return float(value) if np.ndim(value) == 0 else value  # type: ignore[return-value]
