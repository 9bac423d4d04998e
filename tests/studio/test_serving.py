"""The studio starts where Gradio alone would not."""

from __future__ import annotations

import os
import socket
import urllib.request

import pytest

from mien.types import InputError

pytest.importorskip("gradio", reason="the studio needs Gradio: pip install mien[studio]")


@pytest.fixture
def port() -> int:
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        return int(taken.getsockname()[1])


def test_behind_a_proxy_that_does_not_know_it(port: int, monkeypatch: pytest.MonkeyPatch) -> None:
    from mien.studio.app import serve

    for name in ("HTTP_PROXY", "http_proxy", "ALL_PROXY"):
        monkeypatch.setenv(name, "http://127.0.0.1:9")
    monkeypatch.setenv("no_proxy", "example.org")
    monkeypatch.delenv("NO_PROXY", raising=False)
    with serve({"mini": "mini"}, port=port, device="cpu") as (address, _, _):
        direct = urllib.request.build_opener(urllib.request.ProxyHandler({}))
        assert direct.open(address).status == 200
    assert os.environ["no_proxy"] == "example.org" and "NO_PROXY" not in os.environ


def test_on_a_machine_too_slow_for_gradio_s_own_look(port: int, monkeypatch: pytest.MonkeyPatch) -> None:
    import gradio.networking

    from mien.studio.app import serve

    monkeypatch.setattr(gradio.networking, "url_ok", lambda url: False)
    with serve({"mini": "mini"}, port=port, device="cpu") as (address, _, _):
        assert urllib.request.build_opener(urllib.request.ProxyHandler({})).open(address).status == 200


@pytest.mark.parametrize("host", ["203.0.113.7", "mistyped.invalid", f"{'x' * 70}.invalid"])
def test_a_mistyped_host_is_told_at_once(host: str, monkeypatch: pytest.MonkeyPatch) -> None:
    from mien.studio.app import serve

    def unknown(name: str, *_: object, **__: object) -> None:
        raise socket.gaierror(socket.EAI_NONAME, "Name or service not known")

    if host.startswith("mistyped"):
        monkeypatch.setattr(
            socket, "getaddrinfo", unknown
        )  # asking a real one for it takes as long as it likes
    with (
        pytest.raises(InputError, match=f"{host}, which is no address of this machine: give another --host"),
        serve({"mini": "mini"}, host=host),
    ):
        pass


def test_a_port_that_is_taken_is_told_at_once() -> None:
    from mien.studio.app import check_address, serve

    with socket.socket() as other:
        other.bind(("127.0.0.1", 0))
        other.listen()
        port = other.getsockname()[1]
        with (
            pytest.raises(InputError, match=f"127.0.0.1:{port}: give another --port"),
            serve({"mini": "mini"}, port=port),
        ):
            pass
        for host in ("127.0.0.1", "localhost", "0.0.0.0"):
            check_address(host, None)
