"""What the verbs that make pictures share: where they go and what they may not replace."""

from __future__ import annotations

import os
from collections.abc import Collection, Hashable, Iterable, Sequence
from pathlib import Path

from mien.cli.console import tell
from mien.errors import InputError
from mien.files import check_writable


def numbered(path: Path, count: int) -> list[Path]:
    """Where `count` portraits go: `path` itself for one, else name-1, name-2, …"""
    if count == 1:
        return [path]
    return [path.with_name(f"{path.stem}-{number}{path.suffix}") for number in range(1, count + 1)]


def check_places(places: Sequence[Path], given: Iterable[Path] = (), overwrite: bool = False) -> None:
    """Before long work: `InputError` if these pictures could not be written, one would replace what was `given`, or,
    unless
    `overwrite`, what `mien` did not make."""
    from mien.provenance import check_format, check_surroundings

    check_surroundings()
    for place in places:
        check_format(place)
        check_writable(place)
    spare(files(given), places)
    keep(places, overwrite)


def keep(places: Iterable[Path], overwrite: bool) -> None:
    """`InputError` if a picture or film would replace one that `mien` did not make, unless `overwrite`."""
    from mien.provenance.animation import is_replaceable

    for place in places:
        if not overwrite and not is_replaceable(place):
            raise InputError(_somebodys(place))


def keep_tables(places: Sequence[Path], begins: str, overwrite: bool) -> None:
    """The same of texts that are written together; the first tells whose they are, by its beginning."""
    there = [place for place in places if os.path.lexists(place)]
    if overwrite or not there:
        return
    try:
        with places[0].open("rb") as file:
            ours = file.read(len(begins)) == begins.encode()
    except OSError:
        ours = False
    if not ours:
        raise InputError(_somebodys(there[0]))


def _somebodys(place: Path) -> str:
    return f"{place} is there already and mien did not make it: choose another name, or add --overwrite to replace it."


def check_given(pictures: Iterable[Path], expression: str | None) -> None:
    """Before models are loaded: `InputError` if a picture, or an expression, cannot be used."""
    from mien.expressions.spec import parse
    from mien.images import read_image

    parts = () if expression is None else parse(expression).parts
    for picture in (*pictures, *(part.picture for part in parts)):
        if isinstance(picture, Path):
            read_image(picture)


def files(paths: Iterable[Path]) -> set[Hashable]:
    """What tells whether two names are of one file, however they are written."""

    def one(path: Path) -> Hashable:
        try:
            facts = os.stat(path)
            return facts.st_dev, facts.st_ino
        except OSError:  # not there yet
            return os.path.realpath(path)
        except ValueError:  # holds a NUL: no file has such a name
            return path

    return {one(path) for path in paths}


def spare(given: Collection[Hashable], places: Iterable[Path]) -> None:
    """`InputError` if one of `places`, which are written, is among the `files` that are `given`, or is there twice."""
    taken: set[Hashable] = set()
    for place in places:
        (file,) = files([place])
        if file in given:
            raise InputError(
                f"{place} was given, and would be overwritten: choose another name for the result."
            )
        if file in taken:
            raise InputError(f"{place} would be written twice: choose two names.")
        taken.add(file)


def expression_files(expression: str | None) -> list[Path]:
    """The files that an expression may be read from: itself, or parts of a mix, with their weight taken off."""
    if expression is None:
        return []
    parts = [part.strip() for part in expression.split("+")]
    names = [expression.strip(), *parts, *(part.rpartition(":")[0].strip() for part in parts)]
    return [Path(name) for name in names if os.path.isfile(name)]


def place_again(output: Path, source: Path, chosen: bool) -> Path:
    """Where `--from` writes: where nobody has `chosen`, not over the picture that is made again, but beside it."""
    beside = output.with_stem(f"{output.stem}-again")
    return output if chosen or files([output]) != files([source]) else beside


def remind(quiet: bool) -> None:
    """Say once on this account what is to be said of other people's faces, but not while `quiet`."""
    from mien.making import consent

    if not quiet:
        consent.remind(tell)
