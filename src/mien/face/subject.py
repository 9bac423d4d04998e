"""Who is meant: a picture and one face in it, found once and looked at once by whatever encodes it."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from PIL import Image

from mien.types import Face

if TYPE_CHECKING:
    from torch import Tensor

    Encoder = Callable[[Image.Image, Face], Tensor]


@dataclass(frozen=True, eq=False)
class Subject:
    """A picture and the face in it that is meant; pipelines take it in the place of the picture. image: PIL RGB. face:
    in its pixels. faces: how many the picture shows."""

    image: Image.Image
    face: Face
    faces: int = 1
    _vectors: dict[Encoder, Tensor] = field(default_factory=dict, repr=False)

    def vector(self, encoder: Encoder) -> Tensor:
        """[w] float32, on the CPU: what an encoder makes of the face. It looks once."""
        if encoder not in self._vectors:
            self._vectors[encoder] = encoder(self.image, self.face).detach().float().cpu()
        return self._vectors[encoder]
