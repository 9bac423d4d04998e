"""`mien generate`: one portrait of this person with that expression, or a CSV file's worth of them."""

from __future__ import annotations

import os
import time
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from mien.cli.console import choice, nearest, print_json, say

if TYPE_CHECKING:
    from mien.cli.portraits import Portraits
    from mien.pipelines.inputs import FaceChoice

FACES = ("largest", "left", "right")
SCORED_BY = {
    "analyser": "embedded",
    "recogniser": "embedded; it also conditions the portrait, so `id` flatters: judge with `mien evaluate`",
}
DTYPES = ("auto", "float32", "bfloat16", "float16")


@dataclass(frozen=True)
class Wish:
    """What is wanted of every portrait of a run; pictures, prompts and seeds are each portrait's own."""

    negative_prompt: str = ""
    steps: int | None = None
    guidance: float | None = None
    id_scale: float = 1.0
    expression_scale: float = 1.0
    num_images: int = 1
    face: FaceChoice = "largest"
    expression_face: FaceChoice = "largest"


def generate(
    identity: Annotated[Path | None, typer.Argument(help="A picture of the person.")] = None,
    expression: Annotated[Path | None, typer.Argument(help="A picture of the expression; anybody's.")] = None,
    output: Annotated[
        Path, typer.Option("--output", "-o", help="The portrait: .png, .jpg or .webp; replaced if it exists.")
    ] = Path("portrait.png"),
    prompt: Annotated[str, typer.Option(help="What the picture should look like.")] = "",
    negative_prompt: Annotated[str, typer.Option(help="What it should not look like.")] = "",
    seed: Annotated[int, typer.Option(min=0, help="Same seed, same picture.")] = 0,
    steps: Annotated[int | None, typer.Option(min=1, help="Denoising steps.  [default: the model's]")] = None,
    guidance: Annotated[
        float | None, typer.Option(min=0, help="How strictly to obey.  [default: the model's]")
    ] = None,
    id_scale: Annotated[float, typer.Option(min=0, help="Weight of the identity.")] = 1.0,
    expression_scale: Annotated[float, typer.Option(min=0, help="Weight of the expression.")] = 1.0,
    num_images: Annotated[int, typer.Option("--num-images", "-n", min=1, help="Portraits of each pair.")] = 1,
    face: Annotated[
        str, typer.Option(help="Whose face: largest, left, right, or N, counted from 0, the largest.")
    ] = "largest",
    expression_face: Annotated[str, typer.Option(help="The same for the expression picture.")] = "largest",
    device: Annotated[str, typer.Option(help="auto, cpu, cuda, cuda:1, mps.")] = "auto",
    dtype: Annotated[str, typer.Option(help="auto, float32, bfloat16, float16.")] = "auto",
    backbone: Annotated[str, typer.Option(help="mini, sd15, sdxl, a diffusers folder or a hub id.")] = "mini",
    adapter: Annotated[
        str | None, typer.Option(help="Folder of an E-Adapter.  [default: the backbone's own]")
    ] = None,
    strip: Annotated[Path | None, typer.Option(help="Also draw identity | expression | result here.")] = None,
    pairs: Annotated[
        Path | None, typer.Option(help="CSV with the columns identity,expression[,prompt,seed,out].")
    ] = None,
    out_dir: Annotated[Path | None, typer.Option(help="With --pairs: the folder to write to.")] = None,
    batch_size: Annotated[int, typer.Option(min=1, help="With --pairs: portraits in work at a time.")] = 8,
    as_json: Annotated[bool, typer.Option("--json", help="Print the result as JSON on stdout.")] = False,
    quiet: Annotated[bool, typer.Option("--quiet", "-q", help="No progress bar.")] = False,
) -> None:
    """Make a portrait of the person in IDENTITY with the expression in EXPRESSION.

    With --pairs FILE --out-dir DIR: a portrait of each row, different people in one batch, and
    DIR/results.csv with every setting and score. Pictures named in the CSV are looked for from the CSV's
    own folder.
    """
    began = time.perf_counter()
    choice(dtype, DTYPES, "precision")
    from mien.types import InputError

    if (pairs is None) == (identity is None or expression is None):
        raise InputError("Give an identity and an expression picture, or --pairs FILE.csv and --out-dir DIR.")
    if (pairs is None) != (out_dir is None):
        raise InputError("--pairs FILE.csv and --out-dir DIR belong together: give both.")
    wish = Wish(
        negative_prompt=negative_prompt,
        steps=steps,
        guidance=guidance,
        id_scale=id_scale,
        expression_scale=expression_scale,
        num_images=num_images,
        face=parse_face(face),
        expression_face=parse_face(expression_face),
    )

    os.environ.setdefault(
        "TRANSFORMERS_VERBOSITY", "error"
    )  # it warns of torchvision, which nothing here needs

    def load() -> Portraits:
        from mien.cli.portraits import Portraits

        return Portraits(wish, backbone, device, dtype, adapter)

    if pairs is not None and out_dir is not None:
        from mien.cli.batch import run

        run(load, pairs, out_dir, prompt, seed, batch_size, as_json, quiet)
    elif identity is not None and expression is not None:
        _one(load, identity, expression, output, strip, prompt, seed, wish, as_json, quiet, began)


