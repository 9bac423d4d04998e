"""`mien studio`: the web page, on this machine."""

from __future__ import annotations

import signal
import time
from pathlib import Path
from typing import Annotated

import typer

from mien.cli import options
from mien.cli.console import choice, say


def studio(
    host: Annotated[str, typer.Option(help="Address to listen on; 0.0.0.0 lets others in.")] = "127.0.0.1",
    port: Annotated[
        int | None, typer.Option(min=1, max=65535, help="Port.  [default: the first free one from 7860]")
    ] = None,
    backbone: Annotated[
        list[str] | None,
        typer.Option(
            help="Another model to choose: a name, a diffusers folder or a hub id; may be repeated."
        ),
    ] = None,
    device: options.Device = "auto",
    seconds: Annotated[float, typer.Option(min=1, help="How long one job may take.")] = 300.0,
    queue: Annotated[int, typer.Option(min=1, help="How many jobs may wait.")] = 20,
    browser: Annotated[bool, typer.Option(help="Open the page in the browser.")] = True,
) -> None:
    """Open the studio in a browser: portraits, refacing, travel, the 135 words, measuring.

    Other people's faces need their consent. Nothing leaves this machine.
    """
    try:
        from mien.studio.app import serve
    except ModuleNotFoundError as error:
        from mien.types import InputError

        if error.name is None or not error.name.startswith(("gradio", "starlette")):
            raise
        raise InputError('The studio needs Gradio: pip install "mien[studio]".') from error
    say("mien: starting, this takes a few seconds")
    with serve(choices(backbone or []), host, port, device, seconds, queue, browser) as (address, _, _):
        signal.signal(signal.SIGTERM, signal.default_int_handler)  # so that the pictures are removed
        print(f"mien studio: {address} (Ctrl-C stops it)", flush=True)
        try:
            while True:
                time.sleep(3600)
        except KeyboardInterrupt:
            say("mien: stopping")


def choices(more: list[str]) -> dict[str, str]:
    """Names that people choose -> models: mini, what is installed of the named ones, and `more`."""
    from mien.backbones import SPECS

    found = {"mini": "mini"}
    found |= {name: name for name, spec in SPECS.items() if spec.hub is not None and _installed(spec.hub)}
    for model in more:
        if "/" not in model and not Path(model).is_dir():
            choice(model, SPECS, "backbone")
        found[Path(model).name if Path(model).is_dir() else model] = model
    return found


def _installed(hub: str) -> bool:
    from huggingface_hub import try_to_load_from_cache

    return isinstance(try_to_load_from_cache(hub, "model_index.json"), str)
