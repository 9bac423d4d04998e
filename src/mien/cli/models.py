"""`mien models`: what weights there are, on what terms, fetching and checking them."""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated, Any

import typer

from mien.cli.console import print_json, say

if TYPE_CHECKING:
    from mien.weights import Entry, Status, WeightFile

app = typer.Typer(
    help="List, fetch and check model files.",
    no_args_is_help=True,
    rich_markup_mode=None,
    add_completion=False,
)
Names = Annotated[list[str] | None, typer.Argument(help="Names from `mien models list`; none means all.")]
Json = Annotated[bool, typer.Option("--json", help="Print JSON on stdout.")]


@app.command("list")
def list_models(as_json: Json = False) -> None:
    """Every model: purpose, file, sha256, licence, source, year, and whether commercial use is allowed."""
    from mien import weights

    rows = [(model, file, weights.check(model, file)) for model in weights.entries() for file in model.files]
    if as_json:
        print_json([_row(*row) for row in rows])
        return
    for model in weights.entries():
        states = {status.value for owner, _, status in rows if owner is model}
        size = sum(file.size or 0 for file in model.files)
        terms = "commercial use allowed" if model.commercial else "NO commercial use"
        print(
            f"{model.name}  [{'ships with mien' if model.shipped else 'fetch'}: {', '.join(sorted(states))}]"
        )
        print(f"    {model.purpose}")
        print(f"    {model.licence}; {terms}; {model.year}; {model.source}")
        if model.card:
            print(f"    {model.card}")
        for file in model.files if len(model.files) == 1 else ():
            print(f"    {weights.place(model, file)}")
            print(f"    sha256 {file.sha256 or 'unknown (unverified)'}")
        if len(model.files) != 1:
            print(f"    {len(model.files)} files, sha256 of each in --json")
        if size:
            print(f"    {size / 1e6:.1f} MB")


@app.command()
def fetch(
    names: Annotated[list[str], typer.Argument(help="Names from `mien models list`.")],
    force: Annotated[bool, typer.Option("--force", help="Fetch again what is here already.")] = False,
    quiet: Annotated[bool, typer.Option("--quiet", "-q", help="No progress bar.")] = False,
) -> None:
    """Download models into MIEN_MODELS (else the user's cache), check them, and put them in place whole."""
    from tqdm import tqdm

    from mien import weights
    from mien.weights.fetch import fetch as download

    for model in [weights.entry(name) for name in names]:
        with tqdm(desc=model.name, unit="B", unit_scale=True, disable=quiet) as bar:

            def progress(received: int, expected: int | None, bar: Any = bar) -> None:
                bar.total = expected
                bar.update(received - bar.n)

            done = download(model, progress, force)
        for place, digest, checked in done:
            print(place)
            if not checked:
                say(f"{place.name} is unverified: no checksum is known for it (its sha256 is {digest}).")
        if not model.commercial:
            say(f"{model.name} must not be used commercially: {model.licence}.")


@app.command()
def verify(names: Names = None, as_json: Json = False) -> None:
    """Read every byte of the models that are here and compare with the known checksums."""
    from mien import weights
    from mien.types import InputError
    from mien.weights.registry import remedy

    rows = weights.verify(names)
    if as_json:
        print_json([_row(*row) for row in rows])
    else:
        for model, file, status in rows:
            print(f"{status.value:<10} {model.name:<24} {file.path}")
    bad = [row for row in rows if row[2] in (weights.Status.DAMAGED, weights.Status.MISSING)]
    if bad:
        raise InputError(" ".join(remedy(*row) for row in bad))


def _row(model: Entry, file: WeightFile, status: Status) -> dict[str, Any]:
    from mien import weights

    return {
        "name": model.name,
        "purpose": model.purpose,
        "file": str(weights.place(model, file)),
        "sha256": file.sha256,
        "bytes": file.size,
        "url": file.url,
        "licence": model.licence,
        "commercial_use": model.commercial,
        "source": model.source,
        "year": model.year,
        "shipped": model.shipped,
        "card": model.card,
        "status": status.value,
    }
