"""Pairing: everything arrives, of one size, whole or not at all."""

from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from translate.data.layouts import recognise
from translate.data.pairing import Pairing
from translate.data.pixels import decode, read_pair
from translate.runtime.picture import Picture


def folders(root: Path, n: int = 10) -> tuple[Path, Path]:
    """Colour of 8 bits in a, and the same place in 16-bit grey in b, of the same shape."""
    for k in range(n):
        rng = np.random.default_rng(k)
        for side, picture in (
            ("a", rng.integers(0, 256, (20, 30, 3), dtype=np.uint8)),
            ("b", rng.integers(0, 2**16, (40, 60, 1), dtype=np.uint16)),
        ):
            (root / side / "sub").mkdir(parents=True, exist_ok=True)
            Picture(picture).save(root / side / "sub" / f"{k}.{'png' if side == 'a' else 'tif'}")
    return root / "a", root / "b"


def test_two_folders_of_one_size_that_training_recognises(tmp_path: Path) -> None:
    out = tmp_path / "new" / "pairs"
    assert Pairing(size=16, val=0.2, test=0.1).write(*folders(tmp_path), out) == {"val": 2, "test": 1, "train": 7}
    layout = recognise(out)
    assert layout.says == "trainA and trainB, valA and valB, testA and testB"
    assert sorted(pair.x.name for part in layout.splits.values() for pair in part.pairs()) == [f"sub/{k}" for k in range(10)]
    x, y = (decode(view.path, None) for view in layout.train.pairs()[0])
    assert (x.shape, x.dtype, y.shape, y.dtype) == ((16, 24, 3), np.uint8, (16, 24, 1), np.uint16)
    assert [path.name for path in out.parent.iterdir()] == ["pairs"]


def test_joined_pictures_hold_the_source_on_the_left_and_lose_nothing(tmp_path: Path) -> None:
    a, b = folders(tmp_path)
    Pairing(size=20, joined=True).write(a, b, tmp_path / "out")
    layout = recognise(tmp_path / "out", joined=True)
    assert (len(layout.train.x), len(layout.val.x)) == (9, 1)
    for pair in layout.val.pairs():
        x, _ = read_pair(pair)
        np.testing.assert_array_equal(x, decode(a / f"{pair.x.name}.png").astype(np.uint16) * 257)


def test_the_split_follows_from_the_names(tmp_path: Path) -> None:
    given = folders(tmp_path)
    for name in ("one", "two"):
        Pairing(size=8).write(*given, tmp_path / name)
    one, two = (sorted(p.relative_to(tmp_path / name) for p in (tmp_path / name).rglob("*")) for name in ("one", "two"))
    assert one == two


def test_label_maps_keep_their_colours(tmp_path: Path) -> None:
    colours = np.array([[0, 0, 170], [255, 170, 0], [0, 255, 255]], np.uint8)
    for side in "ab":
        (tmp_path / side).mkdir()
        Image.fromarray(colours[np.random.default_rng(0).integers(0, 3, (40, 40))]).save(tmp_path / side / "1.png")
    Pairing(size=13, maps="b").write(tmp_path / "a", tmp_path / "b", tmp_path / "out")
    mixed, kept = (np.unique(decode(tmp_path / "out" / f"train{side}" / "1.png").reshape(-1, 3), axis=0) for side in "AB")
    assert {tuple(colour) for colour in kept} <= {tuple(colour) for colour in colours}
    assert len(mixed) > 3


@pytest.mark.parametrize(
    ("spoil", "message"),
    [
        (lambda a, b: (b / "sub" / "3.tif").unlink(), "no partner"),
        (lambda a, b: (a / "sub" / "3.png").write_bytes(b"no picture"), r"3\.png cannot be read"),
        (lambda a, b: Image.new("L", (60, 50)).save(b / "sub" / "3.tif"), "their shapes differ"),
    ],
)
def test_what_is_wrong_is_told_and_nothing_written(spoil: object, message: str, tmp_path: Path) -> None:
    a, b = folders(tmp_path)
    spoil(a, b)  # type: ignore[operator]
    with pytest.raises(ValueError, match=message):
        Pairing(size=16).write(a, b, tmp_path / "out")
    assert sorted(path.name for path in tmp_path.iterdir()) == ["a", "b"]


def test_nothing_is_overwritten_or_left_without_training_pairs(tmp_path: Path) -> None:
    a, b = folders(tmp_path, 2)
    with pytest.raises(ValueError, match="there already"):
        Pairing().write(a, b, a)
    with pytest.raises(ValueError, match="too few"):
        Pairing(size=8, val=0.4, test=0.4).write(a, b, tmp_path / "out")
    with pytest.raises(ValueError, match="below 1"):
        Pairing(val=0.5, test=0.5)
    with pytest.raises(ValueError, match="translate-data pair --size"):
        Pairing().write(a, b, tmp_path / "out")
    with pytest.raises(ValueError, match="not a folder"):
        Pairing().write(a, tmp_path / "gone", tmp_path / "out")
    assert sorted(path.name for path in tmp_path.iterdir()) == ["a", "b"]
