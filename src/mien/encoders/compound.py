"""Compound identity: what several recognisers say of one face, kept apart by name (DiffSFSR, section 3.1, "Identity").

One recogniser alone is too weak against the identity that is left in an expression embedding (DiffSFSR, Table 4).
`models.compound.CompoundProjection` makes tokens of each embedding and lays them side by side::

    who = compound(["recogniser", "dlib", "arcface"])
    project = CompoundProjection(who.widths, dim=768)
    tokens = project({name: part[None] for name, part in who(image, face).items()})  # [1, 12, 768]
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence

import torch
from PIL import Image
from torch import Tensor

from mien.encoders import dlib_recogniser
from mien.encoders.arcface import ArcFaceIdentity
from mien.encoders.dlib_recogniser import DlibRecogniser
from mien.encoders.identity import EmbeddedIdentity, EmbeddedRecogniser
from mien.encoders.standardise import standardise
from mien.errors import InputError, choice
from mien.types import Face, FaceEncoder


class DlibIdentity:
    """dlib's 128 numbers as a condition: standardised over the training faces, so that each has unit scale."""

    name = "dlib"
    width = 128

    def __init__(self, recogniser: DlibRecogniser | None = None) -> None:
        """recogniser: None is the one that `dlib_recogniser.load` finds."""
        self.recogniser = recogniser or dlib_recogniser.load()

    def __call__(self, image: Image.Image, face: Face) -> Tensor:
        """[128] float32 of one face of a PIL picture."""
        return standardise(self.recogniser(image, face), "identity")


class CompoundIdentity:
    """Several recognisers of one face, in the order given. name: theirs, joined by "+". widths: name → numbers of its
    embedding."""

    def __init__(self, encoders: Sequence[FaceEncoder]) -> None:
        names = [encoder.name for encoder in encoders]
        if not names:
            raise InputError("A compound identity of no recogniser says nothing: name at least one.")
        repeated = [name for name in names if names.count(name) > 1]
        if repeated:
            raise InputError(f"The recogniser {repeated[0]} is in the compound twice: name each once.")
        self.encoders = tuple(encoders)
        self.name = "+".join(names)
        self.widths = {encoder.name: encoder.width for encoder in encoders}

    def __call__(self, image: Image.Image, face: Face) -> dict[str, Tensor]:
        """Of one face of a PIL picture: name → [width] float32, in the order of `widths`."""
        return {encoder.name: encoder(image, face) for encoder in self.encoders}


class JoinedIdentity:
    """A compound identity as one vector [Σ C], its recognisers in alphabetical order of their names: what an adapter
    whose projection is a `models.compound.CompoundProjection` takes. ``width``: Σ C."""

    def __init__(self, who: CompoundIdentity) -> None:
        self.who, self.name = who, who.name
        self.width = sum(who.widths.values())

    def __call__(self, image: Image.Image, face: Face) -> Tensor:
        """[Σ C] float32 of one face of a PIL picture."""
        parts = self.who(image, face)
        return torch.cat([parts[name].detach().float().cpu() for name in sorted(parts)])


def compound(encoders: Iterable[str | FaceEncoder], device: str | torch.device = "cpu") -> CompoundIdentity:
    """Recognisers as one identity encoder whose embeddings stay apart. encoders: names of `RECOGNISERS`, or encoders of
    your own (see `FaceEncoder`). device: of those named. Raises `InputError`: no name, an unknown one, the same one
    twice; or a recogniser's weights are missing."""
    return CompoundIdentity([_load(e, device) if isinstance(e, str) else e for e in encoders])


RECOGNISERS: dict[str, Callable[[str | torch.device], FaceEncoder]] = {
    "embedded": lambda device: EmbeddedIdentity(device=device),  # as the embedded default is conditioned
    "recogniser": lambda device: EmbeddedRecogniser(device=device),  # alone, without coarse colours
    "dlib": lambda device: DlibIdentity(),  # on the CPU
    "arcface": lambda device: ArcFaceIdentity(device=device),
    "auraface": lambda device: ArcFaceIdentity("auraface", device, name="auraface"),
}


def _load(name: str, device: str | torch.device) -> FaceEncoder:
    return RECOGNISERS[choice(name, RECOGNISERS, "recogniser")](device)
