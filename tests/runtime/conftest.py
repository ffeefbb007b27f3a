"""A folder of pictures, a translator for it, and tiles small enough for small pictures to need several."""

from pathlib import Path

import pytest

from tests.conftest import MakeModel
from tests.folders import NAMES, draw
from translate.runtime import tiles


@pytest.fixture
def scans(tmp_path: Path) -> Path:
    folder = tmp_path / "scans"
    for seed, name in enumerate(NAMES):
        draw(folder / name, seed)
    return folder


@pytest.fixture
def blur(make_model: MakeModel) -> Path:
    return make_model("blur")


@pytest.fixture
def small_tiles(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(tiles, "SIDE", 24)
