"""People who do not exist: somebody to try everything on, and faces that anybody may be shown.

The embedded model draws an identity from how people's identities are spread (`encoders.people`) and makes a neutral
portrait of it. Of another model, or of a prompt, it is the portrait of a sample: what a base draws of nobody in
particular is nobody's face, and comes with an expression of its own.
"""

from __future__ import annotations

from dataclasses import dataclass
from itertools import count as counted

from PIL import Image

from mien.encoders import people
from mien.pipelines.portrait import Callback, PortraitPipeline, to_pil
from mien.types import InputError

EXPRESSION = "neutral"
TRIES = 10  # pictures without a face, one after another


@dataclass(frozen=True)
class Invented:
    """Somebody: the seed that they are remade from, and their picture (RGB, the model's size)."""

    seed: int
    image: Image.Image


def invent(
    pipe: PortraitPipeline,
    count: int = 1,
    seed: int = 0,
    prompt: str | None = None,
    callback: Callback | None = None,
) -> list[Invented]:
    """The first `count` people from `seed` on, a woman of every even seed and a man of every odd one; a seed of which
    no face comes is passed over.

    Args:
        prompt: whom to draw instead. callback: see ``mien.pipelines.portrait``; of a sample it is told first, and then,
            from step 1 again, of the portrait.

    Raises:
        InputError: `count` is below 1, or the model draws no faces.
    """
    if count < 1:
        raise InputError(f"{count} people cannot be invented: ask for at least 1.")
    drawn = prompt is None and pipe.encoder("identity").name == "embedded"
    found: list[Invented] = []
    missed = 0
    for one in counted(seed):
        kind = people.KINDS[one % 2]
        image = (
            _portrait_of_draw(pipe, kind, one, callback)
            if drawn
            else _portrait_of_sample(pipe, prompt or f"colour photo of a {kind}", one, callback)
        )
        if image is None or not pipe.analyzer()(image):
            missed += 1
            if missed == TRIES:
                raise InputError(
                    f"{pipe.backbone.name} drew no face in {TRIES} samples: give another prompt or backbone."
                )
            continue
        missed = 0
        found.append(Invented(one, image))
        if len(found) == count:
            break
    return found


def _portrait_of_draw(pipe: PortraitPipeline, kind: str, seed: int, callback: Callback | None) -> Image.Image:
    pixels = pipe.generate(
        people.draw(kind, seed)[None],
        pipe.embed(None, EXPRESSION)["expression"],
        prompts=[""],
        seeds=[seed],
        callback=callback,
    )
    return to_pil(pixels)[0]


def _portrait_of_sample(
    pipe: PortraitPipeline, prompt: str, seed: int, callback: Callback | None
) -> Image.Image | None:
    """None: the sample has no face."""
    (sample,) = pipe(identity=None, expression=None, prompt=prompt, seed=seed, callback=callback)
    if not pipe.analyzer()(sample):
        return None
    return pipe(identity=sample, expression=EXPRESSION, seed=seed, callback=callback)[0]
