"""`mien invent`: people who do not exist, to try everything on."""

from __future__ import annotations

import time
from pathlib import Path
from typing import Annotated

import typer

from mien.cli import options
from mien.cli.console import print_json, tell
from mien.cli.pictures import check_places, numbered, steps_bar
from mien.making.wishes import PortraitWish


def invent(
    output: Annotated[
        Path, typer.Argument(metavar="[OUTPUT]", help="The picture: .png, .jpg or .webp.")
    ] = Path("nobody.png"),
    count: Annotated[
        int, typer.Option("--num-images", "-n", min=1, help="People; several: OUTPUT-1, OUTPUT-2, …")
    ] = 1,
    prompt: Annotated[
        str | None,
        typer.Option(
            callback=options.text,
            help='Whom, "an old woman" for one.  [default: a woman or a man, by the seed]',
        ),
    ] = None,
    seed: options.Seed = 0,
    device: options.Device = "auto",
    dtype: options.Dtype = "auto",
    backbone: options.Backbone = "mini",
    overwrite: options.Overwrite = False,
    as_json: options.Json = False,
    quiet: options.Quiet = False,
) -> None:
    """Invent somebody: a face that belongs to nobody, at rest, to try everything on.

    mien invent nobody.png --seed 7 && mien generate nobody.png joy

    mien invent old.png --prompt "black and white photo of an old man"

    Same seed, same person. A seed of which no face comes is passed over. The embedded model draws 128 x 128 pixels; of
    a prompt it obeys woman, man, young, adult, middle-aged, old and "black and white photo".
    """
    began = time.perf_counter()
    places = numbered(output, count)
    check_places(places, overwrite=overwrite)
    from mien.making.model import Model
    from mien.making.portraits import Portraits

    portraits = Portraits(Model(backbone, device, dtype), PortraitWish(), tell)
    with steps_bar(quiet) as progress:
        made = portraits.invent(count, seed, prompt, progress)
    told = []
    for one, place in zip(made, places, strict=True):
        one.save(place)
        told.append({"path": str(place), **one.told})
    seconds = time.perf_counter() - began
    if as_json:
        print_json({"images": told, "seconds": seconds})
        return
    for line in told:
        print(f"{line['path']}  seed {line['seed']}")
    width, height = made[0].image.size
    print(f"{len(made)} invented, of {width} x {height} pixels, {seconds:.1f} s in all")
