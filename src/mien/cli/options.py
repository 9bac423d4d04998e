"""Options that mean the same to several verbs: written once, so that every `--help` says the same of them."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

MAX_SEED = 2**63 - 1  # what torch's generators take, with room for the seeds of a pair's other pictures


def _small(seed: int) -> int:
    if seed > MAX_SEED:
        raise typer.BadParameter(f"{seed} is too large: give a number up to {MAX_SEED}.")
    return seed


Prompt = Annotated[str, typer.Option(help="What the picture should look like.")]
NegativePrompt = Annotated[str, typer.Option(help="What it should not look like.")]
Seed = Annotated[int, typer.Option(min=0, callback=_small, help="Same seed, same picture.")]
Steps = Annotated[int | None, typer.Option(min=1, help="Denoising steps.  [default: the model's]")]
Guidance = Annotated[float | None, typer.Option(min=0, help="How strictly to obey.  [default: the model's]")]
IdScale = Annotated[float, typer.Option(min=0, help="Weight of the identity.")]
ExpressionScale = Annotated[float, typer.Option(min=0, help="Weight of the expression.")]
Device = Annotated[str, typer.Option(help="auto, cpu, cuda, cuda:1, mps.")]
Dtype = Annotated[str, typer.Option(help="auto, float32, bfloat16, float16.")]
Backbone = Annotated[str, typer.Option(help="mini, sd15, sdxl, a diffusers folder or a hub id.")]
Adapter = Annotated[str | None, typer.Option(help="Folder of an E-Adapter.  [default: the backbone's own]")]
OutDir = Annotated[Path | None, typer.Option(help="With --pairs: the folder to write to.")]
Json = Annotated[bool, typer.Option("--json", help="Print the result as JSON on stdout.")]
Quiet = Annotated[bool, typer.Option("--quiet", "-q", help="No progress bar.")]
