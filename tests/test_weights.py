"""The translators that come along: sound, described, and worth having."""

import hashlib
import math
from pathlib import Path

import numpy as np
import pytest
from PIL import Image
from skimage import data

import translate
from translate.data.damage import gaussian_noise
from translate.modelcard import markdown
from translate.runtime.model import Model

WEIGHTS = Path(__file__).resolve().parents[1] / "weights"
FILES = sorted(WEIGHTS.glob("*.onnx"))


@pytest.fixture(scope="module")
def restore() -> Model:
    return translate.load("restore")


def psnr(one: np.ndarray, other: np.ndarray) -> float:
    error = np.mean((one.astype(float) - other) ** 2)
    return 10 * math.log10(255**2 / error) if error else 100.0


def photograph() -> np.ndarray:
    """A photograph that no training saw, 256×256."""
    return np.ascontiguousarray(data.astronaut()[:256, 100:356])


def test_the_default_is_there() -> None:
    assert "restore" in {path.stem for path in FILES}


@pytest.mark.parametrize("path", FILES, ids=lambda path: path.stem)
def test_files_are_what_their_cards_and_sums_say(path: Path) -> None:
    card = translate.load(path).card
    assert card.name == path.stem
    assert card.metrics
    assert card.licence
    assert card.tiling == "exact"
    assert path.stat().st_size <= 30_000_000
    assert path.with_suffix(".md").read_text(encoding="utf-8") == markdown(card)
    sums = dict(reversed(line.split()) for line in (WEIGHTS / "SHA256SUMS").read_text().splitlines())
    assert sums[path.name] == hashlib.sha256(path.read_bytes()).hexdigest()
    assert f"`{path.stem}`" in (WEIGHTS / "LICENCES.md").read_text(encoding="utf-8")


def test_a_clean_photograph_comes_back_unharmed(restore: Model) -> None:
    clean = photograph()
    assert psnr(np.asarray(restore(Image.fromarray(clean))), clean) >= 38


def test_noise_goes(restore: Model) -> None:
    clean = photograph()
    noisy = gaussian_noise(clean, 25 / 255, np.random.default_rng(0))
    assert psnr(np.asarray(restore(Image.fromarray(noisy))), clean) >= psnr(noisy, clean) + 9


def test_scratches_and_dust_go(restore: Model) -> None:
    clean = photograph()
    damaged = clean.copy()
    rng = np.random.default_rng(0)
    for column in rng.integers(0, 256, 6):
        damaged[:, column : column + 2] = 240
    for row, column in rng.integers(4, 250, (60, 2)):
        damaged[row : row + 3, column : column + 3] = 250
    assert psnr(np.asarray(restore(Image.fromarray(damaged))), clean) >= psnr(damaged, clean) + 3.5
