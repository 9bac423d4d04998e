"""People who do not exist: somebody to try everything on, and faces that anybody may be shown.

The embedded model draws an identity from how people's identities are spread (`encoders.people`) and makes a neutral
portrait of it. Of another model it is the portrait of a sample: nobody's face.
"""

from __future__ import annotations

from dataclasses import dataclass
from itertools import count as counted

from PIL import Image

from mien.encoders import people
from mien.pipelines.diffusers_names import to_pil
from mien.pipelines.generation import Callback
from mien.pipelines.portrait import PortraitPipeline
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
    no face comes is passed over. Raises `InputError`: `count` is below 1, or the model draws no faces.

    Args:
        prompt: whom to draw. The embedded model takes ``woman``, ``man``, ``young``, ``adult``, ``middle-aged`` and
            ``old`` from it, and its style. callback: see `mien.pipelines.generation`; of a sample it is told first.
    """
    if count < 1:
        raise InputError(f"{count} people cannot be invented: ask for at least 1.")
    make = _drawn if pipe.encoder("identity").name == "embedded" else _sampled
    found: list[Invented] = []
    missed = 0
    for one in counted(seed):
        image = make(pipe, one, prompt, callback)
        if image is None or not pipe.analyzer()(image):
            missed += 1
            if missed == TRIES:
                raise InputError(f"{pipe.backbone.name} drew no face in {TRIES} samples: change the prompt.")
            continue
        missed = 0
        found.append(Invented(one, image))
        if len(found) == count:
            break
    return found


def _drawn(
    pipe: PortraitPipeline, seed: int, prompt: str | None, callback: Callback | None
) -> Image.Image | None:
    """The portrait of an identity that is drawn."""
    prompt = prompt or ""
    pixels = pipe.generate(
        people.draw(seed, prompt)[None],
        pipe.embed(None, EXPRESSION)["expression"],
        prompts=[prompt],
        seeds=[seed],
        callback=callback,
    )
    return to_pil(pixels)[0]


def _sampled(
    pipe: PortraitPipeline, seed: int, prompt: str | None, callback: Callback | None
) -> Image.Image | None:
    """The portrait of a sample; None: it has no face."""
    prompt = prompt or f"colour photo of a {people.KINDS[seed % 2]}"
    (sample,) = pipe(identity=None, expression=EXPRESSION, prompt=prompt, seed=seed, callback=callback)
    if not pipe.analyzer()(sample):
        return None
    return pipe(identity=sample, expression=EXPRESSION, seed=seed, callback=callback)[0]
