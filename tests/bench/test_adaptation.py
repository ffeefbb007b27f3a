"""CyCADA's protocol on a handful of made digits: whose pictures are translated, whose labels are used, and what is printed."""

import gzip
import re
import struct
from pathlib import Path

import numpy as np
import pytest
import torch
from numpy.typing import NDArray
from PIL import Image

from bench import adaptation
from bench.reader import Reader
from tests.conftest import MakeModel
from tests.small_training import TINY
from tests.tiny_models import build
from translate.data.generative import Pictures
from translate.metrics.networks import Exported
from translate.runtime.model import Model
from translate.runtime.picture import Picture

SETTINGS = [
    *TINY, "steps=2", "checkpoint_every=2", "validate_every=2", "batch=2", "data.size=32", "data.load=32", "data.holdout=0.1",
    "generator.blocks=1", "model.pool=0",
]  # fmt: skip


def marks(side: int, classes: NDArray[np.int64]) -> NDArray[np.uint8]:
    """Digit c is a bright bar, left or right, at one of five heights: too far apart to be confused when a reader shifts them."""
    pictures = np.zeros((len(classes), side, side), np.uint8)
    for picture, digit in zip(pictures, classes, strict=True):
        top, left = digit % 5 * side // 5, digit // 5 * side // 2
        picture[top : top + side // 8, left : left + side // 2] = 255
    return pictures


@pytest.fixture
def digits(tmp_path: Path) -> tuple[Path, Path]:
    """MNIST's and USPS's files, in which every class is as often as any other."""
    mnist, usps, classes = tmp_path / "mnist", tmp_path / "usps", np.arange(20) % 10
    mnist.mkdir()
    usps.mkdir()
    for name, split in (("train", "train"), ("t10k", "test")):
        pictures = marks(28, classes)
        (mnist / f"{name}-images-idx3-ubyte").write_bytes(struct.pack(">4I", 2051, *pictures.shape) + pictures.tobytes())
        (mnist / f"{name}-labels-idx1-ubyte").write_bytes(struct.pack(">2I", 2049, 20) + classes.astype(np.uint8).tobytes())
        rows = np.column_stack([classes, marks(16, classes).reshape(20, -1) / 127.5 - 1])
        with gzip.open(usps / f"zip.{split}.gz", "wt") as file:
            np.savetxt(file, rows, fmt="%.4f")
    return mnist, usps


def test_files_are_read_with_their_classes(digits: tuple[Path, Path]) -> None:
    for files, side in ((adaptation._mnist_files(digits[0]), 28), (adaptation._usps_files(digits[1]), 16)):
        for split in ("train", "test"):
            pictures, classes = files[split]
            assert classes.tolist() == list(range(10)) * 2
            np.testing.assert_array_equal(pictures, marks(side, classes))


def test_both_ways_are_measured_and_a_finished_run_is_not_exported_again(
    digits: tuple[Path, Path], tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    exported: list[Path] = []

    def export_run(run: Path) -> None:
        exported.append(run)
        for name, kind in (("digits-cyclegan", "identity"), ("digits-cyclegan-back", "noisy")):
            (run / f"{name}.onnx").write_bytes(build(kind, name=name))

    trained = Reader.trained
    monkeypatch.setattr(Reader, "trained", lambda data: trained(data, steps=80, batch=16))
    monkeypatch.setattr(adaptation, "export_run", export_run)
    work = tmp_path / "work"
    adaptation.main(*digits, ["digits-cyclegan"], 1, SETTINGS, work)
    printed = capsys.readouterr().out
    for way in adaptation.PAPER:
        rows = dict(re.findall(r"^\| ([^|]+) \| (\S+)", printed[printed.index(f"### {way}") :], re.MULTILINE)[::-1])
        assert float(rows["the target itself"]) == 1  # a reader of the target, trained on its labels, knows marks
        assert rows["digits-cyclegan"] == "1.000"  # and so does one who learned from the source's, which are the same
        assert re.search(r"^\| digits-cyclegan \|.*\| 10 \| [^|]+ \|$", printed[printed.index(f"### {way}") :], re.MULTILINE)
    # Pictures lie there as anybody's do, without their classes
    kept = np.array(Image.open(work / "pictures" / "trainB" / "B00013.png"))
    np.testing.assert_array_equal(kept, marks(16, np.array([3]))[0])
    assert len(list((work / "pictures" / "trainA").iterdir())) == 20
    adaptation.main(*digits, ["digits-cyclegan"], 1, SETTINGS, work)
    assert capsys.readouterr().out == printed
    assert exported == [work / "digits-cyclegan-1"]


@pytest.mark.parametrize("kind", ["invert", "noisy", "settle"])
def test_pictures_go_through_the_exported_file(kind: str, make_model: MakeModel) -> None:
    path, x = make_model(kind), adaptation._enlarged(marks(28, np.arange(10)), np.arange(10)).pictures
    translated = adaptation._translated(path, x)
    assert translated.shape == x.shape
    if kind == "noisy":  # 0.1 · z in 0..1 is 0.2 · z here
        assert 0.1 < (translated - x).abs().max() <= 0.2 + 1e-6
        assert torch.equal(translated, adaptation._translated(path, x))
    else:
        expected = torch.cat([_alone(path, picture) for picture in x])
        assert (translated.clamp(-1, 1) - expected).abs().max() < 1 / 127


def _alone(path: Path, picture: torch.Tensor) -> torch.Tensor:
    """As the server would translate it."""
    pixels = ((picture + 1) * 127.5).round().byte()[0].numpy()
    shown = Model.open(path)(Picture(np.repeat(pixels[..., None], 3, axis=2))).pixels[..., :1]
    return torch.from_numpy(shown).permute(2, 0, 1)[None].float() / 127.5 - 1


def test_a_translator_is_judged_by_who_learns_from_it(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    """One that turns pictures upside down serves a target that is upside down, and no other."""
    classes = np.arange(60) % 10
    upright = adaptation._enlarged(marks(32, classes), classes)
    turned = Pictures(upright.pictures.flip(2), upright.classes)
    source, flipped = adaptation.House(upright, upright), adaptation.House(turned, turned)
    trained = Reader.trained
    monkeypatch.setattr(Reader, "trained", lambda data: trained(data, steps=80, batch=30))
    reader = Reader.trained(turned)
    for way, least, most in ((lambda path, x: x.flip(2), 1, 1), (lambda path, x: x, 0, 0.5)):
        monkeypatch.setattr(adaptation, "_translated", way)
        scores = adaptation._scores(tmp_path, source, flipped, reader)
        assert all(least <= score <= most for score in (scores.learned, scores.read, scores.kept / 10))


def test_exchanged_classes_are_counted(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    """One that draws threes as fives, fives as threes, and a few sevens as ones keeps eight of ten classes."""
    classes = np.arange(60) % 10
    house = adaptation.House(*[adaptation._enlarged(marks(32, classes), classes)] * 2)
    reader = Reader.trained(house.learned, steps=80, batch=30)
    assert reader.accuracy(house.test) == 1
    drawn = torch.from_numpy(classes.copy())
    drawn[classes == 3], drawn[classes == 5], drawn[7] = 5, 3, 1
    monkeypatch.setattr(adaptation, "_translated", lambda path, x: x[drawn])
    monkeypatch.setattr(Reader, "trained", lambda data: reader)
    scores = adaptation._scores(tmp_path, house, house, reader)
    assert scores.kept == 8
    assert abs(scores.read - (60 - 13) / 60) < 1e-6


def test_a_written_reader_reads_alike(tmp_path: Path, digits: tuple[Path, Path]) -> None:
    """By `translate-eval`, which gives a classifier pictures of three channels, in their own size."""
    classes = np.arange(20) % 10
    learned = adaptation._enlarged(marks(28, classes), classes)
    reader = Reader.trained(learned, steps=60, batch=16)
    assert reader.accuracy(learned) == 1
    reader.write(tmp_path / "readers" / "marks.onnx")
    adaptation._write_tests(tmp_path / "test", {"MNIST": adaptation._mnist_files(digits[0])})
    pictures = sorted((tmp_path / "test" / "MNIST").glob("*/*.png"))
    assert len(pictures) == 20
    told = Exported(tmp_path / "readers" / "marks.onnx")
    for path in pictures:
        picture = torch.from_numpy(np.array(Image.open(path).convert("RGB"))).permute(2, 0, 1)[None] / 255
        assert int(told(picture).argmax()) == int(path.parent.name)


def test_usps_that_is_not_there_is_told(tmp_path: Path) -> None:
    with pytest.raises(SystemExit, match=r"zip\.train\.gz is not there"):
        adaptation._usps_files(tmp_path)


def test_spread() -> None:
    assert adaptation.spread([0.5, 0.25, 1]) == "0.500 (0.250–1.000)"
    assert torch.is_tensor(adaptation._enlarged(marks(28, np.arange(10)), np.arange(10)).pictures)
