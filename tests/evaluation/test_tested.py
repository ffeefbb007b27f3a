"""A finished run is reported on its test split, which it has never seen."""

from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from tests.tiny_models import build
from translate.evaluation.tested import measure_test_split
from translate.runtime.model import read_card
from translate.training.recipe import Recipe

RECIPE = Recipe.load("cyclegan.toml", ["data.size=16"])


@pytest.fixture
def path(tmp_path: Path) -> Path:
    path = tmp_path / "blur.onnx"
    path.write_bytes(build("blur", name="blur", metrics={"psnr": 1.0}, test_set="validation"))
    return path


def draw(data: Path, **splits: int) -> Path:
    """Noise in A, flat grey of the same mean in B; pictures of one name belong together."""
    for split, count in splits.items():
        for index in range(count):
            noise = np.random.default_rng(index).integers(0, 256, (20, 24, 3), dtype=np.uint8)
            for side, pixels in (("A", noise), ("B", np.full_like(noise, 127))):
                (data / f"{split}{side}").mkdir(parents=True, exist_ok=True)
                Image.fromarray(pixels).save(data / f"{split}{side}" / f"{index}.png")
    return data


def test_the_card_reports_the_test_split(tmp_path: Path, path: Path) -> None:
    data = draw(tmp_path / "data", train=3, val=2, test=2)
    there = measure_test_split(path, RECIPE, data)
    assert there is not None
    card = read_card(path)
    assert card.metrics == there.metrics
    assert card.metrics.keys() == {"psnr", "ssim"}
    assert card.test_set.endswith("data, test: 2 pairs, resized to 16×16 (shorter side scaled, middle cut)")


def test_the_way_back_is_measured_the_other_way(tmp_path: Path, path: Path) -> None:
    data = draw(tmp_path / "data", train=3, test=2)
    there, back = (measure_test_split(path, RECIPE, data, back=back) for back in (False, True))
    assert there is not None
    assert back is not None
    assert there.metrics["psnr"] > back.metrics["psnr"] + 3  # blur makes noise flat, and never flat noise


def test_without_a_test_split_the_card_stays(tmp_path: Path, path: Path) -> None:
    before = path.read_bytes()
    assert measure_test_split(path, RECIPE, draw(tmp_path / "data", train=3, val=2)) is None
    assert measure_test_split(path, RECIPE, None) is None
    assert measure_test_split(path, RECIPE, tmp_path / "moved") is None
    assert measure_test_split(path, Recipe.load("restore.toml"), draw(tmp_path / "other", train=3, test=2)) is None
    assert path.read_bytes() == before


def test_a_split_without_known_targets_is_no_test(tmp_path: Path, path: Path) -> None:
    data = draw(tmp_path / "data", train=3, test=2)
    for file in (data / "testB").iterdir():
        file.rename(file.with_stem(f"b{file.stem}"))
    before = path.read_bytes()
    assert measure_test_split(path, RECIPE, data) is None
    assert path.read_bytes() == before


def test_a_split_that_cannot_be_measured_is_told(tmp_path: Path, path: Path) -> None:
    data, before = draw(tmp_path / "data", train=3, test=2), path.read_bytes()
    (data / "testA" / "1.png").write_text("not a picture")
    with pytest.raises(ValueError, match=r"is exported, but the test split of .* cannot be measured: .*1\.png"):
        measure_test_split(path, RECIPE, data)
    assert path.read_bytes() == before
