"""What is measured, each in processes of its own: the bare loop, the server, a peer; and the client."""

import json
import os
import signal
import socket
import subprocess
import sys
import time
import urllib.error
import urllib.request
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any

SERVE = """
import sys
sys.modules["uvloop"] = sys.modules["httptools"] = None  # as it is installed, whatever a peer has brought along
from translate.cli.serve import app
app()
"""


@dataclass
class Server:
    """A server at work."""

    process: subprocess.Popen[bytes]
    port: int
    started: float
    """Seconds from its start until it was ready."""
    query: str = ""
    client: float = 0.0
    """Processor seconds that the client took."""
    sent: int = 0

    def load(self, files: list[Path], count: int, concurrency: int, **query: str) -> "Load":
        """Sends `count` requests. Raises `RuntimeError` where one is not answered by 200."""
        words = "&".join([self.query, *(f"{key}={value}" for key, value in query.items())]).strip("&")
        told = [sys.executable, "-m", "bench.serving.load", self.port, f"/translate?{words}", count, concurrency, *files]
        done = json.loads(subprocess.run(list(map(str, told)), check=True, capture_output=True, text=True).stdout)
        if wrong := {status for _, status, _ in done["answers"]} - {200}:
            raise RuntimeError(f"answered {wrong}")
        self.client += done["cpu"]
        self.sent += count
        timings = [_parts(timing) for _, _, timing in done["answers"]]
        return Load(count / done["seconds"], [seconds for seconds, _, _ in done["answers"]], timings)

    def megabytes(self) -> float:
        """Resident memory of the process and those below it."""
        return _resident(self.process.pid) / 1024


@dataclass
class Load:
    rate: float
    """Pictures a second."""
    latencies: list[float]
    """Seconds."""
    timings: list[dict[str, float]]
    """Server-Timing of each, in milliseconds."""


class Bare:
    """The loop, kept warm between its turns."""

    def __init__(self, model: Path, picture: Path, format: str) -> None:
        command = [sys.executable, "-m", "bench.serving.bare", str(model), str(picture), format]
        self.process = subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True, bufsize=1)

    def rate(self, count: int) -> float:
        """Pictures a second."""
        assert self.process.stdin
        assert self.process.stdout
        self.process.stdin.write(f"{count}\n")
        if not (told := self.process.stdout.readline()):
            raise RuntimeError("the bare loop has ended")
        return count / float(told)

    def close(self) -> None:
        assert self.process.stdin
        self.process.stdin.close()
        self.process.wait(60)


@contextmanager
def ours(weights: Path | None, model: str, **settings: str) -> Iterator[Server]:
    """`translate-serve` with its own settings, and room for all that the client sends at once."""
    environment = {"TRANSLATE_QUEUE": "64", **settings} | ({"TRANSLATE_WEIGHTS": str(weights)} if weights else {})
    with _running(["-c", SERVE, "--model", model], "/readyz", environment) as server:
        yield server


@contextmanager
def litserve(model: Path, format: str, workers: int, threads: int) -> Iterator[Server]:
    """LitServe with `workers` processes, and `threads` in the network of each."""
    command = ["-m", "bench.serving.peer", str(model), format]
    with _running(command, "/health", {}, str(workers), str(threads)) as server:
        yield server


@contextmanager
def _running(command: list[str], ready: str, environment: dict[str, str], *more: str) -> Iterator[Server]:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port = probe.getsockname()[1]
    words = [sys.executable, *command, *(("--port", str(port)) if not more else (str(port), *more))]
    began = time.perf_counter()
    process = subprocess.Popen(
        words,
        env={**os.environ, **environment},
        stderr=subprocess.DEVNULL,
        stdout=subprocess.DEVNULL,
        start_new_session=True,
    )
    try:
        while not _answers(f"http://127.0.0.1:{port}{ready}"):
            if process.poll() is not None or time.perf_counter() - began > 120:
                raise RuntimeError(f"{' '.join(words)} did not start")
            time.sleep(0.01)
        yield Server(process, port, time.perf_counter() - began)
    finally:
        process.terminate()
        with suppress(subprocess.TimeoutExpired):
            process.wait(30)
        with suppress(ProcessLookupError):
            os.killpg(process.pid, signal.SIGKILL)  # a peer leaves workers behind
        process.wait()


def _answers(address: str) -> bool:
    try:
        with urllib.request.urlopen(address, timeout=5) as answer:
            return bool(answer.status == 200)
    except (urllib.error.URLError, ConnectionError):
        return False


def _parts(header: str) -> dict[str, float]:
    parts = (part.split(";dur=") for part in header.split(", ") if part)
    return {name: float(milliseconds) for name, milliseconds in parts}


def _resident(pid: int) -> int:
    """In KiB."""
    status: dict[str, Any] = dict(line.split(":", 1) for line in Path(f"/proc/{pid}/status").read_text().splitlines())
    below = Path(f"/proc/{pid}/task/{pid}/children").read_text().split()
    return int(status["VmRSS"].split()[0]) + sum(_resident(int(child)) for child in below)
