"""A loaded pipeline, the faces in the pictures it was shown, and the scores of the portraits it makes."""

from __future__ import annotations

import hashlib
import warnings
from collections.abc import Callable, Sequence
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import Any

import diffusers.utils.logging
from PIL import Image

from mien.backbones import SPECS, load_backbone
from mien.cli.console import choice, say
from mien.cli.generate import Wish
from mien.images import read_image
from mien.metrics.scoring import Observation, load_scorer
from mien.pipelines.inputs import choose_face
from mien.pipelines.portrait import PortraitPipeline
from mien.types import Face


@dataclass(frozen=True)
class Subject:
    """A picture, and what the scorer saw of the face in it that is meant."""

    image: Image.Image
    seen: Observation


class Portraits:
    """One pipeline for many portraits; a picture that comes again is analysed once.

    Args:
        wish: of every portrait. The others are those of ``mien.load``.
    """

    def __init__(self, wish: Wish, backbone: str, device: str, dtype: str, adapter: str | None) -> None:
        if "/" not in backbone and not Path(backbone).is_dir():
            choice(backbone, SPECS, "backbone")
        diffusers.utils.logging.disable_progress_bar()  # loading takes a second
        loaded = load_backbone(backbone, device, dtype, adapter)
        self.wish = wish
        self.pipe = PortraitPipeline(loaded, loaded.load_adapter(), analyze=self.faces)
        scorer = load_scorer()
        self._analyse = scorer.analyse
        self._scorer = replace(scorer, analyse=self.faces)
        self._known: dict[bytes, Sequence[Face]] = {}
        self._said: set[Path] = set()

    @property
    def settings(self) -> dict[str, Any]:
        """Every setting that all portraits of the run share, as JSON values; folders without their path."""
        loaded = self.pipe.backbone
        steps, guidance = self.wish.steps, self.wish.guidance
        return {
            **asdict(self.wish),
            "steps": self.pipe.steps if steps is None else steps,
            "guidance": self.pipe.guidance if guidance is None else guidance,
            "backbone": Path(loaded.name).name if Path(loaded.name).is_dir() else loaded.name,
            "scheduler": type(self.pipe.scheduler).__name__,
            "device": loaded.device.type,
            "dtype": str(loaded.precision).removeprefix("torch."),
        }

    def faces(self, image: Image.Image) -> Sequence[Face]:
        """The faces of a PIL RGB picture, largest first."""
        key = hashlib.sha256(repr(image.size).encode() + image.tobytes()).digest()
        if key not in self._known:
            self._known[key] = self._analyse(image)
        return self._known[key]

    def look(self, path: Path, option: str, image: Image.Image | None = None) -> Subject:
        """Find the face that is meant in a picture; says so, once a picture, where the largest was taken.

        Args:
            path: of the picture. image: it, if it has been read.
            option: the field of `Wish` that says which face: "face" or "expression_face".

        Raises:
            InputError: the picture cannot be read, or has no such face.
        """
        image = read_image(path) if image is None else image
        which = getattr(self.wish, option)
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # the note below names the option of the command line
            face = choose_face(self.faces(image), which, str(path))
        if which == "largest" and len(self.faces(image)) > 1 and path not in self._said:
            self._said.add(path)
            flag = f"--{option.replace('_', '-')}"
            count = len(self.faces(image))
            say(f"mien: {path} shows {count} faces, the largest is used: {flag} left, right or N chooses.")
        return Subject(image, self._scorer.observe_face(image, face, len(self.faces(image))))

    def make(
        self,
        pairs: Sequence[tuple[Subject, Subject]],
        prompts: Sequence[str],
        seeds: Sequence[int],
        callback: Callable[[int, int, Any], None] | None = None,
    ) -> list[Image.Image]:
        """Portraits of (identity, expression) pairs in one batch, `wish.num_images` of each side by side."""
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # `look` has said it
            return self.pipe(
                identity=[identity.image for identity, _ in pairs],
                expression=[expression.image for _, expression in pairs],
                prompt=list(prompts),
                seed=list(seeds),
                batch_size=len(pairs) * self.wish.num_images,
                callback=callback,
                **asdict(self.wish),
            )

    def score(self, portrait: Image.Image, identity: Subject, expression: Subject) -> dict[str, float | None]:
        """Its metrics, by their names in ``mien.metrics.registry``; all None if it shows no face."""
        seen = self._scorer.observe(portrait)
        if seen is None:
            itself = self._scorer.compare(identity.seen, identity.seen, expression.seen)
            return dict.fromkeys(itself)
        return dict(self._scorer.compare(seen, identity.seen, expression.seen))
