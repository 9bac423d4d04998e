"""`mien data`: pictures of faces into sets, and sets into pairs for training."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from mien.cli.console import print_json

if TYPE_CHECKING:
    from mien.data.records import Manifest

app = typer.Typer(
    help="Make, extend and look at sets of faces.",
    no_args_is_help=True,
    rich_markup_mode=None,
    add_completion=False,
)
Json = Annotated[bool, typer.Option("--json", help="Print JSON on stdout.")]
Quiet = Annotated[bool, typer.Option("--quiet", "-q", help="No progress bar.")]
PREPARED = "prepared:"


@app.command()
def ingest(
    source: Annotated[
        str,
        typer.Argument(
            help="A folder of pictures, a .tar or a folder or glob of them (WebDataset), hf:NAME[:SPLIT] or a "
            "saved Hugging Face dataset, or prepared:NAME."
        ),
    ],
    out: Annotated[Path, typer.Argument(help="Folder of the set; one that is there is completed.")],
    identity: Annotated[
        str,
        typer.Option(
            help="Where a person's label is: none, folder (a folder a person), name (First_Last_0001.jpg), "
            "FILE.csv (columns file, identity), a column or field, or cluster (by embeddings)."
        ),
    ] = "none",
    prompt: Annotated[str, typer.Option(help="Column or field of captions; else they are made.")] = "",
    framing: Annotated[
        str, typer.Option(help="canonical (tight, as the embedded models), ffhq (whole head) or none.")
    ] = "canonical",
    size: Annotated[int, typer.Option(help="Pixels of the stored crop.")] = 128,
    faces: Annotated[
        str, typer.Option(help="Of several faces: largest, all, or single (reject the picture).")
    ] = "largest",
    min_face: Annotated[int, typer.Option(help="Smallest face in the source, in pixels.")] = 40,
    quality: Annotated[
        str,
        typer.Option(help="Measure: auto (LIQE where pyiqa is installed, else plain), liqe, plain, none."),
    ] = "auto",
    min_quality: Annotated[
        float | None, typer.Option(help="Reject below this; default: the measure's own.")
    ] = None,
    analyser: Annotated[str, typer.Option(help="embedded or mediapipe.")] = "embedded",
    recogniser: Annotated[str, typer.Option(help="embedded or dlib.")] = "embedded",
    shard_size: Annotated[int, typer.Option(help="Pictures in a shard; a kill loses as many at most.")] = 500,
    as_json: Json = False,
    quiet: Quiet = False,
) -> None:
    """Find, frame, analyse, embed and split the faces of SOURCE into a set, rejected ones kept with reasons.

    Started again, it takes up where it ended; bad files never stop it.
    """
    from tqdm import tqdm

    from mien.data.filters import load_quality
    from mien.data.gather import open_source

    measure = load_quality(quality)
    if source.startswith(PREPARED):
        from mien.data.dataset import load_faces
        from mien.data.from_prepared import from_prepared

        name = source.removeprefix(PREPARED)
        with tqdm(total=len(load_faces(name)), desc="reading", unit="face", disable=quiet or None) as bar:
            manifest = from_prepared(name, out, measure, bar.update)
    else:
        from mien.data.ingest import Options
        from mien.data.ingest import ingest as make
        from mien.data.observe import load_observer

        options = Options(framing, size, faces, min_face, min_quality, identity == "cluster", shard_size)
        pictures = open_source(source, identity, prompt)
        observer = load_observer(analyser, recogniser)
        with tqdm(total=pictures.count, desc="ingesting", unit="picture", disable=quiet or None) as bar:
            manifest = make(pictures, out, observer, measure, options, bar.update)
    _tell(manifest, as_json)


@app.command()
def show(
    root: Annotated[Path, typer.Argument(help="A set's folder, or its manifest.parquet.")],
    as_json: Json = False,
) -> None:
    """What is in a set: pictures, people, splits, reasons; of pairs, their scores too."""
    from mien.data.records import Manifest

    _tell(Manifest.read(root), as_json)


def _tell(manifest: Manifest, as_json: bool) -> None:
    facts = summary(manifest)
    if as_json:
        print_json(facts)
        return
    print(f"{facts['kept']} of {facts['pictures']} pictures, {facts['people']} people, in {manifest.root}")
    print(f"train {facts['train']}, held out {facts['held_out']}")
    for reason, count in facts["rejected"].items():
        print(f"rejected: {count} {reason}")
    print(", ".join(f"{name} {value}" for name, value in manifest.facts.items() if name != "format"))


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
