"""A loaded pipeline, the faces in the pictures it was shown, and the scores of the portraits it makes."""

from __future__ import annotations

import warnings
from collections.abc import Callable, Sequence
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import Any

import diffusers.utils.logging
from PIL import Image

from mien.backbones import SPECS, find_folder, load_backbone
from mien.cli.console import choice, passed_on, say
from mien.cli.generate.wish import Wish
from mien.cli.making import Maker, describe, model_name
from mien.expressions import faces as shipped
from mien.expressions.reading import complete
from mien.expressions.spec import Expression
from mien.images import read_image
from mien.metrics import face as metrics
from mien.metrics.scoring import Observation, load_scorer
from mien.pipelines.inputs import choose_face
from mien.pipelines.portrait import PortraitPipeline
from mien.provenance import PARTLY_GENERATED, save_image
from mien.provenance.hashes import hash_pixels
from mien.sheets import sheet
from mien.types import Face, FloatArray


@dataclass(frozen=True)
class Subject:
    """A picture, and what the scorer saw of the face in it that is meant."""

    image: Image.Image
    seen: Observation


@dataclass(frozen=True)
class Target:
    """An expression that is wanted.

    Attributes:
        expression: what the pipeline is given; its pictures are read.
        blendshapes: [52] in [0, 1], what its parts come to.
        seen: of the picture, if one picture is all there is.
    """

    expression: Expression
    blendshapes: FloatArray
    seen: Observation | None

    @property
    def image(self) -> Image.Image:
        """Shows it: the picture itself, or the shipped face that is nearest."""
        drawn = shipped.illustrate(self.expression)
        return drawn if isinstance(drawn, Image.Image) else read_image(drawn)


class Portraits:
    """One pipeline for many portraits; a picture that comes again is analysed once.

    Args:
        wish: of every portrait. The others are those of ``mien.load``.
    """

    def __init__(self, wish: Wish, backbone: str, device: str, dtype: str, adapter: str | None) -> None:
        if "/" not in backbone and not Path(backbone).is_dir():
            choice(backbone, SPECS, "backbone")
        diffusers.utils.logging.disable_progress_bar()  # loading takes a second
        folder = find_folder(backbone)
        loaded = load_backbone(str(folder), device, dtype, adapter)
        loaded.name = model_name(backbone)
        self.wish = wish
        self.pipe = PortraitPipeline(loaded, loaded.load_controller(), analyze=self.faces)
        self.maker = Maker(loaded, folder, adapter)
        scorer = load_scorer()
        self._analyse = scorer.analyse
        self._scorer = replace(scorer, analyse=self.faces)
        self._known: dict[str, Sequence[Face]] = {}
        self._said: set[str] = set()

    @property
    def settings(self) -> dict[str, Any]:
        """Every setting that all portraits of the run share, as JSON values; folders without their path."""
        steps, guidance = self.wish.steps, self.wish.guidance
        return {
            "kind": "portrait",
            **asdict(self.wish),
            "steps": self.pipe.steps if steps is None else steps,
            "guidance": self.pipe.guidance if guidance is None else guidance,
            **self.maker.settings,
            "scheduler": type(self.pipe.scheduler).__name__,
        }

    def record(
        self, who: Subject, how: Target, image: Image.Image, salt: str, slot: int, batch: int
    ) -> dict[str, Any]:
        """What a portrait's metadata say beyond `settings`, for it to be made again.

        Args:
            who, how: what it was made of; their pictures leave nothing but salted fingerprints.
            image: the portrait. slot, batch: which image of how many in one batch it was.
        """
        inputs = {
            "salt": salt,
            "identity": hash_pixels(who.image, salt),
            "expression": describe(how.expression, salt),
        }
        return self.maker.record(inputs, image, slot, batch)

    def forget(self) -> None:
        """Forget the faces that were seen: for a server, whose next picture is somebody else's."""
        self._known.clear()
        self._said.clear()

    def faces(self, image: Image.Image) -> Sequence[Face]:
        """The faces of a PIL RGB picture, largest first."""
        key = hash_pixels(image)
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
        if which == "largest" and len(self.faces(image)) > 1 and str(path) not in self._said:
            self._said.add(str(path))
            flag = f"--{option.replace('_', '-')}"
            count = len(self.faces(image))
            say(f"mien: {path} shows {count} faces, the largest is used: {flag} left, right or N chooses.")
        return Subject(image, self._scorer.observe_face(image, face, len(self.faces(image))))

    def express(self, expression: Expression) -> Target:
        """Read the pictures of an expression and find their faces.

        Raises:
            InputError: a picture cannot be read, or has no such face.
        """
        parts, seen = [], None
        total = expression.rest * complete({})
        for part in expression.parts:
            if isinstance(part.picture, Path):
                subject = self.look(part.picture, "expression_face")
                part, seen = replace(part, picture=subject.image), subject.seen
                total = total + part.weight * seen.face.blendshapes
            else:
                total = total + part.weight * shipped.blendshapes(part)
            parts.append(part)
        read = replace(expression, parts=tuple(parts))
        return Target(read, total, seen if read.picture else None)

    def make(
        self,
        pairs: Sequence[tuple[Subject, Target]],
        prompts: Sequence[str],
        seeds: Sequence[int],
        callback: Callable[[int, int, Any], None] | None = None,
    ) -> list[Image.Image]:
        """Portraits of (identity, expression) pairs in one batch, `wish.num_images` of each side by side."""
        with passed_on(["the prompt "], self._said):  # what is said of faces, `look` has said
            return self.pipe(
                identity=[identity.image for identity, _ in pairs],
                expression=[target.expression for _, target in pairs],
                prompt=list(prompts),
                seed=list(seeds),
                batch_size=len(pairs) * self.wish.num_images,
                callback=callback,
                **asdict(self.wish),
            )

    def score(self, portrait: Image.Image, identity: Subject, target: Target) -> dict[str, float | None]:
        """Its metrics, by their names in ``mien.metrics.registry``; all None if it shows no face.

        An expression that is not a picture has no landmarks to compare with: what needs them is None.
        """
        seen = self._scorer.observe(portrait)
        reference = target.seen or identity.seen
        scores: dict[str, float | None] = dict(
            self._scorer.compare(seen or identity.seen, identity.seen, reference)
        )
        if seen is None:
            return dict.fromkeys(scores)
        if target.seen is None:
            of_both = [name for name in scores if name.startswith("copy_")]
            scores |= dict.fromkeys(["lms", "nearer_identity", *of_both])
            shapes = seen.face.blendshapes
            scores["exp"] = float(metrics.exp(target.blendshapes, shapes))
            scores["exp_sum"] = float(metrics.exp_sum(target.blendshapes, shapes))
        return scores


def save_strip(
    place: Path, who: Subject, how: Target, images: Sequence[Image.Image], settings: dict[str, Any]
) -> None:
    """Write identity | expression | result; it says of itself that a part of it was generated."""
    pictures = [("identity", who.image), ("expression", how.image)]
    drawn = sheet([[*pictures, *[("result", image) for image in images]]])
    save_image(drawn, place, {**settings, "kind": "strip"}, PARTLY_GENERATED)
