"""What is measured on, found in each layout and read as it is."""

from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image

from translate.data.damage import gaussian_noise
from translate.evaluation.cases import Cases, find, fitted


def draw(path: Path, seed: int, height: int = 12, width: int = 16) -> np.ndarray:
    path.parent.mkdir(parents=True, exist_ok=True)
    pixels = np.random.default_rng(seed).integers(0, 256, (height, width, 3), dtype=np.uint8)
    Image.fromarray(pixels).save(path)
    return pixels


def sides(cases: Cases) -> list[tuple[np.ndarray, np.ndarray]]:
    """Sources and targets, both as 8 bits."""
    found = []
    for case in cases:
        assert case.target is not None
        found.append((case.source, (case.target[0].permute(1, 2, 0) * 255).round().byte().numpy()))
    return found


def test_pairs_of_folders_either_way(tmp_path: Path) -> None:
    a, b = draw(tmp_path / "A" / "1.png", 0), draw(tmp_path / "B" / "1.png", 1)
    ((x, y),) = sides(find(tmp_path))
    assert np.array_equal(x, a)
    assert np.array_equal(y, b)
    ((x, y),) = sides(find(tmp_path, target_first=True))
    assert np.array_equal(x, b)
    assert np.array_equal(y, a)


def test_joined_pictures_either_side_first(tmp_path: Path) -> None:
    whole = draw(tmp_path / "1.png", 0, 12, 24)
    ((x, y),) = sides(find(tmp_path))
    assert np.array_equal(x, whole[:, :12])
    assert np.array_equal(y, whole[:, 12:])
    ((x, y),) = sides(find(tmp_path, target_first=True))
    assert np.array_equal(x, whole[:, 12:])
    draw(tmp_path / "2.png", 0, 12, 40)  # no two squares
    assert len(find(tmp_path, joined=True)) == 2


def test_the_test_split_is_preferred_and_named(tmp_path: Path) -> None:
    data = tmp_path / "photos" / "facades"
    for count, split in enumerate(("train", "val", "test"), 1):
        for index in range(count):
            draw(data / split / f"{index}.png", index, 12, 24)
    assert str(find(data)) == "photos/facades, test: 3 pairs, in their own size"
    assert str(find(data, split="val", size=8)) == (
        "photos/facades, val: 2 pairs, resized to 8×8 (shorter side scaled, middle cut)"
    )
    assert str(find(data / "val")) == "facades/val: 2 pairs, in their own size"
    assert len(find(data, limit=2)) == 2
    for path in (data / "test").iterdir():
        path.unlink()
    (data / "test").rmdir()
    assert len(find(data)) == 2
    with pytest.raises(ValueError, match="has no split 'test', but train, val"):
        find(data, split="test")


def test_two_kinds_without_partners(tmp_path: Path) -> None:
    sources = [draw(tmp_path / "testA" / f"a{k}.png", k) for k in range(3)]
    targets = [draw(tmp_path / "testB" / f"b{k}.png", 9 + k) for k in range(2)]
    cases = find(tmp_path)
    told = str(cases).partition(", ")[2]
    assert told == "test: 3 pictures against 2 real ones, in their own size"
    assert [np.array_equal(case.source, pixels) for case, pixels in zip(cases, sources, strict=True)] == [True] * 3
    assert all(case.target is None for case in cases)
    for real, pixels in zip(cases.real(), targets, strict=True):
        assert torch.equal((real[0].permute(1, 2, 0) * 255).round().byte(), torch.from_numpy(pixels))
    named = find(tmp_path / "testA", reference=tmp_path / "testB")
    assert len(named) == 3
    assert len(named.references) == 2


def test_what_training_holds_out(tmp_path: Path) -> None:
    from translate.data.layouts import is_held

    for index in range(40):
        draw(tmp_path / f"{index}.png", index, 12, 24)
    cases = find(tmp_path, holdout=0.3)
    assert [view.name for view in cases.sources] == [n for n in sorted(map(str, range(40))) if is_held(n, 0.3)]
    assert 0 < len(cases) < 40
    assert "the share 0.3 that training holds out" in str(cases)


