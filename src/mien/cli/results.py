"""Pictures of one request on the command line, or of `--from`: made, written, scored and told."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

from mien.cli.console import print_json, progress_bar, tell
from mien.cli.pictures import check_given, check_places, expression_files, numbered, place_again, remind
from mien.making.wishes import SCORED_BY, Request, in_numbers

if TYPE_CHECKING:
    from mien.making.made import Drawn, Made, Maker
    from mien.making.subjects import Looked
    from mien.pipelines.inputs import FaceChoice

SHOWN = {"portrait": "identity | expression | result", "reface": "photo | what was given | result"}
NO_FACE = {"portrait": "a portrait", "reface": "a result"}


def make(load: Callable[[], Maker], request: Request, given: Mapping[str, Any]) -> None:
    """Make the pictures of a request, of seed, seed + 1 …, in one batch; write them, and report. given: the verb's
    parameters (`options.begun`)."""
    pictures, count = request.pictures, given["num_images"]
    expression = request.expression if isinstance(request.expression, str) else None
    places = numbered(given["output"], count)
    _check(given, places, [*pictures, *expression_files(expression)])
    check_given(pictures, expression)
    from mien.expressions import everyday

    if expression is not None and everyday.names_tongue(expression):
        tell("a tongue is never put out: the mouth opens a little, and none is drawn.")
    maker = load()
    looked = [maker.look(replace(request, seed=request.seed + number)) for number in range(count)]
    drawn, seconds = _drawn(maker, looked, given["quiet"])

    from mien.making.made import finish
    from mien.making.recording import Fingerprints

    prints = Fingerprints()
    told = _written(maker, drawn, [finish(maker, one, prints) for one in drawn], places, given)
    report(maker.kind, told, {**maker.settings, "prompt": request.prompt}, seconds, given)


def _check(given: Mapping[str, Any], places: Sequence[Path], read: Iterable[Path]) -> None:
    """`InputError` if one of `places` or the strip may not be written, or is among what is read."""
    check_places([*places, *([given["strip"]] if given["strip"] else [])], read, given["overwrite"])


def _drawn(maker: Maker, looked: Sequence[Looked], quiet: bool) -> tuple[list[Drawn], float]:
    """What a maker draws, and the seconds that it took."""
    remind(quiet)
    ready = time.perf_counter()
    with progress_bar(quiet, desc="steps") as progress:
        drawn = maker.make(looked, progress)
    return drawn, time.perf_counter() - ready


def _written(
    maker: Maker,
    drawn: Sequence[Drawn],
    made: Sequence[Made],
    places: Sequence[Path],
    given: Mapping[str, Any],
) -> list[dict[str, Any]]:
    """What is told of pictures, which are written, with their strip."""
    from mien.making.made import save_strip

    for one, place in zip(made, places, strict=True):
        one.save(place)
    if given["strip"]:
        save_strip(maker, drawn, given["strip"])
    return [{"path": str(place), **one.line} for one, place in zip(made, places, strict=True)]


def report(
    kind: str,
    made: Sequence[Mapping[str, Any]],
    settings: Mapping[str, Any],
    seconds: float,
    given: Mapping[str, Any],
    identical: bool | None = None,
    end: str = "",
) -> None:
    """What a person wants to know of the pictures just made; `identical` is said in JSON, if known, `end` in words."""
    total, strip = time.perf_counter() - given["began"], given["strip"]
    if given["as_json"]:
        answer = {"images": made, "strip": str(strip) if strip else None, "settings": settings}
        same = {} if identical is None else {"identical": identical}
        times = {"seconds": seconds, "seconds_in_all": total}
        print_json({**answer, **same, "scored_by": SCORED_BY[kind], **times})
        return
    for one in made:
        print(f"{one['path']}  {one['verdict']}")
        if given["verbose"] and one["id"] is not None:
            print(f"  {in_numbers(kind, one)}")
        if one["warning"] and not end:
            tell(one["warning"])
    if strip:
        print(f"{strip}  {SHOWN[kind]}")
    if given["verbose"]:
        print("scores by the embedded analyser and recogniser")
        print(f"{seconds:.1f} s to generate, {total:.1f} s in all")
    if any(one["id"] is None for one in made):
        tell(f"no face was found in {NO_FACE[kind]}: try another --seed.")
    if end:
        print(end)


def repeat(
    kind: str,
    given: Mapping[str, Any],
    pictures: dict[str, Path | None],
    people: Mapping[FaceChoice, Sequence[Path]] | None = None,
) -> None:
    """Make the picture of --from again, of `kind`, and say whether it is the same, bit for bit. Raises `InputError`: it
    does not say how it was made; a picture or the weights are others than then (unless --force); or what is needed was
    not given. given: the verb's parameters. pictures, people: see `mien.making.repeating.read_again`."""
    from mien.making.repeating import model_of, read_again, same_threads

    source, expression, force = given["source"], given["expression"], given["force"]
    output = place_again(given["output"], source, given["output_given"])
    faces = [path for files in (people or {}).values() for path in files]
    _check(given, [output], [source, *filter(None, pictures.values()), *faces, *expression_files(expression)])
    again = read_again(source, kind, pictures, expression, force, people)
    old, adapter = again.old, given["adapter"]
    name, place = model_of(source, old, given["backbone"], adapter), same_threads(old, given["device"])

    from mien.making.made import finish
    from mien.making.makers import open_maker

    maker = open_maker(again.wish, name, place, old["dtype"], adapter, old.get("scheduler"), tell)
    again.check(maker.model.hashes, force)
    all_drawn, seconds = _drawn(maker, again.batch(maker), given["quiet"])
    drawn = all_drawn[old["batch"]["slot"]]
    made = finish(maker, drawn, again.prints)
    photo = None if made.mask is None else pictures["photo" if kind == "reface" else "identity"]
    made = replace(made, settings={**old, **made.settings}, photo=photo)
    told = _written(maker, [drawn], [made], [output], given)
    why = again.why(made)
    end = f"the same as {source}, bit for bit" if why is None else f"not the same bits as {source}"
    report(kind, told, made.settings, seconds, given, why is None, end)
    if why is not None:
        tell(why)
