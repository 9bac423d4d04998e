"""Pictures of one request on the command line: made, written, scored and told."""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

from mien.cli.console import print_json, tell
from mien.cli.pictures import (
    check_given,
    check_places,
    expression_files,
    numbered,
    remind,
    steps_bar,
)
from mien.making.wishes import SCORED_BY, Request, in_numbers

if TYPE_CHECKING:
    from mien.making.made import Maker

SHOWN = {"portrait": "identity | expression | result", "reface": "photo | what was given | result"}
NO_FACE = {"portrait": "a portrait", "reface": "a result"}


def make(
    load: Callable[[], Maker],
    request: Request,
    count: int,
    output: Path,
    strip: Path | None,
    began: float,
    overwrite: bool,
    as_json: bool,
    verbose: bool,
    quiet: bool,
) -> None:
    """Make `count` pictures of a request, of seed, seed + 1 …, in one batch; write them, and report.

    Args:
        output: their place; of several numbered. strip: of a contact sheet. began: when the command did.
    """
    pictures = request.pictures
    expression = request.expression if isinstance(request.expression, str) else None
    places = numbered(output, count)
    given = [*pictures, *expression_files(expression)]
    check_places([*places, *([strip] if strip else [])], given, overwrite)
    check_given(pictures, expression)
    requests = [replace(request, seed=request.seed + number) for number in range(count)]
    maker = load()
    looked = [maker.look(request) for request in requests]
    remind(quiet)
    ready = time.perf_counter()
    with steps_bar(quiet) as progress:
        drawn = maker.make(looked, progress)
    seconds = time.perf_counter() - ready
    from mien.making.made import finish, save_strip
    from mien.making.recording import Fingerprints

    prints, told = Fingerprints(), []
    for one, place in zip(drawn, places, strict=True):
        made = finish(maker, one, prints)
        made.save(place)
        told.append({"path": str(place), **made.line})
    if strip:
        save_strip(maker, drawn, strip)
    settings = {**maker.settings, "prompt": request.prompt}
    report(maker.kind, told, strip, settings, seconds, began, as_json, verbose)


def report(
    kind: str,
    made: Sequence[Mapping[str, Any]],
    strip: Path | None,
    settings: Mapping[str, Any],
    seconds: float,
    began: float,
    as_json: bool,
    verbose: bool,
    more: Mapping[str, Any] | None = None,
    end: str = "",
) -> None:
    """What a person wants to know of the pictures just made; `more` is said in JSON, `end` in words."""
    total = time.perf_counter() - began
    if as_json:
        answer = {
            "images": made,
            "strip": str(strip) if strip else None,
            "settings": settings,
            **(more or {}),
        }
        print_json({**answer, "scored_by": SCORED_BY[kind], "seconds": seconds, "seconds_in_all": total})
        return
    for one in made:
        print(f"{one['path']}  {one['verdict']}")
        if verbose and one["id"] is not None:
            print(f"  {in_numbers(kind, one)}")
        if one["warning"] and not end:
            tell(one["warning"])
    if strip:
        print(f"{strip}  {SHOWN[kind]}")
    if verbose:
        print("scores by the embedded analyser and recogniser")
        print(f"{seconds:.1f} s to generate, {total:.1f} s in all")
    if any(one["id"] is None for one in made):
        tell(f"no face was found in {NO_FACE[kind]}: try another --seed.")
    if end:
        print(end)
