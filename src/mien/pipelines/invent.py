"""People who do not exist: somebody to try everything on, and faces that anybody may be shown.

What a base model draws of nobody in particular is nobody's face, and comes with an expression of its own. So it is the
identity of one more portrait, whose expression is neutral.
"""

from __future__ import annotations

from dataclasses import dataclass
from itertools import count as counted
from typing import Any

from PIL import Image

from mien.pipelines.portrait import Callback, PortraitPipeline
from mien.types import InputError

PROMPTS = ("colour photo of a woman", "colour photo of a man")  # by turns
# Of the embedded base without its adapter; its own few steps are tuned for both together.
MINI = {"steps": 20, "guidance": 2.5}
TRIES = 10  # samples without a face, one after another


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
    """The first `count` people from `seed` on; a seed of which no face comes is passed over.

    Args:
        prompt: of the sample; None: a woman and a man by turns of the seed. callback: see
            ``mien.pipelines.portrait``; it is told of a sample and then, from step 1 again, of the portrait.

    Raises:
        InputError: `count` is below 1, or the model draws no faces.
    """
    if count < 1:
        raise InputError(f"{count} people cannot be invented: ask for at least 1.")
    settings: dict[str, Any] = MINI if pipe.encoder("identity").name == "embedded" else {}
    people: list[Invented] = []
    missed = 0
    for one in counted(seed):
        (sample,) = pipe(
            identity=None,
            expression=None,
            prompt=prompt or PROMPTS[one % 2],
            seed=one,
            callback=callback,
            **settings,
        )
        if not pipe.analyzer()(sample):
            missed += 1
            if missed == TRIES:
                raise InputError(
                    f"{pipe.backbone.name} drew no face in {TRIES} samples: give another prompt or backbone."
                )
            continue
        missed = 0
        (image,) = pipe(identity=sample, expression="neutral", seed=one, callback=callback)
        people.append(Invented(one, image))
        if len(people) == count:
            break
    return people
