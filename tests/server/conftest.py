"""A server of tiny models, and pictures to send to it."""

import io
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from fastapi.testclient import TestClient
from PIL import Image

from server.app import create_app
from server.settings import Settings
from tests.tiny_models import build

Serve = Callable[..., TestClient]


@pytest.fixture(scope="session")
def models() -> dict[str, bytes]:
    return {name: build(kind, name=name) for kind, name in (("invert", "restore"), ("noisy",) * 2, ("double",) * 2, ("nan",) * 2)}


@pytest.fixture
def weights(models: dict[str, bytes], tmp_path: Path) -> Path:
    for name, content in models.items():
        (tmp_path / f"{name}.onnx").write_bytes(content)
    return tmp_path


@pytest.fixture
def serve(weights: Path) -> Iterator[Serve]:
    """`serve(**settings)` starts a server in this process and returns its client."""
    clients: list[TestClient] = []

    def start(**settings: Any) -> TestClient:
        app = create_app(Settings(**{"weights": (weights,), "threads": 1, **settings}))
        client = TestClient(app, raise_server_exceptions=False)
        clients.append(client.__enter__())
        return client

    yield start
    for client in clients:
        client.__exit__(None, None, None)


@pytest.fixture
def client(serve: Serve) -> TestClient:
    return serve()


def pixels(width: int = 24, height: int = 16) -> np.ndarray:
    return np.random.default_rng(7).integers(0, 256, (height, width, 3), dtype=np.uint8)


def encoded(array: np.ndarray, format: str = "PNG", **options: Any) -> bytes:
    file = io.BytesIO()
    Image.fromarray(array).save(file, format, **options)
    return file.getvalue()


def decoded(content: bytes) -> np.ndarray:
    return np.asarray(Image.open(io.BytesIO(content)))
