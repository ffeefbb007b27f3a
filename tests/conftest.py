"""Tiny translators, built without torch."""

from collections.abc import Callable
from pathlib import Path

import pytest
from hypothesis import settings

from tests.tiny_models import build

# The same examples in every run, and no test that fails because the machine is busy.
settings.register_profile("seeded", derandomize=True, deadline=None)
settings.load_profile("seeded")

MakeModel = Callable[..., Path]


@pytest.fixture
def make_model(tmp_path: Path) -> MakeModel:
    """`make_model(kind, *, name=kind, folder=tmp_path, size=3, depth=1, **card)` writes a translator and returns its path.

    Kinds and their arguments: see `tests.tiny_models`.
    """

    def make(kind: str = "blur", *, name: str | None = None, folder: Path | None = None, **arguments: object) -> Path:
        folder = folder or tmp_path / "weights"
        folder.mkdir(parents=True, exist_ok=True)
        path = folder / f"{name or kind}.onnx"
        path.write_bytes(build(kind, name=name or kind, **arguments))
        return path

    return make
