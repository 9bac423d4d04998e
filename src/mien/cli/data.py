"""`mien data`: pictures of faces into sets, and sets into pairs for training."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer
from typer import Argument, Option

from mien.cli import options
from mien.cli.console import Told, counting_bar, tell
from mien.errors import InputError, choice
from mien.files import read_json

if TYPE_CHECKING:
    from mien.data.records import Manifest

app = options.group("Make, extend and look at sets of faces.")


@app.command(short_help="Pictures into a set of faces.")
@options.verb(options.CLUSTER, ("quiet",))
def ingest(
    context: typer.Context,
    source: Annotated[str, Argument(metavar="SOURCE")],
    out: Annotated[Path, Argument(metavar="OUT")],
    identity: str = "none",
    prompt: str = "",
    framing: str = "canonical",
    size: int = 128,
    faces: str = "largest",
    min_face: int = 40,
    quality: str = "auto",
    min_quality: float | None = None,
    analyser: str = "embedded",
    recogniser: str = "embedded",
    shard_size: int = 500,
) -> Told:
    """Find, frame, analyse, embed and split the faces of SOURCE into a set, rejected ones kept with reasons.

    Started again, it takes up where it ended; bad files never stop it.

    Args:
        source: A folder of pictures, a .tar or a folder or glob of them (WebDataset), hf:NAME[:SPLIT] or a saved
            Hugging Face dataset.
        out: Folder of the set; one that is there is completed.
        identity: Where a person's label is: none, folder (a folder a person), name (First_Last_0001.jpg), FILE.csv
            (columns file, identity), a column or field, or cluster (by embeddings).
        prompt: Column or field of captions; else they are made.
        framing: canonical (tight, as the embedded models), ffhq (whole head) or none.
        size: Pixels of the stored crop.
        faces: Of several faces: largest, all, or single (reject the picture).
        min_face: Smallest face in the source, in pixels.
        quality: Measure: auto (LIQE where pyiqa is installed, else plain), liqe, plain, none.
        min_quality: Reject below this; default: the measure's own.
        analyser: embedded or mediapipe.
        recogniser: embedded or dlib.
        shard_size: Pictures in a shard; a kill loses as many at most.
    """
    cluster = options.cluster(context)
    from mien.data.filters import load_quality
    from mien.data.gather import open_source
    from mien.data.ingest import Options
    from mien.data.ingest import ingest as make
    from mien.data.observe import load_observer
    from mien.images import unread

    measure = load_quality(quality)
    wishes = Options(framing, size, faces, min_face, min_quality, identity == "cluster", shard_size)
    for note in unread([source], below=True):
        tell(note)
    pictures = open_source(source, identity, prompt)
    observer = load_observer(analyser, recogniser)
    quiet = context.params["quiet"]
    with counting_bar(quiet, total=pictures.count, desc="ingesting", unit="picture") as bar:
        manifest = make(pictures, out, observer, measure, wishes, bar.update, cluster)
    return _told(manifest)


@app.command(short_help="ID-irrelevant pairs from a set, for training.")
@options.verb(options.DIFFUSION, options.CLUSTER, ("quiet",))
def idi(
    context: typer.Context,
    root: Annotated[Path, Argument(metavar="ROOT")],
    out: Annotated[Path, Argument(metavar="OUT")],
    count: int | None = None,
    method: list[str] | None = None,
    swap_command: str = "",
    max_exp: float = 0.05,
    max_lms: float = 0.18,
    min_id_distance: float | None = None,
    quality: str = "auto",
    min_quality: float | None = None,
    split: str = "train",
    with_source: Annotated[bool, Option("--with-source")] = False,
    seed: Annotated[int, Option(min=0)] = 0,
    chunk: int = 64,
) -> Told:
    """Make ID-irrelevant pairs: for each target, its expression on another person's face (EmojiDiff's IDI).

    Started again, it takes up where it ended. Rejected pairs are kept apart, with their reasons; look at
    OUT/summary.html.

    Args:
        root: The set the targets and the other people come from.
        out: Folder of the pairs; one that is there is completed.
        count: How many references to make; default: one of each method for each target.
        method: restruct, carry, faceswap:photo, faceswap:reface, faceswap:facefusion or faceswap:command; may be
            repeated. Default: restruct and faceswap:photo.
        swap_command: Of the swapper command (or facefusion): a line with {target}, {identity}, {output}.
        max_exp: Keep pairs with at most this Exp.
        max_lms: Keep pairs with at most this LMS.
        min_id_distance: Keep pairs at least this far apart; default: the recogniser's threshold. 0: any.
        quality: Measure: auto, liqe, plain, none.
        min_quality: Keep at least this; default: its own.
        split: train, held_out, or all.
        with_source: Only targets whose person has another picture.
        seed: Chooses targets, people and noise.
        chunk: Pairs a worker does at once; a kill loses as many at most.
    """
    if (count is not None and count < 1) or chunk < 1:
        raise InputError("count and chunk are at least 1: correct them.")
    cluster = options.cluster(context)
    choice(split, ("train", "held_out", "all"), "split")
    if not root.exists():
        raise InputError(f"{root} does not exist: make it by `mien data ingest`.")
    from dataclasses import fields
    from functools import partial

    from mien.data import idi_page
    from mien.data.filters import Limits
    from mien.data.idi import plan
    from mien.data.idi_run import run
    from mien.data.records import Manifest
    from mien.metrics.scoring import SAME_PERSON
    from mien.pipelines.idi import Recipe
    from mien.spread import spread

    manifest = Manifest.read(root)
    for name in ("analyser", "recogniser"):
        if name not in manifest.facts:
            raise InputError(f"{root} does not say its {name}: make it by `mien data ingest`.")
    methods = tuple(method or ("restruct", "faceswap:photo"))
    limits = Limits(max_exp, max_lms, min_id_distance, min_quality)
    same = {one.name: context.params[one.name] for one in fields(Recipe) if one.name in context.params}
    recipe = Recipe(
        **{**same, "root": root.resolve(), "methods": methods, "command": swap_command, "limits": limits}
    )
    same_person = SAME_PERSON[manifest.facts["recogniser"]]
    part = None if split == "all" else split
    jobs = plan(manifest, recipe.methods, count, seed, part, same_person, with_source)
    do = partial(spread, recipe.make, cluster=cluster)
    with counting_bar(context.params["quiet"], total=len(jobs), desc="making pairs", unit="pair") as bar:
        state = run(manifest, jobs, out, recipe.facts(manifest, seed), do, chunk, bar.update)
    files = idi_page.write(out, manifest)
    line = f"{state.kept} pairs kept of {state.done + state.made}, in {out} ({state.made} made now)"
    return read_json(files[0]), [line, *map(str, files)]


@app.command(short_help="What is in a set, and why pictures were rejected.")
def show(root: Annotated[Path, Argument(metavar="ROOT")]) -> Told:
    """What is in a set: pictures, people, splits, and why some were rejected.

    Args:
        root: A set's folder, or its manifest.parquet.
    """
    from mien.data.records import Manifest

    return _told(Manifest.read(root))


def _told(manifest: Manifest) -> Told:
    facts = summary(manifest)
    lines = [
        f"{facts['kept']} of {facts['pictures']} pictures, {facts['people']} people, in {manifest.root}",
        f"train {facts['train']}, held out {facts['held_out']}",
        *(f"rejected: {count} {reason}" for reason, count in facts["rejected"].items()),
        ", ".join(f"{name} {value}" for name, value in manifest.facts.items() if name != "format"),
    ]
    return facts, lines


def summary(manifest: Manifest) -> dict[str, Any]:
    """The counts of a manifest, as JSON values."""
    from mien.data.filters import reasons

    kept = manifest.kept()
    people = manifest.values("identity")
    counts = reasons(manifest.values("reason"))
    counts.pop("kept", None)
    return {
        "pictures": len(manifest),
        "kept": len(kept),
        "people": len({people[row] for row in kept if people[row]}),
        "train": len(manifest.kept("train")),
        "held_out": len(manifest.kept("held_out")),
        "rejected": counts,
        "made": manifest.facts,
    }
