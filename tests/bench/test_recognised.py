"""A classifier that tells two kinds of pictures apart says what translations are taken for."""

import re
from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image

from bench import recognised
from bench.reader import Reader
from tests.tiny_models import build
from translate.metrics.networks import Exported


@pytest.fixture
def data(tmp_path: Path) -> Path:
    """Bright pictures, and dark ones."""
    rng = np.random.default_rng(0)
    for side, low in (("trainA", 160), ("trainB", 0)):
        folder = tmp_path / "data" / side
        folder.mkdir(parents=True)
        for number in range(30):
            picture = rng.integers(low, low + 90, (72, 96, 3), np.uint8)
            Image.fromarray(picture).save(folder / f"{side}{number}.png")
    return tmp_path / "data"


def test_who_turns_bright_into_dark_is_told_from_who_does_not(
    data: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    trained = Reader.trained
    monkeypatch.setattr(Reader, "trained", lambda data: trained(data, steps=60, batch=16))
    for name, kind in (("turned", "invert"), ("kept", "identity")):
        (tmp_path / f"{name}.onnx").write_bytes(build(kind, name=name))
    work = tmp_path / "work"
    recognised.main(data, str(tmp_path / "turned.onnx"), str(tmp_path / "kept.onnx"), 0.3, 64, 30, work)
    rows = dict(re.findall(r"^\| (\w+) \| \d+ \| ([\d.]+ \| [\d.]+)", capsys.readouterr().out, re.MULTILINE))
    assert rows == {"turned": "0.000 | 1.000", "kept": "0.000 | 0.000"}
    # What translate-eval is given
    classifier = Exported(work / "classifier.onnx")
    lists = {name: (work / f"{name}.csv").read_text().splitlines() for name in ("turned", "kept")}
    for name, other, value in (("turned", 1, 0.1), ("kept", 0, 0.8)):
        assert lists[name]
        assert all(line.endswith(f",{other}") for line in lists[name])
        assert int(classifier(torch.full((1, 3, 128, 128), value)).argmax()) == other


def test_nothing_left_out(data: Path, tmp_path: Path) -> None:
    with pytest.raises(SystemExit, match="holdout"):
        recognised.main(data, "a", "b", 0, 64, 4, tmp_path)


# Mutants tried: asked about the pictures that were learned from; the lists name the sources' own kind.
