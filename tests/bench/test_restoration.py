"""The benchmark of restoration runs from end to end and measures what it says."""

from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from bench import restoration
from tests.tiny_models import build


@pytest.fixture
def data(tmp_path: Path) -> Path:
    """Joined pairs, of which some are held out, and two photographs that no training saw."""
    rng = np.random.default_rng(0)
    (tmp_path / "synold" / "train").mkdir(parents=True)
    (tmp_path / "unseen").mkdir()
    for number in range(30):
        clean = Image.fromarray(rng.integers(0, 200, (4, 4, 3), dtype=np.uint8)).resize((24, 24), Image.Resampling.BICUBIC)
        pixels = np.asarray(clean)
        damaged = pixels.copy()
        damaged[:, 11] = 255
        Image.fromarray(np.hstack([damaged, pixels])).save(tmp_path / "synold" / "train" / f"{number}.png")
        if number < 2:
            clean.save(tmp_path / "unseen" / f"{number}.png")
    return tmp_path


def test_every_table_is_printed_and_an_identity_changes_nothing(
    data: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr(restoration, "LARGE", (40, 30))
    model = tmp_path / "same.onnx"
    model.write_bytes(build("identity", name="same", task="restoration"))
    restoration.main(data=data, models=[str(model)], unseen="unseen", limit=2, out=tmp_path / "out")
    blocks = capsys.readouterr().out.split("### ")
    rows = [
        {cells[0].strip(): cells[1:] for line in block.splitlines() if len(cells := line.strip("|").split("|")) > 1}
        for block in blocks[1:]
    ]
    assert len(rows) == 5
    for table in rows[:3]:  # old, noisy and JPEG: what an identity gives back is what it was given
        assert table["same"] == table["as it is"]
    assert float(rows[3]["same"][0]) == 100  # do no harm
    assert float(rows[4]["same"][0]) >= 0
    assert {path.name for path in (tmp_path / "out").iterdir()} >= {"000-same.png", "001-as-it-is.png"}
    old = rows[0]
    assert float(old["Telea inpainting, given the true mask"][0]) > float(old["as it is"][0])
