"""The shipped faces: one for each word, small, found by the analyser, and as their coefficients say."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from mien.expressions import faces
from mien.expressions.faces import FOLDER, NEUTRAL, RENDERED, illustrate, mix, named, picture
from mien.expressions.labels import correlations, get, labels
from mien.expressions.reading import at_rest
from mien.expressions.spec import Part, parse
from mien.face.analyze import analyze_many
from mien.face.blendshapes import NAMES
from mien.provenance import read_metadata
from mien.types import InputError


def test_there_is_a_face_for_every_word_and_they_are_small() -> None:
    assert {path.stem for path in FOLDER.glob("*.webp")} == {NEUTRAL, *labels()}
    assert sum(path.stat().st_size for path in FOLDER.iterdir()) < 2_000_000
    said = read_metadata(FOLDER / "joy.webp")
    assert said is not None and said.source_type == RENDERED


@pytest.mark.slow
def test_the_embedded_analyser_reads_the_words_in_them() -> None:
    words = list(labels())
    read = [found[0].blendshapes for found in analyze_many(picture(word) for word in words)]
    prototypes = np.stack([label.prototype for label in labels().values()])
    r = np.stack([correlations(seen, prototypes) for seen in read])
    own = np.diag(r)
    same = [labels()[words[i]].basic == labels()[words[best]].basic for i, best in enumerate(r.argmax(1))]
    assert own.mean() > 0.75 and np.mean(same) > 0.7  # MediaPipe, for which they are made: 0.89 and 0.97


@pytest.mark.shared
def test_the_files_are_drawn_from_their_coefficients() -> None:
    from factory.faces.coefficients import to_vector
    from factory.faces.word_faces import draw

    entry = json.loads((FOLDER / "coefficients.json").read_text())["joy"]
    again = draw(entry["head"], to_vector(entry["coefficients"])).astype(float)
    assert np.abs(again - np.asarray(picture("joy"), float)).mean() < 4  # WebP loses a little


def test_an_unknown_word_has_no_face() -> None:
    with pytest.raises(InputError, match="did you mean joy"):
        picture("jooy")


def test_blendshapes_as_a_mix_of_words() -> None:
    prototype = get("fear").prototype
    found = mix({name: float(v) for name, v in zip(NAMES, prototype + at_rest(), strict=True)})
    assert max(found, key=lambda word: found[word]) == "fear" and sum(found.values()) == pytest.approx(1)
    assert mix({}) == {NEUTRAL: 1.0}
    assert mix({name: float(v) for name, v in zip(NAMES, at_rest(), strict=True)}) == {NEUTRAL: 1.0}
    assert sum(mix(dict.fromkeys(NAMES, 1.0)).values()) == pytest.approx(1)


def test_what_a_part_names() -> None:
    assert named(Part(1.0)) == {} and named(Part(1.0, shapes=(("jawOpen", 0.5),))) == {"jawOpen": 0.5}
    assert named(Part(1.0, word="joy"))["mouthSmileLeft"] == pytest.approx(get("joy").prototype.max())
    with pytest.raises(ValueError, match="has to be analysed"):
        named(Part(1.0, picture=Path("x.jpg")))
    assert faces.blendshapes(Part(1.0)) == pytest.approx(at_rest())


def test_an_illustration_shows_the_strongest_part() -> None:
    image = Image.new("RGB", (20, 20))
    assert illustrate(parse(image)) is image
    assert illustrate(parse("joy:0.3+anger:0.7")) is picture("anger")
    assert illustrate(parse("anger:0.2")) is picture(NEUTRAL)
    shapes = {name: float(v) for name, v in zip(NAMES, get("surprise").prototype, strict=True)}
    assert labels()[_word_of(illustrate(parse(shapes)))].cluster == "surprise"


def _word_of(image: Image.Image | Path) -> str:
    return next(word for word in labels() if picture(word) is image)
