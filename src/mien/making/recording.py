"""What a picture's metadata keep of what it was made of: salted fingerprints of pictures, and words."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
from PIL import Image

from mien.expressions.spec import Expression
from mien.face.subject import Subject
from mien.images import read_image
from mien.provenance.hashes import hash_pixels, new_salt
from mien.types import ByteImage


class Fingerprints:
    """Salted fingerprints of pictures; each is hashed once. salt: None: a new one."""

    def __init__(self, salt: str | None = None) -> None:
        self.salt = new_salt() if salt is None else salt
        self._known: dict[int | str, tuple[Any, str]] = {}

    def __call__(self, picture: Image.Image | ByteImage | Subject | Path) -> str:
        """Of a PIL picture, pixels [H, W, 3] uint8 RGB, a subject's picture or a file's."""
        if isinstance(picture, Subject):
            picture = picture.image
        key = str(picture) if isinstance(picture, Path) else id(picture)
        if key not in self._known:
            image = read_image(picture) if isinstance(picture, Path) else picture
            if isinstance(image, np.ndarray):
                image = Image.fromarray(image)
            # The picture is kept too: its id must not be another's while this lives.
            self._known[key] = picture, hash_pixels(image, self.salt)
        return self._known[key][1]

    def describe(self, expression: Expression) -> list[dict[str, Any]]:
        """The parts of an expression as JSON values; of a picture nothing but its fingerprint."""
        parts: list[dict[str, Any]] = []
        for part in expression.parts:
            entry: dict[str, Any] = {"weight": part.weight}
            if part.picture is not None:
                entry["picture"] = self(part.picture)
            elif part.word is not None:
                entry["word"] = part.word
            elif part.shapes is not None:
                entry["blendshapes"] = dict(part.shapes)
            parts.append(entry)
        return parts
