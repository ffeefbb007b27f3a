"""Serving needs neither torch nor any other library of training."""

import io
import os
import socket
import subprocess
import sys
import time
import urllib.error
import urllib.request
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

HERE = Path(__file__).parent
# `make test` names the environment that `make serve` makes.
SERVE_VENV = os.environ.get("SERVE_VENV")


def test_serving_needs_no_training_library(make_model) -> None:
    model = make_model(kind="invert")
    done = subprocess.run([sys.executable, HERE / "blocked.py", model], capture_output=True, text=True, timeout=120, check=False)
    assert done.returncode == 0, done.stderr


def test_the_blocker_blocks() -> None:
    code = "import sys, blocked; sys.meta_path.insert(0, blocked.Blocker()); import torch"
    done = subprocess.run([sys.executable, "-c", code], cwd=HERE, capture_output=True, text=True, timeout=60, check=False)
    assert "torch must not be needed here" in done.stderr


@contextmanager
def served(weights: Path, model: str) -> Iterator[str]:
    """Address of a server in the environment of `make serve`, which is stopped at the end."""
    assert SERVE_VENV is not None
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port = probe.getsockname()[1]
    process = subprocess.Popen(
        [Path(SERVE_VENV) / "bin" / "translate-serve", "--port", str(port)],
        env={**os.environ, "TRANSLATE_WEIGHTS": str(weights), "TRANSLATE_MODEL": model},
    )
    try:
        yield f"http://127.0.0.1:{port}"
    finally:
        process.terminate()
        process.wait(30)


def wait_until_ready(address: str, seconds: float = 60) -> None:
    end = time.monotonic() + seconds
    while True:
        try:
            urllib.request.urlopen(f"{address}/readyz", timeout=5).close()
            return
        except (urllib.error.URLError, ConnectionError):
            if time.monotonic() > end:
                raise
            time.sleep(0.1)


def test_serve_environment_has_no_torch_and_translates(make_model) -> None:
    if SERVE_VENV is None:
        assert not os.environ.get("CI"), "CI must run this: call `make test`"
        pytest.skip("no SERVE_VENV: `make test` makes one")
    absent = "import importlib.util as u, sys; sys.exit(any(map(u.find_spec, ('torch', 'torchvision', 'onnx', 'scipy'))))"
    subprocess.run([Path(SERVE_VENV) / "bin" / "python", "-c", absent], check=True, timeout=60)

    model = make_model(kind="invert")
    pixels = np.random.default_rng(0).integers(0, 256, (5, 8, 3), np.uint8)
    body = io.BytesIO()
    Image.fromarray(pixels).save(body, "PNG")
    with served(model.parent, model.stem) as address:
        wait_until_ready(address)
        with urllib.request.urlopen(urllib.request.Request(f"{address}/translate", data=body.getvalue()), timeout=60) as answer:
            restored = Image.open(io.BytesIO(answer.read()))
    assert np.array_equal(np.asarray(restored), 255 - pixels)
