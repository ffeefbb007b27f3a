"""Runs of systems with two translators: to the same bits after a stop, and both ways exported and usable."""

from pathlib import Path

import numpy as np
import pytest
from PIL import Image
from typer.testing import CliRunner

import translate
from tests.small_training import TINY, stop_and_compare
from translate.cli.train import app
from translate.training.run import create

RUNS = {
    "cyclegan": (*TINY, "generator.blocks=1", "model.pool=2", "ema=0.9"),
    "dualgan": (*TINY, "generator.levels=3", "optimisers.generator.every=2", "back=dark-to-bright"),
}
BACK = {"cyclegan": "cyclegan-back", "dualgan": "dark-to-bright"}


@pytest.fixture
def folders(tmp_path: Path) -> Path:
    """Bright pictures in A, dark ones in B."""
    for domain, low in (("A", 150), ("B", 20)):
        (tmp_path / domain).mkdir()
        for k in range(8):
            picture = np.random.default_rng((low, k)).integers(low, low + 80, (30, 24, 3), dtype=np.uint8)
            Image.fromarray(picture).save(tmp_path / domain / f"{k}.png")
    return tmp_path


@pytest.mark.parametrize("name", RUNS)
def test_stopped_and_resumed_is_the_same_to_the_bit(name: str, folders: Path) -> None:
    stop_and_compare(f"{name}.toml", folders, folders, RUNS[name])


@pytest.mark.parametrize("name", RUNS)
def test_the_command_writes_a_translator_for_each_way(name: str, folders: Path) -> None:
    arguments = [f"{name}.toml", "--data", str(folders), "--out", str(folders / "run")]
    for setting in RUNS[name]:
        arguments += ["--set", setting]
    result = CliRunner().invoke(app, arguments)
    assert result.exit_code == 0, result.output
    there, back = (translate.load(folders / "run" / f"{stem}.onnx") for stem in (name, BACK[name]))
    assert [model.card.name for model in (there, back)] == [name, BACK[name]]
    assert len(list((folders / "run").glob("*.onnx"))) == 2
    assert (there.card.source, there.card.target) == (back.card.target, back.card.source)
    assert (folders / "run" / "previews" / "00000006.png").is_file()
    assert {"psnr", "ssim", "cycle"} == there.card.metrics.keys() == back.card.metrics.keys()
    picture = Image.open(folders / "A" / "0.png")
    results = [np.asarray(model(picture, **seed)) for model in (there, back) for seed in _seeds(name)]
    assert {result.shape for result in results} == {(30, 24, 3)}
    if name == "dualgan":
        first, same, other = results[:3]
        assert np.array_equal(first, same)
        assert not np.array_equal(first, other)


def _seeds(name: str) -> list[dict[str, int]]:
    return [{"seed": 1}, {"seed": 1}, {"seed": 2}] if name == "dualgan" else [{}]


@pytest.mark.parametrize(
    ("recipe", "setting", "message"),
    [
        ("cyclegan", "data.kind=paired", "without meaning"),
        ("cyclegan", "data.size=20", "stride"),
        ("cyclegan", "data.load=8", "smaller than the crops"),
        ("cyclegan", "data.source=cats", "both folders"),
        ("cyclegan", "model.name=dualgan", "does not take"),
        ("cyclegan", "back=cyclegan", "is the name of the way there"),
        ("cyclegan", "back=To Dark", "back: String should match"),
        ("dualgan", "generator.dropout=0", "noise"),
        ("dualgan", "data.upright=true", "without meaning"),
    ],
)
def test_what_does_not_fit_is_told_before_there_is_a_folder(recipe: str, setting: str, message: str, folders: Path) -> None:
    with pytest.raises(ValueError, match=message):
        create(f"{recipe}.toml", folders, folders / "run", [*RUNS[recipe], setting])
    assert not (folders / "run").exists()
