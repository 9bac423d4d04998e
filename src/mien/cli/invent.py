"""`mien invent`: people who do not exist, to try everything on."""

from __future__ import annotations

import time
from pathlib import Path
from typing import Annotated

import typer

from mien.cli import options
from mien.cli.console import choice, passed_on, print_json
from mien.cli.generate.wish import Wish
from mien.cli.pictures import check_places, numbered, steps_bar


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

    Same seed, same person. A seed of which no face comes is passed over. Of a prompt, the embedded model obeys woman,
    man, young, adult, middle-aged, old and "black and white photo".
    """
    began = time.perf_counter()
    choice(dtype, options.DTYPES, "precision")
    options.check_backbone(backbone)
    places = numbered(output, count)
    check_places(places, overwrite=overwrite)
    from mien.cli.generate.portraits import Portraits
    from mien.pipelines.invent import invent as people
    from mien.provenance import save_image

    portraits = Portraits(Wish(), backbone, device, dtype, None)
    with steps_bar(quiet) as progress, passed_on(["the prompt "], set()):
        made = people(portraits.pipe, count, seed, prompt, progress)
    settings = {**portraits.settings, "kind": "invented", "prompt": prompt}
    for one, place in zip(made, places, strict=True):
        record = portraits.maker.record({}, one.image, 0, 1)  # each is made alone, of no picture
        save_image(one.image, place, {**settings, "seed": one.seed, **record})
    seconds = time.perf_counter() - began
    if as_json:
        told = [{"path": str(place), "seed": one.seed} for one, place in zip(made, places, strict=True)]
        print_json({"images": told, "seconds": seconds})
        return
    for one, place in zip(made, places, strict=True):
        print(f"{place}  seed {one.seed}")
    print(f"{len(made)} invented, {seconds:.1f} s in all")
