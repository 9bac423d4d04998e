"""`mien generate --pairs` and `mien reface --pairs`: a row's columns, and DiffSFSR's "[ID] looks [word] in [place]"."""

from __future__ import annotations

import re
from collections.abc import Sequence
from contextlib import suppress
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, ClassVar

from mien.cli.options import parse_people
from mien.cli.pictures import keep_tables
from mien.cli.rows import Cells, Format, Requests, check_there, names_file, seed_of
from mien.files import make_folder, write_text
from mien.making.rows import Line
from mien.making.wishes import SCORED_BY, Request
from mien.tables import stored, to_csv
from mien.types import InputError, nearest

if TYPE_CHECKING:
    from mien.pipelines.inputs import FaceChoice

COLUMNS = ("photo", "identity", "expression", "prompt", "seed", "out", "sentence")
PORTRAIT = COLUMNS[1:-1]
REQUIRED = PORTRAIT[:2]


def write_words(
    out_dir: Path | None, photo: Path | None, identities: Sequence[str], overwrite: bool = False
) -> Path:
    """Where a table of one row for each of the 135 words was written, in `out_dir`, which is made. Raises `InputError`:
    there is no `out_dir`, it cannot be written to, or the identity is no one picture."""
    from mien.expressions.labels import labels

    if out_dir is None:
        raise InputError("--expression all is every word, one picture each: add --out-dir DIR for them.")
    if len(identities) > 1 or any("=" in one for one in identities):
        raise InputError("--expression all takes one picture as --identity: leave the others out.")
    for picture in map(str, (*identities, *([photo] if photo else []))):
        check_there([Path(picture)], None)
    place = out_dir / "words.csv"
    keep_tables([place], "photo,identity,expression,out", overwrite)
    who, where = (str(Path(one).absolute()) if one else "" for one in (*(identities or [""]), photo))
    rows = [(where, who, word, f"{word.replace(' ', '_')}.png") for word in labels()]
    make_folder(out_dir, "choose another --out-dir")
    write_text(place, to_csv([("photo", "identity", "expression", "out"), *rows]))
    return place


def spelt_out(cells: Cells) -> Cells:
    """Cells whose `sentence`, "[ID] looks [word] in [place]", is told by the columns that it stands for. Raises
    `InputError`: it is another sentence, or one of these is given beside it."""
    if not cells.get("sentence"):
        return cells
    told = dict(zip(("identity", "expression", "prompt"), read_sentence(cells["sentence"]), strict=True))
    if beside := next((name for name in (*told, "photo") if cells.get(name)), None):
        raise InputError(f"the sentence says who, how and where: leave {beside} empty.")
    return {**cells, **told}


@dataclass(frozen=True)
class RequestFormat(Format):
    """The columns of a photo's row. prompt, seed: for rows that name none. face: of the photo, that several pictures of
    one person are for; None: they cannot be used."""

    prompt: str
    seed: int
    count: int = 1
    face: FaceChoice | None = None
    known = COLUMNS
    things, scored_by = "photos", SCORED_BY["reface"]
    first: ClassVar[tuple[str, ...]] = ("row", "out", "task", "prompt", "seed", "id", "exp", "pose")

    def ask(self, cells: Cells, number: int) -> tuple[Requests, str]:
        cells = self.cells(cells)
        prompt = cells.get("prompt") or self.prompt
        photo, expression = self.file(cells, "photo"), self.expression(cells)
        identity, people = self._people(cells)
        if people and self.face is None:
            raise InputError("only the photo engine takes several identity pictures: name one a row.")
        if people and self.face is not None and "" in people:
            people = {self.face: people[""]}
        pictures = [picture for one in (people or {}).values() for picture in one]
        self.check_given(photo, identity or people, expression, prompt)
        check_there(filter(None, (photo, identity, *pictures)), expression)
        seed = seed_of(cells, self.seed)
        given = [Request(identity, expression, prompt, seed + j, photo, people) for j in range(self.count)]
        return tuple(given), f"{number:04d}_{self.name(cells)}.png"

    def cells(self, cells: Cells) -> Cells:
        """The cells that count."""
        return spelt_out(cells)

    def check_given(self, photo: Path | None, who: object, expression: str | None, prompt: str) -> None:
        """`InputError` if a row says too little."""
        if photo is None and not prompt.strip():
            raise InputError("there is neither a photo nor a prompt: name one of them.")
        if who is None and expression is None:
            raise InputError("nothing is to be changed: name an identity, an expression or both.")

    def name(self, cells: Cells) -> str:
        """What a file is called if the row does not say."""
        photo = self.file(cells, "photo")
        return photo.stem if photo else "scene"

    def files(self, cells: Cells) -> list[Path]:
        with suppress(InputError):
            cells = self.cells(cells)
        return super().files(cells)

    def _people(self, cells: Cells) -> tuple[Path | None, dict[FaceChoice, list[Path]] | None]:
        """The identity cell as `parse_people` tells --identity, its pictures apart by semicolons."""
        cell = cells.get("identity") or ""
        several = ";" in cell and not stored(self.folder, cell).exists()
        given = [one.strip() for one in (cell.split(";") if several else [cell])]
        return parse_people([one for one in given if one], partial(stored, self.folder))


class PortraitFormat(RequestFormat):
    """The columns of a portrait's row; those with other names are left alone."""

    things, scored_by = "portraits", SCORED_BY["portrait"]
    first = ("row", "identity", "expression", "out", "prompt", "seed")

    def check(self, path: Path, columns: Sequence[str]) -> None:
        for name in REQUIRED:
            if name not in columns:
                hint = nearest(name, [column for column in columns if column not in PORTRAIT])
                raise InputError(
                    f"{path} has no column `{name}`{hint}, only {', '.join(columns)}: its first line must name them."
                )
        for column in columns:
            if column not in PORTRAIT and (hint := nearest(column, PORTRAIT)):
                raise InputError(f"{path} has a column `{column}`{hint}: rename it.")

    def cells(self, cells: Cells) -> Cells:
        return {name: cell for name, cell in cells.items() if name in PORTRAIT}

    def check_given(self, photo: Path | None, who: object, expression: str | None, prompt: str) -> None:
        for name, given in (("identity", who), ("expression", expression)):
            if given is None:
                raise InputError(f"the cell `{name}` is empty: name a picture.")

    def name(self, cells: Cells) -> str:
        text = cells["expression"]
        stem = Path(text).stem if names_file(text) else text
        short = re.sub(r"[^\w.-]+", "-", stem)[:40].strip("-") or "expression"
        return f"{stored(self.folder, cells['identity']).stem}_{short}"

    def shown(self, cells: Cells) -> Line:
        return {name: cells[name] for name in REQUIRED}

    def repeated(self, asked: Requests) -> Line:
        return {"identity": str(asked[0].identity), "expression": str(asked[0].expression)}


SENTENCE = re.compile(
    r"(?P<identity>\S.*?) looks (?P<expression>\S.*?) "
    r"(?P<place>(?:in|on|at|by|under|near|inside|outside|before|behind|beside|among|next to|with) .+)"
)


def read_sentence(sentence: str) -> tuple[str, str, str]:
    """ "[ID] looks [word] in [place]" -> (who, how, where): "me.jpg looks joyful in front of a lighthouse". Raises
    `InputError`: it is another sentence."""
    found = SENTENCE.fullmatch(sentence.strip())
    if found is None:
        raise InputError(f"{sentence!r} is not of the form PICTURE looks WORD in PLACE: write it so.")
    return found["identity"], found["expression"], found["place"]