def test_noise_on_clean_photographs_is_that_of_training(tmp_path: Path) -> None:
    clean = [draw(tmp_path / f"{k}.png", k) for k in range(2)]
    for index, (x, y) in enumerate(sides(find(tmp_path, noise=25))):
        assert np.array_equal(y, clean[index])
        assert np.array_equal(x, gaussian_noise(clean[index], 25 / 255, np.random.default_rng((2, index))))
    for x, y in sides(find(tmp_path, noise=0)):
        assert np.array_equal(x, y)
    assert str(find(tmp_path, noise=25)).endswith(": 2 photographs with Gaussian noise of deviation 25/255, in their own size")
    assert "2 photographs untouched" in str(find(tmp_path, noise=0))


def test_grey_and_16_bits_come_as_they_are(tmp_path: Path) -> None:
    pixels = np.random.default_rng(0).integers(0, 65536, (12, 12), dtype=np.uint16)
    for side in "AB":
        (tmp_path / side).mkdir()
        Image.fromarray(pixels).save(tmp_path / side / "1.png")
    (case,) = find(tmp_path)
    assert case.source.dtype == np.uint16
    assert np.array_equal(case.source, np.stack([pixels] * 3, 2))
    assert case.target is not None
    assert np.allclose(case.target[0, 0].numpy(), pixels / 65535, atol=1e-6)


def test_resized_maps_keep_their_colours() -> None:
    rng = np.random.default_rng(0)
    colours = np.array([[0, 0, 170], [255, 255, 0], [0, 255, 255]], np.uint8)
    picture = colours[rng.integers(0, 3, (50, 70))]
    known = set(map(tuple, colours.tolist()))
    for size in (20, 50, 90):
        found = fitted(picture, size, nearest=True)
        assert found.shape == (size, size, 3)
        assert set(map(tuple, found.reshape(-1, 3).tolist())) <= known
    assert not set(map(tuple, fitted(picture, 20).reshape(-1, 3).tolist())) <= known
    assert fitted(picture, 0) is picture


def test_sizes_that_do_not_fit_are_named(tmp_path: Path) -> None:
    draw(tmp_path / "A" / "1.png", 0)
    draw(tmp_path / "B" / "1.png", 0, 24, 32)
    assert len(sides(find(tmp_path, scale=2))) == 1
    with pytest.raises(ValueError, match=r"A/1.png is translated into 16×12 pixels, but its target has 32×24"):
        list(find(tmp_path))
    assert len(sides(find(tmp_path, size=8))) == 1  # both in one size


def test_classes_from_folders_and_from_a_list(tmp_path: Path) -> None:
    for name in ("3/a.png", "10/b.png"):
        draw(tmp_path / "digits" / name, 0)
    cases = find(tmp_path / "digits", alone=True)
    assert {case.name: case.label for case in cases.with_classes()} == {"3/a": 3, "10/b": 10}
    for name in ("daisy/a.png", "aster/b.png"):
        draw(tmp_path / "flowers" / name, 0)
    flowers = find(tmp_path / "flowers", alone=True)
    assert {case.name: case.label for case in flowers.with_classes()} == {"aster/b": 0, "daisy/a": 1}
    (tmp_path / "labels.csv").write_text("aster/b.png, 7\ndaisy/a.png, 2\n")
    labelled = flowers.with_classes(tmp_path / "labels.csv")
    assert {case.name: case.label for case in labelled} == {"aster/b": 7, "daisy/a": 2}
    (tmp_path / "labels.csv").write_text("aster/b.png, 7\n")
    with pytest.raises(ValueError, match="1 pictures have no class, such as daisy/a"):
        flowers.with_classes(tmp_path / "labels.csv")
    (tmp_path / "labels.csv").write_text("aster/b.png\n")
    with pytest.raises(ValueError, match="wanted are lines of a picture's name and its class"):
        flowers.with_classes(tmp_path / "labels.csv")


def test_nothing_to_measure_on(tmp_path: Path) -> None:
    with pytest.raises(ValueError, match="is not there"):
        find(tmp_path / "nowhere")
    with pytest.raises(ValueError, match="is not a folder"):
        find(tmp_path / "nowhere", alone=True)
    (tmp_path / "empty").mkdir()
    with pytest.raises(ValueError, match="has no pictures to measure on"):
        find(tmp_path / "empty", alone=True)
    draw(tmp_path / "one" / "1.png", 0, 12, 24)
    with pytest.raises(ValueError, match="beside those to train on"):
        find(tmp_path / "one", holdout=1e-9)
