"""The studio starts where it can, and says at once where it cannot."""

from __future__ import annotations

import socket
import urllib.request

import pytest

from mien.types import InputError

pytest.importorskip("uvicorn", reason="the studio needs uvicorn: pip install mien[studio]")


@pytest.mark.parametrize("host", ["203.0.113.7", "mistyped.invalid", f"{'x' * 70}.invalid"])
def test_a_mistyped_host_is_told_at_once(host: str, monkeypatch: pytest.MonkeyPatch) -> None:
    from mien.studio.server import listen

    def unknown(name: str, *_: object, **__: object) -> None:
        raise socket.gaierror(socket.EAI_NONAME, "Name or service not known")

    if host.startswith("mistyped"):  # asking a real one for it takes as long as it likes
        monkeypatch.setattr(socket, "getaddrinfo", unknown)
    with pytest.raises(InputError, match=f"{host}, which is no address of this machine: give another --host"):
        listen(host, 7999)


def test_a_port_that_is_taken_is_told_at_once() -> None:
    from mien.studio.server import listen

    with socket.socket() as other:
        other.bind(("127.0.0.1", 0))
        other.listen()
        port = other.getsockname()[1]
        with pytest.raises(InputError, match=f"127.0.0.1:{port}: give another --port"):
            listen("127.0.0.1", port)
    for host in ("127.0.0.1", "localhost", "0.0.0.0"):
        listen(host, None).close()


def test_two_serve_side_by_side() -> None:
    from mien.studio.server import serve

    direct = urllib.request.build_opener(urllib.request.ProxyHandler({}))
    with serve({"mini": "mini"}) as (one, _), serve({"mini": "mini"}) as (two, _):
        assert one != two and all(b"<h1>mien</h1>" in direct.open(at).read() for at in (one, two))
    with pytest.raises(OSError):
        direct.open(one, timeout=2)
