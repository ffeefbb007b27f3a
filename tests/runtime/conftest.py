"""A folder of pictures and a translator for it."""

from pathlib import Path

import pytest

from tests.conftest import MakeModel
from tests.folders import NAMES, draw


@pytest.fixture
def scans(tmp_path: Path) -> Path:
    folder = tmp_path / "scans"
    for seed, name in enumerate(NAMES):
        draw(folder / name, seed)
    return folder


@pytest.fixture
def blur(make_model: MakeModel) -> Path:
    return make_model("blur")
