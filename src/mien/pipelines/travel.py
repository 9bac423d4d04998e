"""Expression travel (DiffSFSR, Fig. 6): one person from expression to expression.

Between two stops the expression embedding moves in a straight line, e(s) = (1 - s) e_a + s e_b; identity, prompt and
noise are the same in every frame, so nothing else moves. A sweep is travel between neutral and an expression.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

import numpy as np

from mien.expressions.spec import Expression, parse
from mien.types import FloatArray, InputError

if TYPE_CHECKING:
    from PIL import Image
    from torch import Tensor

    from mien.models.attention import Scale
    from mien.pipelines.generation import Callback
    from mien.pipelines.inputs import ExpressionLike, FaceChoice, Person, Picture
    from mien.pipelines.portrait import PortraitPipeline

MAX_FRAMES = 1000


def positions(stops: int, frames: int) -> FloatArray:
    """Where each frame is: [frames] float64 from 0 to stops - 1, at even speed; the stops at both ends are met. Raises
    `InputError`: fewer than two stops, fewer frames than stops, or more than `MAX_FRAMES`."""
    if stops < 2:
        raise InputError("A journey has at least two expressions: give where it starts and where it ends.")
    if not stops <= frames <= MAX_FRAMES:
        raise InputError(f"{frames} frames for {stops} expressions: give {stops} to {MAX_FRAMES}.")
    return np.linspace(0, stops - 1, frames)


def interpolate(embeds: Tensor, frames: int) -> Tensor:
    """Embeddings of the stops [k, w] -> of the frames [frames, w], linear between neighbours."""
    import torch

    place = torch.from_numpy(positions(len(embeds), frames))
    before = place.floor().long().clamp(max=len(embeds) - 2)
    share = (place - before).to(embeds)[:, None]
    return (1 - share) * embeds[before] + share * embeds[before + 1]


def names(stops: Sequence[Expression], frames: int) -> list[str]:
    """What each frame shows, for people: ``joy``, ``joy 70% surprise 30%``."""
    said = []
    for place in positions(len(stops), frames).tolist():
        before = min(int(place), len(stops) - 2)
        share = round(100 * (place - before))
        pair = ((stops[before].text, 100 - share), (stops[before + 1].text, share))
        shown = [(text[:24], percent) for text, percent in pair if percent]
        parts = [f"{text} {percent}%" for text, percent in shown]
        said.append(shown[0][0] if len(shown) == 1 else " ".join(parts))
    return said


def sweep(wishes: Sequence[ExpressionLike]) -> list[Expression]:
    """The stops that lead from neutral to each expression in turn, and back between two."""
    stops = []
    for wish in wishes:
        stops += [parse("neutral"), parse(wish)]
    return [*stops, parse("neutral")] if len(wishes) > 1 else stops


def travel(
    pipe: PortraitPipeline,
    identity: Picture | Person,
    stops: Sequence[ExpressionLike],
    frames: int = 16,
    prompt: str = "",
    negative_prompt: str = "",
    seed: int = 0,
    face: FaceChoice = "largest",
    expression_face: FaceChoice = "largest",
    batch_size: int = 8,
    callback: Callback | None = None,
    steps: int | None = None,
    guidance: float | None = None,
    id_scale: Scale = 1.0,
    expression_scale: Scale = 1.0,
) -> list[Image.Image]:
    """`frames` portraits of one person, PIL RGB, on the way through `stops` in their order. Raises `InputError`: an
    expression or picture cannot be used, or there are too few stops or frames.

    Args:
        identity: a picture of the person, or a `Person` of several. stops: two or more expressions
            (`mien.expressions.spec`). The others are as of ``PortraitPipeline``; every frame has the same `seed`.
    """
    from mien.pipelines.arguments import check_seed, whole
    from mien.pipelines.diffusers_names import to_pil
    from mien.pipelines.generation import in_batches

    positions(len(stops), frames)
    whole("batch_size", batch_size)
    how: dict[str, Any] = {"steps": steps, "guidance": guidance}
    how |= {"id_scale": id_scale, "expression_scale": expression_scale}
    pipe.check(**how)
    check_seed(seed)
    embeds = pipe.embed([identity] * len(stops), stops, len(stops), face, expression_face)
    who, along = embeds["identity"][:1], interpolate(embeds["expression"], frames)
    images: list[Image.Image] = []
    for part, report in in_batches(frames, batch_size, callback):
        b = len(along[part])
        pixels = pipe.generate(
            who.expand(b, *who.shape[1:]),
            along[part],
            prompts=[prompt] * b,
            negative_prompts=[negative_prompt] * b,
            seeds=[seed] * b,
            callback=report,
            **how,
        )
        images += to_pil(pixels)
    return images
