"""`mien invent`: people who do not exist, to try everything on."""

from __future__ import annotations

import time
from pathlib import Path
from typing import Annotated

import typer
from typer import Argument, Option

from mien.cli import checks, options
from mien.cli.console import Told, progress_bar, tell
from mien.cli.pictures import check_places, numbered
from mien.making.wishes import PortraitWish


@options.verb(("seed", "device", "dtype", "backbone"), ("overwrite", "quiet"))
def invent(
    context: typer.Context,
    output: Annotated[Path, Argument(metavar="[OUTPUT]")] = Path("nobody.png"),
    count: Annotated[int, Option("--num-images", "-n", min=1)] = 1,
    prompt: Annotated[str | None, Option(callback=checks.text)] = None,
) -> Told:
    """Invent somebody: a face that belongs to nobody, at rest, to try everything on.

    mien invent nobody.png --seed 7 && mien generate nobody.png joy

    mien invent old.png --prompt "black and white photo of an old man"

    Same seed, same person. A seed of which no face comes is passed over. The embedded model draws 128 x 128 pixels; of
    a prompt it obeys woman, man, young, adult, middle-aged, old and "black and white photo".

    Args:
        output: The picture: .png, .jpg or .webp.
        count: People; several: OUTPUT-1, OUTPUT-2, …
        prompt: Whom, "an old woman" for one.  [default: a woman or a man, by the seed]
    """
    given = options.begun(context)
    places = numbered(output, count)
    check_places(places, overwrite=given["overwrite"])
    from mien.making.model import Model
    from mien.making.portraits import Portraits

    portraits = Portraits(
        Model(*(given[name] for name in ("backbone", "device", "dtype"))), PortraitWish(), tell
    )
    with progress_bar(given["quiet"], desc="steps") as progress:
        made = portraits.invent(count, given["seed"], prompt, progress)
    told = []
    for one, place in zip(made, places, strict=True):
        one.save(place)
        told.append({"path": str(place), **one.told})
    seconds = time.perf_counter() - given["began"]
    width, height = made[0].image.size
    lines = [f"{line['path']}  seed {line['seed']}" for line in told]
    lines.append(f"{len(made)} invented, of {width} x {height} pixels, {seconds:.1f} s in all")
    return {"images": told, "seconds": seconds}, lines
