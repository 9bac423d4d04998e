"""Pictures of one request on the command line, or of `--from`: made, written, scored and told."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, fields, replace
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
    from mien.pipelines.inputs import FaceChoice

SHOWN = {"portrait": "identity | expression | result", "reface": "photo | what was given | result"}
NO_FACE = {"portrait": "a portrait", "reface": "a result"}


@dataclass(frozen=True)
class Asked:
    """What the options of a verb say of its result: where it goes (`strip`: a contact sheet beside it) and how it is
    told. `began`: when the command did."""

    output: Path
    strip: Path | None
    overwrite: bool
    as_json: bool
    verbose: bool
    quiet: bool
    began: float

    @classmethod
    def of(cls, given: Mapping[str, Any], began: float) -> Asked:
        """Of a verb's parameters."""
        return cls(began=began, **{one.name: given[one.name] for one in fields(cls) if one.name != "began"})

    def check(self, count: int, given: Iterable[Path]) -> list[Path]:
        """The places of `count` pictures, numbered if several; `InputError` if one may not be written, or was given."""
        places = numbered(self.output, count)
        check_places([*places, *([self.strip] if self.strip else [])], given, self.overwrite)
        return places


def make(load: Callable[[], Maker], request: Request, count: int, asked: Asked) -> None:
    """Make `count` pictures of a request, of seed, seed + 1 …, in one batch; write them, and report."""
    pictures = request.pictures
    expression = request.expression if isinstance(request.expression, str) else None
    places = asked.check(count, [*pictures, *expression_files(expression)])
    check_given(pictures, expression)
    from mien.expressions import everyday

    if expression is not None and everyday.names_tongue(expression):
        tell("a tongue is never put out: the mouth opens a little, and none is drawn.")
    requests = [replace(request, seed=request.seed + number) for number in range(count)]
    maker = load()
    looked = [maker.look(request) for request in requests]
    remind(asked.quiet)
    ready = time.perf_counter()
    with steps_bar(asked.quiet) as progress:
        drawn = maker.make(looked, progress)
    seconds = time.perf_counter() - ready

    from mien.making.made import finish, save_strip
    from mien.making.recording import Fingerprints

    prints, told = Fingerprints(), []
    for one, place in zip(drawn, places, strict=True):
        made = finish(maker, one, prints)
        made.save(place)
        told.append({"path": str(place), **made.line})
    if asked.strip:
        save_strip(maker, drawn, asked.strip)
    report(maker.kind, told, {**maker.settings, "prompt": request.prompt}, seconds, asked)


def report(
    kind: str,
    made: Sequence[Mapping[str, Any]],
    settings: Mapping[str, Any],
    seconds: float,
    asked: Asked,
    identical: bool | None = None,
    end: str = "",
) -> None:
    """What a person wants to know of the pictures just made; `identical` is said in JSON, if known, `end` in words."""
    total, strip = time.perf_counter() - asked.began, asked.strip
    if asked.as_json:
        answer = {"images": made, "strip": str(strip) if strip else None, "settings": settings}
        same = {} if identical is None else {"identical": identical}
        times = {"seconds": seconds, "seconds_in_all": total}
        print_json({**answer, **same, "scored_by": SCORED_BY[kind], **times})
        return
    for one in made:
        print(f"{one['path']}  {one['verdict']}")
        if asked.verbose and one["id"] is not None:
            print(f"  {in_numbers(kind, one)}")
        if one["warning"] and not end:
            tell(one["warning"])
    if strip:
        print(f"{strip}  {SHOWN[kind]}")
    if asked.verbose:
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
    asked: Asked,
    people: Mapping[FaceChoice, Sequence[Path]] | None = None,
) -> None:
    """Make the picture of --from again, of `kind`, and say whether it is the same, bit for bit. Raises `InputError`: it
    does not say how it was made; a picture or the weights are others than then (unless --force); or what is needed was
    not given. given: the verb's parameters. pictures, people: see `mien.making.repeating.read_again`."""
    from mien.making.repeating import model_of, read_again, same_threads

    source, expression, force = given["source"], given["expression"], given["force"]
    faces = [path for files in (people or {}).values() for path in files]
    asked.check(1, [source, *filter(None, pictures.values()), *faces, *expression_files(expression)])
    again = read_again(source, kind, pictures, expression, force, people)
    old, adapter = again.old, given["adapter"]
    name, place = model_of(source, old, given["backbone"], adapter), same_threads(old, given["device"])

    from mien.making.made import finish, save_strip
    from mien.making.makers import open_maker

    maker = open_maker(again.wish, name, place, old["dtype"], adapter, old.get("scheduler"), tell)
    again.check(maker.model.hashes, force)
    remind(asked.quiet)
    ready = time.perf_counter()
    with steps_bar(asked.quiet) as progress:
        drawn = again.make(maker, progress)
    seconds = time.perf_counter() - ready
    made = finish(maker, drawn, again.prints)
    photo = None if made.mask is None else pictures["photo" if kind == "reface" else "identity"]
    made = replace(made, settings={**old, **made.settings}, photo=photo)
    made.save(asked.output)
    if asked.strip:
        save_strip(maker, [drawn], asked.strip)
    why = again.why(made)
    end = f"the same as {source}, bit for bit" if why is None else f"not the same bits as {source}"
    told = {"path": str(asked.output), **made.line}
    report(kind, [told], made.settings, seconds, asked, why is None, end)
    if why is not None:
        tell(why)
