"""translate-eval from the command line: what it prints, writes and refuses."""

import json
from pathlib import Path

import numpy as np
import pytest
from PIL import Image
from typer.testing import CliRunner

from tests.metrics.test_networks import network
from tests.tiny_models import build
from translate.cli.evaluate import app
from translate.runtime.model import read_card


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """A translator, `same.onnx`, and a folder of pairs with a test split."""
    (tmp_path / "same.onnx").write_bytes(build("identity", name="same"))
    for split, count in (("train", 5), ("test", 4)):
        for index in range(count):
            path = tmp_path / "data" / split / f"{index}.png"
            path.parent.mkdir(parents=True, exist_ok=True)
            pixels = np.random.default_rng(index).integers(0, 256, (14, 28, 3), dtype=np.uint8)
            Image.fromarray(pixels).save(path)
    network(tmp_path / "colour.onnx", ["N", "H", "W", 3])
    return tmp_path


def call(*arguments: object) -> tuple[int, str]:
    result = CliRunner().invoke(app, [str(argument) for argument in arguments], env={"COLUMNS": "120"})
    return result.exit_code, result.output


def test_a_report_and_a_card(folder: Path) -> None:
    options = ("--size", 12, "--features", folder / "colour.onnx", "--json", folder / "report.json", "--write-card")
    code, output = call(folder / "same.onnx", folder / "data", *options)
    assert code == 0, output
    report, card = json.loads((folder / "report.json").read_text()), read_card(folder / "same.onnx")
    assert card.metrics == report["metrics"]
    assert card.metrics.keys() == {"psnr", "ssim", "fid-colour", "kid-colour"}
    assert (
        "data, test: 4 pairs, resized to 12×12 (shorter side scaled, middle cut), features of colour.onnx (sha256 "
        in card.test_set
    )
    assert (folder / "same.md").is_file()
    assert f"{card.metrics['psnr']:g}" in output
    assert "not measured: lpips (give --lpips FILE" in output
    assert "FID of so few pictures (4) is too high" in output


def test_the_same_command_gives_the_same_numbers(folder: Path) -> None:
    for name in ("one.json", "two.json"):
        assert call(folder / "same.onnx", folder / "data", "--features", folder / "colour.onnx", "--json", folder / name)[0] == 0
    assert (folder / "one.json").read_bytes() == (folder / "two.json").read_bytes()


def test_clean_photographs_and_noisy_ones_are_sets_of_their_own(folder: Path) -> None:
    for noise in (0, 25):
        assert call(folder / "same.onnx", folder / "data", "--noise", noise, "--write-card")[0] == 0
    card = read_card(folder / "same.onnx")
    assert card.metrics.keys() == {"clean/psnr", "clean/ssim", "noise25/psnr", "noise25/ssim"}
    assert card.metrics["clean/psnr"] == 100
    assert card.metrics["noise25/psnr"] == pytest.approx(20 * np.log10(255 / 25), abs=1.5)  # clipped at black and white


@pytest.mark.parametrize(
    ("arguments", "told"),
    [
        (["no-such-model", "data"], "no model 'no-such-model'"),
        (["same.onnx", "nowhere"], "nowhere is not there"),
        (["same.onnx", "data", "--split", "val"], "has no split 'val'"),
        (["same.onnx", "data", "--palette", "cities"], "no palette 'cities'"),
        (["same.onnx", "data", "--lpips", "nothing.pth"], "nothing.pth is not a file"),
        (["same.onnx", "data", "--classifier", "colour.onnx"], "have no class"),
        (["same.onnx", "data", "--samples", "2"], "has no noise"),
        (["same.onnx", "data", "--set", "A b"], "name a test set"),
        (["same.onnx", "data", "--json", "nowhere/report.json"], "there is no folder nowhere"),
        (["same.onnx", "data", "--size", "8"], "smaller than SSIM's window"),
    ],
)
def test_refusals_lose_nothing(folder: Path, monkeypatch: pytest.MonkeyPatch, arguments: list[str], told: str) -> None:
    monkeypatch.chdir(folder)
    before = {path: path.read_bytes() for path in folder.rglob("*") if path.is_file()}
    code, output = call(*arguments, "--write-card")
    assert code == 1
    assert told in " ".join(output.split())
    assert "Traceback" not in output
    assert {path: path.read_bytes() for path in folder.rglob("*") if path.is_file()} == before
