"""The real command, in a process of its own."""

import os
import signal
import socket
import subprocess
import sys
import time
import urllib.error
import urllib.request
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import httpx
import numpy as np
import pytest

from tests.server.conftest import decoded, encoded, pixels

COMMAND = [sys.executable, "-c", "from translate.cli.serve import app; app()"]


def environment(weights: Path, **more: str) -> dict[str, str]:
    return os.environ | {"TRANSLATE_WEIGHTS": str(weights), "TRANSLATE_THREADS": "1"} | more


def free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


@contextmanager
def running(weights: Path, **more: str) -> Iterator[tuple[subprocess.Popen[bytes], str]]:
    port = free_port()
    process = subprocess.Popen([*COMMAND, "--port", str(port)], env=environment(weights, **more), stderr=subprocess.DEVNULL)
    address = f"http://127.0.0.1:{port}"
    try:
        deadline = time.monotonic() + 60
        while True:
            try:
                if httpx.get(f"{address}/readyz").status_code == 200:
                    break
            except httpx.TransportError:
                pass
            assert process.poll() is None, "the server ended"
            assert time.monotonic() < deadline, "the server did not start"
            time.sleep(0.1)
        yield process, address
    finally:
        process.kill()
        process.wait()


def test_a_picture_through_the_real_server(weights: Path) -> None:
    with running(weights, TRANSLATE_MAX_BYTES="2000000") as (process, address):
        response = httpx.post(f"{address}/translate", files={"file": ("x.png", encoded(pixels()))})
        np.testing.assert_array_equal(decoded(response.content), 255 - pixels())

        # urllib reads no answer before it has sent everything
        request = urllib.request.Request(f"{address}/translate", data=bytes(20_000_000))
        with pytest.raises(urllib.error.HTTPError) as refused:
            urllib.request.urlopen(request)
        assert refused.value.code == 413

        process.send_signal(signal.SIGINT)
        assert process.wait(20) == 0


def test_sigterm_answers_what_was_taken_on_and_ends_with_0(weights: Path) -> None:
    """Half a picture is sent, the server is told to end, and then comes the other half."""
    content = encoded(pixels())
    with running(weights, TRANSLATE_WORKERS="1", TRANSLATE_QUEUE="0") as (process, address):
        host, port = address.removeprefix("http://").split(":")
        head = f"POST /translate HTTP/1.1\r\nHost: {host}\r\nContent-Length: {len(content)}\r\n\r\n".encode()
        with socket.create_connection((host, int(port)), timeout=30) as client:
            client.sendall(head + content[:50])
            while httpx.post(f"{address}/translate", content=content).status_code != 503:
                time.sleep(0.05)  # until the one place is taken
            process.send_signal(signal.SIGTERM)
            while True:
                try:
                    socket.create_connection((host, int(port)), timeout=5).close()
                except ConnectionRefusedError:
                    break
                time.sleep(0.05)
            assert process.poll() is None
            client.sendall(content[50:])
            answer = b"".join(iter(lambda: client.recv(65536), b""))
        assert answer.startswith(b"HTTP/1.1 200")
        np.testing.assert_array_equal(decoded(answer.partition(b"\r\n\r\n")[2]), 255 - pixels())
        assert process.wait(30) == 0


def test_busy_port(weights: Path) -> None:
    with socket.create_server(("127.0.0.1", 0)) as other:
        port = str(other.getsockname()[1])
        done = subprocess.run([*COMMAND, "--port", port], env=environment(weights), capture_output=True, text=True, timeout=60)
    assert done.returncode == 1
    assert port in done.stderr
    assert "Traceback" not in done.stderr
