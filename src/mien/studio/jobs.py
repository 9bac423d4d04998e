"""What the panels that make pictures share: a job is followed, and its pictures are written."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

import gradio as gr

from mien.studio.engine import Engine, Job, Step
from mien.studio.fields import on_the_way
from mien.studio.history import remember

if TYPE_CHECKING:
    from mien.making.made import Made, Maker
    from mien.making.wishes import Request


@dataclass(frozen=True)
class Done:
    """What a panel shows at the end: its result, the files to download, a note, and an entry of the history."""

    result: Any
    files: list[str]
    note: str
    entry: dict[str, Any]


def follow(
    engine: Engine,
    request: gr.Request,
    history: list[dict[str, Any]],
    progress: Any,
    work: Callable[[Job, Path], Done],
) -> Iterator[tuple[Any, ...]]:
    """Do `work` in the model's thread, with a new folder for its files: yields what a panel's outputs (preview, result,
    files, note, history) become on the way and at the end."""
    session = str(request.session_hash)
    place = engine.new_folder(session)
    yield None, None, None, "", history
    for update in engine.run(session, lambda job: work(job, place)):
        if isinstance(update, Done):
            yield None, update.result, update.files, update.note, remember(history, update.entry)
        elif isinstance(update, Step) and (shown := on_the_way(update, place, progress)):
            yield shown


def by_photo(backbone: str, *said: str) -> bool:
    """Whether the photo engine serves a wish: the embedded model's, with nothing said in words but the expression."""
    return backbone == "mini" and not any(text.strip() for text in said)


def make(maker: Maker, asked: Request, count: int, job: Job, place: Path) -> list[tuple[str, Made]]:
    """Make `count` pictures of a request, of seed, seed + 1 …, and write them: their paths, and what there is to say.

    They hold what `--from` of the command line needs.
    """
    from mien.making.made import finish
    from mien.making.recording import Fingerprints

    looked = [maker.look(replace(asked, seed=asked.seed + number)) for number in range(count)]
    drawn = maker.make(looked, job.watch(getattr(maker.model, "backbone", None)))
    prints, done = Fingerprints(), []
    for one in drawn:
        made = finish(maker, one, prints)
        done.append((str(made.save(place / f"{maker.kind}_{made.told['seed']}.png")), made))
    return done
