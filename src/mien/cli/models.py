"""`mien models`: what weights there are, on what terms, fetching and checking them."""

from __future__ import annotations

from collections.abc import Iterator
from typing import TYPE_CHECKING, Annotated, Any

from typer import Argument, Option

from mien.cli import options
from mien.cli.console import Told, print_json, progress_bar, say
from mien.errors import InputError
from mien.tables import aligned

if TYPE_CHECKING:
    from mien.weights import Entry, Status, WeightFile

app = options.group("List, fetch and check model files.")
Names = Annotated[
    list[str] | None, Argument(metavar="NAMES", help="Names from `mien models list`; none means all.")
]


@app.command("list", short_help="Every model: here or not, its terms, size and purpose.")
def list_models(
    names: Names = None,
    long: Annotated[bool, Option("--long", "-l")] = False,
) -> Told:
    """Every model: whether it is here, whether commercial use is allowed, year, size, licence and purpose.

    Named models are shown in full.

    Args:
        long: Also source, file, sha256 and model card of each.
    """
    from mien import weights

    models = [model for name in names for model in weights.named(name)] if names else list(weights.entries())
    rows = [(model, file, weights.check(model, file)) for model in models for file in model.files]
    value = [_row(*row) for row in rows]
    states = {model.name: _state([status for owner, _, status in rows if owner is model]) for model in models}
    if names or long:
        return value, [line for model in models for line in _in_full(model, states[model.name])]
    lines = [["name", "state", "commercial use", "year", "MB", "licence", "purpose"]]
    for model in models:
        state = f"{'ships' if model.shipped else 'fetch'}: {states[model.name]}"
        allowed = "allowed" if model.commercial else "NO"
        size = sum(file.size or 0 for file in model.files) / 1e6
        terms = model.licence.split(" (")[0]
        shown = f"{size:.1f}" if size else "?"
        lines.append([model.name, state, allowed, str(model.year), shown, terms, model.purpose])
    told = [*aligned(lines), "\nSource, file, sha256 and model card: mien models list --long, or with names."]
    told += [
        f"mien models fetch {name} fetches {', '.join(some)}." for name, some in weights.bundles().items()
    ]
    return value, told


def _state(found: list[Status]) -> str:
    """One word for all files of a model: the worst of them."""
    from mien.weights import Status

    worst = (Status.DAMAGED, Status.MISSING, Status.UNVERIFIED, Status.OK)
    return next(state for state in worst if state in found).value


def _in_full(model: Entry, state: str) -> Iterator[str]:
    from mien import weights

    size = sum(file.size or 0 for file in model.files)
    yield f"{model.name}  [{'ships with mien' if model.shipped else 'fetch'}: {state}]"
    yield f"    {model.purpose}"
    terms = "commercial use allowed" if model.commercial else "NO commercial use"
    yield f"    {model.licence}; {terms}; {model.year}; {model.source}"
    if model.card:
        yield f"    {model.card}"
    for file in model.files:
        yield f"    {weights.place(model, file)}"
        yield f"    sha256 {file.sha256 or 'unknown (unverified)'}"
    if size:
        yield f"    {size / 1e6:.1f} MB"


@app.command(short_help="Download models, check them, put them in place.")
def fetch(
    names: Annotated[list[str], Argument(metavar="NAMES")],
    only_configs: Annotated[bool, Option("--only-configs")] = False,
    force: Annotated[bool, Option("--force")] = False,
    quiet: options.Quiet = False,
) -> None:
    """Download models into MIEN_MODELS (else the user's cache), check them, and put them in place whole.

    Args:
        names: Names from `mien models list`, or bundles of them.
        only_configs: Of a base model what a checkpoint in one file lacks.
        force: Fetch again what is here already.
    """
    from mien import weights
    from mien.weights.fetch import fetch as download

    models = list(dict.fromkeys(model for name in names for model in weights.named(name)))
    _check_network(models, force, only_configs)
    for model in models:
        with progress_bar(quiet, desc=model.name, unit="B", unit_scale=True, delay=0.1) as progress:
            done = download(model, progress, force, only_configs)
        for place, digest, checked in done:
            print(place)
            if not checked:
                say(f"{place.name} is unverified: no checksum is known for it (its sha256 is {digest}).")
        if not model.commercial:
            say(f"{model.name} must not be used commercially: {model.licence}.")


def _check_network(models: list[Entry], force: bool, only_configs: bool) -> None:
    """`NotHere` with all that is missing, where HF_HUB_OFFLINE forbids to fetch it."""
    from mien.preflight import Need, NotHere
    from mien.weights import copies, models_folder, sized

    missing = [model for model in models if not model.shipped and (force or not sized(model))]
    if not copies.offline() or not any(
        "//huggingface.co/" in (f.url or "") for m in missing for f in m.files
    ):
        return
    lines = []
    for model in missing:
        lines.append(Need(model, configs=only_configs).line())
        lines.append(f"    from {model.source} to {models_folder() / model.root}")
    raise NotHere(
        [
            f"{len(missing)} to fetch, which HF_HUB_OFFLINE forbids:",
            *lines,
            "Unset it, or bring the files of these addresses (`mien models list --long`) to those places.",
        ]
    )


@app.command(short_help="Compare the models that are here with their checksums.")
def verify(names: Names = None, as_json: options.Json = False) -> None:
    """Read every byte of the models that are here and compare with the known checksums."""
    from mien import weights
    from mien.weights import remedy

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

    told = ("name", "purpose", "licence", "source", "year", "shipped", "card")
    return {
        **{name: getattr(model, name) for name in told},
        "commercial_use": model.commercial,
        "file": str(weights.place(model, file)),
        "sha256": file.sha256,
        "bytes": file.size,
        "url": file.url,
        "status": status.value,
    }