def parse_face(word: str) -> FaceChoice:
    """largest, left, right, or a number from 0.

    Raises:
        InputError: it is none of them.
    """
    if word.isascii() and word.isdigit():
        return int(word)
    if word in FACES:
        return word
    from mien.types import InputError

    known = f"{', '.join(FACES)} or a number from 0"
    raise InputError(f"--face {word} is unknown{nearest(word, FACES)}: choose {known}.")


def numbered(path: Path, count: int) -> list[Path]:
    """Where `count` portraits go: `path` itself for one, else name-1, name-2, …"""
    if count == 1:
        return [path]
    return [path.with_name(f"{path.stem}-{number}{path.suffix}") for number in range(1, count + 1)]


def _one(
    load: Any,
    identity: Path,
    expression: Path,
    output: Path,
    strip: Path | None,
    prompt: str,
    seed: int,
    wish: Wish,
    as_json: bool,
    quiet: bool,
    began: float,
) -> None:
    from tqdm import tqdm

    from mien.files import check_writable
    from mien.images import read_image
    from mien.provenance import check_format, save_image
    from mien.sheets import sheet

    places = numbered(output, wish.num_images)
    for place in [*places, *([strip] if strip else [])]:
        check_format(place)
        check_writable(place)
    identity_image, expression_image = read_image(identity), read_image(expression)
    portraits = load()
    who = portraits.look(identity, "face", identity_image)
    how = portraits.look(expression, "expression_face", expression_image)
    ready = time.perf_counter()
    with tqdm(desc="steps", leave=False, disable=True if quiet else None) as bar:

        def progress(step: int, total: int, _: Any) -> None:
            bar.total = total
            bar.update(step - bar.n)

        images = portraits.make([(who, how)], [prompt], [seed], progress)
    seconds = time.perf_counter() - ready
    settings = {**portraits.settings, "prompt": prompt}
    made = []
    for number, (place, image) in enumerate(zip(places, images, strict=True)):
        scores = portraits.score(image, who, how)
        save_image(image, place, {**settings, "seed": seed + number, "scores": scores})
        made.append({"path": str(place), "seed": seed + number, **scores})
    if strip:
        pictures = [("identity", who.image), ("expression", how.image)]
        drawn = sheet([[*pictures, *[("result", image) for image in images]]])
        save_image(drawn, strip, {**settings, "seed": seed})
    total = time.perf_counter() - began
    if as_json:
        result = {"images": made, "strip": str(strip) if strip else None, "settings": settings}
        print_json({**result, "scored_by": SCORED_BY, "seconds": seconds, "seconds_in_all": total})
        return
    for one in made:
        print(f"{one['path']}  {in_words(one)}")
    if strip:
        print(f"{strip}  identity | expression | result")
    print("scores by the embedded analyser and recogniser")
    print(f"{seconds:.1f} s to generate, {total:.1f} s in all")
    if any(one["id"] is None for one in made):
        say("mien: no face was found in a portrait: try another --seed.")


def in_words(scores: dict[str, Any]) -> str:
    """The three scores of a portrait for a line of text."""
    if scores["id"] is None:
        return "no face found"
    return (
        f"ID {scores['id']:.2f} (best 1)  Exp {scores['exp']:.3f} (best 0)  LMS {scores['lms']:.2f} (best 0)"
    )
