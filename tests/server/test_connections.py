"""Connections that say nothing, say nonsense, or take nothing; over real sockets."""

import http.client
import json
import resource
import socket
import threading
import time
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path
from typing import Any

import httpx
import numpy as np
import pytest
import uvicorn

from server import connections
from server.app import create_app
from server.settings import Settings
from tests.server.conftest import encoded, pixels

PATIENCE = 20.0


@contextmanager
def listening(weights: Path, **settings: Any) -> Iterator[int]:
    """A server in a thread of this process; its port."""
    app = create_app(Settings(**{"weights": (weights,), "threads": 1, **settings}))
    server = uvicorn.Server(uvicorn.Config(app, ws="none", log_config=None, http=connections.Connection))
    server.install_signal_handlers = lambda: None  # type: ignore[attr-defined]
    with socket.create_server(("127.0.0.1", 0)) as listener:
        thread = threading.Thread(target=server.run, kwargs={"sockets": [listener]})
        thread.start()
        port = int(listener.getsockname()[1])
        try:
            until_answered(f"http://127.0.0.1:{port}/readyz")
            yield port
        finally:
            server.should_exit = server.force_exit = True
            thread.join(PATIENCE)


def until_answered(address: str) -> None:
    deadline = time.monotonic() + PATIENCE
    while True:
        try:
            if httpx.get(address).status_code == 200:
                return
        except httpx.TransportError:
            pass
        assert time.monotonic() < deadline
        time.sleep(0.02)


def connected(port: int, **options: int) -> socket.socket:
    client = socket.socket()
    client.settimeout(PATIENCE)
    for name, value in options.items():
        client.setsockopt(socket.SOL_SOCKET, getattr(socket, name), value)
    client.connect(("127.0.0.1", port))
    return client


def ended(client: socket.socket) -> bool:
    """Whether the server ends the connection before it answers anything."""
    try:
        return client.recv(1) == b""
    except ConnectionResetError:
        return True


@pytest.mark.parametrize("said", [b"", b"GET /healthz HTTP/1.1\r\nHost: local", b"POST /translate HTTP/1.1\r\nHost: a\r\n"])
def test_who_does_not_come_to_the_point_is_cut_off(weights: Path, monkeypatch: pytest.MonkeyPatch, said: bytes) -> None:
    monkeypatch.setattr(connections, "HEAD", 0.2)
    with listening(weights) as port, connected(port) as client:
        client.sendall(said)
        assert ended(client)


def test_the_next_head_has_its_time_as_well(weights: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(connections, "HEAD", 0.3)
    with listening(weights) as port, connected(port) as client:
        first = http.client.HTTPConnection("localhost")
        first.sock = client
        first.request("GET", "/healthz")
        assert first.getresponse().read()
        client.sendall(b"GET /healthz HTTP/1.1\r\nHost:")
        assert ended(client)


def test_work_may_take_longer_than_the_head(weights: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(connections, "HEAD", 0.2)
    content = encoded(pixels())
    head = f"POST /translate HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\nContent-Length: {len(content)}\r\n\r\n"
    with listening(weights) as port, connected(port) as client:
        client.sendall(head.encode() + content[:50])
        time.sleep(0.5)
        client.sendall(content[50:])
        assert client.recv(65536).startswith(b"HTTP/1.1 200")


def test_the_silent_make_room(weights: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(connections.Connection, "most", 3)
    with listening(weights) as port, ExitStack() as stack:
        silent = [stack.enter_context(connected(port)) for _ in range(8)]
        answer = httpx.get(f"http://127.0.0.1:{port}/healthz", timeout=PATIENCE)
        assert answer.status_code == 200
        assert ended(silent[0])


def test_there_is_room_for_other_files(monkeypatch: pytest.MonkeyPatch) -> None:
    told: list[tuple[int, int]] = []
    monkeypatch.setattr(resource, "setrlimit", lambda _, limits: told.append(limits))
    for limits, most, raised in (
        ((1024, 524288), 2048, [(2240, 524288)]),
        ((1024, 1024), 832, [(1024, 1024)]),
        ((100, 100), 16, [(100, 100)]),
        ((65536, 65536), 2048, []),
        ((resource.RLIM_INFINITY,) * 2, 2048, []),
        ((256, resource.RLIM_INFINITY), 2048, [(2240, resource.RLIM_INFINITY)]),
    ):
        monkeypatch.setattr(resource, "getrlimit", lambda _, limits=limits: limits)
        assert connections.most() == most, limits
        assert told == raised
        told.clear()


@pytest.mark.parametrize(
    "said",
    [
        b"\x16\x03\x01 this is no HTTP\r\n\r\n",
        b"GET /healthz HTTP/1.1\r\n\r\n",
        b"POST /translate HTTP/1.1\r\nHost: a\r\nContent-Length: -1\r\n\r\n",
        b"GET / HTTP/1.1\r\nHost: a\r\nHost: b\r\n\r\n",
        b"POST /translate HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\nzz\r\n",
    ],
)
def test_what_is_no_http_is_told_so_like_everything_else(weights: Path, said: bytes) -> None:
    with listening(weights) as port, connected(port) as client:
        client.sendall(said)
        answer = b"".join(iter(lambda: client.recv(65536), b""))
    head, _, content = answer.partition(b"\r\n\r\n")
    assert head.startswith(b"HTTP/1.1 400")
    for header in (b"content-type: application/problem+json", b"x-request-id: ", b"x-frame-options: deny", b"connection: close"):
        assert header in head.lower()
    assert json.loads(content)["status"] == 400


def test_an_answer_that_nobody_takes_keeps_its_place(weights: Path) -> None:
    """Else a small picture after the other would leave its large answer in memory."""
    large = encoded(np.zeros((3000, 4000, 3), np.uint8))
    with listening(weights, workers=1, queue=0, timeout=60) as port:
        address = f"http://127.0.0.1:{port}/translate?amount=0&format=bmp"
        with connected(port, SO_RCVBUF=4096) as client:
            head = f"POST /translate?amount=0&format=bmp HTTP/1.1\r\nHost: localhost\r\nContent-Length: {len(large)}\r\n\r\n"
            client.sendall(head.encode() + large)
            assert client.recv(12) == b"HTTP/1.1 200"
            assert httpx.post(address, content=encoded(pixels()), timeout=PATIENCE).status_code == 503
        deadline = time.monotonic() + PATIENCE
        while httpx.post(address, content=encoded(pixels()), timeout=PATIENCE).status_code != 200:
            assert time.monotonic() < deadline
            time.sleep(0.02)


def test_an_answer_that_is_taken_too_slowly_is_broken_off(weights: Path) -> None:
    large = encoded(np.zeros((3000, 4000, 3), np.uint8))
    with listening(weights, workers=1, queue=0, timeout=3) as port, connected(port, SO_RCVBUF=4096) as client:
        head = f"POST /translate?amount=0&format=bmp HTTP/1.1\r\nHost: localhost\r\nContent-Length: {len(large)}\r\n\r\n"
        client.sendall(head.encode() + large)
        time.sleep(4)
        assert httpx.post(f"http://127.0.0.1:{port}/translate", content=encoded(pixels()), timeout=PATIENCE).status_code == 200
        received = 0
        try:
            while part := client.recv(2**20):
                received += len(part)
        except ConnectionResetError:
            pass
        assert received < 3000 * 4000 * 3


# Mutants tried: no deadline; one for the first head alone; it runs on while a picture is uploaded; the newest makes room; the
# whole answer at once; no end to taking it.
