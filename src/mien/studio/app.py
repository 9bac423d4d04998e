"""Assembles the panels into one page, and serves it from a folder of its own that goes when it stops."""

from __future__ import annotations

import errno
import os
import socket
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from types import MappingProxyType
from typing import Any

import gradio as gr
from PIL import Image
from starlette.middleware import Middleware

from mien import __version__
from mien.expressions.faces import FOLDER
from mien.making.consent import NOTICE
from mien.studio import expressions, history, measure, portrait, reface, travel
from mien.studio.calls import Page
from mien.studio.engine import SESSION_AGE, Engine
from mien.studio.folders import own_folder
from mien.studio.gate import Gate
from mien.studio.inputs import MAX_BYTES, MAX_PIXELS
from mien.studio.looks import CSS, DARK, ROLES, theme
from mien.studio.sessions import Presence
from mien.types import InputError

SWEEP_EVERY = 600  # seconds
SESSIONS = 500  # remembered at a time; the one that was seen first is forgotten


def build(engine: Engine, queue: int) -> gr.Blocks:
    """The page. `queue`: how many jobs may wait."""
    with Page(title="mien studio", analytics_enabled=False, delete_cache=(SWEEP_EVERY, SESSION_AGE)) as page:
        gr.Markdown(
            f"# mien studio\nA portrait of this person, with that expression.\n\n**Consent.** {NOTICE}"
        )
        with gr.Row():
            backbone = gr.Dropdown(
                list(engine.backbones), value=next(iter(engine.backbones)), label="Model", filterable=False
            )
            dark = gr.Button("Light or dark", size="sm", scale=0, min_width=140)
            dark.click(None, js=DARK, api_visibility="private")
        past = gr.State([])  # of one page; its pictures go with the session
        with gr.Tabs() as tabs:
            with gr.Tab("Portrait", id="portrait"):
                one = portrait.panel(engine, backbone, past)
            with gr.Tab("Reface", id="reface"):
                two = reface.panel(engine, backbone, past)
            with gr.Tab("Travel", id="travel"):
                three = travel.panel(engine, backbone, past)
            with gr.Tab("Expressions", id="expressions"):
                expressions.panel(one, tabs)
            with gr.Tab("Measure", id="measure"):
                measure.panel(engine)
            with gr.Tab("History", id="history"):
                history.panel(past, [one, two, three], tabs)
        gr.Markdown(
            f"mien {__version__}. One job at a time; up to {queue} wait, then the queue says that it is full. "
            f"A job may take {engine.seconds:g} seconds, a picture have {MAX_BYTES // 10**6} MB and "
            f"{MAX_PIXELS // 10**6} million pixels. Pictures are removed after {SESSION_AGE // 60} minutes, and "
            "when the page is closed or the studio stops; nobody else on this page sees yours.",
            elem_classes="note",
        )
    page.queue(max_size=queue, default_concurrency_limit=8)
    return page


def check_address(host: str, port: int | None) -> None:
    """Look whether `serve` could listen there: Gradio tries a wrong host a hundred times, and blames the port.

    Raises:
        InputError: the host is none of this machine, or the port is taken.
    """
    try:
        found = socket.getaddrinfo(host.strip("[]"), port or 0, type=socket.SOCK_STREAM)
        family, kind, protocol, _, address = found[0]
        with socket.socket(family, kind, protocol) as trial:
            if os.name == "posix":  # as the server does; elsewhere it would take a port that is in use
                trial.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
            trial.bind(address)
    except (OSError, ValueError) as error:  # ValueError: a name that no machine can have
        if isinstance(error, OSError) and error.errno in (errno.EADDRINUSE, errno.EACCES):
            raise InputError(_no_port(host, port)) from error
        raise InputError(
            f"The studio cannot listen on {host}, which is no address of this machine: give another --host."
        ) from error


def _no_port(host: str, port: int | None) -> str:
    return f"The studio cannot listen on {host}:{port or 7860}: give another --port."


@contextmanager
def serve(
    backbones: dict[str, str],
    host: str = "127.0.0.1",
    port: int | None = None,
    device: str = "auto",
    seconds: float = 300.0,
    queue: int = 20,
    inbrowser: bool = False,
    adapters: Mapping[str, str] = MappingProxyType({}),
) -> Iterator[tuple[str, Engine, Any]]:
    """The studio running in threads of its own: its address, engine and page, until the block ends.

    Args:
        backbones: name to choose -> what `load_backbone` takes; the first is chosen at first.
        port: None: the first free one from 7860. seconds: limit of a job. queue: jobs that may wait.
        adapters: name -> folder of an adapter, for those that have none of their own.

    Raises:
        InputError: the host is none of this machine, or the port is taken.
    """
    check_address(host, port)
    limit = Image.MAX_IMAGE_PIXELS
    with own_folder() as folder:
        cache = folder / "uploads"
        results = cache / "results"  # within Gradio's own folder: it copies what lies elsewhere
        results.mkdir(mode=0o700, parents=True)
        surroundings = {"GRADIO_TEMP_DIR": str(cache), "GRADIO_ANALYTICS_ENABLED": "False"}
        for name in (
            "no_proxy",
            "NO_PROXY",
        ):  # Gradio calls its own server, which a proxy would look for elsewhere
            surroundings[name] = ",".join(
                filter(None, [os.environ.get(name), "localhost", "127.0.0.1", host])
            )
        before = {name: os.environ.get(name) for name in surroundings}
        os.environ.update(surroundings)
        Image.MAX_IMAGE_PIXELS = MAX_PIXELS  # Gradio opens pictures too; Pillow refuses twice as many pixels
        engine = Engine(results, backbones, device, seconds, adapters)
        page = build(engine, queue)
        try:
            try:
                _, address, _ = page.launch(
                    server_name=host,
                    server_port=port,
                    share=False,
                    inbrowser=inbrowser,
                    prevent_thread_lock=True,
                    show_error=True,
                    quiet=True,
                    max_file_size=MAX_BYTES,
                    allowed_paths=[str(FOLDER)],
                    enable_monitoring=False,
                    run_history=False,
                    ssr_mode=False,
                    mcp_server=False,
                    state_session_capacity=SESSIONS,
                    footer_links=["api", "settings"],
                    # No look at its own page first: where that takes over 3 s Gradio gives up.
                    _frontend=False,
                    app_kwargs={
                        "middleware": [Middleware(Gate), Middleware(Presence, sessions=engine.sessions)]
                    },
                    theme=theme(),
                    css=CSS,
                    js=ROLES,
                )
            except OSError as error:
                raise InputError(_no_port(host, port)) from error
            engine.kept = frozenset(path for path in cache.rglob("*") if path.is_file())
            yield address, engine, page
        finally:
            page.close(verbose=False)
            engine.close()
            Image.MAX_IMAGE_PIXELS = limit
            for name, value in before.items():
                if value is None:
                    os.environ.pop(name, None)
                else:
                    os.environ[name] = value
