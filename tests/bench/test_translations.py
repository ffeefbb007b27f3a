"""The docs' sheets: sources, translations and partners side by side."""

from pathlib import Path

import numpy as np
import pytest
import typer
from PIL import Image

from bench.translations import GAP, main
from tests.conftest import MakeModel


def joined(folder: Path, count: int) -> Path:
    """Pairs whose left half is one grey and whose right half another."""
    folder.mkdir()
    for number in range(count):
        pixels = np.full((32, 64, 3), 40 + number, np.uint8)
        pixels[:, 32:] = 200
        Image.fromarray(pixels).save(folder / f"{number}.png")
    return folder


@pytest.mark.parametrize(("kind", "samples"), [("identity", 1), ("noisy", 2)])
def test_a_sheet_of_pairs(kind: str, samples: int, make_model: MakeModel, tmp_path: Path) -> None:
    model, out = make_model(kind), tmp_path / "docs" / "sheet.png"
    main(str(model), joined(tmp_path / "pairs", 5), out, size=32, count=3, samples=samples, columns=2)
    sheet = np.asarray(Image.open(out).convert("RGB"))
    row = (2 + samples) * 32 + (1 + samples) * GAP
    assert sheet.shape == (2 * 32 + GAP, 2 * row + 4 * GAP, 3)
    assert (sheet[:32, :32] == 40).all()  # the source
    assert (sheet[:32, row - 32 : row] == 200).all()  # its partner
    shown = [sheet[:32, (1 + n) * (32 + GAP) :][:, :32] for n in range(samples)]
    assert (shown[0] == 40).all() == (kind == "identity")
    assert samples == 1 or (shown[0] != shown[1]).any()
    assert (sheet[32 + GAP :, row + 4 * GAP :] == 255).all()  # three of four places are taken


def test_a_name_that_is_not_there_is_told(make_model: MakeModel, tmp_path: Path) -> None:
    with pytest.raises(typer.BadParameter, match="such as '0'"):
        main(str(make_model("identity")), joined(tmp_path / "pairs", 2), tmp_path / "sheet.png", size=32, only=["nobody"])
    assert not (tmp_path / "sheet.png").exists()
