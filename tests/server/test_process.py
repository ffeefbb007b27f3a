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
        assert process.wait(20) in (0, -signal.SIGINT, 130)


def test_busy_port(weights: Path) -> None:
    with socket.create_server(("127.0.0.1", 0)) as other:
        port = str(other.getsockname()[1])
        done = subprocess.run([*COMMAND, "--port", port], env=environment(weights), capture_output=True, text=True, timeout=60)
    assert done.returncode == 1
    assert port in done.stderr
    assert "Traceback" not in done.stderr
