"""`mien studio`: the web page, on this machine."""

from __future__ import annotations

import signal
import time
from pathlib import Path
from typing import Annotated

import typer
from typer import Option

from mien.cli import options
from mien.cli.console import say
from mien.errors import InputError, choice
from mien.files import expand


@options.verb(("device",))
def studio(
    context: typer.Context,
    host: str = "127.0.0.1",
    port: Annotated[int | None, Option(min=1, max=65535)] = None,
    backbone: list[str] | None = None,
    adapter: str | None = None,
    seconds: Annotated[float, Option(min=1)] = 300.0,
    queue: Annotated[int, Option(min=1)] = 20,
    browser: bool = True,
) -> None:
    """Open the studio in a browser: portraits, refacing, travel, the 135 words, measuring.

    Other people's faces need their consent. Nothing leaves this machine.

    Args:
        host: Address to listen on; 0.0.0.0 lets others in.
        port: Port.  [default: the first free one from 7860]
        backbone: Another model to choose: a name, a diffusers folder or a hub id; may be repeated.
        adapter: Folder of an E-Adapter for the models of --backbone.  [default: each one's own]
        seconds: How long one job may take.
        queue: How many jobs may wait.
        browser: Open the page in the browser.
    """
    from mien.provenance import check_surroundings

    check_surroundings()
    if adapter is not None and not backbone:
        raise InputError("--adapter is for the models of --backbone: add one, or mini itself.")
    backbones, adapters = choices(backbone or [], adapter)
    try:
        from mien.studio.server import serve
    except ModuleNotFoundError as error:
        if error.name not in ("starlette", "uvicorn", "websockets"):
            raise
        raise InputError('The studio needs Starlette and uvicorn: pip install "mien[studio]".') from error
    say("mien: starting, this takes a few seconds")
    limits = {"device": context.params["device"], "seconds": seconds, "queue": queue, "adapters": adapters}
    with serve(backbones, host, port, browser, **limits) as (address, _):
        signal.signal(signal.SIGTERM, signal.default_int_handler)  # so that the pictures are removed
        print(f"mien studio: {address} (Ctrl-C stops it)", flush=True)
        try:
            while True:
                time.sleep(3600)
        except KeyboardInterrupt:
            say("mien: stopping")


def choices(more: list[str], adapter: str | None = None) -> tuple[dict[str, str], dict[str, str]]:
    """What people choose from, by name: mini and `more` -> what `load_backbone` takes, and which have `adapter`. Raises
    `InputError`: a model is not there or has no adapter, or two have one name. Models of the hub are fetched now, so
    that no job does it while others wait."""
    from mien import preflight
    from mien.weights.adapters import read_adapter_spec
    from mien.weights.bases import HUB_IDS, find_folder

    found, adapters = {"mini": "mini"}, {}
    for model in dict.fromkeys(more):
        if "/" not in model and not Path(model).is_dir():
            choice(model, HUB_IDS, "backbone")
        if adapter is not None and model in HUB_IDS:
            preflight.check(model, adapter)
        elif adapter is not None:
            read_adapter_spec(Path(adapter))
        own = model not in HUB_IDS and expand(model).is_dir()
        holds_one = model == "mini" or (own and (expand(model) / "adapter").is_dir())
        if adapter is None and not holds_one:
            raise InputError(f"{model} is not a folder that holds an adapter/: add --adapter FOLDER.")
        folder = find_folder(model).resolve()
        name = folder.name if own else model
        if own and (name in found or name in HUB_IDS):
            name = f"{folder.parent.name}/{name}"
        if name in found and name != "mini":
            raise InputError(f"Two models would be called {name}: rename the folder of one.")
        found.setdefault(name, str(folder))
        if adapter is not None:
            adapters[name] = adapter
    return found, adapters
