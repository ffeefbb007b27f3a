"""The translators that come along: sound, described, and worth having."""

import hashlib
import math
import re
from pathlib import Path

import numpy as np
import pytest
from PIL import Image, ImageDraw
from skimage import data
from sklearn.datasets import load_digits

import translate
from translate.data.damage import gaussian_noise
from translate.metrics.labels import FACADES
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
    assert card.tiling in ("exact", "statistics")
    assert path.stat().st_size <= 30_000_000
    assert path.with_suffix(".md").read_text(encoding="utf-8") == markdown(card)
    sums = dict(reversed(line.split()) for line in (WEIGHTS / "SHA256SUMS").read_text().splitlines())
    assert sums[path.name] == hashlib.sha256(path.read_bytes()).hexdigest()
    assert f"`{path.stem}`" in (WEIGHTS / "LICENCES.md").read_text(encoding="utf-8")


def test_classifiers_are_those_that_the_cards_tell_of() -> None:
    classifiers = {path.name: hashlib.sha256(path.read_bytes()).hexdigest() for path in (WEIGHTS / "classifiers").glob("*.onnx")}
    lines = (WEIGHTS / "classifiers" / "SHA256SUMS").read_text().splitlines()
    assert classifiers == dict(reversed(line.split()) for line in lines)
    told = [re.findall(r"read by (\S+) \(sha256 (\w+)\)", translate.load(path).card.test_set) for path in FILES]
    assert {(name, digest[:12]) for name, digest in classifiers.items()} == {pair for found in told for pair in found}


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


def facade() -> np.ndarray:
    """A label map with the colours of CMP facades: three rows of four windows in a wall, and a cornice above."""
    labels = np.zeros((256, 256, 3), np.uint8)
    labels[:] = (0, 0, 255)
    labels[:24] = (255, 85, 0)
    for row in range(3):
        for column in range(4):
            labels[50 + 66 * row : 90 + 66 * row, 20 + 60 * column : 50 + 60 * column] = (0, 85, 255)
    return labels


def test_labels_of_a_facade_become_a_picture_of_one() -> None:
    translator, labels = translate.load("facades-to-photo"), Image.fromarray(facade())
    one, again, other = (np.asarray(translator(labels, seed=seed)).astype(float) for seed in (1, 1, 2))
    assert (one == again).all()
    assert 2 < np.abs(one - other).mean() < 60  # noise shows, and changes no more than the surface
    windows, wall = ((facade() == colour).all(axis=2) for colour in ((0, 85, 255), (0, 0, 255)))
    for built in (one, other):
        edges = np.abs(np.diff(built.mean(axis=2), axis=1, prepend=0))
        assert edges[windows].mean() > 1.3 * edges[wall].mean()  # windows have frames and panes
        assert np.ptp(built[wall].mean(axis=0)) < 40  # and stone is no colour of the labels
    assert translator(Image.fromarray(facade()[:200, :171]), seed=1).size == (171, 200)


def test_a_photograph_of_a_facade_becomes_labels() -> None:
    """One that `facades-to-photo` draws: flat colours of the palette, below the cornice mostly those of walls and windows."""
    photo = translate.load("facades-to-photo")(Image.fromarray(facade()), seed=1).resize((128, 128), Image.Resampling.BICUBIC)
    translator = translate.load("facades-to-labels")
    one, again, other = (np.asarray(translator(photo, seed=seed)).astype(np.float32) for seed in (1, 1, 2))
    assert (one == again).all()
    assert 4 < np.abs(one - other).mean() < 40
    away = np.linalg.norm(one[:, :, None] - FACADES.colours, axis=3)
    drawn = np.linalg.norm(np.asarray(photo)[:, :, None] - FACADES.colours, axis=3)
    assert np.median(away.min(axis=2)) < 20 < 100 < np.median(drawn.min(axis=2))  # flat colours of labels out of stone
    named = np.array(FACADES.names)[away.argmin(axis=2)]
    assert np.isin(named[16:112], ("facade", "window", "sill", "cornice")).mean() > 0.6
    assert (named[:8] == "molding").mean() > 0.4  # what the labels say of the top


@pytest.mark.parametrize(("name", "grows"), [("mnist-to-usps", True), ("usps-to-mnist", False)])
def test_digits_take_the_size_of_the_other_hand(name: str, grows: bool) -> None:
    """MNIST leaves a border around its digits, USPS none."""
    translator, share = translate.load(name), []
    for digit in load_digits().images[:40]:
        inner = 20 if grows else 32
        drawn = Image.fromarray((digit * 255 / 16).astype(np.uint8)).resize((inner, inner), Image.Resampling.BICUBIC)
        picture = Image.new("L", (32, 32))
        picture.paste(drawn, ((32 - inner) // 2,) * 2)
        source, fake = (np.asarray(each.convert("L")) > 100 for each in (picture, translator(picture)))
        share.append(np.ptp(np.nonzero(fake)[0]) / np.ptp(np.nonzero(source)[0]))
    middle = float(np.median(share))
    assert middle > 1.15 if grows else middle < 0.95


@pytest.mark.parametrize(("name", "petals", "becomes"), [
    ("daisy-to-sunflower", (240, 240, 240), "yellow"), ("sunflower-to-daisy", (240, 190, 20), "white"),
])  # fmt: skip
def test_petals_change_their_colour(name: str, petals: tuple[int, int, int], becomes: str) -> None:
    flower = Image.new("RGB", (128, 128), (40, 80, 30))
    draw = ImageDraw.Draw(flower)
    for turn in range(0, 360, 24):
        tip = np.array([64, 64]) + 40 * np.array([np.cos(np.radians(turn)), np.sin(np.radians(turn))])
        draw.line([(64, 64), tuple(tip)], petals, 12)
    where = (np.asarray(flower) == petals).all(axis=2)
    draw.ellipse([52, 52, 76, 76], (190, 140, 30))
    where[50:78, 50:78] = False
    red, _, blue = np.asarray(translate.load(name)(flower)).astype(float)[where].mean(axis=0)
    assert red - blue > 60 if becomes == "yellow" else abs(red - blue) < 45
