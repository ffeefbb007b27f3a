"""Aligned: partners stay partners whatever is done to them, and a sample depends on (seed, index) alone."""

from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from translate.data.aligned import Aligned, find, validation
from translate.data.layouts import recognise
from translate.data.pixels import Paired
from translate.runtime.picture import Picture


def folder(tmp_path: Path, n: int = 5) -> Path:
    """Noise in A and its negative in B."""
    for k in range(n):
        for side in "AB":
            (tmp_path / side).mkdir(parents=True, exist_ok=True)
            picture = np.random.default_rng(k).integers(0, 256, (30, 40, 3), dtype=np.uint8)
            Image.fromarray(picture if side == "A" else 255 - picture).save(tmp_path / side / f"{k}.png")
    return tmp_path


def dataset(path: Path, **options: object) -> Aligned:
    return Aligned(find(path, recognise(path), 0).learned, **{"size": 16, "load": 30} | options)  # type: ignore[arg-type]


def identity(sample: Paired) -> float:
    return round(float(sample.x.double().sum()), 6)


@pytest.mark.parametrize("turn", [False, True])
def test_both_are_cut_out_of_one_place(tmp_path: Path, turn: bool) -> None:
    data = dataset(folder(tmp_path), turn=turn)
    data.preload()
    for path in tmp_path.rglob("*.png"):
        path.unlink()  # kept decoded, they are not asked for again
    samples = [data[k] for k in range(20)]
    assert all(sample.x.shape == (3, 16, 16) for sample in samples)
    assert all(sample.x.allclose(-sample.y, atol=1e-6) for sample in samples)
    assert len(set(map(identity, samples))) == 20


def test_a_sample_depends_on_seed_and_index_alone(tmp_path: Path) -> None:
    path = folder(tmp_path)
    first, second = dataset(path, seed=3), dataset(path, seed=3)
    second.preload()
    for index in (7, 3, 1000):
        assert first[index].x.equal(second[index].x)
    assert not first[7].x.equal(dataset(path, seed=4)[7].x)


def test_every_pair_comes_once_a_round_in_changing_order(tmp_path: Path) -> None:
    data = dataset(folder(tmp_path, 6))
    names = [data._place(k).x.name for k in range(24)]
    rounds = [names[k : k + 6] for k in range(0, 24, 6)]
    assert all(sorted(order) == list("012345") for order in rounds)
    assert len(set(map(tuple, rounds))) > 1


def test_16_bits_and_grey_come_through(tmp_path: Path) -> None:
    for side, channels in (("A", 1), ("B", 3)):
        (tmp_path / side).mkdir()
        Picture(np.full((20, 20, channels), 1001, np.uint16)).save(tmp_path / side / "p.png")
    sample = dataset(tmp_path, load=20, channels=(1, 3))[0]
    assert (sample.x.shape, sample.y.shape) == ((1, 16, 16), (3, 16, 16))
    assert sample.x.unique().tolist() == sample.y.unique().tolist() == pytest.approx([1001 / 32767.5 - 1])


def test_held_out_pairs_are_measured_in_the_middle(tmp_path: Path) -> None:
    found = find(tmp_path, recognise(folder(tmp_path, 40)), 0.3)
    assert {pair.x.name for pair in found.held} == {pair.y.name for pair in found.held}
    assert len(found.held) + len(found.learned) == 40
    held = validation(found.held, 15, limit=4)
    assert 2 <= len(held) <= 4
    assert held[0].x.shape == (1, 3, 15, 15)
    assert held[0].x.allclose(-held[0].y, atol=3 / 255)
    assert str(found).startswith("A and B: ")


def test_validation_folders_are_held_out(tmp_path: Path) -> None:
    folder(tmp_path / "train")
    folder(tmp_path / "val", 2)
    found = find(tmp_path, recognise(tmp_path), 0.9)
    assert (len(found.learned), len(found.held)) == (5, 2)


def test_what_cannot_be_trained_on_is_told(tmp_path: Path) -> None:
    path = folder(tmp_path)
    with pytest.raises(ValueError, match="no pairs to train on, beside 5"):
        find(path, recognise(path), 1)
    (path / "B" / "0.png").unlink()
    with pytest.raises(ValueError, match="no partner"):
        find(path, recognise(path), 0)
    with pytest.raises(ValueError, match="smaller than the crops"):
        Aligned([], size=20, load=10)
