"""`mien generate --from PICTURE`: the same portrait again, from what its metadata say."""

from __future__ import annotations

import time
from dataclasses import fields, replace
from pathlib import Path

from mien.cli.consent import remind
from mien.cli.console import print_json, say
from mien.cli.generate.wish import SCORED_BY, Wish, report
from mien.cli.pictures import check_places, expression_files, steps_bar
from mien.cli.repeat import (
    check_models,
    check_picture,
    expression_of,
    model_of,
    read_settings,
    same_threads,
    why,
)
from mien.images import read_image
from mien.provenance import save_image
from mien.types import InputError


def repeat(
    source: Path,
    identity: Path | None,
    expression: str | None,
    output: Path,
    strip: Path | None,
    backbone: str,
    adapter: str | None,
    device: str,
    force: bool,
    overwrite: bool,
    as_json: bool,
    quiet: bool,
) -> None:
    """Make the portrait of `source` again and say whether it is the same, bit for bit.

    Raises:
        InputError: `source` does not say how it was made; a picture or the weights are others than then
            (unless `force`); or what is needed was not given.
    """
    began = time.perf_counter()
    old = read_settings(source, "portrait")
    if identity is None:
        raise InputError(f"{source} does not hold the person's picture: give IDENTITY again, behind --from.")
    given = [source, identity, *expression_files(expression)]
    check_places([output, *([strip] if strip else [])], given, overwrite)
    identity_image = read_image(identity)
    salt = old["inputs"]["salt"]
    from mien.cli.generate.portraits import Portraits, save_strip

    if not force:
        check_picture(source, identity_image, identity, old["inputs"]["identity"], salt, "identity picture")
    wanted = expression_of(source, old["inputs"]["expression"], expression, salt, force)
    wish = Wish(**{field.name: old[field.name] for field in fields(Wish)})
    name, place = model_of(source, old, backbone, adapter), same_threads(old, device)
    portraits = Portraits(replace(wish, num_images=1), name, place, old["dtype"], adapter)
    check_models(source, old, portraits.maker.hashes, force)
    who, how = portraits.look(identity, "face", identity_image), portraits.express(wanted)
    remind(quiet)
    ready = time.perf_counter()
    # The last bits of a batch's matrix products depend on its size and on the place in it.
    size, slot = old["batch"]["size"], old["batch"]["slot"]
    with steps_bar(quiet) as progress:
        images = portraits.make([(who, how)] * size, [old["prompt"]] * size, [old["seed"]] * size, progress)
    image, seconds = images[slot], time.perf_counter() - ready
    scores = portraits.score(image, who, how)
    new = {**old, **portraits.settings, "num_images": old["num_images"]}
    new |= {**portraits.record(who, how, image, salt, slot, size), "scores": scores}
    same = new["pixels"] == old["pixels"]
    save_image(image, output, new)
    if strip:
        save_strip(
            strip,
            portraits,
            who,
            how,
            [image],
            {**portraits.settings, "prompt": old["prompt"], "seed": old["seed"]},
        )
    total = time.perf_counter() - began
    made = {"path": str(output), "seed": old["seed"], **scores}
    if as_json:
        told = {"images": [made], "strip": str(strip) if strip else None, "settings": new, "identical": same}
        print_json({**told, "scored_by": SCORED_BY, "seconds": seconds, "seconds_in_all": total})
    else:
        report([made], strip, seconds, total)
        print(f"the same as {source}, bit for bit" if same else f"not the same bits as {source}")
    if not same:
        say(f"mien: {why(old, new)}")
