"""pix2pix on pairs of any kinds: to the same bits after a stop, exported with its noise, and grey where the data is."""

from pathlib import Path

import numpy as np
import pytest
from PIL import Image
from typer.testing import CliRunner

import translate
from tests.small_training import TINY, stop_and_compare
from translate.cli.train import app
from translate.runtime.picture import Picture
from translate.training.run import create

SETTINGS = (*TINY, "generator.levels=3")


@pytest.fixture
def facades(tmp_path: Path) -> Path:
    """Joined pictures of 16 bits, noise on the left and its negative on the right, with a validation split."""
    for split, n in (("train", 5), ("val", 2)):
        (tmp_path / "data" / split).mkdir(parents=True)
        for k in range(n):
            picture = np.random.default_rng((n, k)).integers(0, 2**16, (24, 24, 1), dtype=np.uint16)
            Picture(np.concatenate([picture, 65535 - picture], axis=1)).save(tmp_path / "data" / split / f"{k}.png")
    return tmp_path


def test_stopped_and_resumed_is_the_same_to_the_bit(facades: Path) -> None:
    stop_and_compare("pix2pix.toml", facades / "data", facades, SETTINGS)


def test_the_command_writes_a_translator_with_noise(facades: Path) -> None:
    arguments = ["pix2pix.toml", "--data", str(facades / "data"), "--out", str(facades / "run")]
    for setting in (*SETTINGS, "data.channels=1", "name=negative", "data.target_first=true", "select=val/psnr"):
        arguments += ["--set", setting]
    result = CliRunner().invoke(app, arguments)
    assert result.exit_code == 0, result.output
    assert "joined pictures in train, val, target first: 5 pairs to train on; held out: 2" in result.output
    assert (facades / "run" / "previews" / "00000006.png").is_file()
    model = translate.load(facades / "run" / "negative.onnx")
    assert model.card.noise is not None
    assert {name.removeprefix("val/") for name in model.card.metrics} == {"psnr", "ssim"}
    picture = Picture(np.random.default_rng(0).integers(0, 2**16, (19, 24, 1), dtype=np.uint16))
    first, same, other = (model(picture, seed=seed).pixels for seed in (1, 1, 2))
    assert (first.shape, first.dtype) == ((19, 24, 1), np.uint16)
    assert np.array_equal(first, same)
    assert np.abs(first.astype(int) - other).mean() > 65535 / 1000


@pytest.mark.parametrize(
    ("setting", "message"),
    [
        ("data.kind=paired", "without meaning"),
        ("data.size=20", "stride"),
        ("data.load=8", "smaller than the crops"),
        ("data.transplant=0", "without meaning"),
        ("data.source=cats", "both folders"),
        ("data.kind=unpaired", "two translators"),
    ],
)
def test_what_does_not_fit_is_told_before_there_is_a_folder(setting: str, message: str, facades: Path) -> None:
    with pytest.raises(ValueError, match=message):
        create("pix2pix.toml", facades / "data", facades / "run", [*SETTINGS, setting])
    assert not (facades / "run").exists()


def test_a_folder_without_a_layout_is_told_which_there_are(tmp_path: Path) -> None:
    Image.new("RGB", (9, 8)).save(tmp_path / "p.png")
    with pytest.raises(ValueError, match="trainA and trainB; A and B"):
        create("pix2pix.toml", tmp_path, tmp_path / "run", list(SETTINGS))
    with pytest.raises(ValueError, match="--data DIR"):
        create("pix2pix.toml", None, tmp_path / "run", list(SETTINGS))
