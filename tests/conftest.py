"""Tiny translators, built without torch."""

from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
from hypothesis import settings
from PIL import Image

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


@pytest.fixture(scope="session")
def photographs(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder of twelve small pictures, smooth as photographs are."""
    folder = tmp_path_factory.mktemp("photographs")
    rng = np.random.default_rng(0)
    for number in range(12):
        coarse = Image.fromarray(rng.integers(0, 255, (6, 8, 3), dtype=np.uint8))
        coarse.resize((64, 48), Image.Resampling.BICUBIC).save(folder / f"{number}.png")
    return folder
