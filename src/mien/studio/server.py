"""The server that answers for the studio, from a folder of its own that goes when it stops."""

from __future__ import annotations

import errno
import os
import socket
import threading
import time
import webbrowser
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from typing import Any

import uvicorn
from PIL import Image

from mien.studio.app import Studio, build
from mien.studio.engine import Engine
from mien.studio.folders import own_folder
from mien.studio.sessions import Sessions
from mien.studio.wishes import MAX_PIXELS
from mien.types import InputError

MAX_FRAME = 2_000_000  # bytes of a message of the page's socket


def listen(host: str, port: int | None) -> socket.socket:
    """A socket to serve at: of `port`, or of the first free one from 7860.

    Raises:
        InputError: the host is none of this machine, or the port is taken.
    """
    stranger = (
        f"The studio cannot listen on {host}, which is no address of this machine: give another --host."
    )
    for number in [port] if port is not None else range(7860, 7960):
        try:
            found = socket.getaddrinfo(host.strip("[]"), number, type=socket.SOCK_STREAM)
            family, kind, protocol, _, address = found[0]
            server = socket.socket(family, kind, protocol)
        except (OSError, ValueError) as error:
            raise InputError(stranger) from error
        try:
            if os.name == "posix":  # elsewhere it would take a port that is in use
                server.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
            server.bind(address)
            return server
        except OSError as error:
            server.close()
            if error.errno not in (errno.EADDRINUSE, errno.EACCES):
                raise InputError(stranger) from error
    raise InputError(f"The studio cannot listen on {host}:{port or 7860}: give another --port.")


@contextmanager
def serve(
    backbones: Mapping[str, str],
    host: str = "127.0.0.1",
    port: int | None = None,
    inbrowser: bool = False,
    **engine: Any,
) -> Iterator[tuple[str, Studio]]:
    """The studio running in threads of its own: its address and what answers, until the block ends.

    Args:
        backbones: name to choose -> what `load_backbone` takes. port: None: the first free one from 7860.
        engine: see `Engine`.

    Raises:
        InputError: the host is none of this machine, or the port is taken.
    """
    bound = listen(host, port)
    limit = Image.MAX_IMAGE_PIXELS
    with own_folder() as folder:
        Image.MAX_IMAGE_PIXELS = MAX_PIXELS
        studio = Studio(Engine(backbones, **engine), Sessions(folder))
        config = uvicorn.Config(
            build(studio),
            log_level="warning",
            ws_max_size=MAX_FRAME,
            timeout_graceful_shutdown=2,
            lifespan="off",
            server_header=False,
        )
        server = uvicorn.Server(config)
        thread = threading.Thread(target=server.run, kwargs={"sockets": [bound]}, daemon=True)
        thread.start()
        while not server.started and thread.is_alive():
            time.sleep(0.02)
        shown = f"[{host.strip('[]')}]" if ":" in host else host
        address = f"http://{shown}:{bound.getsockname()[1]}/"
        if inbrowser:
            webbrowser.open(address)
        try:
            yield address, studio
        finally:
            server.should_exit = True
            studio.engine.close()
            thread.join(timeout=5)
            bound.close()
            Image.MAX_IMAGE_PIXELS = limit
