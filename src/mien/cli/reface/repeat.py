"""`mien reface --from PICTURE`: the same photo with the same new face again, from what its metadata say."""

from __future__ import annotations

import time
from dataclasses import fields
from pathlib import Path

from PIL import Image

from mien.cli.consent import remind
from mien.cli.console import print_json, say
from mien.cli.pictures import check_places, expression_files, steps_bar
from mien.cli.reface.wish import SCORED_BY, RefaceWish, Request, generated_part, report
from mien.cli.repeat import (
    Settings,
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
    photo: Path | None,
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
    """Make the photo of `source` again and say whether it is the same, bit for bit.

    Raises:
        InputError: `source` does not say how it was made; a picture or the weights are others than then
            (unless `force`); or what is needed was not given.
    """
    began = time.perf_counter()
    old = read_settings(source, "reface")
    given = [source, *filter(None, (photo, identity)), *expression_files(expression)]
    check_places([output, *([strip] if strip else [])], given, overwrite)
    inputs = old["inputs"]
    wanted = None
    if inputs["expression"] is not None:
        wanted = expression_of(source, inputs["expression"], expression, inputs["salt"], force)
    elif expression is not None:
        raise InputError(f"{source} kept the photo's own expression: leave --expression out.")
    request = Request(
        _given(source, old, "photo", photo, "PHOTO", force),
        _given(source, old, "identity", identity, "--identity", force),
        wanted,
        old["prompt"],
        old["seed"],
    )
    from mien.cli.reface.refaces import Refaces, save_strip

    wish = RefaceWish(**{field.name: old[field.name] for field in fields(RefaceWish)})
    name, place = model_of(source, old, backbone, adapter), same_threads(old, device)
    refaces = Refaces(wish, name, place, old["dtype"], adapter, old["scheduler"])
    check_models(source, old, refaces.maker.hashes, force)
    remind(quiet)
    ready = time.perf_counter()
    # As in `mien.cli.generate.repeat`: the last bits depend on the batch's size and on the place in it.
    size, slot = old["batch"]["size"], old["batch"]["slot"]
    with steps_bar(quiet) as progress:
        result = refaces.make([request] * size, progress)[slot]
    seconds = time.perf_counter() - ready
    image = result.image()
    scores = refaces.score(image, result.scene, request)
    new = {**old, **refaces.settings, **refaces.record(request, result, image, inputs["salt"], slot, size)}
    new["scores"] = scores
    same = new["pixels"] == old["pixels"]
    save_image(image, output, new, mask=generated_part(request, result))
    if strip:
        save_strip(strip, refaces, request, [result])
    total = time.perf_counter() - began
    made = {"path": str(output), **{name: new[name] for name in ("prompt", "seed", "task")}, **scores}
    if as_json:
        told = {"images": [made], "strip": str(strip) if strip else None, "settings": new, "identical": same}
        print_json({**told, "scored_by": SCORED_BY, "seconds": seconds, "seconds_in_all": total})
    else:
        report([made], strip, seconds, total)
        print(f"the same as {source}, bit for bit" if same else f"not the same bits as {source}")
    if not same:
        say(f"mien: {why(old, new)}")


def _given(
    source: Path, old: Settings, name: str, path: Path | None, option: str, force: bool
) -> Image.Image | None:
    """A picture that was given again, if it is the one of then; None where there was none then."""
    recorded = old["inputs"][name]
    if recorded is None:
        if path is not None:
            raise InputError(f"{source} was made without {option}: leave it out.")
        return None
    if path is None:
        raise InputError(f"{source} does not hold the {name}'s picture: give {option} again.")
    image = read_image(path)
    if not force:
        check_picture(source, image, path, recorded, old["inputs"]["salt"], f"{name} picture")
    return image
